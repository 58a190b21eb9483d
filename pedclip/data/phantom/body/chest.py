"""Layout of the chest, seen from the front; the patient's left is at positive x."""

import math
from dataclasses import replace
from typing import Final

from pedclip.data.phantom.body.scene import Scene
from pedclip.data.phantom.body.spine import short_vertebra
from pedclip.data.phantom.imaging.shapes import ADDED, Point, Shape

# Reach of the ribs sidewards, fraction of the half-width of the thorax; the last two float.
_REACH: Final = (0.43, 0.63, 0.77, 0.87, 0.94, 0.98, 1.0, 1.0, 0.98, 0.94, 0.84, 0.55)
_RIB_ANGLES: Final = (-80.0, -52.0, -22.0, 8.0, 36.0, 62.0)  # around the thorax, from the spine forwards


def draw_rib(
    s: Scene, number: int, side: int, *, x: float = 0.0, y: float = 0.0, unit: float = 1.0, density: float = 0.13
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
    # Deep and wide in infants; the upper ribs reach less far forwards.
    wide, front = 0.74 + 0.04 * young, (0.48 + 0.12 * young) * min(1.0, 0.45 + number / 9)
    # Ribs fall towards the front: less in infants, and in inspiration, which lifts them.
    slope = (0.24 + 0.035 * min(number, 8)) * (1 - 0.40 * young) * (1.12 - 0.25 * s.physique.breath)
    reach, top = wide * _REACH[number - 1], -0.74 + 0.122 * number
    points: list[Point] = []
    for angle in _RIB_ANGLES[: 6 if number < 11 else 4]:
        done = (angle + 80.0) / 142.0  # 0 at the spine, 1 in front
        across = reach * math.cos(math.radians(angle)) ** 0.8  # fuller than an ellipse
        # The last two float: they run straight down to the side.
        run = done**1.25 - 0.16 * math.sin(done * math.pi) if number < 11 else 1.2 * done
        down = top + slope * run
        points.append((x + side * across * unit, y + down * unit, front * math.sin(math.radians(angle)) * unit))
    wide_bone = 0.030 * unit
    s.path(f"{number}. rib", points, wide_bone, end_width=0.032 * unit, density=density, cortex=0.010, hollow=0.45)
    # In front the ribs turn into cartilage, which hardly shows.
    for index in range(len(s.shapes) - max(len(points) - 4, 0), len(s.shapes)):
        faint = 0.55 * s.shapes[index].density
        s.shapes[index] = replace(s.shapes[index], name=f"{number}. costal cartilage", density=faint, cortex=0.0)


def chest(s: Scene) -> None:
    """Ribs, lungs with vessels, heart, thymus, diaphragm, spine; rounder with flatter ribs in infants."""
    n = s.rng.normal(size=8).clip(-2.0, 2.0).tolist()
    young = max(0.0, 1 - s.age / 4)
    # `soft` widens by the whole factor: half of it is taken back, as ribs carry little fat.
    lean = 1 - 0.5 * (1 - 1 / s.chubby)
    s.soft((0.0, -0.70, 0), (0.0, 1.4, 0), 0.70 * lean, 0.80 * lean, 0.86 * lean, depth=0.66 + 0.14 * young)
    s.soft((0.0, -1.4, 0), (0.0, -0.62, 0), 0.24, 0.26, 0.48, density=0.45)  # neck
    overlaid = 0.75 if s.view == "lateral" else 1.0  # both sides, one over the other
    _arms(s, 0.06 * n[0])
    _lungs(s, young)
    for side in (-1, 1):
        for number in range(1, 12):
            draw_rib(s, number, side, density=(0.14 - 0.012 * max(0, number - 7)) * overlaid)
    # Seen through the heart, so faint.
    for order in range(13):
        short_vertebra(s, "vertebra", (0.0, -0.92 + 0.145 * order, -0.34), 0.082, 0.063, density=0.10)
    _heart(s, young, 1 + 0.05 * n[1])
    _vessels(s)
    _airway(s)
    # Below the domes there is no air.
    s.blob("abdomen", (0.0, 1.15, 0.0), (0.62, 0.80), density=0.14, depth=0.6, square=0.5, layer=ADDED)
    for side in (-1, 1):
        # The domes fill the lowest part of the lungs, so that below them there is no air.
        y = 0.50 + 0.03 * (side > 0) + 0.14 * s.physique.breath + 0.015 * n[2] * side
        s.blob("diaphragm", (side * 0.40, y, 0.03), (0.18, 0.29), density=0.20, depth=1.5, square=0.15, taper=-0.35,
               layer=ADDED)  # fmt: skip
    # Now and then there is no gas in the stomach.
    if n[3] > -1.2:
        s.blob(
            "stomach", (0.36 + 0.04 * n[4], 0.70 + 0.03 * n[5], 0.12), (0.07 + 0.015 * n[6], 0.13 + 0.03 * n[7]),
            angle=90, density=-0.15, square=0.2, layer=ADDED,
        )  # fmt: skip
    s.blob("sternum", (0.0, -0.05, 0.47 + 0.10 * young), (0.42, 0.045), density=0.04 if s.view != "lateral" else 0.22,
           depth=0.5, square=0.5, layer=ADDED)  # fmt: skip


def _lungs(s: Scene, young: float) -> None:
    low = 0.68 + 0.14 * s.physique.breath  # the bases go down with the breath
    for side, name in ((-1, "right lung"), (1, "left lung")):
        x0, y0, z0 = s.place((side * 0.25, -0.70, -0.06))
        x1, y1, z1 = s.place((side * (0.41 + 0.02 * young), low, 0.0))
        s.add(Shape(name, x0, y0, z0, x1, y1, z1, 0.20, 0.31 + 0.02 * young, 0.345 + 0.02 * young, 1.3, 0.22, 0.45, 1.4,
                    -0.27, layer=ADDED))  # fmt: skip


def _heart(s: Scene, young: float, size: float) -> None:
    """Heart first, then the great vessels and, in infants, the sail of the thymus."""
    # A deep breath draws the heart down.
    lift = 0.04 - 0.06 * s.physique.breath
    y = 0.25 - lift - 0.03 * young
    # The left ventricle, the right atrium, and the slope from the pulmonary trunk to the apex.
    s.blob("heart", (0.12, y, 0.14), (0.33 * size, (0.22 + 0.05 * young) * size), angle=50 - 14 * young, density=0.21,
           square=0.55, depth=1.1, layer=ADDED)  # fmt: skip
    s.blob("heart", (-0.13, y + 0.04, 0.10), (0.27, 0.11 * size), angle=98, density=0.10, square=0.5, depth=1.2,
           layer=ADDED)  # fmt: skip
    s.blob("heart", (0.10, y - 0.12, 0.08), (0.30, 0.12 * size), angle=62, density=0.09, square=0.5, depth=1.2,
           layer=ADDED)  # fmt: skip
    s.blob("mediastinum", (0.0, -0.10, -0.10), (0.72, 0.145 + 0.02 * young), density=0.12, square=0.6, taper=-0.10,
           depth=1.6, layer=ADDED)  # fmt: skip
    s.blob("mediastinum", (0.06, -0.36, -0.05), (0.10, 0.105), density=0.09 * (1 - young), square=0.3, layer=ADDED)
    # The thymus shrinks to nothing at three years.
    thymus = max(0.0, 1 - s.age / 3.0)
    if thymus > 0:
        wide = 0.10 + 0.14 * thymus
        for side in (-1, 1):
            x0, y0, z0 = s.place((side * 0.04, -0.52, 0.30))
            x1, y1, z1 = s.place((side * (0.06 + wide * 0.62), -0.08 - 0.04 * side, 0.30))
            s.add(
                Shape("mediastinum", x0, y0, z0, x1, y1, z1, wide * 0.55, wide * 0.72, wide * 0.82, 1.5, 0.3, 0.2,
                0.9, (0.12 + 0.06 * thymus) * (0.5 if s.view == "lateral" else 1.0), layer=ADDED),
            )  # fmt: skip


def _vessels(s: Scene) -> None:
    """Hila, and arteries that branch towards the periphery."""
    faint = 0.4 if s.view == "lateral" else 1.0  # seen end-on
    jitter = s.rng.normal(size=(2, 5, 6)).clip(-2.0, 2.0).tolist()  # (side, artery, deviation)
    for index, side in enumerate((-1, 1)):
        root: Point = (side * 0.155, -0.06 + 0.04 * (side < 0), 0.02)
        s.blob(
            "hilum",
            (side * 0.16, root[1] + 0.02, 0.02),
            (0.13, 0.060),
            angle=90 - side * 14,
            density=0.10 * faint,
            layer=ADDED,
        )
        # Lower arteries are longer: the lung is.
        for order, angle in enumerate((-62.0, -28.0, 10.0, 44.0, 70.0)):
            n = jitter[index][order]
            turned = math.radians(angle + 6 * n[0])
            length = (0.34, 0.33, 0.34, 0.40, 0.46)[order] * (0.62 + 0.05 * n[1])
            bent = turned + 0.16 * n[2]
            middle = _step(root, side, turned, length * 0.5)
            end = _step(middle, side, bent, length * 0.5)
            s.path("vessel", [root, middle, end], 0.020, end_width=0.010, density=0.085 * faint, layer=ADDED)
            # Two forks that differ, as real ones do; equal ones look drawn.
            for fork in (-0.42, 0.36):
                heading = bent + fork + 0.1 * n[3 + (fork > 0)]
                s.path(
                    "vessel",
                    [end, _step(end, side, heading, length * 0.62)],
                    0.012,
                    end_width=0.005,
                    density=0.055,
                    layer=ADDED,
                )


def _step(start: Point, side: int, angle: float, length: float) -> Point:
    return start[0] + side * math.cos(angle) * length, start[1] + math.sin(angle) * length, start[2] * 0.9


def _airway(s: Scene) -> None:
    s.blob("trachea", (-0.01, -0.66, 0.02), (0.38, 0.040), density=-0.17, layer=ADDED, square=0.6)
    # The right main bronchus is the shorter and steeper one.
    for side, length in ((-1, 0.15), (1, 0.21)):
        end = (side * length, -0.30 + 0.17, 0.0)
        s.path("bronchus", [(-0.01, -0.30, 0.0), end], 0.030, density=-0.05, layer=ADDED)


def _arms(s: Scene, offset: float) -> None:
    """Beside the body; raised in lateral views and often in infants."""
    up = s.rng.normal() * 25 + (70.0 if s.age < 2 else 12.0)  # degrees from hanging down
    raised = 165.0 if s.view == "lateral" else min(max(up, 4.0), 150.0)
    for side in (-1, 1):
        shoulder = (side * 0.80, -0.70 + offset * side * 0.4, 0.0)
        s.soft((side * 0.30, -0.72, 0), (side * 0.76, -0.62, 0), 0.22, 0.20, 0.17, density=0.45)
        with s.bent(shoulder, sideways=-side * raised):
            s.soft(shoulder, (side * 0.84, 0.6, 0), 0.16, 0.16, 0.14, density=0.42)
            s.bone(
                "humerus", (side * 0.80, -0.77, 0), (side * 0.83, 0.25, 0), (0.088, 0.046, 0.055), plates=(0.3, None),
                closes=18.0, density=0.20 if s.view == "lateral" else 0.36, flare=4.0, breakable=False,
            )  # fmt: skip
        s.bone(
            "clavicle", (side * 0.075, -0.60, 0.25), (side * 0.70, -0.80, 0.0), (0.045, 0.027, 0.036),
            sway=0.03 * side, density=0.14 if s.view == "lateral" else 0.28, breakable=False,
        )  # fmt: skip
        # The deeper the breath, the further the scapulae are off the lungs.
        out = side * (0.06 + 0.10 * s.physique.breath)
        s.blob("scapula", (side * 0.60 + out, -0.42, -0.40), (0.34, 0.14), angle=90 + side * 12, density=0.055,
               depth=0.4,
               square=0.3, taper=-0.45, layer=ADDED)  # fmt: skip
        border = [(side * 0.74 + out, -0.66, -0.3), (side * 0.67 + out, -0.38, -0.4), (side * 0.55 + out, -0.06, -0.45)]
        s.path("scapula", border, 0.038, end_width=0.018, density=0.075)
        s.path("scapula", [(side * 0.46 + out, -0.58, -0.4), (side * 0.76 + out, -0.76, -0.2)], 0.026, density=0.075)
