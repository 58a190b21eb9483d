"""JPEG files whose coded pixels end before their last row: a header that lies, or a file that was cut and closed.

Decoders fill such films up with grey and say nothing.
"""

import io
import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pedclip.triplets.pixels.codestreams import MARKER
from pedclip.triplets.pixels.film_bounds import BadImage

_FILL: Final = 128  # what a decoder makes of coefficients that are not there
_SCAN: Final = 0xDA
_RESTART: Final = re.compile(rb"\xff([\xd0-\xd7])")
_MORE: Final = b"\x55\xaa\x33" * 20  # as good as any coded pixels, and no marker


def check_end(content: bytes, last_row: NDArray[Any]) -> None:
    """Refuse a JPEG that holds fewer rows than its header says.

    Args:
        content: The file, which was decoded without an error.
        last_row: (W,) or (W, C) of its 8-bit pixels.

    Raises:
        BadImage: The last rows are the decoder's.
    """
    # Films that are really grey at their lower edge are rare; only they are looked at twice.
    if (last_row.astype(np.uint8) == _FILL).mean() > 0.5 and _ends_early(content):
        raise BadImage("truncated or corrupt: coded pixels for fewer rows than the header says")


def _ends_early(content: bytes) -> bool:
    """True where a decoder reads on into pixels that are put behind the end: it had not found all rows before."""
    place = 2
    while found := MARKER.search(content, place):
        start = found.end()
        place = start + int.from_bytes(content[start : start + 2], "big")
        if found[1][0] == _SCAN and (end := MARKER.search(content, place)):
            # A decoder that waits for the next restart goes on behind it, one that does not before it.
            restarts = _RESTART.findall(content, place, end.start())
            number = (restarts[-1][0] + 1) % 8 if restarts else 0
            more = _MORE + bytes([0xFF, 0xD0 + number]) + _MORE
            longer = content[: end.start()] + more + content[end.start() :]
            try:
                return not np.array_equal(_small(content), _small(longer))
            except (OSError, SyntaxError):  # of a kind that Pillow does not read: nothing is known
                return False
    return False


def _small(content: bytes) -> NDArray[np.uint8]:
    """The picture at an eighth of its size, which needs no more than the mean of each block."""
    image = Image.open(io.BytesIO(content), formats=("JPEG",))
    image.draft(None, (image.width // 8, image.height // 8))
    return np.asarray(image)
