"""What is marked on a radiograph, and what a model marked: outlines of masks and boxes."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from pedclip.plots.theme import COLORS

TRUTH: Final = COLORS[5]  # light blue and orange: apart for every kind of colour vision, and seen on black
FOUND: Final = COLORS[4]
_EDGE: Final = "#000000"  # around the dashes, which bone would swallow
_DASH: Final = 8  # pixels drawn and left out in turn; the second cue beside the colour
_WIDTH: Final = 3  # pixels of 224, about 2 where a notebook shows 160

Drawn = NDArray[Any]  # (H, W) mask of any size, or (K, 4) corners as shares of the side


def marked(image: NDArray[np.uint8], truth: Drawn, found: Drawn, *, side: int = 224) -> NDArray[np.uint8]:
    """A radiograph under two outlines: the truth solid in light blue, what was found in dark-edged dashes of orange.

    Args:
        image: (H, W) gray values, 0 is black.
        truth: (h, w) mask that lies on the whole image, or (K, 4) left, top, right, bottom in [0, 1].
        found: The same, of a model.
        side: Pixels of the square result.

    Returns:
        (side, side, 3) red, green and blue.

    Raises:
        ValueError: The image is not a gray 8-bit picture.
    """
    if image.dtype != np.uint8 or image.ndim != 2:
        raise ValueError(f"a gray picture is (H, W) of uint8, not {image.shape} of {image.dtype}")
    picture = Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS).convert("RGB")
    for drawn, color, is_dashed in ((truth, TRUTH, False), (found, FOUND, True)):
        edge = _box_edges(drawn, side) if drawn.dtype != np.bool_ else _mask_edge(drawn, side)
        if is_dashed:
            rows, columns = np.indices(edge.shape)
            edge &= (rows + columns) // _DASH % 2 == 0
            _paint(picture, np.asarray(Image.fromarray(edge).convert("L").filter(ImageFilter.MaxFilter(3))) > 0, _EDGE)
        _paint(picture, edge, color)
    return np.asarray(picture)


def _paint(picture: Image.Image, where: NDArray[np.bool_], color: str) -> None:
    picture.paste(Image.new("RGB", picture.size, color), mask=Image.fromarray(where.astype(np.uint8) * 255))


def _mask_edge(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """Pixels of the mask within `_WIDTH` of its border."""
    large = Image.fromarray(mask.astype(np.uint8) * 255).resize((side, side), Image.Resampling.BILINEAR)
    inside = np.asarray(large) >= 128
    padded = np.pad(inside, _WIDTH)
    shifts: Sequence[tuple[int, int]] = ((-_WIDTH, 0), (_WIDTH, 0), (0, -_WIDTH), (0, _WIDTH))
    kept = np.logical_and.reduce([np.roll(padded, shift, axis=(0, 1)) for shift in shifts])
    return np.asarray(inside & ~kept[_WIDTH:-_WIDTH, _WIDTH:-_WIDTH])


def _box_edges(corners: NDArray[Any], side: int) -> NDArray[np.bool_]:
    canvas = Image.new("L", (side, side))
    draw = ImageDraw.Draw(canvas)
    for corner in np.clip(np.asarray(corners, dtype=np.float64).reshape(-1, 4), 0, 1) * (side - 1):
        draw.rectangle(corner.round().tolist(), outline=255, width=_WIDTH)
    return np.asarray(canvas) > 0
