"""Interval of a number from its standard error, so that it holds where patients are few."""

import math
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

# A share lies in [0, 1], an error is 0 or more; a difference is of two errors, or of two shares and then in [-1, 1].
Scale = Literal["share", "error", "difference", "difference of shares"]

MIN_FREEDOM: Final = 3.0  # degrees of freedom behind an interval: four patients, or four of the smaller class

CONFIDENCE: Final = 0.95

_NONE: Final = 1e-18  # variance that is nothing but rounding


def degrees_of_freedom(index: NDArray[np.intp], classes: Sequence[NDArray[np.bool_]]) -> float:
    """Degrees of freedom behind a metric that compares classes of items.

    With 5 positive and 195 negative patients there are 4.5, not 199: the 5 make nearly all of the variance. A
    patient with many items counts, but not so much that one patient can stand for several.

    Args:
        index: (N,) group number of each item.
        classes: (N,) items of each class, at least one class.

    Returns:
        At least 0; the number of patients less one where there is one class and all have equally many items.

    Source: Satterthwaite, Biometrics Bulletin 2 (1946) 110-114, with the variance of a class taken to fall with the
        number of its patients; effective numbers as in Kish, Survey Sampling (1965), ch. 8 and 11.
    """
    numbers = []
    for is_member in classes:
        items = np.bincount(index[is_member]).astype(np.float64)
        numbers.append(float(items.sum() ** 2 / max(1.0, (items**2).sum())))
    if min(numbers) <= 1:
        return 0.0  # of one patient nobody knows how another would differ
    size = np.array(numbers)
    return float((1 / size).sum() ** 2 / ((1 / size) ** 2 / (size - 1)).sum())


def is_too_few(freedom: float) -> bool:
    """True where an interval on so many degrees of freedom would be a guess."""
    return freedom < MIN_FREEDOM


def variance_with_reserve(draws: NDArray[np.float64], influence: NDArray[np.float64], freedom: float) -> float:
    """Variance of a metric from its resamples, with a reserve for what a small sample has not shown.

    Args:
        draws: (R,) the metric on resamples.
        influence: (G,) by how much the metric moves when a group counts once more.
        freedom: Degrees of freedom.

    Returns:
        The variance of the resamples, corrected for drawing from the sample instead of the population, and the square
        of the largest influence: as if one more patient like the most influential one were missing from the sample.
        The reserve vanishes with the number of patients.

    Source: Hesterberg, The American Statistician 69 (2015) 371-386, section 3.2 (narrowness bias). Differs: the
        reserve, without which errors that are rare and large are missed (`benchmarks/coverage.py`).
    """
    spread = float(draws.var()) * (freedom + 1) / freedom
    return spread + float((influence**2).max())


def bounds(value: float, variance: float, freedom: float, scale: Scale) -> tuple[float, float]:
    """Ends of the 95 % interval.

    Args:
        value: The metric.
        variance: Of the metric, 0 or more.
        freedom: Degrees of freedom of that variance.
        scale: Range of the metric.

    Returns:
        Low and high around the value; both NaN where the degrees of freedom are too few.

    Source: Wilson, JASA 22 (1927) 209-212, for shares, with the effective sample size of Korn & Graubard, Survey
        Methodology 24 (1998) 193-201, and Student's t; t on the logarithm for errors, and t for differences.
    """
    if is_too_few(freedom):
        return math.nan, math.nan
    t = quantile(freedom)
    is_flat = variance <= _NONE
    # What never failed in n patients fails in fewer than this share (Clopper & Pearson, 1934, at zero).
    unseen = 1 - (1 - CONFIDENCE) ** (1 / (freedom + 1))
    if scale == "share":
        low, high = _wilson(value, variance, freedom, t)
    elif scale == "error":
        # On the logarithm, since errors are skewed and never below 0.
        factor = math.exp(t * math.sqrt(variance) / value) if value > 0 else 1.0
        low, high = value / factor, value * factor
    else:
        margin = unseen if scale == "difference of shares" and is_flat else t * math.sqrt(variance)
        low, high = value - margin, value + margin
        if scale == "difference of shares":
            low, high = max(-1.0, low), min(1.0, high)
    # Rounding must not leave the value outside.
    return min(low, value), max(high, value)


def _wilson(share: float, variance: float, freedom: float, t: float) -> tuple[float, float]:
    inside = max(0.0, share * (1 - share))
    # How many independent yes-or-no answers would be as uncertain; all patients where nothing varies.
    number = inside / variance if variance > _NONE and inside > 0 else freedom + 1
    center = (share + t**2 / (2 * number)) / (1 + t**2 / number)
    margin = t * math.sqrt(inside / number + (t / (2 * number)) ** 2) / (1 + t**2 / number)
    return max(0.0, center - margin), min(1.0, center + margin)


def quantile(freedom: float) -> float:
    """Student's t that 95 % of draws do not exceed either way."""
    # Here, so that the package is imported without scipy.
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def two_sided_p(difference: float, variance: float, freedom: float) -> float:
    """Chance in [0, 1] of a difference as large or larger where there is none; NaN with too few degrees of freedom."""
    from scipy.special import stdtr

    if is_too_few(freedom):
        return math.nan
    # Without any variance the two are equal or not.
    if variance <= _NONE:
        return float(abs(difference) < math.sqrt(_NONE))
    return float(2 * stdtr(freedom, -abs(difference) / math.sqrt(variance)))


def all_items(number: int) -> list[NDArray[np.bool_]]:
    """The one class (N,) of a metric that compares none: all N items."""
    return [np.ones(number, dtype=np.bool_)]
