"""Recall from scores of any kind: texts without films, and directions that rank by scores of their own."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from pedclip.evaluation.zero_shot.recall import RankedQueries, ranked_queries, recall_results


def table(results):
    return {(one.task, one.metric, one.settings["k"]): one for one in results}


def test_a_text_that_no_film_has_is_in_the_gallery_and_no_query():
    # Text 1 is nobody's, and the best for film 0.
    similarity = np.array([[0.5, 0.9, 0.1], [0.1, 0.2, 0.9], [0.8, 0.1, 0.2]])
    found = table(recall_results(similarity, np.array([0, 2, 0]), list("pqr"), method="drawn", ks=(1, 2)))
    assert found["image to text", "recall", 1].score.value == pytest.approx(2 / 3)
    assert found["image to text", "recall", 1].settings["gallery"] == 3
    assert found["image to text", "recall", 1].baseline == pytest.approx(1 / 3)
    assert found["text to image", "recall", 2].score.num_items == 2
    assert found["text to image", "recall", 2].score.value == 1
    assert found["image to text", "recall", 2].score.value == 1


def test_the_other_direction_may_have_scores_of_its_own():
    similarity, by_text = np.eye(3), np.roll(np.eye(3), 1, axis=1)
    found = table(recall_results(similarity, np.arange(3), method="drawn", by_text=by_text, ks=(1,)))
    assert found["image to text", "recall", 1].score.value == 1
    assert found["text to image", "recall", 1].score.value == 0
    assert found["text to image", "hit", 1].score.value == 0


def test_queries_of_each_direction_carry_their_own_answers_and_patients():
    similarity = np.array([[0.5, 0.9, 0.1], [0.1, 0.2, 0.9], [0.8, 0.1, 0.2]])
    text, groups = np.array([2, 0, 2]), ["q", "p", "r"]
    to_text, to_image, hit = ranked_queries(similarity, text, groups)
    assert [(one.direction, one.metric) for one in (to_text, to_image, hit)] == [
        ("image to text", "recall"), ("text to image", "recall"), ("text to image", "hit"),
    ]  # fmt: skip
    assert to_text.relevant.tolist() == [[False, False, True], [True, False, False], [False, False, True]]
    assert list(to_text.groups) == groups
    # Text 1 asks nothing; text 2 is of the films of "q" and "r", and is resampled with the first.
    for one in (to_image, hit):
        assert one.similarity.tolist() == [[0.5, 0.1, 0.8], [0.1, 0.9, 0.2]]
        assert one.relevant.tolist() == [[False, True, False], [True, False, True]]
        assert list(one.groups) == ["p", "q"]
    assert [one.groups for one in ranked_queries(similarity, text)] == [None, None, None]


def test_values_of_queries_are_capped_recall_or_a_hit():
    similarity = np.array([[0.9, 0.5, 0.4, 0.1], [0.1, 0.5, 0.5, 0.9]])
    relevant = np.array([[True, False, True, True], [False, False, True, False]])
    recall = RankedQueries("text to image", "recall", similarity, relevant, None)
    hit = replace(recall, metric="hit")
    assert recall.values(1).tolist() == [1, 0]
    # One of min(2, 3); of the tie the lower number is shown, and that is the wrong one.
    assert recall.values(2).tolist() == [1 / 2, 0]
    assert recall.values(3).tolist() == [2 / 3, 1]
    assert hit.values(2).tolist() == [1, 0]
    assert hit.values(3).tolist() == [1, 1]


@pytest.mark.parametrize("metric", ["recall", "hit"])
@pytest.mark.parametrize("k", [1, 2, 4, 9])
def test_chance_is_the_mean_over_all_rankings(metric, k):
    relevant = np.array([[True, False, True, True], [False, False, True, False]])
    rankings = np.array(list(permutations(range(4))), dtype=float)
    expected = [
        RankedQueries("text to image", metric, rankings, np.tile(row, (len(rankings), 1)), None).values(k).mean()
        for row in relevant
    ]
    found = RankedQueries("text to image", metric, np.zeros((2, 4)), relevant, None).chance(k)
    assert found == pytest.approx(np.mean(expected))


def test_queries_that_nothing_answers_are_refused():
    similarity = np.eye(2)
    with pytest.raises(ValueError, match="1 of 2 queries have no relevant item"):
        ranked_queries(similarity, np.array([0, 5]))[0].values(1)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        ranked_queries(similarity, np.arange(2))[0].values(0)
