"""A run small enough to train in a second: 16-pixel films whose bright column tells the region."""

import dataclasses
from typing import Any

import numpy as np

from pedclip.anatomy import REGIONS
from pedclip.training.config import RunConfig, replace_fields
from pedclip.training.profiles import load_profile
from pedclip.triplets.arrays import TripletArrays

SIZE = 18


def tiny_arrays(count: int, seed: int = 0) -> TripletArrays:
    """Films of the first three regions."""
    rng = np.random.default_rng(seed)
    regions = np.arange(count, dtype=np.int64) % 3
    images = rng.integers(0, 30, (count, SIZE, SIZE), dtype=np.uint8)
    for image, region in zip(images, regions, strict=True):
        image[:, 6 * region : 6 * region + 6] += 200
    texts = [f"Film {row % 7} of the {REGIONS[region]}." for row, region in enumerate(regions)]
    return TripletArrays(images, texts, regions, [f"p{row}" for row in range(count)])


def tiny_config(model: dict[str, Any] | None = None, **training: Any) -> RunConfig:
    """The demo profile, shrunk."""
    config = load_profile("demo", pretrained=False)
    sizes = {
        "image_size": 16,
        "image_patch_size": 8,
        "image_stem": "patch",
        "image_width": 32,
        "image_depth": 2,
        "image_heads": 2,
    }
    sizes |= {"text_width": 32, "text_depth": 1, "text_heads": 2, "vocab_size": 120, "max_text_tokens": 16}
    changes = {"epochs": 3, "batch_size": 8, "checkpoint_every": 2} | training
    return dataclasses.replace(
        config,
        model=replace_fields(config.model, sizes | (model or {})),
        training=replace_fields(config.training, changes),
    )
