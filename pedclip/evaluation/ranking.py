"""The first K of a gallery, and which of them answer the query."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def relevance(scores: NDArray[Any], relevant: NDArray[Any]) -> NDArray[np.bool_]:
    """Which gallery items answer which query, checked.

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
    if not np.isfinite(scores).all():
        raise ValueError("similarity must be finite; look for embeddings of length zero or NaN")
    if relevant.ndim == 1 and len(relevant) == len(scores) and np.issubdtype(relevant.dtype, np.integer):
        if relevant.min() < 0 or relevant.max() >= scores.shape[1]:
            raise ValueError(
                f"relevant must index the gallery of {scores.shape[1]}, got {relevant.min()} to {relevant.max()}"
            )
        relevant = relevant[:, None] == np.arange(scores.shape[1])
    if relevant.shape != scores.shape or relevant.dtype != np.bool_:
        raise ValueError(
            f"relevant must be booleans {scores.shape} or integers ({len(scores)},), "
            f"got {relevant.dtype} {relevant.shape}"
        )
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
    last = np.partition(scores, num_items - k, axis=1)[:, num_items - k, None]  # the K-th highest value
    is_above, is_tied = scores > last, scores == last
    room = k - is_above.sum(axis=1, keepdims=True)
    is_top: NDArray[np.bool_] = is_above | (is_tied & (is_tied.cumsum(axis=1) <= room))
    return is_top
