"""Sizes that JPEG and JPEG 2000 codestreams state themselves, read before anything is decoded."""

import re
import struct
from typing import Final, NamedTuple

from pedclip.triplets.pixels.film_bounds import BadImage

# A marker is no stuffed byte (FF 00) and no restart (FF D0 to FF D7), which stand among the coded pixels.
MARKER: Final = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}) | {0xF7}  # F7 of JPEG-LS
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_SCAN: Final = 0xDA
_END: Final = 0xD9
_HEAD: Final = 65_536  # bytes, in which the channels are named
_MAX_SCANS: Final = 100  # ten are usual
_J2K: Final = b"\xff\x4f\xff\x51"  # start of codestream, then the size
_JP2: Final = b"\x00\x00\x00\x0cjP  "
_STARTS: Final = (b"\xff\xd8", _J2K, _JP2)


class Coded(NamedTuple):
    """Size in pixels, bits per sample, channels and, of a progressive file, passes over the pixels."""

    height: int
    width: int
    bits: int
    channels: int
    scans: int = 1


def is_start(fragment: bytes) -> bool:
    """True where a fragment begins a JPEG, JPEG-LS or JPEG 2000 codestream."""
    return fragment.startswith(_STARTS)


def check_scans(coded: Coded) -> None:
    """Bound on the passes over the pixels.

    Raises:
        BadImage: So many that a small file would be decoded for minutes.
    """
    if coded.scans > _MAX_SCANS:
        raise BadImage(f"decompression bomb: {coded.scans} passes over the pixels")


def coded_size(content: bytes) -> Coded | None:
    """Size that a codestream states of itself; None where it states none.

    Args:
        content: JPEG, JPEG-LS or JPEG 2000, the last with or without its file header.

    Source: JPEG (ITU-T T.81), annex B; JPEG 2000 (ITU-T T.800), annex A.5.1.
    """
    if content.startswith(b"\xff\xd8"):
        return _of_jpeg(content)
    # The file header of JPEG 2000 stands before the codestream.
    start = content.find(_J2K) if content.startswith(_JP2) else 0
    if start < 0 or content[start : start + 4] != _J2K or len(content) < start + 43:
        return None
    right, lower, left, upper = struct.unpack_from(">4I", content, start + 8)
    channels, bits = struct.unpack_from(">H", content, start + 40)[0], content[start + 42]
    return Coded(lower - upper, right - left, (bits & 0x7F) + 1, channels)


def color_space(content: bytes) -> str:
    """Colour space that a JPEG names itself, as DICOM calls it; "" where it names none, or has one channel."""
    if not content.startswith(b"\xff\xd8") or (size := _of_jpeg(content)) is None or size.channels != 3:
        return ""
    if re.search(rb"\xff\xc0.{7}\x03(R..G..B|r..g..b)", content[:_HEAD], re.DOTALL):
        return "RGB"
    return "YBR_FULL_422" if content[2:4] == b"\xff\xe0" and content[6:10] == b"JFIF" else ""


def _of_jpeg(content: bytes) -> Coded | None:
    place, size, scans, is_progressive = 2, None, 0, False
    while found := MARKER.search(content, place):
        marker, start = found[1][0], found.end()
        if marker == _END:
            break
        if marker in _FRAMES:
            is_progressive = is_progressive or marker in _PROGRESSIVE
            bits, height, width, channels = struct.unpack(">BHHB", content[start + 2 : start + 8].ljust(6, b"\0"))
            # The largest of several, as only a forged file has two.
            size = max(size or (0, 0, 0, 0), (height, width, bits, channels), key=lambda item: item[0] * item[1])
        scans += marker == _SCAN
        # Only progressive files have more; the others are spared a look at all their pixels.
        if scans and size and not is_progressive:
            break
        place = start + int.from_bytes(content[start : start + 2], "big")
    return Coded(*size, scans=scans) if size else None
