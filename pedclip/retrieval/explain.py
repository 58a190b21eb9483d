"""Explanation of a confidence: which regions of a film and which sentences of a report it is the sum of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pedclip.retrieval.matching import best_partners, matched_cosines, unit
from pedclip.retrieval.pecm import PECM

MatchSide = Literal["film", "report"]
_SIDES: Final[tuple[MatchSide, ...]] = ("film", "report")


@dataclass(frozen=True)
class PrototypeMatch:
    """One term of a confidence: a prototype, whom it met, and what came of it.

    Attributes:
        side: Whose prototype it is, "film" or "report".
        number: Of the prototype; regions in raster order or sentence groups in reading order, K−1 is the global one.
        partner: Number of the prototype that it met on the other side; None where it met a mean of all by attention.
        weight: Fraction of w among what is present on this side; sizes add up to 1, and a free weight may be negative.
        cosine: With the partner or the mean, in [-1, 1].
        contribution: To C: the cosine times its factor in Eq. 6, half of it where both sides look.
        num_prototypes: K of the PECM, which tells the regions from the global prototype; None where it is not known.
    """

    side: MatchSide
    number: int
    partner: int | None
    weight: float
    cosine: float
    contribution: float
    num_prototypes: int | None = None


@torch.no_grad()
def explain_match(
    pecm: PECM, image: Tensor, text: Tensor, text_mask: Tensor | None = None
) -> tuple[PrototypeMatch, ...]:
    """The terms that the confidence of one film with one report is the sum of.

    Paired by index, a present pair is one entry, of the film's side. Otherwise every region and every present group of
    sentences has its own, and the entries of a side add up to its half of the confidence.

    Args:
        pecm: Gives projections, weights and the pairing.
        image: (K, C) unprojected prototypes of the film, on any device and in any precision.
        text: (K, C) unprojected prototypes of the report, of the text width, likewise.
        text_mask: (K,) True where present; None for all.

    Returns:
        Entries by falling contribution; equal ones with the film first, then by number. Contributions add up to
        ``pecm(…).confidence``.

    Raises:
        ValueError: More than one film or report, or a value or contribution that is not finite; or as `PECM.scores`.

    Source: PECM, Eq. 6. Differs: what `PECMConfig` says; the paper shows no such sum.
    """
    if image.ndim != 2 or text.ndim != 2:
        shapes = tuple(image.shape), tuple(text.shape)
        raise ValueError(f"prototypes {shapes[0]} and {shapes[1]} must be (K, C) of one film and one report")
    # Stored prototypes are on the CPU and may be in half precision; PECM is wherever it was trained.
    films, reports = pecm.project(image[None].to(pecm.theta), text[None].to(pecm.theta))  # (1, K, D) each
    mask = pecm.checked_mask(films, reports, None if text_mask is None else text_mask[None])  # (1, K)
    # A contribution that is NaN would sort anywhere.
    if not bool(films.isfinite().all() and reports.isfinite().all()):
        raise ValueError("prototypes hold NaN or infinite values")
    films, reports = unit(films), unit(reports) * mask[..., None]  # as `PECM.scores` does
    config = pecm.config
    sides = matched_cosines(films, reports, mask, match=config.match, temperature=config.match_temperature)
    partners = _partners(pecm, films, reports, mask)
    entries: list[PrototypeMatch] = []
    # By index there is one side, the film's.
    for side, (cosines, counts), partner in zip(_SIDES, sides, partners, strict=False):
        factors = pecm.factors(cosines, counts).expand_as(cosines)  # (1, 1, K)
        # Whatever the norm of w, its factors are in proportion to it; all zero is possible where w is free.
        fractions = torch.nn.functional.normalize(factors, p=1.0, dim=2)
        columns = (fractions, cosines, factors * cosines / len(sides))
        weights, angles, terms = (values[0, 0].tolist() for values in columns)
        entries += [
            PrototypeMatch(side, number, partner[number], weights[number], angles[number], terms[number], len(partner))
            for number in counts[0].nonzero()[:, 0].tolist()
        ]
    # Of finite prototypes: the weights are spoilt, or lengths overflow.
    if wrong := sum(not math.isfinite(one.contribution) for one in entries):
        raise ValueError(f"{wrong} of {len(entries)} contributions are not finite; look at the weights of PECM")
    # Python's sort is stable, which is the order of equal ones.
    return tuple(sorted(entries, key=lambda one: -one.contribution))


def _partners(pecm: PECM, films: Tensor, reports: Tensor, mask: Tensor) -> list[list[int | None]]:
    # K numbers for the film's prototypes, and K for the report's.
    if pecm.config.match == "max":
        return [numbers[0, 0].tolist() for numbers in best_partners(films, reports, mask)]
    everyone = range(pecm.num_prototypes)
    return [[number if pecm.config.match == "index" else None for number in everyone]] * 2


def region_heat(matches: Sequence[PrototypeMatch], num_regions: int) -> NDArray[np.float32]:
    """Contributions of a film's regions on their grid, for an overlay.

    The global prototype has no place and is left out; what speaks against the match counts as 0. Each map has its own
    scale, so that two films cannot be compared by it.

    Args:
        matches: Of `explain_match`.
        num_regions: K−1, the square of the regions per side.

    Returns:
        (size, size) in [0, 1] with the root of num_regions as size, rows from the top; the largest is 1, or all are 0
        where no region contributes.

    Raises:
        ValueError: The number is no square above 0; a match is of a PECM with another number of regions, has a number
            that is none of its K, or a contribution that is not finite.
    """
    size = math.isqrt(max(num_regions, 0))
    if num_regions < 1 or size**2 != num_regions:
        raise ValueError(f"num_regions={num_regions} is not allowed: the square of the regions per side, such as 25")
    heat = np.zeros(num_regions)
    for one in matches:
        # Of fewer regions, the global prototype would be drawn as one.
        if not 0 <= one.number <= num_regions or one.num_prototypes not in (None, num_regions + 1):
            total = "" if one.num_prototypes is None else f" of {one.num_prototypes}"
            raise ValueError(f"prototype {one.number}{total} does not fit num_regions={num_regions}: give K-1")
        if not math.isfinite(one.contribution):
            raise ValueError(f"the contribution of prototype {one.number} is not finite; look at the weights of PECM")
        if one.side == "film" and one.number < num_regions:
            heat[one.number] = max(0.0, one.contribution)
    largest = heat.max()
    # Divided in double precision: the largest is exactly 1.
    scaled = heat / largest if largest > 0 else heat
    return scaled.reshape(size, size).astype(np.float32)
