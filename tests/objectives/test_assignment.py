"""Gate loss from logits."""

import math

import pytest
import torch

from pedclip.objectives.assignment import expert_assignment


def test_by_hand_and_mean_over_blocks() -> None:
    sure = torch.tensor([[math.log(3.0), 0.0]])  # softmax 3/4, 1/4
    undecided = torch.zeros(1, 2)
    assert float(expert_assignment([sure], torch.tensor([0]))) == pytest.approx(-math.log(0.75))
    assert float(expert_assignment([sure, undecided], torch.tensor([1]))) == pytest.approx(
        (math.log(4) + math.log(2)) / 2
    )


def test_reaches_zero_unlike_cross_entropy_of_scores() -> None:
    right = torch.eye(23) * 50
    labels = torch.arange(23)
    assert float(expert_assignment([right], labels)) < 1e-6
    # The mistake this guards against: softmax twice. Its floor is ln(e + 22) - 1 = 2.208 nats.
    assert float(expert_assignment([right.softmax(-1)], labels)) == pytest.approx(math.log(math.e + 22) - 1, abs=1e-4)


def test_without_a_block_raises() -> None:
    with pytest.raises(ValueError, match="no MoBE block"):
        expert_assignment([], torch.tensor([0]))
