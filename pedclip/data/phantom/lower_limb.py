"""Layouts of pelvis and leg, drawn as a left limb seen from the front; lateral is at positive x."""

from dataclasses import replace
from typing import Final

import numpy as np

from pedclip.data.phantom.scene import Scene
from pedclip.data.phantom.upper_limb import draw_ray, growth_room


def _hemipelvis(s: Scene, side: float, unit: float, x: float, y: float) -> None:
    """Iliac wing, acetabulum, pubis and ischium around a hip centre at (x, y); `side` is 1 or -1."""

    def at(dx: float, dy: float, z: float = 0.0) -> tuple[float, float, float]:
        return x + side * dx * unit, y + dy * unit, z

    wing = 1.0 if s.age > 2 else 0.92
    s.blob(
        "ilium",
        at(-0.06, -0.50),
        (0.36 * unit * wing, 0.25 * unit),
        angle=90 + 22 * side,
        density=0.35,
        depth=0.4,
        square=0.15,
        cortex=0.03 * unit,
        hollow=0.45,
    )
    s.path(
        "ilium",
        [at(-0.30, -0.50), at(-0.20, -0.16), at(-0.06, -0.12), at(0.12, -0.13)],
        0.055 * unit,
        density=0.55,
        cortex=0.015,
        hollow=0.5,
        breakable=True,
    )
    s.path(
        "superior pubic ramus",
        [at(-0.16, 0.0), at(-0.32, 0.10), at(-0.46, 0.16)],
        0.055 * unit,
        density=0.6,
        cortex=0.015,
        hollow=0.5,
        breakable=True,
    )
    s.path(
        "ischium",
        [at(-0.13, 0.03), at(-0.12, 0.22), at(-0.20, 0.38)],
        0.065 * unit,
        density=0.6,
        cortex=0.015,
        hollow=0.5,
        breakable=True,
    )
    if s.age > 5:  # the ischiopubic bridge is cartilage before
        s.path("inferior pubic ramus", [at(-0.20, 0.38), at(-0.34, 0.32), at(-0.44, 0.20)], 0.040 * unit, density=0.5)


def _proximal_femur(s: Scene, side: float, unit: float, x: float, y: float, shaft: float) -> None:
    """Head, neck, trochanter and shaft below a hip centre."""
    knee = (x + side * 0.22 * unit, y + (0.30 + shaft) * unit, 0.0)
    top = (x + side * 0.23 * unit, y + 0.13 * unit, 0.0)
    s.nucleus("femoral head", (x + side * 0.015, y + 0.01, 0), 0.155 * unit, onset=0.4, complete=9)
    room = 0.05 * growth_room(s.age) * unit
    s.bone(
        "femoral neck",
        (x + side * (0.10 * unit + room), y + 0.07 * unit + room, 0),
        (x + side * 0.27 * unit, y + 0.22 * unit, 0),
        (0.11 * unit, 0.095 * unit, 0.12 * unit),
    )
    s.nucleus("greater trochanter", (x + side * 0.31 * unit, y + 0.06 * unit, 0), 0.075 * unit, onset=3.0, stretch=1.3)
    s.bone("proximal femur", top, knee, (0.12 * unit, 0.085 * unit, 0.080 * unit))


def pelvis(s: Scene) -> None:
    """Ring with both hips, sacrum and the last lumbar vertebra."""
    frog = s.view == "lateral"
    s.turn = 0.0 if frog else s.turn * 0.6
    s.soft((0.0, -1.3, 0), (0.0, 0.75, 0), 0.70, 0.84, 0.95, depth=0.6)
    for side in (-1.0, 1.0):
        spread = 0.45 if frog else 0.10
        s.soft((side * 0.45, 0.3, 0), (side * (0.5 + spread), 1.3, 0), 0.42, 0.38, 0.32)
        _hemipelvis(s, side, 1.0, side * 0.50, 0.22)
        _proximal_femur(s, side, 0.85, side * 0.50, 0.22, 1.0)
        if frog:
            _abduct(s, side)
    s.blob("sacrum", (0.0, -0.30, -0.1), (0.30, 0.22), density=0.5, square=0.3, cortex=0.03, hollow=0.3)
    for order in range(3):
        s.blob(
            "fifth lumbar vertebra",
            (0.0, -1.0 + 0.24 * order, 0),
            (0.10, 0.19),
            density=0.55,
            square=1.0,
            cortex=0.03,
            hollow=0.4,
        )
    s.blob("bladder", (0.0, 0.12, 0.1), (0.16, 0.22), density=0.12, layer=0.0)
    for name, side in (("right hip", -1.0), ("left hip", 1.0)):
        s.joint(name, (side * 0.50, 0.22, 0), 0.19)


def _abduct(s: Scene, side: float) -> None:
    """Swing the shaft outwards: the frog-leg position."""
    for index, shape in enumerate(s.shapes):
        if shape.name == "proximal femur" and shape.x0 * side > 0:
            length = np.hypot(shape.x1 - shape.x0, shape.y1 - shape.y0)
            s.shapes[index] = replace(shape, x1=shape.x0 + side * length * 0.72, y1=shape.y0 + length * 0.69)


def hip(s: Scene) -> None:
    """One hip, close up."""
    s.turn *= 0.5
    s.soft((-0.5, -1.3, 0), (0.0, 0.5, 0), 0.95, 0.95, 0.85, depth=0.7)
    s.soft((0.2, 0.2, 0), (0.42, 1.3, 0), 0.65, 0.58, 0.50)
    _hemipelvis(s, 1.0, 1.55, -0.02, -0.05)
    _proximal_femur(s, 1.0, 1.55, -0.02, -0.05, 1.0)
    s.blob("sacrum", (-1.05, -0.75, -0.1), (0.42, 0.30), density=0.5, square=0.3)
    s.joint("hip joint", (-0.02, -0.05, 0), 0.30, "femoral", "proximal femur", "greater", away=(0.6, 0.8))


def femur(s: Scene) -> None:
    """The whole bone from hip to knee."""
    s.soft((-0.12, -1.2, 0), (0.03, 0.85, 0), 0.55, 0.42, 0.24)
    s.soft((0.03, 0.6, 0), (0.03, 1.3, 0), 0.24, 0.24, 0.26)
    s.nucleus("femoral head", (-0.17, -0.86, 0), 0.105, onset=0.4, complete=9)
    s.bone("femoral neck", (-0.11, -0.81, 0), (0.03, -0.70, 0), (0.075, 0.065, 0.08))
    s.nucleus("greater trochanter", (0.09, -0.80, 0), 0.05, onset=3.0, stretch=1.3)
    s.bone("femoral shaft", (0.04, -0.78, 0), (0.03, 0.72, 0), (0.095, 0.070, 0.160), plates=(None, 0.0), bend=-0.025)
    s.path("acetabulum", [(-0.34, -1.15, 0), (-0.26, -0.98, 0), (-0.08, -1.0, 0)], 0.045, density=0.5)
    s.path("ischium", [(-0.32, -0.9, 0), (-0.33, -0.68, 0), (-0.42, -0.55, 0)], 0.05, density=0.5)
    s.bone("tibia", (0.02, 0.79, 0), (0.02, 1.4, 0), (0.14, 0.08, 0.08), plates=(0.0, None), breakable=False)
    s.bone("fibula", (0.15, 0.92, -0.1), (0.15, 1.4, -0.1), (0.04, 0.025, 0.03), breakable=False)
    s.joint("hip", (-0.17, -0.86, 0), 0.15, "femoral", "greater")
    s.joint("knee", (0.02, 0.76, 0), 0.17, "tibia", "fibula")


def knee(s: Scene) -> None:
    """Distal femur, proximal tibia and fibula, and the patella in front."""
    s.soft((0.0, -1.3, 0), (0.0, 0.1, 0.04), 0.52, 0.46, 0.46, depth=1.0)
    s.soft((0.0, -0.1, 0.04), (0.0, 1.3, 0), 0.46, 0.40, 0.36, depth=1.0)
    s.bone("distal femur", (-0.02, -1.35, 0), (0.0, -0.02, 0), (0.18, 0.175, 0.36), plates=(None, 0.0), depth=0.75)
    s.bone("proximal tibia", (0.0, 0.05, 0), (0.0, 1.35, 0), (0.34, 0.165, 0.155), plates=(0.0, None), depth=0.75)
    s.bone("proximal fibula", (0.34, 0.30, -0.14), (0.31, 1.35, -0.12), (0.085, 0.055, 0.055), plates=(3.5, None))
    s.nucleus("patella", (0.0, -0.16, 0.34), 0.13, onset=4.0, stretch=1.2)
    s.joint("knee joint", (0.0, 0.02, 0.1), 0.34, "proximal tibia", "proximal fibula")
    s.breakable.append("proximal tibia")


def tibia_fibula(s: Scene) -> None:
    """Both bones from knee to ankle."""
    s.soft((0.0, -1.3, 0), (0.0, -0.65, 0), 0.28, 0.27, 0.26)
    s.soft((0.0, -0.75, 0), (0.0, 0.85, 0), 0.27, 0.31, 0.15)
    s.soft((0.0, 0.75, 0), (0.02, 1.2, 0.1), 0.16, 0.17, 0.20)
    s.bone("femur", (0.0, -1.35, 0), (0.0, -0.80, 0), (0.10, 0.10, 0.19), plates=(None, 0.0), breakable=False)
    s.bone("tibia", (-0.02, -0.74, 0), (-0.03, 0.74, 0), (0.175, 0.072, 0.105), plates=(0.0, 0.5), bend=0.01)
    s.bone("fibula", (0.165, -0.62, -0.08), (0.105, 0.80, -0.06), (0.048, 0.030, 0.048), plates=(3.5, 1.0))
    s.nucleus("talus", (-0.01, 0.87, 0.03), 0.12, complete=8, stretch=0.9, angle=0)
    s.joint("knee", (0.0, -0.77, 0), 0.19, "femur", away=(0, -1))
    s.joint("ankle", (0.0, 0.78, 0), 0.13, "talus")


def ankle(s: Scene) -> None:
    """Mortise from the front; talus, heel and midfoot from the side."""
    s.soft((0.0, -1.3, 0), (0.0, 0.35, 0), 0.42, 0.34, 0.36)
    s.soft((0.02, 0.2, 0), (0.04, 1.1, 0), 0.38, 0.42, 0.40, depth=1.2)
    s.bone("distal tibia", (-0.05, -1.35, 0), (-0.06, 0.02, 0), (0.16, 0.155, 0.27), plates=(None, 0.5))
    s.nucleus("medial malleolus", (-0.29, 0.08, 0.05), 0.10, onset=1.5, complete=10, stretch=1.3)
    s.bone("distal fibula", (0.27, -1.35, -0.08), (0.31, 0.24, -0.08), (0.075, 0.065, 0.105), plates=(None, 1.0))
    s.nucleus("talus", (0.0, 0.25, 0.08), 0.24, complete=8, stretch=0.8)
    s.nucleus("calcaneus", (0.08, 0.62, -0.30), 0.24, complete=8, stretch=0.8)
    for name, z, y in (("navicular", 0.46, 0.42), ("cuboid", 0.50, 0.66)):
        s.nucleus(name, (-0.1 if name == "navicular" else 0.2, y, z), 0.12, onset=0.5, complete=9)
    for order in range(4 if s.view == "lateral" else 0):
        s.bone(
            "metatarsal",
            (-0.2 + 0.13 * order, 0.55 + 0.08 * order, 0.68),
            (-0.2 + 0.13 * order, 0.78 + 0.04 * order, 1.4),
            (0.07, 0.05, 0.05),
            breakable=False,
        )
    s.soft((0.0, 0.5, 0.2), (0.0, 0.72, 1.3), 0.40, 0.30, 0.26, depth=0.6)
    s.joint("ankle joint", (0.0, 0.08, 0), 0.30, "talus", "calcaneus")


TOES: Final = ("fifth", "fourth", "third", "second")


def _toe(
    s: Scene, name: str, base: tuple[float, float], angle: float, lengths: tuple[float, ...], width: float
) -> None:
    names = ("metatarsal", "proximal phalanx", "middle phalanx", "distal phalanx")
    draw_ray(s, name, base, angle, lengths, width, names if len(lengths) == 4 else (*names[:2], names[3]))


def foot(s: Scene) -> None:
    """From above: tarsus, five rays. From the side: heel, arch and the lower leg."""
    if s.view == "lateral":
        return _lateral_foot(s)
    s.turn *= 0.55
    s.soft((0.08, 1.0, 0), (-0.02, 0.0, 0), 0.26, 0.32, 0.38, depth=0.6)
    s.nucleus("calcaneus", (0.12, 0.72, 0), 0.17, complete=7, stretch=1.4)
    s.nucleus("talus", (-0.04, 0.52, 0), 0.15, complete=7, stretch=1.1)
    s.nucleus("navicular", (-0.10, 0.31, 0), 0.12, onset=2.8, complete=9, stretch=0.6)
    s.nucleus("cuboid", (0.16, 0.34, 0), 0.12, onset=0.3, complete=9)
    for x, onset in ((-0.17, 2.0), (-0.05, 3.0), (0.05, 0.8)):
        s.nucleus("cuneiform", (x, 0.17, 0), 0.068, onset=onset, complete=9, stretch=1.2)
    for order, (x, angle) in enumerate(zip((0.24, 0.15, 0.06, -0.03), (17, 10, 4, -1), strict=True)):
        _toe(s, TOES[order], (x, 0.16 - 0.03 * order), angle, (0.40 + 0.03 * order, 0.145, 0.05, 0.055), 0.043)
    _toe(s, "first", (-0.15, 0.06), -9, (0.38, 0.19, 0.14), 0.070)
    # What a lateral view shows too.
    s.breakable = [name for name in s.breakable if "middle" not in name and "distal" not in name]
    s.joints = [joint for joint in s.joints if "meta" in joint.name or joint.name.startswith("first")]


def _lateral_foot(s: Scene) -> None:
    s.turn = 0.0
    s.soft((-0.42, -1.2, 0), (-0.42, 0.1, 0), 0.24, 0.24, 0.28)
    s.soft((-0.75, 0.40, 0), (0.95, 0.42, 0), 0.30, 0.27, 0.12)
    s.bone("distal tibia", (-0.42, -1.3, 0), (-0.40, -0.14, 0), (0.11, 0.10, 0.16), plates=(None, 0.5), breakable=False)
    s.nucleus("talus", (-0.36, 0.04, 0), 0.17, complete=7, stretch=1.25, angle=10)
    s.nucleus("calcaneus", (-0.55, 0.32, 0), 0.19, complete=7, stretch=1.5, angle=160)
    s.nucleus("navicular", (-0.10, 0.09, 0), 0.11, onset=2.8, complete=9, stretch=1.2)
    s.nucleus("cuboid", (-0.10, 0.30, 0), 0.12, onset=0.3, complete=9)
    s.nucleus("cuneiform", (0.06, 0.14, 0), 0.10, onset=2.0, complete=9)
    for order, name in enumerate((*TOES, "first")):
        y = 0.34 - 0.045 * order
        end = (0.48, 0.50 - 0.012 * order, 0)
        s.bone(f"{name} metatarsal", (0.08 + 0.01 * order, y, 0), end, (0.055, 0.036, 0.05), plates=(None, 1.8))
        s.bone(
            f"{name} proximal phalanx",
            (0.55, end[1], 0),
            (0.72, end[1] + 0.03, 0),
            (0.05, 0.032, 0.04),
            plates=(2.0, None),
        )
        tip = (0.87, end[1] + 0.04, 0)
        s.bone(f"{name} distal phalanx", (0.77, end[1] + 0.03, 0), tip, (0.04, 0.028, 0.025), breakable=False)
    for name in TOES:
        s.joint(
            f"{name} metatarsophalangeal joint", (0.52, 0.5, 0), 0.07, f"{name} proximal", f"{name} distal", away=(1, 0)
        )
    s.joint("first metatarsophalangeal joint", (0.52, 0.46, 0), 0.08, "first proximal", "first distal", away=(1, 0))
    s.joint("first interphalangeal joint", (0.75, 0.48, 0), 0.07, "first distal", away=(1, 0))


def toe(s: Scene) -> None:
    """The great toe, large, beside its neighbours."""
    s.turn *= 0.55
    s.soft((0.15, 1.3, 0), (0.15, 0.35, 0), 0.85, 0.80, 0.72, depth=0.6)
    _toe(s, "first", (-0.20, 1.15), -3, (0.72, 0.46, 0.34), 0.175)
    _toe(s, "second", (0.22, 1.05), 3, (0.85, 0.32, 0.15, 0.13), 0.095)
    _toe(s, "third", (0.52, 1.15), 8, (0.85, 0.28, 0.12, 0.11), 0.088)
    s.breakable = [name for name in s.breakable if name.startswith("first") and "metatarsal" not in name]
    s.joints = [joint for joint in s.joints if joint.name.startswith("first")]
