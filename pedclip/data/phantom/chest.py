"""Layout of the chest, seen from the front; the patient's left is at positive x."""

import math
from typing import Final

from pedclip.data.phantom.scene import Scene
from pedclip.data.phantom.shapes import ADDED, Point, Shape
from pedclip.data.phantom.spine import short_vertebra

# Reach of the ribs sidewards, share of the half-width of the thorax; the last two float.
_REACH: Final = (0.43, 0.63, 0.77, 0.87, 0.94, 0.98, 1.0, 1.0, 0.98, 0.94, 0.84, 0.55)
_RIB_ANGLES: Final = (-80.0, -52.0, -22.0, 8.0, 36.0, 62.0)  # around the thorax, from the spine forwards


def draw_rib(
    s: Scene, number: int, side: int, *, x: float = 0.0, y: float = 0.0, unit: float = 1.0, density: float = 0.15
) -> None:
    """One rib from the spine outwards and back, then forwards and down.

    Args:
        s: Scene to draw in.
        number: 1 to 12.
        side: 1 (left) or -1.
        x: Midline of the thorax, scene units.
        y: Height of its middle.
        unit: Magnification; 1 is the scale of the layout of the chest.
        density: Attenuation.
    """
    young = max(0.0, 1 - s.age / 4)
    wide, front = 0.74 + 0.04 * young, (0.48 + 0.12 * young) * min(1.0, 0.45 + number / 9)
    slope = (0.24 + 0.035 * min(number, 8)) * (1 - 0.40 * young) * (1.12 - 0.25 * s.physique.breath)
    reach, top = wide * _REACH[number - 1], -0.74 + 0.122 * number
    points: list[Point] = []
    for angle in _RIB_ANGLES[: 6 if number < 11 else 4]:
        done = (angle + 80.0) / 142.0
        across = reach * math.cos(math.radians(angle)) ** 0.8
        down = top + slope * (done**1.25 - 0.16 * math.sin(done * math.pi))
        points.append((x + side * across * unit, y + down * unit, front * math.sin(math.radians(angle)) * unit))
    s.path(f"{number}. rib", points, 0.025 * unit, end_width=0.030 * unit, density=density)


def chest(s: Scene) -> None:
    """Ribs, lungs with vessels, heart, thymus, diaphragm, spine; rounder with flatter ribs in infants."""
    n = s.rng.normal(size=8).clip(-2.0, 2.0).tolist()
    young = max(0.0, 1 - s.age / 4)
    s.soft((0.0, -0.70, 0), (0.0, 1.4, 0), 0.58, 0.86, 0.88, depth=0.62 + 0.14 * young)
    s.soft((0.0, -1.4, 0), (0.0, -0.62, 0), 0.22, 0.24, 0.48)
    _arms(s, 0.06 * n[0])
    _lungs(s, young)
    for side in (-1, 1):
        for number in range(1, 12):
            draw_rib(s, number, side)
    for order in range(13):
        short_vertebra(s, "vertebra", (0.0, -0.92 + 0.145 * order, -0.34), 0.075, 0.055)
    _heart(s, young, 1 + 0.05 * n[1])
    _vessels(s)
    _airway(s)
    level = 0.07 * (s.physique.breath - 0.5)
    for side in (-1, 1):
        y = 0.93 + 0.05 * (side > 0) + level + 0.015 * n[2] * side
        s.blob("diaphragm", (side * 0.38, y, 0.03), (0.46, 0.44), density=0.40, depth=1.25, square=0.12, layer=ADDED)
    if n[3] > -1.2:
        s.blob(
            "stomach", (0.36 + 0.04 * n[4], 0.70 + 0.03 * n[5], 0.12), (0.07 + 0.015 * n[6], 0.13 + 0.03 * n[7]),
            angle=90, density=-0.24, layer=ADDED,
        )  # fmt: skip
    s.blob("sternum", (0.0, -0.05, 0.47 + 0.10 * young), (0.42, 0.045), density=0.10 if s.view != "lateral" else 0.22,
           depth=0.5, square=0.5, layer=ADDED)  # fmt: skip


def _lungs(s: Scene, young: float) -> None:
    low = 0.62 + 0.14 * s.physique.breath
    for side, name in ((-1, "right lung"), (1, "left lung")):
        x0, y0, z0 = s.place((side * 0.25, -0.70, -0.06))
        x1, y1, z1 = s.place((side * (0.41 + 0.02 * young), low, 0.0))
        s.add(Shape(name, x0, y0, z0, x1, y1, z1, 0.17, 0.28 + 0.02 * young, 0.335 + 0.02 * young, 1.3, 0.45, 0.1, 1.45,
                    -0.33, layer=ADDED))  # fmt: skip


def _heart(s: Scene, young: float, size: float) -> None:
    """Heart first, then the great vessels and, in infants, the sail of the thymus."""
    lift = 0.04 - 0.06 * s.physique.breath
    s.blob("heart", (0.105, 0.24 - lift - 0.03 * young, 0.14), (0.33 * size, (0.245 + 0.055 * young) * size),
           angle=52 - 16 * young, density=0.38, square=0.25, depth=1.0, layer=ADDED)  # fmt: skip
    s.blob("heart", (-0.10, 0.20 - lift, 0.10), (0.22, 0.135 * size), angle=96, density=0.15, depth=1.2, layer=ADDED)
    s.blob(
        "mediastinum",
        (0.0, -0.28, -0.02),
        (0.42, 0.115 + 0.02 * young),
        density=0.24,
        layer=ADDED,
        square=0.5,
        depth=1.3,
    )
    s.blob("mediastinum", (0.075, -0.32, -0.05), (0.085, 0.075), density=0.14 * (1 - young), layer=ADDED)  # aortic arch
    thymus = max(0.0, 1 - s.age / 3.0)
    if thymus > 0:
        wide = 0.10 + 0.14 * thymus
        for side in (-1, 1):
            x0, y0, z0 = s.place((side * 0.04, -0.52, 0.30))
            x1, y1, z1 = s.place((side * (0.06 + wide * 0.62), -0.08 - 0.04 * side, 0.30))
            s.add(
                Shape("mediastinum", x0, y0, z0, x1, y1, z1, wide * 0.55, wide * 0.72, wide * 0.82, 1.5, 0.55, 0.2,
                0.9, 0.16 + 0.06 * thymus, layer=ADDED),
            )  # fmt: skip


def _vessels(s: Scene) -> None:
    """Hila, and arteries that branch towards the periphery."""
    jitter = s.rng.normal(size=(2, 5, 6)).clip(-2.0, 2.0).tolist()
    for index, side in enumerate((-1, 1)):
        root: Point = (side * 0.155, -0.06 + 0.04 * (side < 0), 0.02)
        s.blob(
            "hilum",
            (side * 0.16, root[1] + 0.02, 0.02),
            (0.115, 0.052),
            angle=90 - side * 14,
            density=0.15,
            layer=ADDED,
        )
        for order, angle in enumerate((-62.0, -28.0, 10.0, 44.0, 70.0)):
            n = jitter[index][order]
            turned = math.radians(angle + 6 * n[0])
            length = (0.34, 0.33, 0.34, 0.40, 0.46)[order] * (0.62 + 0.05 * n[1])
            bent = turned + 0.16 * n[2]
            middle = _step(root, side, turned, length * 0.5)
            end = _step(middle, side, bent, length * 0.5)
            s.path("vessel", [root, middle, end], 0.022, end_width=0.012, density=0.11, layer=ADDED)
            for fork in (-0.42, 0.36):
                heading = bent + fork + 0.1 * n[3 + (fork > 0)]
                s.path(
                    "vessel",
                    [end, _step(end, side, heading, length * 0.62)],
                    0.012,
                    end_width=0.005,
                    density=0.075,
                    layer=ADDED,
                )


def _step(start: Point, side: int, angle: float, length: float) -> Point:
    return start[0] + side * math.cos(angle) * length, start[1] + math.sin(angle) * length, start[2] * 0.9


def _airway(s: Scene) -> None:
    s.blob("trachea", (-0.01, -0.66, 0.02), (0.38, 0.040), density=-0.17, layer=ADDED, square=0.6)
    for side, length in ((-1, 0.15), (1, 0.21)):
        end = (side * length, -0.30 + 0.17, 0.0)
        s.path("bronchus", [(-0.01, -0.30, 0.0), end], 0.030, density=-0.10, layer=ADDED)


def _arms(s: Scene, offset: float) -> None:
    """Beside the body; raised in lateral views and often in infants."""
    up = s.rng.normal() * 25 + (70.0 if s.age < 2 else 12.0)
    raised = 165.0 if s.view == "lateral" else min(max(up, 4.0), 150.0)
    for side in (-1, 1):
        shoulder = (side * 0.72, -0.68 + offset * side * 0.4, 0.0)
        s.soft((side * 0.40, -0.74, 0), (side * 0.72, -0.62, 0), 0.22, 0.22, 0.21)
        with s.bent(shoulder, sideways=-side * raised):
            s.soft(shoulder, (side * 0.72, 0.6, 0), 0.17, 0.17, 0.15)
            s.bone(
                "humerus", (side * 0.74, -0.74, 0), (side * 0.72, 0.25, 0), (0.085, 0.055, 0.06), plates=(0.3, None),
                closes=18.0, density=0.55, breakable=False,
            )  # fmt: skip
        s.bone(
            "clavicle", (side * 0.075, -0.60, 0.25), (side * 0.66, -0.78, 0.0), (0.045, 0.029, 0.038),
            sway=0.03 * side, density=0.42, breakable=False,
        )  # fmt: skip
        out = side * (0.06 + 0.10 * s.physique.breath)
        s.path(
            "scapula", [(side * 0.66 + out, -0.64, -0.3), (side * 0.60 + out, -0.30, -0.42), (side * 0.50 + out,
            -0.02, -0.46), (side * 0.44 + out, -0.30, -0.44), (side * 0.46 + out, -0.62, -0.40)], 0.017, density=0.20,
        )  # fmt: skip
