"""Lesions of bone: periosteal reaction, lytic and sclerotic lesions."""

from dataclasses import replace
from typing import Final

import numpy as np

from pedclip.data.phantom.body.scene import Scene, blob
from pedclip.data.phantom.findings.finding import SUBTLE, Finding, annotate, strip
from pedclip.data.phantom.findings.sites import Site, shaft_site
from pedclip.data.phantom.imaging.shapes import Point, Shape, Vector, to_point

_FLAT: Final = 0.4  # half-width of a plate or the vault, scene units: lesions lie anywhere on it


def periosteal_reaction(scene: Scene, finding: Finding) -> str:
    """New bone along the shaft: one layer, two, or a sunburst of spicules; on one side where it is slightest."""
    # The middle half of the bone: lesions that raise the periosteum sit in shafts.
    site = shaft_site(scene, replace(finding, along=0.25 + 0.5 * finding.along))
    severity = finding.severity
    axis = np.subtract(site.shape.end, site.shape.start)
    # Half-length of the new bone, scene units.
    half = min(float(np.linalg.norm(axis)) * (0.20 + 0.12 * severity), 0.22 + 0.18 * severity)
    density = site.mass * (0.95 + 0.45 * severity)
    sunburst = finding.variant > 0.7 and severity > 0.5
    layers = 1 if severity < SUBTLE or finding.variant < 0.4 else 2
    for side in (-1, 1) if severity > 0.15 else (finding.sign,):
        if sunburst:
            _sunburst(scene, finding, site, side, half, density)
            continue
        for layer in range(layers):
            _layer(scene, finding, site, side, half * (1 - 0.15 * layer), 0.45 + 0.45 * layer, density)
    return site.words


def _layer(scene: Scene, finding: Finding, site: Site, side: int, half: float, off: float, density: float) -> None:
    """A line parallel to the cortex, about `off` half-widths outside it."""
    # Not in proportion to the bone beyond these bounds: lines at a thin or a thick bone stay readable.
    unit = min(max(site.width, 0.035), 0.14)
    centre = site.point + site.across * side * (site.width + off * unit * (0.8 + 0.5 * finding.severity))
    width = 0.019 + 0.007 * finding.severity
    line = strip("periosteum", centre, site.along, half, width, density, reach=0.8 * site.width)
    if abs(site.across[2]) > 0.5:  # seen at the side in a lateral view: thin towards the viewer of the frontal one
        wide = 0.8 * site.width
        line = replace(line, w0=wide, wm=wide, w1=wide, depth=max(width, 0.008) / wide)
    scene.add(line)
    # The annotation covers the gap to the cortex too.
    annotate(scene, finding, strip("", centre, site.along, half * 1.02, max(0.3 * unit, 0.02), 1.0, reach=0.05))


def _sunburst(scene: Scene, finding: Finding, site: Site, side: int, half: float, density: float) -> None:
    """Spicules that stand off the cortex."""
    random = finding.generator()
    reach = min(max(0.8 * site.width, 0.05), 0.16) * finding.severity  # length of a spicule, scene units
    for place in np.linspace(-0.7, 0.7, 7):
        at = site.point + site.along * place * half
        direction: Vector = site.across * side + site.along * (1.1 * place + random.uniform(-0.15, 0.15))
        direction = direction / np.linalg.norm(direction)
        centre = at + site.across * side * site.width + direction * reach * random.uniform(0.5, 0.8)
        scene.add(strip("spicule", centre, direction, reach, 0.006, 0.7 * density, reach=0.03))
    centre = site.point + site.across * side * (site.width + 0.6 * reach)
    annotate(scene, finding, strip("", centre, site.along, 0.8 * half, reach, 1.0, reach=0.05))


def lytic_lesion(scene: Scene, finding: Finding) -> str:
    """A hole about as wide as the bone: moth-eaten, geographic with a thin rim or without, or against the cortex."""
    site, point, radius = _lesion(scene, finding)
    depth = site.mass * (0.68 + 0.32 * finding.severity)  # how much of the bone is gone
    if finding.variant < 0.25:
        random = finding.generator()
        # Moth-eaten: many small holes.
        for _ in range(8):
            dx, dy = random.uniform(-1.0, 1.0, 2) * radius
            hole = (point[0] + dx, point[1] + 1.2 * dy, point[2])
            size = radius * random.uniform(0.22, 0.38)
            scene.add(blob("lesion", hole, (size * 1.2, size), density=-0.8 * depth, angle=random.uniform(0, 180)))
        return site.words
    if finding.variant > 0.75 and site.width < _FLAT:  # eccentric: against the cortex
        point = to_point(np.array(point) + site.across * finding.sign * max(0.0, site.width - radius))
    scene.add(_oval("lesion", point, radius, site, -depth))
    # Geographic with a rim: a hollow shell around the hole.
    if 0.25 <= finding.variant < 0.6:
        rim = _oval("rim", point, 1.05 * radius, site, 0.30 * site.mass * (0.4 + 0.6 * finding.severity))
        scene.add(replace(rim, cortex=max(0.16 * radius, 0.008), hollow=1.0))
    return site.words


def sclerotic_lesion(scene: Scene, finding: Finding) -> str:
    """A dense focus in the bone with a soft edge."""
    site, point, radius = _lesion(scene, finding)
    density = site.mass * (0.50 + 0.75 * finding.severity)
    # Two ovals, one inside the other: the edge is half as dense as the middle.
    scene.add(_oval("lesion", point, radius, site, 0.55 * density))
    scene.add(_oval("lesion", point, 0.7 * radius, site, 0.45 * density))
    return site.words


def _oval(name: str, point: Point, radius: float, site: Site, density: float) -> Shape:
    """An ellipsoid along the bone."""
    angle = float(np.degrees(np.arctan2(site.along[1], site.along[0])))
    return blob(name, point, (1.25 * radius, radius), angle=angle, density=density, depth=1.0)


def _lesion(scene: Scene, finding: Finding) -> tuple[Site, Point, float]:
    site = shaft_site(scene, finding)
    # On a plate the axis says little, so the lesion is moved off it.
    flat = site.width > _FLAT
    radius = min(max(site.width * (0.95 + 0.45 * finding.severity), 0.085), 0.16 + 0.10 * finding.severity)
    moved = site.point + site.across * (finding.sign * 0.45 * site.width if flat else 0.0)
    point = to_point(moved)
    annotate(scene, finding, _oval(finding.name, point, 1.1 * radius, site, 1.0))
    words = f"{finding.side} parietal bone" if site.shape.name == "vault" else site.words
    return replace(site, words=words), point, radius
