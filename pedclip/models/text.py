"""BERT (transformers) as text encoder, and the WordPiece tokenizer for when none can be fetched."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from pedclip.models.starting_points import text_starting_point

SPECIAL_TOKENS: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True)
class TextFeatures:
    """Output of the text encoder for a batch of texts.

    Attributes:
        embedding: (B, D) unit vectors.
        tokens: (B, T, C) last hidden states; row 0 is [CLS].
        hidden: Hidden states from the embedding layer to the last block, (B, T, C) each; the last are ``tokens``.
    """

    embedding: Tensor
    tokens: Tensor
    hidden: tuple[Tensor, ...] = field(default=(), repr=False)
    _attend: Callable[[], Tensor] | None = field(default=None, repr=False)

    @cached_property
    def attention(self) -> Tensor:
        """(B, A, T) attention of [CLS] to every token in the last block, in A heads, computed when first read.

        Raises:
            ValueError: The text encoder did not say how to compute it.
        """
        if self._attend is None:
            raise ValueError("these text features hold no attention: they were not made by PedCLIP.encode_text")
        return self._attend()


def train_tokenizer(texts: Iterable[str], *, vocab_size: int) -> PreTrainedTokenizerFast:
    """Uncased WordPiece tokenizer trained on the excerpts of the training split.

    Args:
        texts: Training excerpts.
        vocab_size: Upper bound of the vocabulary, above the number of special tokens and letters.

    Returns:
        A tokenizer that frames a text as ``[CLS] … [SEP]``.

    Raises:
        ValueError: There is no text to learn from.
    """
    texts = [text for text in texts if text.strip()]  # a list: it is read twice
    if not texts:
        raise ValueError("texts is empty: a tokenizer needs at least one excerpt of the training split")
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # The trainer numbers inner letters in the order of a hash table, which differs between processes, and breaks ties
    # by number. Announced in sorted order, they make the vocabulary a function of the texts alone.
    letters = sorted(
        {letter for text in texts for letter in tokenizer.normalizer.normalize_str(text) if letter.strip()}
    )
    announced = [*SPECIAL_TOKENS, *(f"##{letter}" for letter in letters)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=max(vocab_size, len(announced)), special_tokens=announced, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _bert_tokenizer(tokenizer.get_vocab())


def _bert_tokenizer(vocab: dict[str, int]) -> PreTrainedTokenizerFast:
    # Built anew from the vocabulary, for a trained one keeps the announced pieces as special: they would be matched
    # before the text is split into words, and skipped when it is decoded.
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(token, vocab[token]) for token in ("[CLS]", "[SEP]")]
    )
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **dict(zip(names, SPECIAL_TOKENS, strict=True)))  # type: ignore[no-untyped-call]


def load_tokenizer(folder_or_name: str) -> PreTrainedTokenizerBase:
    """Tokenizer of an installed package, a local folder or a hub model.

    Raises:
        OSError: It cannot be reached; the message says what to fetch.
    """
    folder_or_name = _resolved(folder_or_name)
    try:
        return AutoTokenizer.from_pretrained(folder_or_name, **_confined(folder_or_name))
    except (OSError, ValueError) as error:
        raise _unreachable(folder_or_name, "vocab.txt (or tokenizer.json)") from error


def tokenizer_rules(tokenizer: PreTrainedTokenizerBase) -> Any:
    """Rules and vocabulary by which a tokenizer makes numbers of words, as JSON takes them; for keys of a cache."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return tokenizer.get_vocab()
    # A fast tokenizer tells all of itself, and how it was last called, which changes nothing.
    rules = json.loads(backend.to_str())
    return {name: value for name, value in rules.items() if name not in ("padding", "truncation")}


def _resolved(weights: str) -> str:
    # "installed" becomes the folder of the package; every other name is one that transformers knows.
    start = text_starting_point(weights)
    return str(start.path) if start.path else weights


def _confined(folder_or_name: str) -> dict[str, bool]:
    # A folder is read as it is: no file in it may send the reader to a hub, or run code of its own.
    return {"local_files_only": Path(folder_or_name).is_dir(), "trust_remote_code": False}


def _unreachable(name: str, file: str) -> OSError:
    return OSError(
        f"nothing to load from text_weights={name!r}.\n"
        f"  Fetch 'config.json', 'model.safetensors' and {file} of that model on a machine with a network,\n"
        "  then pass their folder:   text_weights='/path/to/folder'\n"
        "  or start from random weights:   text_weights='random' (a notebook: pretrained='no')"
    )


class TextEncoder(nn.Module):
    """BERT whose last hidden state at [CLS] is the text embedding (PedCLIP, section 2.2).

    Args:
        bert: A transformers encoder without pooling layer.
    """

    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.bert = bert

    @classmethod
    def from_sizes(cls, *, vocab_size: int, width: int, depth: int, heads: int, max_tokens: int) -> "TextEncoder":
        """BERT with random weights; sizes as in ``PedCLIPConfig``."""
        config = BertConfig(
            vocab_size=vocab_size,
            hidden_size=width,
            num_hidden_layers=depth,
            num_attention_heads=heads,
            intermediate_size=4 * width,  # BERT's own proportion
            max_position_embeddings=max(max_tokens, 128),
        )
        return cls(BertModel(config, add_pooling_layer=False))

    @classmethod
    def from_weights(cls, folder_or_name: str) -> "TextEncoder":
        """BERT of an installed package, a local folder or a hub model; see ``text_starting_point``.

        Raises:
            OSError: It cannot be reached; the message says what to fetch.
        """
        folder_or_name = _resolved(folder_or_name)
        # No pooling layer: [CLS] is read as it leaves the last block (decision P9). No pickled weights either.
        try:
            return cls(
                AutoModel.from_pretrained(
                    folder_or_name, add_pooling_layer=False, use_safetensors=True, **_confined(folder_or_name)
                )
            )
        except (OSError, ValueError) as error:
            raise _unreachable(folder_or_name, "vocab.txt (or tokenizer.json)") from error

    @classmethod
    def from_config(cls, folder: Path) -> "TextEncoder":
        """BERT with random weights from a folder that holds its ``config.json``."""
        return cls(BertModel(BertConfig.from_pretrained(folder, local_files_only=True), add_pooling_layer=False))

    @property
    def width(self) -> int:
        """C, the token width."""
        return int(self.bert.config.hidden_size)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """Hidden states of all layers.

        Args:
            input_ids: (B, T) token ids.
            attention_mask: (B, T), 1 on text and 0 on padding.

        Returns:
            (B, T, C) each: the embedding layer, then every block; row 0 is [CLS].
        """
        output = self.bert(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        # A library that forgets them must not pass for a text encoder without layers.
        if not output.hidden_states:
            raise RuntimeError(f"{type(self.bert).__name__} returned no hidden states")
        return tuple(output.hidden_states)

    def cls_attention(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Attention of [CLS] in the last block.

        Computed here from queries and keys: the fused attention of the library returns no weights, and its eager one
        would be slower for every token of every layer.

        Args:
            hidden: (B, T, C) states that enter the last block.
            attention_mask: (B, T), 1 on text and 0 on padding.

        Returns:
            (B, heads, T); a row sums to 1 and is 0 on padding.

        Source: BERT, self-attention; MGCA reads it as the weight of a word.
        """
        last: Any = self.bert.encoder.layer[-1]
        layer = last.attention.self
        heads, width = layer.num_attention_heads, layer.attention_head_size
        query = layer.query(hidden[:, :1]).unflatten(-1, (heads, width)).transpose(1, 2)  # (B, heads, 1, C / heads)
        key = layer.key(hidden).unflatten(-1, (heads, width)).transpose(1, 2)  # (B, heads, T, C / heads)
        scores = (query @ key.transpose(-1, -2))[:, :, 0] / width**0.5  # (B, heads, T)
        # No dropout: a weight of a word that is 0 by chance would be no weight.
        weights: Tensor = scores.masked_fill(attention_mask[:, None] == 0, -torch.inf).softmax(-1)
        return weights
