"""The 23 regions: which layout, which views, and how a scene is posed."""

from collections.abc import Callable
from typing import Final

import numpy as np

from pedclip.anatomy import REGIONS, is_paired
from pedclip.data.phantom.body import abdomen, chest, foot, head, hip, lower_limb, neck, shoulder, spine, upper_limb
from pedclip.data.phantom.body.physique import sample_physique
from pedclip.data.phantom.body.scene import Scene

TURNS: Final = {"AP": 0.0, "PA": 0.0, "lateral": 84.0, "oblique": 38.0}  # degrees about the long axis
# Each layout is a function with the name of its region.
LAYOUTS: Final[dict[str, Callable[[Scene], None]]] = {
    region: getattr(module, region)
    for module in (upper_limb, shoulder, hip, lower_limb, foot, chest, abdomen, spine, neck, head)
    for region in REGIONS
    if hasattr(module, region)
}


def views_of(region: str) -> tuple[str, ...]:
    """Views in the order in which a study takes them."""
    # The palm lies on the cassette, so the beam enters at the back of the hand.
    if region in ("hand", "wrist", "finger"):
        return ("PA", "lateral", "oblique")
    # PA keeps the heart close to the detector; infants, who lie, are AP (`population`).
    if region == "chest":
        return ("PA", "lateral")
    if region in ("clavicle", "shoulder"):
        return ("AP", "oblique")
    if not is_paired(region):
        return ("AP", "lateral")
    return ("AP", "lateral", "oblique")


def build(
    region: str, *, age: float, sex: str, view: str, rng: np.random.Generator, bone_age: float | None = None
) -> Scene:
    """The normal anatomy of one region.

    Args:
        region: One of `pedclip.anatomy.REGIONS`.
        age: Years, 0 to 18; drives lengths and proportions.
        sex: "F" or "M"; girls mature earlier.
        view: A key of `TURNS`.
        rng: Source of what differs between people; two views of one person take equal generators.
        bone_age: Years, 0 to 18, by the standards for this sex; drives nuclei and growth plates. None means `age`.

    Returns:
        A scene in scene units, drawn as a left limb, with `turn` set for the view.
    """
    scene = Scene(
        age, sex, view, rng, bone_age=bone_age, physique=sample_physique(rng), turn=float(np.radians(TURNS[view]))
    )
    LAYOUTS[region](scene)
    return scene
