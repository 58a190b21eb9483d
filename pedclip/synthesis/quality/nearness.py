"""Nearest training film of each film, by itself and beside the next ones."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.metrics.bootstrap import Floats
from pedclip.synthesis.quality.frechet import check_clouds

NEXT_NEIGHBOURS: Final = 50
_CHUNK: Final = 512  # films whose distances are held at once


@dataclass(frozen=True)
class Nearness:
    """Nearest training film of each of N films.

    Args:
        distance: (N,) Euclidean distance to it.
        relative: (N,) the same divided by the mean distance to the next 50 training films; near 1 where nothing is
            special about the nearest, 0 for a copy.
        which: (N,) position of that training film.
    """

    distance: Floats
    relative: Floats
    which: NDArray[np.intp]


def nearness(films: NDArray[Any], training: NDArray[Any], *, neighbours: int = NEXT_NEIGHBOURS) -> Nearness:
    """Nearest training film of films that are not among them.

    Args:
        films: (N, C) features.
        training: (T, C) features, T at least 2.
        neighbours: Next training films that a distance is related to; T − 1 where there are fewer.

    Raises:
        ValueError: As `check_clouds`.

    Source: Carlini et al., USENIX Security 2023, section 5.1, distance relative to the 50 nearest training images.
        Differs: the nearest one itself is not among these.
    """
    one, other = check_clouds(films, training)
    return _nearness(one, other, neighbours, is_same=False)


def training_nearness(training: NDArray[Any], *, neighbours: int = NEXT_NEIGHBOURS) -> Nearness:
    """Nearest other training film of each training film; a double of it counts, the film itself does not.

    Args:
        training: (T, C) features, T at least 3.
        neighbours: As for `nearness`.

    Raises:
        ValueError: As `check_clouds`, or fewer than three films.
    """
    cloud, _ = check_clouds(training, training)
    if len(cloud) < 3:
        raise ValueError(f"training films are compared with each other from 3 on, got {len(cloud)}")
    return _nearness(cloud, cloud, neighbours, is_same=True)


def _nearness(one: Floats, other: Floats, neighbours: int, *, is_same: bool) -> Nearness:
    from scipy.spatial.distance import cdist  # type: ignore[import-untyped]

    # Of few training films, as of an overfitted generator, all others are the next ones.
    number = min(neighbours, len(other) - 1 - is_same)
    distance, relative, which = np.empty(len(one)), np.empty(len(one)), np.empty(len(one), dtype=np.intp)
    for start in range(0, len(one), _CHUNK):
        rows = slice(start, start + _CHUNK)
        found = cdist(one[rows], other)  # (n, T)
        if is_same:
            # By position: a double of a film is at distance 0, too, and stays.
            place = np.arange(len(found))
            found[place, start + place] = np.inf
        near = np.partition(found, number, axis=1)[:, : number + 1]  # (n, 1 + k)
        near.sort(axis=1)
        following = near[:, 1:].mean(axis=1)
        distance[rows], which[rows] = near[:, 0], found.argmin(axis=1)
        # A film on top of all of them is a copy as well.
        relative[rows] = np.divide(near[:, 0], following, out=np.zeros(len(near)), where=following > 0)
    return Nearness(distance, relative, which)
