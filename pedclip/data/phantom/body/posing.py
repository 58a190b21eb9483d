"""Position of a patient on the detector."""

import math
from typing import Final

import numpy as np

from pedclip.anatomy import is_paired
from pedclip.data.phantom.imaging.shapes import Pose

_GIRDLES: Final = ("hip", "clavicle", "shoulder")  # paired, but filmed with the trunk
_LONG: Final = ("femur", "tibia_fibula", "humerus", "forearm")  # both end joints belong into the field
# Films of these parts are often taken with the limb across the cassette, or fingers down.
_QUARTER_TURNS: Final = (0.86, 0.05, 0.05, 0.04)  # probabilities of 0, 90, -90 and 180 degrees


def sample_pose(region: str, *, view: str, age: float, laterality: str, rng: np.random.Generator) -> Pose:
    """A wide but plausible position of the patient.

    Args:
        region: One of `pedclip.anatomy.REGIONS`.
        view: "AP", "PA", "lateral" or "oblique".
        age: Years, 0 to 18; infants lie less still and fill less of the field.
        laterality: "left", "right" or "": right limbs are mirrored.
        rng: Source of chance; the same number of draws in every case.

    Returns:
        Position with `turn` about the long axis (radians, standard deviation 6 degrees, without the turn of the view),
        `tilt` (radians; up to 6 degrees for trunk and head, 25 for limbs, and quarter turns of limbs), `scale` 0.75 to
        1.35 and shifts within 0.15 scene units. The middle of the layout stays inside the field.
    """
    tilt, scale, dx, dy, turn = rng.normal(size=5).clip(-2.0, 2.0).tolist()
    # Drawn for every region: then the same number of draws is taken in every case.
    quarter = float(rng.choice([0.0, 90.0, -90.0, 180.0], p=_QUARTER_TURNS))
    diagonal = rng.random() < 0.12
    limb = is_paired(region) and region not in _GIRDLES
    infant = max(0.0, 1 - age / 3)
    # Standard deviation of 2.5° for trunk and head, 3° in infants, 5.5° for limbs, 12.5° across the cassette.
    degrees = tilt * (2.5 + 0.5 * infant)
    if limb:
        degrees = tilt * (12.5 if diagonal else 5.5) + quarter
    if region in _LONG:  # a long bone laid across the diagonal fits, a magnified one does not
        factor = math.exp(0.08 * scale - 0.06)
    else:
        factor = math.exp((0.11 if limb else 0.07) * scale + 0.01)
    # Small children fill less of the smallest cassette.
    if region == "chest" or region == "abdomen":
        factor *= 1 - 0.06 * infant
    shift = 0.075 if limb else 0.05  # standard deviation, scene units
    return Pose(
        turn=math.radians(6.0 * turn) * (0.6 if view == "lateral" else 1.0),  # a lateral film is aimed at with care
        tilt=math.radians(degrees),
        mirror=laterality == "right",
        scale=min(max(factor * (0.97 + 0.002 * age), 0.75), 1.35),
        dx=shift * dx,
        dy=shift * dy,
    )
