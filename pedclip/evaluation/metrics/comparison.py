"""Comparison of two models on the same test images: paired bootstrap over patients, and DeLong's test for AUC."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pedclip.evaluation.metrics.bootstrap import (
    PERCENTILES,
    Floats,
    Interval,
    Metric,
    Record,
    bootstrap_values,
    value_of_all,
)


@dataclass(frozen=True)
class Comparison(Record):
    """A difference between two models on the same images.

    Args:
        first: Metric of the first model.
        second: Metric of the second model.
        difference: First minus second, with its 95 % interval.
        p_value: Two-sided, in (0, 1].
        test: "paired bootstrap over patients" or "DeLong".
    """

    first: float
    second: float
    difference: Interval
    p_value: float
    test: str


def compare(
    metric: Metric,
    truth: Any,
    first: Any,
    second: Any,
    groups: NDArray[Any] | None = None,
    *,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Difference of a metric between two predictions of the same items.

    Both are scored on the same resamples, so that what makes a patient hard for both cancels.

    Args:
        metric: Of `pedclip.evaluation.metrics`, as `(truth, prediction)`.
        truth: N items, as the metric takes it.
        first: Predictions.
        second: Predictions.
        groups: (N,) patient of each item; None resamples items.
        num_resamples: At least 1; the p-value is at least 2 / (resamples + 1).
        seed: Of the resampling.

    Returns:
        The comparison.

    Raises:
        ValueError: As the metric, or fewer than two patients.
    """
    of_first, of_second = metric.resampler(truth, first), metric.resampler(truth, second)
    # One resampler for the difference: both models are scored on the same patients in every resample.
    draws, num_groups, num_redrawn = bootstrap_values(
        lambda counts: of_first(counts) - of_second(counts),
        num_items=len(truth),
        groups=groups,
        num_resamples=num_resamples,
        seed=seed,
    )
    # On the images as they are; the resamples only say how far the difference might move.
    values = value_of_all(of_first, len(truth)), value_of_all(of_second, len(truth))
    low, high = np.percentile(draws, PERCENTILES)
    # Share of resamples beyond 0, doubled for two sides; the 1 keeps it above 0 (Davison & Hinkley, 1997, ch. 4).
    tail = min(int((draws <= 0).sum()), int((draws >= 0).sum())) + 1
    return Comparison(
        *values,
        Interval(values[0] - values[1], float(low), float(high), len(truth), num_groups, num_redrawn),
        min(1.0, 2 * tail / (len(draws) + 1)),
        "paired bootstrap over patients",
    )


def delong(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> Comparison:
    """DeLong's test for the difference of two AUCs on the same images.

    It takes images as independent; with several images per patient use `compare`.

    Args:
        labels: (N,) 0 or 1, at least 2 of each.
        first: (N,) finite scores.
        second: (N,) finite scores.

    Returns:
        The comparison; the p-value is 1 where the scores rank alike.

    Raises:
        ValueError: Fewer than two images of a class, or lengths that differ.

    Source: DeLong, DeLong & Clarke-Pearson, Biometrics 44 (1988) 837-845, by mid-ranks as in Sun & Xu, IEEE Signal
        Process. Lett. 21 (2014) 1389-1393.
    """
    truth = np.asarray(labels)
    is_positive = truth == 1
    scores = np.stack([np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)])
    counts = int(is_positive.sum()), int((truth == 0).sum())
    if truth.ndim != 1 or scores.shape != (2, len(truth)) or sum(counts) != len(truth) or min(counts) < 2:
        raise ValueError(f"DeLong needs labels 0 and 1, two of each, and as many scores; got {counts} of {truth.shape}")
    if not np.isfinite(scores).all():
        raise ValueError("DeLong needs finite scores")
    # Structural components: V10 of each positive and V01 of each negative, for both models.
    wins, losses = _components(scores[:, is_positive], scores[:, ~is_positive])
    areas = wins.mean(axis=1)  # (2,)
    covariance = np.cov(wins) / counts[0] + np.cov(losses) / counts[1]  # (2, 2)
    difference = float(areas[0] - areas[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    # Rounding may make the variance of two equal models a little negative.
    error = math.sqrt(max(variance, 0.0))
    # erfc(|z| / √2) is the two-sided tail of the normal distribution; without any variance the two are equal or not.
    p_value = math.erfc(abs(difference) / error / math.sqrt(2)) if error > 1e-12 else float(abs(difference) < 1e-12)
    # 97.5th percentile of the normal distribution.
    margin = 1.959963984540054 * error
    interval = Interval(difference, difference - margin, difference + margin, len(truth), len(truth))
    # Images are its units, so the number of groups is that of images.
    return Comparison(float(areas[0]), float(areas[1]), interval, p_value, "DeLong")


def _components(positive: Floats, negative: Floats) -> tuple[Floats, Floats]:
    """Share of negatives below each positive (2, P), and of positives above each negative (2, M); ties are half."""
    wins = np.stack([_share_below(one, other) for one, other in zip(positive, negative, strict=True)])
    losses = np.stack([1 - _share_below(other, one) for one, other in zip(positive, negative, strict=True)])
    return wins, losses


def _share_below(values: Floats, others: Floats) -> Floats:
    ranked = np.sort(others)
    # Strictly below plus not above: ties count one half after the division by two.
    below = np.searchsorted(ranked, values, side="left") + np.searchsorted(ranked, values, side="right")
    share: Floats = below / (2 * len(others))
    return share
