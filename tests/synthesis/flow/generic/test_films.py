"""Generic pictures: they show what their captions say, and say nothing medical."""

import json
import re
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import label

from pedclip.synthesis.flow.generic.films import generic_films, words
from pedclip.synthesis.flow.generic.shapes import FIELDS, coverage, texture

TONES = words()["tones"]


@pytest.fixture(scope="module")
def pictures() -> list[tuple[np.ndarray, str]]:
    films, captions = generic_films(2000, seed=0, size=48)
    return list(zip(films.astype(float) / 255, captions, strict=True))


def found(pictures: list[tuple[np.ndarray, str]], pattern: str, least: int = 10) -> list[tuple[np.ndarray, Any]]:
    matches = [(film, match) for film, caption in pictures if (match := re.search(pattern, caption))]
    assert len(matches) >= least, pattern
    return matches


def test_pictures_are_a_function_of_seed_and_number() -> None:
    films, captions = generic_films(40, seed=3, size=16)
    more, more_captions = generic_films(60, seed=3, size=16)
    assert films.dtype == np.uint8
    assert np.array_equal(more[:40], films)
    assert more_captions[:40] == captions
    assert generic_films(40, seed=4, size=16)[1] != captions
    # The same scenes in more pixels.
    assert generic_films(40, seed=3, size=32)[1] == captions


def test_places_are_where_they_are_said(pictures: list[tuple[np.ndarray, str]]) -> None:
    tones = "|".join(TONES)
    pattern = rf"(?:small|medium) ({tones}) (?:disc|circle|ball|box|tile|square) "
    pattern += rf"(on the left|on the right|at the top|at the bottom) on an? ({tones}) background"
    for film, match in found(pictures, pattern):
        tone, place, behind = match.groups()
        weight = np.abs(film - TONES[behind])
        weight[weight < 0.1] = 0  # the grain
        rows, columns = np.indices(film.shape)
        across, down = (float((weight * axis).sum() / weight.sum()) / 47 for axis in (columns, rows))
        expected = {"on the left": across < 0.4, "on the right": across > 0.6, "at the top": down < 0.4}
        assert expected.get(place, down > 0.6), match.group()
        # And in the tone that is said.
        inside = film[weight > 0.8 * weight.max()]
        assert np.median(inside) == pytest.approx(TONES[tone], abs=0.06)


def test_things_can_be_counted(pictures: list[tuple[np.ndarray, str]]) -> None:
    tones, numbers = "|".join(TONES), words()["numbers"]
    pattern = rf"(?i:\b({'|'.join(numbers)})) ({tones}) (?:discs|squares|diamonds|rings) on an? ({tones}) background"
    for film, match in found(pictures, pattern):
        number, tone, behind = match.groups()
        middle = (TONES[tone] + TONES[behind]) / 2
        is_thing = film > middle if TONES[tone] > TONES[behind] else film < middle
        assert label(is_thing, np.ones((3, 3)))[1] == numbers.index(number.lower()) + 2, match.group()


def test_gradients_go_the_way_they_are_said(pictures: list[tuple[np.ndarray, str]]) -> None:
    for film, match in found(pictures, r"tiny .* on a background brighter to the (left|right|top|bottom)"):
        half = film.shape[0] // 2
        halves = {"left": film[:, :half], "right": film[:, half:], "top": film[:half], "bottom": film[half:]}
        opposite = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}[match.group(1)]
        assert halves[match.group(1)].mean() > halves[opposite].mean() + 0.1


def test_relations_hold(pictures: list[tuple[np.ndarray, str]]) -> None:
    # Black before a pale background, and nothing else black.
    pattern = (
        r"black (?:disc|circle|ball|square|box|tile|oval|egg|diamond|kite) (above|below|to the left of|to the right"
    )
    pattern += r" of) an? (?:dim|grey|dark) (?:\w+) on an? (?:bright|white|pale) background"
    for film, match in found(pictures, pattern, least=3):
        rows, columns = (axis / 47 for axis in np.indices(film.shape))
        is_first, is_second = film < 0.1, (film > 0.16) & (film < 0.56)
        down = rows[is_first].mean() - rows[is_second].mean()
        across = columns[is_first].mean() - columns[is_second].mean()
        holds = {"above": down < -0.1, "below": down > 0.1, "to the left of": across < -0.1}
        assert holds.get(match.group(1), across > 0.1), match.group()


def test_no_word_is_medical() -> None:
    _, captions = generic_films(2000, seed=1, size=8)
    said = {word for caption in captions for word in re.findall(r"[a-z]+", caption.lower())}
    anatomy = json.loads(files("pedclip").joinpath("anatomy.json").read_text())
    findings = json.loads(files("pedclip").joinpath("findings.json").read_text())["findings"]
    terms = [
        term
        for region in anatomy["regions"].values()
        for kind in ("names", "structures", "labels")
        for term in region.get(kind, ())
    ]
    terms += [term for name, finding in findings.items() for term in (name, *finding["synonyms"])]
    # Words that stand alone as a term, and every long word of a longer one.
    medical = {term.lower() for term in terms} | {
        word for term in terms for word in re.findall(r"[a-z]+", term.lower()) if len(word) > 4
    }
    # Directions and sizes belong to every picture.
    assert said & medical <= {"lower", "upper", "right", "below", "large", "small", "whole"}, said & medical
    assert {"temple", "disc", "chessboard"} <= said


def test_every_shape_is_drawn_with_soft_edges() -> None:
    assert FIELDS.keys() == words()["shapes"].keys() == words()["plurals"].keys()
    for shape in FIELDS:
        covered = coverage(shape, 64, centre=(0.5, 0.5), radius=0.3)
        assert covered.min() == 0
        assert covered.max() == 1
        assert ((covered > 0) & (covered < 1)).any(), shape
        # Nothing reaches far beyond its radius.
        assert not covered[:8].any()
    assert coverage("disc", 256, centre=(0.5, 0.5), radius=0.25).mean() == pytest.approx(np.pi / 16, rel=0.01)
    left, right = coverage("bar", 64, centre=(0.3, 0.4), radius=0.2), coverage("bar", 64, centre=(0.7, 0.4), radius=0.2)
    np.testing.assert_allclose(left, right[:, ::-1], atol=1e-6)


@pytest.mark.parametrize("kind", words()["textures"].values())
def test_textures_vary_and_stay_in_range(kind: str) -> None:
    pattern = texture(kind, 64, periods=6.0, rng=np.random.default_rng(0))
    assert pattern.shape == (64, 64)
    assert 0 <= pattern.min() < 0.2
    assert 0.8 < pattern.max() <= 1
    if kind == "columns":
        assert not np.ptp(pattern, axis=0).any()
    if kind == "rows":
        assert not np.ptp(pattern, axis=1).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 0, 16), "n=0 is not allowed"), ((1, -1, 16), "seed=-1"), ((1, 0, 4), "size=4 is not allowed: at least 8")],
)
def test_arguments_out_of_range(arguments: tuple[int, int, int], message: str) -> None:
    n, seed, size = arguments
    with pytest.raises(ValueError, match=message):
        generic_films(n, seed=seed, size=size)
