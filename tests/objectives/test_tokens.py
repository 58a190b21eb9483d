"""Words and sentences of tokens, and views made of them."""

import pytest
import torch

from pedclip.models.text import train_tokenizer
from pedclip.objectives.text_units import merge_tokens, random_sentence, shuffled_sentences
from pedclip.objectives.tokens import Tokens, tokenize

TEXTS = ["No fracture. Clear lungs, 2 ribs.", "Normal", ".", "Gap. Gap of 3 cm. Old gap."]


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return tokenize(train_tokenizer(TEXTS, vocab_size=60), TEXTS, max_tokens=64)


def written(tokens: Tokens, row: int, number: int, numbers: torch.Tensor) -> str:
    tokenizer = train_tokenizer(TEXTS, vocab_size=60)
    return "".join(tokenizer.convert_ids_to_tokens(tokens.input_ids[row, numbers[row] == number])).replace("##", "")


def test_words_are_without_signs_and_sentences_are_whole(tokens: Tokens) -> None:
    words = [written(tokens, 0, number, tokens.words) for number in range(6)]
    assert words == ["no", "fracture", "clear", "lungs", "2", "ribs"]
    assert [written(tokens, 3, number, tokens.sentences) for number in range(3)] == ["gap.", "gapof3cm.", "oldgap."]
    # One word; a sign alone, which is a sentence without a word.
    assert (int(tokens.words[1].max()), int(tokens.sentences[1].max())) == (0, 0)
    assert (int(tokens.words[2].max()), int(tokens.sentences[2].max())) == (-1, 0)
    special = tokens.attention_mask == 0
    special[:, 0] = True
    assert (tokens.words[special] == -1).all()
    assert (tokens.sentences[special] == -1).all()


def test_cut_texts_keep_their_numbers() -> None:
    cut = tokenize(train_tokenizer(TEXTS, vocab_size=60), TEXTS, max_tokens=8)
    assert cut.input_ids.shape[1] == 8
    assert int(cut.sentences[0].max()) == 0


def test_a_slow_tokenizer_is_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(ValueError, match="Slow does not tell where in a text a token comes from"):
        tokenize(Slow(), TEXTS, max_tokens=8)


def test_pieces_are_added_up_or_averaged_by_loops(tokens: Tokens) -> None:
    features = torch.randn(*tokens.input_ids.shape, 3, dtype=torch.float64)
    for numbers, mean in ((tokens.words, False), (tokens.sentences, True)):
        merged, mask = merge_tokens(features, numbers, mean=mean)
        for row in range(len(TEXTS)):
            count = max(1, int(numbers[row].max()) + 1)
            assert mask[row].tolist() == [True] * count + [False] * (merged.shape[1] - count)
            for unit in range(count):
                own = [features[row, place] for place in range(numbers.shape[1]) if int(numbers[row, place]) == unit]
                own = own or [features[row, 0]]  # the sign alone: [CLS] stands for it
                total = sum(own) / (len(own) if mean else 1)
                torch.testing.assert_close(merged[row, unit], total)
        assert (merged[~mask] == 0).all()
    weights, _ = merge_tokens(features[..., 0], tokens.words)
    torch.testing.assert_close(weights, merge_tokens(features, tokens.words)[0][..., 0])


def test_each_sentence_is_drawn_and_framed(tokens: Tokens) -> None:
    drawn = set()
    for seed in range(40):
        view = random_sentence(tokens, generator=torch.Generator().manual_seed(seed))
        assert view.sentences.amax(1).tolist() == [0, 0, 0, 0]
        assert view.words.amin(1).tolist() == [-1] * 4
        assert int(view.words[3].max()) in (0, 1, 3)
        length = int(view.attention_mask[3].sum())
        ids = view.input_ids[3, :length].tolist()
        # [CLS] in front and [SEP] behind, as in the whole text.
        assert (ids[0], ids[-1]) == (
            int(tokens.input_ids[3, 0]),
            int(tokens.input_ids[3, tokens.attention_mask[3].sum() - 1]),
        )
        assert view.sentences[3, 0] == view.sentences[3, length - 1] == -1
        drawn.add(tuple(ids))
    assert len(drawn) == 3
    # The draw of a text does not depend on the texts behind it.
    alone = Tokens(*(value[:1] for value in vars(tokens).values()))
    view, single = (random_sentence(one, generator=torch.Generator().manual_seed(7)) for one in (tokens, alone))
    assert view.input_ids[0, : single.input_ids.shape[1]].tolist() == single.input_ids[0].tolist()


def test_shuffling_moves_whole_sentences(tokens: Tokens) -> None:
    orders = set()
    for seed in range(40):
        view = shuffled_sentences(tokens, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(view.attention_mask, tokens.attention_mask)
        numbers = [number for number in view.sentences[3].tolist() if number >= 0]
        runs = [number for place, number in enumerate(numbers) if place == 0 or numbers[place - 1] != number]
        assert sorted(runs) == [0, 1, 2]
        assert [written(view, 3, number, view.sentences) for number in range(3)] == ["gap.", "gapof3cm.", "oldgap."]
        assert view.input_ids[3, 0] == tokens.input_ids[3, 0]
        assert torch.equal(view.input_ids[1], tokens.input_ids[1])
        orders.add(tuple(runs))
    assert len(orders) == 6
