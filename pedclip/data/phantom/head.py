"""Layouts of head and neck, seen from the front; the patient's left is at positive x."""

from dataclasses import replace

import numpy as np

from pedclip.data.phantom.scene import Scene
from pedclip.data.phantom.shapes import ADDED
from pedclip.data.phantom.trunk import vertebra


def cervical_spine(s: Scene) -> None:
    """Seven small vertebrae between skull base and shoulders; the airway runs in front."""
    s.soft((0.0, -0.3, 0.1), (0.0, 0.85, 0), 0.46, 0.42, 0.50)
    s.soft((0.0, 0.75, 0), (0.0, 1.5, 0), 0.75, 1.0, 1.1, depth=0.55)
    s.soft((0.0, -1.5, 0.05), (0.0, -0.25, 0.15), 0.72, 0.70, 0.45, depth=1.1)
    s.blob("skull", (0.0, -1.25, 0.0), (0.72, 0.66), density=0.5, depth=1.1, cortex=0.06, hollow=0.75)
    for side in (-1, 1):
        s.path(
            "mandible",
            [(side * 0.44, -0.70, 0.15), (side * 0.40, -0.32, 0.25), (side * 0.10, -0.28, 0.68)],
            0.06,
            density=0.55,
        )
        s.path(
            "first rib",
            [(side * 0.16, 0.88, -0.1), (side * 0.50, 0.84, 0), (side * 0.62, 1.05, 0.2)],
            0.045,
            density=0.35,
        )
        s.bone("clavicle", (side * 0.14, 1.12, 0.3), (side * 0.9, 0.92, 0.1), (0.06, 0.045, 0.05), breakable=False)
        s.blob("lung apex", (side * 0.40, 1.15, 0), (0.32, 0.26), density=-0.3, layer=ADDED)
    for order in range(8):
        y = -0.46 + 0.198 * order
        name = f"C{order + 1}" if order < 7 else "T1"
        vertebra(
            s, name, (0.0, y, 0.12 * np.cos((order - 3) / 3) - 0.05), 0.135 + 0.005 * order, 0.072, transverse=0.35
        )
    s.blob("airway", (0.0, 0.45, 0.34), (0.75, 0.075), density=-0.26, square=0.6, layer=ADDED)
    s.breakable = [f"C{level}" for level in range(2, 7)]


def _face(s: Scene, unit: float, y: float, z: float) -> None:
    """Orbits, nose, sinuses and jaws; `unit` scales, `y` and `z` place it."""
    grown = min(1.0, 0.55 + 0.45 * s.age / 14)
    for side in (-1, 1):
        s.blob(
            "orbit",
            (side * 0.30 * unit, y, z),
            (0.19 * unit, 0.24 * unit),
            density=0.55,
            depth=0.5,
            cortex=0.045 * unit,
            hollow=1.0,
        )
        s.blob("orbit", (side * 0.30 * unit, y, z), (0.17 * unit, 0.22 * unit), density=-0.20, depth=0.5, layer=ADDED)
        s.blob(
            "maxillary sinus",
            (side * 0.24 * unit, y + 0.40 * unit, z),
            (0.15 * unit * grown, 0.14 * unit * grown),
            density=-0.26 * grown,
            layer=ADDED,
        )
        s.path(
            "zygoma",
            [
                (side * 0.54 * unit, y + 0.12 * unit, z - 0.1),
                (side * 0.46 * unit, y + 0.32 * unit, z),
                (side * 0.24 * unit, y + 0.60 * unit, z),
            ],
            0.05 * unit,
            density=0.45,
        )
    s.blob("nose", (0.0, y + 0.28 * unit, z), (0.22 * unit, 0.10 * unit), density=-0.28, layer=ADDED)
    s.path("nasal septum", [(0.0, y + 0.05 * unit, z), (0.0, y + 0.48 * unit, z)], 0.014 * unit, density=0.4)
    _jaws(s, unit, y, z, grown)


def _jaws(s: Scene, unit: float, y: float, z: float, grown: float) -> None:
    for side in (-1, 1):
        s.path(
            "mandible",
            [
                (side * 0.56 * unit, y + 0.38 * unit, z - 0.45 * unit),
                (side * 0.50 * unit, y + 0.86 * unit, z - 0.30 * unit),
                (side * 0.22 * unit, y + 1.06 * unit * (0.94 + 0.06 * grown), z),
                (0.0, y + 1.08 * unit, z),
            ],
            0.075 * unit,
            density=0.6,
            cortex=0.015,
            hollow=0.4,
            breakable=True,
        )
    if s.age > 0.6:
        count = 6 if s.age < 3 else 8
        for order in range(count):
            x = (order - (count - 1) / 2) * 0.085 * unit
            for row in (0.70, 0.86):
                s.blob(
                    "tooth",
                    (x, y + row * unit, z - abs(x) * 0.6),
                    (0.07 * unit, 0.034 * unit),
                    density=0.55,
                    square=0.6,
                    layer=ADDED,
                )


def skull(s: Scene) -> None:
    """Vault with sutures (wide in infants) over the face."""
    small = 0.50 if s.age < 2 else 0.56
    s.soft((0.0, -1.0, 0), (0.0, 0.72, 0), 0.72, 0.78, 0.60, depth=1.2, density=0.35)
    s.soft((0.0, 0.5, -0.1), (0.0, 1.3, -0.1), 0.40, 0.36, 0.40)
    s.blob(
        "vault",
        (0.0, -0.20, 0),
        (0.72, 0.68),
        density=0.85,
        depth=1.22,
        square=0.15,
        cortex=0.045 + 0.02 * s.age / 18,
        hollow=0.72,
    )
    _face(s, small, 0.12, 0.55)
    open_ = max(0.15, 1 - s.age / 3)
    s.path("suture", [(0.0, -0.90, 0.0), (0.02, -0.62, 0.55), (0.0, -0.42, 0.75)], 0.012 + 0.016 * open_, density=-0.25)
    for side in (-1, 1):
        s.path(
            "suture",
            [(0.0, -0.62, -0.75), (side * 0.3, -0.45, -0.65), (side * 0.55, -0.1, -0.5)],
            0.010 + 0.014 * open_,
            density=-0.18,
        )
    s.shapes = [replace(shape, layer=ADDED) if shape.name == "suture" else shape for shape in s.shapes]
    for order in range(3):
        vertebra(s, "vertebra", (0.0, 0.70 + 0.14 * order, -0.15), 0.10, 0.055, transverse=0.4)
    s.breakable = ["vault"]


def facial_bones(s: Scene) -> None:
    """The face close up, cut at the forehead."""
    s.soft((0.0, -1.4, 0), (0.0, 1.0, 0), 0.85, 0.90, 0.55, density=0.5)
    s.soft((0.0, 0.8, -0.3), (0.0, 1.4, -0.3), 0.50, 0.45, 0.50)
    s.blob("vault", (0.0, -0.85, -0.35), (0.95, 0.82), density=0.5, depth=1.2, cortex=0.06, hollow=0.65)
    s.blob("frontal sinus", (0.0, -0.72, 0.5), (0.08, 0.16), density=-0.22 if s.age > 7 else -0.02, layer=ADDED)
    _face(s, 1.02, -0.30, 0.40)
