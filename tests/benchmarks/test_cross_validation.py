"""Cross-validation by patient: no film is predicted by a probe that saw its patient."""

import numpy as np

from benchmarks.cross_validation import measure, out_of_fold


def test_features_that_name_the_patient_are_worth_nothing() -> None:
    rng = np.random.default_rng(0)
    patients = np.repeat([f"p{i}" for i in range(60)], 2)
    truth = np.repeat(rng.integers(0, 2, 60), 2)[:, None].astype(float)
    names = np.repeat(np.eye(60), 2, axis=0)  # one column per patient: separates those that were fitted on
    informative = truth + rng.normal(0, 0.5, truth.shape)
    question = {"name": "q", "kind": "multi-label", "rows": np.arange(120), "truth": truth, "classes": 1}
    methods = {"names": names, "imagenet": np.hstack([names, informative]), "thumbnail": informative}
    result = measure(question, methods, patients, folds=5, repeats=2)
    assert (result["films"], result["patients"]) == (120, 60)
    assert abs(result["methods"]["names"]["score"]["value"] - 0.5) < 0.2
    assert result["methods"]["thumbnail"]["score"]["value"] > 0.85
    assert result["methods"]["names"]["minus_thumbnail"]["high"] < 0
    assert "minus_thumbnail" not in result["methods"]["thumbnail"]


def test_every_film_gets_a_score_of_each_class() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 90)
    features = np.eye(3)[truth] + rng.normal(0, 0.3, (90, 3))
    scores = out_of_fold(features, truth, np.arange(90).astype(str), kind="multi-class", folds=3, repeats=1)
    assert scores.shape == (90, 3)
    assert np.mean(scores.argmax(axis=1) == truth) > 0.9
