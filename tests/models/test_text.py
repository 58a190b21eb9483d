"""The tokenizer trained on the excerpts, and the sizes of a BERT made from them."""

import pytest
import torch

from pedclip.models.text import TextEncoder, TextFeatures, train_tokenizer

TEXTS = [f"{finding} of the {side} {part}." for finding in ("Fracture", "Oedème", "No swelling", "Erosion")
         for side in ("left", "right") for part in ("wrist", "knee", "proximal phalanx")]  # fmt: skip


def test_vocabulary_is_a_function_of_the_texts_alone() -> None:
    # The library's own numbering comes from a hash table with a random seed: without care, four calls differ.
    first, *others = (train_tokenizer(TEXTS, vocab_size=90).get_vocab() for _ in range(4))
    assert all(other == first for other in others)
    assert train_tokenizer(reversed(TEXTS), vocab_size=90).get_vocab() == first


def test_text_survives_and_is_framed() -> None:
    tokenizer = train_tokenizer(TEXTS, vocab_size=200)
    ids = tokenizer("No FRACTURE of the knee.")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "no", "fracture", "of", "the", "knee", ".", "[SEP]"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "no fracture of the knee."
    assert tokenizer.pad_token_id == 0
    assert tokenizer.unk_token_id in tokenizer("№")["input_ids"]
    assert "oedeme" in "".join(tokenizer.tokenize("oedème")).replace("##", "")  # accents are dropped


def test_a_bert_has_the_sizes_that_were_asked_for_and_the_proportions_of_its_kind() -> None:
    for max_tokens, positions in ((16, 128), (200, 200)):
        config = TextEncoder.from_sizes(vocab_size=90, width=32, depth=3, heads=4, max_tokens=max_tokens).bert.config
        assert (config.vocab_size, config.hidden_size, config.num_hidden_layers) == (90, 32, 3)
        assert config.num_attention_heads == 4
        assert config.intermediate_size == 128  # four times the width, as in BERT
        assert config.max_position_embeddings == positions


def test_attention_of_cls_is_that_of_the_eager_library_and_not_nothing() -> None:
    torch.manual_seed(0)
    encoder = TextEncoder.from_sizes(vocab_size=90, width=32, depth=3, heads=4, max_tokens=16).eval()
    ids = torch.randint(5, 90, (3, 7))
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [1] + [0] * 6])
    hidden = encoder(ids, mask)
    found = encoder.cls_attention(hidden[-2], mask)
    eager = TextEncoder.from_sizes(vocab_size=90, width=32, depth=3, heads=4, max_tokens=16).eval()
    eager.load_state_dict(encoder.state_dict())
    eager.bert.set_attn_implementation("eager")
    output = eager.bert(input_ids=ids, attention_mask=mask, output_attentions=True)
    torch.testing.assert_close(found, output.attentions[-1][:, :, 0])
    torch.testing.assert_close(hidden[-1], output.last_hidden_state)
    assert len(hidden) == 4
    assert (found[1, :, 4:] == 0).all()
    # An empty tuple of attention maps, as the fused attention returns, cannot pass for weights.
    with pytest.raises(ValueError, match="hold no attention"):
        TextFeatures(hidden[-1][:, 0], hidden[-1]).attention.sum()
