"""Generators for tests: noise that text and seed decide, and ones that break their promises."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pedclip.synthesis.generator import Films, Generator


class NoiseGenerator:
    """Films of noise; texts longer than `longest` words are cut, and "blank" gives a black film."""

    name = "noise"
    image_size = 16
    prompt = "excerpt"

    def __init__(self, *, version: int = 1, longest: int = 1000) -> None:
        self.version, self.longest = version, longest
        self.calls: list[list[str]] = []

    def generate(self, texts: Sequence[str], *, seeds: Sequence[int]) -> Films:
        self.calls.append(list(texts))
        return np.stack([self._film(text, seed) for text, seed in zip(texts, seeds, strict=True)])

    def is_cut(self, texts: Sequence[str]) -> list[bool]:
        return [len(text.split()) > self.longest for text in texts]

    def describe(self) -> dict[str, Any]:
        return {"kind": "noise", "version": self.version}

    def _film(self, text: str, seed: int) -> Films:
        if text == "blank":
            return np.zeros((16, 16), np.uint8)
        rng = np.random.default_rng([self.version, int(seed), *text.encode()])
        return rng.integers(0, 256, (16, 16), dtype=np.uint8)


class BrokenGenerator(NoiseGenerator):
    """Noise, changed by `change` before it is handed out."""

    def __init__(self, change: Any) -> None:
        super().__init__()
        self.change = change

    def generate(self, texts: Sequence[str], *, seeds: Sequence[int]) -> Films:
        changed: Films = self.change(super().generate(texts, seeds=seeds))
        return changed


NOISE: Generator = NoiseGenerator()  # the type checker sees that it is one
