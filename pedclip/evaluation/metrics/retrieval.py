"""Retrieval: recall, hit rate and precision of the first K items of a gallery."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pedclip.evaluation.metrics.bootstrap import (
    Floats,
    Groups,
    Interval,
    _weighted_mean,
    bootstrap_interval,
)
from pedclip.evaluation.metrics.small_samples import Scale


def relevance(scores: NDArray[Any], relevant: NDArray[Any]) -> NDArray[np.bool_]:
    """Gallery items that answer each query, checked.

    Args:
        scores: (Q, N) similarity of each query to each gallery item.
        relevant: (Q, N) booleans, or (Q,) the index of the one relevant item of each query.

    Returns:
        (Q, N) booleans, at least one true per row.

    Raises:
        ValueError: A query without a relevant item, a shape or index that does not fit, or a score that is not finite.
    """
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError(f"similarity must be (queries, gallery) with at least one of each, got shape {scores.shape}")
    # NaN is neither above nor below anything, and would leave fewer than K.
    if not np.isfinite(scores).all():
        raise ValueError("similarity must be finite; look for embeddings of length zero or NaN")
    if relevant.ndim == 1 and len(relevant) == len(scores) and np.issubdtype(relevant.dtype, np.integer):
        if relevant.min() < 0 or relevant.max() >= scores.shape[1]:
            raise ValueError(
                f"relevant must index the gallery of {scores.shape[1]}, got {relevant.min()} to {relevant.max()}"
            )
        relevant = relevant[:, None] == np.arange(scores.shape[1])  # (Q, N)
    if relevant.shape != scores.shape or relevant.dtype != np.bool_:
        raise ValueError(
            f"relevant must be booleans {scores.shape} or integers ({len(scores)},), "
            f"got {relevant.dtype} {relevant.shape}"
        )
    # Recall of nothing is no number; leaving such queries out is for the caller to decide and to say.
    num_without = int((~relevant.any(axis=1)).sum())
    if num_without:
        raise ValueError(
            f"{num_without} of {len(relevant)} queries have no relevant item; leave them out and count them"
        )
    return relevant


def top(scores: NDArray[Any], k: int) -> NDArray[np.bool_]:
    """The first K items of each query; ties go to the lower index, as in a stable sort.

    Args:
        scores: (Q, N) similarity of each query to each gallery item.
        k: Items wanted, at least 1; all of them where the gallery is smaller.

    Returns:
        (Q, N) whether the item is among the first K.
    """
    num_items = scores.shape[1]
    if k >= num_items:
        return np.ones(scores.shape, dtype=np.bool_)
    # Partition is linear in N where a sort is not: galleries have thousands of texts.
    last = np.partition(scores, num_items - k, axis=1)[:, num_items - k, None]  # the K-th highest value
    # Ties at the border fill what room is left from the lowest index on.
    is_above, is_tied = scores > last, scores == last
    room = k - is_above.sum(axis=1, keepdims=True)
    # The running number of ties says which of them still fit.
    is_top: NDArray[np.bool_] = is_above | (is_tied & (is_tied.cumsum(axis=1) <= room))
    return is_top


def query_interval(
    values: Floats, groups: Groups = None, *, num_resamples: int = 1000, seed: int = 0, scale: Scale = "share"
) -> Interval:
    """Mean of values that are known for each query, with its interval.

    Args:
        values: (Q,).
        groups: (Q,) patient of each query; None resamples queries.
        num_resamples: At least 1.
        seed: Of the resampling.
        scale: Range of the values; "difference of shares" where they are differences between two rankings.

    Raises:
        ValueError: As `bootstrap_interval`.
    """
    return bootstrap_interval(
        float(values.mean()),
        # Only queries are resampled: another gallery would be another task.
        _weighted_mean(values),
        num_items=len(values),
        groups=groups,
        num_resamples=num_resamples,
        seed=seed,
        scale=scale,
    )


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
        # A query of a rare finding counts as much as one of a common finding.
        return float(self.values(similarity, relevant, k).mean())

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
        values = self.values(similarity, relevant, k)
        return query_interval(values, groups, num_resamples=num_resamples, seed=seed)

    def values(self, similarity: ArrayLike, relevant: ArrayLike, k: int) -> Floats:
        """(Q,) values of each query, for galleries that are ranked a few queries at a time; errors as for the call."""
        scores = np.asarray(similarity)
        is_relevant = relevance(scores, np.asarray(relevant))
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        hits = (top(scores, k) & is_relevant).sum(axis=1).astype(np.float64)  # (Q,)
        return self._per_query(hits, is_relevant.sum(axis=1).astype(np.float64), k)


def _recall(hits: Floats, num_relevant: Floats, k: int) -> Floats:
    """Capped recall: relevant items among the first K, divided by min(K, relevant items), averaged over queries.

    With one relevant item per query this is the usual Recall@K.

    Source: PECM, report-level Recall@K.
    """
    # Without the cap a query with 20 answers could reach 5/20 at K = 5 at best.
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


recall_at_k: Final = QueryMean(_recall)


hit_at_k: Final = QueryMean(_hit)


precision_at_k: Final = QueryMean(_precision)
