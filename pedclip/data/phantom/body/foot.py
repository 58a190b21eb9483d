"""Layouts of ankle, foot and toe, drawn as a left limb seen from the front or above; lateral is at positive x."""

from typing import Final

from pedclip.data.phantom.body.digits import draw_ray
from pedclip.data.phantom.body.scene import Scene

_TOES: Final = ("fifth", "fourth", "third", "second")
_NAMES: Final = ("metatarsal", "proximal phalanx", "middle phalanx", "distal phalanx")
_MORTISE: Final = (1.0, 0.92, 1.35)  # distal epiphysis of the tibia, thick at the malleolus
_PLAIN: Final = (0.92, 1.0, 0.92)


def ankle(s: Scene) -> None:
    """Mortise from the front; talus, heel and midfoot from the side."""
    n = s.rng.normal(size=3).clip(-2.0, 2.0).tolist()
    if s.view == "lateral":
        s.turn = 0.0
        return _hindfoot(s, -0.16, 0.10, 1.45, 9 * n[0])
    s.turn *= 0.5
    s.soft((0.0, -1.4, 0), (0.0, 0.30, 0), 0.44, 0.34, 0.37)  # lower leg
    s.bone(
        "distal tibia", (-0.06, -1.4, 0), (-0.06, 0.0, 0), (0.165, 0.155, 0.270), plates=(None, 0.5), closes=15.5,
        flare=2.6, thick=0.62, caps=(_PLAIN, _MORTISE[::-1]),
    )  # fmt: skip
    s.nucleus(
        "medial malleolus",
        (-0.265, 0.02, 0.05),
        0.075,
        onset=4.5,
        complete=11,
        stretch=1.9,
        angle=97,
        taper=-0.25,
        density=0.6,
    )
    s.bone(
        "distal fibula", (0.25, -1.4, -0.10), (0.305, 0.245, -0.08), (0.075, 0.062, 0.098), plates=(None, 1.0),
        closes=15.5, flare=4.0, thick=1.3, caps=(_PLAIN, (0.8, 1.1, 0.7)),
    )  # fmt: skip
    with s.bent((0.0, 0.05, 0.0), sideways=4 * n[1]):
        s.soft((0.02, 0.2, 0), (0.04, 0.95, 0), 0.37, 0.40, 0.40, depth=1.2)  # hindfoot
        s.nucleus("talus", (0.01, 0.20, 0.0), 0.145, complete=8, stretch=1.55, angle=0, depth=1.1)
        # The head of the talus and the heel lie behind each other from the front, so each is faint.
        s.nucleus("talus", (0.01, 0.34, 0.10), 0.13, complete=8, stretch=1.25, angle=0, density=0.55)
        s.nucleus("calcaneus", (0.07, 0.62, -0.1), 0.20, complete=8, stretch=1.35, angle=96, density=0.34, depth=1.0)
        s.nucleus("navicular", (-0.13, 0.48, 0.3), 0.10, onset=2.8, complete=9, stretch=1.4, angle=20, density=0.45)
        s.nucleus("cuboid", (0.22, 0.60, 0.3), 0.10, onset=0.3, complete=9, density=0.42)
        for order, x in enumerate((-0.20, -0.09, 0.03, 0.15, 0.26)):
            s.bone(
                "metatarsal", (x, 0.80, 0.5), (x * 1.5 + 0.05, 1.3, 0.7), (0.065, 0.045, 0.05),
                density=0.5 - 0.02 * order, breakable=False,
            )  # fmt: skip
        s.joint("ankle joint", (0.0, 0.04, 0), 0.29, "talus", "calcaneus", "navicular", "cuboid", "metatarsal")


def _hindfoot(s: Scene, x: float, y: float, unit: float, flexed: float) -> None:
    """Ankle and tarsus from the side, the toes towards positive x; (x, y) is the middle of the ankle joint."""

    def at(dx: float, dy: float, z: float = 0.0) -> tuple[float, float, float]:
        return x + dx * unit, y + dy * unit, z

    u = unit
    with s.bent(at(0, 0), sideways=flexed):
        s.soft(at(-0.03, -1.2), at(-0.02, 0.02), 0.25 * u, 0.20 * u, 0.25 * u)
        s.bone(
            "distal tibia", at(0.0, -1.2), at(0.0, -0.03), (0.12 * u, 0.10 * u, 0.155 * u), plates=(None, 0.5),
            closes=15.5, flare=3.2, thick=0.6, caps=(_PLAIN, (1.15, 0.85, 1.0)),
        )  # fmt: skip
        s.bone(
            "distal fibula", at(-0.09, -1.2, -0.1), at(-0.045, 0.13, -0.1), (0.05 * u, 0.042 * u, 0.06 * u),
            plates=(None, 1.0), closes=15.5, flare=3.2, thick=0.85,
        )  # fmt: skip
    s.soft(at(-0.34, 0.27), at(0.30, 0.27), 0.17 * u, 0.22 * u, 0.21 * u)  # heel
    s.soft(at(0.20, 0.24), at(0.95, 0.42), 0.23 * u, 0.18 * u, 0.12 * u)  # forefoot
    _lateral_tarsus(s, x, y, unit)
    for order, name in enumerate((*_TOES, "first")):
        a, b = at(0.42 + 0.016 * order, 0.375 - 0.038 * order), at(0.86, 0.545 - 0.016 * order)
        w = (0.036 if order < 4 else 0.052) * u
        s.bone(
            f"{name} metatarsal",
            a,
            b,
            (w * 1.25, w * 0.8, w * 1.1),
            plates=(None, 1.8) if order < 4 else (2.0, None),
            closes=16.0,
        )
    s.joint(
        "ankle joint",
        at(0.0, 0.01),
        0.19 * unit,
        "talus",
        "calcaneus",
        "navicular",
        "cuboid",
        "cuneiform",
        away=(0.0, 1.0),
    )
    s.breakable = [name for name in s.breakable if name.startswith("distal")]


def _lateral_tarsus(s: Scene, x: float, y: float, u: float) -> None:
    def at(dx: float, dy: float) -> tuple[float, float, float]:
        return x + dx * u, y + dy * u, 0.0

    # Two nuclei each for talus and calcaneus: their outlines are no ellipsoids.
    s.nucleus("talus", at(-0.01, 0.095), 0.105 * u, complete=8, stretch=1.5, angle=8)
    s.nucleus("talus", at(0.15, 0.12), 0.075 * u, onset=1.0, complete=8, stretch=1.5, angle=14)
    s.nucleus("calcaneus", at(-0.12, 0.30), 0.115 * u, complete=8, stretch=2.15, angle=163, taper=0.16)
    s.nucleus("calcaneus", at(0.02, 0.225), 0.07 * u, onset=1.5, complete=9, stretch=1.3, angle=150)
    # The apophysis of the heel appears at seven and fuses at fifteen.
    if 6.5 < s.maturity < 15.5:
        s.nucleus("calcaneal apophysis", at(-0.395, 0.37), 0.030 * u, onset=7.0, complete=13, stretch=3.4, angle=72)
    s.nucleus("navicular", at(0.275, 0.165), 0.055 * u, onset=2.8, complete=9, stretch=1.65, angle=104)
    s.nucleus("cuboid", at(0.20, 0.315), 0.080 * u, onset=0.3, complete=9, stretch=1.25, angle=15)
    s.nucleus("cuneiform", at(0.385, 0.20), 0.060 * u, onset=2.0, complete=9, stretch=1.4, angle=100)
    s.nucleus("cuneiform", at(0.375, 0.265), 0.050 * u, onset=0.8, complete=9, stretch=1.3, angle=100)


def _toe(
    s: Scene, name: str, base: tuple[float, float], angle: float, lengths: tuple[float, ...], width: float, curl: float
) -> None:
    names = _NAMES if len(lengths) == 4 else (*_NAMES[:2], _NAMES[3])
    draw_ray(s, name, base, angle, lengths, width, names, curl=curl, fleshy_from=0.75)


def foot(s: Scene) -> None:
    """From above: tarsus, five rays. From the side: heel, arch and the lower leg."""
    n = s.rng.normal(size=8).clip(-2.0, 2.0).tolist()
    if s.view == "lateral":
        return _lateral_foot(s, 8 * n[0])
    s.turn *= 0.55
    s.soft((0.08, 0.95, 0), (0.04, 0.0, 0), 0.25, 0.28, 0.37, depth=0.6)  # hindfoot
    s.soft((0.04, 0.10, 0), (0.04, -0.28, 0), 0.36, 0.36, 0.34, depth=0.5)  # forefoot
    s.soft((0.04, 1.5, 0.2), (0.05, 0.80, 0.2), 0.24, 0.24, 0.22, depth=0.8)  # lower leg
    s.bone(
        "tibia",
        (0.0, 1.5, 0.2),
        (0.0, 0.84, 0.2),
        (0.10, 0.09, 0.13),
        plates=(None, 0.5),
        closes=15.5,
        density=0.6,
        breakable=False,
    )
    s.nucleus("calcaneus", (0.115, 0.66, -0.1), 0.105, complete=7, stretch=2.1, angle=82, taper=0.1, density=0.58)
    s.nucleus("talus", (-0.03, 0.60, 0.1), 0.115, complete=7, stretch=1.35, angle=100, density=0.66)
    s.nucleus("talus", (-0.075, 0.45, 0.1), 0.075, onset=1.0, complete=7, stretch=1.2, density=0.66)
    s.nucleus("navicular", (-0.09, 0.335, 0), 0.052, onset=2.8, complete=9, stretch=2.0, angle=12)
    s.nucleus("cuboid", (0.135, 0.37, 0), 0.088, onset=0.3, complete=9, stretch=1.25, angle=75)
    for x, y, onset, r in ((-0.165, 0.215, 2.0, 0.062), (-0.060, 0.235, 3.0, 0.045), (0.030, 0.245, 0.8, 0.048)):
        s.nucleus("cuneiform", (x, y, 0), r, onset=onset, complete=9, stretch=1.35, angle=85)
    spread, curl = 1 + 0.15 * s.physique.spread, 9.0 + 5 * s.physique.flexion
    for order, (x, angle) in enumerate(zip((0.205, 0.125, 0.045, -0.045), (15, 8, 3, -2), strict=True)):
        y = (0.30, 0.25, 0.17, 0.155)[order]
        # Metatarsals are nearly equal; phalanges grow from the fifth toe to the second.
        lengths = ((0.46, 0.46, 0.44, 0.46)[order], 0.14 + 0.012 * order, 0.040 + 0.012 * order, 0.050)
        _toe(s, _TOES[order], (x, y), angle * spread + n[order + 1], lengths, 0.043, curl)
    hallux = -6 + 2.5 * n[5]
    _toe(s, "first", (-0.165, 0.125), hallux, (0.37, 0.19, 0.14), 0.074, curl * 0.4)
    for side in (-1, 1):
        s.nucleus("sesamoid", (-0.20 + 0.035 * side, -0.20, -0.08), 0.024, onset=10.0, complete=14, stretch=1.3)
    # What a lateral view shows too.
    s.breakable = [name for name in s.breakable if "middle" not in name and "distal" not in name]
    s.joints = [joint for joint in s.joints if "meta" in joint.name or joint.name.startswith("first")]


def _lateral_foot(s: Scene, flexed: float) -> None:
    s.turn = 0.0
    _hindfoot(s, -0.38, -0.02, 1.0, flexed)
    s.breakable, s.joints = [f"{name} metatarsal" for name in (*_TOES, "first")], []
    s.soft((0.45, 0.46, 0), (0.92, 0.53, 0), 0.14, 0.12, 0.08)
    for order, name in enumerate((*_TOES, "first")):
        y, w = 0.535 - 0.016 * order, 0.030 if order < 4 else 0.045
        s.bone(
            f"{name} proximal phalanx",
            (0.52, y, 0),
            (0.68, y + 0.015, 0),
            (w * 1.2, w * 0.8, w),
            plates=(2.0, None),
            closes=16.0,
        )
        s.bone(
            f"{name} distal phalanx", (0.74, y + 0.02, 0), (0.85, y + 0.035, 0), (w, w * 0.7, w * 0.6), breakable=False
        )
        beyond = (f"{name} proximal", f"{name} distal")
        s.joint(f"{name} metatarsophalangeal joint", (0.50, y, 0), 0.07, *beyond, away=(1, 0))
    s.joint("first interphalangeal joint", (0.71, 0.49, 0), 0.07, "first distal", away=(1, 0))


def toe(s: Scene) -> None:
    """The great toe, large, beside its neighbours."""
    n = s.rng.normal(size=5).clip(-2.0, 2.0).tolist()
    curl = 5.0 + 4 * s.physique.flexion
    if s.view == "lateral":
        s.turn *= 0.85
    else:
        s.turn *= 0.55
    s.soft((0.15, 1.5, 0), (0.12, 0.60, 0), 0.82, 0.78, 0.66, depth=0.6)  # ball of the foot
    _toe(s, "first", (-0.24, 1.28), -2 + 4 * n[0], (0.78, 0.46, 0.36), 0.185, curl)
    spread = 1 + 0.2 * s.physique.spread
    _toe(s, "second", (0.16, 1.30), 2 * spread + n[1], (0.95, 0.36, 0.17, 0.15), 0.098, curl * 2)
    _toe(s, "third", (0.42, 1.36), 7 * spread + n[2], (0.95, 0.31, 0.13, 0.13), 0.090, curl * 2)
    _toe(s, "fourth", (0.66, 1.48), 11 * spread + n[3], (0.95, 0.28, 0.11, 0.12), 0.088, curl * 2)
    for side in (-1, 1):
        s.nucleus(
            "sesamoid", (-0.26 + 0.085 * side, 0.60, -0.2), 0.055, onset=10.0, complete=14, stretch=1.3, density=0.5
        )
    # The neighbours are cut or overlaid, so findings go into the great toe alone.
    s.breakable = [name for name in s.breakable if name.startswith("first") and "metatarsal" not in name]
    s.joints = [joint for joint in s.joints if joint.name.startswith("first")]
