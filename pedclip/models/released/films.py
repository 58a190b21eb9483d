"""Recipes from an original film to the pixels of somebody else's encoder, as a list of steps whose order is data.

Before the step "scale" a film is 8-bit and resized as Pillow does it, always with antialiasing; after it, a float
tensor. So a recipe says by its order whether it normalizes first (CheXzero) or last (all others).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

SIDES: Final = ("shortest", "longest", "both")
_PILLOW: Final = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
INTERPOLATIONS: Final = (*_PILLOW, "area")
_FLOAT: Final = ("bilinear", "bicubic")  # interpolations of tensors that may do without antialiasing
_READER: Final = "read the file with pedclip.triplets.decoding.decode(path)"
# Keys of each step in the records; whatever else stands there is a slip of the pen.
_KEYS: Final = {
    "pad": (),
    "resize": ("size", "side", "by", "antialias", "rounding"),
    "crop": ("size", "rounding"),
    "scale": ("divisor",),
    "normalize": ("mean", "std"),
}


@dataclass(frozen=True)
class Step:
    """One step of a recipe.

    Args:
        do: "pad" (with black to a square, the film in the middle), "resize", "crop" (from the middle), "scale" (8-bit
            to float, by a divisor) or "normalize".
        size: Height and width in pixels, of "resize" and "crop".
        side: Side of the film that gets this size; the other one keeps the proportion, unless "both".
        by: Interpolation.
        antialias: False only for floats, for Pillow has no other way.
        rounding: Of fractions of pixels, of the other side of "resize" and of the place of "crop": "down", or "even"
            for the nearest whole number and, at a half, the even one.
        divisor: 255, or 1 where the encoder was trained on 0 to 255.
        mean: Per channel, in the units after "scale".
        std: Per channel, above 0.

    Raises:
        ValueError: A value is out of its range.
    """

    do: str
    size: int = 0
    side: str = "shortest"
    by: str = "bicubic"
    antialias: bool = True
    rounding: str = "down"
    divisor: float = 255.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.do not in _KEYS:
            raise ValueError(f"step {self.do!r} is unknown; expected one of {', '.join(_KEYS)}")
        if self.do in ("resize", "crop") and self.size < 1:
            raise ValueError(f"{self.do}: expected a size of at least 1 pixel, got {self.size!r}")
        # Words are checked for every step: an unused one is a mistake, too.
        if self.side not in SIDES or self.by not in INTERPOLATIONS or self.rounding not in ("down", "even"):
            raise ValueError(f"{self.do}: unknown side {self.side!r}, by {self.by!r} or rounding {self.rounding!r}")
        # A divisor that is not a number fails here as well.
        if self.do == "scale" and not self.divisor > 0:
            raise ValueError(f"scale: expected a divisor above 0, got {self.divisor!r}")
        if self.do == "normalize" and not (len(self.mean) == len(self.std) == 3 and min(self.std) > 0):
            raise ValueError(f"normalize: expected three means and three deviations above 0, got {self}")


@dataclass(frozen=True)
class FilmTransform:
    """The published recipe of one model, called with an original film.

    Args:
        steps: In order; exactly one of them is "scale".

    Raises:
        ValueError: There is no "scale", or two, or an 8-bit film would be normalized or resized without antialiasing.

    Example:
        >>> halves = {"do": "normalize", "mean": [0.5] * 3, "std": [0.5] * 3}
        >>> recipe = FilmTransform.from_json([{"do": "resize", "size": 2, "side": "both"}, {"do": "scale"}, halves])
        >>> recipe(np.full((9, 5), 255, np.uint8)).unique().tolist()
        [1.0]
    """

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        names = [step.do for step in self.steps]
        if names.count("scale") != 1:
            raise ValueError(f"a recipe needs exactly one step 'scale', got {', '.join(names) or 'no steps'}")
        if not {"resize", "crop"} & {*names}:
            raise ValueError("a recipe needs a step 'resize' or 'crop': an encoder takes one size")
        # What an 8-bit film can do, and what a float can, split at this step.
        start = names.index("scale")
        if "normalize" in names[:start]:
            raise ValueError("'normalize' stands before 'scale': an 8-bit film cannot hold its result")
        if any(step.do == "resize" and not step.antialias for step in self.steps[:start]):
            raise ValueError("'resize' without antialiasing must stand after 'scale', as Pillow always antialiases")
        # torch interpolates floats in two ways, and pads them with a value that need not be black.
        if any(step.do == "resize" and step.by not in _FLOAT for step in self.steps[start:]):
            raise ValueError(f"after 'scale' a film is resized by {' or '.join(_FLOAT)} only")
        if "pad" in names[start:]:
            raise ValueError("'pad' must stand before 'scale', where black is 0")

    @property
    def size(self) -> int:
        """Height and width of the pixels, those of the last step that changes them."""
        return next(step.size for step in reversed(self.steps) if step.do in ("resize", "crop"))

    @classmethod
    def from_json(cls, steps: Sequence[Mapping[str, Any]]) -> "FilmTransform":
        """A recipe from its list in ``releases``.

        Raises:
            ValueError: An unknown step, or a key that its step does not have.
        """
        for step in steps:
            known = ("do", *_KEYS.get(step.get("do", ""), ()))
            if unknown := [key for key in step if key not in known]:
                raise ValueError(f"step {step.get('do')!r} has no {unknown[0]!r}; expected some of {', '.join(known)}")
        # JSON has lists, and a frozen step is hashed with tuples.
        triples = [{key: tuple(step[key]) for key in ("mean", "std") if key in step} for step in steps]
        return cls(tuple(Step(**{**step, **triple}) for step, triple in zip(steps, triples, strict=True)))

    @classmethod
    def from_preprocessor(cls, config: Mapping[str, Any]) -> "FilmTransform":
        """A recipe from the ``preprocessor_config.json`` of a model of transformers.

        Args:
            config: Its content: resize, crop from the middle, rescale, normalize, in this order, each if it is asked
                for.

        Raises:
            ValueError: A size is of a kind that is not known, or the mean and deviation are missing.
        """
        steps: list[dict[str, Any]] = []
        if config.get("do_resize", True):
            # Pillow's numbers of interpolations, as the file holds them.
            names = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
            if (by := names.get(config.get("resample", 3))) is None:
                raise ValueError(f"expected resample to be one of {names}, got {config['resample']!r}")
            steps.append({"do": "resize", "by": by, **_sides(config.get("size"))})
        if config.get("do_center_crop", False):
            steps.append({"do": "crop", "size": _sides(config.get("crop_size"))["size"]})
        # The file multiplies, and a step divides.
        factor = config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1
        steps.append({"do": "scale", "divisor": 1 / factor})
        if config.get("do_normalize", True):
            if "image_mean" not in config or "image_std" not in config:
                raise ValueError("expected image_mean and image_std, as the encoder was trained with them")
            steps.append({"do": "normalize", "mean": config["image_mean"], "std": config["image_std"]})
        return cls.from_json(steps)

    def __call__(self, film: NDArray[np.uint8] | Image.Image) -> Tensor:
        """Pixels of one film.

        Args:
            film: (H, W) uint8 with 0 black, or a Pillow image of mode "L" or "RGB", of any size.

        Returns:
            (3, H, W) float32, as the encoder takes it.

        Raises:
            TypeError: Not 8-bit: floats may be in any scale, and a wrong one would go unnoticed.
            ValueError: Another shape or mode.
        """
        image: Any = _eight_bit(film)  # (H, W) or (H, W, 3)
        # An array until the step "scale", a tensor from there on.
        for step in self.steps:
            image = _float_step(step, image) if isinstance(image, Tensor) else _film_step(step, image)
        # Gray films become three equal channels at the end; nothing before depends on the number of them.
        pixels: Tensor = image.expand(3, -1, -1).contiguous()
        return pixels


def _sides(size: Any) -> dict[str, Any]:
    # Three forms are found in such files, the first in old ones.
    if isinstance(size, int):
        return {"size": size}
    if isinstance(size, Mapping) and set(size) == {"shortest_edge"}:
        return {"size": size["shortest_edge"]}
    if isinstance(size, Mapping) and set(size) == {"height", "width"} and size["height"] == size["width"]:
        return {"size": size["height"], "side": "both"}
    raise ValueError(f"expected a size such as 224, {{'shortest_edge': 224}} or equal height and width, got {size!r}")


def _eight_bit(film: NDArray[np.uint8] | Image.Image) -> NDArray[np.uint8]:
    if isinstance(film, Image.Image):
        if film.mode not in ("L", "RGB"):
            # Pillow clips what is deeper than 8 bits, mostly to white: "I;16", "I;16B", "I" and "F".
            is_deep = film.mode[0] in "IF"
            advice = f"{_READER}, as film.convert('L') would clip it" if is_deep else "call film.convert('L')"
            raise ValueError(f"expected a film of mode 'L' or 'RGB', got {film.mode!r}; {advice}")
        return np.asarray(film)  # (H, W) or (H, W, 3)
    # Sixteen bits would be cut without a word.
    if film.dtype != np.uint8:
        raise TypeError(f"expected a film of uint8 in 0..255, got {film.dtype}; {_READER}")
    if film.ndim != 2 or min(film.shape) < 1:
        raise ValueError(f"expected a film (H, W), got {film.shape}")
    return film


def _film_step(step: Step, film: NDArray[np.uint8]) -> NDArray[np.uint8] | Tensor:
    if step.do == "pad":
        # Where the difference is odd, the extra line is below or at the right.
        longest = max(film.shape[:2])
        canvas = np.zeros((longest, longest, *film.shape[2:]), np.uint8)
        top, left = ((longest - length) // 2 for length in film.shape[:2])
        canvas[top : top + film.shape[0], left : left + film.shape[1]] = film
        return canvas
    if step.do == "resize":
        height, width = _resized(step, *film.shape[:2])
        if step.by == "area":
            return _by_area(film, height, width)
        return np.asarray(Image.fromarray(film).resize((width, height), _PILLOW[step.by]))  # Pillow: width first
    if step.do == "crop":
        top, left = (_offset(step, length) for length in film.shape[:2])
        return film[top : top + step.size, left : left + step.size]
    # "scale": (H, W) or (H, W, 3) → (1 or 3, H, W).
    channels = torch.tensor(np.atleast_3d(film)).permute(2, 0, 1)
    return channels.float() / step.divisor


def _float_step(step: Step, film: Tensor) -> Tensor:
    if step.do == "normalize":
        mean, std = (film.new_tensor(values)[:, None, None] for values in (step.mean, step.std))  # (3, 1, 1)
        return (film - mean) / std
    if step.do == "resize":
        size = _resized(step, film.shape[-2], film.shape[-1])
        # Half-pixel centres, as Pillow, torchvision and TensorFlow have them.
        return F.interpolate(film[None], size, mode=step.by, antialias=step.antialias, align_corners=False)[0]
    top, left = (_offset(step, length) for length in film.shape[-2:])
    return film[:, top : top + step.size, left : left + step.size]


def _resized(step: Step, height: int, width: int) -> tuple[int, int]:
    if step.side == "both":
        return step.size, step.size
    # (H, W) keep their proportion; `known` gets the size.
    known = min(height, width) if step.side == "shortest" else max(height, width)
    # At least one pixel of a very narrow film. torchvision and transformers cut, open_clip's longest side is rounded.
    sides = (max(1, _whole(step, step.size * length / known)) for length in (height, width))
    return next(sides), next(sides)


def _offset(step: Step, length: int) -> int:
    if length < step.size:
        raise ValueError(f"a crop of {step.size} pixels does not fit into {length}; the recipe must resize before")
    return _whole(step, (length - step.size) / 2)


def _whole(step: Step, pixels: float) -> int:
    # Python rounds a half to the even number, and so does torchvision's crop.
    return int(pixels) if step.rounding == "down" else round(pixels)


def _by_area(film: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Mean of the area that each new pixel covers, fractions of old pixels included: what OpenCV calls area."""
    rows, columns = _cover(film.shape[0], height), _cover(film.shape[1], width)
    # (h, H) · (H, W, …) and then (w, W) over the columns: (h, w, …).
    mixed = np.moveaxis(np.tensordot(columns, np.tensordot(rows, film, axes=1), axes=(1, 1)), 0, 1)
    return np.rint(mixed).astype(np.uint8)  # OpenCV rounds a half to the even number as well


def _cover(old: int, new: int) -> NDArray[np.float64]:
    """(new, old) fraction of each new pixel that an old one fills; rows sum to 1."""
    edges = np.arange(new + 1) * old / new
    low, high = edges[:-1, None], edges[1:, None]
    # (new, 1) against (old,): the common part of each pair of intervals, negative where they are apart.
    overlap = np.minimum(high, np.arange(1, old + 1)) - np.maximum(low, np.arange(old))
    cover: NDArray[np.float64] = overlap.clip(min=0) / (high - low)
    return cover
