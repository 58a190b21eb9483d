from typing import Any

import numpy as np
import pytest

from pedclip.data.phantom.imaging.markers import marker_rows, sample_marker
from pedclip.data.phantom.imaging.render import attenuation
from pedclip.data.phantom.imaging.shapes import FLAT, FLAT_COLUMN


def _image(side: str, **how: Any) -> np.ndarray:
    return attenuation([marker_rows(side, 0.0, 0.0, 0.5, **how)], 64)[0].numpy() > 0.5


def test_letters_read_as_written() -> None:
    letter = _image("left")
    assert letter[16:48, 22:26].mean() > 0.8  # the stem of the L
    assert letter[45:50, 24:40].mean() > 0.6  # its foot
    assert not letter[16:40, 32:].any()
    r = _image("right")
    assert r[16:48, 22:26].mean() > 0.8
    assert r[18:30, 34:46].any()  # the bowl
    assert not r[20:28, 29:33].any()  # is open inside


def test_a_letter_turned_over_is_in_mirror_writing() -> None:
    for side in ("left", "right"):
        np.testing.assert_array_equal(_image(side, turned_over=True), _image(side)[:, ::-1])


def test_a_turn_by_half_a_circle_is_upside_down() -> None:
    assert (_image("right", angle=np.pi) == _image("right")[::-1, ::-1]).mean() > 0.99


def test_six_of_seven_films_have_a_marker_inside_the_image() -> None:
    rng = np.random.default_rng(0)
    markers = [sample_marker(side, rng) for side in ("left", "right", "") for _ in range(400)]
    assert all(rows.shape[1] == len(FLAT) for rows in markers)
    # Binomial standard error 0.010: five of them.
    assert np.mean([len(rows) > 0 for rows in markers]) == pytest.approx(0.85, abs=0.05)
    places = np.concatenate([rows[:, [FLAT_COLUMN["x"], FLAT_COLUMN["y"]]] for rows in markers])
    assert np.abs(places).max() < 1


def test_a_letter_on_the_trunk_lies_on_its_side_of_the_patient() -> None:
    rng = np.random.default_rng(0)
    letters = {"left": 2, "right": 5}  # strokes
    for _ in range(300):
        rows = sample_marker("", rng)
        if len(rows):
            assert (rows[:, FLAT_COLUMN["x"]].mean() > 0) == (len(rows) == letters["left"])
    for side, strokes in letters.items():
        assert {len(sample_marker(side, rng)) for _ in range(60)} == {0, strokes}


def test_an_unknown_side_is_refused() -> None:
    with pytest.raises(ValueError, match=r"side must be.*got 'L'"):
        sample_marker("L", np.random.default_rng(0))
