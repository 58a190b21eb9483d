"""Macro AUC against scikit-learn, with labels missing or of one class."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pedclip.evaluation.metrics.classification import macro_auc


def test_equals_scikit_learn_with_ties() -> None:
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, (80, 5)), rng.integers(0, 6, (80, 5)) / 5
    assert macro_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores, average="macro"), abs=1e-12)


def test_missing_labels_and_labels_of_one_class_are_left_out() -> None:
    rng = np.random.default_rng(1)
    labels, scores = rng.integers(0, 2, (60, 3)).astype(float), rng.random((60, 3))
    labels[::2, 0] = np.nan
    labels[:, 2] = 0
    expected = [
        roc_auc_score(labels[1::2, 0], scores[1::2, 0]),
        roc_auc_score(labels[:, 1], scores[:, 1]),
    ]
    assert macro_auc(labels, scores) == pytest.approx(np.mean(expected), abs=1e-12)


def test_resamples_are_what_repeating_the_images_gives() -> None:
    rng = np.random.default_rng(2)
    labels, scores = rng.integers(0, 2, (40, 3)).astype(float), rng.random((40, 3)).round(1)
    labels[5, 0] = np.nan
    counts = rng.integers(0, 4, (5, 40)).astype(float)
    values = macro_auc.resampler(labels, scores)(counts)
    for value, row in zip(values, counts.astype(int), strict=True):
        rows = np.repeat(np.arange(40), row)
        assert value == pytest.approx(macro_auc(labels[rows], scores[rows]), abs=1e-12)


def test_interval_over_patients_is_wider_than_over_images() -> None:
    rng = np.random.default_rng(3)
    labels, scores = np.repeat(rng.integers(0, 2, (30, 2)), 4, axis=0), np.repeat(rng.random((30, 2)), 4, axis=0)
    of_patients = macro_auc.bootstrap(labels, scores, np.arange(120) // 4)
    of_images = macro_auc.bootstrap(labels, scores)
    assert of_patients.high - of_patients.low > 1.5 * (of_images.high - of_images.low)


@pytest.mark.parametrize(
    ("labels", "scores", "words"),
    [
        (np.zeros((4, 2)), np.zeros((4, 2)), "a label with both classes"),
        (np.array([[2.0], [0.0]]), np.zeros((2, 1)), "0, 1, or NaN"),
        (np.array([[1.0], [0.0]]), np.array([[np.nan], [0.0]]), "finite"),
        (np.zeros(3), np.zeros(3), r"\(N, L\)"),
    ],
)
def test_refuses(labels: np.ndarray, scores: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        macro_auc(labels, scores)
