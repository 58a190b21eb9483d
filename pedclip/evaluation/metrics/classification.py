"""Area under the ROC curve of one label, and its mean over several, with intervals over patients."""

from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pedclip.evaluation.metrics.bootstrap import (
    Floats,
    Metric,
    Resampled,
    _check_vectors,
    mean_of_known,
)


class Auc(Metric):
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting one half.

    Called with labels (N,) of 0 and 1, or booleans, and finite scores (N,), higher means positive. In [0, 1]; chance is
    0.5. A resample without both classes is drawn again.

    Raises:
        ValueError: A class is missing, a score is not finite, or the lengths differ.

    Source: Hanley & McNeil, Radiology 143 (1982) 29-36 (equals the Mann-Whitney statistic on mid-ranks).

    Example:
        >>> auc([0, 1, 1, 0], [0.1, 0.9, 0.4, 0.4])
        0.875
    """

    def resampler(self, labels: ArrayLike, scores: ArrayLike) -> Resampled:
        """The area as a function of (R, N) counts of each item, NaN without both classes."""
        return _weighted_auc(*_labels_and_scores(labels, scores))

    def classes(self, labels: ArrayLike) -> list[NDArray[np.bool_]]:
        """The positives (N,) and the negatives (N,)."""
        truth = np.asarray(labels)
        return [truth == 1, truth == 0]


auc: Final = Auc()


def _weighted_auc(is_positive: NDArray[np.bool_], scores: Floats) -> Resampled:
    """AUC as a function of (R, N) counts of each item: the scores are sorted once for all resamples."""
    # A positive wins against the negatives below it and half of those equal to it. How many these are is found by
    # binary search once; a resample only adds up the weights of the negatives in rising order.
    negatives = np.sort(scores[~is_positive])
    order = np.flatnonzero(~is_positive)[np.argsort(scores[~is_positive], kind="stable")]
    below = np.searchsorted(negatives, scores[is_positive], side="left")
    not_above = np.searchsorted(negatives, scores[is_positive], side="right")

    def resampled(counts: Floats) -> Floats:
        positive_weight = counts[:, is_positive]  # (R, positives)
        cumulated = np.zeros((len(counts), len(order) + 1))
        np.cumsum(counts[:, order], axis=1, out=cumulated[:, 1:])  # weight of the lowest negatives
        # Below plus not above counts every negative below twice and every equal one once: halved, ties are one half.
        won = 0.5 * np.einsum("rp,rp->r", positive_weight, cumulated[:, below] + cumulated[:, not_above])
        pairs = positive_weight.sum(axis=1) * cumulated[:, -1]  # (R,) weighted pairs of a positive and a negative
        area: Floats = np.divide(won, pairs, out=np.full(len(counts), np.nan), where=pairs > 0)
        return area

    return resampled


def _labels_and_scores(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    truth, values = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    _check_vectors(truth, values, "labels", "scores")
    if not np.isin(truth, (0, 1)).all():
        raise ValueError(
            f"auc needs labels 0 and 1, got {np.unique(truth)[:5].tolist()}; compare with the positive class"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"auc needs finite scores; {int((~np.isfinite(values)).sum())} of {len(values)} are not")
    is_positive = truth.astype(np.bool_)
    num_positives = int(is_positive.sum())
    # Said here and not as NaN: on all items it is a mistake of the caller, on a resample it is chance.
    if num_positives in (0, len(values)):
        missing = "positive" if num_positives == 0 else "negative"
        raise ValueError(f"auc needs both classes: none of the {len(values)} items is {missing}")
    return is_positive, values


class MacroAuc(Metric):
    """Mean over labels of the area under the ROC curve, in [0, 1]; chance is 0.5.

    Called with labels (N, L) of 0, 1 or NaN, and finite scores (N, L), higher means positive. A label that nobody
    answered for an image (NaN) leaves that image out of that label. A label with one class only has no area and is left
    out of the mean; so it is in each resample.

    Raises:
        ValueError: No label has both classes, shapes differ, or a score is not finite.
    """

    def resampler(self, labels: ArrayLike, scores: ArrayLike) -> Resampled:
        """The mean as a function of (R, N) counts of each image."""
        truth, values = _checked(labels, scores)
        parts = []
        for label in scorable(truth):
            rows = np.flatnonzero(~np.isnan(truth[:, label]))
            # Each label has images of its own, since NaN leaves an image out of that label only.
            parts.append((rows, auc.resampler(truth[rows, label], values[rows, label])))
        if not parts:
            raise ValueError("macro AUC needs a label with both classes; none has")
        # (L, R) areas -> (R,) mean; NaN in a resample where a label lost a class.
        return lambda counts: mean_of_known(np.stack([area(counts[:, rows]) for rows, area in parts]))

    def classes(self, labels: ArrayLike) -> list[NDArray[np.bool_]]:
        """The positives (N,) and the negatives (N,) of each label that has both."""
        truth = np.asarray(labels, dtype=np.float64)
        return [truth[:, label] == answer for label in scorable(truth) for answer in (1, 0)]


macro_auc: Final = MacroAuc()


def scorable(labels: NDArray[Any]) -> NDArray[np.intp]:
    """Positions of the labels (N, L) of which both classes are present."""
    return np.flatnonzero((labels == 1).any(axis=0) & (labels == 0).any(axis=0))


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    truth, values = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if truth.ndim != 2 or truth.shape != values.shape or 0 in truth.shape:
        raise ValueError(f"labels and scores must both be (N, L), got {truth.shape} and {values.shape}")
    # A grade of 2 among the labels would pass for a positive.
    if not (np.isin(truth, (0, 1)) | np.isnan(truth)).all():
        raise ValueError("labels must be 0, 1, or NaN where nobody labelled the image")
    if not np.isfinite(values).all():
        raise ValueError("scores must be finite")
    return truth, values
