"""Bad films are bad in the one way that their name says."""

import numpy as np
import pytest

from pedclip.synthesis.quality.floors import FLOORS, floor_films
from tests.synthesis.quality.drawn_films import drawn_films

FILMS = drawn_films(40, 0)


@pytest.mark.parametrize("kind", FLOORS)
def test_rows_stay_and_films_do_not(kind):
    found = floor_films(FILMS, kind, seed=1)
    assert found.texts == FILMS.texts
    assert list(found.patients) == list(FILMS.patients)
    assert found.findings == FILMS.findings
    assert found.images.shape == FILMS.images.shape
    assert found.images.dtype == np.uint8
    assert not np.array_equal(found.images, FILMS.images)
    assert np.array_equal(floor_films(FILMS, kind, seed=1).images, found.images)
    # The films given are not changed.
    assert np.array_equal(FILMS.images, drawn_films(40, 0).images)


def test_noise_keeps_the_grey_levels():
    found = floor_films(FILMS, "noise").images
    assert np.array_equal(np.sort(found.reshape(40, -1)), np.sort(FILMS.images.reshape(40, -1)))
    neighbours = np.corrcoef(found[:, :, 1:].ravel(), found[:, :, :-1].ravel())[0, 1]
    of_films = np.corrcoef(FILMS.images[:, :, 1:].ravel(), FILMS.images[:, :, :-1].ravel())[0, 1]
    assert neighbours < 0.5 < 0.95 < of_films


def test_blurred_films_have_no_steps():
    def steps(images):
        return np.abs(np.diff(images.astype(float), n=2, axis=2)).mean()

    assert steps(floor_films(FILMS, "blurred").images) < 0.5 * steps(FILMS.images)


def test_collapsed_films_are_one_per_region_of_that_region():
    found = floor_films(FILMS, "collapsed", seed=2)
    for region in np.unique(FILMS.regions):
        films = found.images[FILMS.regions == region]
        assert (films == films[0]).all()
        assert any(np.array_equal(films[0], film) for film in FILMS.images[FILMS.regions == region])


@pytest.mark.parametrize("count", [2, 3, 40])
def test_shuffled_films_are_all_elsewhere(count):
    films = drawn_films(count, 3)
    found = floor_films(films, "shuffled", seed=4).images
    assert not any(np.array_equal(one, other) for one, other in zip(found, films.images, strict=True))
    assert sorted(film.tobytes() for film in found) == sorted(film.tobytes() for film in films.images)


def test_other_kinds_are_refused():
    with pytest.raises(ValueError, match="noise, blurred, collapsed, shuffled, got 'blured'"):
        floor_films(FILMS, "blured")
