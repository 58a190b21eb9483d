"""Findings of the chest: lungs, pleura, heart and vessels. Sizes follow the lungs of the scene."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pedclip.data.phantom.body.scene import Scene, blob
from pedclip.data.phantom.findings.finding import Finding, annotate, strip
from pedclip.data.phantom.imaging.shapes import Point, Shape, Vector

# Lobes of each lung: words, and the middle in half-widths of the lung outwards and half-heights down, then z.
_LOBES: Final = {
    "right": (("upper lobe", 0.0, -0.50, 0.05), ("middle lobe", -0.15, 0.22, 0.22), ("lower lobe", 0.15, 0.50, -0.22)),
    "left": (("upper lobe", 0.0, -0.48, 0.05), ("lingula", -0.05, 0.22, 0.24), ("lower lobe", 0.12, 0.50, -0.22)),
}


@dataclass(frozen=True, slots=True)
class _Lung:
    """A frame in one lung: `at` gives scene units from fractions of its half-width and half-height."""

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
        """Scene units from fractions of the half-width (outwards) and along the axis (-1 apex, 1 base)."""
        shape, (x, y, _) = self.shape, self.shape.middle
        # The apex is the end with the smaller y, whichever way the shape was drawn.
        top, low = sorted(((shape.y0, shape.x0), (shape.y1, shape.x1)))
        x, y = x + down * (low[1] - top[1]) / 2, y + down * (low[0] - top[0]) / 2
        return (x + self.sign * outwards * self.width, y, z)


def _lung(scene: Scene, sign: int) -> _Lung:
    return _Lung(scene.shapes[scene.find("left lung" if sign > 0 else "right lung")], sign)


def consolidation(scene: Scene, finding: Finding) -> str:
    """Round, segmental or lobar density with patchy edges; air-filled bronchi where it is dense."""
    lung, random, severity = _lung(scene, finding.sign), finding.generator(), finding.severity
    lobes = _LOBES[finding.side]
    words, outwards, down, z = lobes[min(int(finding.pick * len(lobes)), len(lobes) - 1)]  # `pick` chooses the lobe
    centre = np.array(lung.at(outwards + random.uniform(-0.2, 0.2), down + random.uniform(-0.1, 0.1), z))
    is_round = finding.variant < 0.25
    size = lung.width * (0.22 + 0.22 * severity) if is_round else lung.width * (0.24 + 0.42 * severity)
    full = lung.depth * (0.12 + 0.94 * severity)  # of the whole opacity, where its patches overlap
    count = 1 if is_round else 7  # patches
    for _ in range(count):
        dx, dy, dz = random.uniform(-0.6, 0.6, 3) * size * (count > 1)
        patch: Point = (float(centre[0] + dx), float(centre[1] + dy), float(centre[2] + 0.5 * dz))
        radii = (size * random.uniform(0.6, 1.0), size * random.uniform(0.4, 0.7)) if count > 1 else (size, 0.95 * size)
        part = blob(
            "consolidation", patch, radii, angle=random.uniform(0, 180), density=full * (0.58 if count > 1 else 1.0)
        )
        scene.add(part)
        annotate(scene, finding, part)
    # Bronchi that still hold air stand out in a dense lobe.
    if severity > 0.55 and not is_round:
        hilum = np.array(lung.at(-0.75, 0.05))
        for spread in (-0.35, 0.0, 0.35):
            _branch(scene, "bronchogram", centre, _turned(centre - hilum, spread), 0.9 * size, 0.011, -0.35 * full)
    return f"{finding.side} {words}"


def pleural_effusion(scene: Scene, finding: Finding) -> str:
    """Fluid blunts the angle between chest wall and diaphragm, then rises along the wall as a meniscus."""
    lung, severity = _lung(scene, finding.sign), finding.severity
    dense = lung.depth * (0.36 + 0.62 * severity)
    rise = 0.03 + 0.52 * severity  # half-heights of the lung
    base = blob(
        "fluid",
        lung.at(0.25, 0.80 - 0.8 * rise),
        (rise * lung.height, 0.85 * lung.width),
        density=(0.25 + severity) * dense,
        depth=1.4,
        square=0.5,
    )
    # Against the wall, higher than in the middle of the lung.
    place = lung.at(1.0, 0.78 - 1.0 * rise)
    wedge = blob("fluid", place, (1.25 * rise * lung.height, lung.width * (0.16 + 0.12 * severity)),
                 angle=90 + 4 * finding.sign, density=0.8 * dense, depth=2.5)  # fmt: skip
    for part in (base, wedge):
        scene.add(part)
        annotate(scene, finding, part)
    return f"{finding.side} costophrenic angle"


def pneumothorax(scene: Scene, finding: Finding) -> str:
    """Air around one lung: the thin line of the pleura, and no vessels between it and the wall."""
    lung, severity = _lung(scene, finding.sign), finding.severity
    # Wide enough to be seen even where it is subtle.
    gap = 0.24 + 0.42 * severity  # fraction of the half-width of the lung
    top, low = np.array(lung.at(-0.25, 0.35 * gap - 0.97)), np.array(lung.at(1.0 - 0.4 * gap, 0.75))
    half = float(np.linalg.norm(low - top)) / 2
    # The collapsed lung is convex towards the wall, less so the further it has collapsed.
    bow = -finding.sign * (0.52 - 0.62 * gap) * lung.width
    line = strip(
        "pleura", (top + low) / 2, (low - top) / (2 * half), half, 0.012, 0.15 + 0.14 * severity, reach=0.12, bend=bow
    )
    scene.add(line)
    sideways = lung.at(1.0 - 0.95 * gap, 0.0)[0]
    for index, shape in enumerate(scene.shapes):
        # Beyond the pleura there are no vessels.
        if shape.name == "vessel" and (shape.middle[0] - sideways) * finding.sign > 0:
            scene.shapes[index] = replace(shape, density=0.0)
    dark = -lung.depth * (0.28 + 0.42 * severity)
    flank = (0.66 * lung.height, 0.46 * gap * lung.width)
    apex = (0.32 * gap * lung.height + 0.015, 0.5 * lung.width)
    for place, size in ((lung.at(1.0 - 0.48 * gap, -0.12), flank), (lung.at(0.1, 0.30 * gap - 0.96), apex)):
        air = blob("air", place, size, density=dark, depth=2.0)
        scene.add(air)
        annotate(scene, finding, air)
    return f"{finding.side} hemithorax"


def cardiomegaly(scene: Scene, finding: Finding) -> str:
    """A heart that grows from just above normal to most of the chest, mainly to the left."""
    # The power keeps small severities near the normal range.
    factor = 1.01 + 0.39 * finding.severity**1.5
    centre = np.array(scene.shapes[scene.find("heart")].middle)
    for index, shape in enumerate(scene.shapes):
        if shape.name != "heart":
            continue
        ends = np.array([shape.start, shape.end])  # (2, 3)
        x0, y0, z0, x1, y1, z1 = (centre + (ends - centre) * factor + [0.10 * (factor - 1), 0.0, 0.0]).ravel().tolist()
        scene.shapes[index] = grown = replace(
            shape, x0=x0, y0=y0, z0=z0, x1=x1, y1=y1, z1=z1,
            w0=shape.w0 * factor, wm=shape.wm * factor, w1=shape.w1 * factor,
        )  # fmt: skip
        annotate(scene, finding, grown)
    return "heart"


def interstitial_opacity(scene: Scene, finding: Finding) -> str:
    """Both lungs: streaks from the hila, thick bronchial walls and a fine net, the pattern of viral infection."""
    random, severity = finding.generator(), finding.severity
    for sign in (-1, 1):
        lung = _lung(scene, sign)
        density = lung.depth * (0.05 + 0.51 * severity)
        # Markings fan out from the hila, as bronchi and vessels do.
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
            scene.add(replace(ring, cortex=0.009, hollow=1.0))  # a bronchus seen end-on: a ring
        haze = blob("haze", lung.at(-0.3, 0.05), (0.62 * lung.height, 0.66 * lung.width), density=0.25 * density)
        scene.add(haze)
        annotate(scene, finding, haze)
    return "both perihilar regions"


def increased_vascularity(scene: Scene, finding: Finding) -> str:
    """Wide vessels near the hila and in the outer third of both lungs, as with a shunt from left to right."""
    random, severity = finding.generator(), finding.severity
    wide = 1.0 + 1.0 * severity**1.3
    for index, shape in enumerate(scene.shapes):
        # The vessels that are there grow wide; more are added below.
        if "vessel" in shape.name:
            scene.shapes[index] = replace(shape, w0=shape.w0 * wide, wm=shape.wm * wide, w1=shape.w1 * wide)
    for sign in (-1, 1):
        lung = _lung(scene, sign)
        hilum, density = np.array(lung.at(-0.66, 0.0)), lung.depth * (0.07 + 0.45 * severity)
        middle = (float(hilum[0]), float(hilum[1]), 0.0)
        size = lung.width * (0.20 + 0.18 * severity)
        scene.add(blob("hilum", middle, (1.3 * size, 0.8 * size), density=0.35 * density))
        for angle in np.radians(np.linspace(-68, 72, 6) + random.uniform(-8, 8, 6)):
            direction = np.array([sign * np.cos(angle), np.sin(angle), 0.0])
            # Into the outer third, but not through the wall.
            reach = 0.8 * min(lung.width * 1.35 / max(abs(float(np.cos(angle))), 0.3), 0.85 * lung.height)
            _branch(
                scene,
                "artery",
                hilum + 0.2 * reach * direction,
                direction,
                reach,
                0.012 + 0.021 * severity,
                density,
                taper=0.35,
            )
        annotate(scene, finding, blob(finding.name, lung.at(-0.05, 0.0), (0.72 * lung.height, 0.85 * lung.width)))
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
