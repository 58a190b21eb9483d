"""Image files without what was written beside their pixels: names and dates may stand there, and nobody sees them."""

import struct
from typing import Final

from pedclip.triplets.pixels.codestreams import MARKER

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PIXEL_CHUNKS: Final = (b"IHDR", b"IDAT", b"IEND")
_SCAN: Final = 0xDA
_END: Final = 0xD9
_JFIF: Final = 0xE0
_COMMENTS: Final = frozenset({*range(0xE0, 0xF0), 0xFE})  # application segments (EXIF, thumbnails, profiles), comments


def without_metadata(content: bytes) -> bytes | None:
    """A grey PNG or JPEG file with its coded pixels alone.

    Text, EXIF, comments, thumbnails, profiles, and whatever stands behind the end of the picture, are left out; a file
    that holds none of these comes back byte for byte.

    Args:
        content: A file that was decoded without an error.

    Returns:
        The file, or None where its parts do not follow each other as the format says.

    Source: PNG (ISO/IEC 15948), section 5; JPEG (ITU-T T.81), annex B.
    """
    return _bare_png(content) if content.startswith(_PNG) else _bare_jpeg(content)


def _bare_png(content: bytes) -> bytes | None:
    kept, place = [_PNG], len(_PNG)
    while place + 12 <= len(content):  # length, name and checksum of a chunk have 4 bytes each
        size, name = struct.unpack_from(">I4s", content, place)
        end = place + 12 + size
        # Ancillary chunks hold text, times and EXIF; the critical ones are all that a grey PNG needs.
        if name in _PIXEL_CHUNKS:
            kept.append(content[place:end])
        # Whatever is appended behind the end is left out.
        if name == b"IEND":
            return b"".join(kept)
        place = end
    return None


def _bare_jpeg(content: bytes) -> bytes | None:
    kept, place, before = [content[:2]], 2, 0
    while found := MARKER.search(content, place):
        # The coded pixels run from the header of a scan to the next marker.
        if before == _SCAN:
            kept.append(content[place : found.start()])
        # Bytes between two segments: not as the format says.
        elif found.start() != place:
            return None
        before, start = found[1][0], found.end()
        if before == _END:
            return b"".join([*kept, b"\xff\xd9"])
        # A segment begins with its own length.
        place = start + int.from_bytes(content[start : start + 2], "big")
        if before not in _COMMENTS or _is_plain_jfif(before, content[start:place]):
            kept.append(b"\xff" + content[start - 1 : place])
    return None


def _is_plain_jfif(marker: int, segment: bytes) -> bool:
    """True where a segment is the usual first one: version and density, without a thumbnail."""
    return marker == _JFIF and len(segment) == 16 and segment[2:7] == b"JFIF\0"
