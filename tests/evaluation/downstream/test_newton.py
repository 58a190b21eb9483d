"""The probe's objective where features outnumber films: within a thousandth of scikit-learn's, or said."""

import logging

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from pedclip.evaluation.downstream.logistic import INVERSE_PENALTIES, Linear, fit_path
from pedclip.evaluation.downstream.newton import Curved, newton


def films(number: int, width: int, labels: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(width, width)) * np.exp(-6 * np.arange(width) / width)[:, None]
    features = rng.normal(size=(number, width)) @ mixing
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    logits = 0.4 * features @ rng.normal(size=(width, labels))
    return features, logits + rng.logistic(size=logits.shape)


def of_labels(linear: Linear, features: NDArray[np.float64], truth: NDArray[np.float64], penalty: float) -> float:
    logits = linear(features)
    return float((np.logaddexp(0, logits) - truth * logits).sum() + (linear.weight**2).sum() / (2 * penalty))


def of_classes(linear: Linear, features: NDArray[np.float64], truth: NDArray[np.intp], penalty: float) -> float:
    logits = linear(features)
    total = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(truth)), truth]
    return float(total.sum() + (linear.weight**2).sum() / (2 * penalty))


def test_separable_labels_are_fitted_to_a_thousandth() -> None:
    features, scores = films(60, 100, 1)
    truth = (scores > 1).astype(float)
    for penalty, linear in zip(
        INVERSE_PENALTIES, fit_path(features, truth, INVERSE_PENALTIES, kind="multi-label"), strict=True
    ):
        model = LogisticRegression(C=penalty, tol=1e-10, max_iter=20_000, solver="newton-cholesky")
        model.fit(features, truth[:, 0])
        best = of_labels(Linear(model.coef_.T, model.intercept_), features, truth, penalty)
        assert of_labels(linear, features, truth, penalty) <= best * (1 + 2e-3)


def test_separable_classes_are_fitted_to_a_thousandth() -> None:
    features, scores = films(60, 100, 5)
    truth = scores.argmax(axis=1)
    path = fit_path(features, truth, INVERSE_PENALTIES, kind="multi-class", num_classes=5)
    for penalty, linear in zip(INVERSE_PENALTIES, path, strict=True):
        model = LogisticRegression(C=penalty, tol=1e-10, max_iter=20_000, solver="newton-cholesky")
        model.fit(features, truth)
        best = of_classes(Linear(model.coef_.T, model.intercept_), features, truth, penalty)
        assert of_classes(linear, features, truth, penalty) <= best * (1 + 2e-3)


def test_labels_with_one_answer_get_no_weight_and_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    features, scores = films(60, 100, 3)
    truth = (scores > 1).astype(float)
    truth[:, 1], truth[:, 2] = 1, np.nan
    with caplog.at_level(logging.WARNING):
        path = fit_path(features, truth, INVERSE_PENALTIES, kind="multi-label")
    assert caplog.messages == []
    assert all(np.abs(linear.weight[:, 1:]).max() < 1e-6 for linear in path)
    assert all(np.isfinite(linear.bias).all() for linear in path)


def test_a_fit_that_does_not_end_is_said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pedclip.evaluation.downstream.newton.MAX_STEPS", 1)
    features, scores = films(60, 100, 1)
    with caplog.at_level(logging.WARNING):
        fit_path(features, (scores > 1).astype(float), INVERSE_PENALTIES, kind="multi-label")
    assert "logistic regression at C = 100: " in caplog.messages[-1]


def test_one_step_solves_a_parabola() -> None:
    inputs = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]], dtype=torch.float64)
    wanted = torch.tensor([[1.0], [2.0], [0.0]], dtype=torch.float64)
    problem = Curved(
        True,
        lambda logits: ((logits - wanted).square() / 2).sum(dim=0),
        lambda logits: logits - wanted,
        lambda logits: (lambda direction: direction, torch.ones_like(logits)),
    )
    ridge = torch.full((2, 1), 0.5, dtype=torch.float64)
    weight, left = newton(inputs, problem, torch.zeros(2, 1, dtype=torch.float64), ridge, gap=1e-12)
    exact = torch.linalg.solve(inputs.T @ inputs + torch.diag(ridge[:, 0]), inputs.T @ wanted)
    assert torch.allclose(weight, exact, atol=1e-5)
    assert float(left) <= 1e-12
