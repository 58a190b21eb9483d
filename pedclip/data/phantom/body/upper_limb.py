"""Layouts of the arm, drawn as a left limb seen from the front; lateral is at positive x.

The stages at which nuclei appear follow the usual order (elbow: capitellum 1, radial head 3, medial epicondyle 5,
trochlea 7, olecranon 9, lateral epicondyle 11 years; carpals from capitate at birth to trapezoid at 6, pisiform and
sesamoid of the thumb at puberty). They are round numbers for drawing, not a growth atlas.
"""

import math
from typing import Final

from pedclip.data.phantom.body.digits import FINGERS, PHALANGES, draw_ray
from pedclip.data.phantom.body.scene import Scene
from pedclip.data.phantom.imaging.shapes import ADDED

_CARPALS: Final = (  # name, x, y, radius (hand units), onset, stretch, angle, taper, z
    ("capitate", -0.015, 0.015, 0.058, 0.2, 1.55, 95.0, -0.10, 0.0),
    ("hamate", -0.115, 0.030, 0.066, 0.3, 1.20, 110.0, 0.25, 0.02),
    ("triquetrum", -0.155, 0.135, 0.058, 2.5, 1.15, 60.0, 0.1, 0.0),
    ("lunate", -0.030, 0.155, 0.062, 4.0, 1.15, 170.0, 0.0, 0.02),
    ("scaphoid", 0.090, 0.125, 0.052, 5.0, 1.65, 145.0, 0.1, -0.02),
    ("trapezium", 0.180, 0.045, 0.058, 5.0, 1.15, 40.0, 0.1, -0.04),
    ("trapezoid", 0.090, 0.010, 0.046, 5.8, 1.20, 80.0, -0.1, 0.0),
    ("pisiform", -0.165, 0.150, 0.036, 9.5, 1.10, 90.0, 0.0, -0.09),
)
_STYLOID: Final = (1.25, 1.0, 0.62)  # epiphysis of the radius: thick at the styloid


def _carpus(s: Scene, x: float, y: float, unit: float, *, fingers_down: bool = False) -> None:
    # The table is drawn with the fingers up.
    down = -1 if fingers_down else 1
    for name, cx, cy, radius, onset, stretch, angle, taper, z in _CARPALS:
        at = (x + cx * unit, y + down * (cy - 0.07 * fingers_down) * unit, z * unit)
        s.nucleus(name, at, radius * unit, onset=onset, complete=13.5, stretch=stretch, angle=down * angle, taper=taper,
                  density=0.60)  # fmt: skip


def _hand_curls(s: Scene) -> list[float]:
    """Degrees per joint and finger; a lateral hand is fanned."""
    relaxed = 5.0 + 4.0 * s.physique.flexion  # degrees
    return [relaxed + (5.0 * order + 2.0 if s.view == "lateral" else 0.0) for order in range(4)]


def hand(s: Scene) -> None:
    """Five rays, carpus and the ends of radius and ulna."""
    spread = 1.0 + 0.22 * s.physique.spread  # factor of the angles between the fingers
    each = s.rng.normal(size=10).clip(-2.5, 2.5).tolist()
    with s.bent((0.0, 0.5, 0.0), sideways=5.0 * each[8], forwards=4.0 * s.physique.flexion):
        s.soft((-0.02, 0.56, 0), (-0.05, 0.02, 0), 0.26, 0.33, 0.33, depth=0.5)  # palm
        s.soft((0.02, 0.46, 0), (0.24, 0.22, 0), 0.20, 0.19, 0.14, depth=0.6)  # ball of the thumb
        for order, (name, x, angle, size, curl) in enumerate(
            zip(
                FINGERS,
                (-0.21, -0.11, 0.0, 0.11),
                (-15, -5.5, 2, 10),
                (0.84, 0.97, 1.03, 0.98),
                _hand_curls(s),
                strict=True,
            )
        ):
            size *= 1 + 0.025 * each[order]
            lengths = (0.38 * size, 0.26 * size, (0.125, 0.17, 0.18, 0.155)[order], 0.105)
            turned = angle * spread + 2.5 * each[order + 4]
            draw_ray(
                s, name, (x, 0.27 + 0.015 * (order == 0)), turned, lengths, 0.050, PHALANGES, curl=curl, fleshy_from=0.6
            )
        thumb = 40 + 9 * s.physique.spread  # degrees from the middle finger
        draw_ray(s, "first", (0.21, 0.37), thumb, (0.25, 0.18, 0.13), 0.058, (PHALANGES[0], PHALANGES[1], PHALANGES[3]))
        turned = math.radians(thumb)
        sesamoid = (0.19 + 0.26 * math.sin(turned), 0.36 - 0.27 * math.cos(turned), -0.05)
        s.nucleus("sesamoid", sesamoid, 0.024, onset=12.8, complete=15)
        _carpus(s, 0.0, 0.38, 1.0)
    s.soft((0.0, 1.3, 0), (0.0, 0.52, 0), 0.26, 0.24, 0.25, depth=0.7)  # forearm
    s.bone("distal radius", (0.11, 1.3, 0), (0.08, 0.61, 0), (0.075, 0.07, 0.122), plates=(None, 1.0), closes=17.5,
           thick=0.62, flare=5.0, caps=(_STYLOID, _STYLOID))  # fmt: skip
    s.bone("distal ulna", (-0.13, 1.3, -0.03), (-0.13, 0.635, -0.03), (0.06, 0.052, 0.068), plates=(None, 6.0),
           closes=17.0, flare=5.0)  # fmt: skip
    s.joint("wrist", (0.0, 0.56, 0), 0.15, "distal", away=(0, 1))


def finger(s: Scene) -> None:
    """One finger, large, over the head of its metacarpal, often with parts of its neighbours."""
    n = s.rng.normal(size=4).clip(-2.0, 2.0).tolist()
    which = int(s.rng.integers(1, 4))
    # Drawn in every view, used in frontal ones.
    beside = float(s.rng.random())
    name, size = FINGERS[which], (0.84, 0.97, 1.03, 0.98)[which]
    curl = 7.0 + 6.0 * s.physique.flexion + (6.0 if s.view == "lateral" else 0.0)
    s.soft((0.0, 1.4, 0), (0.05, 0.78, 0), 0.50, 0.46, 0.40, depth=0.5)
    draw_ray(s, name, (0.0, 1.36), 1 + 3 * n[0], (0.58, 0.66 * size, 0.44 * size, 0.27), 0.118, PHALANGES, curl=curl,
             fleshy_from=0.5)  # fmt: skip
    if beside > 0.3 and s.view != "lateral":
        angle = 11 + 5 * n[1]
        draw_ray(
            s, FINGERS[which - 1], (-0.40, 1.52), -angle, (0.60, 0.58, 0.34), 0.105, PHALANGES[:3], fleshy_from=0.5
        )
    if beside > 0.5 and which < 3 and s.view != "lateral":
        angle = 10 + 5 * n[2]
        draw_ray(s, FINGERS[which + 1], (0.42, 1.46), angle, (0.60, 0.60, 0.36), 0.108, PHALANGES[:3], fleshy_from=0.5)
    # Findings go into the filmed finger, not into its neighbours.
    s.breakable = [bone for bone in s.breakable if bone.startswith(name) and "metacarpal" not in bone]
    s.joints = [joint for joint in s.joints if joint.name.startswith(name)]


def wrist(s: Scene) -> None:
    """Distal radius and ulna, carpus and the bases of the metacarpals."""
    n = s.rng.normal(size=4).clip(-2.0, 2.0).tolist()
    s.soft((0.0, 1.4, 0), (0.0, 0.0, 0), 0.40, 0.42, 0.44, depth=0.72)
    s.bone("radius", (0.17, 1.4, 0.02), (0.14, 0.15, 0), (0.12, 0.112, 0.225), plates=(None, 1.0), closes=17.5,
           thick=0.70, flare=3.4, caps=(_STYLOID, _STYLOID))  # fmt: skip
    s.bone("ulna", (-0.25, 1.4, -0.06), (-0.235, 0.20, -0.05), (0.10, 0.080, 0.125), plates=(None, 6.0), closes=17.0,
           flare=3.6, thick=0.9)  # fmt: skip
    with s.bent((0.0, 0.0, 0.0), sideways=6 * n[0], forwards=7 * s.physique.flexion):
        s.soft((0.0, 0.15, 0), (0.02, -1.3, 0), 0.44, 0.50, 0.58, depth=0.52)
        _carpus(s, -0.01, -0.27, 1.78)
        fan = 1 + 0.15 * s.physique.spread  # as `spread` of the hand, but the metacarpals hardly move
        for name, x, angle in zip(FINGERS, (-0.37, -0.19, 0.0, 0.20), (-11, -4, 2, 9), strict=True):
            sin = math.sin(math.radians(angle * fan))
            s.bone(f"{name} metacarpal", (x, -0.43, 0), (x + 0.95 * sin, -1.38, 0.02), (0.105, 0.062, 0.08), flare=4.0)
        s.soft((0.34, -0.15, 0.05), (0.80, -0.85, 0.1), 0.22, 0.24, 0.16, depth=0.7)  # ball of the thumb
        s.bone(
            "first metacarpal",
            (0.38, -0.28, 0.08),
            (0.68, -0.80, 0.12),
            (0.11, 0.07, 0.095),
            plates=(2.0, None),
            closes=16.0,
        )
        s.bone(
            "first proximal phalanx",
            (0.72, -0.87, 0.13),
            (0.92, -1.22, 0.16),
            (0.10, 0.06, 0.07),
            plates=(2.0, None),
            closes=16.0,
        )
    s.breakable = ["radius", "radius", "ulna"]  # the radius breaks twice as often as the ulna
    s.joint("radiocarpal joint", (0.03, 0.04, 0), 0.26, "radius", "ulna")


def forearm(s: Scene) -> None:
    """Both bones from elbow to wrist."""
    n = s.rng.normal(size=4).clip(-2.0, 2.0).tolist()
    flexed = 80.0 + 8 * n[0] if s.view == "lateral" else 6 * abs(n[0])  # degrees: the elbow is bent for a lateral view
    s.soft((0.0, -0.80, 0), (0.02, 0.80, 0), 0.25, 0.26, 0.155)
    with s.bent((0.0, -0.72, 0.0), forwards=flexed, sideways=6.0 + 4 * n[1]):
        s.soft((0.0, -1.5, 0), (0.0, -0.64, 0), 0.25, 0.23, 0.25)  # upper arm
        s.bone("humerus", (0.0, -1.5, 0), (0.0, -0.74, 0), (0.075, 0.075, 0.155), plates=(None, 1.0), closes=14.5,
               flare=5.0, depth=0.5, breakable=False)  # fmt: skip
    s.bone("radius", (0.085, -0.66, 0.02), (0.095, 0.66, 0), (0.054, 0.045, 0.090), plates=(3.5, 1.0), closes=17.0,
           bend=-0.045, thick=0.62, flare=4.5, caps=(_STYLOID[::-1], _STYLOID[::-1]))  # fmt: skip
    s.bone(
        "ulna", (-0.055, -0.79, -0.05), (-0.085, 0.645, -0.03), (0.078, 0.043, 0.048), plates=(9.0, 6.0), closes=16.5,
        bend=0.015, flare=2.5,
    )  # fmt: skip
    with s.bent((0.0, 0.70, 0.0), sideways=8 * n[2], forwards=8 * s.physique.flexion):
        s.soft((0.02, 0.70, 0), (0.02, 1.3, 0), 0.165, 0.21, 0.25, depth=0.5)  # hand
        _carpus(s, 0.0, 0.83, 0.60, fingers_down=True)
        for x, lean in ((-0.125, -0.06), (-0.045, -0.02), (0.035, 0.03), (0.11, 0.08)):
            s.bone("metacarpal", (x, 0.92, 0), (x + lean, 1.4, 0), (0.036, 0.023, 0.03), breakable=False)
        s.bone("metacarpal", (0.14, 0.87, 0.03), (0.26, 1.06, 0.06), (0.036, 0.026, 0.032), breakable=False)
    s.joint("elbow", (0.0, -0.70, 0), 0.12, "radius", "ulna")
    s.joint("wrist", (0.0, 0.70, 0), 0.11, "radius", "ulna", away=(0, -1))


def elbow(s: Scene) -> None:
    """Extended from the front, bent at a right angle from the side."""
    bent = s.rng.normal(size=3).clip(-2.0, 2.0).tolist()
    if s.view == "lateral":
        return _lateral_elbow(s, 14.0 * bent[0])
    s.soft((0.0, -1.4, 0), (0.0, 0.0, 0), 0.35, 0.31, 0.34)  # upper arm
    s.bone("distal humerus", (0.02, -1.4, 0), (0.0, -0.04, 0), (0.14, 0.120, 0.29), flare=4.2, depth=0.5)
    s.blob("olecranon fossa", (0.0, -0.17, -0.05), (0.075, 0.13), density=-0.10, layer=ADDED)
    _elbow_nuclei(s)
    with s.bent((0.0, 0.08, 0.0), sideways=-9.0 - 4 * bent[1], forwards=7 * abs(bent[0])):
        s.soft((0.0, -0.05, 0), (0.04, 1.4, 0), 0.36, 0.35, 0.27)  # forearm, with the carrying angle
        s.bone("proximal radius", (0.18, 0.185, 0), (0.14, 1.4, 0), (0.120, 0.085, 0.085), plates=(3.5, None),
               closes=15.0, thick=0.5, flare=5.0)  # fmt: skip
        s.blob("radial tuberosity", (0.10, 0.52, 0), (0.11, 0.07), density=0.34)
        s.bone("proximal ulna", (-0.10, 0.14, -0.1), (-0.10, 1.4, 0), (0.185, 0.088, 0.08), closes=15.5, flare=2.5)
        s.blob(
            "olecranon",
            (-0.04, -0.04, -0.12),
            (0.20, 0.13),
            density=0.03 + 0.010 * min(s.maturity, 11.0),
            square=0.35,
            layer=ADDED,
        )
        s.joint("elbow joint", (0.0, 0.10, 0), 0.27, "proximal radius", "proximal ulna", "olecranon", away=(0.0, 1.0))


def _elbow_nuclei(s: Scene) -> None:
    s.nucleus("capitellum", (0.155, 0.06, 0.03), 0.105, onset=1.0, complete=11, stretch=1.25, angle=0)
    s.nucleus("trochlea", (-0.10, 0.055, 0.0), 0.085, onset=7.0, complete=13, stretch=1.6, angle=175, taper=0.15)
    s.nucleus("medial epicondyle", (-0.255, -0.09, -0.03), 0.062, onset=5.0, complete=14, stretch=1.5, angle=70)
    s.nucleus("lateral epicondyle", (0.245, -0.04, 0), 0.046, onset=11.0, complete=14, stretch=1.6, angle=100)
    if s.maturity > 14.5:  # the nuclei join each other and the shaft
        s.blob("trochlea", (0.02, 0.0, 0.0), (0.26, 0.085), angle=0, density=0.66 * s.mineral, square=0.5)


def _lateral_elbow(s: Scene, flexed: float) -> None:
    s.turn = 0.0
    s.soft((-0.12, -1.4, 0), (-0.12, 0.05, 0), 0.36, 0.31, 0.30)  # upper arm
    s.bone("distal humerus", (-0.12, -1.4, 0), (-0.05, -0.02, 0), (0.13, 0.115, 0.15), flare=4.0)
    s.blob("olecranon fossa", (-0.07, -0.13, 0), (0.10, 0.045), angle=95, density=-0.18, layer=ADDED)
    s.nucleus("capitellum", (0.035, 0.08, 0.05), 0.115, onset=1.0, complete=11)
    s.nucleus("trochlea", (-0.035, 0.09, -0.05), 0.105, onset=7.0, complete=13)
    s.nucleus("medial epicondyle", (-0.14, 0.01, 0), 0.055, onset=5.0, complete=14, stretch=1.4)
    if s.maturity > 14.5:
        s.blob("trochlea", (-0.02, 0.03, 0.0), (0.13, 0.12), density=0.66 * s.mineral)
    with s.bent((0.0, 0.09, 0.0), sideways=flexed):
        s.soft((-0.20, 0.14, 0), (1.4, 0.16, 0), 0.29, 0.30, 0.23)  # forearm
        s.bone("proximal radius", (0.185, 0.085, 0), (1.4, 0.06, 0), (0.118, 0.08, 0.085), plates=(3.5, None),
               closes=15.0, thick=0.5, flare=5.0)  # fmt: skip
        s.bone("proximal ulna", (0.02, 0.285, 0), (1.4, 0.25, 0), (0.13, 0.085, 0.08), flare=2.0)
        olecranon = [
            (0.10, 0.27, 0.0),
            (-0.10, 0.27, 0.0),
            (-0.21, 0.17, 0.0),
            (-0.215, 0.08 if s.maturity < 9 else 0.0, 0.0),
        ]
        s.path("olecranon", olecranon, 0.095, end_width=0.075, density=0.62, cortex=0.025, hollow=0.4)
        # The olecranon has an epiphysis of its own between nine and fifteen.
        if 9.0 <= s.maturity < 15.5:
            s.nucleus("olecranon epiphysis", (-0.225, -0.03, 0), 0.06, onset=9.0, complete=13, stretch=1.3)
        s.blob("coronoid", (0.15, 0.19, 0), (0.07, 0.075), angle=60, density=0.55)
        s.joint("elbow joint", (0.0, 0.10, 0), 0.27, "proximal radius", "proximal ulna", "olecranon", away=(1.0, 0.0))


def humerus(s: Scene) -> None:
    """The whole bone, with shoulder and elbow at the edges of the image."""
    n = s.rng.normal(size=3).clip(-2.0, 2.0).tolist()
    s.soft((-0.85, -1.0, 0), (-0.10, -0.70, 0), 0.65, 0.55, 0.32)  # shoulder
    s.path(
        "scapula", [(-0.12, -0.62, -0.1), (-0.22, -0.52, -0.1), (-0.52, 0.10, -0.1), (-0.72, -0.10, -0.1), (-0.75,
        -0.75, -0.1)], 0.030, density=0.40,
    )  # fmt: skip
    s.blob("scapula", (-0.50, -0.42, -0.1), (0.42, 0.20), angle=80, density=0.14, square=0.2, layer=ADDED)
    s.blob("glenoid", (-0.165, -0.74, -0.05), (0.13, 0.05), angle=98, density=0.55, square=0.4)
    s.path("acromion", [(-0.60, -0.80, -0.1), (-0.25, -0.93, -0.1), (0.02, -0.95, 0)], 0.045, density=0.5)
    s.bone("clavicle", (-1.2, -0.98, 0), (-0.10, -0.98, 0), (0.05, 0.04, 0.05), breakable=False)
    with s.bent((0.0, -0.80, 0.0), sideways=-8.0 + 9 * n[0]):
        s.soft((0.0, -0.74, 0), (0.02, 0.80, 0), 0.30, 0.25, 0.215)  # upper arm
        s.bone(
            "humerus", (0.0, -0.90, 0), (0.02, 0.66, 0), (0.150, 0.068, 0.175), plates=(0.3, 1.0), closes=16.5,
            flare=4.0, sway=0.008, thick=0.9, caps=((0.75, 1.1, 0.95), (0.9, 0.7, 1.1)), depth=0.8,
        )  # fmt: skip
        s.nucleus("medial epicondyle", (-0.17, 0.60, 0), 0.035, onset=5.0, complete=14, stretch=1.4)
        with s.bent((0.02, 0.68, 0.0), sideways=-8.0, forwards=70.0 if s.view == "lateral" else 8 * abs(n[1])):
            s.soft((0.02, 0.70, 0), (0.03, 1.5, 0), 0.23, 0.21, 0.18)  # forearm
            s.bone("ulna", (-0.07, 0.66, -0.05), (-0.05, 1.5, 0), (0.10, 0.05, 0.05), breakable=False)
            s.bone("radius", (0.105, 0.76, 0), (0.10, 1.5, 0), (0.065, 0.048, 0.05), plates=(3.5, None), closes=15.0,
                   breakable=False)  # fmt: skip
        s.joint("shoulder", (-0.08, -0.78, 0), 0.17, "humerus")
        s.joint("elbow", (0.02, 0.70, 0), 0.16, "ulna", "radius")
