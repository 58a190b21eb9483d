"""Features that no encoder has made: free tensors in double precision, whose gradients can be asked for."""

from dataclasses import replace
from types import SimpleNamespace

import torch
from torch import Tensor

from pedclip.models.image import ImageFeatures
from pedclip.models.text import TextFeatures
from pedclip.objectives.base import FeatureBatch
from pedclip.objectives.tokens import Tokens

# Widths of the image token, of patches and of tokens; all of them differ.
IMAGE, PATCH, TEXT = 5, 6, 4
WIDTHS = SimpleNamespace(
    image_encoder=SimpleNamespace(width=IMAGE, local_width=PATCH), text_encoder=SimpleNamespace(width=TEXT)
)
# Two sentences with a word of two pieces; one word; signs alone; a full stop between words.
WORDS = [[-1, 0, 1, 1, 2, -1], [-1, 0, -1, -1, -1, -1], [-1, -1, -1, -1, -1, -1], [-1, 0, 1, -1, 2, -1]]
SENTENCES = [[-1, 0, 0, 0, 1, -1], [-1, 0, 0, -1, -1, -1], [-1, 0, -1, -1, -1, -1], [-1, 0, 0, 0, 1, -1]]
LENGTHS = [6, 4, 3, 6]
LABELS = [[1, 0, 0, 1, 1], [0, 1, 0, 0, 0], [1, 0, 0, 1, 0], [0, 0, 1, 1, 0]]


def leaf_features(*, seed: int = 0, epoch: float = 1.0, has_attention: bool = True) -> FeatureBatch:
    """Four pairs of the texts above; three patches, two heads, an embedding layer and three more."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    mask = (torch.arange(6) < torch.tensor(LENGTHS)[:, None]).long()
    tokens = Tokens(torch.arange(24).view(4, 6), mask, torch.tensor(WORDS), torch.tensor(SENTENCES))
    hidden = tuple(draw(4, 6, TEXT) for _ in range(4))
    attention = draw(4, 2, 6).masked_fill(mask[:, None] == 0, -torch.inf).softmax(-1)
    pooled, patches, seen = draw(4, IMAGE), draw(4, 3, PATCH), draw(4, 2, 4).softmax(-1)[..., 1:]
    return FeatureBatch(
        image=_image(pooled, patches, seen if has_attention else None),
        text=_text(hidden, attention),
        tokens=tokens,
        regions=torch.tensor([0, 1, 0, 2]),
        labels=torch.tensor(LABELS, dtype=torch.float64),
        text_ids=torch.arange(4),
        temperature=torch.tensor(0.5),
        epoch=epoch,
    )


def leaves(features: FeatureBatch) -> list[Tensor]:
    """What encoders would learn from: image token, patches, hidden states."""
    return [features.image.pooled, features.image.patches, *features.text.hidden]


def padded(features: FeatureBatch, extra: int) -> FeatureBatch:
    """The same texts, padded with loud nonsense."""

    def longer(values: Tensor, noise: float) -> Tensor:
        # Tokens are the axis behind the batch, or behind the heads.
        axis = 1 if values.shape[1] == features.tokens.words.shape[1] else 2
        shape = list(values.shape)
        shape[axis] = extra
        return torch.cat([values, torch.full(shape, noise, dtype=values.dtype)], axis)

    tokens = features.tokens
    return replace(
        features,
        text=_text(tuple(longer(state, 99.0) for state in features.text.hidden), longer(features.text.attention, 0.0)),
        tokens=Tokens(
            longer(tokens.input_ids, 77),
            longer(tokens.attention_mask, 0),
            longer(tokens.words, -1),
            longer(tokens.sentences, -1),
        ),
    )


def permuted(features: FeatureBatch, order: Tensor) -> FeatureBatch:
    """The same pairs in another order."""
    image, text = features.image, features.text
    seen = None if image.attention is None else image.attention[order]
    return replace(
        features,
        image=_image(image.pooled[order], image.patches[order], seen),
        text=_text(tuple(state[order] for state in text.hidden), text.attention[order]),
        tokens=Tokens(*(values[order] for values in vars(features.tokens).values())),
        labels=features.labels[order],
        regions=features.regions[order],
    )


def _image(pooled: Tensor, patches: Tensor, attention: Tensor | None) -> ImageFeatures:
    attend = None if attention is None else lambda: attention
    empty = torch.empty(len(pooled), 0)
    return ImageFeatures(empty, [], empty, lambda: empty, attend, lambda: patches, pooled=pooled)


def _text(hidden: tuple[Tensor, ...], attention: Tensor) -> TextFeatures:
    return TextFeatures(torch.empty(len(attention), 0), hidden[-1], hidden, lambda: attention)
