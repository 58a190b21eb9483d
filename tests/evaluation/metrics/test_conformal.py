"""Conformal answer sets: thresholds by hand, the promised coverage on drawn patients, and what is refused."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pedclip.evaluation.metrics.conformal import (
    ConformalThreshold,
    answer_sets,
    evaluate_sets,
    fit_threshold,
    needed_patients,
    right_scores,
)


def test_a_threshold_by_hand():
    # Nine patients leave ten gaps; at 0.2 the lowest two may be missed, so the second lowest is the threshold.
    right = np.array([0.5, 0.9, 0.6, 0.7, 0.8, 0.4, 0.3, 0.95, 0.85])
    assert fit_threshold(right, alpha=0.2) == ConformalThreshold(0.4, 0.2, 9, 9)
    assert fit_threshold(right, alpha=0.1).value == 0.3
    assert fit_threshold(right, alpha=0.29).value == 0.4  # 2.9 gaps: the third one is not wholly free


def test_sets_by_hand():
    scores = np.array([[0.9, 0.5, 0.1], [0.4, 0.3, 0.2], [0.6, 0.7, 0.5]])
    threshold = ConformalThreshold(0.5, 0.1, 20, 20)
    assert answer_sets(scores, threshold).tolist() == [[True, True, False], [False] * 3, [True] * 3]
    found = evaluate_sets(scores, np.array([1, 0, 2]), threshold)
    assert (found.coverage.value, found.size.value) == (2 / 3, 5 / 3)
    assert (found.median_size, found.largest, found.share_empty) == (2, 3, 1 / 3)
    assert json.loads(json.dumps(found.to_dict()))["coverage"]["num_items"] == 3


def test_the_best_of_several_right_items_counts():
    scores = np.array([[0.9, 0.5, 0.1], [0.4, 0.3, 0.2]])
    relevant = np.array([[False, True, True], [True, False, True]])
    assert right_scores(scores, relevant).tolist() == [0.5, 0.4]
    assert right_scores(scores, np.array([2, 1])).tolist() == [0.1, 0.3]


@given(st.integers(1, 60), st.sampled_from([0.02, 0.05, 0.1, 0.2, 0.25, 1 / 3, 0.5]), st.integers(0, 3))
def test_thresholds_equal_the_definition(num_patients, alpha, seed):
    right = np.random.default_rng(seed).normal(size=num_patients)
    # The largest value of which at most alpha of the n + 1 gaps lie below.
    allowed = [value for value in right if (right < value).sum() + 1 <= alpha * (num_patients + 1) + 1e-9]
    if allowed:
        assert fit_threshold(right, alpha=alpha).value == max(allowed)
    else:
        assert num_patients < needed_patients(alpha)
        with pytest.raises(ValueError, match=f"at least {needed_patients(alpha)} calibration patients"):
            fit_threshold(right, alpha=alpha)


def drawn(rng, num_patients, queries, *, num_items=30):
    """Scores (Q, N) of queries of which the right one is the first; patients differ in how hard they are."""
    patients = np.repeat(np.arange(num_patients), queries)
    scores = rng.normal(size=(len(patients), num_items))
    scores[:, 0] += 2 + rng.normal(size=num_patients)[patients]
    return scores, np.zeros(len(patients), dtype=int), patients


@pytest.mark.parametrize("alpha", [0.1, 0.3])
def test_new_patients_are_covered_as_promised_and_not_much_more(alpha):
    rng = np.random.default_rng(3)
    shares = []
    for _ in range(300):
        scores, right, patients = drawn(rng, 49, 1)
        threshold = fit_threshold(right_scores(scores, right), patients, alpha=alpha)
        shares.append(evaluate_sets(*drawn(rng, 50, 1)[:2], threshold, num_resamples=1).coverage.value)
    # Between 1 − alpha and 1 − alpha + 1/50 on average; three standard errors of 300 repetitions are below 0.02.
    assert 1 - alpha - 0.02 <= np.mean(shares) <= 1 - alpha + 0.04


def test_films_of_one_patient_are_covered_together_or_one_of_them():
    rng = np.random.default_rng(4)
    together, one_each, films = [], [], []
    for _ in range(300):
        scores, right, patients = drawn(rng, 29, 4)
        best = right_scores(scores, right)
        all_films = fit_threshold(best, patients, alpha=0.1)
        one_film = fit_threshold(best, patients, alpha=0.1, rng=rng)
        assert (all_films.num_patients, all_films.num_queries) == (29, 116)
        new = right_scores(*drawn(rng, 40, 4)[:2]).reshape(40, 4)
        together.append((new >= all_films.value).all(axis=1).mean())
        one_each.append((new[:, 0] >= one_film.value).mean())
        films.append((new >= all_films.value).mean())
    assert 0.88 <= np.mean(together) <= 0.95
    assert 0.88 <= np.mean(one_each) <= 0.95
    assert np.mean(films) > np.mean(together)  # the promise for all films together costs size


def test_patients_unlike_those_of_calibration_are_not_covered():
    rng = np.random.default_rng(5)
    scores, right, patients = drawn(rng, 99, 1)
    threshold = fit_threshold(right_scores(scores, right), patients, alpha=0.1)
    harder, right, patients = drawn(rng, 200, 1)
    harder[:, 0] -= 2
    assert evaluate_sets(harder, right, threshold, patients).coverage.high < 0.9


def test_a_query_drawn_from_each_patient_depends_on_the_generator_alone():
    scores = np.random.default_rng(0).normal(size=60)
    patients = [f"patient {number % 20}" for number in range(60)]
    first, second, other = (
        fit_threshold(scores, patients, alpha=0.3, rng=np.random.default_rng(seed)).value for seed in (1, 1, 2)
    )
    assert first == second != other
    lowest = sorted(min(scores[number::20]) for number in range(20))
    assert fit_threshold(scores, patients, alpha=0.3).value == lowest[5]  # 0.3 of 21 gaps: 6


def test_too_few_patients_are_said_with_the_number_needed():
    assert [needed_patients(alpha) for alpha in (0.5, 0.2, 0.1, 0.05, 0.01)] == [1, 4, 9, 19, 99]
    with pytest.raises(ValueError, match=r"coverage 0.9 needs at least 9 calibration patients, got 8"):
        fit_threshold(np.arange(8.0), alpha=0.1)
    # Many films of few patients do not help.
    with pytest.raises(ValueError, match=r"at least 9 calibration patients, got 4"):
        fit_threshold(np.arange(80.0), np.arange(80) % 4, alpha=0.1)


def test_what_cannot_be_calibrated_is_refused():
    for alpha in (0, 1, -0.1, float("nan")):
        with pytest.raises(ValueError, match="is not allowed: it is the share that may be missed"):
            fit_threshold(np.arange(30.0), alpha=alpha)
    with pytest.raises(ValueError, match=r"a finite score per query, at least one query; got shape \(0,\)"):
        fit_threshold([])
    with pytest.raises(ValueError, match="a finite score per query"):
        fit_threshold([0.1, np.inf])
    with pytest.raises(ValueError, match="one patient per query: expected 20, got 3"):
        fit_threshold(np.arange(20.0), ["a", "b", "c"])
    with pytest.raises(ValueError, match="1 of 2 are missing"):
        fit_threshold([0.1, 0.2], ["a", None], alpha=0.5)
    with pytest.raises(ValueError, match="no relevant item"):
        right_scores(np.eye(2), np.zeros((2, 2), dtype=bool))
