"""Equipment on or in a patient, which is no finding: casts, wires and plates, tubes, electrodes, buttons.

Metal is of the layer `LEAD`, so that it counts neither as bone nor for the display window.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

from pedclip.data.phantom.body.scene import Scene
from pedclip.data.phantom.imaging.shapes import ADDED, LEAD, SKIN, Point, Shape, Vector, to_point

_METAL: Final = 1.7  # attenuation of a few millimetres of steel or titanium
_SEEN: Final = 0.8  # hardware lies this close to the middle of the image, scene units
_LONG: Final = 0.22  # half-length of a bone that takes a plate
_CAST: Final = ("forearm", "wrist", "elbow", "hand", "ankle", "tibia_fibula", "foot")
_FIXED: Final = (
    "forearm", "wrist", "elbow", "hand", "finger", "humerus", "clavicle", "hip", "femur", "knee", "tibia_fibula",
    "ankle", "foot", "toe",
)  # fmt: skip
_CLOTHED: Final = ("chest", "abdomen", "pelvis", "thoracic_spine", "lumbar_spine", "clavicle", "shoulder")


@dataclass(frozen=True, slots=True)
class Chance:
    """Frequency of an item in the regions where it is seen."""

    name: str
    fraction: float  # of the films of these regions
    regions: tuple[str, ...]
    draw: Callable[[Scene, np.random.Generator], bool]  # False where the scene has no place for it


def apply(scene: Scene, region: str, rng: np.random.Generator) -> tuple[str, ...]:
    """Add equipment to a scene, now and then.

    Args:
        scene: Finished anatomy, findings included; drawn in place.
        region: One of `pedclip.anatomy.REGIONS`.
        rng: Source of what is drawn; all views of one study take equal generators.

    Returns:
        Names of what was drawn, mostly none: "cast", "hardware", "tube", "leads" or "button". Over the regions as they
        are examined, about 8 % of the films show something.
    """
    # One generator per item: what one view shows does not hang on what another had room for.
    drawn = []
    for chance, own in zip(CHANCES, rng.spawn(len(CHANCES)), strict=True):
        if region in chance.regions and own.random() < chance.fraction and chance.draw(scene, own):
            drawn.append(chance.name)
    return tuple(drawn)


def cast(scene: Scene, rng: np.random.Generator) -> bool:
    """A fibreglass sleeve around the longest part of a limb: bright rims, an oblique weave, a straight end."""
    parts = [shape for shape in scene.shapes if shape.layer == SKIN]
    if not parts:
        return False
    # The longest part is the shaft of the limb, which a cast immobilizes.
    part = max(parts, key=_length)
    wall, gain = float(rng.uniform(0.03, 0.06)), float(rng.uniform(0.10, 0.22))
    # One end is in the image, the other mostly beyond it.
    first, last = float(rng.uniform(-0.8, -0.4)), float(rng.uniform(0.85, 1.25))
    if rng.random() < 0.5:
        first, last = -last, -first
    inner = replace(_piece(part, first, last, 1.03), name="cast", square_end=1.0, layer=ADDED)
    outer = replace(inner, w0=inner.w0 + wall, wm=inner.wm + wall, w1=inner.w1 + wall)
    # The attenuation through the middle is that of two walls; the sleeve is what the outer form has over the inner.
    solid = gain * outer.wm / wall
    scene.add(replace(outer, density=solid))
    scene.add(replace(inner, density=-solid * inner.wm / outer.wm))
    centre, along, across, length = _frame(inner)
    # Slant and spacing of the weave.
    slant, pitch = float(rng.uniform(0.15, 0.4)) * int(rng.choice([-1, 1])), float(rng.uniform(0.09, 0.14))
    for u in np.arange(-length + pitch, length - pitch, pitch):
        reach = float(np.interp(u / length, (-1, 0, 1), (inner.w0, inner.wm, inner.w1)))
        for sign in (-1, 1):
            tilt = along * slant * reach * sign
            ends = (centre + along * u - across * reach - tilt, centre + along * u + across * reach + tilt)
            scene.add(_rod("cast", ends[0], ends[1], 0.018, density=gain * 0.22, layer=ADDED))
    return True


def hardware(scene: Scene, rng: np.random.Generator) -> bool:
    """Two or three crossed wires in a bone end, or a plate with screws along the shaft of a long bone."""
    tubular = [shape for shape in scene.shapes if shape.name in scene.breakable and shape.cortex > 0]
    # Only where the image shows it: metal beyond the edge would be named in the report and not seen.
    places = [(bone, u) for bone in tubular for u in (-0.6, 0.0, 0.6) if _is_seen(bone, u)]
    if not places:
        return False
    bone, u = places[int(rng.integers(len(places)))]
    if u == 0 and _length(bone) > _LONG:
        _plate(scene, bone, rng)
    else:
        _wires(scene, bone, u, rng)
    return True


def _plate(scene: Scene, bone: Shape, rng: np.random.Generator) -> None:
    centre, along, across, length = _frame(bone)
    side, width = int(rng.choice([-1, 1])), bone.wm
    half, middle = min(length * 0.6, float(rng.uniform(0.2, 0.35))), float(rng.uniform(-0.2, 0.2)) * length
    # A plate lies on the cortex and follows its bow.
    on_bone = centre + across * side * (width * 1.12) + along * middle + across * bone.bend
    scene.add(
        replace(
            _rod("plate", on_bone - along * half, on_bone + along * half, max(width * 0.16, 0.010), density=_METAL),
            depth=2.5,
        )
    )
    for u in np.linspace(-half * 0.88, half * 0.88, int(rng.integers(4, 8))):
        head = on_bone + along * float(u)
        tip = head - across * side * width * 2.25  # the screw just passes the far cortex
        scene.add(_rod("screw", head, tip, max(width * 0.09, 0.007), density=_METAL))


def _wires(scene: Scene, bone: Shape, u: float, rng: np.random.Generator) -> None:
    centre, along, across, length = _frame(bone)
    through = centre + along * u * length
    for order in range(int(rng.integers(2, 4))):
        angle = float(rng.uniform(0.3, 0.8)) * (1 if order % 2 else -1)  # radians from the axis, to both sides in turn
        direction = along * (1 if u > 0 else -1) * np.cos(angle) + across * np.sin(angle)
        direction += np.array([0.0, 0.0, rng.uniform(-0.25, 0.25)])  # not quite in the image plane
        inside, outside = (max(bone.wm * factor, 0.08) for factor in rng.uniform(2.2, 3.5, 2))
        scene.add(_rod("wire", through - direction * inside, through + direction * outside, 0.007, density=_METAL))


def tube(scene: Scene, rng: np.random.Generator) -> bool:
    """A nasogastric tube into the stomach, or a tracheal tube that ends above the carina."""
    x, z = float(rng.normal(0.02, 0.012)), 0.0
    if rng.random() < 0.35:
        tip = float(rng.uniform(-0.45, -0.32))
        _line(scene, "tube", [(x, -1.1, z), (x + 0.01, -0.75, z), (x, tip, z)], 0.022, density=0.16)
        # The radio-opaque stripe in the wall of the tube.
        _line(scene, "tube", [(x + 0.018, -1.1, z), (x + 0.028, -0.75, z), (x + 0.018, tip, z)], 0.006, density=0.5)
        return True
    low = float(rng.uniform(0.45, 0.6))
    points = [(x, -1.1, z), (x + 0.01, -0.6, z), (x + 0.03, -0.1, z), (x + 0.05, low - 0.22, z)]
    # Below the diaphragm it turns to the left, into the stomach.
    points += [(x + 0.12, low, z), (x + 0.24, low + float(rng.uniform(0.02, 0.14)), z + 0.1)]
    _line(scene, "tube", points, 0.011, density=float(rng.uniform(0.25, 0.5)))
    return True


def leads(scene: Scene, rng: np.random.Generator) -> bool:
    """Two to four electrodes on the chest with their cables."""
    # All cables leave the film at one place.
    exit_x = float(rng.uniform(-0.9, 0.9))
    corners = [(-0.55, -0.45), (0.55, -0.45), (0.50, 0.42), (-0.50, 0.42)]
    for x, y in corners[: int(rng.integers(2, 5))]:
        x, y = x + float(rng.normal(0, 0.06)), y + float(rng.normal(0, 0.06))
        scene.add(_disc("electrode", (x, y, 0.35), 0.045, density=0.22))
        scene.add(_disc("electrode", (x, y, 0.36), 0.018, density=_METAL))
        bow = float(rng.normal(0, 0.15))
        points = [(x, y, 0.35), ((x + exit_x) / 2 + bow, y + (1.2 - y) * 0.4, 0.35), (exit_x, 1.2, 0.35)]
        _line(scene, "cable", _smooth(points), 0.007, density=float(rng.uniform(0.5, 0.9)))
    return True


def button(scene: Scene, rng: np.random.Generator) -> bool:
    """Buttons or press studs in a row down the front, or the links of a necklace."""
    if rng.random() < 0.3 and any(shape.name == "left lung" for shape in scene.shapes):
        depth = float(rng.uniform(0.25, 0.5))
        for x in np.linspace(-0.26, 0.26, int(rng.integers(14, 24))):
            y = -0.85 + depth * (1 - (x / 0.26) ** 2)  # a parabola for a hanging chain
            scene.add(_disc("link", (float(x), float(y), 0.4), 0.011, density=1.0))
        return True
    x, y, pitch = float(rng.normal(0, 0.12)), float(rng.uniform(-0.8, -0.3)), float(rng.uniform(0.22, 0.35))
    radius, is_metal = float(rng.uniform(0.022, 0.038)), bool(rng.random() < 0.5)
    for order in range(int(rng.integers(1, 5))):
        place = (x + float(rng.normal(0, 0.01)), y + order * pitch, 0.42)
        scene.add(_disc("button", place, radius, density=1.2 if is_metal else 0.3))
        if is_metal:  # a press stud is a ring
            scene.add(_disc("button", place, radius * 0.5, density=-0.7, layer=ADDED))
    return True


def _length(shape: Shape) -> float:
    """Half-length, scene units."""
    return float(np.linalg.norm(np.subtract(shape.end, shape.start))) / 2


def _is_seen(bone: Shape, u: float) -> bool:
    """True where the place u on the axis, from -1 to 1, is well inside the image."""
    centre, along, _, length = _frame(bone)
    x, y, _ = centre + along * u * length
    return bool(max(abs(x), abs(y)) < _SEEN)


def _frame(shape: Shape) -> tuple[Vector, Vector, Vector, float]:
    """Middle (3,), unit vectors (3,) along and across (in the image plane), and half-length, scene units."""
    start, end = np.array(shape.start), np.array(shape.end)
    length = max(_length(shape), 1e-6)
    along = (end - start) / (2 * length)
    across = np.array([-along[1], along[0], 0.0])
    return (start + end) / 2, along, across / max(float(np.linalg.norm(across)), 1e-6), length


def _piece(shape: Shape, first: float, last: float, wider: float) -> Shape:
    """The part of a shape between two places on its axis (-1 to 1), with all widths times `wider`."""
    centre, along, _, length = _frame(shape)
    # Widths between the three known ones, read off at the new ends and middle.
    widths = np.interp((first, (first + last) / 2, last), (-1, 0, 1), (shape.w0, shape.wm, shape.w1)) * wider
    start, end = to_point(centre + along * length * first), to_point(centre + along * length * last)
    w0, wm, w1 = (float(width) for width in widths)
    return Shape(shape.name, *start, *end, w0, wm, w1, flare=1.0, depth=shape.depth)


def _rod(name: str, start: Vector, end: Vector, width: float, *, density: float, layer: float = LEAD) -> Shape:
    return Shape(
        name, *to_point(start), *to_point(end), width, width, width, square_end=1.0, density=density, layer=layer
    )


def _disc(name: str, centre: Point, radius: float, *, density: float, layer: float = LEAD) -> Shape:
    """A flat disc that faces the detector."""
    x, y, z = centre
    ends = (x - radius, y, z, x + radius, y, z)
    return Shape(
        name, *ends, radius, radius, radius, flare=1.0, depth=0.3, density=density,
        layer=layer,
    )  # fmt: skip


def _line(scene: Scene, name: str, points: Iterable[Point], width: float, *, density: float) -> None:
    """A thin line through points."""
    for start, end in pairwise(points):
        scene.add(_rod(name, np.array(start), np.array(end), width, density=density))


def _smooth(points: list[Point]) -> list[Point]:
    """Seven points on the parabola from the first of three points to the last, drawn towards the second."""
    a, b, c = (np.array(point) for point in points)
    return [to_point(a * (1 - t) ** 2 + 2 * b * t * (1 - t) + c * t**2) for t in np.linspace(0, 1, 7)]


CHANCES: Final = (
    Chance("cast", 0.055, _CAST, cast),
    Chance("hardware", 0.04, _FIXED, hardware),
    Chance("tube", 0.045, ("chest",), tube),
    Chance("leads", 0.05, ("chest",), leads),
    Chance("button", 0.03, _CLOTHED, button),
)
