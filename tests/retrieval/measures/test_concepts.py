"""CUI@K in its three readings against sets, and against the hit rate of the metrics."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pedclip.evaluation.metrics import hit_at_k
from pedclip.retrieval.measures import concepts
from pedclip.retrieval.measures.concepts import concept_overlap
from pedclip.retrieval.measures.protocols import protocol_of

VARIANTS = ("coverage", "hit", "jaccard")


def drawn(seed, queries=7, items=6):
    rng = np.random.default_rng(seed)
    sets = [set(rng.choice(list("abcdef"), rng.integers(0, 4), replace=False)) for _ in range(queries + items)]
    sets[0] |= {"a"}  # one query at least has a concept
    return rng.integers(0, 3, (queries, items)).astype(float), sets[:queries], sets[queries:]


def overlap(query, found, variant):
    """One query's value from sets."""
    if variant == "hit":
        return float(any(query & item for item in found))
    if variant == "coverage":
        return len(query & set().union(*found)) / len(query)
    return np.mean([len(query & item) / len(query | item) for item in found])


def by_loop(scores, queries, gallery, variant, k, own):
    values = []
    for row, query in enumerate(queries):
        if query:
            items = [item for item in range(len(gallery)) if own is None or item != own[row]]
            items.sort(key=lambda item: (-scores[row, item], item))
            values.append(overlap(query, [gallery[item] for item in items[:k]], variant))
    return np.mean(values)


@given(st.integers(0, 2**32 - 1), st.sampled_from(VARIANTS), st.booleans())
def test_overlap_equals_sets(seed, variant, has_own):
    scores, queries, gallery = drawn(seed)
    queries = [*queries, {"a", "f"}]
    scores = np.vstack([scores, scores[:1]])
    own = [row % 6 for row in range(8)] if has_own else None
    results = concept_overlap(scores, queries, gallery, variant=variant, ks=(1, 3, 6, 9), own=own, num_resamples=2)
    for result in results:
        expected = by_loop(scores, queries, gallery, variant, result.settings["k"], own)
        assert result.score.value == pytest.approx(expected)
        assert protocol_of(result).num_left_out == sum(not one for one in queries)


def test_the_three_readings_by_hand():
    queries, gallery = [{"a", "b"}, {"c"}], [{"a"}, {"b", "d"}, {"d"}]
    scores = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1]])
    found = {
        variant: [one.score.value for one in concept_overlap(scores, queries, gallery, variant=variant, ks=(1, 2))]
        for variant in VARIANTS
    }
    # "c" is in no item: its query counts as 0, not as nothing.
    assert found["coverage"] == [0.25, 0.5]
    assert found["hit"] == [0.5, 0.5]
    assert found["jaccard"] == pytest.approx([0.25, (1 / 2 + 1 / 3) / 2 / 2])


def test_a_hit_is_the_hit_of_the_metrics_where_every_query_has_an_answer():
    scores, _, gallery = drawn(4, 9, 8)
    gallery[0] = set("abcdef")
    queries = [{"a"}, {"b", "c"}, {"d"}, {"e"}, {"f"}, {"a", "f"}, {"c"}, {"b"}, {"d", "e"}]
    relevant = np.array([[bool(query & item) for item in gallery] for query in queries])
    results = concept_overlap(scores, queries, gallery, variant="hit", ks=(1, 2, 5), num_resamples=2)
    for result in results:
        assert result.score.value == pytest.approx(hit_at_k(scores, relevant, result.settings["k"]))


def test_coverage_and_hits_rise_with_k_as_the_printed_values_do_and_overlap_need_not():
    scores, queries, gallery = drawn(11)
    for variant in ("coverage", "hit"):
        values = [one.score.value for one in concept_overlap(scores, queries, gallery, variant=variant, ks=(1, 3, 6))]
        assert values == sorted(values)
        assert values[0] < values[-1]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("own", [None, [1, 0, 3]])
def test_chance_is_the_mean_over_all_rankings(variant, own):
    queries, gallery = [{"a", "b"}, {"a"}, {"c", "d"}], [{"a"}, {"b", "a"}, {"d"}, {"c", "x"}]
    rankings = [-np.tile(order, (3, 1)).astype(float) for order in permutations(range(4))]
    values = [by_loop(scores, queries, gallery, variant, 2, own) for scores in rankings]
    (result,) = concept_overlap(rankings[0], queries, gallery, variant=variant, ks=(2,), own=own, num_resamples=2)
    assert result.baseline == pytest.approx(np.mean(values))


def test_blocks_change_nothing(monkeypatch):
    scores, queries, gallery = drawn(2, 30, 9)
    own = [row % 9 for row in range(30)]
    whole = {v: concept_overlap(scores, queries, gallery, variant=v, own=own, num_resamples=2) for v in VARIANTS}
    monkeypatch.setattr(concepts, "_QUERIES_AT_ONCE", 4)
    for variant in VARIANTS:
        pieces = concept_overlap(scores, queries, gallery, variant=variant, own=own, num_resamples=2)
        assert [one.score.value for one in pieces] == [one.score.value for one in whole[variant]]
        assert [one.baseline for one in pieces] == pytest.approx([one.baseline for one in whole[variant]])


def test_the_variant_stands_beside_the_number():
    scores, queries, gallery = drawn(3)
    (result,) = concept_overlap(scores, queries, gallery, ks=(5,), own=[0] * 7, num_resamples=2, unique_texts=6)
    assert result.metric == "CUI (coverage)"
    words = str(protocol_of(result))
    assert "CUI@K read as coverage, queries resampled for patients" in words
    assert "6 unique texts (caption)" in words
    assert "own item excluded" in words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"variant": "precision"}, "variant='precision' is not allowed: one of"),
        ({"similarity": np.zeros((3, 2))}, r"similarity \(3, 2\) must be \(queries, gallery\) = \(2, 2\)"),
        ({"similarity": np.array([[np.nan, 0], [0, 0]])}, "similarity must be finite"),
        ({"ks": (0,)}, r"ks=\(0,\) is not allowed"),
        ({"ks": ()}, "at least one"),
        ({"queries": [set(), set()]}, "none of 2 queries has a concept"),
        ({"queries": ["C1", "C2"]}, "a set of codes for each item, not one text"),
        ({"own": [0]}, "own must name an item 0…1 for each of 2 queries"),
        ({"own": [0, 2]}, "own must name an item 0…1"),
        ({"own": [0, -1]}, "own must name an item 0…1"),
        ({"own": [0.0, 1.0]}, "own must name an item 0…1 for each of 2 queries, as whole numbers"),
        ({"own": [True, False]}, "as whole numbers"),
        ({"own": [[0], [1]]}, "as whole numbers"),
        ({"own": ["0", "1"]}, "as whole numbers"),
        ({"own": [0, None]}, "as whole numbers"),
        ({"patients": ["p"]}, "1 patients for 2 queries: patients must name one for each"),
        ({"patients": ["p", "q", "r"]}, "3 patients for 2 queries"),
        ({"patients": "pq"}, "one text for 2 queries"),
        ({"queries": [{"a"}, None]}, r"1 items have no set of concepts; leave them out, or give set\(\)"),
        ({"gallery": [None, None]}, "2 items have no set of concepts"),
        ({"gallery": [{"a"}], "similarity": np.zeros((2, 1)), "own": [0, 0]}, "nothing but the query's own item"),
    ],
)
def test_misuse_is_refused(changes, words):
    good = {"similarity": np.zeros((2, 2)), "queries": [{"a"}, {"b"}], "gallery": [{"a"}, {"b"}]}
    with pytest.raises(ValueError, match=words):
        concept_overlap(**(good | changes))
