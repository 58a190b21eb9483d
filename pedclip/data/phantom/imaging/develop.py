"""From attenuation to the grey levels of a film: beam, scatter, quanta, detector, collimator and display.

Each step is one function and names its effect. Lengths are in scene units (half the image width); numbers of photons
are per pixel. All of it is elementwise or a small stencil, on any device, the same for an image alone or in a batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pedclip.data.phantom.imaging.noise import normals, texture

# Streams of the hash, so that the fields of one film are independent.
_FLESH, _FIBRES, _TRABECULAE, _QUANTA = range(4)
_WIDEST_BLUR: Final = 0.009  # deviation of the largest focal spot at the detector, scene units
_BLUR_PIXELS: Final = 6  # beyond which no blur reaches
_SCATTER_CELLS: Final = 24  # scatter is smooth: a grid of 24 x 24 holds it
_SCATTER_REACH: Final = 0.22  # deviation of its spread, scene units
_SCATTER_TAIL: Final = 6  # cells, 2.3 deviations, beyond which none is counted
_HISTOGRAM_CELLS: Final = 64  # the display window is set from one pixel in each of about 64 x 64 cells
_AIR: Final = 0.10  # attenuation below which a pixel counts as air
_BODY: Final = 0.10  # fraction of the body that may be darker than the point from which the black point is measured
_DENSE, _BRIGHTEST = 0.93, 1.6  # the white point is at most 1.6 times what 93 % of the body stay below


@dataclass(frozen=True, slots=True)
class Exposure:
    """Technique and display of one film."""

    dose: float = 4000.0  # photons per pixel behind nothing
    energy: float = 1.0  # factor of the attenuation of bone: below 1 for a hard beam
    heel: float = 0.0  # relative fall of the beam from the middle to the lower edge
    blur: float = 0.005  # standard deviation of the focal spot at the detector
    scatter: float = 0.1  # scattered per primary photon behind an attenuation of 1; a grid keeps it below 0.1
    spill: float = 0.05  # fraction of a pixel's light that reaches each neighbour in the detector, 0 to 0.25
    grain: float = 0.02  # relative amplitude of the texture of soft tissue
    trabeculae: float = 0.04  # likewise of bone
    low: float = 0.0  # black point: 0 shows air as black, 1 the thinnest tenth of the body
    high: float = 0.995  # white point: fraction of the field that is darker
    headroom: float = 1.02  # factor of the white point
    gamma: float = 1.0  # power of the display curve
    contrast: float = 0.0  # fraction of an S-shaped curve in it, 0 to 1
    enhancement: float = 0.0  # gain of edges and fine detail
    left: float = -1.0  # edges of the collimated field, before its turn
    top: float = -1.0
    right: float = 1.0
    bottom: float = 1.0
    skew: float = 0.0  # turn of the collimator, radians
    penumbra: float = 0.01  # width of its edge
    border: float = 4.0  # grey level outside the field; below 0 the film is shown unmasked, white where unexposed
    seed: int = 0  # of the noise and the textures


@dataclass(frozen=True, slots=True)
class Layers:
    """Line integrals of the attenuation, each (B, S, S)."""

    soft: Tensor  # negative where air displaces tissue
    bone: Tensor
    lead: Tensor


def sample_exposure(rng: np.random.Generator) -> Exposure:
    """The technique of one film: dose, grid, collimation and display as they vary between rooms and radiographers."""
    has_grid = rng.random() < 0.4
    is_shuttered = rng.random() < 0.85
    # A quarter of the films is not collimated: -0.2 puts the edges outside the image.
    edges = [float(min(edge, 0.3)) for edge in rng.gamma(1.0, 0.045, 4)] if rng.random() < 0.75 else [-0.2] * 4
    return Exposure(
        # Log-uniform over a factor of ten.
        dose=float(np.exp(rng.uniform(np.log(1500), np.log(15000)))),
        energy=float(rng.uniform(0.8, 1.2)),
        heel=float(rng.normal(0, 0.06)),
        blur=float(rng.uniform(0.002, _WIDEST_BLUR)),
        # A grid absorbs most of the scatter, so films fall into two groups.
        scatter=float(rng.uniform(0.02, 0.10) if has_grid else rng.uniform(0.10, 0.45)),
        spill=float(rng.uniform(0.02, 0.12)),
        grain=float(rng.uniform(0.01, 0.04)),
        trabeculae=float(rng.uniform(0.02, 0.09)),
        low=float(rng.uniform(-0.05, 0.75) if rng.random() < 0.6 else 0.0),
        # Log-uniform: 0.08 to 1.2 % of the field is burnt out.
        high=float(1 - np.exp(rng.uniform(np.log(0.0008), np.log(0.012)))),
        headroom=float(rng.uniform(0.98, 1.25)),
        gamma=float(np.exp(rng.normal(-0.12, 0.28))),
        contrast=float(rng.uniform(0, 0.8) if rng.random() < 0.5 else 0.0),
        enhancement=float(rng.uniform(0.15, 0.9) if rng.random() < 0.4 else 0.0),
        left=-1 + edges[0],
        top=-1 + edges[1],
        right=1 - edges[2],
        bottom=1 - edges[3],
        skew=float(rng.normal(0, 0.03)),
        penumbra=float(rng.uniform(0.006, 0.02)),
        border=float(rng.uniform(0, 14)) if is_shuttered else -1.0,
        seed=int(rng.integers(2**62)),
    )


def develop(layers: Layers, exposures: Sequence[Exposure]) -> Tensor:
    """The films of B scenes.

    Args:
        layers: Attenuation of B scenes.
        exposures: B techniques.

    Returns:
        (B, S, S) uint8 grey levels, 0 to 255, bone bright.

    Source: the imaging chain of any textbook of radiography (Bushberg et al., The Essential Physics of Medical Imaging,
    chapters 7 and 9). Differs: monochromatic beam, parallel rays, one Gaussian for all scatter.
    """
    device, size = layers.bone.device, layers.bone.shape[-1]
    # (B, 1, 1) each, so that the steps below broadcast over pixels.
    value = {
        field.name: torch.tensor([getattr(e, field.name) for e in exposures], device=device)[:, None, None]
        for field in fields(Exposure)
        if field.name != "seed"
    }
    seeds = [exposure.seed for exposure in exposures]
    field = open_field(exposures, size, device=device)
    # The order is that of the rays: body, focal spot, collimator, scatter, quanta, detector, display.
    depth = _textured(layers, value, seeds)
    photons = _blurred(_primary(depth, value), value["blur"] * size / 2) * field
    # After the collimator, which limits what can scatter; scatter itself reaches the covered part too.
    photons += _scattered(photons, depth, value["scatter"])
    photons = _detected(_counted(photons, seeds), value["spill"])
    # Beer-Lambert backwards: the display of a digital film is linear in attenuation, not in photons.
    depth = torch.log(value["dose"] / photons)
    depth = _enhanced(depth, value["enhancement"])
    black, white = _window(depth, field, layers.lead, value)
    return _shown((depth - black) / (white - black), field, value)


def open_field(exposures: Sequence[Exposure], size: int, *, device: str | torch.device = "cpu") -> Tensor:
    """Fraction of the beam that the collimator lets pass.

    Args:
        exposures: B films.
        size: Height and width of the images, pixels.
        device: Where to compute.

    Returns:
        (B, size, size) float32, 1 inside the rectangle, 0 outside, 0.5 on its edge.
    """
    left, top, right, bottom, skew, penumbra = (
        torch.tensor([getattr(e, name) for e in exposures], device=device)[:, None, None]
        for name in ("left", "top", "right", "bottom", "skew", "penumbra")
    )
    # Middles of the pixels in scene units, so that the field is the same at every size.
    centre = (torch.arange(size, device=device) + 0.5) * (2.0 / size) - 1.0
    x, y = centre[None, None, :], centre[None, :, None]
    cos, sin = torch.cos(skew), torch.sin(skew)
    u, v = x * cos + y * sin, y * cos - x * sin
    # Distances (B, S, S) to the nearest edge, negative outside.
    across, along = torch.minimum(u - left, right - u), torch.minimum(v - top, bottom - v)
    return (torch.minimum(across, along).div_(penumbra).add_(0.5)).clamp_(0, 1)


def _textured(layers: Layers, value: dict[str, Tensor], seeds: Sequence[int]) -> Tensor:
    """Attenuation with the mottle of muscle and fat, and with trabeculae inside bone only (relative amplitudes)."""
    size, device = layers.bone.shape[-1], layers.bone.device
    # Trabeculae follow the long axis of bones, which is upright in most films.
    grids = (((10, 10), _FLESH), ((56, 40), _FIBRES), ((64, 104), _TRABECULAE))
    flesh, fibres, trabeculae = (
        texture(seeds, size, cells=cells, stream=stream, device=device) for cells, stream in grids
    )
    # In place from here on: temporaries of (B, S, S) are what fills the memory.
    soft = layers.soft * (flesh.add_(fibres).mul_(value["grain"]).add_(1))
    bone = layers.bone * (trabeculae.mul_(value["trabeculae"]).add_(1)) * value["energy"]
    # Air displaces tissue, but no path attenuates less than nothing.
    return soft.add_(bone).clamp_min_(0).add_(layers.lead)


def _primary(depth: Tensor, value: dict[str, Tensor]) -> Tensor:
    """Photons per pixel that pass straight (Beer-Lambert), from a beam that weakens towards the anode (heel effect)."""
    size = depth.shape[-1]
    down = ((torch.arange(size, device=depth.device) + 0.5) * (2.0 / size) - 1.0)[None, :, None]  # (1, S, 1)
    return torch.exp(-depth).mul_(value["dose"] * (1 - value["heel"] * down))


def _blurred(image: Tensor, sigma: Tensor) -> Tensor:
    """Unsharpness of the focal spot: Gaussian of deviation `sigma` (B, 1, 1) pixels.

    It is cut at 3 deviations of the widest spot or at 6 pixels, whichever is less.
    Shifted sums instead of a convolution: the result must not depend on the batch or the number of threads.
    """
    size = image.shape[-1]
    reach = max(1, min(_BLUR_PIXELS, math.ceil(_WIDEST_BLUR * 3 * size / 2)))
    offsets = torch.arange(reach + 1, device=image.device)
    weights = _bell(offsets, sigma.clamp_min(0.05))  # (B, 1, reach + 1)
    # Every offset but 0 is used twice.
    weights = weights / (2 * weights.sum(-1, keepdim=True) - weights[..., :1])
    for axis in (1, 2):
        padding = (0, 0, reach, reach) if axis == 1 else (reach, reach, 0, 0)
        # Zeros would darken the rim of the film.
        padded = F.pad(image[:, None], padding, mode="replicate")[:, 0]
        image = padded.narrow(axis, reach, size) * weights[..., :1]
        for k in range(1, reach + 1):
            pair = padded.narrow(axis, reach - k, size) + padded.narrow(axis, reach + k, size)
            image += pair.mul_(weights[..., k : k + 1])
    return image


def _bell(offsets: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian of deviation `sigma` at whole-numbered offsets, 1 in the middle."""
    return torch.exp(-(offsets**2) / (2 * sigma**2))


def _scattered(primary: Tensor, depth: Tensor, ratio: Tensor) -> Tensor:
    """Photons per pixel that arrive from elsewhere: in proportion to beam and thickness, spread over 0.22 scene units.

    The veil it lays over thick parts is what costs films without a grid their contrast.
    """
    size = primary.shape[-1]
    sources = F.adaptive_avg_pool2d((primary * depth)[:, None], _SCATTER_CELLS)[:, 0]  # (B, 24, 24)
    reach = _SCATTER_TAIL
    offsets = torch.arange(-reach, reach + 1, device=primary.device)
    weights = _bell(offsets, torch.tensor(_SCATTER_REACH * _SCATTER_CELLS / 2, device=primary.device))
    weights = weights / weights.sum()
    for axis in (1, 2):
        padding = (0, 0, reach, reach) if axis == 1 else (reach, reach, 0, 0)
        padded = F.pad(sources, padding)  # nothing scatters from outside the film
        sources = torch.zeros_like(sources)
        for k in range(2 * reach + 1):
            sources += padded.narrow(axis, k, _SCATTER_CELLS) * weights[k]
    grown = F.interpolate(sources[:, None], size=(size, size), mode="bilinear", align_corners=False)[:, 0]  # (B, S, S)
    return grown.mul_(ratio)


def _counted(photons: Tensor, seeds: Sequence[int]) -> Tensor:
    """Quantum noise: photons per pixel drawn from the Gaussian limit of the Poisson distribution, at least 1."""
    size = photons.shape[-1]
    noise = normals(seeds, size * size, stream=_QUANTA, device=photons.device).view(-1, size, size)  # (B, S, S)
    # The variance of a Poisson count is its mean; at least one photon keeps the logarithm finite.
    return noise.mul_(photons.sqrt()).add_(photons).clamp_min_(1.0)


def _detected(photons: Tensor, spill: Tensor) -> Tensor:
    """Light spread in the detector: each neighbour gets the fraction `spill`. Noise comes out slightly correlated."""
    size = photons.shape[-1]
    for axis, padding in ((1, (0, 0, 1, 1)), (2, (1, 1, 0, 0))):
        padded = F.pad(photons[:, None], padding, mode="replicate")[:, 0]
        neighbours = padded.narrow(axis, 0, size) + padded.narrow(axis, 2, size)
        photons = (photons * (1 - 2 * spill)).add_(neighbours.mul_(spill))
    return photons


def _enhanced(depth: Tensor, gain: Tensor) -> Tensor:
    """Edge enhancement of computed radiography: what is finer than a quarter of the resolution is amplified."""
    size = depth.shape[-1]
    smooth = F.avg_pool2d(depth[:, None], 4, ceil_mode=True, count_include_pad=False)  # (B, S/4, S/4)
    smooth = F.interpolate(smooth, size=(size, size), mode="bilinear", align_corners=False)[:, 0]
    # Unsharp masking: depth + gain (depth - smooth).
    return torch.lerp(depth, smooth, -gain)


def _window(depth: Tensor, field: Tensor, lead: Tensor, value: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Black and white point (each (B, 1, 1) attenuation) from the histogram of the field, without metal and markers."""
    step = max(1, depth.shape[-1] // _HISTOGRAM_CELLS)
    sample, inside, metal = (image[:, ::step, ::step].flatten(1) for image in (depth, field, lead))
    # Half-shadow and lead say nothing of the patient; they sort to the end as infinity.
    used = (inside > 0.99) & (metal == 0)
    ranked = torch.where(used, sample, torch.inf).sort(dim=1).values
    count, air = used.sum(1, keepdim=True), (used & (sample < _AIR)).sum(1, keepdim=True)

    def ranked_at(index: Tensor) -> Tensor:
        place = torch.minimum(index.long(), count - 1).clamp_min(0)
        # A film that is all marker has no histogram; 1 is as good as any.
        return torch.where(count > 0, ranked.gather(1, place), 1.0)[:, :, None]

    # Air is skipped: how much of it lies around the body says nothing of the body.
    thinnest = ranked_at(air + _BODY * (count - air))
    white = ranked_at(value["high"][:, :, 0] * count) * value["headroom"] + 0.02
    # A swallowed coin must not turn the rest of the film black.
    white = torch.minimum(white, _BRIGHTEST * ranked_at(air + _DENSE * (count - air)))
    # The window spans 40 % of the white point at least, or a film of one thickness would be all noise.
    return torch.minimum(value["low"] * thinnest, 0.6 * white), white


def _shown(signal: Tensor, field: Tensor, value: dict[str, Tensor]) -> Tensor:
    """Display curve from 0 (black point) to 1 (white point) to 8-bit grey levels, and the shutter around the field."""
    grey = signal.clamp(0, 1).pow_(value["gamma"])
    # Smoothstep, 3 g² - 2 g³: the toe and shoulder of a film.
    steep = (3 - 2 * grey).mul_(grey).mul_(grey)
    # From 0..1 to the levels 6 to 255.
    grey = torch.lerp(grey, steep, value["contrast"]).mul_(249).add_(6)
    # The shutter covers the half-shadow of the collimator, which would show as a bright frame.
    masked = torch.lerp(value["border"].expand_as(grey), grey, (4 * field - 3).clamp_(0, 1))
    return torch.where(value["border"] < 0, grey, masked).round_().to(torch.uint8)
