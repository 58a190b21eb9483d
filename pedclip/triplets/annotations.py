"""Boxes on films."""

from typing import Final

Sides = tuple[float, float, float, float]


def clip_box(box: Sides, size: tuple[int, int]) -> Sides | None:
    """The part of a box that lies on the film.

    Args:
        box: x, y, width and height, pixels.
        size: Height and width of the film, pixels.

    Returns:
        The same box where it lies on the film, None where nothing of it does.
    """
    x, y, width, height = box
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + width, size[1]), min(y + height, size[0])
    if not (right > left and bottom > top):  # also where a number is NaN
        return None
    is_inside = (left, top) == (x, y) and right == x + width and bottom == y + height
    return box if is_inside else (left, top, right - left, bottom - top)


BONE: Final = 1


LUNG: Final = 2  # with BONE where ribs cover lung
