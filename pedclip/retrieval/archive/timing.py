"""Time of searches, one query after the other, as a user waits for them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from pedclip.retrieval.archive.index import ArchiveIndex
from pedclip.retrieval.archive.search import Found, search_all
from pedclip.retrieval.vectors import PairVectors, Singles

Search = Callable[[PairVectors], Found]


@dataclass(frozen=True)
class SearchTime:
    """Time and results of one search.

    Args:
        method: Its name.
        items: In the archive.
        milliseconds: Of a query, median.
        recall: Fraction of the first K of all items that it finds, mean over queries.
        num_scored: Items whose confidence was computed, median.
    """

    method: str
    items: int
    milliseconds: float
    recall: float
    num_scored: float


def time_searches(
    index: ArchiveIndex, searches: Mapping[str, Search], queries: PairVectors, *, k: int = 10
) -> list[SearchTime]:
    """Searches of one archive, each asked every query alone.

    Args:
        index: What is searched.
        searches: Name to a search of this index for the first `k`, with the same final score as `search_all` has.
        queries: Q of them, at least one.
        k: Results that are compared, at least 1.

    Returns:
        One entry per search.

    Raises:
        ValueError: As the searches.
    """
    truth = search_all(index, queries, k=k).rows  # (Q, K)
    single = [PairVectors(*(part[[row]] for part in _parts(queries))) for row in range(len(queries))]
    found = []
    for name, search in searches.items():
        search(single[0])  # not counted: files are read and threads start
        spent, recall, scored = [], [], []
        for query, best in zip(single, truth, strict=True):
            begin = perf_counter()
            answer = search(query)
            spent.append(1000 * (perf_counter() - begin))
            recall.append(len(set(answer.rows[0]) & set(best)) / len(best))
            scored.append(int(answer.num_scored[0]))
        middle = float(np.median(spent)), float(np.mean(recall)), float(np.median(scored))
        found.append(SearchTime(name, len(index), *middle))
    return found


def _parts(queries: PairVectors) -> tuple[Singles, Singles, Singles]:
    return queries.similarity, queries.confidence, queries.weight
