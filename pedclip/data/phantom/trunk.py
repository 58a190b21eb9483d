"""Layouts of chest, abdomen and the lower spine, seen from the front; the patient's left is at positive x."""

import numpy as np

from pedclip.data.phantom.scene import Scene
from pedclip.data.phantom.shapes import ADDED, Point


def vertebra(
    s: Scene, name: str, at: Point, width: float, height: float, *, transverse: float = 1.0, density: float = 0.62
) -> None:
    """Body, pedicles, spinous and transverse processes; `width` and `height` are halves, scene units."""
    x, y, z = at
    s.blob(name, at, (height, width), density=density * s.mineral, square=1.0, depth=0.75, cortex=0.016, hollow=0.5)
    for side in (-1, 1):
        s.blob(
            name,
            (x + side * width * 0.62, y - height * 0.2, z - width),
            (height * 0.42, width * 0.2),
            density=density * 0.35,
            depth=2.0,
            layer=ADDED,
        )
        tip = (x + side * width * (1 + 0.75 * transverse), y - height * 0.1, z - width * 0.9)
        s.path(name, [(x + side * width * 0.8, y, z - width * 0.8), tip], height * 0.22, density=density * 0.55)
    s.path(
        name, [(x, y, z - width * 1.3), (x, y + height * 0.8, z - width * 2.1)], height * 0.26, density=density * 0.6
    )


def _rib(s: Scene, number: int, side: int, y: float, reach: float, front: float, drop: float, width: float) -> None:
    """One rib around the thorax: from the spine outwards and back, then forwards and down."""
    angles = np.radians(np.linspace(-80, 62, 8))
    points = []
    for angle in angles:
        progress = (angle - angles[0]) / (angles[-1] - angles[0])
        points.append(
            (
                side * reach * np.cos(angle) ** 0.8,
                y + drop * (progress**1.3 - 0.10 * np.sin(progress * np.pi)),
                front * np.sin(angle),
            )
        )
    s.path(f"{number}. rib", points, width, density=0.28)


def _shoulder_girdle(s: Scene) -> None:
    for side in (-1, 1):
        s.soft((side * 0.55, -0.80, 0), (side * 1.05, 0.0, 0), 0.26, 0.24, 0.22)
        s.bone(
            "humerus",
            (side * 0.86, -0.66, 0),
            (side * 1.1, 0.3, 0),
            (0.11, 0.07, 0.07),
            plates=(0.3, None),
            breakable=False,
        )
        s.bone(
            "clavicle",
            (side * 0.09, -0.60, 0.3),
            (side * 0.70, -0.74, 0.05),
            (0.045, 0.032, 0.04),
            sway=0.03 * side,
            breakable=False,
        )
        s.path(
            "scapula",
            [(side * 0.78, -0.60, -0.3), (side * 0.60, -0.05, -0.45), (side * 0.52, -0.55, -0.45)],
            0.02,
            density=0.2,
        )


def chest(s: Scene) -> None:
    """Ribs, lungs, heart, diaphragm, spine, clavicles; rounder with flatter ribs in infants."""
    young = max(0.0, 1 - s.age / 4)
    wide, front = 0.74 + 0.04 * young, 0.48 + 0.12 * young
    s.soft((0.0, -0.78, 0), (0.0, 1.3, 0), 0.60, 0.86, 0.88, depth=0.7)
    s.soft((0.0, -1.3, 0), (0.0, -0.6, 0), 0.24, 0.28, 0.50)
    _shoulder_girdle(s)
    for side in (-1, 1):
        name = "left lung" if side > 0 else "right lung"
        s.blob(
            name,
            (side * (0.36 + 0.02 * young), -0.06 + 0.03 * (side > 0), 0),
            (0.62, 0.30),
            angle=90 + side * 6,
            density=-0.34,
            depth=1.5,
            square=0.25,
            layer=ADDED,
        )
        for order in range(11):
            reach = wide * (0.52 + 0.48 * min(1.0, (order + 0.6) / 5))
            drop = (0.26 + 0.14 * min(order, 6) / 6) * (1 - 0.35 * young)
            _rib(s, order + 1, side, -0.66 + 0.125 * order, reach, front * min(1.0, 0.5 + order / 8), drop, 0.024)
    for order in range(13):
        vertebra(s, "vertebra", (0.0, -0.92 + 0.145 * order, -0.28), 0.075, 0.058, transverse=0.6, density=0.30)
    heart = 0.27 + 0.04 * young
    s.blob("heart", (0.10, 0.16, 0.12), (0.34, heart), angle=58, density=0.46, square=0.45, layer=ADDED)
    s.blob("mediastinum", (0.0, -0.30, 0), (0.42, 0.12 + 0.07 * young), density=0.22, layer=ADDED, square=0.4)
    s.blob("trachea", (0.0, -0.68, 0), (0.30, 0.04), density=-0.16, layer=ADDED, square=0.5)
    for side in (-1, 1):
        s.blob(
            "diaphragm",
            (side * 0.38, 0.86 + 0.04 * (side > 0), 0.05),
            (0.36, 0.42),
            angle=90,
            density=0.42,
            depth=1.2,
            square=0.2,
            layer=ADDED,
        )
    s.blob("stomach", (0.34, 0.66, 0.15), (0.09, 0.13), density=-0.25, layer=ADDED)


def abdomen(s: Scene) -> None:
    """Bowel gas, spine, lower ribs, pelvis."""
    s.soft((0.0, -1.3, 0), (0.0, 1.3, 0), 0.74, 0.78, 0.80, depth=0.65)
    for side in (-1, 1):
        s.blob("lung base", (side * 0.42, -1.08, 0), (0.24, 0.28), density=-0.35, layer=ADDED)
        for order in range(4):
            _rib(s, 8 + order, side, -1.02 + 0.13 * order, 0.72 - 0.07 * order, 0.42, 0.30, 0.024)
        s.path(
            "iliac wing",
            [(side * 0.20, 0.92, 0), (side * 0.52, 0.48, 0), (side * 0.66, 0.62, 0), (side * 0.50, 1.05, 0)],
            0.035,
            density=0.35,
        )
        s.blob("iliac wing", (side * 0.46, 0.78, 0), (0.34, 0.20), angle=90 + side * 20, density=0.22)
        s.blob("psoas", (side * 0.20, 0.12, -0.1), (0.50, 0.11), angle=90 - side * 12, density=0.10, layer=ADDED)
    for order in range(9):
        vertebra(s, "vertebra", (0.0, -1.02 + 0.20 * order, -0.22), 0.105, 0.080, density=0.42)
    s.blob("sacrum", (0.0, 0.95, -0.2), (0.26, 0.18), density=0.45, square=0.3)
    s.blob("liver", (-0.38, -0.58, 0.1), (0.34, 0.30), angle=20, density=0.14, layer=ADDED)
    s.blob("stomach", (0.34, -0.58, 0.1), (0.16, 0.22), angle=30, density=-0.26, layer=ADDED)
    for _ in range(16):
        x, y = s.rng.uniform(-0.55, 0.55), s.rng.uniform(-0.30, 0.75)
        s.blob(
            "bowel gas",
            (x, y, s.rng.uniform(-0.1, 0.3)),
            (s.rng.uniform(0.05, 0.13), s.rng.uniform(0.04, 0.075)),
            angle=s.rng.uniform(0, 180),
            density=-s.rng.uniform(0.10, 0.22),
            layer=ADDED,
        )


def thoracic_spine(s: Scene) -> None:
    """Twelve vertebrae with rib stubs between the lungs."""
    s.soft((0.0, -1.4, 0), (0.0, 1.4, 0), 0.85, 0.95, 0.95, depth=0.7)
    for side in (-1, 1):
        s.blob("lung", (side * 0.66, -0.1, 0), (1.1, 0.42), density=-0.36, depth=1.2, square=0.4, layer=ADDED)
    for order in range(13):
        y = -1.02 + 0.172 * order
        size = 0.85 + 0.02 * order
        vertebra(
            s,
            f"T{order}" if order else "C7",
            (0.0, y, 0.10 - 0.16 * np.cos((order - 6) / 4)),
            0.125 * size,
            0.070 * size,
            transverse=0.8,
            density=0.5,
        )
        for side in (-1, 1):
            s.path(
                "rib",
                [(side * 0.16, y - 0.03, -0.28), (side * 0.50, y + 0.02, -0.50), (side * 0.88, y + 0.22, -0.25)],
                0.032,
                density=0.28,
            )
    s.blob("heart", (0.20, 0.30, 0.4), (0.50, 0.30), angle=70, density=0.22, layer=ADDED)
    s.breakable = [f"T{level}" for level in range(2, 12)]


def lumbar_spine(s: Scene) -> None:
    """Five large vertebrae, sacrum and iliac crests."""
    s.soft((0.0, -1.4, 0), (0.0, 1.4, 0), 0.70, 0.68, 0.85, depth=0.8)
    for order in range(7):
        y = -0.98 + 0.272 * order
        name = ("T11", "T12", "L1", "L2", "L3", "L4", "L5")[order]
        lordosis = 0.10 * np.cos((order - 4) / 2)
        vertebra(s, name, (0.0, y, lordosis), 0.165 + 0.006 * order, 0.108, transverse=1.1 if order > 1 else 0.4)
        if order < 2:
            for side in (-1, 1):
                s.path(
                    "rib",
                    [(side * 0.20, y, -0.25), (side * 0.50, y + 0.12, -0.40), (side * 0.66, y + 0.34, -0.2)],
                    0.028,
                    density=0.3,
                )
    s.blob("sacrum", (0.0, 0.98, -0.12), (0.30, 0.26), density=0.55, square=0.3, cortex=0.03, hollow=0.4)
    for side in (-1, 1):
        s.path(
            "iliac crest",
            [(side * 0.28, 1.1, -0.1), (side * 0.42, 0.72, -0.05), (side * 0.68, 0.70, 0.1), (side * 0.80, 1.1, 0.1)],
            0.05,
            density=0.5,
        )
    for _ in range(7):
        x = s.rng.choice([-1, 1]) * s.rng.uniform(0.30, 0.58)
        s.blob(
            "bowel gas",
            (x, s.rng.uniform(-0.6, 0.7), 0.5),
            (0.12, 0.07),
            angle=s.rng.uniform(0, 180),
            density=-0.16,
            layer=ADDED,
        )
    s.breakable = [f"L{level}" for level in range(1, 6)]
