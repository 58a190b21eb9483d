"""From an 8-bit film to the pixels of the image encoder: square pad, crop, normalization, mild augmentation.

There is no horizontal flip anywhere: reports name sides, and a mirrored film would make them wrong.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

AUGMENTATIONS: Final = ("none", "affine")
_DEGREES: Final = 10.0  # largest rotation
_JITTER: Final = 0.2  # largest relative change of brightness and of contrast


@dataclass(frozen=True)
class Preprocess:
    """Preparation of films for the image encoder; saved with every checkpoint.

    Args:
        size: Height and width of the input of the encoder, pixels, at least 1.
        resize: Height and width of the square film before the crop, pixels, at least `size`.
        mean: Per channel of a film in [0, 1], each in [0, 1].
        std: Per channel, each above 0.
        augment: "none" (random crop only) or "affine" (also rotation up to 10°, brightness and contrast up to 20 %).

    Raises:
        ValueError: A value is out of its range.

    Source: PedCLIP prints only 224² (methods/pedclip.md, P13 and P14); 256 → 224 is the pipeline of MGCA. Mean and
        standard deviation 0.5 are those of timm's ViT weights.
    """

    size: int = 224
    resize: int = 256
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    augment: str = "none"

    def __post_init__(self) -> None:
        for name in ("size", "resize"):
            if isinstance(getattr(self, name), bool) or not isinstance(getattr(self, name), int):
                raise ValueError(f"{name}: expected a whole number of pixels, got {getattr(self, name)!r}.")
        if not 1 <= self.size <= self.resize:
            raise ValueError(f"expected 1 <= size <= resize, got size {self.size} and resize {self.resize}.")
        if len(self.mean) != 3 or not all(0 <= value <= 1 for value in self.mean):
            raise ValueError(f"mean: expected three values in [0, 1], got {self.mean!r}.")
        if len(self.std) != 3 or not all(0 < value < math.inf for value in self.std):
            raise ValueError(f"std: expected three values above 0, got {self.std!r}.")
        if self.augment not in AUGMENTATIONS:
            raise ValueError(f"augment: expected one of {', '.join(AUGMENTATIONS)}, got {self.augment!r}.")

    def to_json(self) -> dict[str, Any]:
        """Plain values for `preprocess.json`."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Preprocess":
        """The inverse of `to_json`.

        Raises:
            ValueError: An unknown key, or a value out of its range.
        """
        known = [field.name for field in fields(cls)]
        if unknown := [key for key in content if key not in known]:
            raise ValueError(f"unknown preprocessing {', '.join(unknown)}; expected some of {', '.join(known)}.")
        triples = {key: tuple(content[key]) for key in ("mean", "std") if key in content}
        return cls(**{**content, **triples})


def square(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """A film padded with black to a square, the film in the middle, and resized with antialiasing.

    Args:
        image: (H, W) uint8.
        size: Height and width of the result, pixels.

    Returns:
        (size, size) uint8.

    Raises:
        ValueError: Not (H, W), or a size below 1.
        TypeError: Not uint8.

    Source: methods/pedclip.md, P13.

    Example:
        >>> square(np.full((4, 2), 9, np.uint8), 4)[0].tolist()
        [0, 9, 9, 0]
    """
    if image.dtype != np.uint8:
        raise TypeError(f"expected a film of uint8 as from pedclip.triplets.decoding, got {image.dtype}.")
    if image.ndim != 2 or min(image.shape) < 1 or size < 1:
        raise ValueError(f"expected a film (H, W) and a size of at least 1, got {image.shape} and {size}.")
    height, width = image.shape
    # Padded rather than stretched: proportions of bones are findings.
    longest = max(height, width)
    canvas = Image.new("L", (longest, longest))
    canvas.paste(Image.fromarray(image), ((longest - width) // 2, (longest - height) // 2))
    return np.asarray(canvas.resize((size, size), Image.Resampling.BILINEAR))


def to_pixels(images: Tensor, preprocess: Preprocess, *, generator: torch.Generator | None = None) -> Tensor:
    """Square films to the input of the image encoder, on the device of the films.

    Args:
        images: (B, resize, resize) uint8, as from `square`.
        preprocess: Sizes, normalization, augmentation.
        generator: For training: one random crop (and augmentation) per film. Without it: the crop from the middle and
            no augmentation. The numbers are drawn on the generator's device, so that a CPU generator gives the same
            crops everywhere; rotated films are not bit-equal across devices.

    Returns:
        (B, 3, size, size) float32, (film / 255 − mean) / std; three equal channels before the normalization.

    Raises:
        TypeError: Not uint8: floats may be in any scale, and a wrong one would go unnoticed.
        ValueError: Another shape than (B, resize, resize).

    Source: methods/pedclip.md, P13 and P14.

    Example:
        >>> films = torch.full((2, 8, 8), 255, dtype=torch.uint8)
        >>> to_pixels(films, Preprocess(size=6, resize=8)).shape, to_pixels(films, Preprocess(6, 8)).max().item()
        (torch.Size([2, 3, 6, 6]), 1.0)
    """
    if images.dtype != torch.uint8:
        raise TypeError(f"expected films of uint8 in 0..255, got {images.dtype}; pass them as pedclip decodes them.")
    if images.ndim != 3 or images.shape[1:] != (preprocess.resize, preprocess.resize):
        expected = f"(B, {preprocess.resize}, {preprocess.resize})"
        raise ValueError(
            f"expected films {expected}, got {tuple(images.shape)}; use pedclip.triplets.transforms.square."
        )
    films = images.float() / 255  # (B, resize, resize)
    if generator is not None and preprocess.augment == "affine" and len(films):
        films = _jittered(_rotated(films, generator), generator)
    films = _cropped(films, preprocess.size, generator)  # (B, size, size)
    mean = films.new_tensor(preprocess.mean)[None, :, None, None]  # (1, 3, 1, 1)
    std = films.new_tensor(preprocess.std)[None, :, None, None]  # (1, 3, 1, 1)
    return (films[:, None] - mean) / std  # (B, 3, size, size)


def _uniform(films: Tensor, low: float, high: float, generator: torch.Generator) -> Tensor:
    """One number per film."""
    # Drawn on the generator's device, so that the numbers are the same wherever the films are.
    share = torch.rand(len(films), generator=generator, device=generator.device)
    return (low + (high - low) * share).to(films.device)


def _rotated(films: Tensor, generator: torch.Generator) -> Tensor:
    """Each film turned about its middle by up to 10 degrees; what comes in from outside is black."""
    angle = _uniform(films, -math.radians(_DEGREES), math.radians(_DEGREES), generator)  # (B,)
    zero = torch.zeros_like(angle)
    # The upper two rows of a rotation, without a shift: (B, 2, 3).
    rows = (torch.stack([angle.cos(), -angle.sin(), zero], 1), torch.stack([angle.sin(), angle.cos(), zero], 1))
    shape = [len(films), 1, *films.shape[1:]]
    grid = torch.nn.functional.affine_grid(torch.stack(rows, dim=1), shape, align_corners=False)  # (B, R, R, 2)
    return torch.nn.functional.grid_sample(films[:, None], grid, align_corners=False)[:, 0]


def _jittered(films: Tensor, generator: torch.Generator) -> Tensor:
    """Brightness as a factor, contrast about the mean of the film; black borders stay black."""
    brightness, contrast = (_uniform(films, 1 - _JITTER, 1 + _JITTER, generator)[:, None, None] for _ in range(2))
    mean = films.mean(dim=(1, 2), keepdim=True)  # (B, 1, 1)
    changed = (mean + (films - mean) * contrast) * brightness
    return torch.where(films > 0, changed, films).clamp(0, 1)


def _cropped(films: Tensor, size: int, generator: torch.Generator | None) -> Tensor:
    """(B, size, size) from the middle, or from a random place per film."""
    num_films, resize, _ = films.shape
    if generator is None:
        # Validation and inference see the middle, always the same.
        first = (resize - size) // 2
        return films[:, first : first + size, first : first + size]
    corners = torch.randint(0, resize - size + 1, (num_films, 2), generator=generator, device=generator.device).to(
        films.device
    )
    steps = torch.arange(size, device=films.device)
    rows, columns = (corners[:, axis, None] + steps for axis in (0, 1))  # (B, size)
    which = torch.arange(num_films, device=films.device)
    return films[which[:, None, None], rows[:, :, None], columns[:, None, :]]  # (B, size, size)
