"""From flat shapes to attenuation, bone by bone and tile by tile; `develop` makes a radiograph of it.

Every shape touches only the tiles under it, so a batch of scenes of any size is one list of (shape, tile) pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pedclip.data.phantom.imaging.develop import Exposure, Layers, develop
from pedclip.data.phantom.imaging.shapes import ADDED, FLAT, FLAT_COLUMN, LEAD, SKELETON, SKIN, Rows
from pedclip.data.phantom.imaging.thickness import chord, traits

__all__ = ["MIN_SIZE", "Drawing", "Exposure", "RenderSpec", "attenuation", "draw", "render"]

TILE: Final = 8  # pixels; larger tiles waste arithmetic on thin bones
MIN_SIZE: Final = 32
_LAYERS: Final = (ADDED, SKIN, SKELETON, LEAD)
_BONE_FROM: Final = 0.08  # attenuation at which a pixel counts as bone
# Per device: (shape, tile) pairs evaluated at once, and images drawn at once. A CPU is fastest while the temporaries
# (1 MB each) stay in its cache, a GPU while it has much to do.
_PAIRS: Final = {"cpu": 4096, "cuda": 1 << 19}
_IMAGES: Final = {"cpu": 16, "cuda": 256}


@dataclass(frozen=True, slots=True)
class RenderSpec:
    """One image to be drawn: projected rows (P, len(FLAT)) from `shapes.project`, marker rows included."""

    rows: Rows
    exposure: Exposure = field(default_factory=Exposure)


@dataclass(frozen=True, slots=True)
class Drawing:
    """Radiographs and the area of their bones."""

    images: NDArray[np.uint8]  # (B, S, S), 0 to 255
    bones: NDArray[np.bool_]  # (B, S, S); without metal, plaster and markers


def render(specs: Sequence[RenderSpec], size: int, *, device: str | torch.device = "cpu") -> NDArray[np.uint8]:
    """Radiographs with bright bone on a dark background.

    Args:
        specs: What to draw, B images.
        size: Height and width of the images, at least 32 pixels.
        device: "cpu" or "cuda". They differ by rounding, a grey level or two.

    Returns:
        (B, size, size) grey levels, 0 to 255.

    Raises:
        ValueError: `size` is below 32.
    """
    return draw(specs, size, device=device).images


def draw(specs: Sequence[RenderSpec], size: int, *, device: str | torch.device = "cpu") -> Drawing:
    """Radiographs with the area of their bones, each (B, size, size); arguments and errors as in `render`."""
    if size < MIN_SIZE:
        raise ValueError(f"size must be at least {MIN_SIZE} pixels, got {size}; the default is 224.")
    images = np.zeros((len(specs), size, size), dtype=np.uint8)
    bones = np.zeros((len(specs), size, size), dtype=np.bool_)
    step = _IMAGES[torch.device(device).type]
    with torch.no_grad():
        for begin in range(0, len(specs), step):
            part = specs[begin : begin + step]
            # Bones come from the layer before it is developed: noise and display do not move their outline.
            layers = _layers([spec.rows for spec in part], size, device)
            images[begin : begin + step] = develop(layers, [spec.exposure for spec in part]).cpu().numpy()
            bones[begin : begin + step] = (layers.bone > _BONE_FROM).cpu().numpy()
    return Drawing(images, bones)


def attenuation(rows: Sequence[Rows], size: int, *, device: str | torch.device = "cpu") -> Tensor:
    """Line integrals of the attenuation of each scene: (B, size, size) float32, 0 or more."""
    layers = _layers(rows, size, device)
    return (layers.soft + layers.bone).clamp_min_(0).add_(layers.lead)


def _layers(rows: Sequence[Rows], size: int, device: str | torch.device) -> Layers:
    """Attenuation of soft tissue (negative where air displaces it), bone and lead."""
    edge = -(-size // TILE)
    tiles: dict[float, Tensor] = {}  # of the layers that occur
    flat = np.concatenate([np.zeros((0, len(FLAT))), *rows])  # (P, len(FLAT)), P shapes of all scenes
    # Shapes of one trait and layer are drawn by one call; a stable order keeps the sums, and so the bytes, the same.
    groups = traits(flat) * len(_LAYERS) + flat[:, FLAT_COLUMN["layer"]].astype(np.int64)
    order = np.argsort(groups, kind="stable")
    table = torch.as_tensor(flat[order], dtype=torch.float32).to(device)
    scenes = np.repeat(np.arange(len(rows)), [len(scene) for scene in rows])  # (P,) scene of each shape
    owner = torch.as_tensor(scenes[order]).to(device)
    begin = 0
    for group, count in zip(*np.unique(groups, return_counts=True), strict=True):
        trait, layer = divmod(int(group), len(_LAYERS))
        chosen = slice(begin, begin + int(count))
        if layer not in tiles:
            tiles[layer] = torch.zeros(len(rows) * edge * edge, TILE * TILE, device=device)
        _accumulate(tiles[layer], table[chosen], owner[chosen], size, trait=trait, summed=layer == ADDED)
        begin += int(count)

    def image(*layers: float) -> Tensor:
        # Popped, so that the tiles are freed before the image is made.
        found = [tiles.pop(layer) for layer in layers if layer in tiles]
        if not found:
            return torch.zeros((), device=device).expand(len(rows), size, size)
        for other in found[1:]:
            found[0].add_(other)
        grown = found[0].view(-1, edge, edge, TILE, TILE).transpose(2, 3)  # (B, edge, TILE, edge, TILE)
        return grown.reshape(-1, edge * TILE, edge * TILE)[:, :size, :size].contiguous()  # (B, S, S)

    return Layers(image(SKIN, ADDED), image(SKELETON), image(LEAD))


def _accumulate(target: Tensor, table: Tensor, owner: Tensor, size: int, *, trait: int, summed: bool) -> None:
    """Draw shapes of one layer and trait into (B * edge * edge, TILE * TILE), in place."""
    edge = -(-size // TILE)
    shape, tile_x, tile_y = _pairs(table, edge, size)
    step = 2.0 / size
    within = (torch.arange(TILE, device=table.device) + 0.5) * step - 1.0  # (TILE,) pixels of the first tile
    at_once = _PAIRS[table.device.type]
    for begin in range(0, len(shape), at_once):
        part = slice(begin, begin + at_once)
        x, y = (tile[part, None] * (TILE * step) + within for tile in (tile_x, tile_y))
        value = chord(table[shape[part]], x, y, trait=trait).flatten(1)  # (N, TILE * TILE)
        index = (owner[shape[part]] * edge + tile_y[part]) * edge + tile_x[part]
        if summed:
            # Attenuations of organs, vessels and lesions add up along the ray.
            target.index_add_(0, index, value)
        else:
            # Of the pieces of one outline or one bone, which overlap, the thickest counts.
            target.scatter_reduce_(0, index[:, None].expand_as(value), value, "amax")


def _pairs(table: Tensor, edge: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Shape index, tile column and tile row (each (N,)) of the tiles that a shape may touch."""
    column = {name: table[:, position] for name, position in FLAT_COLUMN.items()}
    length = column["length"]
    # The half-width of the box around a shape: everything that can carry it sideways.
    reach = torch.stack([column["w0"], column["wm"], column["w1"]]).amax(0) + column["bulge"]
    reach = reach + column["bend"].abs() + column["sway"].abs() + column["shift"].abs()
    reach = reach + (column["angulation"] * length).abs() * 2
    # Half the size of the upright box around the slanted one.
    half_x = column["cos"].abs() * length + column["sin"].abs() * reach
    half_y = column["sin"].abs() * length + column["cos"].abs() * reach
    unit = size / (2.0 * TILE)  # tiles per scene unit
    low_x, low_y = (
        ((column[axis] - half + 1) * unit).floor().long().clamp_min(0) for axis, half in (("x", half_x), ("y", half_y))
    )
    high_x, high_y = (
        ((column[axis] + half + 1) * unit).floor().long().clamp_max(edge - 1)
        for axis, half in (("x", half_x), ("y", half_y))
    )
    wide, tall = (high_x - low_x + 1).clamp_min(0), (high_y - low_y + 1).clamp_min(0)
    count = wide * tall  # (P,) tiles of each box
    shape = torch.repeat_interleave(torch.arange(len(table), device=table.device), count)
    rank = torch.arange(len(shape), device=table.device) - (count.cumsum(0) - count)[shape]  # (N,) within the box
    tile_x, tile_y = low_x[shape] + rank % wide[shape], low_y[shape] + rank // wide[shape]
    # A slanted bone crosses few tiles of its bounding box.
    dx, dy = (tile_x + 0.5) / unit - 1 - column["x"][shape], (tile_y + 0.5) / unit - 1 - column["y"][shape]
    along = (dx * column["cos"][shape] + dy * column["sin"][shape]).abs()
    across = (dy * column["cos"][shape] - dx * column["sin"][shape]).abs()
    slack = 0.7072 / unit  # half the diagonal of a tile, in scene units
    near = (along <= length[shape] + slack) & (across <= reach[shape] + slack)
    return shape[near], tile_x[near], tile_y[near]
