"""Comparison of two models on the same test images: paired bootstrap over patients, and DeLong's test for AUC."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pedclip.evaluation.metrics.bootstrap import (
    Floats,
    Interval,
    Metric,
    Record,
    resample,
    value_of_all,
)
from pedclip.evaluation.metrics.detection import Boxes
from pedclip.evaluation.metrics.small_samples import Scale, bounds, degrees_of_freedom, two_sided_p


@dataclass(frozen=True)
class Comparison(Record):
    """A difference between two models on the same images.

    Args:
        first: Metric of the first model.
        second: Metric of the second model.
        difference: First minus second, with its 95 % interval.
        p_value: Two-sided, in (0, 1]; NaN where patients are too few (None in files).
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
        num_resamples: At least 1; the p-value is given as at least 2 / (resamples + 1).
        seed: Of the resampling.

    Returns:
        The comparison.

    Raises:
        ValueError: As the metric, or fewer than two patients.
    """
    of_first, of_second = metric.resampler(truth, first), metric.resampler(truth, second)
    # One resampler for the difference: both models are scored on the same patients in every resample.
    found = resample(
        lambda counts: of_first(counts) - of_second(counts),
        num_items=len(truth),
        groups=groups,
        num_resamples=num_resamples,
        seed=seed,
        classes=metric.classes(truth),
    )
    # On the images as they are; the resamples only say how far the difference might move.
    values = value_of_all(of_first, len(truth)), value_of_all(of_second, len(truth))
    difference = values[0] - values[1]
    low, high = bounds(difference, found.variance, found.freedom, difference_scale(metric, [first], [second]))
    # A normal tail far out is no evidence that so few resamples could give (Davison & Hinkley, 1997, ch. 4).
    p_value = np.clip(two_sided_p(difference, found.variance, found.freedom), 2 / (num_resamples + 1), 1.0)
    interval = Interval(difference, low, high, len(truth), found.num_groups, found.num_redrawn)
    return Comparison(*values, interval, float(p_value), "paired bootstrap over patients")


def difference_scale(metric: Metric, first: Sequence[Any], second: Sequence[Any]) -> Scale:
    """Range of the difference of a metric between two models.

    Args:
        metric: Of both.
        first: Predictions of the first model, one or several.
        second: Predictions of the second.

    Returns:
        "difference of shares" where models that agree on these patients may still differ on others: not for errors,
        and not where the predictions are the same.
    """
    is_same = len(first) == len(second) and all(map(same_predictions, first, second))
    return "difference of shares" if metric.scale == "share" and not is_same else "difference"


def same_predictions(one: Any, other: Any) -> bool:
    """True where two lists hold the same: labels, numbers, masks, or boxes with their scores."""
    # Boxes hold arrays, which have no plain equality.
    if isinstance(one, Boxes) and isinstance(other, Boxes):
        parts = ((one.corners, other.corners), (one.labels, other.labels), (one.scores, other.scores))
        return all(np.array_equal(a, b) if a is not None and b is not None else a is b for a, b in parts)
    if isinstance(one, Boxes) or isinstance(other, Boxes) or len(one) != len(other):
        return False
    if isinstance(one, np.ndarray) and one.dtype != object:
        # NaN, a label that nobody gave, equals NaN here.
        return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
    pairs = zip(one, other, strict=True)
    return all(same_predictions(a, b) if isinstance(a, np.ndarray | Boxes) else a == b for a, b in pairs)


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
        Process. Lett. 21 (2014) 1389-1393. Differs: Student's t for the normal distribution, since positives are few.
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
    variance = max(variance, 0.0)  # rounding may make that of two equal models a little negative
    freedom = degrees_of_freedom(np.arange(len(truth)), [is_positive, ~is_positive])
    # Models that rank alike are one; two that are both perfect here may still differ on other images.
    order = [np.unique(one, return_inverse=True)[1] for one in scores]
    scale: Scale = "difference" if np.array_equal(order[0], order[1]) else "difference of shares"
    interval = Interval(difference, *bounds(difference, variance, freedom, scale), len(truth), len(truth))
    # Images are its units, so the number of groups is that of images.
    p_value = two_sided_p(difference, variance, freedom)
    return Comparison(float(areas[0]), float(areas[1]), interval, p_value, "DeLong")


def _components(positive: Floats, negative: Floats) -> tuple[Floats, Floats]:
    """Share of negatives below each positive (2, P), and of positives above each negative (2, M); ties are half."""
    # Mid-ranks by sorting: all pairs of positives and negatives may not fit into memory.
    wins = np.stack([_share_below(one, other) for one, other in zip(positive, negative, strict=True)])
    losses = np.stack([1 - _share_below(other, one) for one, other in zip(positive, negative, strict=True)])
    return wins, losses


def _share_below(values: Floats, others: Floats) -> Floats:
    ranked = np.sort(others)
    # Strictly below plus not above: ties count one half after the division by two.
    below = np.searchsorted(ranked, values, side="left") + np.searchsorted(ranked, values, side="right")
    share: Floats = below / (2 * len(others))
    return share
