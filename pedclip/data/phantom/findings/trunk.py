"""Findings of abdomen and spine, and foreign bodies anywhere."""

from dataclasses import replace
from typing import Final

import numpy as np

from pedclip.data.phantom.body.scene import Scene, blob
from pedclip.data.phantom.findings.finding import SUBTLE, Finding, annotate, strip
from pedclip.data.phantom.findings.sites import shaft_site
from pedclip.data.phantom.imaging.shapes import SKIN, Point, Vector

_COLON: Final = (  # from the rectum backwards, so that the first fill first
    (0.02, 0.82), (0.05, 0.72), (0.22, 0.72), (0.36, 0.66), (0.46, 0.54), (0.50, 0.38), (0.51, 0.22), (0.50, 0.05),
    (0.48, -0.12), (-0.44, 0.66), (-0.50, 0.52), (-0.51, 0.36), (-0.50, 0.20), (-0.49, 0.04), (-0.45, -0.10),
    (-0.28, -0.15), (-0.10, -0.12), (0.10, -0.11), (0.28, -0.14),
)  # fmt: skip
_METAL: Final = 1.8  # attenuation of a coin
_CURVE: Final = 0.48  # half the height of a scoliotic curve, scene units
_STEEPEST: Final = np.sqrt(2 / np.e)  # slope of exp(-t²) where it is steepest


def foreign_body(scene: Scene, finding: Finding) -> str:
    """A coin, a button battery with its rim, a pin, or (in limbs) a needle or a splinter."""
    x, y, words, swallowed = _object_site(scene, finding)
    size = 0.040 + 0.045 * finding.severity
    place, centre = (x, y, 0.1), np.array([x, y, 0.1])
    # Discs are swallowed; what pierces the skin is long and thin.
    if swallowed and finding.variant < 0.75:
        disc = blob("object", place, (size, size), density=_METAL, depth=0.9)
        scene.add(disc)
        if finding.variant > 0.4:
            # The step at the edge of a button battery shows as a second ring.
            rim = blob("object", place, (0.84 * size, 0.84 * size), density=-3.0, depth=0.9)
            scene.add(replace(rim, cortex=0.14 * size, hollow=1.0))
        annotate(scene, finding, blob(finding.name, place, (size, size)))
        return words
    angle = np.pi * finding.along
    direction: Vector = np.array([np.cos(angle), np.sin(angle), 0.0])
    is_splinter = not swallowed and finding.variant < 0.45  # glass or stone: paler than metal
    density = 0.16 + 0.45 * finding.severity if is_splinter else 0.5 + finding.severity
    width = 0.012 + 0.012 * finding.severity if is_splinter else 0.009
    half = size * (0.7 if is_splinter else 1.7)  # half-length
    scene.add(strip("object", centre, direction, half, width, density, reach=width))
    annotate(scene, finding, strip("", centre, direction, half, width, 1.0, reach=0.05))
    return words


def _object_site(scene: Scene, finding: Finding) -> tuple[float, float, str, bool]:
    """Place, words, and whether it was swallowed or inhaled."""
    names = {shape.name for shape in scene.shapes}
    if "left lung" in names:
        return 0.02, -0.55 + 0.5 * finding.along, f"{'upper' if finding.along < 0.5 else 'mid'} oesophagus", True
    if "liver" in names:
        if finding.pick < 0.5:
            return 0.30 + 0.1 * finding.along, -0.52, "stomach", True
        return 0.35 * finding.sign * finding.along, 0.1 + 0.4 * finding.variant, "bowel", True
    if "airway" in names:
        return 0.02, 0.15 + 0.35 * finding.along, "hypopharynx", True
    if "orbit" in names:
        return 0.08 * finding.sign, -0.08 + 0.1 * finding.along, f"{finding.side} nasal cavity", True
    site = shaft_site(scene, finding)
    # The outline whose thickness fits the bone is the one around it.
    skin = min((s for s in scene.shapes if s.layer == SKIN), key=lambda s: abs(s.wm - 2 * site.width))
    aside = site.width + 0.4 * max(0.04, min(skin.wm, 0.3) - site.width)
    x, y, _ = site.point + site.across * finding.sign * aside
    return float(np.clip(x, -0.7, 0.7)), float(np.clip(y, -0.7, 0.7)), f"soft tissues of the {site.words}", False


def constipation(scene: Scene, finding: Finding) -> str:
    """Mottled stool: in rectum and left colon when mild, along the whole frame when marked."""
    random, severity = finding.generator(), finding.severity
    size = 0.075 + 0.035 * severity
    # The colon fills from the rectum backwards.
    for x, y in _COLON[: 5 + round(14 * severity)]:
        dx, dy = random.normal(0, 0.025, 2)
        place: Point = (x + dx, y + dy, 0.15)
        radii, angle = size * random.uniform(0.75, 1.35, 2), random.uniform(0, 180)
        density = (0.06 + 0.17 * severity) * random.uniform(0.7, 1.2)
        stool = blob("stool", place, (float(radii[0]), float(radii[1])), angle=angle, density=density)
        scene.add(stool)
        annotate(scene, finding, stool)
        # Gas bubbles make stool look mottled.
        for _ in range(5):
            fx, fy = random.uniform(-0.9, 0.9, 2) * size
            bubble = (random.uniform(0.010, 0.030), random.uniform(0.008, 0.018))
            speck, dark = (place[0] + fx, place[1] + fy, 0.2), -(0.05 + 0.12 * severity)
            scene.add(blob("gas speck", speck, bubble, angle=random.uniform(0, 180), density=dark))
    return "colon"


def bowel_obstruction(scene: Scene, finding: Finding) -> str:
    """Distended loops of gas stacked in the middle; in some films fluid levels in them."""
    random, severity = finding.generator(), finding.severity
    count = 2 + round(4 * severity)
    upright = finding.variant > 0.5 and severity > SUBTLE  # fluid levels need a standing patient
    width = 0.055 + 0.045 * severity  # half the calibre of the gut
    for order in range(count):
        y = -0.20 + 0.70 * (order + 0.5) / count + random.uniform(-0.04, 0.04)
        place: Point = (random.uniform(-0.16, 0.16), y, 0.15)
        half, dark = 0.18 + 0.20 * severity, 0.07 + 0.22 * severity
        angle = 0.0 if upright else random.uniform(-22, 22)
        loop = blob("loop", place, (half, width), angle=angle, density=-dark, square=0.3)
        scene.add(replace(loop, bend=random.uniform(-0.04, 0.04) * (not upright)))
        if upright:  # fluid below, with a straight upper edge
            low = (place[0], y + 0.55 * width, 0.15)
            scene.add(blob("fluid", low, (0.9 * half, 0.45 * width), angle=0.0, density=0.9 * dark, square=1.0))
        annotate(scene, finding, loop)
    return "small bowel"


def scoliosis(scene: Scene, finding: Finding) -> str:
    """The spine curves to one side by a Cobb angle of 10 to 60 degrees; ribs follow."""
    cobb = np.radians(10 + 50 * finding.severity)
    # Both end vertebrae tilt by half the angle: x(y) = height · exp(-((y - middle) / curve)²).
    # A slope of tan(Cobb / 2) where the curve is steepest gives its height.
    height = float(np.tan(cobb / 2)) * _CURVE / _STEEPEST
    middle = -0.20 + 0.35 * finding.along

    def aside(y: float) -> float:
        return float(finding.sign * height * np.exp(-(((y - middle) / _CURVE) ** 2)))

    for index, shape in enumerate(scene.shapes):
        if shape.name[1:].isdigit() or shape.name.endswith(("rib", "cartilage", "sacrum", "vertebra")):
            dx0, dx1 = aside(shape.y0), aside(shape.y1)
            if abs(shape.x1 - shape.x0) > abs(shape.y1 - shape.y0) and not shape.name.endswith(
                ("rib", "cartilage")
            ):  # moves as a whole
                dx0 = dx1 = aside((shape.y0 + shape.y1) / 2)
            scene.shapes[index] = replace(shape, x0=shape.x0 + dx0, x1=shape.x1 + dx1)
    place = (finding.sign * height * 0.5, middle, 0.0)
    annotate(scene, finding, blob(finding.name, place, (0.62, 0.16 + height * 0.5), square=0.5))
    return f"spine, convex to the {finding.side}"
