"""A body region under construction: shapes, the joints between them, and growth."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pedclip.data.phantom.shapes import ADDED, SKELETON, SKIN, Point, Shape

CLOSED_AT: Final = 17.0  # years; growth plates are closed from here on
Vector = NDArray[np.float64]  # (3,)


def growth_gap(age: float) -> float:
    """Width of a growth plate, as a share of the width of the bone end: 0.24 at birth, 0 from 17 years."""
    return 0.24 * max(0.0, 1.0 - age / CLOSED_AT)


def ossified(age: float, onset: float, complete: float = 13.0) -> float:
    """How much of a nucleus is bone: 0 before `onset` (years), 0.35 at onset, 1 from `complete`."""
    if age < onset:
        return 0.0
    return 0.35 + 0.65 * min(1.0, (age - onset) / max(complete - onset, 1.0))


@dataclass(frozen=True, slots=True)
class Joint:
    """A place where findings of joints sit, and the names of the shapes beyond it (prefixes)."""

    name: str
    point: Point
    radius: float
    beyond: tuple[str, ...] = ()
    away: tuple[float, float] = (0.0, 1.0)  # direction of the distal bone in the image plane


@dataclass(slots=True)
class Scene:
    """What is in front of the detector. Bones run from proximal to distal."""

    age: float  # years, 0 to 18
    sex: str
    view: str
    rng: np.random.Generator
    shapes: list[Shape] = field(default_factory=list)
    joints: list[Joint] = field(default_factory=list)
    breakable: list[str] = field(default_factory=list)  # bones in which a fracture may be drawn
    turn: float = 0.0  # radians about y
    extents: list[tuple[str, Shape]] = field(default_factory=list)  # finding and where it lies

    @property
    def slender(self) -> float:
        """Factor of bone width: infants have short, wide bones."""
        return 1.22 - 0.22 * min(self.age / 14.0, 1.0)

    @property
    def chubby(self) -> float:
        """Factor of soft-tissue width."""
        return 1.25 - 0.25 * min(self.age / 8.0, 1.0)

    def add(self, shape: Shape) -> None:
        """Append one shape."""
        self.shapes.append(shape)

    def find(self, name: str) -> int:
        """Index of the first shape with this name; ValueError where there is none."""
        return [shape.name for shape in self.shapes].index(name)

    def soft(
        self,
        start: Point,
        end: Point,
        w0: float,
        wm: float,
        w1: float,
        *,
        depth: float = 0.8,
        density: float = 0.55,
        overlap: float = 0.5,
    ) -> None:
        """Part of the outline of the skin."""
        c = self.chubby
        p0, p1 = np.array(start), np.array(end)
        # Rounded ends would pinch the outline where two parts meet.
        reach = (p1 - p0) / np.linalg.norm(p1 - p0) * overlap
        p0, p1 = p0 - reach * w0, p1 + reach * w1
        self.add(
            Shape("skin", *_point(p0), *_point(p1), w0 * c, wm * c, w1 * c, 1.5, 0.6, 0.0, depth, density, layer=SKIN)
        )

    def bone(
        self,
        name: str,
        start: Point,
        end: Point,
        widths: tuple[float, float, float],
        *,
        plates: tuple[float | None, float | None] = (None, None),
        density: float = 0.9,
        bend: float = 0.0,
        sway: float = 0.0,
        depth: float = 0.9,
        breakable: bool = True,
    ) -> None:
        """A tubular bone with growth plates.

        `widths` are half-widths at the start, in the middle and at the end; `plates` the ages (years) when the nuclei
        at its start and end appear, None where there is no plate.
        """
        w0, wm, w1 = (width * self.slender for width in widths)
        p0, p1 = np.array(start), np.array(end)
        axis = (p1 - p0) / np.linalg.norm(p1 - p0)
        for onset, width, at_start in ((plates[0], w0, True), (plates[1], w1, False)):
            if onset is None:
                continue
            thick, plate = 0.75 * width, 2 * width * growth_gap(self.age)
            middle = p0 + axis * thick / 2 if at_start else p1 - axis * thick / 2
            self._cap(f"{name} epiphysis", middle, axis, thick, width, onset)
            # A closed plate leaves no step: the shaft then runs to the very end of the bone.
            taken = (thick + plate) * min(1.0, growth_gap(self.age) / 0.02)
            p0, p1 = (p0 + axis * taken, p1) if at_start else (p0, p1 - axis * taken)
        cortex = wm * (0.22 + 0.10 * min(self.age / 18, 1.0))
        shaft = Shape(name, *_point(p0), *_point(p1), w0, wm, w1, square_end=1.0, square_side=0.1, hollow=0.62)
        shaft = replace(shaft, depth=depth, density=density * self.mineral, cortex=cortex, bend=bend, sway=sway)
        self.add(shaft)
        if breakable:
            self.breakable.append(name)

    @property
    def mineral(self) -> float:
        """Factor of bone density."""
        return 0.8 + 0.2 * min(self.age / 16.0, 1.0)

    def _cap(self, name: str, centre: Vector, axis: Vector, thick: float, width: float, onset: float) -> None:
        """The epiphysis, which widens from a nucleus until it covers the end of the bone."""
        grown = ossified(self.age, onset)
        if not grown:
            return
        angle = float(np.degrees(np.arctan2(axis[1], axis[0])))
        radii = (thick / 2 * (0.6 + 0.4 * grown), width * grown)
        cap = blob(name, _point(centre), radii, angle=angle, density=0.7 * self.mineral, layer=SKELETON)
        self.add(replace(cap, square_end=0.5, square_side=0.3, cortex=0.012, hollow=0.35))

    def nucleus(
        self,
        name: str,
        centre: Point,
        radius: float,
        *,
        onset: float = 0.0,
        complete: float = 12.0,
        stretch: float = 1.0,
        angle: float = 90.0,
    ) -> None:
        """A small round bone that ossifies from `onset`; `stretch` times longer along `angle` (degrees from x)."""
        grown = ossified(self.age, onset, complete)
        if grown:
            r = radius * grown
            self.blob(
                name,
                centre,
                (r * stretch, r),
                angle=angle,
                density=0.75 * self.mineral,
                cortex=0.016,
                hollow=0.4,
                square=0.4,
            )

    def blob(
        self,
        name: str,
        centre: Point,
        radii: tuple[float, float],
        *,
        angle: float = 90.0,
        density: float = 0.7,
        depth: float = 0.9,
        square: float = 0.0,
        cortex: float = 0.0,
        hollow: float = 0.0,
        layer: float = SKELETON,
    ) -> None:
        """An ellipsoid or block: `radii` along and across a direction at `angle` degrees from x, in the image plane."""
        shape = blob(name, centre, radii, angle=angle, density=density, depth=depth, square=square, layer=layer)
        self.add(replace(shape, cortex=cortex, hollow=hollow))

    def path(
        self,
        name: str,
        points: Iterable[Point],
        width: float,
        *,
        density: float = 0.7,
        cortex: float = 0.0,
        hollow: float = 0.0,
        breakable: bool = False,
    ) -> None:
        """A curved bone of equal width through points."""
        for start, end in pairwise(points):
            p0, p1 = np.array(start), np.array(end)
            overlap = (p1 - p0) / max(np.linalg.norm(p1 - p0), 1e-6) * width * 0.8
            piece = Shape(name, *_point(p0 - overlap), *_point(p1 + overlap), width, width, width, square_end=1.0)
            self.add(replace(piece, density=density * self.mineral, cortex=cortex, hollow=hollow))
        if breakable:
            self.breakable.append(name)

    def joint(
        self, name: str, point: Point, radius: float, *beyond: str, away: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        """Declare a joint."""
        self.joints.append(Joint(name, point, radius, beyond, away))

    def move(self, prefixes: tuple[str, ...], dx: float, dy: float) -> None:
        """Shift all shapes whose name starts with one of the prefixes, in the image plane."""
        for index, shape in enumerate(self.shapes):
            if shape.name.startswith(prefixes):
                self.shapes[index] = replace(
                    shape, x0=shape.x0 + dx, x1=shape.x1 + dx, y0=shape.y0 + dy, y1=shape.y1 + dy
                )


def _point(vector: Vector) -> Point:
    return float(vector[0]), float(vector[1]), float(vector[2])


def blob(
    name: str,
    centre: Point,
    radii: tuple[float, float],
    *,
    angle: float = 90.0,
    density: float = 0.7,
    depth: float = 0.9,
    square: float = 0.0,
    cortex: float = 0.0,
    hollow: float = 0.0,
    layer: float = ADDED,
) -> Shape:
    """An ellipsoid (square 0) or block (square 1) as one shape."""
    dx, dy = radii[0] * np.cos(np.radians(angle)), radii[0] * np.sin(np.radians(angle))
    x, y, z = centre
    ends, width = (x - dx, y - dy, z, x + dx, y + dy, z), radii[1]
    return Shape(
        name, *ends, width, width, width,
        flare=1.0, square_end=square, square_side=square, depth=depth, density=density, cortex=cortex, hollow=hollow,
        layer=layer,
    )  # fmt: skip
