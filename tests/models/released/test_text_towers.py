"""BERT with its poolings, and words put together from pieces."""

import pytest
import torch

from pedclip.models.released.text_towers import bert_sizes, build_text_tower, merge_words, pool_tokens
from tests.models.released.tiny_networks import WIDTH, bert

TOKENS = torch.tensor([[[1.0], [5.0], [4.0], [9.0]]])
MASK = torch.tensor([[1, 1, 1, 0]])


@pytest.mark.parametrize(("pool", "expected"), [("cls", 1), ("end", 4), ("mean", 10 / 3)])
def test_pooling_leaves_padding_out(pool: str, expected: float) -> None:
    assert pool_tokens(TOKENS, MASK, pool).item() == pytest.approx(expected)
    more = torch.cat([TOKENS, torch.full((1, 3, 1), 100.0)], dim=1)
    assert pool_tokens(more, torch.tensor([[1, 1, 1, 0, 0, 0, 0]]), pool).item() == pytest.approx(expected)


@pytest.mark.parametrize("pool", ["cls", "end", "mean"])
def test_pooling_has_the_gradient_of_finite_differences(pool: str) -> None:
    tokens = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    assert torch.autograd.gradcheck(lambda values: pool_tokens(values, mask, pool), (tokens.requires_grad_(),))


def test_words_are_sums_of_their_pieces() -> None:
    # [CLS] effu ##sion left [SEP] [PAD] and [CLS] a b ##c ##d [SEP]
    tokens = torch.arange(1.0, 13).reshape(2, 6, 1)
    is_start = torch.tensor([[1, 1, 0, 1, 1, 1], [1, 1, 1, 0, 0, 1]]).bool()
    is_word = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0]]).bool()
    words, mask = merge_words(tokens, is_start, is_word)
    assert words[..., 0].tolist() == [[1, 5, 4], [7, 8, 30]]
    assert mask.tolist() == [[True, True, True], [True, True, True]]
    is_word[0, 3] = False
    words, mask = merge_words(tokens, is_start, is_word)
    assert words[..., 0].tolist() == [[1, 5, 0], [7, 8, 30]]
    assert mask[0].tolist() == [True, True, False]


def test_words_hold_all_that_the_pieces_hold() -> None:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(3, 9, 4, generator=generator)
    is_start = torch.rand(3, 9, generator=generator) < 0.5
    is_start[:, 0] = True
    words, _ = merge_words(tokens, is_start, torch.ones(3, 9).bool())
    torch.testing.assert_close(words.sum(1), tokens.sum(1))


@pytest.mark.parametrize(("combine", "factor"), [("sum", 3), ("mean", 1)])
def test_layers_are_combined(combine: str, factor: int) -> None:
    source = bert()
    tower, _ = build_text_tower(
        "bert", dict(source.state_dict()), prefix="", layers=(1, 2, -1), combine=combine, pool="mean"
    )
    ids, mask = torch.tensor([[1, 2, 3]]), torch.ones(1, 3).long()
    with torch.no_grad():
        states = source(ids, output_hidden_states=True).hidden_states
        pooled, tokens = tower(ids, mask)
    expected = (states[1] + states[2] + states[4]) / 3 * factor
    torch.testing.assert_close(tokens, expected)
    torch.testing.assert_close(pooled, expected.mean(1))


def test_sizes_are_read_from_the_weights_and_their_absence_is_named() -> None:
    weights = dict(bert().state_dict())
    sizes = bert_sizes(weights)
    assert (sizes.hidden_size, sizes.num_hidden_layers, sizes.intermediate_size) == (WIDTH, 4, 96)
    del weights["embeddings.position_embeddings.weight"]
    with pytest.raises(KeyError, match="position_embeddings"):
        bert_sizes(weights)
