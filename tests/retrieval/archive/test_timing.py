"""Times of searches: what is counted as found, and that every query is asked alone."""

import numpy as np

from pedclip.retrieval.archive.index import ArchiveIndex
from pedclip.retrieval.archive.search import search_all
from pedclip.retrieval.archive.timing import time_searches
from tests.retrieval.drawn_vectors import drawn


def test_each_query_is_asked_alone_and_what_it_finds_is_counted(tmp_path):
    rng = np.random.default_rng(0)
    index = ArchiveIndex.create(tmp_path / "index", [drawn(rng, 30)[0]], model="m")
    queries = drawn(rng, 4)[0]
    asked = []

    def whole(query):
        asked.append(len(query))
        return search_all(index, query, k=6)

    def half(query):
        # The best three, and three that are not among the best six.
        found = search_all(index, query, k=30)
        found.rows[:, 3:6] = found.rows[:, 27:30].copy()
        return type(found)(found.rows[:, :6], found.scores, found.similarity, found.confidence, found.num_scored // 2)

    of_all, of_half = time_searches(index, {"whole": whole, "half": half}, queries, k=6)
    # Once more than there are queries: the first is not counted.
    assert asked == [1] * 5
    assert (of_all.method, of_all.items, of_all.recall, of_all.num_scored) == ("whole", 30, 1.0, 30)
    assert (of_half.recall, of_half.num_scored) == (0.5, 15)
    assert of_all.milliseconds > 0
