"""First answers and their five measures against loops over candidates."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pedclip.evaluation.metrics.selective import augrc
from pedclip.retrieval.measures.confidence import MEASURES, Answers, confidence_table, first_answers, wrong_answers
from pedclip.retrieval.scores import Scores
from tests.retrieval.drawn_reports import reports_of


def drawn(seed, queries=6, candidates=5, top_m=None, levels=4):
    """Scores of few levels, so that ties are common."""
    rng = np.random.default_rng(seed)
    values = (torch.from_numpy(rng.integers(-levels, levels, (queries, candidates)) / levels) for _ in range(3))
    return Scores(*values, top_m)


def by_loop(initial, confidence, final, top_m, temperature):
    """Answer and measures of one query by Python's sort."""
    first = sorted(range(len(initial)), key=lambda item: (-initial[item], item))
    head = first if top_m is None else first[:top_m]
    order = sorted(head, key=lambda item: (-final[item], item)) + ([] if top_m is None else first[top_m:])
    best, second = order[:2]
    powers = [math.exp(value / temperature) for value in initial]
    chances = [power / sum(powers) for power in powers]
    entropy = -sum(chance * math.log(chance) for chance in chances)
    return best, {
        "final score": final[best],
        "confidence": confidence[best],
        "cosine": initial[best],
        "margin": final[best] - final[second],
        "entropy": -entropy,
    }


@given(st.integers(0, 2**32 - 1), st.sampled_from([None, 1, 2, 9]), st.sampled_from([0.07, 1.0]))
def test_measures_equal_loops(seed, top_m, temperature):
    scores = drawn(seed, top_m=top_m)
    found = first_answers(scores, temperature=temperature)
    assert tuple(found.measures) == MEASURES
    for query in range(6):
        rows = (values[query].tolist() for values in (scores.initial, scores.confidence, scores.final))
        best, measures = by_loop(*rows, top_m, temperature)
        assert found.rows[query] == best
        assert {name: float(values[query]) for name, values in found.measures.items()} == pytest.approx(measures)


def test_a_tie_is_answered_by_the_first_and_has_no_margin():
    final = torch.tensor([[0.5, 0.9, 0.9]])
    found = first_answers(Scores(torch.zeros(1, 3), torch.tensor([[0.1, 0.2, 0.3]]), final), temperature=1.0)
    assert found.rows.tolist() == [1]
    assert found.measures["margin"].tolist() == [0]
    assert found.measures["confidence"].tolist() == pytest.approx([0.2])
    # Three equal cosines: the most that a softmax over three does not know.
    assert found.measures["entropy"].tolist() == pytest.approx([-math.log(3)])


def test_a_second_stage_of_one_may_leave_a_better_one_behind():
    initial, final = torch.tensor([[0.9, 0.8, 0.1]]), torch.tensor([[0.2, 0.7, 0.9]])
    found = first_answers(Scores(initial, initial, final, 1), temperature=1.0)
    assert found.rows.tolist() == [0]
    assert found.measures["margin"].tolist() == pytest.approx([-0.5])


def test_a_cold_softmax_of_one_winner_is_sure():
    initial = torch.tensor([[0.9, -0.9]])
    found = first_answers(Scores(initial, initial, initial), temperature=0.001)
    # exp(-1800) is 0, and 0·log 0 is 0.
    assert found.measures["entropy"].tolist() == [0]


def test_scores_inside_of_a_graph_are_taken():
    initial = torch.tensor([[0.9, 0.1]], requires_grad=True)
    assert first_answers(Scores(initial, initial, initial * 1), temperature=1.0).rows.tolist() == [0]


def test_one_candidate_is_refused():
    with pytest.raises(ValueError, match="one candidate is no choice: a margin needs at least two"):
        first_answers(drawn(0, candidates=1), temperature=1.0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["initial", "confidence", "final"])
def test_a_score_that_is_not_finite_is_refused(name, value):
    scores = drawn(0)
    broken = getattr(scores, name).clone()
    broken[2, 3] = value
    with pytest.raises(ValueError, match=f"{name} scores must be finite"):
        first_answers(replace(scores, **{name: broken}), temperature=1.0)


@pytest.mark.parametrize("temperature", [0.0, -0.07, math.nan])
def test_a_temperature_that_is_not_above_zero_is_refused(temperature):
    with pytest.raises(ValueError, match=r"temperature=.* is not allowed: above 0"):
        first_answers(drawn(0), temperature=temperature)


def test_wrong_answers_are_other_texts():
    reports = reports_of([0, 1, 1, 2])
    answers = Answers(np.array([0, 2, 1, 0]), {})
    assert wrong_answers(answers, reports).tolist() == [False, True, False, True]


def test_answers_of_other_queries_are_refused():
    # One answer would be compared with every film.
    with pytest.raises(ValueError, match="1 answers for 4 films: one for each"):
        wrong_answers(Answers(np.array([0]), {}), reports_of([0, 1, 1, 2]))


def test_the_table_compares_with_the_own_cosine_and_with_the_plain_one():
    rng = np.random.default_rng(3)
    report, patients = rng.integers(0, 8, size=40).tolist(), [f"p{number // 2}" for number in range(40)]
    report[:8] = range(8)
    reports = reports_of(report, patients)
    ours, plain = (
        first_answers(Scores(*(torch.from_numpy(rng.normal(size=(40, 8))) for _ in range(3))), temperature=0.1)
        for _ in range(2)
    )
    table = confidence_table(ours, reports, plain, num_resamples=50).set_index("measure")
    assert list(table.index) == list(MEASURES)
    wrong, plainly_wrong = wrong_answers(ours, reports), wrong_answers(plain, reports)
    opponent = augrc(plainly_wrong, plain.measures["cosine"])
    for name, row in table.iterrows():
        area = augrc(wrong, ours.measures[name])
        assert row.augrc.value == pytest.approx(area)
        assert row.minus_plain_cosine.value == pytest.approx(area - opponent)
        if name != "cosine":
            assert row.minus_own_cosine.value == pytest.approx(area - augrc(wrong, ours.measures["cosine"]))
    assert table.minus_own_cosine["cosine"] is None
