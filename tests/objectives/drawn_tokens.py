"""Features drawn at random, without encoders: every tensor that an objective reads can be changed by itself."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pedclip.models.image import ImageFeatures
from pedclip.models.pedclip import PedCLIP
from pedclip.models.text import TextFeatures
from pedclip.objectives.base import FeatureBatch
from pedclip.objectives.tokens import Tokens

PATCHES = 4  # of a tiny film: 16 pixels in patches of 8


def image_features(tokens: Tensor) -> ImageFeatures:
    """(B, 1+S, C) final tokens, the image token in front."""
    pooled = tokens[:, 0]
    return ImageFeatures(torch.nn.functional.normalize(pooled, dim=-1), [], tokens, lambda: tokens, pooled=pooled)


def text_features(tokens: Tensor) -> TextFeatures:
    """(B, T, C) final tokens, [CLS] in front."""
    return TextFeatures(torch.nn.functional.normalize(tokens[:, 0], dim=-1), tokens, (tokens,))


def numbered(sentences: Sequence[Sequence[int]], *, length: int = 0) -> Tokens:
    """Tokens of texts whose sentences have so many words each: [CLS], the words, [SEP].

    Args:
        sentences: Per text the lengths of its sentences; () is a text without any word.
        length: T, at least as long as the longest text.
    """
    length = max(length, *(2 + sum(text) for text in sentences))
    words, numbers = (torch.full((len(sentences), length), -1) for _ in range(2))
    mask = torch.zeros(len(sentences), length, dtype=torch.long)
    for row, text in enumerate(sentences):
        owner = [number for number, size in enumerate(text) for _ in range(size)]
        mask[row, : 2 + len(owner)] = 1
        numbers[row, 1 : 1 + len(owner)] = torch.tensor(owner, dtype=torch.long)
        words[row, 1 : 1 + len(owner)] = torch.arange(len(owner))
    return Tokens(torch.zeros_like(mask), mask, words, numbers)


def batch_of(
    model: PedCLIP, image: Tensor, text: Tensor, tokens: Tokens, *, epoch: float = 0.0, pixels: Tensor | None = None
) -> FeatureBatch:
    """A batch of (B, 1+S, C) film tokens and (B, T, C) text tokens."""
    rows = torch.arange(len(image))
    return FeatureBatch(
        image=image_features(image),
        text=text_features(text),
        tokens=tokens,
        regions=rows % 3,
        labels=torch.eye(3)[rows % 3],
        text_ids=rows,
        temperature=model.temperature.detach(),
        epoch=epoch,
        pixels=pixels,
    )


def drawn(model: PedCLIP, sentences: Sequence[Sequence[int]], *, seed: int = 0) -> tuple[Tensor, Tensor, Tokens]:
    """Film tokens (B, 1+S, C) and text tokens (B, T, C), float64 leaves with gradient, and the tokens' numbers."""
    generator = torch.Generator().manual_seed(seed)
    tokens = numbered(sentences)
    sizes = ((1 + PATCHES, model.image_encoder.width), (tokens.input_ids.shape[1], model.text_encoder.width))
    image, text = (
        torch.randn(len(sentences), *size, generator=generator, dtype=torch.float64).requires_grad_() for size in sizes
    )
    return image, text, tokens


def reordered(tokens: Tokens, rows: Tensor) -> Tokens:
    """Some of the texts, in another order."""
    return Tokens(*(value[rows] for value in vars(tokens).values()))


def padded(text: Tensor, tokens: Tokens, *, more: int = 3) -> tuple[Tensor, Tokens]:
    """The same texts in longer rows, with other values wherever a text has ended: a leaf (B, T + more, C)."""
    pad = torch.nn.functional.pad
    longer = Tokens(
        *(pad(value, (0, more), value=fill) for value, fill in zip(vars(tokens).values(), (0, 0, -1, -1), strict=True))
    )
    garbage = 50 * torch.randn(len(text), longer.input_ids.shape[1], text.shape[2], dtype=text.dtype)
    is_text = longer.attention_mask.bool()[..., None]
    return torch.where(is_text, pad(text, (0, 0, 0, more)), garbage).detach().requires_grad_(), longer
