"""Ridge against its normal equations; the error of the mean predictor; penalties chosen on validation."""

import numpy as np
import pytest

from pedclip.evaluation.downstream.regression import FALLBACK_RIDGE, RIDGE, fit_ridge, predict_mean, regress
from pedclip.evaluation.downstream.summary import compare_results
from pedclip.evaluation.result import Scoring
from pedclip.evaluation.tasks.patient_split import Part, PatientSplit

SCORING = Scoring("bone age", "ridge", num_resamples=100)


def make(name: str, number: int, *, noise: float = 8.0) -> Part:
    rng = np.random.default_rng(len(name))
    features = rng.normal(3, 5, (number, 10))
    months = 90 + features[:, :4] @ np.array([4.0, -3.0, 2.0, 1.0]) + noise * rng.normal(size=number)
    return Part(features, months, np.array([f"{name}{i}" for i in range(number)]))


def task() -> PatientSplit:
    return PatientSplit(make("train", 80), make("validation", 50), make("test", 60))


@pytest.mark.parametrize("penalty", [1e-3, 0.1, 10.0])
def test_is_the_minimum_of_the_penalized_mean_error(penalty: float) -> None:
    part, other = make("train", 80), make("elsewhere", 30).inputs
    linear, chosen = fit_ridge(part, make("validation", 50), penalties=(penalty,))
    assert chosen == penalty
    mean, spread = part.inputs.mean(axis=0), part.inputs.std(axis=0)
    standard, center = (part.inputs - mean) / spread, part.truth.mean()
    # The gradient of |y - Xw|²/N + λ|w|² is zero.
    weight = np.linalg.solve(standard.T @ standard / 80 + penalty * np.eye(10), standard.T @ (part.truth - center) / 80)
    assert linear(other)[:, 0] == pytest.approx(center + (other - mean) / spread @ weight, abs=1e-8)


def test_a_feature_that_never_changes_gets_no_weight() -> None:
    part, validation = make("train", 80), make("validation", 50)
    wide = [Part(np.c_[p.inputs, np.full(len(p), 3.0)], p.truth, p.patients) for p in (part, validation)]
    linear, chosen = fit_ridge(*wide)
    expected, same = fit_ridge(part, validation)
    assert linear.weight[-1] == 0
    assert linear.weight[:-1] == pytest.approx(expected.weight)
    assert chosen == same


def test_penalty_and_fallback() -> None:
    train, validation = make("train", 12, noise=40.0), make("validation", 50, noise=40.0)
    _, chosen = fit_ridge(train, validation, penalties=(1e-4, 1.0, 1e6))
    errors = {
        penalty: np.abs(
            validation.truth - fit_ridge(train, validation, penalties=(penalty,))[0](validation.inputs)[:, 0]
        ).mean()
        for penalty in (1e-4, 1.0, 1e6)
    }
    assert chosen == min(errors, key=lambda penalty: errors[penalty])
    empty = Part(np.zeros((0, 10)), np.zeros(0), np.array([]))
    assert fit_ridge(train, empty)[1] == FALLBACK_RIDGE


def test_beats_the_mean_by_a_paired_difference() -> None:
    split = task()
    ridge, mean = regress(split, scoring=SCORING), predict_mean(split, scoring=SCORING)
    assert mean.score.value == pytest.approx(np.abs(split.test.truth - split.train.truth.mean()).mean())
    assert ridge.baseline == mean.score.value
    assert (ridge.metric, ridge.unit) == ("MAE", "months")
    assert 5 < ridge.score.value < 9  # 8 months of noise are 6.4 of absolute error
    assert compare_results(mean, ridge).difference.low > 5


def test_constant_targets_and_refusals() -> None:
    part = make("train", 20)
    flat = Part(part.inputs, np.full(20, 7.0), part.patients)
    linear, chosen = fit_ridge(flat, flat)
    assert linear(part.inputs)[:, 0] == pytest.approx(np.full(20, 7.0))
    assert chosen == max(RIDGE)  # all alike: the strongest
    missing = part.truth.copy()
    missing[0] = np.nan
    with pytest.raises(ValueError, match="leave out images without a target"):
        fit_ridge(Part(part.inputs, missing, part.patients), part)
    with pytest.raises(ValueError, match=r"targets \(N,\)"):
        fit_ridge(Part(part.inputs, missing[:, None], part.patients), part)
