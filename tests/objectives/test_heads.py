"""The shared head by hand: two layers, each followed by what batch normalization does."""

import pytest
import torch
from torch import Tensor

from pedclip.objectives.heads import normalized_head


def by_columns(rows: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the rows, entry by entry."""
    found = torch.empty_like(rows)
    for column in range(rows.shape[1]):
        values = [float(row[column]) for row in rows]
        mean = sum(values) / len(values)
        spread = (sum((value - mean) ** 2 for value in values) / len(values) + 1e-5) ** 0.5
        found[:, column] = torch.tensor([(value - mean) / spread for value in values])
    return found


def test_values_by_hand_and_gradient() -> None:
    torch.manual_seed(0)
    head = normalized_head(3, 5, 2).double()
    torch.nn.init.normal_(head[1].weight)
    torch.nn.init.normal_(head[1].bias)
    rows = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        hidden = by_columns(rows @ head[0].weight.t() + head[0].bias) * head[1].weight + head[1].bias
        expected = by_columns(hidden.clamp(min=0) @ head[3].weight.t() + head[3].bias)
    torch.testing.assert_close(head(rows), expected)
    assert head[4].weight is None
    assert torch.autograd.gradcheck(head, (rows,), fast_mode=True)
    # The scale and the place of what comes in are gone behind the first normalization.
    torch.testing.assert_close(head(100 * rows), head(rows), rtol=1e-3, atol=1e-3)


def test_a_row_is_its_own_in_evaluation_and_needs_others_in_training() -> None:
    torch.manual_seed(0)
    head, rows = normalized_head(3, 5, 2), torch.randn(6, 3)
    head(rows)
    head.eval()
    torch.testing.assert_close(head(rows[:1]), head(rows)[:1])
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        head.train()(rows[:1])
