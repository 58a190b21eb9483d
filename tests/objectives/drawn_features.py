"""Features drawn at random in double precision, whose gradients can be asked for."""

from dataclasses import replace

import torch
from torch import Tensor

from pedclip.models.image import ImageFeatures
from pedclip.models.pedclip import PedCLIP
from pedclip.models.text import TextFeatures
from pedclip.objectives.base import FeatureBatch
from pedclip.objectives.tokens import NOTHING, Tokens, tokenize

# The first and the third are the same; one word; a sign alone.
TEXTS = ("Film 1 of the chest. Film 2.", "Film", "Film 1 of the chest. Film 2.", ".", "Film 3 of the pelvis, film 6.")


def drawn_features(model: PedCLIP, *, num_layers: int = 2, num_places: int = 3, seed: int = 0) -> FeatureBatch:
    """One film per text of ``TEXTS``; what heads read are leaves of the graph."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    count, encoder = len(TEXTS), model.image_encoder
    tokens = tokenize(model.tokenizer, list(TEXTS), max_tokens=16)
    places = draw(count, num_places, encoder.local_width)
    hidden = tuple(draw(*tokens.input_ids.shape, model.text_encoder.width) for _ in range(num_layers + 1))
    embedding = draw(count, encoder.width)
    return FeatureBatch(
        image=ImageFeatures(
            embedding, [], embedding, lambda: places, _local=lambda: places, pooled=draw(count, encoder.width)
        ),
        text=TextFeatures(draw(count, encoder.width), hidden[-1], hidden),
        tokens=tokens,
        regions=torch.zeros(count, dtype=torch.long),
        labels=torch.zeros(count, 1),
        text_ids=torch.tensor([0, 1, 0, 2, 3]),
        temperature=torch.tensor(0.07),
        epoch=0.0,
    )


def chosen(features: FeatureBatch, films: list[int], texts: list[int]) -> FeatureBatch:
    """Some films and some texts, in another order."""
    image, text, tokens = features.image, features.text, features.tokens
    places = image.patches[films]
    return replace(
        features,
        image=ImageFeatures(
            image.embedding[films],
            [],
            image.dense[films],
            lambda: places,
            _local=lambda: places,
            pooled=image.pooled[films],
        ),
        text=TextFeatures(text.embedding[texts], text.tokens[texts], tuple(layer[texts] for layer in text.hidden)),
        tokens=Tokens(*(value[texts] for value in vars(tokens).values())),
        text_ids=features.text_ids[texts],
    )


def padded(features: FeatureBatch, count: int = 3) -> FeatureBatch:
    """The same texts with garbage behind their masks."""
    text, tokens = features.text, features.tokens
    shape = (len(tokens), count)
    hidden = tuple(torch.cat([layer, torch.full((*shape, layer.shape[-1]), 99.0)], 1) for layer in text.hidden)
    # Id 7, no text, of no word, of no sentence.
    values = zip(vars(tokens).values(), (7, 0, NOTHING, NOTHING), strict=True)
    return replace(
        features,
        text=TextFeatures(text.embedding, hidden[-1], hidden),
        tokens=Tokens(*(torch.cat([value, torch.full(shape, fill)], 1) for value, fill in values)),
    )


def contrastive_by_loops(
    logits: list[list[Tensor]], words: list[int] | None = None, image_weight: float = 0.5
) -> Tensor:
    """Weighted mean of −log softmax of the diagonal by row and by column; ``words`` names texts that are the same."""
    total, size = torch.zeros((), dtype=torch.float64), len(logits)
    for i in range(size):
        kept = [j for j in range(size) if j == i or words is None or words[i] != words[j]]
        to_text = sum(logits[i][j].exp() for j in kept).log() - logits[i][i]
        to_image = sum(logits[j][i].exp() for j in kept).log() - logits[i][i]
        total = total + image_weight * to_text / size + (1 - image_weight) * to_image / size
    return total


def cosine(first: Tensor, second: Tensor) -> Tensor:
    """() of two vectors."""
    return (first * second).sum() / ((first * first).sum().sqrt() * (second * second).sum().sqrt())
