"""Variety of films of one prompt, beside that of real films of one region: a generator may know one film per text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pedclip.evaluation.metrics.bootstrap import Floats, Groups, Interval, Record
from pedclip.evaluation.metrics.small_samples import Scale
from pedclip.synthesis.quality.encoders import check_films
from pedclip.synthesis.quality.film_means import mean_interval

# Weights of the scales, fine to coarse (Wang, Simoncelli & Bovik, Asilomar 2003, section 3.2).
_WEIGHTS: Final = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_KERNEL: Final = 11  # pixels a side of the window of SSIM
_WIDTH: Final = 1.5  # standard deviation of its weights, pixels
_C1: Final = 0.01**2  # keep the quotients finite where a film is black or flat; grey levels are in [0, 1]
_C2: Final = 0.03**2
_CHUNK: Final = 256  # pairs at once


@dataclass(frozen=True)
class Diversity(Record):
    """Mean difference of pairs of films.

    Args:
        similarity: Structural similarity in [0, 1] over as many scales as the films have room for; lower is more
            diverse. Black borders are alike in all films and lift it, so that only the real value tells what is high.
        pixels: Root mean square difference of grey levels, in [0, 1]; higher is more diverse.
        features: Euclidean distance of features divided by √C; None where no features were given.
        num_scales: Of the structural similarity; 1 is plain SSIM.
        num_pairs: Pairs.
    """

    similarity: Interval
    pixels: Interval
    features: Interval | None
    num_scales: int
    num_pairs: int


def prompt_pairs(prompts: Sequence[object] | NDArray[Any]) -> NDArray[np.intp]:
    """All pairs of films with one prompt.

    Args:
        prompts: (N,) prompt of each film, or its number.

    Returns:
        (P, 2) positions of the films, the first before the second.

    Raises:
        ValueError: No prompt has two films.

    Example:
        >>> prompt_pairs(["a", "b", "a", "a"]).tolist()
        [[0, 2], [0, 3], [2, 3]]
    """
    number = np.unique(np.asarray(prompts), return_inverse=True)[1]
    pairs = []
    for prompt in range(number.max() + 1):
        members = np.flatnonzero(number == prompt)
        # Every two of the films once.
        first, second = np.triu_indices(len(members), 1)
        pairs.append(np.stack([members[first], members[second]], axis=1))
    found = np.concatenate(pairs)
    if not len(found):
        raise ValueError("diversity needs a prompt with at least 2 films, generated from different seeds")
    return found


def region_pairs(regions: NDArray[Any], patients: Sequence[str], *, seed: int = 0) -> NDArray[np.intp]:
    """Pairs of films of one region and of two patients, each patient in one pair at most: pairs are independent.

    Args:
        regions: (N,) region of each film.
        patients: (N,) patient of each film.
        seed: Of the pairing.

    Returns:
        (P, 2) positions of the films.

    Raises:
        ValueError: No region has films of two patients.
    """
    rng, owners = np.random.default_rng(seed), np.asarray(patients)
    pairs: list[tuple[int, int]] = []
    paired: set[str] = set()
    for region in rng.permutation(np.unique(regions)):
        films = rng.permutation(np.flatnonzero(regions == region))
        # One film of each patient: two of one are alike for another reason than their region.
        of_patient = {str(owners[film]): int(film) for film in films if owners[film] not in paired}
        names = list(of_patient)
        for one, other in zip(names[::2], names[1::2], strict=False):
            pairs.append((of_patient[one], of_patient[other]))
            paired |= {one, other}
    if not pairs:
        raise ValueError("real diversity needs a region with films of at least 2 patients")
    return np.array(pairs, dtype=np.intp)


def pair_diversity(
    films: NDArray[np.uint8],
    pairs: NDArray[np.intp],
    *,
    features: NDArray[Any] | None = None,
    groups: Groups = None,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Diversity:
    """Mean difference of pairs of films in structure, pixels and features.

    Compare films of one size only: the number of scales depends on it.

    Args:
        films: (N, R, R), R at least 11 pixels.
        pairs: (P, 2) positions of the films.
        features: (N, C) of one encoder.
        groups: (P,) what pairs may not be taken apart for, such as the patient of a prompt; None resamples pairs.
        num_resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Raises:
        ValueError: As `check_films`, or films below 11 pixels.

    Source: mean similarity of pairs of one prompt as in the evaluation of RoentGen (methods/synthetic.md, section 3).
    """
    check_films(films, "compared")
    similarity, difference = [], []
    for start in range(0, len(pairs), _CHUNK):
        chosen = pairs[start : start + _CHUNK]
        # Grey levels in [0, 1]: the constants of the similarity are of this range.
        first, second = (films[chosen[:, side]].astype(np.float32) / np.float32(255) for side in (0, 1))
        similarity.append(structural_similarity(first, second))
        difference.append(np.sqrt(((first - second) ** 2).mean(axis=(1, 2), dtype=np.float64)))

    def interval(values: Floats, scale: Scale) -> Interval:
        return mean_interval(values, groups, scale=scale, num_resamples=num_resamples, seed=seed)

    apart = None
    if features is not None:
        # Divided by the root of the width, as the length of features grows with it.
        steps = features[pairs[:, 0]] - features[pairs[:, 1]]  # (P, C)
        apart = interval(np.sqrt((steps**2).mean(axis=1)), "error")
    return Diversity(
        interval(np.concatenate(similarity), "share"),
        interval(np.concatenate(difference), "error"),
        apart,
        num_scales(min(films.shape[1:])),
        len(pairs),
    )


def num_scales(size: int) -> int:
    """Scales of the structural similarity on films of a size, 1 to 5: the window must fit into the coarsest.

    Args:
        size: Smaller side of the films, pixels, at least 11.

    Raises:
        ValueError: Smaller films.

    Example:
        >>> num_scales(64), num_scales(112), num_scales(224)
        (3, 4, 5)
    """
    if size < _KERNEL:
        raise ValueError(f"structural similarity needs films of at least {_KERNEL} pixels, got {size}")
    # Each scale has half the side of the one before.
    return next(count for count in range(len(_WEIGHTS), 0, -1) if size >> (count - 1) >= _KERNEL)


def structural_similarity(first: NDArray[Any], second: NDArray[Any]) -> Floats:
    """Multi-scale structural similarity of pairs, with the weights of the scales that fit made to sum to 1.

    Args:
        first: (P, H, W) grey levels in [0, 1].
        second: (P, H, W).

    Returns:
        (P,) in [0, 1]; negative correlation counts as 0.

    Raises:
        ValueError: Films below 11 pixels.

    Source: Wang, Simoncelli & Bovik, Asilomar 2003, Eq. 7, with windows that lie inside the film, as there. Not that of
        torchmetrics 1.9, which reflects the borders at the coarsest scale: of 16 pixels they are more than half.
    """
    chosen = _WEIGHTS[: num_scales(min(first.shape[1:]))]
    one, other = (torch.from_numpy(np.asarray(films, dtype=np.float64))[:, None] for films in (first, second))
    result = torch.ones(len(one), dtype=torch.float64)
    for number, weight in enumerate(chosen):
        luminance, contrast = _windows(one, other)
        # Luminance is compared at the coarsest scale only.
        last = number == len(chosen) - 1
        mean = (luminance * contrast if last else contrast).mean(dim=(1, 2, 3))  # (P,)
        result = result * mean.clamp(0, 1) ** (weight / sum(chosen))
        one, other = (functional.avg_pool2d(films, 2) for films in (one, other))
    values: Floats = result.numpy()
    return values


def _windows(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Agreement of luminance, and of contrast and structure, in each window of films (P, 1, H, W)."""
    place = torch.arange(_KERNEL, dtype=one.dtype) - _KERNEL // 2
    line = torch.exp(-(place**2) / (2 * _WIDTH**2))
    line = line / line.sum()
    # A Gaussian is the product of its two directions, which costs 22 instead of 121 products per pixel.
    moments = torch.cat([one, other, one**2, other**2, one * other])  # (5P, 1, H, W)
    moments = functional.conv2d(functional.conv2d(moments, line.view(1, 1, 1, -1)), line.view(1, 1, -1, 1))
    mean, mean_other, square, square_other, product = moments.chunk(5)
    spread = (square - mean**2) + (square_other - mean_other**2)
    luminance = (2 * mean * mean_other + _C1) / (mean**2 + mean_other**2 + _C1)
    return luminance, (2 * (product - mean * mean_other) + _C2) / (spread + _C2)
