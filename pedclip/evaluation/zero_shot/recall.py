"""Recall of reports by film and of films by report from any scores, beside a random ranking."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.metrics.bootstrap import Floats, Groups
from pedclip.evaluation.metrics.retrieval import hit_at_k, query_interval, recall_at_k
from pedclip.evaluation.result import Result

RECALL_AT: Final = (1, 5, 10)


def recall_results(
    similarity: NDArray[Any],
    text: NDArray[Any],
    groups: Groups = None,
    *,
    method: str,
    by_text: NDArray[Any] | None = None,
    ks: Sequence[int] = RECALL_AT,
    num_resamples: int = 1000,
    seed: int = 0,
) -> list[Result]:
    """Recall at each K from image to text and back.

    A text query has all images with that text as answers; it belongs to the patient of the first of them. A text
    that no image has is in the gallery, and no query.

    Args:
        similarity: (N, U) of each image to each text; equal values rank by number.
        text: (N,) number of each image's text.
        groups: (N,) patient of each image; None resamples queries.
        method: Name in the results.
        by_text: (U, N) of each text to each image, where that is not the same the other way round; None where it is.
        ks: The K.
        num_resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        As `pedclip.evaluation.zero_shot.retrieval`.

    Raises:
        ValueError: As `recall_at_k`.
    """
    results = []
    for one in ranked_queries(similarity, text, groups, by_text=by_text):
        for k in ks:
            # The gallery stays whole in every resample; only the queries of a patient come and go together.
            score = query_interval(one.values(k), one.groups, num_resamples=num_resamples, seed=seed)
            results.append(
                Result(
                    task=one.direction,
                    method=method,
                    metric=one.metric,
                    score=score,
                    baseline=one.chance(k),
                    baseline_name="random ranking",
                    settings={"k": k, "gallery": one.relevant.shape[1]},
                )
            )
    return results


@dataclass(frozen=True, eq=False)
class RankedQueries:
    """Queries of one direction against a gallery, and which answers are right.

    Args:
        direction: "image to text" or "text to image".
        metric: "recall", or "hit" where one right answer is enough.
        similarity: (Q, N) of each query to each item; equal values rank by number.
        relevant: (Q, N) booleans.
        groups: (Q,) patient of each query; None where nobody knows.
    """

    direction: str
    metric: str
    similarity: NDArray[Any]
    relevant: NDArray[np.bool_]
    groups: Groups

    def values(self, k: int) -> Floats:
        """(Q,) value of each query at K, in [0, 1]."""
        metric = hit_at_k if self.metric == "hit" else recall_at_k
        return metric.values(self.similarity, self.relevant, k)

    def chance(self, k: int) -> float:
        """Expected value of a random ranking, averaged over queries."""
        return _chance(self.metric, self.relevant, k)


def ranked_queries(
    similarity: NDArray[Any], text: NDArray[Any], groups: Groups = None, *, by_text: NDArray[Any] | None = None
) -> list[RankedQueries]:
    """Queries from image to text, and back by recall and by hit; rules and errors as of `recall_results`.

    Args:
        similarity: (N, U) of each image to each text.
        text: (N,) number of each image's text.
        groups: (N,) patient of each image; None where nobody knows.
        by_text: (U, N) of each text to each image; None where it is the same the other way round.

    Returns:
        Three sets of queries; those from text to image are of the texts that an image has.
    """
    by_text = similarity.T if by_text is None else by_text
    has_text = text[:, None] == np.arange(similarity.shape[1])  # (N, U)
    asked = np.flatnonzero(has_text.any(axis=0))
    # A text that several patients share is given to the first, or it would be resampled with each of them.
    text_groups = None if groups is None else np.asarray(groups)[has_text[:, asked].argmax(axis=0)]
    back = by_text[asked], has_text.T[asked], text_groups
    return [
        # A film has one text, so from image to text recall and hit are the same number.
        RankedQueries("image to text", "recall", similarity, has_text, groups),
        RankedQueries("text to image", "recall", *back),
        RankedQueries("text to image", "hit", *back),
    ]


def _chance(metric: str, relevant: NDArray[np.bool_], k: int) -> float:
    """Expected value of a random ranking, averaged over queries."""
    num_items = relevant.shape[1]
    # A gallery smaller than K is shown whole.
    drawn = min(k, num_items)
    expected = []
    for count in relevant.sum(axis=1).tolist():
        if metric == "hit":
            # None of the K drawn without replacement is one of the relevant items.
            expected.append(1 - math.comb(num_items - count, drawn) / math.comb(num_items, drawn))
        else:
            expected.append(drawn * count / num_items / min(k, count))  # hypergeometric mean
    return float(np.mean(expected))
