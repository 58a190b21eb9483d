"""Final scores by hand, and their ceilings over every confidence that is possible."""

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pedclip.retrieval.reranking import Rerank, final_score, rounding, score_ceiling

COSINE = st.floats(-1, 1)


@pytest.mark.parametrize(
    ("rerank", "scores"),
    [("as_intended", [0.75 * 0.6, 0.25 * 0.1, 0]), ("as_printed", [0.1, 0.4, 1]), ("sum", [0.7, -1.3, -2])],
)
def test_scores_by_hand_in_arrays_and_tensors(rerank, scores):
    similarity, confidence = [0.5, -0.5, -1.0], [0.2, -0.8, -1.0]
    found = final_score(np.array(similarity), np.array(confidence), rerank)
    assert isinstance(found, np.ndarray)
    assert found == pytest.approx(np.array(scores))
    of_tensors = final_score(torch.tensor(similarity), torch.tensor(confidence), rerank)
    assert of_tensors.tolist() == pytest.approx(scores)


def test_as_printed_puts_the_pair_that_both_find_opposite_first():
    similarity, confidence = np.array([0.9, -1.0, 0.0]), np.array([0.9, -1.0, 0.0])
    assert final_score(similarity, confidence, "as_printed").argmax() == 1
    assert final_score(similarity, confidence, "as_intended").argmax() == 0
    assert final_score(similarity, confidence, "sum").argmax() == 0


def test_a_cosine_rounded_below_minus_one_does_not_turn_the_order_around():
    scores = final_score(np.array([-1.0003, -1.0003]), np.array([0.1, 0.9]))
    assert scores.tolist() == [0, 0]


@given(COSINE, COSINE, COSINE, st.floats(0, 1), st.floats(-1, 1), st.sampled_from([0.0, 1e-4]))
def test_no_confidence_within_the_limits_scores_above_the_ceiling(similarity, one, other, where, side, slack):
    low, high = min(one, other), max(one, other)
    inside = np.array([np.clip(low + where * (high - low), low, high)])
    moved = np.array([similarity + side * slack])
    for rerank in get_args(Rerank):
        ceiling = score_ceiling(np.array([similarity]), np.array([low]), np.array([high]), slack=slack, rerank=rerank)
        assert final_score(moved, inside, rerank) <= ceiling + 1e-15
        # Reached at an end, so it is not loose.
        ends = [final_score(np.array([similarity]), np.array([end]), rerank)[0] for end in (low, high)]
        assert ceiling[0] == pytest.approx(max(ends), abs=4 * slack + 1e-15)


def test_the_upper_limit_alone_is_no_ceiling_as_printed():
    similarity, low, high = np.array([-0.5]), np.array([-0.9]), np.array([0.1])
    of_upper = final_score(similarity, high, "as_printed")[0]
    assert of_upper < final_score(similarity, low, "as_printed")[0] == 0.45
    assert score_ceiling(similarity, low, high, slack=0, rerank="as_printed")[0] == 0.45


def test_single_precision_stays_within_the_rounding():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 13_312)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    exact = rows.astype(np.float64) @ rows[0].astype(np.float64)
    assert np.abs(rows @ rows[0] - exact).max() < 1.01 * rounding(13_312)
    assert rounding(13_312) == pytest.approx(7.94e-4, rel=1e-3)  # n · 2^-24


def test_other_names_are_refused():
    with pytest.raises(ValueError, match="rerank='shifted' is not allowed: choose from as_intended, as_printed, sum"):
        final_score(np.zeros(1), np.zeros(1), "shifted")  # type: ignore[arg-type]
