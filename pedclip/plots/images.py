"""Pictures of radiographs: thumbnails, overlays and contact sheets."""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from pedclip.plots.theme import COLORS

# Cividis: Nuñez, Anderton and Renslow, PLOS ONE 13(7), 2018; these anchors are the ones that Vega interpolates.
_CIVIDIS: Final = "002051 0a326a 2b446e 4d566d 696970 7f7c75 948f78 ada476 caba6a ead156 fdea45".split()
_OPACITY: Final = 0.4
_FONT_SIZE: Final = 13
_MARGIN: Final = 6  # pixels
TRUTH: Final = COLORS[5]  # light blue and orange: apart for every kind of colour vision, and seen on black
FOUND: Final = COLORS[4]
_EDGE: Final = "#000000"  # around the dashes, which bone would swallow
_DASH: Final = 8  # pixels drawn and left out in turn; the second cue beside the colour
_WIDTH: Final = 3  # pixels of 224, about 2 where a notebook shows 160
Drawn = NDArray[Any]  # (H, W) mask of any size, or (K, 4) corners as fractions of the image


def thumbnail_url(image: NDArray[np.uint8], *, size: int = 48) -> str:
    """A radiograph as a `data:` URL of less than 1 kB, for tooltips.

    WebP, because the tables of a JPEG are as large as so small a picture.

    Args:
        image: (H, W) uint8 gray values, 0 is black.
        size: Pixels of the longer edge, at least 8; the aspect ratio is kept.

    Returns:
        "data:image/webp;base64,…".

    Raises:
        ValueError: The array is not a gray 8-bit picture.
    """
    picture = Image.fromarray(_gray(image))
    picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    # The slowest of seven efforts: each picture is stored once and read often.
    picture.save(buffer, "WEBP", quality=45, method=6)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def with_thumbnails(points: pd.DataFrame, images: NDArray[np.uint8]) -> pd.DataFrame:
    """The points of a map with a small picture of the film behind each image, for `embedding_map`.

    Args:
        points: Columns `film` (position in `images`) and `modality` ("image" or "text").
        images: (N, S, S) uint8 films, 0 is black.

    Returns:
        The table with the column `image`: a `data:` URL, "" for texts.
    """
    pictures = [
        thumbnail_url(np.array(images[film])) if modality == "image" else ""
        for film, modality in zip(points["film"], points["modality"], strict=True)
    ]
    return points.assign(image=pictures)


def overlay(image: NDArray[np.uint8], heat: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """The untouched radiograph, and beside it the same under a heat map in cividis at 40 %.

    Args:
        image: (H, W) uint8 gray values, 0 is black.
        heat: (h, w) in [0, 1], of any size; enlarged to the image without smoothing, so that patches stay visible.

    Returns:
        (H, 2 W, 3) uint8 red, green and blue.

    Raises:
        ValueError: The image is not a gray 8-bit picture, or the heat leaves [0, 1].
    """
    gray = _gray(image)
    if heat.ndim != 2 or not np.isfinite(heat).all() or heat.min() < 0 or heat.max() > 1:
        raise ValueError(f"heat is (h, w) in [0, 1], not {heat.shape} in [{heat.min():.3g}, {heat.max():.3g}]")
    height, width = gray.shape
    large = Image.fromarray(heat.astype(np.float32)).resize((width, height), Image.Resampling.NEAREST)  # (H, W)
    untouched = np.repeat(gray[:, :, None], 3, axis=2)  # (H, W, 3)
    mixed = (1 - _OPACITY) * untouched + _OPACITY * cividis(np.asarray(large))
    return np.concatenate([untouched, np.rint(mixed).astype(np.uint8)], axis=1)


def cividis(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Colours of a scale that rises evenly in lightness for every kind of colour vision.

    Args:
        values: (…) of any shape, in [0, 1].

    Returns:
        (…, 3) red, green and blue, in [0, 255].

    Example:
        >>> cividis(np.array([0.0, 1.0])).tolist()
        [[0.0, 32.0, 81.0], [253.0, 234.0, 69.0]]
    """
    anchors = np.array([list(bytes.fromhex(code)) for code in _CIVIDIS])
    # Straight lines between anchors, channel by channel, as Vega interpolates.
    places = np.linspace(0, 1, len(anchors))
    return np.stack([np.interp(values, places, anchors[:, channel]) for channel in range(3)], axis=-1)


def contact_sheet(
    images: Sequence[NDArray[np.uint8]], titles: Sequence[str], *, columns: int = 4, size: int = 150
) -> Image.Image:
    """Radiographs in a grid, each under its title.

    Args:
        images: Each (H, W) gray or (H, W, 3) coloured, 8 bits; an (N, H, W) array is a sequence of N.
        titles: One for each; broken into at most three lines of 13 px.
        columns: Pictures in a row, at least 1.
        size: Height of each picture in pixels; the aspect ratio is kept.

    Returns:
        The sheet: gray ("L") where every image is gray, coloured ("RGB") otherwise.

    Raises:
        ValueError: No image, another number of titles, or an image that is not an 8-bit picture.
    """
    if len(images) == 0 or len(images) != len(titles) or columns < 1:
        raise ValueError(
            f"a sheet takes at least one image, a title for each and a column; got {len(images)} images, "
            f"{len(titles)} titles, {columns} columns"
        )
    pictures = [_enlarge(image, size) for image in images]
    columns = min(columns, len(pictures))  # no empty column beside a few pictures
    cell = max(picture.width for picture in pictures)
    font = ImageFont.load_default(_FONT_SIZE)
    lines = [_wrap(title, cell, font) for title in titles]
    line_height = _FONT_SIZE + 4
    # All rows have room for the longest title, so that pictures stand in lines.
    caption = line_height * max(map(len, lines))
    across, down = cell + _MARGIN, caption + size + _MARGIN
    # One channel where it is enough: a third of the bytes.
    mode = "L" if all(picture.mode == "L" for picture in pictures) else "RGB"
    extent = (across * columns + _MARGIN, down * math.ceil(len(pictures) / columns) + _MARGIN)
    sheet = Image.new(mode, extent, "white")
    draw = ImageDraw.Draw(sheet)
    for index, (picture, words) in enumerate(zip(pictures, lines, strict=True)):
        left, top = _MARGIN + index % columns * across, _MARGIN + index // columns * down
        for row, line in enumerate(words):
            draw.text((left, top + row * line_height), line, fill="black", font=font)
        sheet.paste(picture, (left, top + caption))
    return sheet


def _gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if image.dtype != np.uint8 or image.ndim != 2:
        raise ValueError(f"a gray picture is (H, W) of uint8, not {image.shape} of {image.dtype}")
    return np.ascontiguousarray(image)


def _enlarge(image: NDArray[np.uint8], size: int) -> Image.Image:
    if image.dtype != np.uint8 or (image.ndim != 2 and image.shape[2:] != (3,)):
        raise ValueError(f"a picture is (H, W) or (H, W, 3) of uint8, not {image.shape} of {image.dtype}")
    height, width = image.shape[:2]
    enlarged = (max(1, round(width * size / height)), size)
    return Image.fromarray(np.ascontiguousarray(image)).resize(enlarged, Image.Resampling.LANCZOS)


def _wrap(title: str, width: int, font: Any) -> list[str]:
    """Break a title into at most three lines that fit; what is left over ends in an ellipsis."""
    lines = [""]
    for word in title.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    if len(lines) > 3:
        lines = [*lines[:2], lines[2] + " …"]  # `_cut` makes room for the ellipsis
    return [_cut(line, width, font) for line in lines]


def _cut(line: str, width: int, font: Any) -> str:
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line.rstrip(" …") + "…"


def marked(image: NDArray[np.uint8], truth: Drawn, found: Drawn, *, size: int = 224) -> NDArray[np.uint8]:
    """A radiograph under two outlines: the truth solid in light blue, what was found in dark-edged dashes of orange.

    Args:
        image: (H, W) uint8 gray values, 0 is black.
        truth: (h, w) mask that lies on the whole image, or (K, 4) left, top, right, bottom in [0, 1].
        found: The same, of a model.
        size: Height and width of the result, pixels.

    Returns:
        (size, size, 3) uint8 red, green and blue.

    Raises:
        ValueError: The image is not a gray 8-bit picture.
    """
    picture = Image.fromarray(_gray(image)).resize((size, size), Image.Resampling.LANCZOS).convert("RGB")
    for drawn, color, is_dashed in ((truth, TRUTH, False), (found, FOUND, True)):
        edge = _box_edges(drawn, size) if drawn.dtype != np.bool_ else _mask_edge(drawn, size)
        if is_dashed:
            rows, columns = np.indices(edge.shape)
            # Dashes by the diagonal, so that they run along horizontal and vertical edges alike.
            edge &= (rows + columns) // _DASH % 2 == 0
            # One pixel wider in black, below the colour.
            _paint(picture, np.asarray(Image.fromarray(edge).convert("L").filter(ImageFilter.MaxFilter(3))) > 0, _EDGE)
        _paint(picture, edge, color)
    return np.asarray(picture)


def _paint(picture: Image.Image, where: NDArray[np.bool_], color: str) -> None:
    picture.paste(Image.new("RGB", picture.size, color), mask=Image.fromarray(where.astype(np.uint8) * 255))


def _mask_edge(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Pixels of the mask within `_WIDTH` of its border."""
    large = Image.fromarray(mask.astype(np.uint8) * 255).resize((size, size), Image.Resampling.BILINEAR)
    inside = np.asarray(large) >= 128
    # A mask that touches the border of the image has an edge there too.
    padded = np.pad(inside, _WIDTH)
    shifts: Sequence[tuple[int, int]] = ((-_WIDTH, 0), (_WIDTH, 0), (0, -_WIDTH), (0, _WIDTH))
    kept = np.logical_and.reduce([np.roll(padded, shift, axis=(0, 1)) for shift in shifts])
    # Inside the mask and not inside all four shifted ones.
    return np.asarray(inside & ~kept[_WIDTH:-_WIDTH, _WIDTH:-_WIDTH])


def _box_edges(corners: NDArray[Any], size: int) -> NDArray[np.bool_]:
    canvas = Image.new("L", (size, size))
    draw = ImageDraw.Draw(canvas)
    for corner in np.clip(np.asarray(corners, dtype=np.float64).reshape(-1, 4), 0, 1) * (size - 1):
        draw.rectangle(corner.round().tolist(), outline=255, width=_WIDTH)
    return np.asarray(canvas) > 0
