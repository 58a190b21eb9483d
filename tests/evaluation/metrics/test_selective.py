"""Selective answering: hand-computed areas, pair counts as the reference, the closed form, and intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from pedclip.evaluation.metrics.comparison import compare
from pedclip.evaluation.metrics.selective import (
    AccuracyAtCoverage,
    augrc,
    aurc,
    risk_coverage_table,
    selective_difference,
)

SAME = 1e-12  # both sides add a few dozen doubles, in another order


@st.composite
def answers(draw):
    num_items = draw(st.integers(1, 30))
    losses = draw(st.lists(st.integers(0, 1), min_size=num_items, max_size=num_items))
    levels = draw(st.sampled_from([1, 3, 1000]))  # few levels make many ties
    sure = draw(st.lists(st.integers(0, levels), min_size=num_items, max_size=num_items))
    return np.array(losses, dtype=float), np.array(sure, dtype=float)


def augrc_by_pairs(losses, sure):
    """Every pair of an answer that sets the threshold and an error that passes it; a tie passes every other time."""
    total = 0.0
    for threshold in sure:
        for loss, confidence in zip(losses, sure, strict=True):
            total += loss * (float(confidence > threshold) + 0.5 * float(confidence == threshold))
    return total / len(losses) ** 2


def aurc_by_thresholds(losses, sure):
    return np.mean([losses[sure >= threshold].mean() for threshold in sure])


def test_the_curve_by_hand():
    # Two answers tie at 0.8, one of them wrong.
    table = risk_coverage_table([0, 1, 0, 1], [0.9, 0.8, 0.8, 0.1])
    assert table["threshold"].tolist() == [0.9, 0.8, 0.1]
    assert table["coverage"].tolist() == [0.25, 0.75, 1.0]
    assert table["risk"].tolist() == pytest.approx([0, 1 / 3, 1 / 2])
    assert table["generalized_risk"].tolist() == [0, 0.25, 0.5]


def test_areas_by_hand():
    losses, sure = [0, 1, 0, 1], [0.9, 0.8, 0.8, 0.1]
    # Trapezoids over coverage: 1/4 · 0, 1/2 · (0 + 1/4)/2, 1/4 · (1/4 + 1/2)/2.
    assert augrc(losses, sure) == pytest.approx(1 / 16 + 3 / 32)
    assert aurc(losses, sure) == pytest.approx((0 + 1 / 3 + 1 / 3 + 1 / 2) / 4)
    assert (augrc([0, 0], [1, 2]), aurc([1, 1], [1, 2])) == (0, 1)
    assert augrc([1, 1], [1, 2]) == 0.5


@given(answers())
def test_areas_equal_the_loops(case):
    losses, sure = case
    assert augrc(losses, sure) == pytest.approx(augrc_by_pairs(losses, sure), abs=SAME)
    assert aurc(losses, sure) == pytest.approx(aurc_by_thresholds(losses, sure), abs=SAME)


@given(answers())
def test_augrc_has_the_closed_form_of_its_authors(case):
    losses, sure = case
    right = 1 - losses.mean()
    of_ranking = roc_auc_score(1 - losses, sure) if 0 < right < 1 else 0.5
    expected = (1 - of_ranking) * right * (1 - right) + (1 - right) ** 2 / 2
    assert augrc(losses, sure) == pytest.approx(expected, abs=SAME)


@given(answers())
def test_areas_depend_on_the_ranking_alone(case):
    losses, sure = case
    for metric in (augrc, aurc, AccuracyAtCoverage(0.4)):
        value = metric(losses, sure)
        assert metric(losses, 3 * sure**3 - 7) == pytest.approx(value, abs=SAME)
        assert metric(losses[::-1], sure[::-1]) == pytest.approx(value, abs=SAME)


def test_losses_between_right_and_wrong_count_in_part():
    assert augrc([0.5, 0], [2, 1]) == pytest.approx(augrc_by_pairs(np.array([0.5, 0]), np.array([2.0, 1.0])))
    assert aurc([0.5, 0], [2, 1]) == pytest.approx((0.5 + 0.25) / 2)


@pytest.mark.parametrize(
    ("coverage", "accuracy"),
    # Sure and right; then a tie of one right and one wrong; then two wrong ones.
    [(0.2, 1), (0.4, 1 - 0.5 / 2), (0.6, 2 / 3), (0.8, 2 / 4), (0.9, 2 / 4.5), (1, 2 / 5), (0.1, 1)],
)
def test_accuracy_of_a_share_by_hand(coverage, accuracy):
    assert AccuracyAtCoverage(coverage)([0, 0, 1, 1, 1], [5, 4, 4, 2, 1]) == pytest.approx(accuracy)


@given(answers())
def test_full_coverage_is_plain_accuracy_and_tied_answers_have_one_accuracy_everywhere(case):
    losses, sure = case
    assert AccuracyAtCoverage(1)(losses, sure) == pytest.approx(1 - losses.mean(), abs=SAME)
    for coverage in (0.01, 1 / 3, 0.7, 1):
        assert AccuracyAtCoverage(coverage)(losses, 0 * sure) == pytest.approx(1 - losses.mean(), abs=SAME)


@given(answers(), st.integers(0, 3))
def test_counting_an_item_twice_is_the_same_as_giving_it_twice(case, seed):
    losses, sure = case
    counts = np.random.default_rng(seed).integers(0, 3, (4, len(losses))) + (np.arange(len(losses)) == 0)
    for metric in (augrc, aurc, AccuracyAtCoverage(0.4)):
        resampled = metric.resampler(losses, sure)(counts.astype(float))
        literal = [metric(np.repeat(losses, row), np.repeat(sure, row)) for row in counts]
        assert resampled == pytest.approx(literal, abs=SAME)


def simulate(rng, *, noise=1.0):
    """80 patients with two answers each; an answer is right with the chance that a noisy confidence tells."""
    ease = rng.normal(size=80)[np.arange(160) // 2] + 0.5 * rng.normal(size=160)
    losses = (rng.normal(size=160) > ease + 1).astype(float)
    return losses, ease + noise * rng.normal(size=160), np.arange(160) // 2


def test_intervals_over_patients_cover_the_truth():
    rng = np.random.default_rng(5)
    many = [simulate(rng) for _ in range(400)]
    # The area over all patients drawn; within one study the mean is nearly the same.
    losses, sure = (np.concatenate([one[number] for one in many]) for number in (0, 1))
    for metric in (augrc, aurc, AccuracyAtCoverage(0.8)):
        truth = metric(losses, sure)
        found = [metric.bootstrap(*one, num_resamples=200) for one in many[:200]]
        share = np.mean([interval.low <= truth <= interval.high for interval in found])
        assert 0.91 <= share <= 1.0  # three standard errors of 200 studies below 0.95
        assert (found[0].num_items, found[0].num_groups) == (160, 80)


def test_the_better_confidence_is_told_from_the_worse():
    losses, sure, patients = simulate(np.random.default_rng(1))
    better = sure - 2 * losses  # knows more than any model could
    found = compare(augrc, losses, better, sure, patients)
    assert found.first == augrc(losses, better) < found.second == augrc(losses, sure)
    assert found.difference.high < 0
    assert found.p_value < 0.05
    assert found.test == "paired bootstrap over patients"
    same = compare(augrc, losses, sure, 2 * sure, patients)
    assert (same.difference.value, same.p_value) == (0, 1)


def test_wrong_arrays_are_refused():
    for metric in (augrc, aurc, AccuracyAtCoverage(0.5), risk_coverage_table):
        with pytest.raises(ValueError, match=r"losses lie in \[0, 1\], 1 where the answer is wrong; got 0 to 2"):
            metric([0, 2], [0.5, 0.5])
        with pytest.raises(ValueError, match="confidence must be finite; 1 of 2 are not"):
            metric([0, 1], [0.5, np.nan])
        with pytest.raises(ValueError, match="losses and confidence must be vectors of one length"):
            metric([0, 1], [0.5])
    for coverage in (0, 1.1, float("nan")):
        with pytest.raises(ValueError, match="is not allowed: it is a share of the answers"):
            AccuracyAtCoverage(coverage)


def test_difference_of_two_systems_is_that_of_their_areas() -> None:
    rng = np.random.default_rng(5)
    patients = np.repeat(np.arange(30), 2)
    first, second = ((rng.uniform(size=60) < 0.4, rng.normal(size=60)) for _ in range(2))
    found = selective_difference(first, second, patients, num_resamples=200)
    assert found.value == pytest.approx(augrc(*first) - augrc(*second))
    assert found.low < found.value < found.high
    turned = selective_difference(second, first, patients, num_resamples=200)
    # The same patients are drawn for both directions.
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


def test_a_system_does_not_differ_from_itself() -> None:
    rng = np.random.default_rng(6)
    one = rng.uniform(size=40) < 0.3, rng.normal(size=40)
    found = selective_difference(one, one, np.arange(40), num_resamples=50)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_two_systems_answer_the_same_queries() -> None:
    with pytest.raises(ValueError, match="got 3 and 2"):
        selective_difference(([0, 1, 0], [1.0, 2.0, 3.0]), ([0, 1], [1.0, 2.0]))
