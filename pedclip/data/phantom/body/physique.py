"""Growth of the skeleton, and what sets one person's body apart from another's."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from pedclip.data.phantom.imaging.shapes import Point

CLOSED_AT: Final = 17.0  # years of maturity; most growth plates are closed from here on


def growth_gap(maturity: float, closes: float = CLOSED_AT) -> float:
    """Width of a growth plate, as a fraction of the width of the bone end.

    Args:
        maturity: Stage of the skeleton, years of the average boy.
        closes: Stage at which the plate fuses.

    Returns:
        0.24 at birth, falling to 0 at `closes`.
    """
    return 0.24 * max(0.0, 1.0 - maturity / closes)


def ossified(maturity: float, onset: float, complete: float = 13.0) -> float:
    """Fraction of a nucleus that is bone: 0 before `onset` (years of maturity), 0.35 at onset, 1 from `complete`."""
    if maturity < onset:
        return 0.0
    # The power below 1 makes growth fast at first.
    return 0.35 + 0.65 * math.pow(min(1.0, (maturity - onset) / max(complete - onset, 1.0)), 0.7)


@dataclass(frozen=True, slots=True)
class Physique:
    """One person; equal in all views. The defaults are the average."""

    bone: float = 1.0  # factor of bone width
    fat: float = 1.0  # factor of the width of thin soft tissue: 0.8 thin, 1.6 obese
    wide: float = 1.0  # factor of breadth
    tall: float = 1.0  # factor of length
    skew: float = 0.0  # asymmetry: breadth changes from top to bottom
    bow: float = 0.0  # of long bones, fraction of their length
    wave: tuple[float, float] = (0.0, 0.0)  # smooth shift along x and y, scene units
    phase: tuple[float, float] = (0.0, 0.0)  # of these waves, radians
    flexion: float = 0.0  # how bent joints are held, standard normal
    spread: float = 0.0  # how far digits and limbs are spread, standard normal
    breath: float = 0.5  # 0 expiration, 1 deep inspiration

    def warp(self, x: float, y: float, z: float) -> Point:
        """A point of the layout in this person, scene units; low-order, so that neighbours stay neighbours."""
        # Each coordinate is shifted by a wave along the other, so that straight bones bow a little.
        dx, dy = self.wave
        return (
            x * (self.wide + self.skew * y) + dx * math.sin(2.1 * y + self.phase[0]),
            y * self.tall + dy * math.sin(2.1 * x + self.phase[1]),
            z * self.wide,
        )


def sample_physique(rng: np.random.Generator) -> Physique:
    """Draw a person. Breadth, bone width and fat go together, as in people."""
    # `frame` is what the measures of one person have in common.
    frame, n = rng.normal(), rng.normal(size=12).clip(-2.5, 2.5).tolist()
    fat = math.exp(0.06 + 0.08 * frame + 0.17 * n[0])  # skewed, as weight is
    return Physique(
        bone=min(max(1.0 + 0.05 * frame + 0.05 * n[1], 0.82), 1.2),
        fat=min(max(fat, 0.72), 1.7),
        wide=1.0 + 0.02 * frame + 0.025 * n[2],
        tall=1.0 + 0.035 * n[3],
        skew=0.025 * n[4],
        bow=0.006 * n[5],
        wave=(0.022 * n[6], 0.022 * n[7]),
        phase=(3.0 * n[8], 3.0 * n[9]),
        flexion=n[10],
        spread=n[11],
        breath=float(rng.beta(3.0, 2.0)),
    )
