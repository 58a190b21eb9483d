"""Text burned into the pixels of a film: a cheap score that asks a person to look."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.triplets.decoding import Pixels

_WHITE: Final = 235  # letters are drawn with the largest value that the film can hold
_HEIGHTS: Final = (5, 80)  # pixels of a letter
_MOST: Final = 1000  # marks that are looked at
_LINE: Final = 8  # letters in one line that are certainly a text; a marker has one to three


def burned_in_text(film: Pixels) -> float:
    """Score of a film for a line of text drawn on it, in [0, 1]; a lone side marker gives less than 0.4.

    Letters are bright marks of equal height on one line, close to each other. 0.5 (four in a row) is worth a look. Not
    found: dark or grey letters, and letters on bone that is as bright.

    Args:
        film: (H, W) uint8, as from `pedclip.triplets.decoding.decode`.

    Example:
        >>> burned_in_text(np.tile(np.arange(200, dtype=np.uint8), (200, 1)))
        0.0
    """
    return min(1.0, _longest_line(_letters(film)) / _LINE)


def _letters(film: Pixels) -> NDArray[np.int64]:
    """(N, 4) top, bottom, left, right of bright marks that have the form of a letter."""
    from scipy import ndimage  # type: ignore[import-untyped]

    bright = film >= _WHITE
    if not bright.any() or bright.mean() > 0.5:
        return np.zeros((0, 4), dtype=np.int64)
    # Marks that touch at a corner are one: (H, W) labels from 1.
    labels, _ = ndimage.label(bright, structure=np.ones((3, 3)))
    boxes: list[Any] = ndimage.find_objects(labels)
    sides = np.array([(y.start, y.stop, x.start, x.stop) for y, x in boxes], dtype=np.int64)  # (N, 4)
    height, width = sides[:, 1] - sides[:, 0], sides[:, 3] - sides[:, 2]
    is_letter = (height >= _HEIGHTS[0]) & (height <= _HEIGHTS[1]) & (width <= 10 * height) & (width >= 0.08 * height)
    found = [number for number in np.flatnonzero(is_letter)[:_MOST] if _is_sharp(film, boxes[number])]
    return sides[found]


def _is_sharp(film: Pixels, box: tuple[slice, slice]) -> bool:
    """True where a mark is drawn: half of what surrounds its bright pixels is much darker, unlike in bone or metal."""
    part = film[box]
    bright = part >= _WHITE
    return bool(0.1 < bright.mean() < 0.95 and (part < 180).mean() > 0.6 * (~bright).mean()) or bool(bright.all())


def _longest_line(letters: NDArray[np.int64]) -> float:
    """Letters in the longest run of similar height on one baseline with gaps below two letters."""
    letters = letters[np.argsort(letters[:, 2], kind="stable")]  # by left edge, so that a run grows to the right
    runs = np.zeros(len(letters))
    for number, (top, bottom, left, right) in enumerate(letters):
        height = bottom - top
        earlier = letters[:number]
        gap, heights = left - earlier[:, 3], earlier[:, 1] - earlier[:, 0]
        is_level = (abs(earlier[:, 1] - bottom) <= 0.3 * height) & (abs(heights - height) <= 0.4 * height)
        follows = is_level & (gap >= -0.3 * height) & (gap <= 2 * height)
        # Letters that touch are one wide mark; a letter is about 0.7 of its height wide.
        runs[number] = max(1.0, (right - left) / (0.9 * height)) + runs[:number][follows].max(initial=0)
    return float(runs.max(initial=0))
