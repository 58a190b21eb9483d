"""Bone age (or any number in months) from frozen features by ridge regression."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.downstream.logistic import Linear
from pedclip.evaluation.metrics.bootstrap import Floats
from pedclip.evaluation.metrics.per_image import mae
from pedclip.evaluation.result import Result, Scoring
from pedclip.evaluation.tasks.patient_split import Part, PatientSplit

RIDGE: Final = tuple(10.0**power for power in range(-4, 3))  # per training image
FALLBACK_RIDGE: Final = 1e-1  # without validation images


def fit_ridge(train: Part, validation: Part, *, penalties: Sequence[float] = RIDGE) -> tuple[Linear, float]:
    """Ridge regression with the penalty that has the lowest error on the validation images.

    Args:
        train: Features (N, C) and targets (N,), finite.
        validation: The same for other patients; may be empty.
        penalties: λ to choose from, each above 0: |y − Xw|²/N + λ|w|² on standardized features.

    Returns:
        Features -> (N, 1) in the unit of the targets, and the chosen λ.

    Raises:
        ValueError: Features or targets of another shape, or not finite.
    """
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    _check(train)
    scaler = StandardScaler().fit(train.inputs.astype(np.float64))
    standard = scaler.transform(train.inputs.astype(np.float64))  # (N, C)
    fitted: dict[float, Linear] = {}
    for penalty in sorted(penalties if len(validation) else [FALLBACK_RIDGE], reverse=True):
        # λ weighs against the mean of the squared errors, scikit-learn's α against their sum.
        ridge = Ridge(alpha=penalty * len(train)).fit(standard, train.truth)
        weight = ridge.coef_ / scaler.scale_  # (C,)
        fitted[penalty] = Linear(weight[:, None], np.array([ridge.intercept_ - scaler.mean_ @ weight]))
    if not len(validation):
        return fitted[FALLBACK_RIDGE], FALLBACK_RIDGE
    # The strongest comes first, so that it stays among equals.
    best = min(fitted, key=lambda penalty: mae(validation.truth, fitted[penalty](validation.inputs)[:, 0]))
    return fitted[best], best


def regress(
    split: PatientSplit, *, scoring: Scoring, unit: str = "months", penalties: Sequence[float] = RIDGE
) -> Result:
    """Fit on training, choose on validation, score on test.

    Args:
        split: Features (N, C) and targets (N,); leave out images without a target.
        scoring: Names and bootstrap.
        unit: Of the targets.
        penalties: As for `fit_ridge`.

    Returns:
        The result, in mean absolute error; its baseline is the error of predicting the mean of training.

    Raises:
        ValueError: As `fit_ridge`.
    """
    linear, chosen = fit_ridge(split.train, split.validation, penalties=penalties)
    return score_age(split, linear(split.test.inputs)[:, 0], scoring, unit, {"ridge": chosen})


def predict_mean(split: PatientSplit, *, scoring: Scoring, unit: str = "months") -> Result:
    """The mean of the training targets for every test image: what a regression must beat."""
    _check(split.train)
    return score_age(split, np.full(len(split.test), float(split.train.truth.mean())), scoring, unit, {})


def score_age(split: PatientSplit, predicted: Floats, scoring: Scoring, unit: str, settings: dict[str, Any]) -> Result:
    """Predictions (N,) of the test images as an result; also for fine-tuned models."""
    # The bar to beat: it knows the training ages and no film.
    without_image = mae(split.test.truth, np.full(len(split.test), float(split.train.truth.mean())))
    return scoring.result(
        split,
        mae,
        predicted,
        name="MAE",
        unit=unit,
        baseline=(without_image, "mean of training"),
        settings=settings,
    )


def _check(part: Part) -> None:
    inputs: NDArray[Any] = part.inputs
    if inputs.ndim != 2 or part.truth.ndim != 1:
        raise ValueError(f"regression needs features (N, C) and targets (N,), got {inputs.shape}, {part.truth.shape}")
    # A NaN among the targets would make every weight NaN.
    if not (np.isfinite(inputs).all() and np.isfinite(part.truth).all()):
        raise ValueError("regression needs finite features and targets; leave out images without a target")
