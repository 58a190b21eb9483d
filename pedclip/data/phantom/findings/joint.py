"""Findings of joints, alike in all of them: dislocation, effusion, narrowing, erosion, inflammation, bony changes."""

from dataclasses import replace
from math import dist
from typing import Final

import numpy as np

from pedclip.data.phantom.body.scene import Joint, Scene, blob
from pedclip.data.phantom.findings.finding import Finding, annotate, strip
from pedclip.data.phantom.findings.sites import BoneEnd, bone_ends, pick_joint, visible_across
from pedclip.data.phantom.findings.soft_tissue import bulge, nearest_skin, oedema
from pedclip.data.phantom.imaging.shapes import SKELETON, Vector, to_point

# Bones beyond a joint of which a scene has one on each side (the hips of a pelvis).
_PAIRED: Final = ("femoral head", "femoral neck", "proximal femur", "greater trochanter", "lesser trochanter")


def dislocation(scene: Scene, finding: Finding) -> str:
    """The distal bones leave the joint, partly (subluxation) or wholly."""
    joint = pick_joint(scene, finding)
    away, aside = _directions(scene, joint)
    far = joint.radius * (0.26 + 1.06 * finding.severity)
    # Sideways and then overlapping or apart, by the variant.
    step = aside * finding.sign * far + away * far * (-0.35 if finding.variant < 0.5 else 0.2)
    _move(scene, joint, step)
    oedema(scene, finding, np.array(joint.point))
    size = joint.radius + float(np.linalg.norm(step)) / 3
    annotate(scene, finding, blob(finding.name, to_point(np.array(joint.point) + step / 2), (size, size)))
    return joint.name


def joint_effusion(scene: Scene, finding: Finding) -> str:
    """Fluid distends the capsule and lifts the fat planes beside it."""
    joint = pick_joint(scene, finding)
    centre, severity = np.array(joint.point), finding.severity
    away = _proximal(scene, joint)
    aside = visible_across(scene, away)
    # Inside the skin, however small the limb.
    size = min(joint.radius * (0.95 + 0.35 * severity), 0.85 * nearest_skin(scene, centre)[3])
    angle = float(np.degrees(np.arctan2(away[1], away[0])))
    fluid = blob("fluid", joint.point, (0.9 * size, size), angle=angle, density=0.08 + 0.28 * severity, depth=1.0)
    scene.add(fluid)
    bulge(scene, centre, (-1, 1), 0.05 + 0.18 * severity, 0.0)
    for side in (-1, 1):
        fat = centre + aside * side * size * 1.02
        width = 0.05 * size * (1.0 + severity)
        dark = -(0.08 + 0.17 * severity)
        # The fat plane bulges outwards with the capsule.
        bow = 0.3 * size * side * (1.0 if abs(aside[2]) < 0.5 else 0.0)
        scene.add(strip("fat plane", fat, away, 0.75 * size, width, dark, reach=0.6 * size, bend=-bow))
    annotate(scene, finding, replace(fluid, wm=1.12 * fluid.wm, w0=1.12 * fluid.wm, w1=1.12 * fluid.wm))
    return joint.name


def narrowing(scene: Scene, finding: Finding) -> str:
    """The bones come closer and their surfaces denser."""
    joint = pick_joint(scene, finding)
    away, aside = _directions(scene, joint)
    _move(scene, joint, -away * joint.radius * (0.10 + 0.32 * finding.severity))  # towards the joint
    for end in bone_ends(scene, joint):
        _dense_surface(scene, end, 0.18 + 0.46 * finding.severity)
    angle = float(np.degrees(np.arctan2(aside[1], aside[0]))) if abs(aside[2]) < 0.5 else 0.0
    size = (joint.radius * 1.05, joint.radius * 0.6)
    annotate(scene, finding, blob(finding.name, joint.point, size, angle=angle))
    return joint.name


def erosion(scene: Scene, finding: Finding) -> str:
    """Bites out of the margins of the bones, where the capsule is attached."""
    joint = pick_joint(scene, finding)
    random = finding.generator()
    ends = bone_ends(scene, joint)
    # Erosions begin at the bare area between cartilage and capsule: at both sides of each surface.
    corners = [(end, side) for end in ends for side in (-1, 1)]
    count = min(3 + round(2 * finding.severity), len(corners))
    for chosen in random.permutation(len(corners))[:count]:
        end, side = corners[int(chosen)]
        # Seen in small films, never the whole bone end.
        size = float(np.clip(end.width * (0.45 + 0.28 * finding.severity), 0.036, 0.11))
        inwards = end.inward * max(0.32 * end.width, 0.8 * size)
        place = to_point(end.tip + inwards + end.across * side * 0.60 * end.width)
        depth = scene.shapes[end.index].density * (0.46 + 0.34 * finding.severity)
        scene.add(blob("erosion", place, (size, size), density=-depth, depth=max(1.0, 0.6 * end.width / size)))
        annotate(scene, finding, blob(finding.name, place, (1.1 * size, 1.1 * size)))
    return joint.name


def inflammation(scene: Scene, finding: Finding) -> str:
    """Haze around a joint, a spindle-shaped outline and bone that loses mineral."""
    joint = pick_joint(scene, finding)
    centre, severity, r = np.array(joint.point), finding.severity, joint.radius
    for end in bone_ends(scene, joint):
        shape = scene.shapes[end.index]
        lost = 0.03 + 0.32 * severity  # fraction of the mineral
        if end.is_short:
            scene.shapes[end.index] = replace(shape, density=shape.density * (1 - lost))
        else:
            place = to_point(end.tip + end.inward * 0.8 * end.width)
            angle = float(np.degrees(np.arctan2(end.inward[1], end.inward[0])))
            size, depth = (1.1 * end.width, 0.95 * end.width), -lost * shape.density * (1 - 0.5 * shape.hollow)
            scene.add(blob("osteopenia", place, size, angle=angle, density=depth))
    for part in bulge(scene, centre, (-1, 1), 0.01 + 0.16 * severity, 0.005 + 0.025 * severity):
        annotate(scene, finding, part)
    haze = blob("haze", joint.point, (1.35 * r, 1.35 * r), density=0.015 + 0.14 * severity, depth=1.0)
    scene.add(haze)
    annotate(scene, finding, haze)
    return joint.name


def bony_changes(scene: Scene, finding: Finding) -> str:
    """Overgrown bone ends with dense surfaces and cysts; nuclei and epiphyses become square."""
    joint = pick_joint(scene, finding)
    random, severity = finding.generator(), finding.severity
    ends = bone_ends(scene, joint)
    for end in ends:
        shape = scene.shapes[end.index]
        grown = 1.24 + 0.28 * severity  # factor of the width of the bone ends
        if end.is_short:
            # Nuclei lose their round form, as after long hyperaemia.
            square = min(1.0, shape.square_side + 0.15 + 0.35 * severity)
            scene.shapes[end.index] = replace(
                shape, w0=shape.w0 * grown, wm=shape.wm * grown, w1=shape.w1 * grown, square_end=square,
                square_side=square,
            )  # fmt: skip
        elif end.is_start:
            scene.shapes[end.index] = replace(shape, w0=shape.w0 * grown)
        else:
            scene.shapes[end.index] = replace(shape, w1=shape.w1 * grown)
        _dense_surface(scene, end, 0.18 + 0.28 * severity)
    for _ in range(2 + round(2 * severity)):
        end = ends[int(random.integers(len(ends)))]
        size = float(np.clip(end.width * (0.30 + 0.20 * severity), 0.024, 0.10))
        offset = random.uniform(-0.5, 0.5) * end.width
        # Below the surface, off the middle.
        cyst = to_point(end.tip + end.inward * (size * 1.3 + 0.1 * end.width) + end.across * offset)
        depth = scene.shapes[end.index].density * (0.48 + 0.40 * severity)
        scene.add(blob("cyst", cyst, (size, size), density=-depth, depth=max(1.0, 0.5 * end.width / size)))
    size = 1.05 * max(joint.radius, max(end.width for end in ends))
    annotate(scene, finding, blob(finding.name, joint.point, (0.8 * size, size)))
    return joint.name


def _directions(scene: Scene, joint: Joint) -> tuple[Vector, Vector]:
    """Unit vectors (3,) along the distal bone and across it, as far as this view shows it."""
    away = np.array([*joint.away, 0.0]) / np.hypot(*joint.away)
    return away, visible_across(scene, away)


def _proximal(scene: Scene, joint: Joint) -> Vector:
    """Unit vector (3,) from a joint along the bone above it, whose sides the fat planes follow."""
    best, reach = _directions(scene, joint)[0], 0.0
    for shape in scene.shapes:
        if shape.layer != SKELETON or shape.name.startswith(joint.beyond or _PAIRED):
            continue
        length, near = dist(shape.start, shape.end), min(dist(end, joint.point) for end in (shape.start, shape.end))
        # The longest of the bones above the joint gives the direction.
        if near < 2.0 * joint.radius and length > max(reach, 0.2):
            best, reach = np.subtract(shape.end, shape.start) / length, length
    return best


def _move(scene: Scene, joint: Joint, step: Vector) -> None:
    """Shift the bones beyond a joint."""
    # A pelvis has two hips whose bones have the same names.
    side = np.sign(joint.point[0])
    for index, shape in enumerate(scene.shapes):
        paired = not joint.beyond and shape.name.startswith(_PAIRED) and np.sign(shape.middle[0]) == side
        if paired or (joint.beyond and shape.name.startswith(joint.beyond)):
            scene.shapes[index] = shape.moved(*step)


def _dense_surface(scene: Scene, end: BoneEnd, density: float) -> None:
    """Sclerosis under a joint surface."""
    width = float(np.clip(0.10 * end.width, 0.008, 0.022))
    centre = end.tip + end.inward * 1.3 * width  # just below the surface
    scene.add(strip("sclerosis", centre, end.across, 0.8 * end.width, width, density, reach=0.7 * end.width))
