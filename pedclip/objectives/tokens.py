"""Texts as tokens that know which word and which sentence they belong to.

Rivals read a report in parts: GLoRIA and MGCA align words with patches, PRIOR sentences; ConVIRT, GLoRIA, MedCLIP and
CARZero train on one random sentence. A tokenizer gives word pieces, so the two numberings travel with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from pedclip.curation.report.sentences import split_sentences

NOTHING = -1  # of no word, of no sentence


@dataclass(frozen=True)
class Tokens:
    """A batch of tokenized texts.

    Attributes:
        input_ids: (B, T) token ids, padded at the end.
        attention_mask: (B, T), 1 on text and 0 on padding.
        words: (B, T) number of the word that a piece belongs to, from 0 in each text; -1 on special tokens, punctuation
            and padding. A report of signs alone has no word.
        sentences: (B, T) number of its sentence, from 0; -1 on special tokens and padding.
    """

    input_ids: Tensor
    attention_mask: Tensor
    words: Tensor
    sentences: Tensor

    def __len__(self) -> int:
        return len(self.input_ids)

    def to(self, device: str | torch.device) -> Self:
        """The same four (B, T) tensors on a device."""
        return type(self)(*(value.to(device) for value in vars(self).values()))

    def gathered(self, order: Tensor, kept: Tensor) -> Self:
        """Tokens in another order, some of them left out.

        Args:
            order: (B, T) places in the present order; those to keep come first.
            kept: (B,) how many of them are kept, at least 1.

        Returns:
            (B, T') with T' the largest number kept; the rest of a row is padding.
        """
        longest = int(kept.max())
        order = order[:, :longest]  # (B, T')
        is_kept = torch.arange(longest, device=order.device) < kept[:, None]
        # What pads a row of ids is never read: its mask is 0.
        return type(self)(
            self.input_ids.gather(1, order).masked_fill(~is_kept, 0),
            self.attention_mask.gather(1, order) * is_kept,
            self.words.gather(1, order).masked_fill(~is_kept, NOTHING),
            self.sentences.gather(1, order).masked_fill(~is_kept, NOTHING),
        )


def tokenize(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, max_tokens: int) -> Tokens:
    """Token ids of texts with the numbers of their words and sentences.

    Args:
        tokenizer: A fast one, which knows where in the text a piece comes from.
        texts: B texts.
        max_tokens: Texts are cut after so many tokens.

    Raises:
        ValueError: The tokenizer does not tell where a piece comes from.

    Example:
        >>> from pedclip.models.text import train_tokenizer
        >>> tokenizer = train_tokenizer(["Clear lungs. No gap."], vocab_size=100)
        >>> found = tokenize(tokenizer, ["Clear. No gap."], max_tokens=64)
        >>> int(found.words.max()), int(found.sentences.max())
        (2, 1)
    """
    if not tokenizer.is_fast:
        raise ValueError(
            f"{type(tokenizer).__name__} does not tell where in a text a token comes from; use a fast tokenizer "
            "(a folder with tokenizer.json)"
        )
    encoded = tokenizer(
        list(texts),
        padding=True,
        truncation=True,
        max_length=max_tokens,
        return_tensors="pt",
        return_offsets_mapping=True,
    )
    places = encoded["offset_mapping"].numpy()  # (B, T, 2) first and last character
    words, sentences = [], []
    for row, text in enumerate(texts):
        numbers = encoded.word_ids(row)
        is_special = np.array([number is None for number in numbers])
        words.append(_word_numbers(text, numbers, places[row]))
        starts = [sentence.start for sentence in split_sentences(text)] or [0]
        # The last sentence that begins at or before a token; list numbers before the first one count with it.
        found = np.searchsorted(starts, places[row, :, 0], side="right").clip(min=1) - 1
        sentences.append(torch.from_numpy(np.where(is_special, NOTHING, found)))
    return Tokens(
        encoded["input_ids"],
        encoded["attention_mask"],
        pad_sequence(words, batch_first=True),
        pad_sequence(sentences, batch_first=True),
    )


def _word_numbers(text: str, numbers: Sequence[int | None], places: np.ndarray) -> Tensor:
    """(T,) numbers of words, counted anew without the signs between them."""
    known: dict[int, int] = {}
    found = []
    for number, (start, end) in zip(numbers, places, strict=True):
        # GLoRIA and MGCA read \w+ only: a full stop is no word to align.
        is_word = number is not None and any(sign.isalnum() for sign in text[start:end])
        if number is not None and (is_word or number in known):
            found.append(known.setdefault(number, len(known)))
        else:
            found.append(NOTHING)
    return torch.tensor(found)
