"""Fidelity and variety of synthetic films apart: precision and recall, density and coverage."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.metrics.bootstrap import Floats, Groups, Interval, Record
from pedclip.evaluation.metrics.small_samples import Scale
from pedclip.synthesis.quality.film_means import mean_interval
from pedclip.synthesis.quality.frechet import check_clouds

NEIGHBOURS: Final = 5
_CHUNK: Final = 512  # films whose distances are held at once


@dataclass(frozen=True)
class ManifoldCoverage(Record):
    """Agreement of two clouds of films by balls around each film that reach to its k-th neighbour.

    The intervals are over the patients whose films are counted; the balls stay as they are.

    Args:
        precision: Share of synthetic films inside a ball of real films.
        recall: Share of real films inside a ball of synthetic films. Films far from each other have large balls, so
            that pure noise has a recall near 1; read it beside the coverage.
        density: Balls of real films that a synthetic film is in, divided by k; may exceed 1.
        coverage: Share of balls of real films with a synthetic film inside.
        neighbours: k.
        num_real: Real films.
        num_synthetic: Synthetic films.
    """

    precision: Interval
    recall: Interval
    density: Interval
    coverage: Interval
    neighbours: int
    num_real: int
    num_synthetic: int


def manifold_coverage(
    real: NDArray[Any],
    synthetic: NDArray[Any],
    *,
    neighbours: int = NEIGHBOURS,
    real_patients: Groups = None,
    synthetic_patients: Groups = None,
    real_radii: Floats | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
) -> ManifoldCoverage:
    """Precision, recall, density and coverage.

    A film on the edge of a ball is inside, so that a film with more than k doubles, whose ball has no extent, still
    contains them. The numbers depend on how many films there are: compare sets of equal size.

    Args:
        real: (N, C) features.
        synthetic: (M, C) features.
        neighbours: k, below N and below M; the film itself is not one of its neighbours.
        real_patients: (N,) patient of each real film; None resamples films.
        synthetic_patients: (M,) patient of the text of each synthetic film; None resamples films.
        real_radii: (N,) from `ball_radii` of the real films, where several sets are compared with them; None computes
            them.
        num_resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Raises:
        ValueError: As `check_clouds`, or too many neighbours.

    Source: Kynkäänniemi et al., NeurIPS 2019, Eq. 1 and 2; Naeem et al., ICML 2020, Eq. 3 and 4. Differs: "at most" the
        radius where the published code of the latter has "less than".
    """
    one, other = check_clouds(real, synthetic)
    if not 1 <= neighbours < min(len(one), len(other)):
        raise ValueError(
            f"neighbours must be at least 1 and fewer than the {min(len(one), len(other))} films of the smaller set, "
            f"got {neighbours}"
        )
    real_radius = ball_radii(one, neighbours) if real_radii is None else real_radii  # (N,)
    # Those of the synthetic films are new for every set.
    synthetic_radius = ball_radii(other, neighbours)
    balls = np.zeros(len(other))  # of real films, around each synthetic one
    is_covered, is_recalled = np.zeros(len(one)), np.zeros(len(one))
    for rows, distance in _distances(one, other):
        is_inside = distance <= real_radius[rows, None]  # (n, M)
        balls += is_inside.sum(axis=0)
        is_covered[rows] = is_inside.any(axis=1)
        is_recalled[rows] = (distance <= synthetic_radius).any(axis=1)

    def interval(values: Floats, groups: Groups, scale: Scale = "share") -> Interval:
        return mean_interval(values, groups, scale=scale, num_resamples=num_resamples, seed=seed)

    return ManifoldCoverage(
        precision=interval((balls > 0).astype(np.float64), synthetic_patients),
        recall=interval(is_recalled, real_patients),
        # No share: a film may be in more than k balls.
        density=interval(balls / neighbours, synthetic_patients, "error"),
        coverage=interval(is_covered, real_patients),
        neighbours=neighbours,
        num_real=len(one),
        num_synthetic=len(other),
    )


def ball_radii(features: NDArray[Any], neighbours: int = NEIGHBOURS) -> Floats:
    """Distance (N,) of each film to its k-th neighbour among the others.

    Args:
        features: (N, C), finite.
        neighbours: k, at least 1 and below N.
    """
    cloud = np.asarray(features, dtype=np.float64)
    radius = np.empty(len(cloud))  # (N,)
    for rows, distance in _distances(cloud, cloud):
        # Position 0 of the sorted distances is the film itself, or a double, which is as far away.
        radius[rows] = np.partition(distance, neighbours, axis=1)[:, neighbours]
    return radius


def _distances(one: Floats, other: Floats) -> Iterator[tuple[slice, Floats]]:
    """Rows and their Euclidean distances (n, M), a part of the first cloud at a time."""
    from scipy.spatial.distance import cdist  # type: ignore[import-untyped]

    # Differences are taken before squares: doubles are at distance 0 exactly, which a product of matrices would miss.
    for start in range(0, len(one), _CHUNK):
        rows = slice(start, start + _CHUNK)
        yield rows, cdist(one[rows], other)
