"""Fractures: buckle, greenstick, transverse, oblique, through a growth plate, of the skull, of a vertebral body.

The break itself tells of it: lines and bands grow denser and wider with the severity, bones are displaced unless it is
subtle, and ribs show callus. The swelling around it is mild, sometimes absent, and seen without fractures too
(`soft_tissue.incidental`).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from pedclip.data.phantom.body.scene import Scene, blob
from pedclip.data.phantom.findings.finding import SUBTLE, Finding, annotate, strip
from pedclip.data.phantom.findings.sites import Site, choose_bone, metaphyseal_site, place, plate_end, shaft_site
from pedclip.data.phantom.findings.soft_tissue import oedema
from pedclip.data.phantom.imaging.shapes import Shape, Vector

# Frequencies of (buckle, greenstick, physeal, transverse, oblique) up to an age in years: soft bones bend, plates
# give way.
_FREQUENCIES: Final = (
    (2.0, (0.30, 0.10, 0.00, 0.30, 0.30)),
    (10.0, (0.32, 0.15, 0.10, 0.25, 0.18)),
    (14.5, (0.06, 0.08, 0.28, 0.32, 0.26)),
    (99.0, (0.00, 0.00, 0.00, 0.50, 0.50)),
)
_FORMS: Final = ("buckle", "greenstick", "physeal", "transverse", "oblique")
_FLAT: Final = ("pelvis", "skull", "facial_bones", "chest")  # regions whose bones have lines only
_NO_PLATE: Final = (*_FLAT, "clavicle", "hip")  # regions without the growth plate of a long bone


def form(finding: Finding, age: float, *, region: str = "") -> str:
    """Form of a fracture.

    Args:
        finding: Any finding.
        age: Years.
        region: Where it is; flat bones have lines only. Unknown where empty.

    Returns:
        "buckle", "greenstick", "physeal", "transverse" or "oblique"; "" for findings other than fractures.
    """
    if finding.name != "fracture":
        return ""
    frequencies = next(frequencies for oldest, frequencies in _FREQUENCIES if age <= oldest)
    # The uniform `variant` falls into the forms with their frequencies (inverse of the cumulated ones).
    kind = _FORMS[min(int(np.searchsorted(np.cumsum(frequencies), finding.variant, side="right")), 4)]
    flat = region in _FLAT and kind not in ("transverse", "oblique")
    return _plain(finding) if flat or (region in _NO_PLATE and kind == "physeal") else kind


def _plain(finding: Finding) -> str:
    """Substitute for a form that a bone cannot have."""
    return "transverse" if finding.sign > 0 else "oblique"


def fracture(scene: Scene, finding: Finding) -> str:
    """A break of the form that `form` names."""
    kind = form(finding, scene.age)
    site = (metaphyseal_site if kind in ("buckle", "greenstick") else shaft_site)(scene, finding)
    if site.shape.name == "vault":
        return _skull_line(scene, finding)
    if kind == "physeal":
        site = _plate_site(scene, finding)
    elif kind == "transverse" and finding.along > 0.4:
        site = metaphyseal_site(scene, finding)
    # A curved bone is a chain of pieces: bending one would tear the chain.
    pieces = sum(shape.name == site.shape.name for shape in scene.shapes)
    if kind not in ("transverse", "oblique") and pieces > 1:
        kind = _plain(finding)
    if kind == "physeal" and not plate_end(scene, site.index):
        kind = _plain(finding)
    _DRAW[kind](scene, finding, site)
    if site.words.endswith("rib"):  # seen late, when it heals
        callus = site.mass * (0.20 + 0.70 * finding.severity)
        lump = (1.8 * site.width, (1.0 + 0.5 * finding.severity) * site.width)  # callus around the break
        angle = float(np.degrees(np.arctan2(site.along[1], site.along[0])))
        scene.add(blob("callus", tuple(site.point.tolist()), lump, angle=angle, density=callus))
    oedema(scene, finding, site.point)
    return site.words


def _plate_site(scene: Scene, finding: Finding) -> Site:
    """The end of a bone at its growth plate; the middle of a bone where no plate is drawn."""
    index = choose_bone(scene, finding)
    if not plate_end(scene, index):
        # Another bone with a plate in view, if there is one.
        names = [name for name in scene.breakable if plate_end(scene, scene.find(name))]
        if not names:
            return metaphyseal_site(scene, finding)
        index = scene.find(names[min(int(finding.pick * len(names)), len(names) - 1)])
    return place(scene, index, 0.97 * plate_end(scene, index))  # just inside the end, where the plate is


def _line(scene: Scene, finding: Finding, site: Site, *, slope: float, offset: float = 0.0, reach: float = 1.0) -> None:
    """A lucent line across the bone.

    `slope` is its obliquity (tangent), `offset` and `reach` its middle and its half-length in half-widths of the bone.
    """
    direction = site.across + slope * site.along
    half = reach * site.width * float(np.linalg.norm(direction))  # a slanted line is longer
    direction = direction / np.linalg.norm(direction)
    width = 0.013 + min(site.width, 0.2) * (0.06 + 0.18 * finding.severity)  # wider in thicker bones, up to a point
    depth = min(0.42 + 0.80 * finding.severity, 0.95) * site.mass
    centre = site.point + offset * site.width * direction
    line = strip("fracture line", centre, direction, 0.96 * half, width, -depth, reach=site.width, sway=0.5 * width)
    scene.add(line)
    annotate(
        scene, finding, strip("", centre, direction, half * 1.05, max(2.2 * width, 0.25 * site.width), 1.0, reach=0.1)
    )


def _displace(scene: Scene, site: Site, *, shift: float, angle: float, bulge: float = 0.0, slope: float = 0.0) -> None:
    """Move what lies beyond the break sideways (scene units) and bend it (radians), with its epiphysis."""
    shape = site.shape
    length = float(np.linalg.norm(np.subtract(shape.end, shape.start))) / 2
    if sum(other.name == shape.name for other in scene.shapes) > 1:  # a piece of a curved bone
        angle = 0.0
    rest = length * (1 - site.u)  # from the break to the end
    most = min(0.10, 1.3 * site.width) / max(rest, 0.1)  # the bones beyond stay where they are
    angle = float(np.clip(angle, -most, most))
    scene.shapes[site.index] = replace(shape, crack=site.u, shift=shift, angulation=angle, bulge=bulge, slope=slope)
    # The epiphysis at the far end goes along with the part that it belongs to.
    tip, normal = np.array(shape.end), np.array([-site.along[1], site.along[0]])
    dx, dy = normal * (shift + angle * rest)
    for index, cap in enumerate(scene.shapes):
        if cap.name == f"{shape.name} epiphysis" and np.linalg.norm(np.array(cap.middle) - tip) < length * 0.6:
            scene.shapes[index] = cap.moved(dx, dy)


def _buckle(scene: Scene, finding: Finding, site: Site) -> None:
    """Both cortices bulge; compressed trabeculae make a dense band, faint where it is subtle."""
    severity = finding.severity
    grown = max(site.width, 0.045) * (0.20 + 0.55 * severity)  # bulge of the cortex
    _displace(scene, site, shift=0.0, angle=finding.sign * 0.25 * max(0.0, severity - SUBTLE), bulge=grown)
    band = site.mass * (0.18 + 0.45 * severity)  # compressed trabeculae are denser
    thick = max(0.18 * site.width, 0.014)
    scene.add(strip("buckle", site.point, site.across, 0.95 * site.width, thick, band, reach=site.width))
    annotate(scene, finding, strip("", site.point, site.across, site.width + 1.3 * grown, 0.75 * site.shape.wm, 1.0))


def _greenstick(scene: Scene, finding: Finding, site: Site) -> None:
    """The bone bends and the cortex on the outside of the bow breaks."""
    _displace(scene, site, shift=0.0, angle=finding.sign * (0.14 + 0.56 * finding.severity))
    _line(scene, finding, site, slope=0.15 * finding.sign, offset=-0.48 * finding.sign, reach=0.52)


def _transverse(scene: Scene, finding: Finding, site: Site) -> None:
    _complete(scene, finding, site, slope=0.35 * (finding.along - 0.5))


def _oblique(scene: Scene, finding: Finding, site: Site) -> None:
    _complete(scene, finding, site, slope=finding.sign * (0.55 + 0.65 * finding.along))


def _complete(scene: Scene, finding: Finding, site: Site, *, slope: float) -> None:
    """A line through the whole bone, displaced unless it is subtle."""
    beyond = max(0.0, finding.severity - SUBTLE)
    moved = 1.9 * finding.sign * beyond  # half-widths of the bone
    _displace(scene, site, shift=moved * site.width, angle=0.6 * finding.sign * beyond, slope=slope)
    # Between the parts as far as they still face each other.
    _line(scene, finding, site, slope=slope, offset=moved / 2, reach=max(0.3, 1 - abs(moved) / 2))


def _physeal(scene: Scene, finding: Finding, site: Site) -> None:
    """The epiphysis slips and takes a corner of the metaphysis along."""
    severity, sign, width = finding.severity, finding.sign, site.width
    end = plate_end(scene, site.index)
    outwards = site.along * end
    slip = site.across * sign * width * (0.16 + 0.70 * severity) + outwards * width * (0.05 + 0.22 * severity)
    for index, cap in enumerate(scene.shapes):
        # Of the two epiphyses of a bone, the one at this end.
        near = np.linalg.norm(np.array(cap.middle) - site.point) < 1.6 * width
        if cap.name == f"{site.shape.name} epiphysis" and near:
            scene.shapes[index] = cap.moved(*slip)
    # The corner of the metaphysis that breaks off (Salter-Harris II).
    middle = site.point - outwards * 0.34 * width + site.across * sign * 0.44 * width
    direction = site.across * sign * 0.8 - outwards * 0.6
    thick, depth = 0.012 + width * (0.05 + 0.10 * severity), (0.35 + 0.55 * severity) * site.mass
    scene.add(strip("fracture line", middle, direction, 0.37 * width, thick, -depth, reach=0.8 * width))
    annotate(scene, finding, strip("", middle, direction, 0.55 * width, 0.25 * width, 1.0))
    plate = site.point + outwards * 0.25 * width + slip / 2  # halfway between where the epiphysis was and is
    annotate(scene, finding, strip("", plate, site.across, width * (1.05 + 0.35 * severity), 0.42 * width, 1.0))


_DRAW: Final[dict[str, Callable[[Scene, Finding, Site], None]]] = {
    "buckle": _buckle, "greenstick": _greenstick, "physeal": _physeal, "transverse": _transverse, "oblique": _oblique,
}  # fmt: skip


def _skull_line(scene: Scene, finding: Finding) -> str:
    """A thin line of three straight runs in the vault: as faint as a suture where it is subtle, else darker."""
    random, vault = finding.generator(), scene.shapes[scene.find("vault")]
    x, y, z = vault.middle
    # Start of the line on the vault.
    at = np.array([x + finding.sign * vault.wm * (0.30 + 0.25 * finding.along), y - 0.45 + 0.55 * finding.pick, 0.0])
    at[2] = z + 0.3 * vault.wm
    angle = np.radians(random.uniform(20, 160))
    frontal = at[1] < y - 0.3  # y points down
    for _ in range(3):
        direction = np.array([np.cos(angle), np.sin(angle), 0.0])
        half = 0.06 + 0.08 * finding.severity
        depth, width = 0.09 + 0.26 * finding.severity, 0.008 + 0.007 * finding.severity
        centre: Vector = at + direction * half
        scene.add(strip("fracture line", centre, direction, half * 1.1, width, -depth, reach=0.1))
        annotate(scene, finding, strip("", centre, direction, half * 1.1, 0.035, 1.0))
        # The next run goes on where this one ended, at an angle.
        at, angle = at + direction * 2 * half, angle + random.uniform(-0.5, 0.5)
    return f"{finding.side} {'frontal' if frontal else 'parietal'} bone"


def compression_fracture(scene: Scene, finding: Finding) -> str:
    """A vertebral body loses a third to two thirds of its height; its end plate becomes dense."""
    site = place(scene, choose_bone(scene, finding), 0.0)
    body = site.shape
    height = abs(body.y1 - body.y0)
    loss = (0.34 + 0.34 * finding.severity) * height  # scene units
    wider = body.wm * (1.0 + 0.10 * finding.severity)
    scene.shapes[site.index] = _lowered(body, loss, wider / body.wm)
    top = site.point + np.array([0.0, loss - height / 2 + 0.02, 0.0])
    dense = body.density * (0.50 + 0.50 * finding.severity)
    scene.add(strip("end plate", top, np.array([1.0, 0.0, 0.0]), 0.9 * wider, 0.10 * height, dense, reach=0.6 * wider))
    size = (height * 0.58, wider * 1.05)
    annotate(scene, finding, blob(finding.name, body.middle, size))
    return body.name


def _lowered(body: Shape, loss: float, wider: float) -> Shape:
    """A vertebral body whose upper end plate has sunk; `wider` is a factor."""
    body = replace(body, w0=body.w0 * wider, wm=body.wm * wider, w1=body.w1 * wider)
    # y points down: the upper end plate is the end with the smaller y.
    if body.y0 < body.y1:
        return replace(body, y0=body.y0 + loss)
    return replace(body, y1=body.y1 + loss)
