"""Tokenizers of other people's models, each with its own longest text and padding."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from transformers import AutoTokenizer

from pedclip.models.released.files import Located
from pedclip.models.released.release import Release

# Any of these beside the weights means that a tokenizer lies there.
_FILES: Final = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model")
OPENAI_BPE: Final = "openai/clip-vit-base-patch32"  # hub name of the vocabulary of every OpenAI CLIP


class Tokens:
    """A tokenizer as its model was trained with it.

    Args:
        tokenizer: Of transformers.
        max_tokens: Longest text, special tokens included.
        padding: "max_length", or "longest" text of the batch.
    """

    def __init__(self, tokenizer: Any, *, max_tokens: int, padding: str) -> None:
        self.tokenizer = tokenizer
        self.max_tokens, self.padding = max_tokens, padding

    def __call__(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Token ids and mask, both (B, T)."""
        # SigLIP's tokenizer gives no mask unless it is asked to.
        encoded = self.tokenizer(
            list(texts),
            padding=self.padding,
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
            return_attention_mask=True,
        )
        return {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}

    def starts_of_words(self) -> Tensor:
        """(V,) True for tokens of the vocabulary that begin a word, False for pieces within one ("##ing")."""
        # WordPiece marks what goes on with a word; special tokens begin one.
        pieces = self.tokenizer.convert_ids_to_tokens(list(range(len(self.tokenizer))))
        return torch.tensor([not piece.startswith("##") for piece in pieces])


class OpenCLIPTokens:
    """A tokenizer of open_clip, which pads with 0 to its full length.

    Args:
        tokenizer: Of texts to ids (B, T).
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def __call__(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Token ids and mask, both (B, T)."""
        # 0 is CLIP's "!", too; the towers that pad with it find the end of a text by themselves and read no mask.
        input_ids: Tensor = self.tokenizer(list(texts))
        return {"input_ids": input_ids, "attention_mask": (input_ids != 0).long()}


def load_tokens(release: Release, place: Located) -> Tokens | OpenCLIPTokens:
    """The tokenizer of a release: beside its weights, else of an installed package, else of the hub.

    Args:
        release: Of a model with texts.
        place: Of its weights.

    Raises:
        FileNotFoundError: None is there; the message says which files to put where.
    """
    folder = next((folder for folder in _folders(place) if any((folder / name).is_file() for name in _FILES)), None)
    if folder is None and release.tokenizer == OPENAI_BPE:
        # open_clip carries this vocabulary, so that CheXzero needs no hub.
        try:
            from open_clip import SimpleTokenizer
        except ImportError:
            pass
        else:
            return OpenCLIPTokens(SimpleTokenizer(context_length=release.max_tokens))
    # What lies here goes before the hub.
    name = str(folder) if folder else release.tokenizer or place.hub
    try:
        if not name:
            raise OSError("no tokenizer is known")
        # A folder is read as it is: no file in it may send the reader to a hub, or run code of its own.
        tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=folder is not None, trust_remote_code=False)
    except (OSError, ValueError, ImportError) as error:
        hub = release.tokenizer or release.source
        raise FileNotFoundError(
            f"no tokenizer of {release.title}: {error}\n"
            f"  Fetch tokenizer.json (or vocab.txt) and tokenizer_config.json of {hub},\n"
            f"  and put them beside the weights, into {place.folder}"
        ) from error
    return Tokens(tokenizer, max_tokens=release.max_tokens, padding=release.padding)


def _folders(place: Located) -> tuple[Path, ...]:
    return place.folder, place.folder / "tokenizer"
