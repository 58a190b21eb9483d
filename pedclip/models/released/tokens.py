"""Tokenizers of other people's models, each with its own longest text and padding."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer

from pedclip.artefacts import read_json
from pedclip.models.released.files import Located
from pedclip.models.released.release import Release

# Any of these beside the weights means that a tokenizer lies there.
_FILES: Final = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model")
_JSON: Final = ("tokenizer.json", "tokenizer_config.json", "vocab.json")
_EMBEDDINGS: Final = ("token_embedding", "word_embeddings")  # of CLIP and SigLIP, and of BERT
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

    @property
    def num_ids(self) -> int:
        """Number of rows that an embedding needs for every id."""
        return _num_ids(self.tokenizer)

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

    @property
    def num_ids(self) -> int:
        """Number of rows that an embedding needs for every id."""
        # A BERT's tokenizer is wrapped once more; the library's own one counts its ids.
        inner = getattr(self.tokenizer, "tokenizer", None)
        return int(self.tokenizer.vocab_size) if inner is None else _num_ids(inner)


def _num_ids(tokenizer: Any) -> int:
    # Not the number of tokens: ids may have holes.
    return 1 + max(tokenizer.get_vocab().values(), default=-1)


def load_tokens(release: Release, place: Located) -> Tokens | OpenCLIPTokens:
    """The tokenizer of a release: beside its weights, else of an installed package, else of the hub.

    Args:
        release: Of a model with texts.
        place: Of its weights.

    Raises:
        FileNotFoundError: None is there; the message says which files to put where.
        ValueError: One of its files is damaged; the message names it.
    """
    beside = next((folder / name for folder in _folders(place) for name in _FILES if (folder / name).is_file()), None)
    folder = beside.parent if beside else None
    # JSON that ends too early would look below like a tokenizer that is not there.
    for path in (folder / name for name in _JSON) if folder else ():
        if path.is_file():
            read_json(path)
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
    except Exception as error:  # the reader in Rust has no class of its own, and its wrapper fails on what is absent
        raise ValueError(
            f"{beside or name} is damaged or no tokenizer ({type(error).__name__}: {error}): fetch it again"
        ) from error
    return Tokens(tokenizer, max_tokens=release.max_tokens, padding=release.padding)


def check_vocabulary(tokens: Tokens | OpenCLIPTokens, network: nn.Module, release: Release) -> None:
    """Make sure that a network embeds every id of its tokenizer.

    Args:
        tokens: Tokenizer.
        network: With the text tower.
        release: Of both, for the message.

    Raises:
        ValueError: Some ids have no embedding, so the tokenizer is that of another model.
    """
    embeddings = [module for name, module in network.named_modules() if name.rpartition(".")[2] in _EMBEDDINGS]
    num_rows = min((module.num_embeddings for module in embeddings if isinstance(module, nn.Embedding)), default=None)
    # Fewer ids than rows are usual: rows are added to fill a GPU, and other names are towers of open_clip alone.
    if num_rows is not None and tokens.num_ids > num_rows:
        raise ValueError(
            f"the tokenizer found for {release.title} has ids up to {tokens.num_ids - 1}, and its text tower embeds "
            f"0 to {num_rows - 1}: it belongs to another model.\n"
            f"  Put the tokenizer of {release.tokenizer or release.source or release.link} beside the weights"
        )


def _folders(place: Located) -> tuple[Path, ...]:
    return place.folder, place.folder / "tokenizer"
