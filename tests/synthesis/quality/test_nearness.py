"""Nearest films against loops over sorted distances; a film is not its own neighbour, a double of it is."""

import math

import numpy as np
import pytest

from pedclip.synthesis.quality.nearness import nearness, training_nearness


def nearness_by_loops(film, training, neighbours):
    apart = sorted((math.dist(film, other), number) for number, other in enumerate(training))
    following = [distance for distance, _ in apart[1 : neighbours + 1]]
    return apart[0][0], apart[0][0] / np.mean(following), apart[0][1]


@pytest.mark.parametrize(("neighbours", "count"), [(1, 12), (5, 12), (50, 12)])
def test_nearness_equals_loops(neighbours, count):
    rng = np.random.default_rng(0)
    films, training = rng.normal(size=(9, 4)), rng.normal(size=(count, 4))
    found = nearness(films, training, neighbours=neighbours)
    for row, film in enumerate(films):
        expected = nearness_by_loops(film.tolist(), training.tolist(), neighbours)
        assert (found.distance[row], found.relative[row], found.which[row]) == pytest.approx(expected)
    order = rng.permutation(count)
    again = nearness(films, training[order], neighbours=neighbours)
    assert order[again.which].tolist() == found.which.tolist()
    assert again.relative == pytest.approx(found.relative)


def test_a_training_film_is_not_its_own_neighbour_but_its_double_is():
    training = np.array([[0.0], [1], [3], [3], [7]])
    found = training_nearness(training, neighbours=1)
    assert found.distance.tolist() == [1, 1, 0, 0, 4]
    assert found.which[[0, 1, 2, 3]].tolist() == [1, 0, 3, 2]
    # Ten such films on top of each other are copies, not a division by nothing.
    assert training_nearness(np.zeros((10, 2))).relative.tolist() == [0] * 10


def test_parts_of_the_films_give_the_same_as_all_at_once(monkeypatch):
    training = np.random.default_rng(0).normal(size=(30, 3))
    whole = training_nearness(training)
    monkeypatch.setattr("pedclip.synthesis.quality.nearness._CHUNK", 7)
    parts = training_nearness(training)
    assert parts.which.tolist() == whole.which.tolist()
    assert parts.relative.tolist() == whole.relative.tolist()
