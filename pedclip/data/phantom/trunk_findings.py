"""Findings of chest, abdomen and spine, and foreign bodies."""

from dataclasses import replace

import numpy as np

from pedclip.data.phantom.bone_findings import mark
from pedclip.data.phantom.finding import Finding
from pedclip.data.phantom.scene import Scene, blob
from pedclip.data.phantom.shapes import SKIN, Point

_LOBES = ((0.30, -0.38, "upper lobe"), (0.36, 0.02, "mid zone"), (0.34, 0.34, "lower lobe"))


def _side(finding: Finding) -> str:
    return "left" if finding.sign > 0 else "right"


def consolidation(scene: Scene, finding: Finding) -> str:
    """Patchy density in one lung."""
    x, y, lobe = _LOBES[min(int(finding.pick * 3), 2)]
    random = np.random.default_rng(int(finding.along * 1e9))
    size = 0.13 + 0.10 * finding.severity
    for _ in range(4):
        dx, dy = random.uniform(-0.6, 0.6, 2) * size
        patch: Point = (finding.sign * x + dx, y + dy, random.uniform(-0.15, 0.15))
        radii = (size * random.uniform(0.8, 1.2), size * random.uniform(0.6, 0.9))
        angle = random.uniform(0, 180)
        scene.add(blob("consolidation", patch, radii, angle=angle, density=0.12 + 0.13 * finding.severity))
        mark(scene, finding, blob(finding.name, patch, radii, angle=angle))
    return f"{_side(finding)} {lobe}"


def pleural_effusion(scene: Scene, finding: Finding) -> str:
    """Fluid fills one base and climbs along the chest wall."""
    height = 0.14 + 0.30 * finding.severity
    side = finding.sign
    base = blob("fluid", (side * 0.42, 0.60 - height, 0), (height, 0.28), density=0.46, depth=1.5, square=0.5)
    wall = blob("fluid", (side * 0.62, 0.52 - 1.6 * height, 0), (height * 1.1, 0.07), density=0.32, depth=3.0)
    for part in (base, wall):
        scene.add(part)
        mark(scene, finding, part)
    return f"{_side(finding)} costophrenic angle"


def pneumothorax(scene: Scene, finding: Finding) -> str:
    """Air around one lung: darker apex and flank, with the line of the pleura."""
    side, width = finding.sign, 0.09 + 0.11 * finding.severity
    middle = (side * (0.62 - width), -0.20, 0.0)
    air = blob("air", middle, (0.46, width), angle=90 - side * 8, density=-(0.22 + 0.10 * finding.severity), depth=3.0)
    x, y, z = middle
    line = blob("pleura", (x - side * width, y, z), (0.44, 0.012), angle=90 - side * 8, density=0.16, depth=8.0)
    scene.add(air)
    scene.add(replace(line, bend=-width * 0.5 * side))
    mark(scene, finding, air)
    return f"{_side(finding)} hemithorax"


def cardiomegaly(scene: Scene, finding: Finding) -> str:
    """A heart wider than half the chest."""
    index = scene.find("heart")
    heart = scene.shapes[index]
    factor = 1.28 + 0.35 * finding.severity
    x, y, z = heart.middle
    grown = blob(
        "heart", (x + 0.03, y, z), (0.34 * factor, heart.wm * factor), angle=50, density=heart.density, square=0.45
    )
    scene.shapes[index] = grown
    mark(scene, finding, grown)
    return "heart"


def foreign_body(scene: Scene, finding: Finding) -> str:
    """A coin or a needle: denser than bone."""
    x, y, words = _object_site(scene, finding)
    size = 0.06 + 0.05 * finding.severity
    if finding.variant < 0.55:
        radii, angle = (size, size), 0.0
    else:
        radii, angle = (size * 2.2, 0.018), 180.0 * finding.along
    scene.add(blob("object", (x, y, 0.1), radii, angle=angle, density=1.6, depth=1.0))
    mark(scene, finding, blob(finding.name, (x, y, 0.1), radii, angle=angle, depth=1.0))
    return words


def _object_site(scene: Scene, finding: Finding) -> tuple[float, float, str]:
    names = {shape.name for shape in scene.shapes}
    if "left lung" in names:
        return 0.02, -0.62 + 0.5 * finding.along, "upper oesophagus" if finding.along < 0.5 else "mid oesophagus"
    if "liver" in names:
        return (0.34, -0.52, "stomach") if finding.pick < 0.5 else (0.3 * finding.sign, 0.3, "bowel")
    if "airway" in names:
        return 0.02, 0.25 + 0.4 * finding.along, "hypopharynx"
    if "orbit" in names:
        return 0.10 * finding.sign, -0.10, "nasal cavity"
    skin = [shape for shape in scene.shapes if shape.layer == SKIN]
    part = skin[0]
    share = 0.3 + 0.4 * finding.along
    x, y = part.x0 + share * (part.x1 - part.x0), part.y0 + share * (part.y1 - part.y0)
    return float(np.clip(x + 0.6 * finding.sign * part.wm, -0.7, 0.7)), float(np.clip(y, -0.7, 0.7)), "soft tissues"


def constipation(scene: Scene, finding: Finding) -> str:
    """Mottled stool along the frame of the colon."""
    corners = [(-0.48, 0.62), (-0.50, 0.25), (-0.46, -0.12), (-0.15, -0.18), (0.18, -0.15), (0.48, -0.14)]
    corners += [(0.50, 0.22), (0.46, 0.56), (0.22, 0.74), (0.02, 0.82)]
    random = np.random.default_rng(int(finding.along * 1e9))
    size = 0.105 + 0.03 * finding.severity
    for x, y in corners:
        place = (x, y, 0.15)
        stool = blob(
            "stool", place, (size * 1.25, size), angle=random.uniform(0, 180), density=0.14 + 0.14 * finding.severity
        )
        scene.add(stool)
        mark(scene, finding, stool)
        for _ in range(6):
            dx, dy = random.uniform(-0.7, 0.7, 2) * size
            speck = (x + dx, y + dy, 0.2)
            scene.add(blob("gas speck", speck, (0.026, 0.020), density=-0.20))
    return "colon"


def bowel_obstruction(scene: Scene, finding: Finding) -> str:
    """Stacked, distended loops of gas."""
    random = np.random.default_rng(int(finding.along * 1e9))
    count = 4 + round(2 * finding.severity)
    for order in range(count):
        y = -0.22 + 0.85 * order / (count - 1)
        place = (random.uniform(-0.16, 0.16), y, 0.15)
        radii = (0.34 + 0.10 * finding.severity, 0.075 + 0.02 * finding.severity)
        loop = blob(
            "loop", place, radii, angle=random.uniform(-18, 18), density=-(0.24 + 0.10 * finding.severity), square=0.3
        )
        scene.add(loop)
        mark(scene, finding, loop)
    return "small bowel"


def scoliosis(scene: Scene, finding: Finding) -> str:
    """The spine curves to one side; ribs follow."""
    height = 0.09 + 0.22 * finding.severity
    middle = -0.25 + 0.4 * finding.along
    for index, shape in enumerate(scene.shapes):
        if shape.name[1:].isdigit() or shape.name in ("rib", "sacrum"):
            dx0, dx1 = (finding.sign * height * np.exp(-(((y - middle) / 0.55) ** 2)) for y in (shape.y0, shape.y1))
            scene.shapes[index] = replace(shape, x0=shape.x0 + dx0, x1=shape.x1 + dx1)
    place = (finding.sign * height * 0.6, middle, 0.0)
    mark(scene, finding, blob(finding.name, place, (0.6, 0.22 + height * 0.6), square=0.5))
    return f"spine, convex to the {_side(finding)}"


def compression_fracture(scene: Scene, finding: Finding) -> str:
    """A vertebral body loses height."""
    level = scene.breakable[min(int(finding.pick * len(scene.breakable)), len(scene.breakable) - 1)]
    index = scene.find(level)
    body = scene.shapes[index]
    loss = (0.35 + 0.40 * finding.severity) * abs(body.y1 - body.y0)
    wider = body.wm * (1.06 + 0.10 * finding.severity)
    scene.shapes[index] = replace(body, y0=body.y0 + loss, w0=wider, wm=wider, w1=wider, density=body.density * 1.25)
    x, y, z = body.middle
    mark(scene, finding, blob(finding.name, (x, y, z), (abs(body.y1 - body.y0) * 0.75, body.wm * 1.25), square=0.5))
    return level
