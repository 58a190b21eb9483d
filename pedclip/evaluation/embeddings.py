"""Embeddings of a whole data set, in batches."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from pedclip.artefacts import write_bytes
from pedclip.triplets.transforms import to_pixels

Array = NDArray[np.float32]


class Evaluable(Protocol):
    """A model that can be moved to a device and set to evaluation mode, as any torch module."""

    training: bool

    def to(self, device: Any) -> Any:
        """Move the model."""

    def train(self, mode: bool = ...) -> Any:
        """Set the training mode."""


class Encoder(Evaluable, Protocol):
    """A model that embeds images and texts; `pedclip.PedCLIP` is one."""

    @property
    def preprocess(self) -> Any:
        """Preparation of stored films for the image encoder."""

    def encode_image(self, pixels: Tensor) -> Any:
        """(B, 3, H, W) -> `.embedding` (B, D) and `.gate_logits`, a list of (B, E)."""

    @property
    def encode_text(self) -> Callable[..., Any]:
        """A function of what `tokenize` returns, (B, T) each -> `.embedding` (B, D)."""

    def tokenize(self, texts: list[str]) -> Any:
        """Sentences -> `input_ids`, `attention_mask` and what else the model reads, (B, T)."""


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Images and texts in the joint space.

    Args:
        image: (N, D) float32 of unit length.
        text: (M, D) float32 of unit length.
        gate: (N, E) float32 probabilities of the last expert block, rows sum to 1; (N, 0) without experts.
    """

    image: Array
    text: Array
    gate: Array


def embed(
    model: Encoder, images: NDArray[np.uint8], texts: Sequence[str], *, batch_size: int = 64, device: str = "cpu"
) -> Embeddings:
    """Embeddings of images and texts.

    The model is moved to the device, and its training mode is as before afterwards. A result depends on the batch
    size in the last digits only, and is not bit-equal across devices.

    Args:
        model: A dual encoder with its preprocessing.
        images: (N, R, R) gray, 0 to 255, as the cache of decoded images holds them.
        texts: M sentences; each distinct one is encoded once.
        batch_size: Images or texts at a time, at least 1.
        device: Where to compute, such as "cpu" or "cuda".

    Returns:
        The embeddings, in the order given.

    Raises:
        ValueError: Images of another type or shape, or a batch size below 1.
    """
    if images.ndim != 3 or images.dtype != np.uint8 or len(images) == 0:
        raise ValueError(
            f"images must be (N, R, R) uint8 with values 0 to 255, got {images.shape} {images.dtype}; "
            "decode them through pedclip.triplets.cache"
        )
    with evaluating(model, device):
        features = [_embed_images(model, images[i : i + batch_size], device) for i in _starts(len(images), batch_size)]
        text = _embed_texts(model, texts, batch_size, device)
    image, gate = (np.concatenate(parts) for parts in zip(*features, strict=True))
    if len(text) == 0:
        # Without a sentence the joint width D is known from the images only.
        text = text.reshape(0, image.shape[1])
    return Embeddings(image, text, gate)


def embed_texts(model: Encoder, texts: Sequence[str], *, batch_size: int = 64, device: str = "cpu") -> Array:
    """Embeddings of sentences only, as the zero-shot functions ask for prompts.

    Args:
        model: A dual encoder with its tokenizer.
        texts: M sentences; each distinct one is encoded once.
        batch_size: Sentences at a time, at least 1.
        device: Where to compute.

    Returns:
        (M, D) float32 of unit length.

    Raises:
        ValueError: A batch size below 1.
    """
    with evaluating(model, device):
        return _embed_texts(model, texts, batch_size, device)


def save_embeddings(embeddings: Embeddings, folder: Path) -> Path:
    """Store the three arrays as ``folder/embeddings.npz`` (no pickle)."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, image=embeddings.image, text=embeddings.text, gate=embeddings.gate)
    return write_bytes(folder / "embeddings.npz", buffer.getvalue())


def _embed_images(model: Encoder, images: NDArray[np.uint8], device: str) -> tuple[Array, Array]:
    # Bytes go to the device, floats are made there: a quarter of the traffic.
    stored = torch.from_numpy(np.array(images)).to(device)  # a copy, because a memory map is read-only
    features = model.encode_image(to_pixels(stored, model.preprocess))
    logits: list[Tensor] = list(features.gate_logits)
    # Only the last expert block is kept; a model without experts has a gate of no columns.
    gate = logits[-1].float().softmax(dim=1) if logits else features.embedding.new_zeros(len(images), 0)
    return _unit(features.embedding), _to_numpy(gate)


def _embed_texts(model: Encoder, texts: Sequence[str], batch_size: int, device: str) -> Array:
    # Half of the sentences of an archive may say that all is normal.
    position = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    unique = list(position)
    if not unique:
        return np.zeros((0, 0), dtype=np.float32)
    parts = []
    for start in _starts(len(unique), batch_size):
        tokens = model.tokenize(unique[start : start + batch_size])
        features = model.encode_text(**{name: value.to(device) for name, value in tokens.items()})
        parts.append(_unit(features.embedding))
    # (U, D) -> (M, D)
    return np.concatenate(parts)[[position[text] for text in texts]]


def _unit(embedding: Tensor) -> Array:
    # Normalized in float32: half precision would lose the unit length in the third digit.
    return _to_numpy(normalize(embedding.float(), dim=1))


def _to_numpy(values: Tensor) -> Array:
    array: Array = values.float().cpu().numpy()
    return array


def _starts(length: int, batch_size: int) -> range:
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    return range(0, length, batch_size)


@contextmanager
def evaluating(model: Evaluable, device: str) -> Iterator[None]:
    """In the block a model is on the device, in evaluation mode, without gradients; its mode is restored afterwards."""
    # An evaluation between two epochs must leave training as it was, dropout included.
    was_training = model.training
    model.to(device)
    model.train(False)
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)
