"""Tokenizers: where they are found, how they pad and cut, and what is said where there is none."""

import builtins
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from pedclip.models.released import load_released
from pedclip.models.released import tokens as module
from pedclip.models.released.files import Located
from pedclip.models.released.release import find_release
from pedclip.models.released.tokens import OpenCLIPTokens, Tokens, check_vocabulary, load_tokens
from tests.models.released.tiny_networks import TEXTS, tokenizer
from tests.models.released.tiny_releases import MAKERS


def test_padding_and_longest_text() -> None:
    longest = Tokens(tokenizer(), max_tokens=30, padding="longest")(["Fracture.", "Left wrist"])
    full = Tokens(tokenizer(), max_tokens=30, padding="max_length")(["Fracture.", "Left wrist"])
    assert longest["input_ids"].shape[1] < 30
    assert full["input_ids"].shape == (2, 30)
    ids = full["input_ids"]
    assert torch.equal(full["attention_mask"], (ids != tokenizer().pad_token_id).long())
    cut = Tokens(tokenizer(), max_tokens=4, padding="longest")([" ".join(TEXTS)])["input_ids"][0]
    assert len(cut) == 4
    assert (cut[0], cut[-1]) == (tokenizer().cls_token_id, tokenizer().sep_token_id)


def test_pieces_within_a_word_are_told_from_its_beginning() -> None:
    words = tokenizer()
    starts = Tokens(words, max_tokens=9, padding="longest").starts_of_words()
    assert len(starts) == len(words)
    assert all(bool(starts[number]) != piece.startswith("##") for piece, number in words.get_vocab().items())
    assert not starts.all()


@pytest.mark.parametrize("folder", [".", "tokenizer"])
def test_tokenizer_beside_the_weights_goes_first(tmp_path: Path, folder: str) -> None:
    tokenizer().save_pretrained(tmp_path / folder)
    found = load_tokens(find_release("biomedclip"), Located(tmp_path / "w.bin", tmp_path))
    assert isinstance(found, Tokens)
    assert found(["Fracture."])["input_ids"].shape == (1, 256)


def test_clip_has_its_vocabulary_in_a_package(tmp_path: Path) -> None:
    place = Located(tmp_path / "w.pt", tmp_path)
    found = load_tokens(find_release("chexzero"), place)
    assert isinstance(found, OpenCLIPTokens)
    encoded = found(["No pneumonia", "pneumonia"])
    # Begin, "no", "pneumonia" and end, of CLIP's 49 408.
    assert encoded["input_ids"][0, [0, 3]].tolist() == [49406, 49407]
    assert encoded["attention_mask"].sum(1).tolist() == [4, 3]
    assert encoded["input_ids"].shape == (2, 77)


def no_hub(name: str, **_: Any) -> None:
    raise OSError(f"{name} is out of reach")


def test_absent_tokenizer_says_what_to_fetch_and_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.AutoTokenizer, "from_pretrained", no_hub)
    place = Located(tmp_path / "w.bin", tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"(?s)no tokenizer of GLoRIA.*Fetch.*Bio_ClinicalBERT.*put them beside"
    ):
        load_tokens(find_release("gloria"), place)
    with pytest.raises(FileNotFoundError, match="no tokenizer is known"):
        load_tokens(find_release("open_clip:x"), place)

    # Without open_clip, the hub is asked for CLIP's vocabulary, too.
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "open_clip":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(FileNotFoundError, match="openai/clip-vit-base-patch32 is out of reach"):
        load_tokens(find_release("chexzero"), place)


def damage(content: bytes, kind: str) -> bytes:
    if kind == "truncated":
        return content[:300]
    if kind == "vocabulary of words":
        table = json.loads(content)
        table["model"]["vocab"] = {"a": "b"}
        return json.dumps(table).encode()
    return {"empty": b"", "binary": b"\xff\xfe\x00", "other table": b"{}", "list": b"[]", "null": b"null"}[kind]


@pytest.mark.parametrize("kind", ["truncated", "vocabulary of words", "empty", "binary", "other table", "list", "null"])
def test_damaged_tokenizer_is_named(tmp_path: Path, kind: str) -> None:
    tokenizer().save_pretrained(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_bytes(damage(path.read_bytes(), kind))
    with pytest.raises(ValueError, match=r"tokenizer\.json is (not readable JSON|damaged or no tokenizer)"):
        load_tokens(find_release("gloria"), Located(tmp_path / "w.bin", tmp_path))


def test_damaged_companion_of_a_tokenizer_is_named(tmp_path: Path) -> None:
    tokenizer().save_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(ValueError, match=r"tokenizer_config\.json is not readable JSON"):
        load_tokens(find_release("gloria"), Located(tmp_path / "w.bin", tmp_path))


def larger() -> PreTrainedTokenizerFast:
    words = tokenizer()
    words.add_tokens(["radius", "ulna"])
    return words


@pytest.mark.parametrize("name", ["gloria", "unimed-clip", "pubmedclip", "medsiglip", "biomedclip"])
def test_tokenizer_of_another_model_is_refused(tmp_path: Path, name: str) -> None:
    path = MAKERS[name](tmp_path).path
    load_released(name, path)
    size = len(tokenizer())
    larger().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=rf"has ids up to {size + 1}, and its text tower embeds 0 to {size - 1}: it"):
        load_released(name, path)


def test_ids_are_counted_by_the_highest_and_not_by_their_number() -> None:
    class Holes:
        def get_vocab(self) -> dict[str, int]:
            return {"a": 0, "b": 9}

    tokens = Tokens(Holes(), max_tokens=4, padding="longest")
    network = nn.ModuleDict({"token_embedding": nn.Embedding(10, 2)})
    check_vocabulary(tokens, network, find_release("gloria"))
    network["token_embedding"] = nn.Embedding(9, 2)
    with pytest.raises(ValueError, match=r"ids up to 9, .* 0 to 8: .*\n  Put the tokenizer of emilyalsentzer/Bio_Clin"):
        check_vocabulary(tokens, network, find_release("gloria"))
    # Of open_clip: its own, and one that wraps that of a BERT.
    wrapped = type("Wrapper", (), {"tokenizer": Holes()})()
    plain = type("Plain", (), {"vocab_size": 7})()
    assert [OpenCLIPTokens(each).num_ids for each in (wrapped, plain)] == [10, 7]
