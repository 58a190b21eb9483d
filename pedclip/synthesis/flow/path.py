"""The straight way from noise to film: points on it, its velocity, the times to train at, and the loss.

Times run from 0, pure noise, to 1, the film.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pedclip.synthesis.flow.config import Solver

Velocity = Callable[[Tensor, float], Tensor]  # (B, 1, H, W) and a time -> (B, 1, H, W)


def to_levels(films: NDArray[np.uint8]) -> Tensor:
    """Films (B, H, W) uint8 as the flow knows them: (B, 1, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(films)).to(torch.float32)[:, None] / 127.5 - 1


def to_films(levels: Tensor) -> NDArray[np.uint8]:
    """Grey levels (B, 1, H, W), -1 black and 1 white, as (B, H, W) uint8; what lies outside is cut off.

    A film with a level that is not finite is black as a whole, which a copy leaves out.
    """
    is_finite = torch.isfinite(levels).all(dim=(1, 2, 3), keepdim=True)  # (B, 1, 1, 1)
    levels = torch.where(is_finite, levels, -1.0)
    # Rounded, not cut: the inverse of to_levels on every grey level.
    pixels = ((levels[:, 0].to("cpu", torch.float32) + 1) * 127.5).round().clamp(0, 255)
    films: NDArray[np.uint8] = pixels.to(torch.uint8).numpy()
    return films


def point_at(films: Tensor, noise: Tensor, times: Tensor) -> Tensor:
    """Mixture of noise and film.

    Args:
        films: (B, 1, H, W).
        noise: Of the same shape.
        times: (B,) in [0, 1].

    Returns:
        (B, 1, H, W): the noise at time 0, the film at time 1.

    Source: rectified flow (Liu et al. 2023), Eq. 1; flow matching (Lipman et al. 2023), Eq. 22 with σ_min = 0.

    Example:
        >>> point_at(torch.full((1, 1, 1, 1), 8.0), torch.zeros(1, 1, 1, 1), torch.tensor([0.25])).item()
        2.0
    """
    times = times[:, None, None, None]  # (B, 1, 1, 1)
    return (1 - times) * noise + times * films


def logit_normal_times(count: int, *, rng: np.random.Generator, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Times (B,) in (0, 1) whose logits are normal: most of them halfway, where the velocity is hardest to tell.

    Args:
        count: B.
        rng: To draw from.
        mean: Of the logits.
        std: Of the logits, above 0.

    Source: Esser et al. 2024, section 3.1. Differs: there time 1 is noise, so that their mean has the other sign.
    """
    return torch.from_numpy(rng.normal(mean, std, count)).sigmoid().to(torch.float32)


def flow_loss(velocity: Tensor, films: Tensor, noise: Tensor) -> Tensor:
    """Mean squared error () of velocities (B, 1, H, W) towards film - noise.

    Source: rectified flow (Liu et al. 2023), Eq. 1.
    """
    # In single precision: sums of many small squares lose their last digits in bfloat16.
    return F.mse_loss(velocity.float(), films - noise)


def integrate(velocity: Velocity, noise: Tensor, *, steps: int, solver: Solver) -> Tensor:
    """End (B, 1, H, W) of the way that begins in the noise.

    Args:
        velocity: At a point and a time.
        noise: (B, 1, H, W) at time 0.
        steps: At least 1, equally long.
        solver: "euler", or "heun": the mean of the velocities at both ends of the Euler step.
    """
    point = noise
    # No random numbers on the way: the film is a function of its noise.
    for step in range(steps):
        now, then = step / steps, (step + 1) / steps
        first = velocity(point, now)
        # All of Euler, and the place where Heun looks a second time.
        ahead = point + (then - now) * first
        if solver == "heun":
            ahead = point + (then - now) * (first + velocity(ahead, then)) / 2
        point = ahead
    return point


def guided(conditional: Tensor, unconditional: Tensor, guidance: float) -> Tensor:
    """Velocity (B, 1, H, W) pushed away from that of the empty text.

    Args:
        conditional: (B, 1, H, W) of the text.
        unconditional: (B, 1, H, W) of the empty text.
        guidance: 1 leaves the first as it is.

    Source: classifier-free guidance (Ho and Salimans 2022), Eq. 6, with guidance = 1 + w.
    """
    return unconditional + guidance * (conditional - unconditional)
