"""Experts of their own cannot interfere; a shared one can."""

import pytest
import torch
from torch import Tensor

from pedclip.evaluation.gradients import gradient_alignment
from pedclip.models.mobe import MixtureOfBodyExperts
from pedclip.models.pedclip import PedCLIP
from pedclip.training.loop import build_model
from pedclip.triplets.transforms import to_pixels
from tests.training.tiny import tiny_arrays, tiny_config

LABELS = torch.arange(12) % 3


def inputs(**model: object) -> tuple[PedCLIP, Tensor, dict[str, Tensor], MixtureOfBodyExperts]:
    arrays = tiny_arrays(12)
    torch.manual_seed(0)
    made = build_model(tiny_config(model), arrays).eval()
    experts = next(module for module in made.modules() if isinstance(module, MixtureOfBodyExperts))
    return made, to_pixels(torch.from_numpy(arrays.images), made.preprocess), made.tokenize(arrays.texts), experts


@pytest.mark.parametrize("implementation", ["auto", "loop", "grouped"])
def test_one_expert_per_region_has_no_interference(implementation: str) -> None:
    model, pixels, tokens, experts = inputs(mobe_implementation=implementation)
    parameters = [experts.w1, experts.w2]
    alignment = gradient_alignment(model, pixels, tokens, LABELS, parameters=parameters, forced=True)
    assert torch.equal(alignment.triu(1), torch.zeros(3, 3))
    assert torch.equal(alignment.tril(-1), torch.zeros(3, 3))
    torch.testing.assert_close(alignment.diag(), torch.ones(3), rtol=0, atol=1e-5)  # float32 norms


def test_shared_experts_interfere_and_the_matrix_is_symmetric() -> None:
    model, pixels, tokens, experts = inputs()
    alignment = gradient_alignment(model, pixels, tokens, LABELS, parameters=[experts.w1, experts.w2], forced=False)
    torch.testing.assert_close(alignment, alignment.t(), rtol=0, atol=1e-6)
    torch.testing.assert_close(alignment.diag(), torch.ones(3), rtol=0, atol=1e-5)
    assert alignment.triu(1).abs().max() > 0.01


def test_regions_of_one_film_are_left_out_and_none_is_an_error() -> None:
    model, pixels, tokens, experts = inputs()
    labels = torch.tensor([0] * 6 + [2] * 5 + [1])
    alignment = gradient_alignment(model, pixels, tokens, labels, parameters=[experts.w1], forced=True)
    assert alignment.shape == (2, 2)
    with pytest.raises(ValueError, match="no region has two films among 12; give at least two films of each region"):
        gradient_alignment(model, pixels, tokens, torch.arange(12), parameters=[experts.w1], forced=True)
