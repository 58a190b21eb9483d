import csv
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, Features, Image
from PIL import Image as PILImage
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_info, threadpool_limits

from pedclip.evaluation.metrics.classification import auc
from pedclip.evaluation.tasks.findings import discover_findings
from pedclip.evaluation.zero_shot.shortcut_baseline import (
    shortcut_features,
    shortcut_findings,
    shortcut_labels,
    shortcut_regions,
    shortcut_scores,
)

REAL = Path(__file__).resolve().parents[3] / "../shared/data/kermany-pediatric-cxr"


def test_features_by_hand():
    image = np.zeros((16, 32), dtype=np.uint8)
    image[:2, :4] = 255  # the first cell of the thumbnail
    image[14:, 28:30] = 51  # half of the last
    features = shortcut_features([image])
    expected = np.zeros(65)
    expected[[0, 63, 64]] = 1, 26 / 255, 2  # 25.5 is stored as a whole gray value
    assert features == pytest.approx(expected[None], abs=1 / 255)
    assert features[0, 0] == 1
    assert features[0, 64] == 2


def test_arrays_pictures_and_data_sets_give_the_same_features():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (20 + 3 * i, 31), dtype=np.uint8) for i in range(3)]
    pictures = [PILImage.fromarray(image) for image in images]
    data = Dataset.from_dict({"image": pictures, "text": ["a"] * 3}, features=None).cast_column("image", Image())
    assert isinstance(data.features, Features)
    for same in (pictures, data, [{"image": image} for image in images]):
        assert np.array_equal(shortcut_features(same), shortcut_features(images))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([np.zeros((4, 4))], "image 0 must be .* float64"),
        ([np.zeros((4, 4, 3), dtype=np.uint8)], r"\(4, 4, 3\)"),
        ([], "at least one image"),
    ],
)
def test_features_refuse_what_is_no_stored_film(images, words):
    with pytest.raises(ValueError, match=words):
        shortcut_features(images)


def make_split(rng, num, *, leak):
    """Films of two groups; with a leak the positives are wider and brighter in one corner."""
    labels = rng.integers(0, 2, num)
    features = rng.normal(size=(num, 65))
    features[:, 64] += leak * labels
    features[:, 5] += leak * labels
    return features, labels


def test_a_leak_is_found_and_noise_is_not():
    rng = np.random.default_rng(0)
    for leak, lowest, highest in ((3, 0.97, 1), (0, 0.35, 0.65)):
        train, labels = make_split(rng, 200, leak=leak)
        test, truth = make_split(rng, 200, leak=leak)
        scores = shortcut_scores(train, labels, test, seed=0)
        assert lowest <= roc_auc_score(truth, scores) <= highest


def test_scores_do_not_depend_on_units():
    rng = np.random.default_rng(0)
    train, labels = make_split(rng, 60, leak=1)
    test, _ = make_split(rng, 20, leak=1)
    scale, shift = rng.uniform(0.1, 9, 65), rng.normal(size=65)
    scores = shortcut_scores(train, labels, test, seed=0)
    assert shortcut_scores(train * scale + shift, labels, test * scale + shift, seed=0) == pytest.approx(
        scores, abs=1e-3
    )  # the optimizer stops at a gradient of 1e-4
    assert np.array_equal(shortcut_scores(train, labels, test, seed=0), scores)


def test_the_penalty_is_chosen_across_patients():
    """Copies of one film in several folds reward learning it by heart; folds by patient do not."""
    rng = np.random.default_rng(1)
    films, classes = rng.normal(size=(30, 65)), np.arange(30) % 2
    train, labels, patients = np.repeat(films, 10, axis=0), np.repeat(classes, 10), np.repeat(np.arange(30), 10)
    train = train + 0.01 * rng.normal(size=train.shape)
    test = rng.normal(size=(50, 65))
    by_image = shortcut_scores(train, labels, test, seed=0)
    by_patient = shortcut_scores(train, labels, test, seed=0, train_groups=patients)
    assert np.abs(by_patient).mean() < np.abs(by_image).mean() / 2


def make_rows(num, prefix, regions=("knee",)):
    return [
        {
            "findings": ["fracture"] if i % 2 else [],
            "region": regions[i // 2 % len(regions)],
            "source": "a",
            "patient_id": f"{prefix}{i // 2}",
        }
        for i in range(num)
    ]


def test_findings_stand_beside_the_zero_shot_results():
    rng = np.random.default_rng(0)
    train_rows, test_rows = make_rows(80, "train"), make_rows(40, "test")
    films = np.repeat(rng.normal(size=(8, 65)), 10, axis=0)
    train, test = films + 0.1 * rng.normal(size=(80, 65)), rng.normal(size=(40, 65))
    train[1::2, :2] += 1
    test[1::2, :2] += 1
    tasks = discover_findings(test_rows)
    train_rows = [row | {"patient_id": f"train{i // 10}"} for i, row in enumerate(train_rows)]
    (result,) = shortcut_findings(train, train_rows, test, test_rows, tasks, num_resamples=50, seed=3)
    labels, patients = np.arange(80) % 2, np.arange(80) // 10
    scores = shortcut_scores(train, labels, test, seed=3, train_groups=patients)
    assert result.score.value == auc(np.arange(40) % 2, scores)
    by_image = shortcut_scores(train, labels, test, seed=3)
    assert auc(np.arange(40) % 2, by_image) != result.score.value  # so the line above can fail
    assert (result.task, result.method) == ("fracture", "shortcut")
    assert (result.classes[0].num_positives, result.score.num_groups) == (20, 20)
    unlabelled = [row | {"findings": None} for row in train_rows]
    assert shortcut_findings(train, unlabelled, test, test_rows, tasks) == []


def test_regions_stand_beside_the_zero_shot_result():
    rng = np.random.default_rng(0)
    regions = ("wrist", "hip", "hand")
    train_rows, test_rows = make_rows(90, "train", regions), make_rows(30, "test", (*regions, "toe"))
    train, test = rng.normal(size=(90, 65)), rng.normal(size=(30, 65))
    for features, rows in ((train, train_rows), (test, test_rows)):
        for vector, row in zip(features, rows, strict=True):
            vector[("wrist", "hip", "hand", "toe").index(row["region"])] += 6
    result = shortcut_regions(train, train_rows, test, test_rows, num_resamples=50)
    assert result.confusion.answers == ("hip", "wrist", "hand")  # nobody taught it toes
    assert result.confusion.truth == ("hip", "wrist", "hand", "toe")
    accuracy = [max(row) / sum(row) for row in result.confusion.counts[:3]]
    assert min(accuracy) > 0.8
    assert result.confusion.macro_accuracy <= 0.75


def test_a_patient_on_both_sides_is_an_error():
    rows, features = make_rows(20, "same"), np.zeros((20, 65))
    with pytest.raises(ValueError, match="10 patients are in both"):
        shortcut_findings(features, rows, features, rows, discover_findings(rows))
    with pytest.raises(ValueError, match=r"expected test features \(4, 65\), got \(20, 65\)"):
        shortcut_regions(features, rows, features, make_rows(4, "other"))


def test_training_needs_classes_and_patients():
    features = np.random.default_rng(0).normal(size=(6, 65))
    with pytest.raises(ValueError, match="labels 0 and 1, got"):
        shortcut_scores(features, [1] * 6, features, seed=0)
    with pytest.raises(ValueError, match="at least 2 classes"):
        shortcut_labels(features, ["hip"] * 6, features, seed=0)
    with pytest.raises(ValueError, match="at least 2 patients, got 1"):
        shortcut_scores(features, [0, 1] * 3, features, seed=0, train_groups=["p"] * 6)
    with pytest.raises(ValueError, match="no fold has two classes"):
        shortcut_scores(features[:2], [0, 1], features, seed=0)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real films are not on this machine")
def test_real_films_give_away_normal_against_pneumonia():
    with (REAL / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    features = shortcut_features([np.asarray(PILImage.open(REAL / row["file"])) for row in rows])
    parts = [np.array([row["split"] == split for row in rows]) for split in ("train", "test")]
    labels = np.array([row["label"] != "normal" for row in rows]).astype(int)
    patients = np.array([row["patient_id"] for row in rows])[parts[0]]
    scores = shortcut_scores(features[parts[0]], labels[parts[0]], features[parts[1]], seed=0, train_groups=patients)
    assert roc_auc_score(labels[parts[1]], scores) > 0.95  # the README of the films measured 0.99


def test_a_fit_takes_one_thread_whatever_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, fit = [], GridSearchCV.fit

    def watched(self: GridSearchCV, *arguments: object) -> GridSearchCV:
        threads.extend(pool["num_threads"] for pool in threadpool_info())
        return fit(self, *arguments)

    monkeypatch.setattr(GridSearchCV, "fit", watched)
    rng = np.random.default_rng(0)
    with threadpool_limits(limits=2):
        shortcut_scores(rng.normal(size=(40, 65)), np.arange(40) % 2, rng.normal(size=(3, 65)), seed=0)
    assert set(threads) == {1}
