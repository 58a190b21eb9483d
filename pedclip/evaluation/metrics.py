"""Metrics on numpy arrays, each with `.bootstrap` for its 95 % interval over patients.

`auc(labels, scores)` is a number; `auc.bootstrap(labels, scores, groups=patients)` is an `Interval`. The truth comes
first, as in scikit-learn.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pedclip.evaluation.average_precision import mean_average_precision
from pedclip.evaluation.intervals import Floats, Groups, Interval, Metric, Resampled, bootstrap_interval
from pedclip.evaluation.ranking import relevance, top

__all__ = [
    "accuracy",
    "auc",
    "dice",
    "hit_at_k",
    "mae",
    "mean_average_precision",
    "precision_at_k",
    "recall_at_k",
]


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


class ItemMean(Metric):
    """A metric that is the mean over items of a comparison of truth and prediction.

    Args:
        per_item: (truth, prediction) -> (N,) one value per item; its docstring becomes that of the metric.
    """

    def __init__(self, per_item: Callable[[Any, Any], Floats]) -> None:
        self._per_item = per_item
        self.__doc__ = per_item.__doc__

    def resampler(self, truth: Any, prediction: Any) -> Resampled:
        """The mean as a function of (R, N) counts of each item."""
        return _weighted_mean(self._per_item(truth, prediction))


class QueryMean:
    """A metric that is the mean over queries of what their first K results hold.

    Args:
        per_query: (hits (Q,), number of relevant items (Q,), K) -> (Q,) one value per query.
    """

    def __init__(self, per_query: Callable[[Floats, Floats, int], Floats]) -> None:
        self._per_query = per_query
        self.__doc__ = per_query.__doc__

    def __call__(self, similarity: ArrayLike, relevant: ArrayLike, k: int) -> float:
        """The mean over queries.

        Args:
            similarity: (Q, N) of each query to each gallery item; equal values rank by gallery index.
            relevant: (Q, N) booleans, or (Q,) the index of the one relevant item of each query.
            k: Results looked at, at least 1.

        Returns:
            In [0, 1].

        Raises:
            ValueError: A query without a relevant item, a shape or index that does not fit, or a value that is not
                finite.
        """
        return float(self._values(similarity, relevant, k).mean())

    def bootstrap(
        self,
        similarity: ArrayLike,
        relevant: ArrayLike,
        k: int,
        groups: Groups = None,
        *,
        num_resamples: int = 1000,
        seed: int = 0,
    ) -> Interval:
        """The mean with its interval over `groups` (Q,), or over queries where that is None; the gallery is fixed."""
        values = self._values(similarity, relevant, k)
        return bootstrap_interval(
            float(values.mean()),
            _weighted_mean(values),
            num_items=len(values),
            groups=groups,
            num_resamples=num_resamples,
            seed=seed,
        )

    def _values(self, similarity: ArrayLike, relevant: ArrayLike, k: int) -> Floats:
        scores = np.asarray(similarity)
        is_relevant = relevance(scores, np.asarray(relevant))
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        hits = (top(scores, k) & is_relevant).sum(axis=1).astype(np.float64)
        return self._per_query(hits, is_relevant.sum(axis=1).astype(np.float64), k)


def _accuracy(labels: ArrayLike, predictions: ArrayLike) -> Floats:
    """Share of items whose predicted label (N,) equals the true label (N,); numbers or strings."""
    truth, predicted = np.asarray(labels), np.asarray(predictions)
    _check_vectors(truth, predicted, "labels", "predictions")
    is_correct: Floats = (truth == predicted).astype(np.float64)
    return is_correct


def _mae(target: ArrayLike, predicted: ArrayLike) -> Floats:
    """Mean absolute error of predictions (N,) against targets (N,), in the unit of the target."""
    truth, guess = np.asarray(target, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    _check_vectors(truth, guess, "target", "predicted")
    if not (np.isfinite(truth).all() and np.isfinite(guess).all()):
        raise ValueError("mae needs finite targets and predictions; leave out the items without a target")
    return np.abs(truth - guess)


def _dice(target: Sequence[NDArray[Any]], predicted: Sequence[NDArray[Any]]) -> Floats:
    """Mean over images of 2|A∩B| / (|A|+|B|) of masks (N, H, W); two empty masks agree and count 1.

    A list of (H, W) masks of different sizes will do. Masks are booleans, or 0 and 1.
    """
    if len(target) != len(predicted) or len(target) == 0:
        raise ValueError(
            f"dice needs as many predicted masks as targets, at least 1: got {len(predicted)} and {len(target)}"
        )
    return np.array([_dice_of_pair(np.asarray(a), np.asarray(b)) for a, b in zip(target, predicted, strict=True)])


def _recall(hits: Floats, num_relevant: Floats, k: int) -> Floats:
    """Capped recall: relevant items among the first K, divided by min(K, relevant items), averaged over queries.

    With one relevant item per query this is the usual Recall@K.

    Source: PECM, report-level Recall@K.
    """
    recall: Floats = hits / np.minimum(k, num_relevant)
    return recall


def _hit(hits: Floats, num_relevant: Floats, k: int) -> Floats:
    """Share of queries with at least one relevant item among the first K."""
    return (hits > 0).astype(np.float64)


def _precision(hits: Floats, num_relevant: Floats, k: int) -> Floats:
    """Share of the first K that is relevant, averaged over queries.

    K is not capped by the number of relevant items: where that is wanted, it is `recall_at_k`.
    """
    return hits / k


auc: Final = Auc()
accuracy: Final = ItemMean(_accuracy)
mae: Final = ItemMean(_mae)
dice: Final = ItemMean(_dice)
recall_at_k: Final = QueryMean(_recall)
hit_at_k: Final = QueryMean(_hit)
precision_at_k: Final = QueryMean(_precision)


def _weighted_auc(is_positive: NDArray[np.bool_], scores: Floats) -> Resampled:
    """AUC as a function of (R, N) counts of each item: the scores are sorted once for all resamples."""
    negatives = np.sort(scores[~is_positive])
    order = np.flatnonzero(~is_positive)[np.argsort(scores[~is_positive], kind="stable")]
    below = np.searchsorted(negatives, scores[is_positive], side="left")
    not_above = np.searchsorted(negatives, scores[is_positive], side="right")

    def resampled(counts: Floats) -> Floats:
        positive_weight = counts[:, is_positive]  # (R, positives)
        cumulated = np.zeros((len(counts), len(order) + 1))
        np.cumsum(counts[:, order], axis=1, out=cumulated[:, 1:])  # weight of the lowest negatives
        won = 0.5 * np.einsum("rp,rp->r", positive_weight, cumulated[:, below] + cumulated[:, not_above])
        pairs = positive_weight.sum(axis=1) * cumulated[:, -1]
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
    if num_positives in (0, len(values)):
        missing = "positive" if num_positives == 0 else "negative"
        raise ValueError(f"auc needs both classes: none of the {len(values)} items is {missing}")
    return is_positive, values


def _weighted_mean(values: Floats) -> Resampled:
    return lambda counts: (counts @ values) / counts.sum(axis=1)


def _dice_of_pair(target: NDArray[Any], predicted: NDArray[Any]) -> float:
    if target.ndim != 2 or target.shape != predicted.shape:
        raise ValueError(
            f"dice compares (N, H, W) masks of equal size, got {target.shape} and {predicted.shape} inside"
        )
    for mask in (target, predicted):
        if not np.isin(mask, (0, 1)).all():
            raise ValueError("dice needs masks of 0 and 1; threshold probabilities first")
    total = float(target.sum(dtype=np.int64) + predicted.sum(dtype=np.int64))
    return 1.0 if total == 0 else 2 * float((target.astype(np.bool_) & predicted.astype(np.bool_)).sum()) / total


def _check_vectors(truth: NDArray[Any], other: NDArray[Any], truth_name: str, other_name: str) -> None:
    if truth.ndim != 1 or truth.shape != other.shape or len(truth) == 0:
        raise ValueError(
            f"{truth_name} and {other_name} must be vectors of one length, at least 1: "
            f"got {truth.shape} and {other.shape}"
        )
