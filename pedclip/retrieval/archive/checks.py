"""Checks of what a search is asked, before anything is computed."""

from typing import Any

import numpy as np

from pedclip.retrieval.archive.index import ArchiveIndex, OtherModel
from pedclip.retrieval.reranking import check_rerank
from pedclip.retrieval.vectors import PairVectors


def is_whole(value: Any) -> bool:
    """Test for a whole number, of Python or numpy."""
    # True counts as 1 in Python, and is an answer to another question.
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def check_search(index: ArchiveIndex, queries: PairVectors, *, k: int, rerank: str) -> None:
    """Refusal of what cannot be searched.

    Raises:
        ValueError: k that is no whole number or below 1, or another rerank.
        OtherModel: Queries of other widths than the index.
    """
    check_rerank(rerank)
    if not is_whole(k) or k < 1:
        raise ValueError(f"k={k!r} is not allowed: a whole number of results is wanted, at least one")
    # Of another model, surely: a projection has one width.
    found = (queries.similarity.shape[1], queries.confidence.shape[1])
    if found != (index.dimension, index.width):
        raise OtherModel(f"queries of widths {found} do not fit an index of widths {(index.dimension, index.width)}")
