"""A flow small enough to train in a test: 16-pixel films with a bright half, and captions that say which."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pedclip.models.text import TextEncoder, train_tokenizer
from pedclip.synthesis.flow.captions import CaptionEncoder
from pedclip.synthesis.flow.config import FlowRun
from pedclip.synthesis.flow.network import FlowNetwork

SIZE = 16
SIDES = ("bright left", "bright right")


def tiny_captions(seed: int = 0, max_tokens: int = 8) -> CaptionEncoder:
    """A text encoder with random weights: frozen, as the real one."""
    tokenizer = train_tokenizer([*SIDES, "dark film of nothing at all"], vocab_size=80)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        encoder = TextEncoder.from_sizes(vocab_size=len(tokenizer), width=16, depth=1, heads=2, max_tokens=max_tokens)
    # BERT's first weights are so small that attention changes nothing.
    with torch.no_grad():
        for value in encoder.parameters():
            value.mul_(8 if value.ndim > 1 else 1)
    return CaptionEncoder(encoder, tokenizer, max_tokens=max_tokens)


def tiny_films(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], list[str]]:
    """Dark films, every second one bright on the right and the others on the left; each a little different."""
    rng = np.random.default_rng(seed)
    films = rng.integers(0, 40, (count, SIZE, SIZE), dtype=np.uint8)
    for number, film in enumerate(films):
        begin = SIZE // 2 * (number % 2)
        film[4:12, begin + 1 : begin + 7] = rng.integers(200, 240)
    return films, [SIDES[number % 2] for number in range(count)]


def tiny_run(model: dict[str, Any] | None = None, sampling: dict[str, Any] | None = None, **training: Any) -> FlowRun:
    """The default configuration, shrunk."""
    sizes: dict[str, Any] = {"image_size": SIZE, "patch": 2, "channels": [16, 32], "heads": 2} | (model or {})
    optimization = {
        "steps": 6,
        "batch_size": 4,
        "warmup_steps": 1,
        "checkpoint_every": 2,
        "log_every": 1,
        "learning_rate": 1e-3,
        "device": "cpu",
    }
    drawing = {"steps": 2, "batch_size": 4} | (sampling or {})
    return FlowRun().replace({"model": sizes, "training": optimization | training, "sampling": drawing})


def drawn_network(captions: CaptionEncoder, seed: int = 0) -> FlowNetwork:
    """A network whose velocity depends on everything: its last layer is random, too."""
    network = FlowNetwork(tiny_run().model, text_width=captions.width, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in (network.unet.conv_out.weight, network.unet.conv_out.bias):
            value.copy_(0.1 * torch.randn(value.shape, generator=generator))
    return network.eval()
