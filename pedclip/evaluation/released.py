"""Embeddings of original films and texts by somebody else's model.

The films are not the squares of our cache: each model sees the original through its own recipe, so that a resize of
ours takes nothing from it.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pedclip.evaluation.embeddings import Array, Embeddings, embed_texts, evaluating
from pedclip.models.released.model import ReleasedModel

Film = Image.Image | NDArray[np.uint8]


def embed_released(
    model: ReleasedModel,
    images: Iterable[Film],
    texts: Sequence[str] = (),
    *,
    batch_size: int = 64,
    device: str = "cpu",
) -> Embeddings:
    """Embeddings of films and texts, each prepared as the model's authors do it.

    The films are read one batch at a time, so a generator that decodes them is enough. The model is moved to the
    device, and its training mode is as before afterwards.

    Args:
        model: From ``load_released``.
        images: N original films, (H, W) uint8 or Pillow images "L" or "RGB", of any sizes.
        texts: M sentences; each distinct one is encoded once. None for a model without texts.
        batch_size: Films or texts at a time, at least 1.
        device: Where to compute, such as "cpu" or "cuda".

    Returns:
        (N, D) and (M, D) unit vectors in the order given; there is no gate, so its rows are empty (N, 0).

    Raises:
        ValueError: There is no film, or a batch size below 1.
        TypeError: Texts for a model that embeds films only, or films that are not 8-bit.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    # Before the films, which take longer: a model without texts says so at once.
    text = embed_texts(model, texts, batch_size=batch_size, device=device)  # type: ignore[arg-type]
    with evaluating(model, device):
        parts: list[Array] = []
        for films in _batches(images, batch_size):
            pixels = torch.stack([model.transform(film) for film in films]).to(device)  # (B, 3, H, W)
            parts.append(model.encode_image(pixels).embedding.float().cpu().numpy())
    if not parts:
        raise ValueError("images is empty: there is no film to embed")
    image = np.concatenate(parts)
    if len(text) == 0:
        # Without a sentence the joint width D is known from the films only.
        text = text.reshape(0, image.shape[1])
    return Embeddings(image, text, np.zeros((len(image), 0), np.float32))


def _batches(images: Iterable[Film], batch_size: int) -> Iterator[list[Film]]:
    batch: list[Film] = []
    for image in images:
        batch.append(image)
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch
