"""The one shape that everything in the phantom is made of, and how it is turned and placed.

A shape is a tapered, possibly bent superquadric around an axis in space: long bones, vertebrae, organs, limbs and
lesions differ only in its parameters. One scene unit is half the image width; x points right, y down and z towards the
viewer, and (0, 0) is the image centre.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
Point = tuple[float, float, float]
Vector = NDArray[np.float64]  # (3,)

ADDED: Final = 0.0  # attenuations of these shapes add up, as in a projection
SKIN: Final = 1.0  # of these only the thickest counts: neighbouring parts of one outline
SKELETON: Final = 2.0  # likewise, for neighbouring pieces of one bone
LEAD: Final = 3.0  # likewise, for what is no part of the body: metal, plaster, markers
MAX_GAIN: Final = 1.6  # of a bone seen end-on; without it the marrow of a long shaft would outshine everything


@dataclass(frozen=True, slots=True)
class Shape:
    """A superquadric around the axis from `(x0, y0, z0)` to `(x1, y1, z1)`, in scene units.

    Half-widths across the axis are `w0` at the start, `wm` in the middle and `w1` at the end; they widen in
    proportion to the distance from the middle where `flare` is 1, to its third power where `flare` is 3, to its seventh
    where `flare` is 7 (the most), and to a mixture of both neighbours between. `square_end` and `square_side` go from 0
    (ellipsoid) to 1 (block). `depth` is the half-width along z divided by the one in the image plane.
    """

    name: str
    x0: float
    y0: float
    z0: float
    x1: float
    y1: float
    z1: float
    w0: float
    wm: float
    w1: float
    flare: float = 3.0
    square_end: float = 0.0
    square_side: float = 0.0
    depth: float = 1.0
    density: float = 1.0  # attenuation through the middle; negative where air displaces tissue
    cortex: float = 0.0  # thickness of the dense wall
    hollow: float = 0.0  # fraction of the density missing inside the wall, 0 to 1
    bend: float = 0.0  # sideways bow of the middle
    sway: float = 0.0  # S-shaped bow
    crack: float = 2.0  # where it is broken, -1 (start) to 1 (end); above 1 means intact
    shift: float = 0.0  # sideways step of the part beyond the crack
    angulation: float = 0.0  # radians between both parts
    slope: float = 0.0  # obliquity of the crack
    bulge: float = 0.0  # widening at the crack (buckle)
    layer: float = SKELETON

    @property
    def start(self) -> Point:
        """Start of the axis, scene units."""
        return self.x0, self.y0, self.z0

    @property
    def end(self) -> Point:
        """End of the axis, scene units."""
        return self.x1, self.y1, self.z1

    @property
    def middle(self) -> Point:
        """Centre of the axis, scene units."""
        return ((self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2, (self.z0 + self.z1) / 2)

    def moved(self, dx: float, dy: float, dz: float = 0.0) -> "Shape":
        """The same shape elsewhere."""
        x0, y0, z0, x1, y1, z1 = self.x0 + dx, self.y0 + dy, self.z0 + dz, self.x1 + dx, self.y1 + dy, self.z1 + dz
        return replace(self, x0=x0, y0=y0, z0=z0, x1=x1, y1=y1, z1=z1)


def to_point(vector: Vector) -> Point:
    """The three coordinates of a vector (3,)."""
    return float(vector[0]), float(vector[1]), float(vector[2])


# The order of the fields is the order of the columns: (P, len(PARAMETERS)).
PARAMETERS: Final = tuple(name for name in Shape.__dataclass_fields__ if name != "name")
_values = attrgetter(*PARAMETERS)
COLUMN: Final = {name: position for position, name in enumerate(PARAMETERS)}


@dataclass(frozen=True, slots=True)
class Pose:
    """Position of the patient on the detector: turned about the y axis, then mirrored, rotated, scaled and shifted."""

    turn: float = 0.0  # radians
    tilt: float = 0.0  # radians, in the image plane
    mirror: bool = False
    scale: float = 1.0
    dx: float = 0.0
    dy: float = 0.0


# Columns of a flat (projected) row.
FLAT: Final = ("x", "y", "cos", "sin", "length", *PARAMETERS[6:])
FLAT_COLUMN: Final = {name: position for position, name in enumerate(FLAT)}


def stack(shapes: Sequence[Shape]) -> Rows:
    """Parameters of P shapes as rows (P, len(PARAMETERS)), in scene units and radians."""
    return np.array([_values(shape) for shape in shapes], dtype=np.float64).reshape(-1, len(PARAMETERS))


def project(rows: Rows, pose: Pose) -> Rows:
    """Shapes as seen by the detector.

    Args:
        rows: (P, len(PARAMETERS)) from `stack`.
        pose: Position of the patient.

    Returns:
        (P, len(FLAT)) centre, direction, half-length and the other parameters in the image plane. Exact for ellipsoids;
        other shapes take the outline of the ellipsoid with the same axes.
    """
    start, end = rows[:, 0:3], rows[:, 3:6]
    middle, half = (start + end) / 2, (end - start) / 2  # (P, 3) each
    length = np.maximum(np.linalg.norm(half, axis=1), 1e-6)
    # A unit vector across the axis within the image plane; an axis along z may take any, here x.
    planar = np.hypot(half[:, 0], half[:, 1])
    safe = np.where(planar > 1e-6, planar, 1.0)
    across = np.stack([-half[:, 1] / safe, half[:, 0] / safe, np.zeros_like(safe)], axis=1)
    across[planar <= 1e-6] = (1.0, 0.0, 0.0)
    along = half / length[:, None]
    outwards = np.cross(along, across)  # (P, 3); the axes of the ellipsoid are these three
    axes = [_posed(vector, pose) for vector in (along, across, outwards)]
    centre = _posed(middle, pose) * pose.scale + np.array([pose.dx, pose.dy, 0.0])
    width = np.maximum(rows[:, COLUMN["wm"]], 1e-6)
    radii = [length, width, width * rows[:, COLUMN["depth"]]]  # (P,) each

    seen = np.hypot(axes[0][:, 0], axes[0][:, 1])  # (P,) foreshortening of the axis, 1 in the image plane
    # An axis that points at the viewer has no direction; the width then takes its place.
    tangent = np.where((seen > 0.05)[:, None], axes[0][:, :2] / np.maximum(seen, 1e-6)[:, None], axes[1][:, :2])
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1), 1e-6)[:, None]
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    # The shadow of an ellipsoid is an ellipse, whose extents are these.
    new_length = _extent(axes, radii, tangent)
    new_width = _extent(axes, radii, normal)
    # Half-chord of the ellipsoid through its middle along z.
    thickness = 1 / np.sqrt(sum((axis[:, 2] / radius) ** 2 for axis, radius in zip(axes, radii, strict=True)))

    flat = np.concatenate([centre[:, :2], tangent, new_length[:, None] * pose.scale, rows[:, 6:]], axis=1)
    # Widths in the image plane, magnified with the film.
    ratio = new_width / width * pose.scale
    for name in ("w0", "wm", "w1"):
        flat[:, FLAT_COLUMN[name]] *= ratio
    sideways = (axes[1][:, :2] * normal).sum(1)  # negative in a mirrored image
    for name in ("bend", "sway", "shift"):
        flat[:, FLAT_COLUMN[name]] *= sideways * pose.scale
    for name in ("angulation", "slope"):
        flat[:, FLAT_COLUMN[name]] *= sideways
    for name in ("cortex", "bulge"):
        flat[:, FLAT_COLUMN[name]] *= pose.scale
    # A bone seen end-on is thicker along the ray and so denser.
    flat[:, FLAT_COLUMN["density"]] *= np.minimum(thickness / radii[2], MAX_GAIN)
    return flat


def _posed(vectors: Rows, pose: Pose) -> Rows:
    """(P, 3) vectors turned about y, mirrored and rotated in the image plane."""
    cos, sin = np.cos(pose.turn), np.sin(pose.turn)
    x, y, z = vectors[:, 0] * cos + vectors[:, 2] * sin, vectors[:, 1], vectors[:, 2] * cos - vectors[:, 0] * sin
    # Mirrored after the turn: a right limb lies as the left one does.
    x = -x if pose.mirror else x
    cos, sin = np.cos(pose.tilt), np.sin(pose.tilt)
    return np.stack([x * cos - y * sin, x * sin + y * cos, z], axis=1)


def _extent(axes: list[Rows], radii: list[Rows], direction: Rows) -> Rows:
    """(P,) half-width of the ellipsoids along (P, 2) image directions."""
    # Support function of an ellipsoid: h(d)² = Σ (rᵢ aᵢ·d)².
    squares = [(radius * (axis[:, :2] * direction).sum(1)) ** 2 for axis, radius in zip(axes, radii, strict=True)]
    return np.asarray(np.sqrt(sum(squares)))
