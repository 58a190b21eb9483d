"""Tasks with known answers: bright squares on a noisy grid of tokens, and labels with features that hold them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.tasks.task import Labels
from pedclip.triplets.splits import SPLITS

GRID = 8  # patches per side
CELL = 4  # pixels per patch


def squares(number: int, seed: int, *, empty: float = 0.2) -> tuple[NDArray[np.float32], list[Any], NDArray[np.bool_]]:
    """Tokens, corners and masks of images with one square each, some with none.

    Returns:
        (N, 64, 3) tokens whose first channel is bright inside the square, N corners in patches or None, and masks
        (N, 32, 32).
    """
    rng = np.random.default_rng(seed)
    tokens = rng.normal(0, 0.1, (number, GRID, GRID, 3)).astype(np.float32)
    masks = np.zeros((number, GRID * CELL, GRID * CELL), dtype=np.bool_)
    corners: list[Any] = []
    for image in range(number):
        if rng.random() < empty:
            corners.append(None)
            continue
        top, left = rng.integers(0, GRID - 3, 2)
        size = rng.integers(2, 4)
        tokens[image, top : top + size, left : left + size, 0] += 1
        masks[image, CELL * top : CELL * (top + size), CELL * left : CELL * (left + size)] = True
        corners.append((left, top, left + size, top + size))
    return tokens.reshape(number, GRID * GRID, 3), corners, masks


def random_table(count: int, labels: int, *, films_per_patient: int = 1) -> tuple[Labels, Labels, Labels, Labels]:
    """By split, the rows (count,), patients, random labels (count, labels) and random months (count,)."""
    rng = np.random.default_rng(0)
    return (
        {split: np.arange(count) for split in SPLITS},
        {split: np.array([f"{split}{row // films_per_patient}" for row in range(count)]) for split in SPLITS},
        {split: rng.integers(0, 2, (count, labels)).astype(float) for split in SPLITS},
        {split: rng.uniform(0, 200, count) for split in SPLITS},
    )
