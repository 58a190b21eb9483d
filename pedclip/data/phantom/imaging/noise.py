"""Random fields that depend on a seed and a pixel only, computed where the image is: no generator, no state.

Every value is a hash of (seed, position), in integer arithmetic that all devices share; so a film has the same noise
whatever is drawn beside it, and on a GPU as on a CPU up to the rounding of the logarithm and the sine.
"""

import math
from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

_WORD: Final = (1 << 64) - 1
# Odd multipliers with about as many ones as zeros; the avalanche of the result is what the tests measure.
_STEP: Final = 0x9E3779B9
_FIRST: Final = 0x7FEB352D
_SECOND: Final = 0x846CA68B


def normals(seeds: Sequence[int], count: int, *, stream: int, device: str | torch.device = "cpu") -> Tensor:
    """Independent standard normal numbers.

    Args:
        seeds: One per row, 0 to 2⁶⁴ - 1.
        count: Numbers per row, at least 1.
        stream: Keeps several fields of one seed apart, 0 or more.
        device: Where to compute.

    Returns:
        (B, count) float32, at most 4.9 in magnitude.

    Source: Box and Muller, A note on the generation of random normal deviates, 1958. Differs: the uniform numbers have
    16 bits, two to a hash.
    """
    half = (count + 1) // 2
    bits = _hashed(seeds, half, stream, device)
    first, second = _shifted(bits, 16), bits & 0xFFFF  # (B, half) each, 0 to 65535
    # Middles of the 65536 steps: never log(0), and at most sqrt(2 · 17 · ln 2) = 4.9.
    radius = torch.sqrt(-2.0 * torch.log((first + 0.5) * 2.0**-16))
    angle = second * (2.0 * math.pi * 2.0**-16)
    # Both coordinates of a point of the plane are normal and independent.
    return torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)[:, :count]


def texture(
    seeds: Sequence[int], size: int, *, cells: tuple[int, int], stream: int, device: str | torch.device = "cpu"
) -> Tensor:
    """A smooth random field: normal numbers on a coarse grid, interpolated.

    Args:
        seeds: One per image.
        size: Height and width of the images, pixels.
        cells: Grid points down and across, independent of `size`.
        stream: As in `normals`.
        device: Where to compute.

    Returns:
        (B, size, size) float32, mean 0, deviation 0.6 to 1.
    """
    down, across = cells
    grid = normals(seeds, down * across, stream=stream, device=device).view(-1, 1, down, across)  # (B, 1, down, across)
    return F.interpolate(grid, size=(size, size), mode="bilinear", align_corners=False)[:, 0]  # (B, S, S)


def _hashed(seeds: Sequence[int], count: int, stream: int, device: str | torch.device) -> Tensor:
    """(B, count) int32 with all bits random."""
    # Two words of 32 bits per film, (B, 1) each.
    keys = [_key(seed, stream) for seed in seeds]
    low, high = (
        torch.tensor([_signed(key >> shift) for key in keys], dtype=torch.int32, device=device)[:, None]
        for shift in (0, 32)
    )
    # Products of 32-bit integers wrap, on a CPU as on a GPU.
    bits = torch.arange(count, dtype=torch.int32, device=device)[None] * _signed(_STEP) + low
    bits = bits ^ _shifted(bits, 16)
    bits *= _FIRST
    bits ^= _shifted(bits, 15)
    # The second half of the key enters here: no two seeds share a run of numbers.
    bits ^= high
    bits *= _signed(_SECOND)
    bits ^= _shifted(bits, 16)
    bits *= _FIRST
    bits ^= _shifted(bits, 15)
    return bits


def _shifted(bits: Tensor, by: int) -> Tensor:
    """Bits moved right, zeros from the left (the shift of a signed integer would copy the sign)."""
    # The mask clears the copies of the sign.
    return (bits >> by) & ((1 << (32 - by)) - 1)


def _signed(word: int) -> int:
    """The lowest 32 bits as the value of a signed integer."""
    word &= 0xFFFFFFFF
    return word - (1 << 32) if word >= 1 << 31 else word


def _key(seed: int, stream: int) -> int:
    """64 bits from a seed and a stream; neighbouring seeds differ in about half of the bits.

    Source: Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014 (the finalizer).
    """
    key = (seed + (stream + 1) * 0x9E3779B97F4A7C15) & _WORD
    key = ((key ^ (key >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    key = ((key ^ (key >> 27)) * 0x94D049BB133111EB) & _WORD
    return key ^ (key >> 31)
