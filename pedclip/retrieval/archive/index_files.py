"""Files of an index: parts of half-precision rows, and one description that says which parts there are.

    index.json                      format, version, model, widths, and the parts with their sizes and checksums
    part-00000/similarity.f16       N · D half-precision numbers, row by row
    part-00000/confidence.f16       N · W of them
    part-00000/weight.f32           N single-precision numbers

A part is never changed once it is there; more items are another part, and the description is replaced last and as a
whole, so that a reader finds the old index or the new one. Both are written beside the index first; whoever moves them
into place holds the lock `.NAME.lock` beside the folder, for that moment only.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from pedclip.artefacts import atomic_folder, read_json, write_json
from pedclip.retrieval.vectors import TOLERANCE, Halves, PairVectors, Singles

VERSION: Final = 1  # of the files: raise it when they are laid out in another way
FORMAT: Final = "pedclip archive index"
DESCRIPTION: Final = "index.json"
# Files of a part, with the type of their numbers; little-endian on every machine.
FILES: Final[Mapping[str, str]] = {"similarity.f16": "<f2", "confidence.f16": "<f2", "weight.f32": "<f4"}
_WAIT: Final = 600  # seconds for another process that moves its part into the same index, which takes moments


class DamagedIndex(ValueError):
    """An index that is cut short, changed since, or described by something unreadable."""


class OtherModel(ValueError):
    """An index or a query whose vectors are of another model, or of other widths."""


class IndexInUse(TimeoutError):
    """An index that another process does not let go of."""


@dataclass(frozen=True)
class PartDescription:
    """A part as the description has it.

    Args:
        name: Of its folder.
        count: Items, at least 1.
        checksums: SHA-256 of each file, by name.
    """

    name: str
    count: int
    checksums: Mapping[str, str]


@dataclass(frozen=True)
class Description:
    """The content of an index, without the numbers.

    Args:
        model: Fingerprint of the model that made the vectors.
        dimension: D, width of a similarity vector.
        width: W, width of a confidence vector.
        parts: At least one.
    """

    model: str
    dimension: int
    width: int
    parts: tuple[PartDescription, ...]

    def to_dict(self) -> dict[str, Any]:
        """Content of the JSON file."""
        parts = [{"name": part.name, "count": part.count, "checksums": dict(part.checksums)} for part in self.parts]
        facts = {"model": self.model, "dimension": self.dimension, "width": self.width}
        return {"format": FORMAT, "version": VERSION, **facts, "parts": parts}


@dataclass(frozen=True, eq=False)
class Part:
    """An opened part; the first two are memory-mapped, so that an archive larger than the memory can be searched.

    Args:
        similarity: (n, D).
        confidence: (n, W).
        weight: (n,), in memory.
    """

    similarity: Halves
    confidence: Halves
    weight: Singles


def part_name(number: int) -> str:
    """Name of the folder of a part; parts are counted from 0."""
    return f"part-{number:05d}"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Right to change which files an index consists of: one process at a time.

    Args:
        folder: Of the index.

    Raises:
        IndexInUse: Another process has had it for ten minutes.
    """
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=_WAIT)
    except Timeout as error:
        raise IndexInUse(
            f"{folder} has been in the hands of another process for {_WAIT} s, and nothing was changed; look for a "
            "process that hangs, end it, and try again"
        ) from error
    # Where a holder is killed, the operating system gives it back.
    try:
        yield
    finally:
        lock.release()


@contextmanager
def new_index(folder: str | Path) -> Iterator[Path]:
    """Empty folder that takes the place of an index at the end of the block, unless that fails.

    Args:
        folder: Of the index, which may be there already.

    Yields:
        The folder to write into.

    Raises:
        IndexInUse: As for `locked`.
    """
    with ExitStack() as held, atomic_folder(folder) as partial:
        yield partial
        # Let go of after the renames: whoever extends the old index would put its part into the new one.
        held.enter_context(locked(Path(folder)))


def write_index(folder: Path, batches: Iterable[PairVectors], *, model: str) -> None:
    """Files of an index of one part, written.

    Args:
        folder: Of the index, empty; nobody reads it yet.
        batches: Items in order.
        model: Fingerprint of the model that made the vectors.

    Raises:
        ValueError: No items, or no fingerprint.
        OtherModel: A batch of other widths than the first.
    """
    if not model:
        raise ValueError("model='' is not allowed: an index must say which model made its vectors")
    (part := folder / part_name(0)).mkdir()
    # The description goes in last: it holds the checksums of the rest.
    written = replace(write_part(part, batches, widths=None), model=model)
    write_json(folder / DESCRIPTION, written.to_dict())


def write_part(folder: Path, batches: Iterable[PairVectors], *, widths: tuple[int, int] | None) -> Description:
    """Files of a part, written a batch at a time.

    Args:
        folder: Of the part, empty.
        batches: Items in order.
        widths: (D, W) of the index; None takes those of the first batch.

    Returns:
        A description of this part alone, without a model.

    Raises:
        ValueError: No items.
        OtherModel: A batch of other widths.
    """
    count, digests = 0, {name: hashlib.sha256() for name in FILES}
    with ExitStack() as stack:
        files = {name: stack.enter_context((folder / name).open("xb")) for name in FILES}
        for batch in batches:
            found = (batch.similarity.shape[1], batch.confidence.shape[1])
            # The first batch of a new index says how wide the others must be.
            widths = found if widths is None else widths
            if found != widths:
                raise OtherModel(f"vectors of widths {found} do not fit an index of widths {widths}")
            columns = (batch.similarity, batch.confidence, batch.weight)
            for (name, kind), values in zip(FILES.items(), columns, strict=True):
                # Written and summed at once, as the whole part may not fit the memory.
                files[name].write(content := values.astype(kind).tobytes())
                digests[name].update(content)
            count += len(batch)
    if widths is None or not count:
        raise ValueError("an index needs at least one item, got none")
    checksums = {name: digest.hexdigest() for name, digest in digests.items()}
    return Description("", *widths, (PartDescription(folder.name, count, checksums),))


def open_part(folder: Path, part: PartDescription, *, dimension: int, width: int) -> Part:
    """A part, opened after a look at the sizes of its files and at its weights.

    Raises:
        DamagedIndex: A file is missing or has another size than its rows need, or a weight cannot be one; the message
            names it.
    """
    arrays: list[NDArray[Any]] = []
    for (name, kind), columns in zip(FILES.items(), (dimension, width, 1), strict=True):
        path, expected = folder / part.name / name, part.count * columns * np.dtype(kind).itemsize
        # A copy that was cut short has the right description and too few bytes.
        found = path.stat().st_size if path.is_file() else None
        if found != expected:
            state = "is missing" if found is None else f"has {found} bytes, expected {expected}"
            raise DamagedIndex(f"{path} {state}; build the index again, or copy it again from where it was built.")
        # "c": nothing is ever written to the file, and torch takes the array without a copy or a warning.
        arrays.append(np.memmap(path, dtype=kind, mode="c", shape=(part.count, columns)))
    weight = np.array(arrays[2][:, 0])  # (n, 1) -> (n,), read into memory
    # Scores are divided by them. Not a comparison with each limit's opposite, which NaN would pass.
    if not ((weight > 0) & (weight <= 1 + TOLERANCE)).all():
        raise DamagedIndex(f"{path} is damaged: a weight is not above 0 and at most 1. Build the index again.")
    return Part(np.asarray(arrays[0]), np.asarray(arrays[1]), weight)


def check_part(folder: Path, part: PartDescription) -> None:
    """Every byte of a part against its checksums.

    Raises:
        DamagedIndex: A file was changed since; the message names it.
    """
    for name, expected in part.checksums.items():
        path = folder / part.name / name
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                raise DamagedIndex(f"{path} is damaged: its checksum differs. Build the index again.")


def read_description(folder: Path) -> Description:
    """The description of an index.

    Raises:
        FileNotFoundError: There is no index in the folder.
        DamagedIndex: The description is unreadable, of another version, or says what cannot be.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no index ({DESCRIPTION} is missing); build it with ArchiveIndex.create."
        )
    try:
        content = read_json(path)
        if (content["format"], content["version"]) != (FORMAT, VERSION):
            raise DamagedIndex(f"{path} is a {content['format']!r} of version {content['version']}, not {VERSION}.")
        facts = _text(content["model"]), _count(content["dimension"]), _count(content["width"])
        parts = tuple(_part(part) for part in content["parts"])
        if not parts or len({part.name for part in parts}) != len(parts):
            raise ValueError("parts that are there once each, and at least one")
    except DamagedIndex:
        raise
    # A missing key is as bad as a wrong value, and a list as bad as no JSON at all.
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedIndex(f"{path} is damaged ({type(error).__name__}: {error}); build the index again.") from error
    return Description(*facts, parts)


def _part(content: Any) -> PartDescription:
    name = _text(content["name"])
    # The name becomes a path: nothing that leads out of the folder.
    if not re.fullmatch(r"part-\d{5}", name):
        raise ValueError(f"a part is named part-00000, not {name!r}")
    # Exactly the files that are read; anything else that is listed does not matter.
    checksums = {file: _text(content["checksums"][file]) for file in FILES}
    return PartDescription(name, _count(content["count"]), checksums)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a text, got {value!r}")
    return value


def _count(value: Any) -> int:
    # True is an int in Python, but no number of items.
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"expected a number of at least 1, got {value!r}")
    return value
