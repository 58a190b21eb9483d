"""Boxes and masks in the formats in which data sets publish them: YOLO, Pascal VOC, corners, run lengths, shapes."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import numpy as np
from PIL import Image, ImageDraw

from pedclip.data.adapters.sample import BadAnnotation, LabeledBox, Mask, Size
from pedclip.triplets.encoding import decoded

Refuse = Callable[[int, BadAnnotation], None]  # line of an annotation that was left out, and why

_SHAPES: Final = ("rectangle", "ellipse", "polygon")  # as Object-CXR numbers them


def numbers(cells: Sequence[str]) -> list[float]:
    """Cells as finite numbers.

    Raises:
        BadAnnotation: One is not.
    """
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        raise BadAnnotation(f"box or shape with a coordinate that is no number: {' '.join(cells)[:60]!r}") from None
    # "nan" and "inf" are floats to Python.
    if not all(map(math.isfinite, values)):
        raise BadAnnotation("box or shape with a coordinate that is not finite")
    return values


def corner_box(cells: Sequence[str], label: str, row: int) -> LabeledBox:
    """A box from left, top, right, bottom in pixels.

    Raises:
        BadAnnotation: No numbers, or the corners are the wrong way round.
    """
    left, top, right, bottom = numbers(cells)
    return _with_area(LabeledBox(left, top, right - left, bottom - top, label, row))


def sized_box(cells: Sequence[str], label: str, row: int) -> LabeledBox:
    """A box from left, top, width, height.

    Raises:
        BadAnnotation: No numbers, or without area.
    """
    x, y, width, height = numbers(cells)
    return _with_area(LabeledBox(x, y, width, height, label, row))


def yolo_boxes(path: Path, names: Sequence[str], refuse: Refuse) -> tuple[LabeledBox, ...]:
    """Boxes of a YOLO label file: one line per box, "class x-center y-center width height" as fractions of the image.

    Args:
        path: The file; an empty one means that there are no boxes.
        names: Label by class number.
        refuse: Called for every line that is left out.
    """
    boxes = []
    for number, line in enumerate(_text(path, refuse).splitlines(), start=1):
        if not (cells := line.split()):
            continue
        try:
            if len(cells) != 5:
                raise BadAnnotation(f"YOLO line of {len(cells)} numbers instead of 5")
            # Some tools write the class as "3.0"; `isdecimal` also refuses "-1", which would count from the end.
            cells[0] = cells[0].removesuffix(".0")
            if not cells[0].isdecimal() or int(cells[0]) >= len(names):
                raise BadAnnotation(f"unknown label: class {cells[0][:20]!r}; expected 0 to {len(names) - 1}")
            x, y, width, height = numbers(cells[1:])
            label = names[int(cells[0])]
            # From centre to corner; the size of the image is not known yet.
            left, top = x - width / 2, y - height / 2
            boxes.append(_with_area(LabeledBox(left, top, width, height, label, number, is_relative=True)))
        except BadAnnotation as error:
            refuse(number, error)
    return tuple(boxes)


def _text(path: Path, refuse: Refuse) -> str:
    try:
        return decoded(path.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        refuse(0, BadAnnotation(f"annotation cannot be read ({type(error).__name__})"))
        return ""


def voc_boxes(path: Path, names: Sequence[str], refuse: Refuse) -> tuple[LabeledBox, ...]:
    """Boxes of a Pascal VOC file: XML with `object/name` and `object/bndbox` in pixels.

    Args:
        path: The file.
        names: Known labels.
        refuse: Called for every object that is left out, counted from 1; with 0 for a file that is no XML.
    """
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except (OSError, ValueError, LookupError, ElementTree.ParseError) as error:  # an encoding that is not known too
        refuse(0, BadAnnotation(f"annotation is not XML ({error})"))
        return ()
    boxes = []
    for number, item in enumerate(root.iter("object"), start=1):
        try:
            label = item.findtext("name", "").strip()
            if label not in names:
                raise BadAnnotation(f"unknown label {label[:40]!r}; expected one of {', '.join(names)}")
            corners = [item.findtext(f"bndbox/{name}", "") for name in ("xmin", "ymin", "xmax", "ymax")]
            boxes.append(corner_box(corners, label, number))
        except BadAnnotation as error:
            refuse(number, error)
    return tuple(boxes)


def runs_mask(texts: Sequence[str], size: Size) -> Mask:
    """Masks in relative run lengths, joined.

    Each text is "gap run gap run …": after the end of the run before, so many pixels outside, then so many inside.
    Pixels are counted down the columns, left to right.

    Args:
        texts: One per mask; "-1" is an empty mask.
        size: (height, width) of the image in pixels.

    Returns:
        (H, W) bool, True inside.

    Raises:
        BadAnnotation: An odd number of values, no numbers, a negative one, or a run past the last pixel.

    Source: format of the SIIM-ACR Pneumothorax Segmentation challenge.

    Example:
        >>> runs_mask(["1 2 1 1"], (3, 2)).astype(int).tolist()
        [[0, 0], [1, 1], [1, 0]]
    """
    inside = np.zeros(size[0] * size[1], dtype=bool)  # (H * W,)
    for text in texts:
        if text.strip() == "-1":
            continue
        try:
            values = np.array(text.split(), dtype=np.int64)
        except (ValueError, OverflowError):
            raise BadAnnotation("unreadable mask: run lengths that are no whole numbers") from None
        if len(values) == 0 or len(values) % 2:
            raise BadAnnotation(f"unreadable mask: {len(values)} run lengths; expected pairs of gap and run")
        if (values < 0).any():
            raise BadAnnotation("unreadable mask: a negative run length")
        ends = np.cumsum(values)  # ends of gap, run, gap, run …
        if ends[-1] > inside.size:
            raise BadAnnotation(f"mask of another image: its runs end at pixel {ends[-1]} of {inside.size}")
        # A gap ends where its run starts.
        for start, end in ends.reshape(-1, 2):
            inside[start:end] = True
    return inside.reshape(size[1], size[0]).T  # (W, H) to (H, W), as the pixels run down the columns


def shapes_mask(shapes: Sequence[tuple[str, Sequence[float]]], size: Size) -> Mask:
    """Rectangles, ellipses and polygons, filled and joined.

    Args:
        shapes: Kind and coordinates in pixels, as `parse_shapes` gives them.
        size: (height, width) of the image in pixels.

    Returns:
        (H, W) bool, True inside.
    """
    canvas = Image.new("1", (size[1], size[0]))  # Pillow takes (width, height)
    draw = ImageDraw.Draw(canvas)
    for kind, values in shapes:
        if kind == "polygon":
            draw.polygon([*values], fill=1)
        else:
            (draw.rectangle if kind == "rectangle" else draw.ellipse)([*values], fill=1)
    return np.asarray(canvas)  # (H, W)


def parse_shapes(cell: str, refuse: Callable[[BadAnnotation], None]) -> list[tuple[str, list[float]]]:
    """Shapes of one image: "kind x1 y1 x2 y2 …;kind …", where kind 0 is a rectangle, 1 an ellipse, 2 a polygon.

    Rectangles and ellipses have two corners, polygons at least three points, all in pixels.

    Args:
        cell: May be blank.
        refuse: Called with the error for every shape that is left out.

    Source: format of the Object-CXR challenge.
    """
    shapes = []
    for text in filter(None, (part.strip() for part in cell.split(";"))):
        # Blank parts are gone, so there is a first word.
        kind, *cells = text.split()
        try:
            if kind not in {"0", "1", "2"}:
                raise BadAnnotation(f"unknown label: shape {kind[:20]!r}; expected 0, 1 or 2")
            values = numbers(cells)
            name = _SHAPES[int(kind)]
            # An odd number of coordinates has lost one, and all behind it would be shifted.
            if name == "polygon" and (len(values) < 6 or len(values) % 2):
                raise BadAnnotation(f"polygon of {len(values)} coordinates; expected three points or more")
            if name != "polygon" and not (len(values) == 4 and values[0] < values[2] and values[1] < values[3]):
                raise BadAnnotation(f"{name} that is not given as left, top, right, bottom")
            shapes.append((name, values))
        except BadAnnotation as error:
            refuse(error)
    return shapes


def bounds(values: Sequence[float]) -> tuple[float, float, float, float]:
    """Left, top, width and height of points x1 y1 x2 y2 …, in pixels."""
    xs, ys = values[::2], values[1::2]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _with_area(box: LabeledBox) -> LabeledBox:
    if box.width <= 0 or box.height <= 0:
        raise BadAnnotation(f"box without area ({box.width:g} wide, {box.height:g} high)")
    return box
