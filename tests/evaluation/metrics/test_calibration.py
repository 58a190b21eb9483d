"""Calibration: hand-computed values, scikit-learn as a second source, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from pedclip.evaluation.metrics.calibration import calibration_error, fit_platt, reliability_table

LABELS = [0, 0, 1, 0, 1, 1, 1, 1]
PROBABILITIES = [0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9]


def simulate(num_films, *, power=1.0, seed=0):
    """Labels drawn with the probability itself; a power other than 1 makes the stated probability wrong."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(size=num_films)
    return (rng.uniform(size=num_films) < truth).astype(int), truth**power


def test_two_bins_by_hand():
    table = reliability_table(LABELS, PROBABILITIES, np.arange(8), bins=2)
    assert table["predicted"].tolist() == pytest.approx([0.25, 0.75])
    assert table["observed"].tolist() == [0.25, 1.0]
    assert table["count"].tolist() == [4, 4]
    assert 0 < table.loc[0, "low"] < 0.1  # one of four patients says little
    assert 0.7 < table.loc[0, "high"] < 1
    # Four of four: n / (n + t²) with three degrees of freedom.
    assert table.loc[1, ["low", "high"]].tolist() == pytest.approx([4 / (4 + 3.182446**2), 1])
    assert calibration_error(LABELS, PROBABILITIES, bins=2) == pytest.approx((4 * 0.0 + 4 * 0.25) / 8)
    assert calibration_error(LABELS, PROBABILITIES, bins=1) == pytest.approx(0.625 - 0.5)


@pytest.mark.parametrize("decimals", [1, 8])  # one decimal makes ties
def test_bins_are_those_of_scikit_learn(decimals):
    labels, probabilities = simulate(500, power=2.0)
    probabilities = probabilities.round(decimals)
    table = reliability_table(labels, probabilities, np.arange(500), num_resamples=10)
    observed, predicted = calibration_curve(labels, probabilities, n_bins=10, strategy="quantile")
    assert table["observed"].to_numpy() == pytest.approx(observed, abs=1e-12)
    assert table["predicted"].to_numpy() == pytest.approx(predicted, abs=1e-12)
    by_bin = np.abs(observed - predicted) @ table["count"].to_numpy() / 500
    assert calibration_error(labels, probabilities) == pytest.approx(by_bin, abs=1e-12)


def test_half_precision_is_no_coarser_than_the_probabilities_themselves():
    labels, probabilities = simulate(200)
    half = probabilities.astype(np.float16)
    table, error = reliability_table(labels, half, np.arange(200), num_resamples=10), calibration_error(labels, half)
    exact = half.astype(np.float64)
    pd.testing.assert_frame_equal(
        table, reliability_table(labels, exact, np.arange(200), num_resamples=10), check_exact=True
    )
    assert error == calibration_error(labels, exact)


def test_a_bin_of_three_patients_has_no_interval():
    table = reliability_table(LABELS, PROBABILITIES, [0, 1, 2, 2, 4, 5, 6, 7], bins=2)
    assert table["low"].isna().tolist() == table["high"].isna().tolist() == [True, False]
    assert table["observed"].tolist() == [0.25, 1.0]


def test_ties_share_a_bin_and_few_films_make_fewer_bins():
    constant = reliability_table([0, 1, 1, 1], [0.5] * 4, list("abcd"))
    assert constant[["predicted", "observed", "count"]].to_numpy().tolist() == [[0.5, 0.75, 4]]
    three = reliability_table([0, 1, 1], [0.2, 0.4, 0.9], list("abc"), bins=10)
    assert three["count"].tolist() == [1, 1, 1]


def test_a_wrong_scale_is_seen():
    right, wrong = (calibration_error(*simulate(20_000, power=power)) for power in (1.0, 2.0))
    assert right < 0.02  # the expected error of 10 bins of 2000 by chance is about 0.007
    assert wrong == pytest.approx(1 / 6, abs=0.01)  # the integral of p - p^2 over [0, 1]


def test_intervals_hold_the_truth_and_films_of_one_patient_are_one_piece_of_evidence():
    labels, probabilities = simulate(2000)
    alone = reliability_table(labels, probabilities, np.arange(2000))
    assert ((alone["low"] <= alone["predicted"]) & (alone["predicted"] <= alone["high"])).mean() >= 0.8
    # Every film five times: the shares stay, and so must the intervals, as no patient was added.
    copied = reliability_table(np.tile(labels, 5), np.tile(probabilities, 5), np.tile(np.arange(2000), 5))
    width = (alone["high"] - alone["low"]).mean()
    assert (copied["high"] - copied["low"]).mean() == pytest.approx(width, rel=0.05)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=40), st.integers(1, 12))
def test_every_film_is_counted_once_and_the_order_does_not_matter(films, bins):
    labels, probabilities = (np.array(column) for column in zip(*films, strict=True))
    error = calibration_error(labels, probabilities, bins=bins)
    assert 0 <= error <= 1
    assert calibration_error(labels[::-1], probabilities[::-1], bins=bins) == pytest.approx(error, abs=1e-12)
    if len(films) > 1:
        table = reliability_table(labels, probabilities, np.arange(len(films)), bins=bins, num_resamples=2)
        assert table["count"].sum() == len(films)
        assert len(table) <= min(bins, len(films))
        assert table["predicted"].is_monotonic_increasing


def test_wrong_arrays_are_refused():
    with pytest.raises(ValueError, match=r"at least 1, not \(0,\) and \(0,\)"):
        calibration_error([], [])
    with pytest.raises(ValueError, match=r"one length, at least 1, not \(2,\) and \(1,\)"):
        calibration_error([0, 1], [0.5])
    with pytest.raises(ValueError, match=r"labels 0 and 1, got \[0, 2\]"):
        calibration_error([0, 2], [0.5, 0.5])
    with pytest.raises(ValueError, match=r"lie in \[0, 1\], not 0.5 to 1.5"):
        calibration_error([0, 1], [0.5, 1.5])
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        calibration_error([0, 1], [0.5, np.nan])
    with pytest.raises(ValueError, match="bins must be at least 1, got 0"):
        calibration_error([0, 1], [0.5, 0.5], bins=0)
    with pytest.raises(ValueError, match="one patient per item: expected 2, got 1"):
        reliability_table([0, 1], [0.5, 0.5], ["a"])


def test_platt_finds_the_scale_that_was_lost():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=20_000)  # log-odds
    labels = (rng.uniform(size=len(truth)) < 1 / (1 + np.exp(-truth))).astype(int)
    slope, intercept = fit_platt(labels, 50 * truth + 100)
    assert slope == pytest.approx(1 / 50, rel=0.05)
    assert intercept == pytest.approx(-2, abs=0.1)


def test_platt_refuses_one_class_and_scores_that_are_not_finite():
    with pytest.raises(ValueError, match="both present"):
        fit_platt([1, 1], [0.0, 1.0])
    with pytest.raises(ValueError, match="finite"):
        fit_platt([0, 1], [0.0, np.inf])
