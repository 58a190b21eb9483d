"""Examples to look at: each region across ages, each finding with its mask."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pedclip.anatomy import REGIONS, is_paired
from pedclip.data.phantom.body.layouts import views_of
from pedclip.data.phantom.findings.finding import Finding
from pedclip.data.phantom.findings.registry import FINDINGS
from pedclip.data.phantom.population import Part, StudyPlan
from pedclip.data.phantom.study import draw_plans


@dataclass(frozen=True, slots=True, eq=False)
class GalleryFilm:
    """One drawn film to look at.

    Args:
        region: One of `pedclip.anatomy.REGIONS`.
        age: Years.
        finding: Key of `FINDINGS`, "" for a normal film.
        film: (S, S) uint8, 0 to 255.
        mask: (S, S) bool, True on the finding; empty where it has no area of its own.
    """

    region: str
    age: float
    finding: str
    film: NDArray[np.uint8]
    mask: NDArray[np.bool_]


def region_gallery(
    ages: Sequence[float] = (0.5, 4.0, 9.0, 16.0), *, seed: int = 0, size: int = 128
) -> list[GalleryFilm]:
    """Films without findings: every region at every age.

    Args:
        ages: Years, 0 to 18; bone age is the same.
        seed: Of everything that differs between people.
        size: Height and width of the images, pixels.

    Returns:
        The 23 regions in order, the ages of one region side by side.
    """
    wanted = [(region, age, ()) for region in REGIONS for age in ages]  # a region's ages stand side by side
    return _draw(wanted, seed, size)


def finding_gallery(
    names: Sequence[str] = tuple(FINDINGS), *, severity: float = 0.8, age: float = 8.0, seed: int = 0, size: int = 128
) -> list[GalleryFilm]:
    """One film per finding, in the first region where it occurs.

    Args:
        names: Keys of `FINDINGS`.
        severity: 0 (subtle) to 1 (marked).
        age: Years, 0 to 18.
        seed: Of everything else.
        size: Height and width of the images, pixels.

    Returns:
        One film per name, in the same order.

    Raises:
        ValueError: A name is not a finding of the phantom.
    """
    if unknown := set(names) - set(FINDINGS):
        raise ValueError(f"unknown finding {sorted(unknown)[0]!r}; known: {', '.join(FINDINGS)}")
    wanted = [
        # Middle values, so that the finding is a plain example of its kind.
        (FINDINGS[name][0], age, (Finding(name, severity, pick=0.4, along=0.5, sign=1, variant=0.45),))
        for name in names
    ]
    return _draw(wanted, seed, size)


def _draw(wanted: Sequence[tuple[str, float, tuple[Finding, ...]]], seed: int, size: int) -> list[GalleryFilm]:
    plans = []
    for number, (region, age, findings) in enumerate(wanted):
        side = "left" if is_paired(region) else ""
        part = Part(region, side, views_of(region)[:1], findings)
        name = f"gallery-{seed}-{number:03d}"  # stands for patient and study
        # Sexes take turns; the number chooses all else about the person.
        plans.append(StudyPlan(number, name, name, (part,), age, age, "F" if number % 2 else "M", ""))
    films = []
    for (region, age, findings), (row,) in zip(wanted, draw_plans(plans, seed=seed, size=size), strict=True):
        film = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))
        mask = np.zeros(film.shape, dtype=bool)  # (S, S)
        if row["mask"]:
            mask = np.asarray(Image.open(io.BytesIO(row["mask"]["bytes"]))) > 0
        films.append(GalleryFilm(region, age, findings[0].name if findings else "", film, mask))
    return films
