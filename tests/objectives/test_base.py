"""The protocol: what an objective that overrides nothing does."""

import pytest
import torch

from pedclip.objectives.base import Objective
from pedclip.objectives.clip import CLIPObjective
from pedclip.objectives.tokens import tokenize
from pedclip.triplets.transforms import to_pixels
from tests.objectives.tiny_features import tiny_model


def test_default_views_are_the_random_crop_and_the_whole_excerpt() -> None:
    model = tiny_model()
    objective, films = CLIPObjective(model), torch.randint(0, 256, (2, 18, 18), dtype=torch.uint8)
    pixels, expected = (
        view(films, model.preprocess, generator=torch.Generator().manual_seed(3))
        for view in (objective.image_view, to_pixels)
    )
    assert torch.equal(pixels, expected)
    tokens = tokenize(model.tokenizer, ["Film 1.", "Film"], max_tokens=8)
    assert objective.text_view(tokens, generator=torch.Generator()) is tokens


def test_an_objective_without_a_loss_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Objective(tiny_model())
