"""A body region under construction: shapes, the joints between them, growth, and what sets one person apart."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Unpack

import numpy as np

from pedclip.data.phantom.body.physique import Physique, growth_gap, ossified
from pedclip.data.phantom.imaging.blobs import Look, blob, ellipsoid, ends_of, heading, turned
from pedclip.data.phantom.imaging.shapes import SKELETON, SKIN, Point, Shape

__all__ = ["Joint", "Look", "Scene", "blob", "growth_gap", "ossified"]

# Girls reach the same stage of the skeleton earlier: a girl of 10 shows about what a boy of 11.5 to 12 shows, and her
# plates close about two years before his (the standards of Greulich and Pyle are kept apart by sex for this reason).
GIRLS_AHEAD: Final = 1.17
_WIDEST_PLATE: Final = 0.20  # scene units; plates of wide bones are not thicker than this times `growth_gap`
_SCAR_YEARS: Final = 4.0  # a closed growth plate stays visible as a faint line for about this long
_PLAIN: Final = (0.92, 1.0, 0.92)  # thickness of an epiphysis at its medial end, in the middle and at its lateral end
Turn = tuple[Point, float, float, float, float]  # pivot, cos and sin in the image plane, cos and sin out of it


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
    """The body in front of the detector. Bones run from proximal to distal."""

    age: float  # years, 0 to 18
    sex: str
    view: str
    rng: np.random.Generator
    bone_age: float | None = None  # years of the standards for this sex; None means as the age
    physique: Physique = field(default_factory=Physique)
    shapes: list[Shape] = field(default_factory=list)
    joints: list[Joint] = field(default_factory=list)
    breakable: list[str] = field(default_factory=list)  # bones in which a fracture may be drawn
    turn: float = 0.0  # radians about y
    extents: list[tuple[str, Shape]] = field(default_factory=list)  # finding and where it lies
    bends: tuple[Turn, ...] = ()  # joints that bend what is being drawn, innermost first

    @property
    def maturity(self) -> float:
        """Stage of the skeleton, as the age in years at which the average boy reaches it."""
        years = self.age if self.bone_age is None else self.bone_age
        return years * GIRLS_AHEAD if self.sex == "F" else years

    @property
    def slender(self) -> float:
        """Factor of bone width: infants have short, wide bones."""
        return (1.22 - 0.22 * min(self.age / 14.0, 1.0)) * self.physique.bone

    @property
    def chubby(self) -> float:
        """Factor of soft-tissue width."""
        return 1.25 - 0.25 * min(self.age / 8.0, 1.0)

    @property
    def mineral(self) -> float:
        """Factor of bone density."""
        return 0.8 + 0.2 * min(self.age / 16.0, 1.0)

    def add(self, shape: Shape) -> None:
        """Append one shape as it is."""
        self.shapes.append(shape)

    def find(self, name: str) -> int:
        """Index of the first shape with this name; ValueError where there is none."""
        return [shape.name for shape in self.shapes].index(name)

    @contextmanager
    def bent(self, pivot: Point, *, sideways: float = 0.0, forwards: float = 0.0) -> Iterator[None]:
        """Draw what follows bent about a joint: by degrees in the image plane, and about x (up becomes forwards)."""
        # Cosines are kept, not angles: `place` runs for every point of every shape.
        a, b = math.radians(sideways), math.radians(forwards)
        before = self.bends
        # The newest joint comes first: what hangs on it moves before the limb above it does.
        self.bends = ((pivot, math.cos(a), math.sin(a), math.cos(b), math.sin(b)), *before)
        yield
        self.bends = before

    def place(self, point: Point) -> Point:
        """Place of a point of the layout in this person, scene units."""
        x, y, z = point
        for (px, py, pz), cos_a, sin_a, cos_b, sin_b in self.bends:
            x, y, z = x - px, y - py, z - pz
            # About x, then in the image plane.
            y, z = y * cos_b - z * sin_b, y * sin_b + z * cos_b
            x, y, z = x * cos_a - y * sin_a + px, x * sin_a + y * cos_a + py, z + pz
        return self.physique.warp(x, y, z)

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
        (x0, y0, z0), (x1, y1, z1) = self.place(start), self.place(end)
        # Rounded ends would pinch the outline where two parts meet.
        ratio = overlap / max(math.dist((x0, y0, z0), (x1, y1, z1)), 1e-6)
        ex, ey, ez = (x1 - x0) * ratio, (y1 - y0) * ratio, (z1 - z0) * ratio
        # Fat adds a layer, which is a smaller fraction of a thick part.
        w0, wm, w1 = (w * self.chubby * (1 + (self.physique.fat - 1) * min(1.0, 0.3 / w)) for w in (w0, wm, w1))
        self.add(
            Shape(
                "skin", x0 - ex * w0, y0 - ey * w0, z0 - ez * w0, x1 + ex * w1, y1 + ey * w1, z1 + ez * w1,
                w0, wm, w1, 1.5, 0.6, 0.0, depth, density, layer=SKIN,
            )
        )  # fmt: skip

    def bone(
        self,
        name: str,
        start: Point,
        end: Point,
        widths: tuple[float, float, float],
        *,
        plates: tuple[float | None, float | None] = (None, None),
        closes: float = 16.5,
        thick: float = 0.75,
        caps: tuple[tuple[float, float, float], tuple[float, float, float]] = (_PLAIN, _PLAIN),
        density: float = 0.9,
        flare: float = 3.0,
        bend: float = 0.0,
        sway: float = 0.0,
        depth: float = 0.9,
        breakable: bool = True,
    ) -> None:
        """A tubular bone with growth plates.

        `widths` are half-widths at the start, in the middle and at the end; `plates` the stages of maturity (years)
        when the nuclei at both ends appear, None where there is no plate; `closes` when they fuse. An epiphysis is
        `thick` times the half-width of the bone end, and `caps` shapes both of them.
        """
        w0, wm, w1 = (width * self.slender for width in widths)
        p0, p1 = self.place(start), self.place(end)
        length = max(math.dist(p0, p1), 1e-6)
        axis = ((p1[0] - p0[0]) / length, (p1[1] - p0[1]) / length, (p1[2] - p0[2]) / length)
        # As a fraction of the width; within the last 0.03 the plate fuses, which `closed` grades.
        gap = growth_gap(self.maturity, closes)
        closed = 1.0 - min(1.0, gap / 0.03)
        taken = [0.0, 0.0]  # length that epiphysis and plate take from the shaft at either end
        for at, (tip, inwards, onset, width) in enumerate(((p0, 1.0, plates[0], w0), (p1, -1.0, plates[1], w1))):
            if onset is not None:
                cap = thick * width
                self._cap(name, tip, axis, inwards, cap, width, onset, caps[at])
                if gap == 0:
                    self._scar(name, tip, axis, inwards * cap, width, closes)
                # A closed plate leaves no step: the shaft then runs into the epiphysis.
                taken[at] = (cap + gap * min(2 * width, _WIDEST_PLATE)) * (1 - closed) + 0.5 * cap * closed
        # Cortex thickens with age, from 22 to 32 % of the half-width.
        (a, b), cortex = taken, wm * (0.22 + 0.10 * min(self.age / 18, 1.0))
        # Bone ends are spongy: they are thicker than the shaft but hardly denser in the image.
        density *= math.sqrt(wm / max(w0, wm, w1))
        shaft = Shape(
            name, p0[0] + axis[0] * a, p0[1] + axis[1] * a, p0[2] + axis[2] * a, p1[0] - axis[0] * b,
            p1[1] - axis[1] * b, p1[2] - axis[2] * b, w0, wm, w1, flare, 1.0, 0.1, depth, density * self.mineral,
            cortex, 0.58, bend + self.physique.bow * length, sway,
        )  # fmt: skip
        self.add(shaft)
        if breakable:
            self.breakable.append(name)

    def _cap(
        self, name: str, tip: Point, axis: Point, inwards: float, thick: float, width: float, onset: float,
        profile: tuple[float, float, float],
    ) -> None:  # fmt: skip
        """The epiphysis at the tip of a bone, which grows from a round nucleus until it covers the bone end."""
        grown = ossified(self.maturity, onset)
        if not grown:
            return
        half = thick / 2 * (0.55 + 0.45 * grown)
        # Beside the plate; the rest of the way to the joint is cartilage.
        x, y, z = (tip[k] + axis[k] * inwards * (thick - half) for k in range(3))
        planar = math.hypot(axis[0], axis[1])
        across = (axis[1] / planar, -axis[0] / planar) if planar > 1e-6 else (1.0, 0.0)
        wide = max(width * 1.04 * grown, half)  # it outgrows the bone end a little
        w0, wm, w1 = (half * (1 + (part - 1) * grown) for part in profile)
        # The epiphysis is drawn from side to side: its axis lies across the bone.
        dx, dy = across[0] * wide, across[1] * wide
        self.add(
            Shape(
                f"{name} epiphysis", x - dx, y - dy, z, x + dx, y + dy, z, w0, wm, w1, 2.0, 0.25 + 0.35 * grown, 0.35,
                0.85 * wide / wm, 0.66 * self.mineral, 0.014, 0.32,
            )
        )  # fmt: skip

    def _scar(self, name: str, tip: Point, axis: Point, inwards: float, width: float, closes: float) -> None:
        faint = 0.14 * (1 - (self.maturity - closes) / _SCAR_YEARS)  # fades to nothing in `_SCAR_YEARS`
        if faint > 0:
            x, y, z = (tip[k] + axis[k] * inwards for k in range(3))
            angle = math.degrees(math.atan2(-axis[0], axis[1]))
            self.add(blob(f"{name} scar", (x, y, z), (width * 0.85, 0.010), angle=angle, density=faint, square=0.7))

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
        taper: float = 0.0,
        depth: float = 0.9,
        density: float = 0.72,
    ) -> None:
        """A small bone that ossifies from `onset` (years of maturity); `stretch` times longer along `angle` (degrees).

        It begins as a ball and has its own shape from `complete`.
        """
        grown = ossified(self.maturity, onset, complete)
        if grown:
            r = radius * grown * (0.4 + 0.6 * self.physique.bone)  # short bones vary less with the frame than shafts do
            long = r * (1 + (stretch - 1) * grown)
            self.blob(
                name, centre, (long, r), angle=angle, density=density * self.mineral, cortex=0.016, hollow=0.35,
                square=0.15 + 0.35 * grown, taper=taper * grown, depth=depth,
            )  # fmt: skip

    def blob(self, name: str, centre: Point, radii: tuple[float, float], **look: Unpack[Look]) -> None:
        """An ellipsoid or block: `radii` along and across a direction in the image plane."""
        start, end = ends_of(centre, radii[0], look.get("angle", 90.0))
        # Unlike `blob`: in a layout most of them are bones.
        look.setdefault("layer", SKELETON)
        self.add(ellipsoid(name, self.place(start), self.place(end), radii[1], look))

    def path(
        self,
        name: str,
        points: Sequence[Point],
        width: float,
        *,
        end_width: float | None = None,
        density: float = 0.7,
        cortex: float = 0.0,
        hollow: float = 0.0,
        depth: float = 1.0,
        breakable: bool = False,
        layer: float = SKELETON,
    ) -> None:
        """A smooth curved bone through points, from `width` to `end_width` (half-widths)."""
        placed = [self.place(point) for point in points]
        bone, count = self.physique.bone if layer == SKELETON else 1.0, len(placed) - 1
        w, change = width * bone, ((end_width or width) - width) * bone / count
        density *= self.mineral if layer == SKELETON else 1.0
        # Pieces of bone overlap, for only the thickest counts; in other layers the overlap would show twice.
        overlap = 0.6 if layer == SKELETON else 0.0
        # Central differences, one-sided at the ends (Catmull-Rom).
        tangents = [heading(placed[max(k - 1, 0)], placed[min(k + 1, count)]) for k in range(count + 1)]
        for k, ((x0, y0, z0), (x1, y1, z1)) in enumerate(pairwise(placed)):
            long, chord = math.dist((x0, y0, z0), (x1, y1, z1)), heading(placed[k], placed[k + 1])
            half = math.hypot(x1 - x0, y1 - y0) / 2
            # A cubic with these end slopes: see `bend` and `sway` in `chord.chord`.
            first, last = turned(tangents[k], chord) if k else 0.0, turned(tangents[k + 1], chord)
            last = last if k < count - 1 else -first  # free ends: a parabola
            first = first if k else -last
            reach = w * overlap / max(long, 1e-6)
            ex, ey, ez = (x1 - x0) * reach, (y1 - y0) * reach, (z1 - z0) * reach
            self.shapes.append(
                Shape(
                    name, x0 - ex, y0 - ey, z0 - ez, x1 + ex, y1 + ey, z1 + ez, w, w + change / 2, w + change, 1.0,
                    1.0, 0.0, depth, density, cortex, hollow, (first - last) * half / 4, -(first + last) * half / 10.4,
                    layer=layer,
                )
            )  # fmt: skip
            w += change
        if breakable:
            self.breakable.append(name)

    def joint(
        self, name: str, point: Point, radius: float, *beyond: str, away: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        """Declare a joint."""
        x, y, z = self.place(point)
        # The direction is carried along by placing a second point a hundredth further.
        ahead = self.place((point[0] + away[0] * 0.01, point[1] + away[1] * 0.01, point[2]))
        length = max(math.hypot(ahead[0] - x, ahead[1] - y), 1e-6)
        self.joints.append(Joint(name, (x, y, z), radius, beyond, ((ahead[0] - x) / length, (ahead[1] - y) / length)))
