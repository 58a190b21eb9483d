"""Captions as a frozen text encoder of PedCLIP reads them: its last hidden states, kept without padding."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from pedclip.models.pedclip import PedCLIP
from pedclip.models.text import TextEncoder, tokenizer_rules


@dataclass(frozen=True)
class CaptionStates:
    """Hidden states of U texts, end to end.

    Attributes:
        values: (M, C) float16, the tokens of one text after those of the other; half the memory of single precision,
            and the same numbers in training and in generation.
        begins: (U + 1,) int64, where each text begins, and the end.
    """

    values: Tensor
    begins: Tensor

    def padded(self, rows: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """States of some texts in one shape.

        Args:
            rows: (B,) int64, numbers of texts.
            length: L, at least the longest of them.

        Returns:
            (B, L, C) float32, 0 on padding, and the mask (B, L) float32, 1 on text.
        """
        # All rows at once: a loop over films would cost more than the network of a small model.
        begins, ends = self.begins[rows], self.begins[rows + 1]  # (B,)
        places = begins[:, None] + torch.arange(length)  # (B, L)
        mask = places < ends[:, None]
        # Any token does for the padding: it is multiplied by 0.
        tokens = self.values[places.clamp(max=len(self.values) - 1)].float() * mask[..., None]  # (B, L, C)
        return tokens, mask.float()


class CaptionEncoder:
    """Text encoder with its tokenizer, for reading only.

    Args:
        encoder: Put in evaluation mode, its weights frozen.
        tokenizer: Of the same model.
        max_tokens: L, beyond which a text is cut.
    """

    def __init__(self, encoder: TextEncoder, tokenizer: PreTrainedTokenizerBase, *, max_tokens: int) -> None:
        self.encoder = encoder.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens

    @classmethod
    def from_checkpoint(cls, path_or_name: str | Path) -> Self:
        """Text encoder of a PedCLIP checkpoint.

        Args:
            path_or_name: As `PedCLIP.from_pretrained` takes it.

        Raises:
            OSError: There is no such checkpoint.
            ValueError: It is damaged.
        """
        model = PedCLIP.from_pretrained(path_or_name)
        # The image encoder is let go with the model.
        return cls(model.text_encoder, model.tokenizer, max_tokens=model.config.max_text_tokens)

    @property
    def width(self) -> int:
        """C of the hidden states."""
        return self.encoder.width

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of weights, vocabulary and greatest length: what must be the same for a text to mean the same."""
        # Sorted by name: the order of a module is an accident.
        digest = hashlib.sha256(f"{self.max_tokens}\0".encode())
        for name, value in sorted(self.encoder.state_dict().items()):
            digest.update(f"{name}\0{tuple(value.shape)}\0".encode())
            digest.update(value.to("cpu", torch.float32).numpy().tobytes())
        digest.update(json.dumps(tokenizer_rules(self.tokenizer), sort_keys=True).encode())
        return digest.hexdigest()

    def is_cut(self, texts: Sequence[str]) -> list[bool]:
        """True for each text whose end is never read."""
        if not texts:
            return []
        # The tokenizer's own words about long texts are about another limit.
        tokens = self.tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
        return [len(one) > self.max_tokens for one in tokens]

    @torch.no_grad()
    def encode(self, texts: Sequence[str], *, batch_size: int = 1) -> CaptionStates:
        """Last hidden states of texts, on the CPU.

        Args:
            texts: U of them, cut at `max_tokens`.
            batch_size: Texts of one length that are read together. With 1 the states of a text do not depend on the
                others, bit by bit; with more they may in the last digits.
        """
        # By itself each, without padding: lengths are needed first.
        device = self.encoder.bert.device
        tokens = [self.tokenizer(text, truncation=True, max_length=self.max_tokens)["input_ids"] for text in texts]
        lengths = np.array([len(one) for one in tokens], dtype=np.int64)
        begins = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]))  # (U + 1,)
        values = torch.zeros(int(begins[-1]), self.width, dtype=torch.float16)
        # By length, so that nothing is padded: what a text means cannot depend on its neighbours' padding.
        for length in np.unique(lengths):
            same = np.flatnonzero(lengths == length)
            # The last piece of a length may be shorter.
            for rows in np.split(same, range(batch_size, len(same), batch_size)):
                ids = torch.tensor([tokens[row] for row in rows], device=device)  # (b, length)
                states = self.encoder(ids, torch.ones_like(ids))[-1].to("cpu", torch.float16)
                for row, state in zip(rows, states, strict=True):
                    values[begins[row] : begins[row + 1]] = state
        return CaptionStates(values, begins)
