"""Annotations of films: boxes, and the values of the label image of normal anatomy."""

from typing import Final, NamedTuple

BONE: Final = 1
LUNG: Final = 2  # with BONE where ribs cover lung


class Box(NamedTuple):
    """A rectangle on a film, in pixels.

    Args:
        x: Left edge.
        y: Top edge.
        width: Above 0 where anything is inside.
        height: Above 0 where anything is inside.
    """

    x: float
    y: float
    width: float
    height: float


def clip_box(box: Box, size: tuple[int, int]) -> Box | None:
    """The part of a box that lies on the film.

    Args:
        box: In pixels.
        size: Height and width of the film, pixels.

    Returns:
        The same box where it lies on the film, None where nothing of it does.
    """
    x, y, width, height = box
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + width, size[1]), min(y + height, size[0])
    # Written so that a NaN leaves the box out, instead of passing every comparison.
    if not (right > left and bottom > top):
        return None
    # The same numbers, not their differences: (x + width) - x need not be width in floating point.
    is_inside = (left, top) == (x, y) and right == x + width and bottom == y + height
    return box if is_inside else Box(left, top, right - left, bottom - top)
