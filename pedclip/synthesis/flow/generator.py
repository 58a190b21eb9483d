"""The trained flow as a generator: texts and seeds in, films out."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pedclip.synthesis.flow.captions import CaptionEncoder
from pedclip.synthesis.flow.config import Sampling
from pedclip.synthesis.flow.network import FlowNetwork
from pedclip.synthesis.flow.path import guided, integrate, to_films
from pedclip.synthesis.generator import check_seeds
from pedclip.synthesis.prompts import Prompt

_log = logging.getLogger(__name__)


class FlowGenerator:
    """Films of texts by a rectified flow.

    The film of a text and a seed does not depend on the other films of a call, nor on their order or number: every text
    is encoded alone, and every film is computed in tensors of one shape. On one machine, with one number of threads,
    this holds bit by bit. Between machines, devices, numbers of threads, batch sizes and versions of torch the first
    noise is the same and the film differs by rounding: mostly not at all, in places by a grey level.

    Args:
        network: Trained weights; put in evaluation mode.
        captions: Text encoder that it was trained with.
        name: For manifests.
        prompt: What of a triplet its captions were.
        sampling: Way from noise to film.
        device: To compute on; the noise is drawn on the CPU.

    Source: rectified flow (Liu et al. 2023) with classifier-free guidance (Ho and Salimans 2022).
    """

    def __init__(
        self,
        network: FlowNetwork,
        captions: CaptionEncoder,
        *,
        name: str = "flow",
        prompt: Prompt = "named",
        sampling: Sampling | None = None,
        device: str = "cpu",
    ) -> None:
        self.network = network.to(device).eval().requires_grad_(False)
        self.captions = captions
        self.name = name
        self.prompt: Prompt = prompt
        self.sampling = sampling or Sampling()
        self.device = device

    @property
    def image_size(self) -> int:
        """Height and width of the films, pixels."""
        return self.network.config.image_size

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights, by name and value; that of a stored generator is the same wherever it is opened."""
        # In single precision, whatever the file has: 16 bits widen without loss.
        digest = hashlib.sha256()
        for name, value in sorted(self.network.state_dict().items()):
            digest.update(f"{name}\0{tuple(value.shape)}\0".encode())
            digest.update(value.to("cpu", torch.float32).numpy().tobytes())
        return digest.hexdigest()

    def with_sampling(self, sampling: Sampling) -> "FlowGenerator":
        """The same weights on another way from noise to film."""
        known: dict[str, Any] = {"name": self.name, "prompt": self.prompt, "device": self.device}
        return FlowGenerator(self.network, self.captions, sampling=sampling, **known)

    def describe(self) -> dict[str, Any]:
        """Everything that decides a film besides text and seed, as JSON."""
        return {
            "kind": "rectified flow",
            "name": self.name,
            "network": json.loads(json.dumps(dataclasses.asdict(self.network.config))),  # lists, as JSON has them
            "prompt": self.prompt,
            "weights_sha256": self.weights_sha256,
            "text_encoder_sha256": self.captions.fingerprint,
            "max_tokens": self.captions.max_tokens,
            **dataclasses.asdict(self.sampling),
        }

    def is_cut(self, texts: Sequence[str]) -> list[bool]:
        """True for each text that is longer than the text encoder reads."""
        return self.captions.is_cut(texts)

    def generate(self, texts: Sequence[str], *, seeds: Sequence[int]) -> NDArray[np.uint8]:
        """Films of texts; how many texts were cut is logged.

        Args:
            texts: B texts; the empty one gives any film.
            seeds: One per text, at least 0, below 2⁶³.

        Returns:
            (B, H, W) grey levels, 0 black to 255 white.

        Raises:
            ValueError: Not one seed per text, or a seed is out of range.
        """
        check_seeds(seeds, len(texts))
        if num_cut := sum(self.is_cut(texts)):
            limit = self.captions.max_tokens
            _log.info("%d of %d texts are cut: only %d tokens of a text are read", num_cut, len(texts), limit)
        films = np.zeros((len(texts), self.image_size, self.image_size), np.uint8)
        # Piece by piece: the memory does not grow with the number of films.
        size = self.sampling.batch_size
        for begin in range(0, len(texts), size):
            rows = slice(begin, begin + size)
            films[rows] = self._batch(texts[rows], seeds[rows])
        return films

    @torch.no_grad()
    def _batch(self, texts: Sequence[str], seeds: Sequence[int]) -> NDArray[np.uint8]:
        # Filled up with the empty text: one shape, whatever is asked for.
        empty = self.sampling.batch_size - len(texts)
        states = self.captions.encode([*texts, ""])  # one by one
        rows = torch.tensor([*range(len(texts)), *[len(texts)] * empty])  # (B,)
        nothing = torch.full_like(rows, len(texts))
        noise = torch.stack([_noise(seed, self.image_size) for seed in (*seeds, *[0] * empty)])  # (B, 1, H, W)
        # Both halves in one pass; a guidance of 0 or 1 needs one of them only.
        guidance = self.sampling.guidance
        asked = {0.0: nothing, 1.0: rows}.get(guidance, torch.cat([rows, nothing]))  # (B,) or (2B,)
        tokens, mask = (part.to(self.device) for part in states.padded(asked, self.captions.max_tokens))
        kind = torch.device(self.device).type

        def velocity(films: Tensor, time: float) -> Tensor:
            both = films.repeat(len(asked) // len(films), 1, 1, 1)  # (B or 2B, 1, H, W)
            times = torch.full((len(both),), time, device=films.device)
            with torch.autocast(kind, torch.bfloat16, enabled=self.sampling.precision == "bf16-mixed"):
                found: Tensor = self.network(both, times, tokens, mask).float()
            if len(both) == len(films):
                return found
            conditional, unconditional = found.chunk(2)
            return guided(conditional, unconditional, guidance)

        # The films that filled up the batch are let go.
        sampling = self.sampling
        ends = integrate(velocity, noise.to(self.device), steps=sampling.steps, solver=sampling.solver)
        return to_films(ends[: len(texts)])


def _noise(seed: int, size: int) -> Tensor:
    # NumPy's generator, for torch's CPU generator reads only the lower 32 bits of a seed: of 200 000 films with hashed
    # seeds, several pairs would begin in the same noise.
    noise = np.random.Generator(np.random.PCG64(seed)).standard_normal((1, size, size), dtype=np.float32)
    return torch.from_numpy(noise)
