"""Vectors of items: their inner products are the scores as defined, and items without anything are refused."""

import numpy as np
import pytest

from pedclip.retrieval.vectors import PairVectors
from tests.retrieval.drawn_vectors import BLOCKS, WEIGHTS, drawn

UNIT = np.eye(2, 3)


def confidence_by_loop(one, other, present):
    """Weighted mean of the cosines of the prototypes that both have."""
    total = weights = 0.0
    for k in range(BLOCKS):
        if present[0][k] and present[1][k]:
            cosine = one[k] @ other[k] / np.linalg.norm(one[k]) / np.linalg.norm(other[k])
            total, weights = total + WEIGHTS[k] * cosine, weights + WEIGHTS[k]
    return total / weights


def test_the_inner_product_is_the_mean_cosine_of_the_blocks_that_both_have():
    vectors, prototypes, present, _ = drawn(np.random.default_rng(0), 12, is_short=True)
    assert vectors.weight == pytest.approx(present @ WEIGHTS, abs=1e-6)
    products = vectors.confidence @ vectors.confidence.T / np.minimum.outer(vectors.weight, vectors.weight)
    for i in range(12):
        for j in range(12):
            literal = confidence_by_loop(prototypes[i], prototypes[j], present[[i, j]])
            assert products[i, j] == pytest.approx(literal, abs=2e-6)  # single precision


def test_a_film_or_text_with_nothing_in_it_is_refused():
    with pytest.raises(ValueError, match=r"1 of 2 items have a similarity vector of zeros, the first at row 1: a film"):
        PairVectors(np.array([[1, 0], [0, 0]]), UNIT)
    with pytest.raises(ValueError, match=r"2 of 2 items have a confidence vector of zeros, the first at row 0"):
        PairVectors(UNIT, np.zeros((2, 4)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((UNIT, np.eye(3)), "a row per item: got 2 and 3"),
        ((2 * UNIT, UNIT), "similarity vectors must have length 1; row 0 has 2"),
        ((np.array([[np.nan, 1.0]]), np.eye(1)), "similarity vectors must be finite"),
        ((UNIT, np.array([[1.0, np.inf], [0, 1]])), "confidence vectors must be finite"),
        ((np.zeros(3), np.zeros(3)), r"similarity must be \(N, width\) with at least one row, got \(3,\)"),
        ((np.zeros((0, 3)), np.zeros((0, 3))), "at least one row"),
        ((UNIT, UNIT, np.ones(3)), r"a number per item: expected \(2,\), got \(3,\)"),
        ((UNIT, UNIT, np.array([1, 0.5])), "weight=0.5 at row 1 is not allowed"),
        ((UNIT, UNIT, np.array([2.0, 1])), "weight=2 at row 0 is not allowed: it is above 0, at most 1"),
        ((UNIT, 26 * UNIT), "weight=676 at row 0 is not allowed"),
        ((UNIT, UNIT, np.array([np.nan, 1])), "weight=nan at row 0 is not allowed"),
    ],
)
def test_what_is_no_vector_of_an_item_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        PairVectors(*arguments)


def test_a_weight_may_be_larger_than_its_vector():
    # Two blocks that were pooled to less than unit length.
    assert PairVectors(UNIT, 0.5 * UNIT, np.array([1, 0.25])).weight.tolist() == [1, 0.25]
