"""Outlines on radiographs."""

import numpy as np
import pytest

from pedclip.plots.images import FOUND, TRUTH, marked

FILM = np.full((40, 40), 90, dtype=np.uint8)
NONE = np.zeros((0, 4))


def is_color(picture: np.ndarray, name: str) -> np.ndarray:
    return (picture == list(bytes.fromhex(name[1:]))).all(axis=2)


def test_a_mask_is_outlined_and_its_middle_stays_a_film() -> None:
    mask = np.zeros((20, 20), dtype=bool)
    mask[5:15, 5:15] = True
    drawn = is_color(marked(FILM, mask, np.zeros_like(mask), size=80), TRUTH)
    assert drawn[20, 40]  # the upper edge
    assert drawn[40, 59]  # the right edge
    assert not drawn[40, 40]
    assert not drawn[:18].any()


def test_a_mask_at_the_border_of_the_film_has_an_edge_there() -> None:
    mask = np.ones((20, 20), dtype=bool)
    assert is_color(marked(FILM, mask, np.zeros_like(mask), size=80), TRUTH)[0].all()


def test_boxes_lie_where_their_shares_say_and_those_found_are_dashed() -> None:
    truth, found = np.array([[0.25, 0.25, 0.5, 0.5]]), np.array([[0.5, 0.5, 1.0, 1.0]])
    picture = marked(FILM, truth, found, size=101)
    assert is_color(picture, TRUTH)[25, 25:50].all()
    row = is_color(picture, FOUND)[50, 51:100]
    assert 0.3 < row.mean() < 0.7


def test_without_marks_the_film_is_gray() -> None:
    assert (marked(FILM, NONE, NONE, size=40) == 90).all()


def test_a_coloured_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="a gray picture"):
        marked(np.zeros((4, 4, 3), dtype=np.uint8), NONE, NONE)


def test_dashes_are_three_pixels_wide_with_a_dark_edge_so_that_bone_does_not_swallow_them() -> None:
    bone = np.full((40, 40), 255, dtype=np.uint8)
    picture = marked(bone, NONE, np.array([[0.25, 0.25, 0.75, 0.75]]), size=224)
    column = is_color(picture, FOUND)[:112].sum(axis=0)
    assert column[80:140].max() == 3
    above = picture[55, 80:140]  # the row over the upper edge
    assert (above == 0).all(axis=1).any()
    assert (above == 255).all(axis=1).any()  # between the dashes the film is untouched
