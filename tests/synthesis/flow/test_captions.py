"""Captions as a frozen encoder reads them."""

import pytest
import torch

from pedclip.models.pedclip import PedCLIP
from pedclip.synthesis.flow.captions import CaptionEncoder
from tests.synthesis.flow.tiny import SIDES, tiny_captions

TEXTS = ["bright left", "dark film of nothing at all", "", "bright right"]


def test_states_are_those_of_the_model() -> None:
    model = PedCLIP.from_pretrained("pedclip-phantom-small")
    captions = CaptionEncoder.from_checkpoint("pedclip-phantom-small")
    texts = ["Left wrist normal.", "Fracture of the distal radius.", ""]
    states = captions.encode(texts)
    tokens, mask = states.padded(torch.tensor([2, 0, 1]), captions.max_tokens)
    assert tokens.shape == (3, model.config.max_text_tokens, captions.width)
    for row, text in enumerate([texts[2], texts[0], texts[1]]):
        with torch.no_grad():
            expected = model.encode_text(**model.tokenize([text])).tokens[0]
        assert int(mask[row].sum()) == len(expected)
        # Half precision keeps eleven bits of values up to about 4.
        torch.testing.assert_close(tokens[row, : len(expected)], expected, atol=2e-3, rtol=1e-3)
        assert not tokens[row, len(expected) :].any()
    assert not any(value.requires_grad for value in captions.encoder.parameters())


def test_states_do_not_depend_on_the_other_texts() -> None:
    captions = tiny_captions()
    together, backwards = captions.encode(TEXTS), captions.encode(TEXTS[::-1])
    for row, text in enumerate(TEXTS):
        alone, _ = captions.encode([text]).padded(torch.tensor([0]), 8)
        for states, number in ((together, row), (backwards, len(TEXTS) - 1 - row)):
            assert torch.equal(states.padded(torch.tensor([number]), 8)[0], alone)


def test_texts_read_together_mean_the_same() -> None:
    captions = tiny_captions()
    one, many = captions.encode(TEXTS * 3), captions.encode(TEXTS * 3, batch_size=5)
    assert torch.equal(one.begins, many.begins)
    torch.testing.assert_close(one.values, many.values, atol=2e-3, rtol=2e-3)


def test_cut_texts_are_told() -> None:
    captions = tiny_captions(max_tokens=8)
    fits, too_long = "left " * 6, "left " * 7  # with the two that frame a text: 8 and 9
    assert captions.is_cut([fits, too_long, ""]) == [False, True, False]
    assert captions.is_cut([]) == []
    states = captions.encode([fits, too_long, too_long + "left"])
    assert states.begins.tolist() == [0, 8, 16, 24]
    # What is behind the cut is not read.
    assert torch.equal(*(states.padded(torch.tensor([row]), 8)[0] for row in (1, 2)))


def test_fingerprint_tells_weights_words_and_length() -> None:
    assert tiny_captions().fingerprint == tiny_captions().fingerprint
    other = tiny_captions()
    with torch.no_grad():
        next(iter(other.encoder.parameters()))[0, 0] += 1e-3
    found = {one.fingerprint for one in (tiny_captions(), tiny_captions(seed=1), tiny_captions(max_tokens=7), other)}
    assert len(found) == 4


@pytest.mark.parametrize("text", SIDES)
def test_empty_text_is_another_condition(text: str) -> None:
    captions = tiny_captions()
    empty, asked = (captions.encode([one]).values[0] for one in ("", text))
    assert (empty - asked).abs().max() > 0.01
