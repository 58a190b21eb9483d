"""The cheapest assignment against all permutations and against scipy."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from pedclip.objectives.linear_assignment import cheapest_assignment


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 5), values=st.sampled_from([2, 1000]))
def test_no_permutation_is_cheaper(seed: int, count: int, values: int) -> None:
    # Few values make many ties.
    costs = torch.randint(values, (3, count, count), generator=torch.Generator().manual_seed(seed)).float() - 1
    found = cheapest_assignment(costs)
    for matrix, columns in zip(costs.tolist(), found.tolist(), strict=True):
        assert sorted(columns) == list(range(count))
        sums = [sum(matrix[row][order[row]] for row in range(count)) for order in permutations(range(count))]
        assert sum(matrix[row][columns[row]] for row in range(count)) == min(sums)


def test_equals_scipy_on_sizes_of_a_report() -> None:
    costs = torch.rand(20, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = np.array([linear_sum_assignment(matrix)[1] for matrix in costs.numpy()])
    assert torch.equal(cheapest_assignment(costs), torch.from_numpy(expected))


def test_it_is_blind_to_prices_of_rows_and_columns_and_follows_permutations() -> None:
    costs = torch.rand(1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = cheapest_assignment(costs)
    assert torch.equal(cheapest_assignment(costs + torch.rand(1, 6, 1) - torch.rand(1, 1, 6)), found)
    order = torch.randperm(6)
    assert torch.equal(cheapest_assignment(costs[:, order]), found[:, order])


def test_no_gradient_passes() -> None:
    costs = torch.rand(1, 3, 3, requires_grad=True)
    assert not cheapest_assignment(costs).requires_grad


def test_misuse_raises() -> None:
    with pytest.raises(ValueError, match=r"costs has shape \(2, 3\); expected \(B, N, N\)"):
        cheapest_assignment(torch.rand(2, 3))
    with pytest.raises(ValueError, match="costs holds a value that is not finite"):
        cheapest_assignment(torch.full((1, 2, 2), torch.nan))
