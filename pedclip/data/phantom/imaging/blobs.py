"""Ellipsoids and blocks: organs, small bones, lesions."""

import math
from typing import TypedDict, Unpack

from pedclip.data.phantom.imaging.shapes import ADDED, Point, Shape


class Look(TypedDict, total=False):
    """Optional properties of an ellipsoid or block; the defaults are those of `blob`."""

    angle: float  # degrees from x of the first radius, in the image plane; 90
    density: float  # 0.7
    depth: float  # half-width along z divided by the second radius; 0.9
    square: float  # 0 (ellipsoid) to 1 (block); 0
    taper: float  # how much wider the end is than the middle, and the start narrower; 0
    cortex: float  # 0
    hollow: float  # 0
    layer: float  # ADDED in `blob`, SKELETON in `Scene.blob`


def blob(name: str, centre: Point, radii: tuple[float, float], **look: Unpack[Look]) -> Shape:
    """An ellipsoid (square 0) or block (square 1): `radii` along and across a direction in the image plane."""
    return ellipsoid(name, *ends_of(centre, radii[0], look.get("angle", 90.0)), radii[1], look)


def ends_of(centre: Point, radius: float, angle: float) -> tuple[Point, Point]:
    """Both ends of an axis of half-length `radius` at `angle` degrees from x."""
    # The axis stays in the image plane; only `depth` says how far the shape reaches along z.
    x, y, z = centre
    dx, dy = radius * math.cos(math.radians(angle)), radius * math.sin(math.radians(angle))
    return (x - dx, y - dy, z), (x + dx, y + dy, z)


def ellipsoid(name: str, start: Point, end: Point, width: float, look: Look) -> Shape:
    """The shape between two ends of its axis, `width` across it."""
    # With the flare of 1 the width changes evenly from end to end.
    square, taper = look.get("square", 0.0), look.get("taper", 0.0)
    return Shape(
        name, *start, *end, width * (1 - taper), width, width * (1 + taper), 1.0, square, square,
        look.get("depth", 0.9), look.get("density", 0.7), look.get("cortex", 0.0), look.get("hollow", 0.0),
        layer=look.get("layer", ADDED),
    )  # fmt: skip


def heading(start: Point, end: Point) -> float:
    """Direction from one point to another in the image plane, radians from x."""
    return math.atan2(end[1] - start[1], end[0] - start[0])


def turned(tangent: float, chord: float) -> float:
    """Angle between a tangent and a chord, in radians; limited, because a piece cannot bend round a corner."""
    # Into [-π, π): a tangent of 179° and a chord of -179° differ by 2°, not by 358°.
    angle = (tangent - chord + math.pi) % (2 * math.pi) - math.pi
    return max(-0.9, min(0.9, angle))
