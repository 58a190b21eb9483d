"""Means over tasks and seeds by hand, and differences that share their patients."""

import numpy as np
import pytest

from pedclip.evaluation.macro import difference, interval, mean_of, of_queries, of_result
from pedclip.evaluation.metrics.classification import auc
from pedclip.evaluation.metrics.interval import Interval
from pedclip.evaluation.metrics.per_image import accuracy
from pedclip.evaluation.result import Predictions, Result
from pedclip.evaluation.zero_shot.recall import ranked_queries

PATIENTS = np.array(["a", "b", "c", "d"])


def result(labels: list[int], scores: list[float], owners: list[str]) -> Result:
    known = Predictions(auc, np.array(labels), np.array(scores), np.array(owners))
    score = Interval(auc(known.truth, known.output), 0, 1, len(labels), len(set(owners)), 0)
    return Result(
        task="t", method="m", metric="AUC", score=score, baseline=0.5, baseline_name="chance", predictions=known
    )


def test_a_mean_over_tasks_by_hand() -> None:
    first = of_result(result([1, 0, 1], [3, 2, 1], ["a", "b", "c"]), PATIENTS)  # AUC 1/2
    second = of_result(result([0, 1], [1, 2], ["d", "a"]), PATIENTS)  # AUC 1
    mean = mean_of([first, second])
    assert mean(np.ones((1, 4))).tolist() == [0.75]
    # Patient c is not drawn: the first task is right. Without d the second is undefined, and the first alone counts.
    assert mean(np.array([[1.0, 1, 0, 2], [1, 1, 1, 0]])).tolist() == [1.0, 0.5]


def test_a_task_without_a_patient_in_a_resample_is_left_out_of_the_mean() -> None:
    known = Predictions(accuracy, np.array([1, 2]), np.array([1, 1]), np.array(["a", "b"]))
    score = Interval(0.5, 0, 1, 2, 2, 0)
    whole = Result(
        task="t", method="m", metric="accuracy", score=score, baseline=0, baseline_name="", predictions=known
    )
    other = of_result(result([1, 0], [2, 1], ["c", "d"]), PATIENTS)  # AUC 1
    mean = mean_of([of_result(whole, PATIENTS), other])
    # Neither a nor b, then neither c nor d; a warning would be an error here.
    assert mean(np.array([[0.0, 0, 1, 1], [1, 1, 0, 0]])).tolist() == [1.0, 0.5]


def test_recall_counts_the_queries_of_the_patients_drawn() -> None:
    similarity = np.array([[2.0, 1, 0], [2, 1, 0], [0, 1, 2]])
    queries = ranked_queries(similarity, np.array([0, 1, 2]), ["a", "b", "b"])[0]
    recall = of_queries(queries, 1, PATIENTS)
    # Right for the first and the third film; b has two films, c none.
    counts = np.array([[1.0, 1, 1, 1], [0, 1, 0, 0], [3, 1, 0, 0]])
    assert recall(counts) == pytest.approx([2 / 3, 1 / 2, 4 / 5])
    assert np.isnan(recall(np.array([[0.0, 0, 4, 0]]))).all()


def test_a_difference_draws_the_same_patients_for_both() -> None:
    rng = np.random.default_rng(0)
    owners = np.array([f"p{row:03}" for row in range(60)])
    labels = rng.integers(0, 2, 60)
    hard = rng.normal(size=60)  # of the patient, for both methods
    one, other = (labels + hard + shift for shift in (rng.normal(0, 0.1, 60), rng.normal(0, 0.1, 60)))
    measures = [of_result(result(labels.tolist(), list(scores), list(owners)), owners) for scores in (one, other)]
    apart = difference(*measures)
    alone = interval(measures[0])
    assert apart.value == pytest.approx(measures[0](np.ones((1, 60)))[0] - measures[1](np.ones((1, 60)))[0])
    assert apart.high - apart.low < (alone.high - alone.low) / 2
    same = difference(measures[0], measures[0])
    # What is left is the reserve for few patients.
    assert same.value == 0
    assert same.high - same.low < (alone.high - alone.low) / 2


def test_a_rare_finding_has_the_interval_of_its_few_patients() -> None:
    rng = np.random.default_rng(0)
    owners = np.array([f"p{row:03}" for row in range(120)])
    labels = np.arange(120) < 5
    scores = labels * 0.5 + rng.normal(size=120)
    own = auc.bootstrap(labels, scores, owners)
    measure = of_result(result(labels.astype(int).tolist(), scores.tolist(), list(owners)), owners)
    found = interval(measure)
    # As of the task alone, whose interval rests on five positive patients and not on 120.
    assert (found.value, found.low, found.high) == pytest.approx((own.value, own.low, own.high), abs=1e-9)
    frequent = of_result(result((np.arange(120) < 60).astype(int).tolist(), scores.tolist(), list(owners)), owners)
    assert measure.freedom < 5 < frequent.freedom
    # Three findings: as sure as the one in the middle. A difference: as the less sure side.
    assert mean_of([frequent, measure, frequent]).freedom == frequent.freedom
    assert mean_of([measure, frequent]).freedom == measure.freedom


def test_misuse_raises() -> None:
    with pytest.raises(ValueError, match="at least one measure"):
        mean_of([])
    with pytest.raises(ValueError, match="not among those that are resampled"):
        of_result(result([1, 0], [1, 0], ["a", "z"]), PATIENTS)
    with pytest.raises(ValueError, match="needs the patient of each query"):
        of_queries(ranked_queries(np.eye(2), np.array([0, 1]))[0], 1, PATIENTS)
