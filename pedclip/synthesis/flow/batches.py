"""Batches of the training: rows, noise, times and dropped captions, from the seed and the number of the step alone."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pedclip.synthesis.flow.config import FlowTraining
from pedclip.synthesis.flow.path import logit_normal_times, to_levels

_ORDER, _STEP = 0, 1  # what is drawn: two streams of one seed


@dataclass(frozen=True)
class FlowBatch:
    """Films with all that is random about them.

    Attributes:
        rows: (B,) int64 numbers of the films.
        films: (B, 1, H, W) in [-1, 1].
        noise: (B, 1, H, W).
        times: (B,) in (0, 1).
        is_dropped: (B,) bool: trained with the empty text.
    """

    rows: Tensor
    films: Tensor
    noise: Tensor
    times: Tensor
    is_dropped: Tensor


def draw_batch(images: NDArray[np.uint8], step: int, *, training: FlowTraining) -> FlowBatch:
    """Batch of a step.

    Args:
        images: (N, H, W) uint8.
        step: Number, from 0.
        training: Sizes, times and seed.
    """
    rows = rows_at(step, count=len(images), batch_size=training.batch_size, seed=training.seed)
    # One order of drawing for ever: a resumed run must see the same noise.
    # NumPy mixes all three numbers into the state; neighbouring steps have nothing in common.
    rng = np.random.default_rng((training.seed, _STEP, step))
    noise = rng.standard_normal((len(rows), 1, *images.shape[1:]), dtype=np.float32)
    times = logit_normal_times(len(rows), rng=rng, mean=training.time_mean, std=training.time_std)
    is_dropped = rng.random(len(rows)) < training.caption_dropout
    # Only the rows of this step are read: the films may be a file larger than the memory.
    return FlowBatch(
        rows=torch.from_numpy(rows),
        films=to_levels(images[rows]),
        noise=torch.from_numpy(noise),
        times=times,
        is_dropped=torch.from_numpy(is_dropped),
    )


def rows_at(step: int, *, count: int, batch_size: int, seed: int) -> NDArray[np.int64]:
    """Numbers (B,) of the films of a step: every film once before any comes again.

    Args:
        step: Number, from 0.
        count: N films.
        batch_size: B; a batch may reach into the next pass.
        seed: Of the order, another one in each pass.
    """
    passes, places = np.divmod(np.arange(step * batch_size, (step + 1) * batch_size), count)  # (B,) each
    # A batch lies in one pass or reaches into the next; more passes only where there are few films.
    parts = [
        np.random.default_rng((seed, _ORDER, one)).permutation(count)[places[passes == one]]
        for one in np.unique(passes)
    ]
    return np.concatenate(parts).astype(np.int64)


def learning_rate_at(step: int, training: FlowTraining) -> float:
    """Step size of a step from 0: a straight line up to the peak, then half a cosine down to almost zero.

    Example:
        >>> training = FlowTraining(steps=10, warmup_steps=2, learning_rate=1.0)
        >>> [round(learning_rate_at(step, training), 2) for step in (0, 1, 2, 6, 9)]
        [0.5, 1.0, 1.0, 0.5, 0.04]
    """
    if step < training.warmup_steps:
        return training.learning_rate * (step + 1) / training.warmup_steps
    # 0 at the end of the warm-up, 1 just behind the last step, whose size is therefore not quite 0.
    progress = (step - training.warmup_steps) / (training.steps - training.warmup_steps)
    return training.learning_rate * (1 + math.cos(math.pi * progress)) / 2


def mean_decay(step: int, decay: float) -> float:
    """Share of the past in the moving mean at a step from 0, rising to `decay`: the first weights are forgotten.

    Example:
        >>> [round(mean_decay(step, 0.999), 3) for step in (0, 90, 100_000)]
        [0.1, 0.91, 0.999]
    """
    return min(decay, (1 + step) / (10 + step))
