"""The tokenizer trained on the excerpts."""

from pedclip.models.text import train_tokenizer

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
