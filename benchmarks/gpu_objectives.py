"""Training objectives on a GPU: equal losses and gradients to the CPU, and the cost of a step of each."""

import math
import statistics
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.rivals_time import step_of
from pedclip.models.config import PedCLIPConfig
from pedclip.models.pedclip import default_preprocess
from pedclip.objectives.registry import names
from pedclip.objectives.tokens import tokenize
from pedclip.training.batches import TokenizedTriplets
from pedclip.training.config import RunConfig, TrainingConfig
from pedclip.training.loop import build_model
from pedclip.training.module import batch_losses, build_objective
from pedclip.triplets.arrays import TripletArrays

# Largest accepted difference to the CPU in single precision, of each tensor relative to its largest value.
TOLERANCE = 1e-3
# Tensors smaller than this share of the largest gradient are held against that share instead of their own values.
ROUNDING = 1e-6
# Added to all logits of a softmax alike: the gradient is 0, and what is computed is rounding alone.
WITHOUT_EFFECT = ("self.key.bias", "fusion.score.bias")
_PARTS = ("left wrist", "right knee", "chest", "pelvis")
_FINDINGS = ("No fracture.", "Buckle fracture of the cortex.", "Small effusion.", "Soft tissue swelling.")


def films(count: int, image_size: int) -> TripletArrays:
    """Noise with reports of two or three sentences: what they say does not matter here."""
    side = default_preprocess(image_size, None).resize
    rng = np.random.default_rng(0)
    texts = [
        f"Radiograph of the {_PARTS[row % 4]}. {_FINDINGS[row % 4]} {_FINDINGS[row // 4 % 4] if row % 3 else ''}"
        for row in range(count)
    ]
    images = rng.integers(0, 256, (count, side, side), dtype=np.uint8)
    found = [(_FINDINGS[row % 4],) for row in range(count)]
    return TripletArrays(images, texts, np.arange(count) % 23, [str(row) for row in range(count)], (), found)


def configuration(objective: str, size: Mapping[str, int], *, with_experts: bool) -> RunConfig:
    """A ViT and a BERT of the given sizes with one objective."""
    model = PedCLIPConfig(
        image_architecture="vit_base_patch16_224",
        image_size=size["image"],
        image_width=size["width"],
        image_depth=size["depth"],
        image_heads=size["heads"],
        text_width=size["width"],
        text_depth=size["depth"],
        text_heads=size["heads"],
        vocab_size=300,
        mobe_layers=(-1,) if with_experts else (),
    )
    return RunConfig(model=model, training=TrainingConfig(objective=objective, batch_size=size["batch"], epochs=10))


def check_objectives(device: str, size: Mapping[str, int]) -> list[dict[str, Any]]:
    """Loss and every gradient of every objective on the device beside those on the CPU, from the same weights."""
    small = dict(size) | {"batch": 8, "depth": 2}
    rows = []
    for objective in names():
        config = configuration(objective, small, with_experts=objective == "pedclip")
        values = [_loss_and_gradients(config, where) for where in ("cpu", device)]
        apart, tensor = _furthest(*values)
        what = f"objective {objective}, against the CPU: {len(values[0])} tensors, furthest {tensor}"
        rows.append({"what": what, "difference": apart, "ok": apart < TOLERANCE})
    return rows


def _furthest(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> tuple[float, str]:
    """Largest difference relative to the largest value of its tensor, and the tensor's name.

    A tensor that one side lacks, or that is not finite, is infinitely far.
    """
    if expected.keys() != found.keys():
        return math.inf, sorted(expected.keys() ^ found.keys())[0]
    floor = max(float(value.abs().max()) for name, value in expected.items() if name != "loss") * ROUNDING
    differences = {}
    for name, value in expected.items():
        apart = float((value - found[name]).abs().max() / value.abs().max().clamp(min=floor))
        differences[name] = apart if math.isfinite(apart) else math.inf
    name = max(differences, key=lambda name: differences[name])
    return differences[name], name


def _loss_and_gradients(config: RunConfig, device: str) -> dict[str, Tensor]:
    """The loss and the gradient of every tensor of encoders and heads that has an effect, brought to the CPU."""
    data = films(config.training.batch_size, config.model.image_size)
    torch.manual_seed(0)
    # Evaluation mode: dropout draws other numbers on another device.
    model = build_model(config, data).eval()
    objective = build_objective(config.training, model).eval()
    # Made on the CPU, for the same weights on both.
    model, objective = model.to(device), objective.to(device)
    tokens = tokenize(model.tokenizer, data.texts, max_tokens=config.model.max_text_tokens)
    batch = TokenizedTriplets(data, tokens, torch.from_numpy(data.regions))[list(range(len(data)))]
    batch = {name: value.to(device) for name, value in batch.items()}
    values = batch_losses(model, objective, batch, epoch=8.0, generator=torch.Generator().manual_seed(0))
    values["loss"].backward()
    parameters = {f"model.{name}": value for name, value in model.named_parameters()}
    parameters |= {f"objective.{name}": value for name, value in objective.named_parameters()}
    tensors = {"loss": values["loss"].detach()}
    tensors |= {
        name: value.grad
        for name, value in parameters.items()
        if value.grad is not None and not name.endswith(WITHOUT_EFFECT)
    }
    return {name: value.double().cpu() for name, value in tensors.items()}


def objective_steps(size: Mapping[str, int], device: str, rounds: int) -> list[dict[str, Any]]:
    """Median seconds and peak memory of a whole step of every objective, without experts and with them."""
    rows = []
    for objective in names():
        for with_experts in (False, True):
            if objective == "pedclip" and not with_experts:
                continue
            config = configuration(objective, size, with_experts=with_experts)
            data = films(2 * size["batch"], size["image"])
            step = step_of(config, data, device=device)
            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            seconds = []
            for turn in range(rounds + 2):
                started = time.perf_counter()
                step()
                if turn >= 2:  # the first ones allocate
                    seconds.append(time.perf_counter() - started)
            memory = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else None
            row = {"objective": objective, "experts": with_experts, "seconds": statistics.median(seconds)}
            rows.append(row | {"peak_gib": memory})
    return rows
