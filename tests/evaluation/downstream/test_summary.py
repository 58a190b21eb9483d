"""What notebook 05 puts on the page."""

from dataclasses import replace

import numpy as np
import pytest

from pedclip.evaluation.downstream.run import DownstreamSettings, run_probes
from pedclip.evaluation.downstream.summary import (
    calibration_rows,
    class_rows,
    differences,
    probabilities,
    score_rows,
    task_rows,
)
from pedclip.evaluation.tasks.task import Task
from pedclip.notebook.galleries import age_rows, worst_errors
from pedclip.triplets.arrays import TripletArrays
from pedclip.triplets.splits import SPLITS
from tests.evaluation.tiny_tasks import random_table

COUNT = 80
RNG = np.random.default_rng(0)
ROWS, PATIENTS, LABELS, MONTHS = random_table(COUNT, 2)
GOOD = {split: LABELS[split] + RNG.normal(0, 0.5, (COUNT, 2)) for split in SPLITS}
NOISE = {split: RNG.normal(size=(COUNT, 2)) for split in SPLITS}
WRIST = Task("wrist", "multi-label", ("fracture", "swelling"), ROWS, LABELS, paper="GRAZPEDWRI-DX")
AGE = Task("bone age", "regression", (), ROWS, MONTHS, paper="RSNA-BoneAge")
FILMS = TripletArrays(np.zeros((COUNT, 16, 16), np.uint8), [""] * COUNT, np.zeros(COUNT, np.int64), PATIENTS["test"])
FOUND = run_probes([WRIST, AGE], {"PedCLIP": GOOD, "untrained": NOISE}, PATIENTS, DownstreamSettings(num_resamples=100))


def test_tasks_and_scores_have_a_row_each() -> None:
    assert task_rows([WRIST, AGE])["as in the paper"].tolist() == ["GRAZPEDWRI-DX", "RSNA-BoneAge"]
    table = score_rows(FOUND.values())
    assert len(table) == 5
    assert (table.low <= table.value).all()
    assert score_rows([]).columns.tolist() == table.columns.tolist()


def test_a_task_says_how_many_positives_its_rarest_class_has() -> None:
    labels = {split: np.array([[1.0, 0], [1, np.nan], [0, 1]]) for split in SPLITS}
    rare = replace(WRIST, labels=labels | {"train": np.ones((4, 2))})
    column = "rarest class, training / test"
    assert task_rows([rare, AGE])[column].tolist() == ["swelling: 4 / 1", "–"]
    numbers = {split: np.array([0, 0, 1, 1, 1]) for split in SPLITS}
    part = Task("region", "multi-class", ("hand", "foot"), ROWS, numbers)
    assert task_rows([part])[column].tolist() == ["hand: 2 / 2"]


def test_differences_are_paired_and_leave_out_what_one_method_lacks() -> None:
    table = differences(FOUND, "PedCLIP", "untrained", num_resamples=100)
    assert table.task.tolist() == ["wrist", "bone age"]
    first = table.iloc[0]
    assert first.difference == pytest.approx(first["PedCLIP"] - first["untrained"])
    assert first.low > 0
    assert differences(FOUND, "PedCLIP", "absent", num_resamples=100).empty


def test_classes_end_with_their_mean() -> None:
    table = class_rows([FOUND["wrist", "PedCLIP"]], "concept")
    assert table.concept.tolist() == ["fracture", "swelling", "mean"]
    assert table.value.iloc[2] == pytest.approx(table.value.iloc[:2].mean())


def test_probabilities_do_not_overflow() -> None:
    assert probabilities(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]
    assert probabilities(np.array([1.0])) == pytest.approx(1 / (1 + np.exp(-1)))


def test_platt_scaling_mends_probabilities_and_counts_every_known_label() -> None:
    far = {split: 1 + 40 * values for split, values in NOISE.items()}
    result = run_probes([WRIST], {"noise": far}, PATIENTS, DownstreamSettings(num_resamples=100))["wrist", "noise"]
    made = result.require_predictions()
    loud = replace(result, predictions=replace(made, output=made.output * 100))  # a scale that no ranking sees
    table, errors = calibration_rows(WRIST, WRIST.split(far, PATIENTS), loud, num_resamples=100)
    assert table.groupby("task")["count"].sum().tolist() == [2 * COUNT] * 2
    assert errors["as fitted"] > 0.3
    table, mended = calibration_rows(WRIST, WRIST.split(far, PATIENTS), result, num_resamples=100)
    assert mended["rescaled"] < 0.15


def test_the_worst_errors_are_misses_and_false_alarms_with_each_film_once() -> None:
    result = FOUND["wrist", "PedCLIP"]
    table = worst_errors(result, WRIST, FILMS, count=5)
    made = result.require_predictions()
    chance = probabilities(made.output)
    misses, alarms = (part for _, part in table.groupby("half", sort=False))
    assert misses.half.iloc[0].startswith("Worst misses")
    missed = np.where(made.truth == 1, 1 - chance, 0).max(axis=1)  # of each film the label most wrong
    assert misses.error.tolist() == pytest.approx(sorted(missed, reverse=True)[:5])
    raised = np.where(made.truth == 0, chance, 0).max(axis=1)
    assert alarms.error.tolist() == pytest.approx(sorted(raised, reverse=True)[:5])
    assert misses.truth.str.fullmatch("(fracture|swelling): finding present").all()
    assert alarms.truth.str.fullmatch("(fracture|swelling): finding absent").all()


def test_a_probability_is_never_said_to_be_nothing_and_an_unknown_label_is_no_error() -> None:
    truth, output = np.array([[1.0, np.nan], [0.0, 1.0]]), np.array([[-9.0, 9.0], [9.0, 0.0]])
    found = FOUND["wrist", "PedCLIP"]
    made = replace(found.require_predictions(), truth=truth, output=output)
    result = replace(found, predictions=made)
    table = worst_errors(result, WRIST, FILMS, count=4)
    assert table.predicted.tolist() == ["judged <1 % likely", "judged 50 % likely", "judged >99 % likely"]


def test_ages_are_judged_too_old_and_too_young() -> None:
    result = FOUND["bone age", "untrained"]
    table = worst_errors(result, AGE, FILMS, count=3)
    errors = result.require_predictions().output - MONTHS["test"]
    assert table.half.tolist() == ["Judged too old"] * 3 + ["Judged too young"] * 3
    assert table.error.iloc[[0, 3]].tolist() == pytest.approx([errors.max(), -errors.min()])


def test_ages_keep_the_order_of_the_films() -> None:
    table = age_rows(FOUND["bone age", "PedCLIP"], AGE, FILMS)
    np.testing.assert_allclose(table.truth, MONTHS["test"])
    assert table.image.str.startswith("data:image/webp").all()
