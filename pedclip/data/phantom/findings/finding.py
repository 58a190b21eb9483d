"""One finding of a study before it is drawn, and how its extent is recorded."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pedclip.data.phantom.body.scene import Scene
from pedclip.data.phantom.imaging.shapes import ADDED, Shape, Vector, to_point

SUBTLE: Final = 1 / 3  # severities below this are subtle
_MIN_EXTENT: Final = 0.035  # half-width, scene units: a mask then has a pixel even in small images
_MIN_WIDTH: Final = 0.008  # half-width of the thinnest line drawn, scene units


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding and the way it is drawn; equal in all views of a study."""

    name: str
    severity: float  # 0 (subtle) to 1 (marked)
    pick: float  # which of the possible sites, 0 to 1
    along: float  # where along the site, 0 to 1
    sign: int  # 1 or -1: direction or side
    variant: float  # which form, 0 to 1

    @property
    def side(self) -> str:
        """Side of the patient in films of the trunk: positive x is the left."""
        return "left" if self.sign > 0 else "right"

    def generator(self) -> np.random.Generator:
        """Random numbers that are equal in all views of the study."""
        # Seeded by the plan, not by the scene, whose generator has been used differently in each view.
        return np.random.default_rng([int(self.along * 1e9), int(self.variant * 1e9)])


def annotate(scene: Scene, finding: Finding, shape: Shape) -> None:
    """Record the extent of a finding, from which boxes and masks are made."""
    widths = {name: max(getattr(shape, name), _MIN_EXTENT) for name in ("w0", "wm", "w1")}
    middle, start = np.array(shape.middle), np.array(shape.start)
    half = float(np.linalg.norm(middle - start))  # half-length, scene units
    if half < _MIN_EXTENT:
        start = middle + (start - middle) * _MIN_EXTENT / max(half, 1e-6)
    (x0, y0, z0), (x1, y1, z1) = to_point(start), to_point(2 * middle - start)
    shape = replace(shape, x0=x0, y0=y0, z0=z0, x1=x1, y1=y1, z1=z1)
    # Density 1 and a blunt form: the extent is measured as the area where any of it lies.
    plain = replace(shape, density=1.0, cortex=0.0, hollow=0.0, square_end=0.6, square_side=0.6, layer=ADDED, **widths)
    scene.extents.append((finding.name, plain))


def strip(
    name: str,
    centre: Vector,
    direction: Vector,
    half: float,
    width: float,
    density: float,
    *,
    reach: float = 0.1,
    bend: float = 0.0,
    sway: float = 0.0,
) -> Shape:
    """A thin line or sheet.

    Args:
        name: Of the shape.
        centre: (3,) its middle, scene units.
        direction: (3,) unit vector along it.
        half: Half its length, scene units.
        width: Half its width, scene units; below 0.008 it is drawn that wide and paler in proportion.
        density: Attenuation through it, negative for a lucent line.
        reach: Half its extent towards the viewer, scene units.
        bend: Bow of the middle, scene units.
        sway: S-shaped bow, scene units.

    Returns:
        A shape whose attenuation adds to that of what it lies on.
    """
    # A line thinner than a pixel would come and go with its place; wider and paler it keeps its attenuation.
    drawn = max(width, _MIN_WIDTH)
    start, end = to_point(centre - direction * half), to_point(centre + direction * half)
    return Shape(
        name, *start, *end, drawn, drawn, drawn,
        flare=1.0, square_end=0.7, square_side=0.5, depth=reach / drawn, density=density * width / drawn,
        bend=bend, sway=sway, layer=ADDED,
    )  # fmt: skip
