"""The probe against scikit-learn; penalties chosen on validation; test never seen; leaks and degenerate labels."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from pedclip.evaluation.downstream.logistic import LabelKind, fit_path
from pedclip.evaluation.downstream.probes import FALLBACK_PENALTY, fit_probe, linear_probe
from pedclip.evaluation.metrics.classification import auc, macro_auc
from pedclip.evaluation.metrics.per_image import accuracy
from pedclip.evaluation.result import Scoring
from pedclip.evaluation.tasks.patient_split import Part, PatientLeak, PatientSplit

SCORING = Scoring("task", "linear probe", num_resamples=50)


def make(
    number: int, seed: int, *, num_labels: int = 3, width: int = 12
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(0).normal(size=(width, width)) * np.logspace(1, -2, width)[:, None]
    features = rng.normal(size=(number, width)) @ mixing + 5
    logits = StandardScaler().fit_transform(features) @ np.random.default_rng(1).normal(size=(width, num_labels))
    return features, (logits + rng.logistic(size=logits.shape) > 0.5).astype(np.int64)


def make_split(*, kind: LabelKind = "multi-label", prefix: str = "") -> PatientSplit:
    parts = []
    for name, number in (("train", 120), ("validation", 60), ("test", 90)):
        features, labels = make(number, len(name))
        truth = labels.astype(float) if kind == "multi-label" else labels @ np.array([1, 1, 1])
        parts.append(Part(features, truth, np.array([f"{prefix}{name}{i // 2}" for i in range(number)])))
    return PatientSplit(*parts)


@pytest.mark.parametrize("penalty", [1e-3, 1.0, 100.0])
def test_labels_equal_scikit_learn(penalty: float) -> None:
    features, labels = make(300, 5)
    scaler = StandardScaler().fit(features)
    path = fit_path(features, labels, (1e-4, penalty), kind="multi-label", tolerance=1e-7, gap=1e-9)
    for label in range(3):
        model = LogisticRegression(C=penalty, tol=1e-8, max_iter=10_000)
        expected = model.fit(scaler.transform(features), labels[:, label]).decision_function(scaler.transform(features))
        assert path[1](features)[:, label] == pytest.approx(expected, abs=1e-3)  # both stop near the optimum
        quick = fit_path(features, labels, (1e-4, penalty), kind="multi-label")[1]
        assert quick(features)[:, label] == pytest.approx(expected, abs=5e-2)


def test_classes_equal_scikit_learn() -> None:
    features, labels = make(300, 5)
    classes = labels.sum(axis=1)
    scaler = StandardScaler().fit(features)
    model = LogisticRegression(C=0.1, tol=1e-8, max_iter=10_000).fit(scaler.transform(features), classes)
    scores = fit_path(features, classes, (0.1,), kind="multi-class", num_classes=4, tolerance=1e-7, gap=1e-9)[0](
        features
    )
    ours = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert ours == pytest.approx(model.predict_proba(scaler.transform(features)), abs=1e-4)


def test_missing_labels_and_constant_features_change_nothing_else() -> None:
    features, labels = make(200, 6)
    partial = labels.astype(float)
    partial[::3, 1] = np.nan
    wide = np.concatenate([features, np.full((200, 2), 3.0)], axis=1)
    path = fit_path(wide, partial, (0.1,), kind="multi-label", tolerance=1e-7, gap=1e-9)[0]
    whole = fit_path(features, labels, (0.1,), kind="multi-label", tolerance=1e-7, gap=1e-9)[0]
    assert path.weight[-2:] == pytest.approx(np.zeros((2, 3)), abs=1e-12)
    assert path.weight[:-2, [0, 2]] == pytest.approx(whole.weight[:, [0, 2]], abs=1e-3)
    known = ~np.isnan(partial[:, 1])
    alone = (features - features.mean(axis=0)) / features.std(axis=0)
    model = LogisticRegression(C=0.1, tol=1e-8, max_iter=10_000).fit(alone[known], partial[known, 1])
    assert path(wide)[:, 1] == pytest.approx(model.decision_function(alone), abs=1e-3)


def test_each_label_has_the_penalty_that_is_best_on_validation() -> None:
    task = make_split()
    probe = fit_probe(task.train, task.validation, kind="multi-label", penalties=(1e-3, 1e-1, 10.0))
    for label, chosen in enumerate(probe.penalties):
        ranks = {}
        for penalty in (1e-3, 1e-1, 10.0):
            linear = fit_path(task.train.inputs, task.train.truth, (penalty,), kind="multi-label")[0]
            ranks[penalty] = auc(task.validation.truth[:, label], linear(task.validation.inputs)[:, label])
        assert ranks[chosen] == pytest.approx(max(ranks.values()), abs=5e-3)  # paths end within the tolerance
    scores = probe.scores(task.test.inputs)
    assert linear_probe(
        task, "abc", kind="multi-label", scoring=SCORING, penalties=(1e-3, 1e-1, 10.0)
    ).require_predictions().output == (pytest.approx(scores))


def test_what_is_tested_on_changes_no_fit() -> None:
    task = make_split()
    shuffled = task.test.truth[::-1].copy()
    other = replace(task, test=Part(task.test.inputs * 2, shuffled, task.test.patients))
    first, second = (linear_probe(one, "abc", kind="multi-label", scoring=SCORING) for one in (task, other))
    assert first.settings == second.settings
    assert second.require_predictions().output == pytest.approx(
        fit_probe(task.train, task.validation, kind="multi-label").scores(2 * task.test.inputs)
    )


def test_a_leaked_patient_stops_the_probe() -> None:
    task = make_split()
    patients = task.test.patients.copy()
    patients[3] = task.train.patients[0]
    with pytest.raises(PatientLeak, match="1 patients are in both the training and the test part"):
        linear_probe(
            replace(task, test=Part(task.test.inputs, task.test.truth, patients)),
            "abc",
            kind="multi-label",
            scoring=SCORING,
        )


def test_result_of_labels_and_of_classes() -> None:
    labels = linear_probe(make_split(), ("a", "b", "c"), kind="multi-label", scoring=SCORING)
    assert labels.metric == "AUC"
    assert labels.score.value == pytest.approx(np.mean([one.score.value for one in labels.classes if one.score]))
    assert labels.score.value > 0.75 > labels.baseline
    assert (labels.num_train, labels.num_train_patients, labels.num_validation) == (120, 60, 60)
    task = make_split(kind="multi-class")
    classes = linear_probe(task, ("0", "1", "2", "3"), kind="multi-class", scoring=SCORING)
    assert classes.score.value == pytest.approx((classes.require_predictions().output == task.test.truth).mean())
    assert classes.score.value > classes.baseline
    assert sum(one.num_positives for one in classes.classes) == 90


@pytest.mark.parametrize("kind", ["multi-label", "multi-class"])
def test_every_interval_is_over_patients(kind: LabelKind) -> None:
    split = make_split(kind=kind)
    truth, patients = np.array(split.test.truth), split.test.patients
    if kind == "multi-label":
        truth[::4, 0] = np.nan  # the patients of the labelled films alone
    split = replace(split, test=Part(split.test.inputs, truth, patients))
    done = linear_probe(split, "abcd"[: 3 if kind == "multi-label" else 4], kind=kind, scoring=SCORING)
    output = done.require_predictions().output
    whole = macro_auc if kind == "multi-label" else accuracy
    assert done.score == whole.bootstrap(truth, output, patients, num_resamples=50)
    for number, found in enumerate(done.classes):
        if kind == "multi-label":
            rows = np.flatnonzero(~np.isnan(truth[:, number]))
            given = (truth[rows, number], output[rows, number], patients[rows])
            expected = auc.bootstrap(*given, num_resamples=50)
        else:
            rows = np.flatnonzero(truth == number)
            given = (np.ones(len(rows)), output[rows] == number, patients[rows])
            expected = accuracy.bootstrap(*given, num_resamples=50)
        assert str(found.score) == str(expected)
        assert found.score
        assert found.score.num_groups == len(set(patients[rows])) < len(rows)


def test_the_baseline_is_the_commonest_class_of_training_and_not_of_the_test_images() -> None:
    split = make_split(kind="multi-class")
    train, test = np.array(split.train.truth), np.array(split.test.truth)
    train[:100], test[:80], test[80:] = 1, 2, 1
    split = replace(
        split,
        train=Part(split.train.inputs, train, split.train.patients),
        test=Part(split.test.inputs, test, split.test.patients),
    )
    done = linear_probe(split, "abcd", kind="multi-class", scoring=SCORING)
    assert (done.baseline, done.baseline_name) == (pytest.approx(10 / 90), "commonest class of training")


@pytest.mark.parametrize("kind", ["multi-label", "multi-class"])
def test_among_equals_the_stronger_penalty_is_taken(kind: LabelKind) -> None:
    # One feature tells the label without a mistake at any penalty.
    labels = np.arange(40) % 2
    features = (labels + 0.1 * np.random.default_rng(0).random(40))[:, None]
    truth = labels[:, None].astype(float) if kind == "multi-label" else labels
    train, validation = (Part(features, truth, np.array([f"{name}{i}" for i in range(40)])) for name in "ab")
    probe = fit_probe(train, validation, kind=kind, num_classes=2, penalties=(10.0, 0.1, 1.0))
    assert probe.penalties.tolist() == [0.1]


def test_a_constant_that_rounding_moves_is_no_feature() -> None:
    features, labels = make(200, 6)
    # The mean of 200 equal numbers is not always that number.
    constants = np.tile([1e7 / 3, -1e9 / 7, 1e-3 / 3, 0.1], (200, 1))
    shaken = 1e6 * (1 + 1e-15 * np.random.default_rng(0).integers(-1, 2, (200, 1)))
    wide = np.concatenate([features, constants, shaken], axis=1)
    path = fit_path(wide, labels, (0.1, 10.0), kind="multi-label", tolerance=1e-7)
    whole = fit_path(features, labels, (0.1, 10.0), kind="multi-label", tolerance=1e-7)
    for one, expected in zip(path, whole, strict=True):
        assert np.abs(one.weight[12:]).max() < 1e-12
        assert one(wide) == pytest.approx(expected(features), abs=1e-3)  # both stop near the optimum


def test_labels_without_both_answers() -> None:
    task = make_split()
    train, validation, test = (np.array(part.truth) for part in (task.train, task.validation, task.test))
    train[:, 0] = 0  # nothing to learn
    validation[:, 1] = 1  # nothing to rank
    test[:, 2] = np.nan  # nothing to score
    parts = [
        Part(part.inputs, truth, part.patients)
        for part, truth in zip((task.train, task.validation, task.test), (train, validation, test), strict=True)
    ]
    done = linear_probe(PatientSplit(*parts), "abc", kind="multi-label", scoring=SCORING)
    first, second, third = done.classes
    assert first.score
    assert first.score.value == 0.5
    assert done.settings["C"][:2] == [0.0, FALLBACK_PENALTY]
    assert second.score
    assert third.score is None
    assert third.num_items == 0
    empty = Part(np.zeros((0, 12)), np.zeros((0, 3)), np.array([]))
    assert fit_probe(task.train, empty, kind="multi-label").penalties.tolist() == [FALLBACK_PENALTY] * 3


@pytest.mark.parametrize(
    ("truth", "kind", "words"),
    [
        (np.zeros(4), "multi-label", r"give one label as \(N, 1\)"),
        (np.zeros(4, int), "multi-class", "at least 2 classes"),
        (np.array([0, 1, 2, 9]), "multi-class", "of 0 to 2"),
        (np.zeros((4, 2)), "multi-class", "class numbers"),
    ],
)
def test_refuses_labels_of_another_kind(truth: NDArray[np.int64], kind: LabelKind, words: str) -> None:
    train = Part(np.zeros((4, 2)), truth, np.arange(4))
    with pytest.raises(ValueError, match=words):
        fit_probe(train, train, kind=kind, num_classes=3)


def test_labels_are_probed_independently() -> None:
    task = make_split()
    parts = [Part(part.inputs, part.truth[:, [2]], part.patients) for part in (task.train, task.validation, task.test)]
    three = linear_probe(task, ["a", "b", "c"], kind="multi-label", scoring=SCORING)
    alone = linear_probe(PatientSplit(*parts), ["c"], kind="multi-label", scoring=SCORING)
    assert alone.settings["C"][0] == three.settings["C"][2]
    assert alone.require_predictions().output[:, 0] == pytest.approx(
        three.require_predictions().output[:, 2], abs=5e-2
    )  # as near as the solver's tolerance


@pytest.mark.parametrize("kind", ["multi-label", "multi-class"])
def test_no_penalty_is_chosen_by_scores_that_are_not_finite(kind: LabelKind) -> None:
    task = make_split(kind=kind)
    task.validation.inputs[3, 2] = np.nan
    with pytest.raises(ValueError, match="not finite, so that no penalty can be chosen; look for NaN"):
        fit_probe(task.train, task.validation, kind=kind, num_classes=4)
