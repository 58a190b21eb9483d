"""Findings of bones, joints and the soft tissue around them."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pedclip.data.phantom.finding import Finding
from pedclip.data.phantom.scene import Joint, Scene, blob
from pedclip.data.phantom.shapes import ADDED, SKIN, Point, Shape

_FRAME = 0.72  # findings stay this close to the middle of the image, scene units
_MIN_EXTENT = 0.06  # so that a mask has a pixel even at the smallest image size


def mark(scene: Scene, finding: Finding, shape: Shape) -> None:
    """Record where a finding lies; at least one pixel wide in every image."""
    widths = {name: max(getattr(shape, name), _MIN_EXTENT) for name in ("w0", "wm", "w1")}
    scene.extents.append((finding.name, replace(shape, density=1.0, cortex=0.0, hollow=0.0, layer=ADDED, **widths)))


def _bone(scene: Scene, finding: Finding) -> int:
    """Index of the bone that a finding is in."""
    name = scene.breakable[min(int(finding.pick * len(scene.breakable)), len(scene.breakable) - 1)]
    found = [index for index, shape in enumerate(scene.shapes) if shape.name == name]
    # Paths consist of pieces, and some bones exist on both sides; vertebrae begin with their body.
    is_vertebra = name[1:].isdigit()
    return found[0] if is_vertebra else found[int(finding.variant * 7919) % len(found)]


def _joint(scene: Scene, finding: Finding) -> Joint:
    return scene.joints[min(int(finding.pick * len(scene.joints)), len(scene.joints) - 1)]


def _along(shape: Shape, share: float) -> float:
    """Position on the axis, -1 to 1, inside the frame of the image."""
    steps = np.linspace(-0.78, 0.78, 53)
    x = (shape.x0 + shape.x1) / 2 + steps * (shape.x1 - shape.x0) / 2
    y = (shape.y0 + shape.y1) / 2 + steps * (shape.y1 - shape.y0) / 2
    inside = steps[(np.abs(x) < _FRAME) & (np.abs(y) < _FRAME)]
    if not len(inside):
        return float(steps[np.argmin(np.maximum(np.abs(x), np.abs(y)))])
    return float(inside[0] + share * (inside[-1] - inside[0]))


def _point(shape: Shape, u: float) -> tuple[Point, NDArray[np.float64], float]:
    """Place on the axis, direction across it in the image plane, and half-length."""
    p0, p1 = np.array([shape.x0, shape.y0, shape.z0]), np.array([shape.x1, shape.y1, shape.z1])
    half = (p1 - p0) / 2
    length = float(np.linalg.norm(half))
    across = np.array([-half[1], half[0], 0.0]) / max(float(np.hypot(half[0], half[1])), 1e-6)
    x, y, z = (p0 + p1) / 2 + u * half + across * (shape.bend * (1 - u * u) + shape.sway * 2.6 * u * (1 - u * u))
    return (float(x), float(y), float(z)), across, length


def _words(shape: Shape, u: float) -> str:
    """How a report calls the place."""
    if shape.name == "vault":
        return "skull vault"
    if shape.name.startswith(("distal", "proximal")) or shape.cortex == 0 or shape.name[1:].isdigit():
        return shape.name
    part = "proximal" if u < -0.35 else "distal" if u > 0.35 else "midshaft"
    return f"{part} {shape.name}" if "phalanx" not in shape.name else f"{shape.name} {'base' if u < 0 else 'neck'}"


def fracture(scene: Scene, finding: Finding) -> str:
    """A lucent line with step and angulation, or the bulge of a buckle fracture in younger children."""
    index = _bone(scene, finding)
    shape = scene.shapes[index]
    if shape.name == "vault":
        return _skull_fracture(scene, finding)
    u = _along(shape, finding.along**0.35)  # most fractures of children are in the distal metaphysis
    point, across, length = _point(shape, u)
    severity, w = finding.severity, shape.wm
    if finding.variant < 0.3 and scene.age < 12 and shape.cortex > 0:
        broken = replace(shape, crack=u, bulge=w * (0.45 + 0.55 * severity), angulation=0.15 * severity * finding.sign)
    else:
        step = finding.sign * w * max(0.0, severity - 0.2) * 2.0
        bent = finding.sign * min(0.10 + 0.45 * severity, 2.2 * w / (length * (1.05 - u)))
        slope = 0.9 * (finding.variant - 0.3) * (1 if finding.along < 0.5 else -1)
        broken = replace(
            shape,
            crack=u,
            gap=max(w * (0.24 + 0.22 * severity), 0.018 + 0.018 * severity),
            shift=step,
            angulation=bent,
            slope=slope,
        )
    scene.shapes[index] = broken
    end = across * (broken.shift + broken.angulation * length * (1 - u))
    tip = np.array([shape.x1, shape.y1, shape.z1])
    for other, cap in enumerate(scene.shapes):
        if cap.name == f"{shape.name} epiphysis" and np.linalg.norm(np.array(cap.middle) - tip) < length * 0.6:
            scene.shapes[other] = replace(
                cap, x0=cap.x0 + end[0], x1=cap.x1 + end[0], y0=cap.y0 + end[1], y1=cap.y1 + end[1]
            )
    radius = max(1.9 * w, 0.11)
    # Blood and oedema around the break.
    scene.add(blob("haematoma", point, (radius * 1.3, radius * 1.3), density=0.12 + 0.24 * severity, depth=1.0))
    mark(scene, finding, blob(finding.name, point, (radius, radius)))
    return _words(shape, u)


def _skull_fracture(scene: Scene, finding: Finding) -> str:
    side = finding.sign
    x, y = side * (0.30 + 0.12 * finding.along), -0.50 + 0.45 * finding.variant
    angle = 20.0 + 140.0 * finding.along
    length, z = 0.16 + 0.16 * finding.severity, 0.25
    width = 0.016 + 0.014 * finding.severity
    density = -(0.22 + 0.25 * finding.severity)
    line = blob("fracture line", (x, y, z), (length, width), angle=angle, density=density, depth=6.0, square=0.7)
    scene.add(replace(line, sway=0.03))
    mark(scene, finding, blob(finding.name, (x, y, z), (length, 0.08), angle=angle))
    return f"{'left' if side > 0 else 'right'} {'parietal' if y > -0.4 else 'frontal'} bone"


def dislocation(scene: Scene, finding: Finding) -> str:
    """The distal bones leave the joint."""
    joint = _joint(scene, finding)
    reach = joint.radius * (0.55 + 0.75 * finding.severity) * finding.sign
    away = np.array(joint.away) / np.hypot(*joint.away)
    dx, dy = -away[1] * reach - away[0] * abs(reach) * 0.5, away[0] * reach - away[1] * abs(reach) * 0.5
    scene.move(joint.beyond, float(dx), float(dy))
    x, y, z = joint.point
    mark(scene, finding, blob(finding.name, (x + dx / 2, y + dy / 2, z), (joint.radius * 1.5, joint.radius * 1.5)))
    return joint.name


def joint_effusion(scene: Scene, finding: Finding) -> str:
    """Fluid distends the capsule."""
    joint = _joint(scene, finding)
    size = joint.radius * (1.15 + 0.45 * finding.severity)
    radii = (size, size * 0.85)
    scene.add(blob("fluid", joint.point, radii, density=0.18 + 0.27 * finding.severity, depth=1.0))
    scene.add(blob("fluid", joint.point, radii, density=0.60, depth=1.0, layer=SKIN))
    mark(scene, finding, blob(finding.name, joint.point, radii, depth=1.0))
    return joint.name


def swelling(scene: Scene, finding: Finding) -> str:
    """A hazy bulge of the skin outline beside a bone."""
    shape = scene.shapes[_bone(scene, finding)]
    u = _along(shape, finding.along)
    point, across, _ = _point(shape, u)
    width = _skin_around(scene, point)
    centre = np.array(point) + across * finding.sign * width * 0.55
    radii = (width * (0.9 + 0.3 * finding.severity), width * (0.62 + 0.38 * finding.severity))
    angle = float(np.degrees(np.arctan2(-across[0], across[1])))
    middle: Point = (float(centre[0]), float(centre[1]), float(centre[2]))
    scene.add(blob("swelling", middle, radii, angle=angle, density=0.62, layer=SKIN))
    scene.add(blob("swelling", middle, radii, angle=angle, density=0.16 + 0.24 * finding.severity))
    mark(scene, finding, blob(finding.name, middle, radii, angle=angle))
    return _words(shape, u)


def _skin_around(scene: Scene, point: Point) -> float:
    """Half-width of the part of the outline nearest to a point, at most 0.3 scene units."""
    best, width = np.inf, 0.2
    for shape in scene.shapes:
        if shape.layer == SKIN:
            p0, axis = np.array([shape.x0, shape.y0]), np.array([shape.x1 - shape.x0, shape.y1 - shape.y0])
            share = np.clip((np.array(point[:2]) - p0) @ axis / (axis @ axis), 0, 1)
            distance = float(np.linalg.norm(p0 + share * axis - point[:2]))
            if distance < best:
                best, width = distance, shape.wm
    return min(width, 0.30)


def erosion(scene: Scene, finding: Finding) -> str:
    """Bites out of the bone on both sides of a joint."""
    joint = _joint(scene, finding)
    x, y, z = joint.point
    r, severity = joint.radius, finding.severity
    for order in range(2 + int(finding.variant * 2.99)):
        side, level = (1, -1)[order % 2] * finding.sign, (-0.45, 0.5, 0.4, -0.5)[order]
        place = (x + side * r * 0.62, y + level * r, z)
        size = r * (0.26 + 0.14 * severity)
        scene.add(blob("erosion", place, (size, size), density=-(0.30 + 0.40 * severity), depth=1.2))
    mark(scene, finding, blob(finding.name, joint.point, (r * 1.05, r * 1.05)))
    return joint.name


def narrowing(scene: Scene, finding: Finding) -> str:
    """The bones come closer and their end plates denser."""
    joint = _joint(scene, finding)
    away = np.array(joint.away) / np.hypot(*joint.away)
    closer = -joint.radius * (0.06 + 0.16 * finding.severity)
    scene.move(joint.beyond, float(away[0] * closer), float(away[1] * closer))
    across = float(np.degrees(np.arctan2(away[0], -away[1])))
    density = 0.25 + 0.35 * finding.severity
    radii = (joint.radius * 0.95, joint.radius * 0.22)
    scene.add(blob("sclerosis", joint.point, radii, angle=across, density=density, square=0.5))
    mark(scene, finding, blob(finding.name, joint.point, (joint.radius * 1.1, joint.radius * 0.8), angle=across))
    return joint.name


def periosteal_reaction(scene: Scene, finding: Finding) -> str:
    """New bone in a thin layer along the shaft."""
    shape = scene.shapes[_bone(scene, finding)]
    u = _along(shape, 0.25 + 0.5 * finding.along)
    point, across, length = _point(shape, u)
    half = min(length * (0.25 + 0.2 * finding.severity), 0.35)
    along = np.array([across[1], -across[0]])
    angle = float(np.degrees(np.arctan2(along[1], along[0])))
    for side in (-1, 1) if finding.severity > 0.35 else (finding.sign,):
        x, y, z = np.array(point) + across * side * shape.wm * (1.35 + 0.25 * finding.severity)
        width = max(shape.wm * 0.22, 0.012)
        density = 0.30 + 0.35 * finding.severity
        line = blob("periosteum", (x, y, z), (half, width), angle=angle, density=density, depth=3.0, square=0.6)
        scene.add(replace(line, bend=side * shape.wm * 0.25))
    mark(scene, finding, blob(finding.name, point, (half * 1.05, shape.wm * 2.0), angle=angle))
    return _words(shape, u)


def lytic_lesion(scene: Scene, finding: Finding) -> str:
    """A hole in the bone with a thin rim."""
    shape, point, radius = _lesion(scene, finding)
    scene.add(blob("lesion", point, (radius * 1.25, radius), density=-(0.40 + 0.35 * finding.severity)))
    rim = 0.2 + 0.2 * finding.variant
    scene.add(blob("rim", point, (radius * 1.3, radius * 1.05), density=rim, cortex=radius * 0.18, hollow=1.0))
    return _words(shape, _along(shape, finding.along))


def sclerotic_lesion(scene: Scene, finding: Finding) -> str:
    """A dense, round focus in the bone."""
    shape, point, radius = _lesion(scene, finding)
    scene.add(blob("lesion", point, (radius * 1.2, radius), density=0.40 + 0.45 * finding.severity, square=0.2))
    return _words(shape, _along(shape, finding.along))


def _lesion(scene: Scene, finding: Finding) -> tuple[Shape, Point, float]:
    shape = scene.shapes[_bone(scene, finding)]
    point, across, _ = _point(shape, _along(shape, finding.along))
    radius = min(max(shape.wm * (0.75 + 0.35 * finding.severity), 0.055), 0.22)
    if shape.wm > 0.4:  # a plate or the vault: anywhere on it, not only on its axis
        x, y, z = np.array(point) + across * finding.sign * 0.3
        point = (float(x), float(y), float(z))
    mark(scene, finding, blob(finding.name, point, (radius * 1.3, radius * 1.05)))
    return shape, point, radius
