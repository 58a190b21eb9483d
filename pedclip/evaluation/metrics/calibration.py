"""Calibration of probabilities: shares observed in bins of predicted probability, expected error, Platt scaling."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pedclip.evaluation.metrics.bootstrap import Floats, bootstrap_interval


def reliability_table(
    labels: ArrayLike,
    probabilities: ArrayLike,
    patients: Sequence[object] | NDArray[Any],
    *,
    bins: int = 10,
    num_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Predicted probability beside the observed share of positives, in bins of about equal count.

    The bins are those of all films and stay fixed while patients are resampled. Where all labels of a bin agree, its
    interval is as wide as the number of its patients leaves it.

    Args:
        labels: (N,) 0 or 1, or booleans.
        probabilities: (N,) of the positive class, in [0, 1].
        patients: (N,) patient of each film.
        bins: Bins asked for, at least 1; there are fewer where probabilities tie or N is smaller.
        num_resamples: At least 1.
        seed: Of the resampling.

    Returns:
        One row per bin, rising: `predicted` (mean probability), `observed` (share of positives) with the ends `low`
        and `high` of its 95 % interval over patients (NaN where they are too few), all in [0, 1], and `count` (films).

    Raises:
        ValueError: No film, labels other than 0 and 1, probabilities outside [0, 1], other lengths, fewer than two
            patients, or no bin asked for.

    Source: DeGroot & Fienberg, The Statistician 32 (1983) 12-22 (reliability diagram); Guo et al., ICML 2017, Fig. 1.
        Differs: bins of equal count, as bins of equal width are often empty where findings are rare.
    """
    truth, predicted = _labels_and_probabilities(labels, probabilities)
    rows = []
    # Edges are fixed by all films: edges of each resample would make other bins every time.
    for inside in _bins(predicted, bins):
        # All films are resampled, not those of the bin: how many of a bin are drawn is part of the uncertainty.
        observed = bootstrap_interval(
            float(truth[inside].mean()),
            _share(truth, inside),
            num_items=len(truth),
            groups=patients,
            num_resamples=num_resamples,
            seed=seed,
            # Patients without a film in the bin say nothing about it.
            classes=[inside],
        )
        rows.append(
            {
                "predicted": float(predicted[inside].mean()),
                "observed": observed.value,
                "low": observed.low,
                "high": observed.high,
                "count": int(inside.sum()),
            }
        )
    return pd.DataFrame(rows, columns=["predicted", "observed", "low", "high", "count"])


def calibration_error(labels: ArrayLike, probabilities: ArrayLike, *, bins: int = 10) -> float:
    """Expected calibration error: mean distance of predicted and observed share over the bins, weighted by count.

    It is above 0 by chance even for perfect probabilities, the more so the fewer films a bin holds; compare only
    values of the same films and bins.

    Args:
        labels: (N,) 0 or 1, or booleans.
        probabilities: (N,) of the positive class, in [0, 1].
        bins: Bins asked for, at least 1; the same as those of ``reliability_table``.

    Returns:
        In [0, 1]; 0 is best.

    Raises:
        ValueError: No film, labels other than 0 and 1, probabilities outside [0, 1], other lengths, or no bin asked
            for.

    Source: Naeini et al., AAAI 2015 (ECE); Guo et al., ICML 2017, Eq. 3. Differs: bins of equal count, and the
        probability of the positive class where Guo et al. take the confidence in the predicted one.

    Example:
        >>> round(calibration_error([0, 0, 1, 1], [0.1, 0.3, 0.6, 0.8], bins=2), 9)
        0.25
    """
    truth, predicted = _labels_and_probabilities(labels, probabilities)
    # Sum over bins of n/N times |mean label − mean probability|, where n cancels.
    gaps = [abs(float((truth[inside] - predicted[inside]).sum())) for inside in _bins(predicted, bins)]
    return sum(gaps) / len(truth)


def fit_platt(labels: ArrayLike, log_odds: ArrayLike) -> tuple[float, float]:
    """Slope and intercept that turn the scores of a probe into log-odds that can be believed.

    A penalty chosen by AUC says nothing of the scale of the scores, because a ranking has none. These two numbers are
    fitted on films that the probe was not fitted on, and keep the ranking wherever the slope is positive.

    Args:
        labels: (N,) 0 or 1, both at least once, of validation films.
        log_odds: (N,) finite scores of the same films; higher is likelier.

    Returns:
        Slope and intercept; the calibrated log-odds are slope · score + intercept.

    Raises:
        ValueError: One class only, other labels, scores that are not finite, or lengths that differ.

    Source: Platt, Advances in Large Margin Classifiers (1999) 61-74. Differs: targets 0 and 1, not smoothed.
    """
    from sklearn.linear_model import LogisticRegression

    truth, scores = np.asarray(labels), np.asarray(log_odds, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != scores.shape or set(np.unique(truth).tolist()) != {0, 1}:
        raise ValueError(f"Platt scaling needs labels 0 and 1, both present, and as many scores; got {truth.shape}")
    if not np.isfinite(scores).all():
        raise ValueError("Platt scaling needs finite scores")
    spread = float(scores.std()) or 1.0  # a solver would not converge on scores in the hundreds
    # C=inf switches the penalty off: two numbers cannot overfit, and a penalty would flatten the slope.
    line = LogisticRegression(C=np.inf).fit(scores[:, None] / spread, truth)
    # The slope is that of the scaled scores; the intercept does not depend on their scale.
    return float(line.coef_[0, 0] / spread), float(line.intercept_[0])


def _bins(predicted: Floats, bins: int) -> list[NDArray[np.bool_]]:
    """The films (N,) of each bin that holds any; equal probabilities always share a bin."""
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    # Quantiles make bins of equal count; the outer edges are left away, as nothing lies beyond them.
    edges = np.quantile(predicted, np.linspace(0, 1, min(bins, len(predicted)) + 1))
    # Equal edges, where many probabilities tie, leave a bin empty; it is then not among the numbers.
    index = np.searchsorted(edges[1:-1], predicted)
    return [index == number for number in np.unique(index)]


def _share(truth: Floats, inside: NDArray[np.bool_]) -> Callable[[Floats], Floats]:
    """Share of positives in one bin as a function of (R, N) counts; NaN where no film of the bin was drawn."""

    def resampled(counts: Floats) -> Floats:
        drawn = counts[:, inside]  # (R, n)
        totals = drawn.sum(axis=1)
        # NaN is drawn again by the bootstrap.
        shares = np.full(len(counts), np.nan)
        np.divide(drawn @ truth[inside], totals, out=shares, where=totals > 0)
        return shares

    return resampled


def _labels_and_probabilities(labels: ArrayLike, probabilities: ArrayLike) -> tuple[Floats, Floats]:
    truth, predicted = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != predicted.shape or len(truth) == 0:
        raise ValueError(
            f"labels and probabilities are vectors of one length, at least 1, not {truth.shape} and {predicted.shape}"
        )
    if not np.isin(truth, (0, 1)).all():
        raise ValueError(f"calibration needs labels 0 and 1, got {np.unique(truth)[:5].tolist()}")
    if not ((predicted >= 0) & (predicted <= 1)).all():  # also false for NaN
        raise ValueError(
            f"probabilities lie in [0, 1], not {predicted.min():.3g} to {predicted.max():.3g}; "
            "turn scores into probabilities first"
        )
    return truth.astype(np.float64), predicted
