"""Distances between two clouds of film features: Fréchet (FID) and kernel (KID), and what few films do to them."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.metrics.bootstrap import Floats, Record

_NUM_SIZES: Final = 12  # of subsets that the extrapolation is fitted on
_FILMS_PER_FEATURE: Final = 2  # in the smallest of them: with fewer the bias does not fall as 1 / N yet
SUBSET_SIZE: Final = 100
NUM_SUBSETS: Final = 100


@dataclass(frozen=True)
class FrechetDistance(Record):
    """Fréchet distance between real and synthetic films.

    Args:
        value: Of all films, 0 or more. Too large by a bias that falls with the number of films: compare values of
            equally many films only.
        extrapolated: To infinitely many films; None where there are too few to see the bias fall as 1 / N. May be a
            little below 0.
        num_real: Real films.
        num_synthetic: Synthetic films.
        width: Features per film.
        note: Warning in words, "" where there is none.
    """

    value: float
    extrapolated: float | None
    num_real: int
    num_synthetic: int
    width: int
    note: str


@dataclass(frozen=True)
class KernelDistance(Record):
    """Kernel distance between real and synthetic films.

    Args:
        value: Mean over subsets; without bias, so it may be below 0.
        low: 2.5 % quantile of the subsets' values.
        high: 97.5 % quantile of the subsets' values: the spread of a distance measured with so few films, not the
            uncertainty of the mean.
        subset_size: Films of either side in a subset.
        num_subsets: Subsets.
    """

    value: float
    low: float
    high: float
    subset_size: int
    num_subsets: int


def frechet_value(real: NDArray[Any], synthetic: NDArray[Any]) -> float:
    """Squared Fréchet distance of two normal distributions with the means and covariances of two clouds.

    Args:
        real: (N, C), N at least 2.
        synthetic: (M, C), M at least 2.

    Returns:
        |μ₁ − μ₂|² + tr S₁ + tr S₂ − 2 tr (S₁^½ S₂ S₁^½)^½, 0 or more.

    Raises:
        ValueError: As `check_clouds`.

    Source: Heusel et al., NeurIPS 2017, Eq. 6; Dowson & Landau, J. Multivariate Analysis 12 (1982) 450-455. The last
        trace is the sum of the singular values of X₁ X₂ᵀ, where S = XᵀX: no matrix is squared, so that neither a ridge
        nor a complex root is needed where films are fewer than features.

    Example:
        >>> frechet_value(np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]]))
        9.0
    """
    one, other = check_clouds(real, synthetic)
    # How far apart the clouds are, then how differently they spread.
    shift = one.mean(axis=0) - other.mean(axis=0)
    roots = [_root_of_covariance(cloud) for cloud in (one, other)]  # (r, C) each
    traces = [float((root**2).sum()) for root in roots]
    shared = float(np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum())  # sum of (r₁, r₂) singular values
    # Rounding alone can take the distance of equal clouds below 0.
    return max(0.0, float(shift @ shift) + traces[0] + traces[1] - 2 * shared)


def frechet_distance(real: NDArray[Any], synthetic: NDArray[Any], *, seed: int = 0) -> FrechetDistance:
    """The Fréchet distance with its warning, and extrapolated to infinitely many films where these are enough.

    Args:
        real: (N, C), N at least 2.
        synthetic: (M, C), M at least 2.
        seed: Of the subsets.

    Raises:
        ValueError: As `check_clouds`.

    Source: Chong & Forsyth, CVPR 2020, section 3: the distance of n films is nearly a line in 1 / n, whose start is the
        distance without bias. Differs: both sides are cut to n films, as both are small here, and n starts at 2 C.
    """
    one, other = check_clouds(real, synthetic)
    # The smaller side makes most of the bias.
    fewest, width = min(len(one), len(other)), one.shape[1]
    note = ""
    if fewest <= width:
        note = (
            f"{fewest} films for {width} features: the covariance is not of full rank and the value mostly bias; "
            "read it beside that of equally many real films only"
        )
    smallest = _FILMS_PER_FEATURE * width
    # Half of the range must be left, or the line would rest on subsets that are nearly the same.
    extrapolated = _extrapolated(one, other, smallest, fewest, seed) if fewest >= 2 * smallest else None
    return FrechetDistance(frechet_value(one, other), extrapolated, len(one), len(other), width, note)


def kernel_distance(
    real: NDArray[Any],
    synthetic: NDArray[Any],
    *,
    subset_size: int = SUBSET_SIZE,
    num_subsets: int = NUM_SUBSETS,
    seed: int = 0,
) -> KernelDistance:
    """Unbiased squared maximum mean discrepancy with a cubic kernel, averaged over subsets of a fixed size.

    Args:
        real: (N, C).
        synthetic: (M, C).
        subset_size: Films of either side in a subset, at least 2. Fixed, so that the spread of two results compares.
        num_subsets: Subsets, at least 1, each drawn anew without replacement.
        seed: Of the subsets.

    Raises:
        ValueError: As `check_clouds`; more films in a subset than there are; or several subsets that would all be
            the same films.

    Source: Bińkowski et al., ICLR 2018, section 4: k(x, y) = (x·y / C + 1)³, U-statistic.
    """
    one, other = check_clouds(real, synthetic)
    fewest = min(len(one), len(other))
    if not 2 <= subset_size <= fewest or num_subsets < 1:
        raise ValueError(
            f"the kernel distance needs a subset_size from 2 to the number of films, here {fewest}, and at least one "
            f"subset; got {subset_size} and {num_subsets}"
        )
    # Their values would all be equal, and the spread would claim a certainty that nobody has measured.
    if num_subsets > 1 and subset_size == len(one) == len(other):
        raise ValueError(
            f"every one of {num_subsets} subsets would be all {subset_size} films; take a smaller subset_size"
        )
    rng = np.random.default_rng(seed)
    values = np.empty(num_subsets)  # one per subset
    for number in range(num_subsets):
        chosen = [cloud[rng.choice(len(cloud), subset_size, replace=False)] for cloud in (one, other)]
        values[number] = kernel_value(chosen[0], chosen[1])
    # Quantiles and not a standard error: subsets share films, so their mean is surer than it looks.
    low, high = np.quantile(values, (0.025, 0.975))
    return KernelDistance(float(values.mean()), float(low), float(high), subset_size, num_subsets)


def kernel_value(real: NDArray[Any], synthetic: NDArray[Any]) -> float:
    """Unbiased squared maximum mean discrepancy of two whole clouds with the cubic kernel.

    Args:
        real: (N, C), N at least 2.
        synthetic: (M, C), M at least 2.

    Raises:
        ValueError: As `check_clouds`.

    Source: as `kernel_distance`; Gretton et al., JMLR 13 (2012) 723-773, Eq. 3.
    """
    one, other = check_clouds(real, synthetic)
    # A film is not compared with itself, which is where the bias of the plain mean comes from.
    within = sum(_mean_without_diagonal(_cubic(cloud, cloud)) for cloud in (one, other))
    return float(within - 2 * _cubic(one, other).mean())


def check_clouds(real: NDArray[Any], synthetic: NDArray[Any]) -> tuple[Floats, Floats]:
    """Two clouds of features (N, C) and (M, C) in float64.

    Raises:
        ValueError: Another shape, different widths, fewer than two films, or values that are not finite.
    """
    # In float64: a distance is a small difference of large sums.
    clouds = [np.asarray(cloud, dtype=np.float64) for cloud in (real, synthetic)]
    shapes = [cloud.shape for cloud in clouds]
    if any(len(shape) != 2 or shape[0] < 2 or shape[1] < 1 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise ValueError(
            f"expected features (N, C) and (M, C) of at least 2 films each, got {shapes[0]} and {shapes[1]}"
        )
    # NaN would spread to every number and be written as "unknown".
    if not all(np.isfinite(cloud).all() for cloud in clouds):
        raise ValueError("features must be finite; look for a film on which the encoder fails")
    return clouds[0], clouds[1]


def _root_of_covariance(cloud: Floats) -> Floats:
    """R with RᵀR the covariance: (min(N, C), C)."""
    # Divided by N − 1, the unbiased covariance.
    centered = (cloud - cloud.mean(axis=0)) / np.sqrt(len(cloud) - 1)
    # Of many films only the triangle is needed.
    return np.asarray(np.linalg.qr(centered, mode="r")) if len(cloud) > cloud.shape[1] else centered


def _extrapolated(one: Floats, other: Floats, smallest: int, largest: int, seed: int) -> float:
    rng = np.random.default_rng(seed)
    # Evenly in 1 / n, which is the axis of the line.
    sizes = np.round(1 / np.linspace(1 / smallest, 1 / largest, _NUM_SIZES)).astype(int)
    values = []
    for size in sizes:
        # Every film once per size, as far as they go: with one small subset chance would outweigh the bias.
        orders = [rng.permutation(len(cloud)) for cloud in (one, other)]
        pieces = [slice(start, start + size) for start in range(0, largest - size + 1, size)]
        values.append(np.mean([frechet_value(one[orders[0][piece]], other[orders[1][piece]]) for piece in pieces]))
    _slope, start = np.polyfit(1 / sizes, values, 1)
    return float(start)


def _cubic(one: Floats, other: Floats) -> Floats:
    kernel: Floats = (one @ other.T / one.shape[1] + 1) ** 3
    return kernel


def _mean_without_diagonal(kernel: Floats) -> float:
    number = len(kernel)  # N
    return float((kernel.sum() - np.trace(kernel)) / (number * (number - 1)))
