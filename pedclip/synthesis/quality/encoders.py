"""Encoders that films are measured in, and the one path by which real and synthetic films come to them.

A distance between films is one in the eyes of an encoder, so every number carries the encoder's name and fingerprint.
Films of both kinds are first reduced to the smaller size of the two: otherwise the sharpness of 112 pixels would tell
them from 64 pixels before anything that a generator has drawn.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.features import ImageModel, add_weights, extract_features
from pedclip.evaluation.metrics.bootstrap import Floats, Record
from pedclip.triplets.decoding import BadImage, decode
from pedclip.triplets.transforms import square

NEUTRAL: Final = "ImageNet EfficientNet-Lite0"
PIXEL_SIZE: Final = 32  # of the films whose grey levels are compared: a shift by a pixel or two hardly moves them
PIXELS: Final = f"pixels at {PIXEL_SIZE}"


@dataclass(frozen=True)
class Resolution(Record):
    """Sizes of the films that are compared.

    Args:
        real: Height and width of the real films, pixels.
        synthetic: Height and width of the synthetic films, pixels.
        compared_at: The smaller of the two, to which both are reduced before any encoder sees them.
    """

    real: int
    synthetic: int
    compared_at: int

    def __str__(self) -> str:
        return (
            f"real films of {self.real} and synthetic ones of {self.synthetic} pixels, compared at {self.compared_at}"
        )


def resolution(real: NDArray[np.uint8], synthetic: NDArray[np.uint8]) -> Resolution:
    """The size at which two sets of films can be compared.

    Args:
        real: (N, H, W) films.
        synthetic: (M, H', W') films; height and width may differ from those of the real ones.

    Raises:
        ValueError: As `check_films`.
    """
    # Width and height may differ between the sets, and so may their padding.
    sizes = []
    for films, what in ((real, "real"), (synthetic, "synthetic")):
        check_films(films, what)
        sizes.append(max(films.shape[1:]))  # padded to a square, as everywhere
    return Resolution(sizes[0], sizes[1], min(sizes))


def check_films(films: NDArray[Any], what: str) -> None:
    """Refusal of anything but films (N, H, W) in uint8.

    Raises:
        ValueError: Another shape or type, or no film; `what` names them.
    """
    # Floats may be in any scale, and a wrong one gives a distance that looks like one.
    if films.ndim != 3 or films.dtype != np.uint8 or 0 in films.shape:
        raise ValueError(
            f"{what} films must be (N, H, W) uint8 with values 0 to 255 and at least one film, "
            f"got {films.shape} {films.dtype}"
        )


def resized(films: NDArray[np.uint8], *, compared_at: int, size: int) -> NDArray[np.uint8]:
    """Films of any size as an encoder takes them, all by way of one common size.

    Args:
        films: (N, H, W).
        compared_at: Height and width to which every film is reduced first, pixels.
        size: Height and width of the result, pixels.

    Returns:
        (N, size, size) uint8.

    Raises:
        ValueError: As `check_films`, or films smaller than the common size, which would be blown up before they are
            reduced.
    """
    check_films(films, "compared")
    if max(films.shape[1:]) < compared_at:
        raise ValueError(
            f"films of {films.shape[1:]} pixels cannot be compared at {compared_at}; take the smaller size"
        )
    # One film at a time through the package's only resizing, which pads and smooths.
    return np.stack([square(square(film, compared_at), size) for film in films])


def read_films(paths: Sequence[str | Path], *, size: int) -> NDArray[np.uint8]:
    """Films of image files as squares; a file that cannot be read is an error, never a black film.

    Args:
        paths: N files, at least 1.
        size: Height and width of the result, pixels.

    Returns:
        (N, size, size) uint8, in the order of the paths.

    Raises:
        BadImage: A file is no film; the message names the file.
        ValueError: No file.
    """
    if not paths:
        raise ValueError("expected at least one image file, got none")
    films = []
    for path in paths:
        try:
            films.append(square(decode(path), size))
        except BadImage as error:
            # A set with one film fewer, or one black film more, is another set with another distance.
            raise BadImage(f"{path}: {error}") from error
    return np.stack(films)


@dataclass(frozen=True, eq=False)
class FilmEncoder:
    """A frozen image encoder by name.

    Args:
        name: As it is reported.
        model: With its preprocessing.
        fingerprint: Of weights, configuration and preprocessing, as from `encoder_fingerprint`.
    """

    name: str
    model: ImageModel
    fingerprint: str

    def features(
        self,
        films: NDArray[np.uint8],
        *,
        compared_at: int,
        cache: Path | None = None,
        batch_size: int = 64,
        device: str = "cpu",
    ) -> Floats:
        """Features of films that came by way of a common size.

        All have the length √C: the mean square of a feature is 1, as the cubic kernel of the kernel distance expects.
        With unit length its argument x·y / C would be next to nothing and the kernel a straight line, which sees
        differences of means alone.

        Args:
            films: (N, H, W).
            compared_at: Height and width to which all films are reduced first, pixels.
            cache: As for `extract_features`.
            batch_size: Films at a time, at least 1.
            device: Where to compute.

        Returns:
            (N, C) float64.

        Raises:
            ValueError: As `resized` and `extract_features`, or a film of which the encoder gives zeros or NaN.
        """
        prepared = resized(films, compared_at=compared_at, size=self.model.preprocess.resize)  # (N, R, R)
        # The cache knows films by what the encoder was given, so each common size has its own entry.
        found = extract_features(self.model, prepared, cache=cache, batch_size=batch_size, device=device)
        unit = np.asarray(found.embedding, dtype=np.float64)  # (N, C)
        length = np.linalg.norm(unit, axis=1, keepdims=True)
        # Of a film of one grey level an encoder may see nothing at all.
        if len(blind := np.flatnonzero(~(np.isfinite(length) & (length > 0)))):
            raise ValueError(f"{self.name} gives no features of {len(blind)} films, the first is number {blind[0]}")
        # Once more in float64, so that all lie on one sphere.
        scaled: Floats = unit / length * np.sqrt(unit.shape[1])
        return scaled


def film_encoder(name: str, model: ImageModel) -> FilmEncoder:
    """An encoder of the project, such as a pre-trained `PedCLIP`, under a name for the results.

    Args:
        name: As it is reported.
        model: With its preprocessing; it is not changed.
    """
    return FilmEncoder(name, model, encoder_fingerprint(model))


def neutral_encoder(*, image_size: int = 224) -> FilmEncoder:
    """The encoder that has never seen a radiograph: EfficientNet-Lite0 with ImageNet weights of an ordinary package.

    Args:
        image_size: Height and width of its input, pixels.

    Raises:
        OSError: The weights are not installed; the message names the package.
    """
    # Here, as timm needs a torchvision that works.
    from pedclip.models.imagenet import ImageNetEncoder

    return film_encoder(f"{NEUTRAL}, {image_size} px", ImageNetEncoder(image_size=image_size))


def encoder_fingerprint(model: ImageModel) -> str:
    """First 16 digits of the SHA-256 of an encoder's weights, configuration and preprocessing."""
    digest = hashlib.sha256(repr(getattr(model, "config", "")).encode())
    # A crop or a mean that differs makes another encoder of the same weights.
    digest.update(json.dumps(model.preprocess.to_json(), sort_keys=True).encode())
    add_weights(digest, model.state_dict())
    return digest.hexdigest()[:16]


def pixel_features(films: NDArray[np.uint8], *, compared_at: int) -> Floats:
    """Grey levels of films at 32 pixels, so that the Euclidean distance of two is their root mean square difference.

    Args:
        films: (N, H, W).
        compared_at: Height and width to which all films are reduced first, pixels.

    Returns:
        (N, 1024) float64, grey levels in [0, 1] divided by 32.

    Raises:
        ValueError: As `resized`.
    """
    # All encoders and the pixels see films that have lost the same detail.
    small = resized(films, compared_at=compared_at, size=PIXEL_SIZE)
    # Divided by the root of the number of pixels: a sum of squares becomes their mean.
    return small.reshape(len(small), -1).astype(np.float64) / (255 * PIXEL_SIZE)
