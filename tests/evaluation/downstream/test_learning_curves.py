"""Fractions of the training patients, several subsamples of each."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from pedclip.evaluation.downstream.learning_curves import (
    curve_table,
    difference_of_means,
    learning_curve,
    mean_over_subsamples,
)
from pedclip.evaluation.result import Result, Scoring
from pedclip.evaluation.tasks.task import Task
from pedclip.triplets.splits import SPLITS

COUNTS = {"train": 200, "validation": 60, "test": 80}
SCORING = Scoring("findings", "", num_resamples=50)


def make_task() -> tuple[Task, dict[str, NDArray[np.float64]], dict[str, NDArray[np.str_]]]:
    """Two features, the first of which tells the label but for noise."""
    rng = np.random.default_rng(0)
    labels = {split: rng.integers(0, 2, (count, 1)).astype(float) for split, count in COUNTS.items()}
    features = {
        split: np.hstack([y + rng.normal(0, 0.6, y.shape), rng.normal(size=y.shape)]) for split, y in labels.items()
    }
    patients = {split: np.array([f"{split}{row // 2}" for row in range(count)]) for split, count in COUNTS.items()}
    rows = {split: np.arange(count) for split, count in COUNTS.items()}
    return Task("findings", "multi-label", ("finding",), rows, labels), features, patients


def curve_of(fractions: tuple[float, ...] = (0.1, 1.0)) -> dict[tuple[str, float], list[Result]]:
    task, features, patients = make_task()
    noise = {split: np.random.default_rng(1).normal(size=values.shape) for split, values in features.items()}
    return learning_curve(
        task, {"model": features, "noise": noise}, patients, fractions=fractions, seeds=3, scoring=SCORING
    )


def test_every_method_has_every_fraction_and_all_patients_once() -> None:
    curve = curve_of()
    assert {key: len(results) for key, results in curve.items()} == {
        ("model", 0.1): 3, ("model", 1.0): 1, ("noise", 0.1): 3, ("noise", 1.0): 1,
    }  # fmt: skip
    assert [one.num_train_patients for one in curve["model", 0.1]] == [10, 10, 10]
    assert curve["model", 1.0][0].method == "model"
    assert curve["model", 1.0][0].score.value > 0.8 > curve["noise", 1.0][0].score.value


def test_methods_learn_from_the_same_subsamples() -> None:
    task, features, patients = make_task()
    curve = learning_curve(
        task, {"one": features, "two": features}, patients, fractions=(0.1,), seeds=2, scoring=SCORING
    )
    for one, two in zip(curve["one", 0.1], curve["two", 0.1], strict=True):
        np.testing.assert_array_equal(one.require_predictions().output, two.require_predictions().output)
    assert not np.array_equal(
        curve["one", 0.1][0].require_predictions().output, curve["one", 0.1][1].require_predictions().output
    )


def test_the_mean_over_subsamples_is_a_mean_and_its_interval_holds_it() -> None:
    results = curve_of()["model", 0.1]
    score = mean_over_subsamples(results, num_resamples=200)
    assert score.value == pytest.approx(np.mean([one.score.value for one in results]))
    assert score.low < score.value < score.high
    assert score.num_groups == 40
    with pytest.raises(ValueError, match="same test images"):
        mean_over_subsamples([])


def test_the_difference_is_paired_over_patients() -> None:
    """A set of results differs from itself by nothing in every resample, whatever the patients drawn."""
    curve = curve_of()
    model, noise = curve["model", 0.1], curve["noise", 0.1]
    same = difference_of_means(model, model, num_resamples=200)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    gain, loss = (difference_of_means(*pair, num_resamples=200) for pair in ((model, noise), (noise, model)))
    scores = [np.mean([one.score.value for one in results]) for results in (model, noise)]
    assert gain.value == pytest.approx(scores[0] - scores[1])
    assert (gain.low, gain.high) == pytest.approx((-loss.high, -loss.low))
    assert gain.low > 0
    with pytest.raises(ValueError, match="at least one result on either side"):
        difference_of_means(model, [])
    other = dataclasses.replace(noise[0], task="age")
    with pytest.raises(ValueError, match="one task and metric"):
        difference_of_means(model, [other])
    made = noise[0].require_predictions()
    moved = dataclasses.replace(made, patients=made.patients[::-1])
    elsewhere = dataclasses.replace(noise[0], predictions=moved)
    with pytest.raises(ValueError, match="same test images"):
        difference_of_means(model, [elsewhere])


def test_a_subsample_of_one_class_is_left_out_of_a_multi_class_task() -> None:
    task, features, patients = make_task()
    numbers = {split: values[:, 0].astype(int) for split, values in task.labels.items()}
    classes = Task("region", "multi-class", ("a", "b"), task.rows, numbers)
    methods = {"model": features}
    curve = learning_curve(classes, methods, patients, fractions=(0.001, 1.0), seeds=4, scoring=SCORING)
    assert len(curve.get(("model", 0.001), [])) < 4  # one patient of two images seldom has both classes
    assert curve["model", 1.0][0].score.value > 0.7


def test_the_table_has_a_row_per_point() -> None:
    table = curve_table({"findings": curve_of()})
    assert len(table) == 4
    row = table[(table["method"] == "model") & (table["share"] == 0.1)].iloc[0]
    assert row["lowest"] <= row["value"] <= row["highest"]
    assert (row["metric"], row["draws"], row["train"], row["chance"]) == ("AUC", 3, 20, 0.5)
    assert set(SPLITS) == set(COUNTS)
