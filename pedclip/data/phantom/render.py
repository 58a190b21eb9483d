"""From flat shapes to 8-bit radiographs: attenuations summed, Beer-Lambert, noise, blur, window, collimation, marker.

Every shape touches only the tiles under it, so a batch of scenes of any size is one list of (shape, tile) pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pedclip.data.phantom.shapes import ADDED, FLAT, FLAT_COLUMN, SKELETON, SKIN, Rows

TILE: Final = 16  # pixels
MIN_SIZE: Final = 32
_PAIRS: Final = 4096  # (shape, tile) pairs evaluated at once: about 20 MB of temporaries
_BLACK: Final = 4.0  # grey levels of the unexposed border
_STROKES: Final = {
    "left": ((-0.5, -1, -0.5, 1), (-0.5, 1, 0.5, 1)),
    "right": ((-0.5, -1, -0.5, 1), (-0.5, -1, 0.3, -1), (0.4, -0.9, 0.4, -0.1), (-0.5, 0, 0.3, 0), (-0.1, 0, 0.5, 1)),
}


@dataclass(frozen=True, slots=True)
class Exposure:
    """How one image is taken. Lengths in scene units (half the image width)."""

    dose: float = 4000.0  # photons per pixel behind nothing
    blur: float = 0.006  # standard deviation of the focal spot and detector
    gamma: float = 1.0  # of the display curve
    low: float = 0.0  # shift of the black point, share of the range
    grain: float = 0.02  # relative amplitude of the tissue texture
    left: float = -1.0  # collimation
    top: float = -1.0
    right: float = 1.0
    bottom: float = 1.0
    seed: int = 0  # of the noise


@dataclass(frozen=True, slots=True)
class RenderSpec:
    """One image to be drawn: projected rows (P, len(FLAT)) from `shapes.project`, marker rows included."""

    rows: Rows
    exposure: Exposure = Exposure()


def render(specs: Sequence[RenderSpec], size: int, *, device: str | torch.device = "cpu") -> NDArray[np.uint8]:
    """Radiographs with bright bone on a dark background.

    Args:
        specs: What to draw, B images.
        size: Side of the square images, at least 32 pixels.
        device: Where to compute. Noise is always drawn on the CPU, so devices differ by rounding only.

    Returns:
        (B, size, size) grey levels, 0 to 255.

    Raises:
        ValueError: `size` is below 32.
    """
    if size < MIN_SIZE:
        raise ValueError(f"size must be at least {MIN_SIZE} pixels, got {size}; the default is 224.")
    if not specs:
        return np.zeros((0, size, size), dtype=np.uint8)
    with torch.no_grad():
        depth = attenuation([spec.rows for spec in specs], size, device=device)
        return _develop(depth, [spec.exposure for spec in specs]).cpu().numpy()


def attenuation(rows: Sequence[Rows], size: int, *, device: str | torch.device = "cpu") -> Tensor:
    """Line integrals of the attenuation of each scene: (B, size, size) float32, 0 or more."""
    owner = torch.cat([torch.full((len(group),), index) for index, group in enumerate(rows)]).to(device)
    table = torch.as_tensor(np.concatenate(rows), dtype=torch.float32, device=device).reshape(-1, len(FLAT))
    side = -(-size // TILE)
    total = torch.zeros(len(rows) * side * side, TILE * TILE, device=device)
    for layer in (SKIN, SKELETON, ADDED):
        chosen = table[:, FLAT_COLUMN["layer"]] == layer
        part = total if layer == ADDED else torch.zeros_like(total)
        _accumulate(part, table[chosen], owner[chosen], side, size, summed=layer == ADDED)
        if layer != ADDED:
            total += part
    image = total.view(len(rows), side, side, TILE, TILE).transpose(2, 3).reshape(len(rows), side * TILE, side * TILE)
    return image[:, :size, :size].clamp_min(0)


def _accumulate(target: Tensor, table: Tensor, owner: Tensor, side: int, size: int, *, summed: bool) -> None:
    """Draw shapes of one layer into (B * side * side, TILE * TILE), in place."""
    shape, tile_x, tile_y = _pairs(table, side, size)
    step = 2.0 / size
    within = (torch.arange(TILE, device=table.device) + 0.5) * step - 1.0
    for begin in range(0, len(shape), _PAIRS):
        part = slice(begin, begin + _PAIRS)
        x = tile_x[part, None, None] * (TILE * step) + within[None, None, :]
        y = tile_y[part, None, None] * (TILE * step) + within[None, :, None]
        value = chord(table[shape[part]], x, y).reshape(-1, TILE * TILE)
        index = (owner[shape[part]] * side + tile_y[part]) * side + tile_x[part]
        if summed:
            target.index_add_(0, index, value)
        else:
            target.scatter_reduce_(0, index[:, None].expand_as(value), value, "amax")


def _pairs(table: Tensor, side: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Shape index, tile column and tile row (each (N,)) of the tiles that a shape may touch."""
    column = {name: table[:, position] for name, position in FLAT_COLUMN.items()}
    reach = torch.stack([column["w0"], column["wm"], column["w1"]]).amax(0) + column["bulge"]
    reach = reach + column["bend"].abs() + column["sway"].abs() + column["shift"].abs()
    reach = reach + (column["angulation"] * column["length"]).abs() * 2
    length = column["length"]
    half_x = column["cos"].abs() * length + column["sin"].abs() * reach
    half_y = column["sin"].abs() * length + column["cos"].abs() * reach
    unit = size / (2.0 * TILE)  # tiles per scene unit
    low_x, high_x = (((column["x"] + sign * half_x + 1) * unit).floor().long().clamp(-1, side) for sign in (-1, 1))
    low_y, high_y = (((column["y"] + sign * half_y + 1) * unit).floor().long().clamp(-1, side) for sign in (-1, 1))
    low_x, low_y, high_x, high_y = (
        low_x.clamp_min(0),
        low_y.clamp_min(0),
        high_x.clamp_max(side - 1),
        high_y.clamp_max(side - 1),
    )
    wide, tall = (high_x - low_x + 1).clamp_min(0), (high_y - low_y + 1).clamp_min(0)
    count = wide * tall
    shape = torch.repeat_interleave(torch.arange(len(table), device=table.device), count)
    rank = torch.arange(len(shape), device=table.device) - (count.cumsum(0) - count)[shape]
    tile_x, tile_y = low_x[shape] + rank % wide[shape], low_y[shape] + rank // wide[shape]
    # A slanted bone crosses few tiles of its bounding box.
    dx, dy = (tile_x + 0.5) / unit - 1 - column["x"][shape], (tile_y + 0.5) / unit - 1 - column["y"][shape]
    along = (dx * column["cos"][shape] + dy * column["sin"][shape]).abs()
    across = (dy * column["cos"][shape] - dx * column["sin"][shape]).abs()
    slack = 0.7072 / unit
    near = (along <= length[shape] + slack) & (across <= reach[shape] + slack)
    return shape[near], tile_x[near], tile_y[near]


def chord(rows: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Attenuation of one shape per row at points in the image plane.

    Args:
        rows: (N, len(FLAT)) shapes.
        x: (N, 1, W) or broadcastable, scene units.
        y: (N, H, 1).

    Returns:
        (N, H, W) attenuation, 0 outside the shape.
    """
    p = {name: rows[:, position, None, None] for name, position in FLAT_COLUMN.items()}
    dx, dy = x - p["x"], y - p["y"]
    u = (dx * p["cos"] + dy * p["sin"]) / p["length"]
    v = dy * p["cos"] - dx * p["sin"]
    v = v - p["bend"] * (1 - u * u) - p["sway"] * 2.6 * u * (1 - u * u)
    from_crack = (u - p["crack"]) * p["length"] - p["slope"] * v
    v = v - torch.where(from_crack > 0, p["shift"] + p["angulation"] * from_crack, 0.0)
    profile = p["wm"] + (torch.where(u < 0, p["w0"], p["w1"]) - p["wm"]) * u.abs().clamp_max(1).pow(p["flare"])
    profile = profile + p["bulge"] * torch.exp(-((from_crack / (0.6 * p["wm"])) ** 2))
    outer = _superquadric(u, v / profile, p["square_end"], p["square_side"])
    value = outer * profile / p["wm"]
    walled = p["cortex"] > 0
    if bool(walled.any()):
        inside = (profile - p["cortex"]).clamp_min(1e-3)
        core = _superquadric(
            u * p["length"] / (p["length"] - p["cortex"]).clamp_min(1e-3), v / inside, p["square_end"], p["square_side"]
        )
        value = value - torch.where(walled, p["hollow"] * core * inside / p["wm"], 0.0)
    split = p["gap"] > 0
    if bool(split.any()):
        line = torch.exp(-((from_crack / p["gap"].clamp_min(1e-4)) ** 2))
        value = value * torch.where(split, 1 - 0.9 * line, 1.0)
    return value * p["density"]


def _superquadric(u: Tensor, v: Tensor, square_end: Tensor, square_side: Tensor) -> Tensor:
    """Chord length of the unit superquadric at (u, v), 0 to 1."""
    u2, v2 = u * u, v * v
    end = torch.sqrt((1 - u2 - square_end * (u2**4 - u2)).clamp_min(0))
    v2 = v2 / (end * end).clamp_min(1e-9)
    side = (1 - v2 - square_side * (v2.clamp_max(1) ** 4 - v2)).clamp_min(0)
    return end * torch.sqrt(side * (v2 < 1))


def _develop(depth: Tensor, exposures: Sequence[Exposure]) -> Tensor:
    """(B, S, S) attenuation → (B, S, S) uint8 grey levels."""
    size = depth.shape[-1]
    grain, noise = (field.to(depth.device) for field in _noise(exposures, size))
    value = {
        name: torch.tensor([getattr(e, name) for e in exposures], device=depth.device)[:, None, None]
        for name in ("dose", "blur", "gamma", "low", "grain", "left", "top", "right", "bottom")
    }
    depth = depth * (1 + value["grain"] * grain)
    photons = _blurred(value["dose"] * torch.exp(-depth), value["blur"] * size / 2)
    photons = (photons + photons.sqrt() * noise).clamp_min(1.0)
    depth = torch.log(value["dose"] / photons)
    flat = depth.flatten(1)
    white = torch.quantile(flat, 0.995, dim=1)[:, None, None] * 1.02 + 0.02
    black = value["low"] * white
    grey = ((depth - black) / (white - black)).clamp(0, 1) ** value["gamma"]
    centre = (torch.arange(size, device=depth.device) + 0.5) * (2.0 / size) - 1.0
    open_x = (centre[None, None, :] > value["left"]) & (centre[None, None, :] < value["right"])
    open_y = (centre[None, :, None] > value["top"]) & (centre[None, :, None] < value["bottom"])
    return torch.where(open_x & open_y, grey * 249 + 6, _BLACK).round().to(torch.uint8)


def _noise(exposures: Sequence[Exposure], size: int) -> tuple[Tensor, Tensor]:
    """Smooth tissue texture and white quantum noise, each (B, S, S), mean 0 and deviation about 1."""
    grains, noises = [], []
    for exposure in exposures:
        generator = torch.Generator().manual_seed(exposure.seed)
        coarse, fine = (torch.randn(1, 1, cells, cells, generator=generator) for cells in (10, 48))
        grown = [
            F.interpolate(field, size=(size, size), mode="bilinear", align_corners=True) for field in (coarse, fine)
        ]
        grains.append((grown[0] + grown[1])[0, 0])
        noises.append(torch.randn(size, size, generator=generator))
    return torch.stack(grains), torch.stack(noises)


def _blurred(image: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur with one deviation per image (pixels), cut at 4 pixels."""
    reach = 4
    offsets = torch.arange(-reach, reach + 1, device=image.device)
    weights = torch.exp(-(offsets**2) / (2 * sigma.clamp_min(0.05) ** 2))  # (B, 1, 9)
    weights = weights / weights.sum(-1, keepdim=True)
    size = image.shape[-1]
    # Shifted sums instead of a convolution: the result must not depend on the batch or the number of threads.
    for axis in (1, 2):
        padding = (0, 0, reach, reach) if axis == 1 else (reach, reach, 0, 0)
        padded = F.pad(image[:, None], padding, mode="replicate")[:, 0]
        image = sum(
            (weights[..., k : k + 1] * padded.narrow(axis, k, size) for k in range(2 * reach + 1)), torch.zeros(())
        )
    return image


def marker_rows(side: str, x: float, y: float, height: float) -> Rows:
    """Flat rows of the lead letter L or R: `x` and `y` of its middle, and half its height, in scene units."""
    rows = np.zeros((len(_STROKES[side]), len(FLAT)))
    for row, (x0, y0, x1, y1) in zip(rows, _STROKES[side], strict=True):
        half = np.array([x1 - x0, y1 - y0]) * height / 2
        length = float(np.hypot(*half))
        thick = height * 0.16
        values = {
            "x": x + (x0 + x1) * height / 2,
            "y": y + (y0 + y1) * height / 2,
            "cos": half[0] / length,
            "sin": half[1] / length,
            "length": length + thick / 2,
            "w0": thick,
            "wm": thick,
            "w1": thick,
            "flare": 1.0,
            "square_end": 1.0,
            "square_side": 1.0,
            "density": 1.6,
            "crack": 2.0,
            "layer": SKELETON,
        }
        for name, value in values.items():
            row[FLAT_COLUMN[name]] = value
    return rows
