"""Degrees of freedom and the ends of intervals, against hand-computed values and the equations they solve."""

import math

import numpy as np
import pytest
from scipy.stats import t as student

from pedclip.evaluation.metrics.small_samples import (
    all_items,
    bounds,
    degrees_of_freedom,
    two_sided_p,
    variance_with_reserve,
)


def test_equal_patients_have_one_degree_less_than_they_are() -> None:
    index = np.arange(60) // 3
    assert degrees_of_freedom(index, all_items(60)) == pytest.approx(19)


def test_the_smaller_class_decides() -> None:
    labels = np.arange(200) < 5
    expected = (1 / 5 + 1 / 195) ** 2 / ((1 / 5) ** 2 / 4 + (1 / 195) ** 2 / 194)
    assert degrees_of_freedom(np.arange(200), [labels, ~labels]) == pytest.approx(expected)
    assert expected == pytest.approx(4.2, abs=0.05)
    assert degrees_of_freedom(np.arange(200), [np.arange(200) < 1, np.arange(200) >= 1]) == 0


def test_a_patient_with_many_items_does_not_stand_for_several() -> None:
    index = np.array([0, 1, 2, 2, 2, 2])  # 6² / (1 + 1 + 16) = 2 patients' worth
    assert degrees_of_freedom(index, all_items(6)) == pytest.approx(1)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, 1.0])
def test_a_share_solves_wilsons_equation(share: float) -> None:
    number = 50
    low, high = bounds(share, share * (1 - share) / number, 49, "share")
    t = student.ppf(0.975, 49)
    roots = sorted(np.roots([1 + t**2 / number, -(2 * share + t**2 / number), share**2]).real)
    assert (low, high) == pytest.approx(roots, abs=1e-6)
    assert 0 <= low <= share <= high <= 1


def test_an_error_has_the_same_factor_either_way_and_a_difference_the_same_step() -> None:
    low, high = bounds(12.0, 4.0, 9, "error")
    assert low * high == pytest.approx(144)
    assert math.log(high / 12) == pytest.approx(student.ppf(0.975, 9) * 2 / 12)
    assert bounds(0.0, 0.0, 9, "error") == (0, 0)
    assert bounds(1.0, 4.0, 9, "difference") == pytest.approx((1 - 2 * 2.262157, 1 + 2 * 2.262157))
    assert bounds(0.9, 0.01, 9, "difference of shares")[1] == 1
    assert bounds(0.0, 0.0, 9, "difference of shares")[1] == pytest.approx(1 - 0.05**0.1)


def test_two_degrees_of_freedom_are_too_few() -> None:
    assert np.isnan(bounds(0.5, 0.01, 2, "share")).all()
    assert math.isnan(two_sided_p(0.5, 0.01, 2))
    assert not np.isnan(bounds(0.5, 0.01, 3, "share")).any()


def test_the_p_value_is_that_of_students_t() -> None:
    assert two_sided_p(-0.5, 0.04, 11) == pytest.approx(2 * student.sf(2.5, 11))
    assert (two_sided_p(0.0, 0.0, 11), two_sided_p(0.5, 0.0, 11)) == (1, 0)


def test_the_reserve_is_the_largest_influence_squared() -> None:
    draws = np.array([0.4, 0.5, 0.6])
    found = variance_with_reserve(draws, np.array([0.1, -0.3, 0.2]), 10)
    assert found == pytest.approx(draws.var() * 11 / 10 + 0.09)
