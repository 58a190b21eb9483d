"""Thickness of one shape above each pixel of a tile: the innermost arithmetic of the phantom.

A superquadric has a closed form for the length of its chord. Most shapes need only part of that form; their traits say
which, and shapes of equal traits are computed together.
"""

from enum import IntFlag
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pedclip.data.phantom.imaging.shapes import FLAT_COLUMN, Rows

_THIN: Final = 1e-4  # scene units; keeps divisions finite


class Trait(IntFlag):
    """Properties that make a shape more than an ellipsoid."""

    CURVED = 1
    TAPERED = 2
    WALLED = 4
    BLUNT = 8  # square ends or sides
    BROKEN = 16


def traits(rows: Rows) -> NDArray[np.int64]:
    """(P,) `Trait` of each flat row (P, len(FLAT))."""
    p = {name: rows[:, position] for name, position in FLAT_COLUMN.items()}
    bits = {
        Trait.CURVED: (p["bend"] != 0) | (p["sway"] != 0),
        Trait.TAPERED: (p["w0"] != p["wm"]) | (p["w1"] != p["wm"]),
        Trait.WALLED: (p["cortex"] > 0) & (p["hollow"] > 0),
        Trait.BLUNT: (p["square_end"] != 0) | (p["square_side"] != 0),
        Trait.BROKEN: p["crack"] <= 1,
    }
    return np.asarray(sum(holds * np.int64(trait) for trait, holds in bits.items()))


def chord(rows: Tensor, x: Tensor, y: Tensor, *, trait: int) -> Tensor:
    """Attenuation of one shape per row at points in the image plane.

    Args:
        rows: (N, len(FLAT)) shapes of one trait.
        x: (W,) or (N, W) columns of the tile of each shape, scene units from the middle of the image, -1 to 1.
        y: (H,) or (N, H) rows of the tile, likewise.
        trait: From `traits`; what it does not name is taken to be absent.

    Returns:
        (N, H, W) attenuation, 0 outside the shape. Broken along a plane, a bone keeps its two parts.
    """
    p = {name: rows[:, position, None, None] for name, position in FLAT_COLUMN.items()}  # (N, 1, 1) each
    right, down = (x - p["x"][:, :, 0])[:, None, :], (y - p["y"][:, :, 0])[:, :, None]  # (N, 1, W) and (N, H, 1)
    u = right * (p["cos"] / p["length"]) + down * (p["sin"] / p["length"])  # (N, H, W), -1 to 1 along the axis
    v = down * p["cos"] - right * p["sin"]  # (N, H, W), scene units from the axis
    if trait & Trait.CURVED:
        # A parabola for the bow and a cubic for the S; both leave the ends where they are.
        v -= (1 - u * u) * (p["bend"] + 2.6 * p["sway"] * u)
    from_crack = None
    if trait & Trait.BROKEN:
        from_crack = (u - p["crack"]) * p["length"] - p["slope"] * v
        # Only the part beyond the crack steps aside and turns.
        v -= torch.where(from_crack > 0, p["shift"] + p["angulation"] * from_crack, 0.0)
    width = _width(p, u, from_crack) if trait & (Trait.TAPERED | Trait.BROKEN) else p["wm"]
    blunt = bool(trait & Trait.BLUNT)
    value = _superquadric(u, v / width, p, blunt=blunt)
    if isinstance(width, Tensor) and width is not p["wm"]:
        # As thick as wide: density is what the middle of the shape attenuates.
        value *= width / p["wm"]
    if trait & Trait.WALLED:
        inside = (width - p["cortex"]).clamp_min(_THIN)
        shorter = p["length"] / (p["length"] - p["cortex"]).clamp_min(_THIN)
        # The marrow: the same form inside the wall, less dense by the fraction `hollow`.
        core = _superquadric(u * shorter, v / inside, p, blunt=blunt)
        value -= core * inside * (p["hollow"] / p["wm"])
    return value.mul_(p["density"])


def _width(p: dict[str, Tensor], u: Tensor, from_crack: Tensor | None) -> Tensor:
    """(N, H, W) half-width along the axis: a mixture of |u|, |u|³ and |u|⁷ between the middle and the ends."""
    far = u.abs().clamp_max_(1)
    # Horner's scheme in |u|², in place, because this runs once per pixel of every bone.
    square = far * far
    odd = ((p["flare"] - 1) / 2).clamp(0, 1)
    seventh = ((p["flare"] - 3) / 4).clamp(0, 1)
    rise = torch.where(u < 0, p["w0"] - p["wm"], p["w1"] - p["wm"])
    shape = (square * square).mul_(seventh).add_(odd - seventh).mul_(square).add_(1 - odd)
    width = shape.mul_(far).mul_(rise).add_(p["wm"])
    if from_crack is not None:
        # A Gaussian around the break: the buckled cortex.
        width += p["bulge"] * torch.exp(-((from_crack / (0.6 * p["wm"])) ** 2))
    return width.clamp_min_(_THIN)


def _superquadric(u: Tensor, v: Tensor, p: dict[str, Tensor], *, blunt: bool) -> Tensor:
    """Chord of the unit superquadric at (u, v): 0 outside, 1 in the middle.

    With s the squareness, 1 - u² - s (u⁸ - u²) is written as (1 - u²) (1 + s u² (1 + u² + u⁴)), which is exactly 0 on
    the outline and never below.
    """
    u2, v2 = u * u, v * v
    if not blunt:
        # The chord of the unit sphere.
        return (1 - u2).sub_(v2).clamp_min_(0).sqrt_()
    end = _falling(u2.clamp_max_(1), p["square_end"])
    flank = _falling(v2.div_(end.clamp_min(1e-9)).clamp_max_(1), p["square_side"])
    return end.mul_(flank).sqrt_()


def _falling(square: Tensor, squareness: Tensor) -> Tensor:
    """1 - q - s (q⁴ - q) for q from 0 to 1."""
    return (square + 1).mul_(square).add_(1).mul_(square).mul_(squareness).add_(1).mul_(1 - square)
