"""Final score of a query and an item from their similarity and their confidence, and its ceiling."""

from typing import Any, Final, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Numbers = NDArray[np.floating[Any]]
Cosines = TypeVar("Cosines", Numbers, Tensor)  # the one formula serves training, small pools and archives

Rerank = Literal["as_intended", "as_printed", "sum"]

_UNIT: Final = 2.0**-24  # unit roundoff of single precision


def final_score(similarity: Cosines, confidence: Cosines, rerank: Rerank = "as_intended") -> Cosines:
    """Final score R of similarities s and confidences C, arrays or tensors.

    Args:
        similarity: (…,) cosines of the global vectors, in [-1, 1]; `Scores.initial`.
        confidence: (…,) weighted mean cosines of the prototypes, in [-1, 1].
        rerank: "as_intended" is (1 + s)/2 · (1 + C)/2, in [0, 1]; "as_printed" is s · C, under which a pair that both
            find opposite ranks as high as one that both find alike; "sum" is s + C.

    Returns:
        (…,) scores; higher is better.

    Raises:
        ValueError: Another rerank.

    Source: PECM (arXiv 2508.03494), Eq. 7: R = s · C. Differs: the default moves both factors into [0, 1] (decision
        E9).
    """
    check_rerank(rerank)
    if rerank == "as_printed":
        # Two negative factors make a positive product: the contradiction that the default avoids.
        return similarity * confidence
    if rerank == "sum":
        return similarity + confidence
    # A cosine of −1 that was rounded to below must not turn the order of the other factor around.
    shifted: Cosines = (1 + similarity).clip(min=0) * (1 + confidence).clip(min=0) / 4
    return shifted


def check_rerank(rerank: str) -> None:
    """Refusal of a name that is no rerank.

    Raises:
        ValueError: It is none; the message lists them.
    """
    if rerank not in get_args(Rerank):
        raise ValueError(f"rerank={rerank!r} is not allowed: choose from {', '.join(get_args(Rerank))}")


def score_ceiling(similarity: Numbers, low: Numbers, high: Numbers, *, slack: float, rerank: Rerank) -> Numbers:
    """Highest final score that a similarity and limits of the confidence allow.

    "as_intended" and "sum" rise with both factors, so the upper limit of the confidence is enough. "as_printed" falls
    with the confidence where the similarity is negative: there the lower limit gives the ceiling, and a search that
    knew the upper one alone would miss the pairs that both factors find opposite.

    Args:
        similarity: (N,) cosines, each known up to the slack.
        low: (N,) lower limits of the confidence.
        high: (N,) upper limits.
        slack: Rounding of the similarity, at least 0.
        rerank: As for `final_score`.

    Returns:
        (N,) ceilings.
    """
    if rerank != "as_printed":
        # Both rise with either factor.
        return final_score(similarity + slack, high, rerank)
    # A product of two numbers in two intervals is largest at one of the four corners.
    ends = ((similarity + sign * slack) * limit for sign in (-1, 1) for limit in (low, high))
    ceiling: Numbers = next(ends)
    for one in ends:
        ceiling = np.maximum(ceiling, one)
    return ceiling


def rounding(num_terms: int) -> float:
    """Largest error of an inner product of so many terms in single precision, in units of both lengths.

    It holds for any order of summation, hence for every library and number of cores.

    Source: Higham, Accuracy and Stability of Numerical Algorithms (2002), section 3.1.
    """
    return num_terms * _UNIT / (1 - num_terms * _UNIT)
