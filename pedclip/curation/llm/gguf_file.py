"""Chat models in one file, in llama.cpp's format GGUF: what the header promises, checked before anything is loaded."""

import os
import struct
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Final

_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_STRING, _ARRAY = 8, 9
_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_ALIGNMENT: Final = 32  # bytes, where the file names no other
_NEEDED: Final = ("gguf", "accelerate")  # packages by which transformers reads such a file


class _Damaged(Exception):
    """A header that cannot be what it says it is."""


def check_gguf(path: Path) -> None:
    """Refuse a file that is not a complete GGUF, by its header alone: no weight is read, and nothing in it is executed.

    Args:
        path: An existing file, whatever its name.

    Raises:
        ValueError: It is of another kind (a pickle, for example), cut off, or damaged.
        ModuleNotFoundError: A package that reads such files is not installed.
    """
    with path.open("rb") as file:
        # First, as it is true whatever is installed.
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ValueError(
                f"{path} is no GGUF file; a chat model is a GGUF file, or the folder of a transformers model. "
                "A pickle is never read."
            )
        if missing := [name for name in _NEEDED if find_spec(name) is None]:
            raise ModuleNotFoundError(
                f"a GGUF file needs {' and '.join(missing)}: pip install 'pedclip[llm]', "
                "or name the folder of a transformers model"
            )
        try:
            _Header(file, os.fstat(file.fileno()).st_size).check()
        except _Damaged as error:
            raise ValueError(f"{path} is no complete GGUF file: {error}; fetch it again.") from error


class _Header:
    """Reader of a header that believes no length it finds: each is compared with the size of the file first."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size

    def check(self) -> None:
        """Walk over metadata and tensor table; every tensor must end inside the file."""
        version, num_tensors, num_values = self._numbers("IQQ")
        if version not in _VERSIONS:
            raise _Damaged(f"it is of version {version}, known are {' and '.join(map(str, _VERSIONS))}")
        alignment = _ALIGNMENT
        for _ in range(num_values):
            key = self._text()
            value = self._value()
            if key == b"general.alignment":
                alignment = value
        if not isinstance(alignment, int) or alignment < 1:
            raise _Damaged("its alignment is no number of bytes")
        ends = [self._tensor_end() for _ in range(num_tensors)]
        begin = -(-self._file.tell() // alignment) * alignment  # the tensors start at the next multiple
        if not ends:
            raise _Damaged("it holds no tensor")
        if begin + max(ends) > self._size:
            raise _Damaged(f"it has {self._size:,} bytes of {begin + max(ends):,}")

    def _tensor_end(self) -> int:
        """Bytes from the first tensor to the end of the next one in the table."""
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

        self._skip(*self._numbers("Q"))  # its name
        shape = self._numbers(f"{self._numbers('I')[0]}Q")
        kind, offset = self._numbers("IQ")
        try:
            elements, size = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]  # of a block
        except ValueError as error:
            raise _Damaged(f"a tensor is of the unknown type {kind}") from error
        return int(offset + prod(shape) // elements * size)

    def _value(self) -> Any:
        """A number as it is, None for what is skipped."""
        (kind,) = self._numbers("I")
        if kind == _STRING:
            self._skip(*self._numbers("Q"))
        elif kind == _ARRAY:
            element, count = self._numbers("IQ")
            if element == _STRING:
                for _ in range(count):
                    self._skip(*self._numbers("Q"))
            else:
                self._skip(count * struct.calcsize(self._scalar(element)))
        else:
            return self._numbers(self._scalar(kind))[0]
        return None

    def _scalar(self, kind: int) -> str:
        if kind not in _SCALARS:
            raise _Damaged(f"a value is of the unknown type {kind}")
        return _SCALARS[kind]

    def _text(self) -> bytes:
        return self._take(*self._numbers("Q"))

    def _numbers(self, form: str) -> tuple[Any, ...]:
        return struct.unpack(f"<{form}", self._take(struct.calcsize(f"<{form}")))

    def _take(self, length: int) -> bytes:
        self._check_left(length)
        return self._file.read(length)

    def _skip(self, length: int) -> None:
        self._check_left(length)
        self._file.seek(length, os.SEEK_CUR)

    def _check_left(self, length: int) -> None:
        # Before reading: a wrong length would otherwise be asked of the memory.
        if length > self._size - self._file.tell():
            raise _Damaged("it ends within its header")
