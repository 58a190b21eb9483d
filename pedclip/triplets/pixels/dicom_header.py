"""The elements of a DICOM file that describe its pixels, read without trusting any of them.

Only these elements are read, and each as the bytes that are there: an element that no film needs can be as wrong as it
likes. Deflated files are inflated as far as their own header allows.
"""

import io
import math
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

from pedclip.triplets.pixels.film_bounds import PALETTE, TWO_LEVELS, BadImage, check_size

_DEFLATED: Final = b"1.2.840.10008.1.2.1.99"
_PLAIN: Final = b"1.2.840.10008.1.2.1".ljust(len(_DEFLATED), b"\0")
_HEAD: Final = 4096  # bytes, in which the transfer syntax stands
_INFLATED_HEAD: Final = 16 * 2**20  # bytes of a deflated file that are looked at before its size is known
_SLACK: Final = 2**20  # bytes behind the pixels
_PIXELS: Final = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
_INTEGERS: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i"}
_REQUIRED: Final = {
    "Rows": "Rows (0028,0010)",
    "Columns": "Columns (0028,0011)",
    "SamplesPerPixel": "Samples per Pixel (0028,0002)",
    "BitsAllocated": "Bits Allocated (0028,0100)",
    "BitsStored": "Bits Stored (0028,0101)",
    "PixelRepresentation": "Pixel Representation (0028,0103)",
    "PlanarConfiguration": "Planar Configuration (0028,0006)",
}
_ELEMENTS: Final = (
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("ModalityLUTSequence", "RescaleIntercept", "RescaleSlope", "VOILUTSequence", "WindowCenter", "WindowWidth"),
    *("VOILUTFunction", "PresentationLUTShape", "SOPClassUID", *_PIXELS.values()),
)
# Text in a file that does not say the type of its elements; the others there are integers of two bytes.
_TEXTS: Final = frozenset(
    {
        *("PhotometricInterpretation", "NumberOfFrames", "RescaleIntercept", "RescaleSlope", "WindowCenter"),
        *("WindowWidth", "VOILUTFunction", "PresentationLUTShape", "SOPClassUID"),
    }
)
_COLORS: Final = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT"})
_GREYS: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})


class Layout(NamedTuple):
    """Layout of the stored pixels of one film; `high` is the position of the highest bit that counts."""

    height: int
    width: int
    channels: int
    photometric: str
    allocated: int
    stored: int
    high: int
    is_signed: bool
    planar: int
    keyword: str

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        size = self.height * self.width * self.channels * self.allocated // 8
        # Two pixels share their colour.
        return size * 2 // 3 if self.photometric == "YBR_FULL_422" else size


def is_dicom(content: bytes) -> bool:
    """True where a file begins as DICOM does, with its preamble or, as some archives strip it, without."""
    return content[128:132] == b"DICM" or content[:2] in {b"\x02\x00", b"\x08\x00"}


def read_header(content: bytes) -> Any:
    """The elements that a film needs, of a file with or without preamble, with the pixels still coded.

    Raises:
        BadImage: A deflated file that is larger than its header says.
    """
    from pydicom.filereader import read_partial

    content = inflated(content)
    return read_partial(io.BytesIO(content), stop_when=_behind_pixels(), force=True, specific_tags=_tags())


def is_deflated(head: bytes) -> bool:
    """True where the first bytes of a DICOM file may say that the rest is deflated."""
    return _DEFLATED in head[:_HEAD]


def inflated(content: bytes) -> bytes:
    """A deflated DICOM file as the plain one that it is, and every other file as it is.

    Args:
        content: The file.

    Raises:
        BadImage: Truncated, or larger than its own header says: a small file can grow a thousandfold.
    """
    if not is_deflated(content):
        return content
    start = _end_of_meta(content)
    if _DEFLATED not in content[:start]:
        return content
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    parts = [inflater.decompress(content[start:], _INFLATED_HEAD)]
    if not inflater.eof and inflater.unconsumed_tail:
        # Larger than most films: what its header says is all that it may still hold.
        allowed = _expected_bytes(parts[0]) + _SLACK - len(parts[0])
        parts.append(inflater.decompress(inflater.unconsumed_tail, max(1, allowed)))
    if inflater.unconsumed_tail:
        raise BadImage("decompression bomb: a deflated DICOM that holds more than its header says")
    if not inflater.eof:
        raise BadImage("truncated or corrupt (deflated data that end too early)")
    # The same length, so that the lengths in the header stay true.
    return content[:start].replace(_DEFLATED, _PLAIN, 1) + b"".join(parts)


def _end_of_meta(content: bytes) -> int:
    from pydicom.filereader import read_dataset

    file = io.BytesIO(content)
    file.seek(132 if content[128:132] == b"DICM" else 0)
    read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    return file.tell()


def _expected_bytes(start: bytes) -> int:
    """Bytes up to the end of the pixels, as a header says of which only the start is known."""
    from pydicom.filereader import read_dataset

    file = io.BytesIO(start)
    header = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag in _PIXELS, specific_tags=_tags())
    where = file.tell()
    height, width = required(header, "Rows"), required(header, "Columns")
    sample_bytes = required(header, "SamplesPerPixel") * -(-required(header, "BitsAllocated") // 8)
    check_size(height, width, sample_bytes)
    return where + height * width * sample_bytes


def layout_of(header: Any) -> Layout:
    """Layout of the pixels, as far as the header agrees with itself.

    Raises:
        BadImage: No pixels, colour, several frames, a required element missing or empty, or a contradiction.
    """
    keyword = next((name for name in _PIXELS.values() if name in header), "")
    if not keyword:
        raise BadImage("DICOM without pixels (a report, a presentation state, or only the header)")
    photometric = next(iter(texts(header, "PhotometricInterpretation")), "").upper()
    if not photometric:
        raise BadImage("DICOM without the required element Photometric Interpretation (0028,0004)")
    height, width = required(header, "Rows"), required(header, "Columns")
    channels, allocated = required(header, "SamplesPerPixel"), required(header, "BitsAllocated")
    is_float = keyword != "PixelData"
    stored = allocated if is_float else required(header, "BitsStored")
    is_signed = False if is_float else bool(required(header, "PixelRepresentation"))
    planar = required(header, "PlanarConfiguration") if channels > 1 else 0
    high = integer(header, "HighBit")
    layout = Layout(
        *(height, width, channels, photometric, allocated, stored, stored - 1 if high is None else high),
        *(is_signed, planar, keyword),
    )
    _check(layout)
    if (num_frames := integer(header, "NumberOfFrames") or 1) > 1:
        raise BadImage(f"{num_frames} frames in one DICOM; only single films are radiographs")
    check_size(height, width, channels * -(-allocated // 8))
    return layout


def _check(layout: Layout) -> None:
    if layout.photometric == "PALETTE COLOR":
        raise BadImage(PALETTE)
    if layout.photometric not in _COLORS | _GREYS or layout.channels not in {1, 3}:
        raise BadImage(f"colour DICOM ({layout.photometric[:20]}, {layout.channels} channels), not a radiograph")
    if (layout.channels == 1) != (layout.photometric in _GREYS):
        raise BadImage(f"contradictory header: {layout.photometric} with {layout.channels} samples per pixel")
    if 1 in {layout.allocated, layout.stored}:
        raise BadImage(TWO_LEVELS)
    if layout.allocated not in ({8, 16, 32} if layout.keyword == "PixelData" else {32, 64}):
        raise BadImage(f"{layout.allocated} bits allocated to a pixel; expected 8, 16 or 32")
    if not 0 < layout.stored <= layout.allocated:
        raise BadImage(f"contradictory header: {layout.stored} bits stored of {layout.allocated} allocated")


def required(header: Any, name: str) -> int:
    """An element without which no pixel can be placed.

    Raises:
        BadImage: Missing, empty, or no number.
    """
    value = integer(header, name)
    if value is None:
        raise BadImage(f"DICOM without the required element {_REQUIRED[name]}, or with one that is no number")
    return value


def integer(header: Any, name: str) -> int | None:
    """First value of an element as a whole number; None where it is absent, empty or none."""
    first = next(iter(numbers(header, name)), None)
    return None if first is None or first != int(first) else int(first)


def numbers(header: Any, name: str) -> list[float | None]:
    """All values of an element: None for each that is no finite number (a decimal comma makes none)."""
    element = header.get_item(name) if name in header else None
    if element is None:
        return []
    # Without a type in the file it is the one of the standard.
    code = _INTEGERS.get(element.VR or "", "" if element.VR or name in _TEXTS else "H")
    if not code or not isinstance(element.value, bytes):
        return [_number(text) for text in texts(header, name)]
    order = "<" if element.is_little_endian else ">"
    size = struct.calcsize(code)
    if len(element.value) % size:
        return [None]
    return [float(value) for (value,) in struct.iter_unpack(order + code, element.value)]


def texts(header: Any, name: str) -> list[str]:
    """All values of an element as text without blanks; an empty one has none."""
    element = header.get_item(name) if name in header else None
    value = None if element is None else element.value
    if value is None:
        return []
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    elif not isinstance(value, str):
        value = "\\".join(map(str, value)) if hasattr(value, "__iter__") else str(value)
    parts = [part.strip(" \0\t\r\n") for part in value.split("\\")]
    return parts if any(parts) else []


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _behind_pixels() -> Callable[[Any, str | None, int], bool]:
    """A condition that stops reading behind the pixels, where files end in whatever was appended to them."""
    is_found = False

    def stop(tag: Any, vr: str | None, length: int) -> bool:
        nonlocal is_found
        is_behind, is_found = is_found, is_found or tag in _PIXELS
        return is_behind

    return stop


@cache
def _tags() -> list[Any]:
    from pydicom.datadict import tag_for_keyword
    from pydicom.tag import Tag

    return [Tag(tag_for_keyword(name) or 0) for name in _ELEMENTS]
