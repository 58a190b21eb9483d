"""Findings of the chest: lungs, pleura, heart and vessels. Sizes follow the lungs of the scene."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pedclip.data.phantom.finding import SUBTLE, Finding, Vector, mark, strip
from pedclip.data.phantom.scene import Scene, blob
from pedclip.data.phantom.shapes import Point, Shape

# Lobes of each lung: words, and the middle in half-widths of the lung outwards and half-heights down, then z.
_LOBES: Final = {
    "right": (("upper lobe", 0.0, -0.50, 0.05), ("middle lobe", -0.15, 0.22, 0.22), ("lower lobe", 0.15, 0.50, -0.22)),
    "left": (("upper lobe", 0.0, -0.48, 0.05), ("lingula", -0.05, 0.22, 0.24), ("lower lobe", 0.12, 0.50, -0.22)),
}


@dataclass(frozen=True, slots=True)
class _Lung:
    """A frame in one lung: `at` gives scene units from shares of its half-width and half-height."""

    shape: Shape
    sign: int

    @property
    def height(self) -> float:
        return float(np.hypot(self.shape.x1 - self.shape.x0, self.shape.y1 - self.shape.y0)) / 2

    @property
    def width(self) -> float:
        return self.shape.wm

    @property
    def depth(self) -> float:
        """Attenuation of the air in it, as a positive number."""
        return abs(self.shape.density)

    def at(self, outwards: float, down: float, z: float = 0.0) -> Point:
        x, y, _ = self.shape.middle
        return (x + self.sign * outwards * self.width, y + down * self.height, z)


def _lung(scene: Scene, sign: int) -> _Lung:
    return _Lung(scene.shapes[scene.find("left lung" if sign > 0 else "right lung")], sign)


def consolidation(scene: Scene, finding: Finding) -> str:
    """Round, segmental or lobar density with patchy edges; air-filled bronchi where it is dense."""
    lung, random, severity = _lung(scene, finding.sign), finding.generator(), finding.severity
    lobes = _LOBES[finding.side]
    words, outwards, down, z = lobes[min(int(finding.pick * len(lobes)), len(lobes) - 1)]
    centre = np.array(lung.at(outwards + random.uniform(-0.2, 0.2), down + random.uniform(-0.1, 0.1), z))
    is_round = finding.variant < 0.25
    size = lung.width * (0.24 + 0.20 * severity) if is_round else lung.width * (0.26 + 0.40 * severity)
    full = lung.depth * (0.22 + 0.75 * severity)  # of the whole opacity, where its patches overlap
    count = 1 if is_round else 7
    for _ in range(count):
        dx, dy, dz = random.uniform(-0.75, 0.75, 3) * size * (count > 1)
        patch: Point = (float(centre[0] + dx), float(centre[1] + dy), float(centre[2] + 0.5 * dz))
        radii = (size * random.uniform(0.6, 1.0), size * random.uniform(0.4, 0.7)) if count > 1 else (size, 0.95 * size)
        part = blob(
            "consolidation", patch, radii, angle=random.uniform(0, 180), density=full * (0.38 if count > 1 else 0.8)
        )
        scene.add(part)
        mark(scene, finding, part)
    if severity > 0.55 and not is_round:
        hilum = np.array(lung.at(-0.75, 0.05))
        for spread in (-0.35, 0.0, 0.35):
            _branch(scene, "bronchogram", centre, _turned(centre - hilum, spread), 0.9 * size, 0.011, -0.35 * full)
    return f"{finding.side} {words}"


def pleural_effusion(scene: Scene, finding: Finding) -> str:
    """Fluid blunts the angle between chest wall and diaphragm, then rises along the wall as a meniscus."""
    lung, severity = _lung(scene, finding.sign), finding.severity
    level = 0.62 - 0.85 * max(0.0, severity - SUBTLE)  # half-heights below the middle, of the meniscus in mid-lung
    dense = lung.depth * (0.65 + 0.35 * severity)
    # The angle: a small wedge against the wall.
    rise = lung.height * (0.10 + 0.42 * severity)
    x, y, z = lung.at(0.78, 0.70, 0.0)
    wedge = blob(
        "fluid", (x, y - 0.55 * rise, z), (rise, lung.width * (0.14 + 0.10 * severity)), density=0.8 * dense, depth=2.0
    )
    scene.add(replace(wedge, w0=0.45 * wedge.wm, x0=wedge.x0 + finding.sign * 0.1 * lung.width))
    mark(scene, finding, wedge)
    if severity > SUBTLE:
        half = lung.height * (1.0 - level) / 2
        place = lung.at(0.12, level + (1.0 - level) / 2, -0.05)
        base = blob("fluid", place, (half, 0.85 * lung.width), density=dense, depth=1.1, square=0.35)
        scene.add(base)
        mark(scene, finding, base)
    return f"{finding.side} costophrenic angle"


def pneumothorax(scene: Scene, finding: Finding) -> str:
    """Air around one lung: the thin line of the pleura, and no vessels between it and the wall."""
    lung, severity = _lung(scene, finding.sign), finding.severity
    gap = 0.10 + 0.42 * severity  # share of the width of the lung
    shape = lung.shape
    dx, dy = -finding.sign * 0.55 * gap * lung.width, 0.28 * gap * lung.height
    inner = replace(
        shape, name="collapsed lung", x0=shape.x0 + dx, x1=shape.x1 + dx, y0=shape.y0 + dy, y1=shape.y1 + dy,
        w0=shape.w0 * (1 - 0.48 * gap), wm=shape.wm * (1 - 0.48 * gap), w1=shape.w1 * (1 - 0.48 * gap),
    )  # fmt: skip
    inner = replace(inner, y0=inner.y0 if inner.y0 > inner.y1 else inner.y0 + 0.3 * gap * lung.height)
    scene.add(replace(inner, density=lung.depth * (0.05 + 0.28 * severity), cortex=0.0, hollow=0.0))
    scene.add(replace(inner, density=1.2 + 0.8 * severity, cortex=0.007, hollow=1.0))
    for index, other in enumerate(scene.shapes):
        if "vessel" in other.name and other.middle[0] * finding.sign > 0 and not _within(inner, other.middle):
            scene.shapes[index] = replace(other, density=0.0)
    scene.add(replace(shape, name="air", density=-0.12 * lung.depth * (0.3 + severity)))
    x, y, z = lung.at(1.0 - 0.45 * gap, -0.15)
    mark(scene, finding, blob(finding.name, (x, y, z), (0.62 * lung.height, 0.42 * gap * lung.width + 0.02)))
    x, y, z = lung.at(0.0, -0.98 + 0.32 * gap)
    mark(scene, finding, blob(finding.name, (x, y, z), (0.30 * gap * lung.height, 0.62 * lung.width)))
    return f"{finding.side} hemithorax"


def _within(outline: Shape, point: Point) -> bool:
    x, y, _ = outline.middle
    half = np.hypot(outline.x1 - outline.x0, outline.y1 - outline.y0) / 2
    return bool(((point[0] - x) / outline.wm) ** 2 + ((point[1] - y) / half) ** 2 < 1)


def cardiomegaly(scene: Scene, finding: Finding) -> str:
    """A heart that grows from just above normal to most of the chest, mainly to the left."""
    factor = 1.10 + 0.42 * finding.severity
    centre = np.array(scene.shapes[scene.find("heart")].middle)
    for index, shape in enumerate(scene.shapes):
        if shape.name != "heart":
            continue
        ends = np.array([[shape.x0, shape.y0, shape.z0], [shape.x1, shape.y1, shape.z1]])
        x0, y0, z0, x1, y1, z1 = (centre + (ends - centre) * factor + [0.10 * (factor - 1), 0.0, 0.0]).ravel().tolist()
        scene.shapes[index] = grown = replace(
            shape, x0=x0, y0=y0, z0=z0, x1=x1, y1=y1, z1=z1,
            w0=shape.w0 * factor, wm=shape.wm * factor, w1=shape.w1 * factor,
        )  # fmt: skip
        mark(scene, finding, grown)
    return "heart"


def interstitial_opacity(scene: Scene, finding: Finding) -> str:
    """Both lungs: streaks from the hila, thick bronchial walls and a fine net, the pattern of viral infection."""
    random, severity = finding.generator(), finding.severity
    for sign in (-1, 1):
        lung = _lung(scene, sign)
        density = lung.depth * (0.14 + 0.34 * severity)
        hilum = np.array(lung.at(-0.62, 0.02))
        for angle in np.radians(np.linspace(-75, 75, 8) + random.uniform(-9, 9, 8)):
            direction = np.array([sign * np.cos(angle), np.sin(angle), 0.0])
            start = hilum + direction * 0.15 * lung.width
            reach = lung.width * random.uniform(0.5, 0.8) * (0.7 + 0.5 * severity)
            _branch(scene, "streak", start, direction, reach, 0.009, density)
        for _ in range(5 + round(6 * severity)):
            x, y, z = lung.at(random.uniform(-0.6, 0.45), random.uniform(-0.45, 0.55))
            radius = random.uniform(0.018, 0.034)
            ring = blob("cuff", (x, y, z), (radius, radius), density=1.5 * density, depth=1.0)
            scene.add(replace(ring, cortex=0.009, hollow=1.0))
        haze = blob("haze", lung.at(-0.3, 0.05), (0.62 * lung.height, 0.66 * lung.width), density=0.25 * density)
        scene.add(haze)
        mark(scene, finding, haze)
    return "both perihilar regions"


def increased_vascularity(scene: Scene, finding: Finding) -> str:
    """Wide vessels near the hila and in the outer third of both lungs, as with a shunt from left to right."""
    random, severity = finding.generator(), finding.severity
    wide = 1.0 + 1.0 * severity
    for index, shape in enumerate(scene.shapes):
        if "vessel" in shape.name:
            scene.shapes[index] = replace(shape, w0=shape.w0 * wide, wm=shape.wm * wide, w1=shape.w1 * wide)
    for sign in (-1, 1):
        lung = _lung(scene, sign)
        hilum, density = np.array(lung.at(-0.66, 0.0)), lung.depth * (0.20 + 0.34 * severity)
        middle = (float(hilum[0]), float(hilum[1]), 0.0)
        size = lung.width * (0.20 + 0.18 * severity)
        scene.add(blob("hilum", middle, (1.3 * size, 0.8 * size), density=0.8 * density))
        for angle in np.radians(np.linspace(-68, 72, 6) + random.uniform(-8, 8, 6)):
            direction = np.array([sign * np.cos(angle), np.sin(angle), 0.0])
            reach = min(lung.width * 1.35 / max(abs(float(np.cos(angle))), 0.3), 0.85 * lung.height)
            _branch(scene, "artery", hilum, direction, reach, 0.016 + 0.018 * severity, density, taper=0.35)
        mark(scene, finding, blob(finding.name, lung.at(-0.05, 0.0), (0.72 * lung.height, 0.85 * lung.width)))
    return "both lungs"


def _branch(
    scene: Scene, name: str, start: Vector, direction: Vector, length: float, width: float, density: float,
    *, taper: float = 1.0,
) -> None:  # fmt: skip
    """A tube that starts at a place and forks once."""
    direction = direction / np.linalg.norm(direction)
    stem = strip(name, start + direction * length * 0.3, direction, 0.3 * length, width, density, reach=width)
    scene.add(replace(stem, w1=stem.wm * (1 + taper) / 2, square_side=0.0))
    fork = start + direction * 0.58 * length
    for spread in (-0.28, 0.28):
        along = _turned(direction, spread)
        thin = strip(name, fork + along * 0.2 * length, along, 0.22 * length, 0.75 * width, density, reach=width)
        scene.add(replace(thin, w1=thin.wm * taper, square_side=0.0))


def _turned(direction: Vector, angle: float) -> Vector:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([direction[0] * cos - direction[1] * sin, direction[0] * sin + direction[1] * cos, direction[2]])
