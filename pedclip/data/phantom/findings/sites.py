"""Sites of findings in limbs: places on bones, ends of bones at joints, and the words for them."""

from dataclasses import dataclass
from math import dist
from typing import Final

import numpy as np

from pedclip.data.phantom.body.scene import Joint, Scene
from pedclip.data.phantom.findings.finding import Finding
from pedclip.data.phantom.imaging.shapes import SKELETON, Shape, Vector

FRAME: Final = 0.62  # findings stay this close to the middle of the image, scene units
_MOST_ENDS: Final = 6  # surfaces of a joint that findings are drawn on
_TURNED: Final = 0.8  # radians; beyond this what lies in front and behind is seen at the sides
_REACH: Final = 0.78  # of the half-length of a bone: the ends belong to the joints
_ORDINALS: Final = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Site:
    """A place on the axis of a bone."""

    index: int  # of the shape in the scene
    shape: Shape
    u: float  # on the axis, -1 to 1
    point: Vector  # (3,) scene units
    along: Vector  # (3,) unit vector from proximal to distal
    across: Vector  # (3,) unit vector to the side of the bone that this view shows
    width: float  # half-width there, scene units
    words: str

    @property
    def mass(self) -> float:
        """Attenuation through the middle of the bone."""
        return self.shape.density * (1 - 0.6 * self.shape.hollow)  # less what the marrow lacks, roughly


@dataclass(frozen=True, slots=True)
class BoneEnd:
    """The surface of a bone that faces a joint."""

    index: int
    tip: Vector  # (3,) scene units
    inward: Vector  # (3,) unit vector from the joint into the bone
    across: Vector  # (3,) unit vector along the surface
    width: float  # half-width, scene units
    is_start: bool  # the start of the shape, not its end
    is_short: bool  # a nucleus or an epiphysis, not a shaft


def visible_across(scene: Scene, axis: Vector) -> Vector:
    """Unit vector (3,) across an axis (3,) which the view shows from the side."""
    # Of a lateral film, z is what lies at the sides.
    if abs(scene.turn) > _TURNED:
        return np.array([0.0, 0.0, 1.0])
    return np.array([-axis[1], axis[0], 0.0]) / max(float(np.hypot(axis[0], axis[1])), 1e-6)


def half_width(shape: Shape, u: float) -> float:
    """Half-width of a shape at a place on its axis, scene units."""
    return float(shape.wm + ((shape.w0 if u < 0 else shape.w1) - shape.wm) * abs(u) ** shape.flare)


def candidates(scene: Scene) -> list[str]:
    """Names of bones a finding may be in: those with a part inside the frame."""
    # A chest declares no breakable bones: there the ribs are taken.
    names = scene.breakable or [name for name in dict.fromkeys(s.name for s in scene.shapes) if name.endswith(" rib")]
    wanted = set(names)
    seen = {shape.name for shape in scene.shapes if shape.name in wanted and _inside(shape)}
    return [name for name in names if name in seen] or names


def choose_bone(scene: Scene, finding: Finding) -> int:
    """Index of the shape that a finding is in."""
    names = candidates(scene)
    name = names[min(int(finding.pick * len(names)), len(names) - 1)]
    found = [index for index, shape in enumerate(scene.shapes) if shape.name == name]
    if name[1:].isdigit():  # vertebrae begin with their body
        return found[0]
    # Paths consist of pieces, and some bones exist on both sides.
    found = [index for index in found if _inside(scene.shapes[index])] or found
    # A prime, so that the choice does not hang on the form that `variant` also picks.
    return found[int(finding.variant * 7919) % len(found)]


def plate_end(scene: Scene, index: int) -> int:
    """The end of a bone where it grows: -1 (start), 1 (end) or 0 (no epiphysis drawn)."""
    shape = scene.shapes[index]
    ends = np.array([shape.start, shape.end])
    caps = [np.array(cap.middle) for cap in scene.shapes if cap.name == f"{shape.name} epiphysis"]  # (3,) each
    seen = [middle for middle in caps if np.abs(middle[:2]).max() < 0.8]
    if not seen:
        return 0
    towards_end = [np.linalg.norm(ends[1] - middle) < np.linalg.norm(ends[0] - middle) for middle in seen]
    # Both ends may have one; the distal one breaks more often.
    return 1 if any(towards_end) else -1


def place(scene: Scene, index: int, u: float) -> Site:
    """The place at `u` on the axis of a shape."""
    shape = scene.shapes[index]
    p0, p1 = np.array(shape.start), np.array(shape.end)
    half = (p1 - p0) / 2
    along = half / max(float(np.linalg.norm(half)), 1e-6)
    # The axis that `chord` draws: a parabola and a cubic beside the straight line.
    bow = np.array([-along[1], along[0], 0.0]) * (shape.bend * (1 - u * u) + shape.sway * 2.6 * u * (1 - u * u))
    point = (p0 + p1) / 2 + u * half + bow
    words = _words(scene, shape, u, float(point[0]))
    return Site(index, shape, u, point, along, visible_across(scene, along), half_width(shape, u), words)


def shaft_site(scene: Scene, finding: Finding) -> Site:
    """Anywhere on a bone."""
    index = choose_bone(scene, finding)
    return place(scene, index, _within(scene.shapes[index], finding.along))


def metaphyseal_site(scene: Scene, finding: Finding) -> Site:
    """Near the growing end of a bone, where most fractures of children are."""
    index = choose_bone(scene, finding)
    shape = scene.shapes[index]
    fraction = 0.08 + 0.30 * finding.along
    end = plate_end(scene, index) or (-1 if shape.name.startswith("proximal") else 1)
    return place(scene, index, _within(shape, fraction if end < 0 else 1 - fraction))


def pick_joint(scene: Scene, finding: Finding) -> Joint:
    """One of the joints of a scene, inside the frame where there is one."""
    inside = [joint for joint in scene.joints if max(abs(joint.point[0]), abs(joint.point[1])) < FRAME + 0.1]
    joints = inside or scene.joints
    return joints[min(int(finding.pick * len(joints)), len(joints) - 1)]


def bone_ends(scene: Scene, joint: Joint) -> list[BoneEnd]:
    """Surfaces of the bones at a joint, nearest first: two to six."""
    near = [
        index for index, shape in enumerate(scene.shapes) if shape.layer == SKELETON and _is_near(shape, joint, 2.0)
    ]
    if len(near) < 2:
        near = [
            index for index, shape in enumerate(scene.shapes) if shape.layer == SKELETON and _is_near(shape, joint, 9.0)
        ]
    ends_of = [_bone_end(scene, joint, index) for index in near]
    found = [(float(np.linalg.norm(end.tip - np.array(joint.point))), end) for end in ends_of]
    # Sorted by distance, for the two that face the joint come first.
    found.sort(key=lambda item: item[0])
    close = sum(distance <= 1.15 * joint.radius for distance, _ in found)
    ends = [end for _, end in found[: max(close, 2)]]
    # A metaphysis behind its own epiphysis is not a surface of the joint.
    capped = {scene.shapes[end.index].name.removesuffix(" epiphysis") for end in ends if end.is_short}
    exposed = [end for end in ends if end.is_short or scene.shapes[end.index].name not in capped]
    return exposed[:_MOST_ENDS]


def _is_near(shape: Shape, joint: Joint, radii: float) -> bool:
    """True where an end or the middle of a shape is within some radii of a joint."""
    far = radii * joint.radius + shape.wm
    return any(dist(place, joint.point) < far for place in (shape.start, shape.end, shape.middle))


def _bone_end(scene: Scene, joint: Joint, index: int) -> BoneEnd:
    shape, centre = scene.shapes[index], np.array(joint.point)
    tips = np.array([shape.start, shape.end])
    start = bool(np.linalg.norm(tips[0] - centre) < np.linalg.norm(tips[1] - centre))
    half = float(np.linalg.norm(tips[1] - tips[0])) / 2
    axis = (tips[1] - tips[0]) / max(2 * half, 1e-6)
    if half > 1.25 * joint.radius and half > 1.5 * shape.wm:  # a shaft
        inward = axis if start else -axis
        width = half_width(shape, 0.9) if not start else half_width(shape, -0.9)
        return BoneEnd(index, tips[0 if start else 1], inward, visible_across(scene, inward), width, start, False)
    # A nucleus or an epiphysis, whose axis may point anywhere: its surface that faces the joint.
    away = np.array([*joint.away, 0.0]) / np.hypot(*joint.away)
    offset = np.array(shape.middle) - centre
    height = float(offset @ away)  # along the limb, from the joint
    inward = away * np.sign(height) if abs(height) > 0.3 * joint.radius else offset / max(np.linalg.norm(offset), 1e-6)
    across = visible_across(scene, inward)
    # Extent of an ellipsoid along the way in and across it.
    reach, width = (
        float(np.hypot(half * (axis @ way), shape.wm * np.sqrt(max(0.0, 1 - (axis @ way) ** 2))))
        for way in (inward, across)
    )
    return BoneEnd(index, np.array(shape.middle) - inward * reach, inward, across, width, start, True)


def _inside(shape: Shape) -> tuple[float, float] | None:
    """From where to where the axis of a shape is inside the frame; None where it is outside."""
    low, high = -_REACH, _REACH
    for start, end in ((shape.x0, shape.x1), (shape.y0, shape.y1)):
        middle, half = (start + end) / 2, (end - start) / 2
        if abs(half) < 1e-6:
            if abs(middle) >= FRAME:
                return None
            continue
        # Where the axis enters and leaves the frame, in units of its half-length (clipping by Liang and Barsky).
        ends = sorted(((-FRAME - middle) / half, (FRAME - middle) / half))
        low, high = max(low, ends[0]), min(high, ends[1])
    return (low, high) if low < high else None


def _within(shape: Shape, fraction: float) -> float:
    """A place inside the frame, or the nearest one to the middle of the image."""
    inside = _inside(shape)
    if inside is not None:
        return inside[0] + fraction * (inside[1] - inside[0])
    x, y = (shape.x0 + shape.x1) / 2, (shape.y0 + shape.y1) / 2
    dx, dy = (shape.x1 - shape.x0) / 2, (shape.y1 - shape.y0) / 2
    # Foot of the perpendicular from the middle of the image.
    return float(np.clip(-(x * dx + y * dy) / max(dx * dx + dy * dy, 1e-9), -_REACH, _REACH))


def _words(scene: Scene, shape: Shape, u: float, x: float) -> str:
    """Words of a report for the place."""
    name = shape.name
    if name.split(".")[0].isdigit():
        name = f"{_ORDINALS[int(name.split('.')[0]) - 1]} rib"
    others = [other.middle[0] for other in scene.shapes if other.name == shape.name]
    if min(others) < -0.1 and max(others) > 0.1 and not name[1:].isdigit():  # a bone of both sides
        return f"{'left' if x > 0 else 'right'} {name}"
    whole = name.startswith(("distal", "proximal")) or shape.cortex == 0 or name[1:].isdigit() or name.endswith("neck")
    if whole or len(others) > 1:
        return name
    if "phalanx" in name:
        return f"{name} {'base' if u < 0 else 'neck'}"
    return f"{'proximal' if u < -0.35 else 'distal' if u > 0.35 else 'midshaft'} {name}"
