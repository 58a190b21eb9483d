"""The card of a checkpoint says what it is and names nobody."""

import pytest

from pedclip.training.model_card import checkpoint_card
from tests.training.tiny import tiny_arrays, tiny_config


@pytest.mark.parametrize(
    ("objective", "words"), [("pedclip", "**Training**: 3 epochs"), ("clip", "**Training**: objective clip, 3 epochs")]
)
def test_card_counts_films_and_names_another_objective(objective: str, words: str) -> None:
    card = checkpoint_card(tiny_config(objective=objective), tiny_arrays(43), tiny_arrays(9), revision="")
    assert words in card
    assert "43 films of 43 patients for training, 9 of\n  9 for validation" in card
    assert "vit_tiny_patch16_224 at 16², 23 experts in blocks\n  [-1]; temperature 0.07." in card
    assert "batch 8, AdamW 0.001,\n  seed 0." in card
    assert "p12" not in card  # a patient of the training split


def test_card_says_that_there_are_no_experts_and_which_optimizer() -> None:
    config = tiny_config({"mobe_layers": ()}, optimizer="adam")
    card = checkpoint_card(config, tiny_arrays(43), tiny_arrays(9), revision="")
    assert "at 16², without experts; temperature 0.07." in card
    assert "batch 8, Adam 0.001," in card


def test_card_names_options_and_the_region_head() -> None:
    options = {"variant": "code", "lambda_2": 0.5}
    config = tiny_config({"mobe_layers": ()}, objective="mgca", objective_options=options, region_head=True)
    card = checkpoint_card(config, tiny_arrays(43), tiny_arrays(9), revision="")
    assert (
        '**Training**: objective mgca (variant="code", lambda_2=0.5), with a classifier of the region, 3 epochs' in card
    )
