"""Soft tissue that swells: with a finding, around one, or without any."""

from typing import Final

import numpy as np

from pedclip.data.phantom.body.scene import Scene, blob
from pedclip.data.phantom.findings.finding import Finding, annotate
from pedclip.data.phantom.findings.sites import half_width, pick_joint, shaft_site, visible_across
from pedclip.data.phantom.imaging.shapes import SKIN, Shape, Vector

_THICK: Final = 0.45  # half-width from which the outline of the skin is out of the picture, scene units


def swelling(scene: Scene, finding: Finding) -> str:
    """A hazy bulge of the skin outline beside a bone, without displaced fat planes."""
    if "vault" in scene.breakable:
        return _scalp(scene, finding)
    site = shaft_site(scene, finding)
    sides = (-1, 1) if finding.variant < 0.35 else (finding.sign,)
    for part in bulge(scene, site.point, sides, 0.10 + 0.36 * finding.severity, 0.04 + 0.12 * finding.severity):
        annotate(scene, finding, part)
    return site.words


def bulge(scene: Scene, point: Vector, sides: tuple[int, ...], amount: float, haze: float) -> list[Shape]:
    """Widen the outline of the skin next to a point.

    Args:
        scene: Changed in place.
        point: (3,) in or on a bone, scene units.
        sides: Of the axis of the limb, 1 and -1.
        amount: How far, as a fraction of the half-width of the limb.
        haze: Attenuation added inside.

    Returns:
        The parts that bulge, for boxes and masks.
    """
    skin, foot, axis, outline = nearest_skin(scene, point)  # `foot`: nearest place on the axis of the limb
    across = visible_across(scene, axis)
    angle = float(np.degrees(np.arctan2(axis[1], axis[0])))
    width = min(outline, _THICK)  # in a trunk the swelling keeps the size that it has in a limb
    parts = []
    for side in sides:
        if outline <= _THICK:
            # About as thick as the limb is there, so that only the outline tells.
            x, y, z = foot + across * side * width * 0.45
            size, thick = (width * 1.4, width * (0.55 + amount)), 0.90 * skin.density * outline / skin.wm
            scene.add(blob("swelling", (x, y, z), size, angle=angle, density=thick, depth=1.2, layer=SKIN))
        # In a thick part the swelling lies at the bone; the skin is out of the picture.
        x, y, z = (foot if outline <= _THICK else point) + across * side * width * 0.55
        part = blob("swelling", (x, y, z), (width * 1.2, width * (0.45 + amount)), angle=angle, density=haze)
        scene.add(part)
        parts.append(part)
    return parts


def oedema(scene: Scene, finding: Finding, point: Vector) -> None:
    """Mild swelling around an injury at a point (3,), or none: its amount hardly tells that there is an injury."""
    random = finding.generator()
    if random.random() < 0.35:
        return
    amount = random.uniform(0.2, 1.0) * (0.4 + 0.6 * finding.severity)
    bulge(scene, point, (-1, 1) if random.random() < 0.5 else (finding.sign,), 0.12 * amount, 0.035 * amount)


def incidental(scene: Scene, rng: np.random.Generator) -> None:
    """The same mild swelling without any finding, in one of six films with a joint; not annotated, not reported."""
    if not scene.joints or rng.random() > 0.25:  # of this quarter `oedema` leaves 35 % as they are
        return
    # The same code with the same chances, so that swelling alone does not give a fracture away.
    plain = Finding("", rng.random(), rng.random(), rng.random(), int(rng.choice([-1, 1])), rng.random())
    point = np.array(pick_joint(scene, plain).point) if rng.random() < 0.4 else shaft_site(scene, plain).point
    oedema(scene, plain, point)


def nearest_skin(scene: Scene, point: Vector) -> tuple[Shape, Vector, Vector, float]:
    """The part of the outline around a point (3,), scene units.

    Returns:
        The part, the nearest place on its axis (3,), the direction of that axis (3,) and its half-width there.
    """
    best: tuple[float, Shape, Vector, Vector, float] | None = None
    for shape in scene.shapes:
        if shape.layer != SKIN or shape.name != "skin":
            continue
        p0, p1 = np.array(shape.start), np.array(shape.end)
        axis = p1 - p0
        # Projection on the axis, -1 to 1.
        u = float(np.clip(2 * ((point - p0) @ axis) / (axis @ axis) - 1, -0.97, 0.97))
        foot = (p0 + p1) / 2 + u * axis / 2
        # Ends are rounded.
        outline = half_width(shape, u) * float(np.sqrt(1 - u * u - shape.square_end * (u**8 - u * u)))
        # In half-widths: a point inside a thick part is nearer to it than to a thin neighbour.
        distance = float(np.linalg.norm((foot - point)[:2])) / outline
        if best is None or distance < best[0]:
            best = distance, shape, foot, axis / np.linalg.norm(axis), outline
    if best is None:
        raise ValueError("the scene has no skin")
    return best[1:]


def _scalp(scene: Scene, finding: Finding) -> str:
    """A crescent over the vault."""
    vault = scene.shapes[scene.find("vault")]
    x, y, z = vault.middle
    tilt = np.radians(10 + 55 * finding.along)  # above the ears
    height = float(np.hypot(vault.x1 - vault.x0, vault.y1 - vault.y0)) / 2
    place = (x + finding.sign * float(np.cos(tilt)) * vault.wm * 1.02, y - float(np.sin(tilt)) * height * 1.02, z)
    slope = float(np.degrees(np.arctan2(-np.sin(tilt), finding.sign * np.cos(tilt)))) + 90
    size = (0.14 + 0.10 * finding.severity, 0.03 + 0.06 * finding.severity)
    scene.add(blob("swelling", place, size, angle=slope, density=0.35, layer=SKIN))
    haze = blob("swelling", place, size, angle=slope, density=0.06 + 0.18 * finding.severity)
    scene.add(haze)
    annotate(scene, finding, haze)
    return f"{finding.side} parietal scalp"
