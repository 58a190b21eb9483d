"""Films of one bright blob, whose place is the region and the text, and a model that reads both without training."""

import re
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pedclip.models.imagenet import NetworkFeatures
from pedclip.triplets.arrays import TripletArrays
from pedclip.triplets.transforms import Preprocess

SIZE = 32
_CENTERS = ((9, 9), (9, 23), (23, 9), (23, 23))  # row and column of the blob, by region
_WORDS = re.compile(r"Blob (\d) at (-?\d+) (-?\d+)")


def drawn_films(count: int, seed: int, *, first_patient: int = 0, size: int = SIZE) -> TripletArrays:
    """Films of four regions; two films in five show a fracture, a bright bar at the lower edge."""
    rng = np.random.default_rng(seed)
    regions = rng.integers(0, 4, count)
    places = rng.integers(-4, 5, (count, 2))
    has_finding = rng.random(count) < 0.4
    texts = [
        f"Blob {region} at {row} {column}.{' Fracture.' if found else ''}"
        for region, (row, column), found in zip(regions, places, has_finding, strict=True)
    ]
    return TripletArrays(
        redrawn(texts, seed, size=size),
        texts,
        regions,
        [f"p{first_patient + row // 2}" for row in range(count)],
        findings=[("fracture",) if found else () for found in has_finding],
    )


def redrawn(texts: list[str], seed: int, *, size: int = SIZE) -> NDArray[np.uint8]:
    """Other films of the same texts: what a perfect generator would make of them."""
    rng = np.random.default_rng([seed, 1])
    return np.stack([_film(text, rng, size) for text in texts])


def _film(text: str, rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    light = 40 + 170 * _ideal(text, width=rng.uniform(3, 5))
    # Smooth light and dark over the film, which no text tells of.
    waves = rng.normal(0, 14, (4, 4))
    rows, columns = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    for i, j in np.ndindex(waves.shape):
        light = light + waves[i, j] * np.cos(np.pi * (i * rows + j * columns))
    light = np.repeat(np.repeat(light, size // SIZE, axis=0), size // SIZE, axis=1)
    return np.clip(light + rng.normal(0, 3, light.shape), 0, 255).astype(np.uint8)


def _ideal(text: str, width: float = 4) -> NDArray[np.float64]:
    light = np.zeros((SIZE, SIZE))
    if found := _WORDS.search(text):
        region, down, right = map(int, found.groups())
        row, column = _CENTERS[region][0] + down, _CENTERS[region][1] + right
        rows, columns = np.mgrid[0:SIZE, 0:SIZE]
        light = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * width**2))
    words = text.lower()
    # A text without a blob is a prompt, which names the fracture in many words or denies it.
    if "fracture" in words or not found:
        light[-4:] += -0.6 if re.search(r"\b(no|without|normal|intact)\b", words) else 0.6
    return light


class DrawnModel(nn.Module):
    """Films and texts as 8×8 thumbnails less their mean; a text is that of the film that it describes."""

    preprocess = Preprocess(size=SIZE, resize=SIZE)

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([scale]))
        self.texts: list[str] = []

    def encode_image(self, pixels: Tensor) -> Any:
        films = nn.functional.avg_pool2d(pixels.mean(dim=1), SIZE // 8).flatten(1)
        # Not quite the mean, so that a film of one grey level has a direction, too.
        films = (films - films.mean(dim=1, keepdim=True) + 0.01) * self.scale
        found = NetworkFeatures(films, torch.stack([films, films], dim=1))
        object.__setattr__(found, "gate_logits", [])
        return found

    def tokenize(self, texts: list[str]) -> dict[str, Tensor]:
        start = len(self.texts)
        self.texts += texts
        return {"input_ids": torch.arange(start, start + len(texts))[:, None]}

    def encode_text(self, input_ids: Tensor) -> Any:
        light = np.stack([_ideal(self.texts[row]) for row in input_ids[:, 0].tolist()])
        films = torch.from_numpy(light).float()[:, None].repeat(1, 3, 1, 1)
        return self.encode_image(films)
