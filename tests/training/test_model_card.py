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
    assert "p12" not in card  # a patient of the training split
