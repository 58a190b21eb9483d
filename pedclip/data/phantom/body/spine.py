"""Vertebrae, and the layouts of the thoracic and lumbar spine, seen from the front; left is at positive x."""

import math

from pedclip.data.phantom.body.scene import Scene
from pedclip.data.phantom.imaging.shapes import ADDED, Point, Shape


def _body(s: Scene, name: str, at: Point, width: float, height: float, density: float) -> None:
    """A body with a waist; in infants an oval between wide discs."""
    x, y, z = s.place(at)
    grown = min(1.0, s.maturity / 9)  # the body is a block with a waist from nine years on
    # Half of the variation of long bones.
    width, height = width * (0.5 + 0.5 * s.physique.bone), height * (0.80 + 0.20 * grown)
    s.add(
        Shape(
            name, x, y - height, z, x, y + height, z, width, width * (1 - 0.11 * grown), width * 1.02, 2.0,
            0.35 + 0.6 * grown, 0.2 + 0.5 * grown, 0.78, density * s.mineral, 0.016, 0.45,
        )
    )  # fmt: skip


def short_vertebra(s: Scene, name: str, at: Point, width: float, height: float, *, density: float = 0.20) -> None:
    """A vertebra behind heart or bowel: body, pedicles and spinous process, faint."""
    x, y, z = at
    _body(s, name, at, width, height, density)
    for side in (-1, 1):
        s.blob(name, (x + side * width * 0.6, y - height * 0.2, z - width), (height * 0.4, width * 0.2), density=0.045,
               depth=2.0, layer=ADDED)  # fmt: skip
    s.path(
        name,
        [(x, y + height * 0.2, z - width * 1.3), (x, y + height * 1.1, z - width * 2.2)],
        height * 0.22,
        density=density * 1.1,
    )


def vertebra(
    s: Scene, name: str, at: Point, width: float, height: float, *, transverse: float = 1.0, density: float = 0.62
) -> None:
    """Body, pedicles, spinous and transverse processes; `width` and `height` are halves, scene units."""
    x, y, z = at
    _body(s, name, at, width, height, density)
    for side in (-1, 1):
        s.blob(
            name, (x + side * width * 0.60, y - height * 0.25, z - width), (height * 0.42, width * 0.21),
            cortex=width * 0.09, hollow=0.7, density=density * 0.42, depth=2.2, layer=ADDED,
        )  # fmt: skip
        tip = (x + side * width * (1 + 0.75 * transverse), y - height * 0.22, z - width * 0.9)
        s.path(
            name, [(x + side * width * 0.8, y - height * 0.1, z - width * 0.8), tip], height * 0.26,
            end_width=height * 0.20, density=density * 0.38,
        )  # fmt: skip
        # Articular facets lie at the level of the disc below.
        facet = (x + side * width * 0.52, y + height * 0.95, z - width * 1.1)
        s.blob(name, facet, (height * 0.45, width * 0.14), density=density * 0.22, depth=1.6, layer=ADDED)
    s.blob(name, (x, y + height * 0.75, z - width * 1.7), (height * 0.45, width * 0.13), density=density * 0.32,
           depth=3.6, taper=0.3, layer=ADDED)  # fmt: skip
    s.path(
        name,
        [(x, y + height * 0.1, z - width * 1.2), (x, y + height * 0.9, z - width * 2.3)],
        height * 0.26,
        density=density * 0.85,
    )


def thoracic_spine(s: Scene) -> None:
    """Twelve vertebrae, collimated to the spine: heads and necks of the ribs, lungs at both sides."""
    n = s.rng.normal(size=4).clip(-2.0, 2.0).tolist()
    s.soft((0.0, -1.5, 0), (0.0, -0.95, 0), 0.42, 0.42, 0.80)  # neck
    s.soft((0.0, -1.0, 0), (0.0, 1.5, 0), 0.85, 0.92, 0.92, depth=0.7)  # trunk
    low = 0.80 + 0.05 * n[0]
    for side in (-1, 1):
        s.blob(
            "lung",
            (side * 0.56, -0.08, 0.05),
            (0.92, 0.38),
            angle=90 + side * 7,
            density=-0.26,
            depth=1.2,
            square=0.3,
            layer=ADDED,
        )
        s.blob(
            "diaphragm", (side * 0.55, low + 0.32, 0.05), (0.38, 0.56), density=0.26, depth=1.2, square=0.3, layer=ADDED
        )
        s.bone(
            "clavicle",
            (side * 0.12, -0.86, 0.4),
            (side * 0.95, -1.10, 0.1),
            (0.055, 0.038, 0.05),
            density=0.28,
            breakable=False,
        )
    curve = 0.16 + 0.03 * n[1]  # kyphosis, towards the back
    for order in range(13):
        # Vertebrae grow from top to bottom.
        y, size = -1.02 + 0.172 * order, 0.80 + 0.028 * order
        z = 0.10 - curve * math.cos((order - 6) / 4)
        vertebra(
            s, f"T{order}" if order else "C7", (0.0, y, z), 0.130 * size, 0.083 * size, transverse=0.75, density=0.34
        )
        if order and order < 12:
            _rib_root(s, order, y, z)
    s.blob("heart", (0.20, 0.34, 0.4), (0.50, 0.34), angle=62, density=0.13, square=0.3, layer=ADDED)
    s.blob("mediastinum", (0.0, 0.0, 0.3), (1.2, 0.20), density=0.11, square=0.6, layer=ADDED)
    s.blob("trachea", (0.0, -0.90, 0.2), (0.45, 0.055), density=-0.10, square=0.6, layer=ADDED)
    s.breakable = [f"T{level}" for level in range(2, 12)]


def _rib_root(s: Scene, order: int, y: float, z: float) -> None:
    """The back of a rib: steeper from level to level, with its shadow growing faint towards the side."""
    steep = 0.10 + 0.045 * order
    wide = 0.62 + 0.03 * min(order, 8)
    for side in (-1, 1):
        points = [
            (side * 0.13, y - 0.07, z - 0.05), (side * 0.34, y - 0.06, z - 0.32), (side * wide, y + steep * 0.55,
            z - 0.28), (side * (wide + 0.30), y + steep * 1.7, z + 0.15),
        ]  # fmt: skip
        s.path("rib", points, 0.034, end_width=0.038, density=0.15, cortex=0.010, hollow=0.4)


def lumbar_spine(s: Scene) -> None:
    """Five large vertebrae, sacrum and iliac crests."""
    n = s.rng.normal(size=4).clip(-2.0, 2.0).tolist()
    s.soft((0.0, -1.5, 0), (0.0, 1.5, 0), 0.72, 0.66, 0.88, depth=0.8)
    for side in (-1, 1):
        s.blob(
            "psoas", (side * 0.27, 0.10, 0.0), (0.66, 0.13), angle=90 - side * 13, density=0.09, taper=0.4, layer=ADDED
        )
    for order in range(7):
        y, name = -0.98 + 0.272 * order, ("T11", "T12", "L1", "L2", "L3", "L4", "L5")[order]
        lordosis = (0.10 + 0.03 * n[0]) * math.cos((order - 4) / 2)  # towards the viewer
        vertebra(
            s,
            name,
            (0.0, y, lordosis),
            0.165 + 0.008 * order,
            0.124,
            transverse=1.15 if order > 1 else 0.4,
            density=0.42,
        )
        for side in (-1, 1) if order < 2 else ():  # T11 and T12 carry the floating ribs
            points = [
                (side * 0.19, y - 0.02, -0.25),
                (side * 0.46, y + 0.10, -0.40),
                (side * (0.74 - 0.12 * order), y + 0.40, -0.2),
            ]
            s.path("rib", points, 0.034, end_width=0.024, density=0.18)
    draw_sacrum(s, 0.0, 1.00, 1.15, -0.12, density=0.36)
    for side in (-1, 1):
        s.blob("iliac wing", (side * 0.64, 1.12, 0), (0.46, 0.36), angle=90 + side * 24, density=0.20, depth=0.4,
               square=0.35,
               taper=-0.15, cortex=0.04, hollow=0.35)  # fmt: skip
        crest = [(side * 0.36, 0.98, -0.1), (side * 0.54, 0.70, 0), (side * 0.82, 0.76, 0.1)]
        s.path("iliac crest", crest, 0.032, density=0.26)
    # To both sides of the spine: gas over it would hide the findings.
    for x, y, r, angle in s.rng.uniform((0.28, -0.75, 0.06, 0), (0.62, 0.75, 0.13, 180), size=(14, 4)).tolist():
        side = -1 if angle > 90 else 1
        s.blob("bowel gas", (side * x, y, 0.3), (r, r * 0.6), angle=angle, density=-0.08, square=0.3, layer=ADDED)
    s.breakable = [f"L{level}" for level in range(1, 6)]


def draw_sacrum(s: Scene, x: float, y: float, unit: float, z: float, *, density: float = 0.52) -> None:
    """Sacrum with its foramina; a triangle that points down. `y` is its middle, scene units."""
    x0, y0, z0 = s.place((x, y - 0.24 * unit, z))
    x1, y1, z1 = s.place((x, y + 0.26 * unit, z - 0.1 * unit))
    grown = density * s.mineral
    s.add(
        Shape("sacrum", x0, y0, z0, x1, y1, z1, 0.29 * unit, 0.22 * unit, 0.09 * unit, 1.0, 0.8, 0.2, 0.5, grown,
        0.02, 0.35),
    )  # fmt: skip
    for side in (-1, 1):
        for order in range(3):
            at = (x + side * (0.13 - 0.025 * order) * unit, y + (-0.12 + 0.125 * order) * unit, z)
            s.blob("foramen", at, (0.026 * unit, 0.040 * unit), density=-0.16 * density, layer=ADDED)
        s.blob(
            "sacroiliac joint", (x + side * 0.27 * unit, y - 0.06 * unit, z), (0.17 * unit, 0.012 * unit),
            angle=90 + side * 14, density=-0.22 * density, layer=ADDED,
        )  # fmt: skip
