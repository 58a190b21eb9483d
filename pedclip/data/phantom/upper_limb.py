"""Layouts of the arm, drawn as a left limb seen from the front; lateral is at positive x.

The ages at which nuclei appear follow the usual order (elbow: capitellum 1, radial head 3, medial epicondyle 5,
trochlea 7, olecranon 9, lateral epicondyle 11 years; carpals from capitate at birth to trapezoid at 6). They are round
numbers for drawing, not a growth atlas.
"""

from typing import Final

import numpy as np

from pedclip.data.phantom.scene import Scene

FINGERS: Final = ("fifth", "fourth", "third", "second")
_CARPALS: Final = (  # name, x, y (in hand units), radius, onset
    ("capitate", -0.02, 0.00, 0.075, 0.2),
    ("hamate", -0.13, 0.01, 0.070, 0.3),
    ("triquetrum", -0.18, 0.11, 0.055, 2.5),
    ("lunate", -0.03, 0.14, 0.060, 4.0),
    ("scaphoid", 0.10, 0.12, 0.065, 5.0),
    ("trapezium", 0.19, 0.02, 0.060, 5.0),
    ("trapezoid", 0.09, -0.03, 0.050, 5.8),
)


def _carpus(s: Scene, x: float, y: float, unit: float) -> None:
    for name, cx, cy, radius, onset in _CARPALS:
        s.nucleus(name, (x + cx * unit, y + cy * unit, 0.0), radius * unit, onset=onset, complete=13, stretch=1.12)


def draw_ray(
    s: Scene,
    name: str,
    base: tuple[float, float],
    angle: float,
    lengths: tuple[float, ...],
    width: float,
    names: tuple[str, ...],
) -> None:
    """Bones in a row from `base`, `angle` degrees from upwards; growth plates where hands and feet have them."""
    direction = np.array([np.sin(np.radians(angle)), -np.cos(np.radians(angle))])
    at = np.array(base)
    curl = 0.25  # fingers bend out of the plane, which keeps them apart in a lateral view
    for order, (bone, length) in enumerate(zip(names, lengths, strict=True)):
        end = at + direction * length
        w = width * (1.0 - 0.13 * order)
        tip = w * (0.62 if order == len(names) - 1 else 0.95)
        distal_plate = (bone == "metacarpal" and name != "first") or (bone == "metatarsal" and name != "first")
        plates = (None, 1.8) if distal_plate else (2.0, None)
        z = -0.02 * order * curl
        s.bone(f"{name} {bone}", (*at, z), (*end, z), (w * 1.05, w * 0.66, tip), plates=plates)
        if order:
            s.joint(
                _joint_name(name, bone, names),
                (*at, z),
                w * 1.25,
                *(f"{name} {n}" for n in names[order:]),
                away=(direction[0], direction[1]),
            )
        at = end + direction * width * (0.30 + 0.35 * growth_room(s.age))
    start, stop = np.array(base) - direction * 0.02, at + direction * width * 0.5
    s.soft((*start, 0.0), (*stop, 0.0), width * 1.9, width * 1.9, width * 1.5, density=0.42, overlap=0.0)


def _joint_name(ray: str, distal: str, names: tuple[str, ...]) -> str:
    if distal == "proximal phalanx":
        return f"{ray} {'metacarpo' if 'metacarpal' in names else 'metatarso'}phalangeal joint"
    if distal == "distal phalanx":
        return f"{ray} {'distal ' if 'middle phalanx' in names else ''}interphalangeal joint"
    return f"{ray} proximal interphalangeal joint"


def growth_room(age: float) -> float:
    """How much wider joints look in a young child, whose bone ends are still cartilage: 1 at birth to 0 at 14 years."""
    return max(0.0, 1 - age / 14)


PHALANGES: Final = ("metacarpal", "proximal phalanx", "middle phalanx", "distal phalanx")


def hand(s: Scene) -> None:
    """Five rays, carpus and the ends of radius and ulna."""
    s.soft((-0.02, 0.62, 0), (-0.05, -0.02, 0), 0.26, 0.36, 0.34, depth=0.5)
    s.soft((0.0, 1.2, 0), (0.0, 0.5, 0), 0.24, 0.22, 0.24, depth=0.7)
    for order, (name, x, angle, size) in enumerate(
        zip(FINGERS, (-0.24, -0.12, 0.0, 0.12), (-16, -6, 2, 10), (0.86, 0.97, 1.03, 0.98), strict=True)
    ):
        lengths = (0.37 * size, 0.25 * size, (0.13, 0.17, 0.18, 0.15)[order], 0.105)
        draw_ray(s, name, (x, 0.26 + 0.02 * (order == 0)), angle, lengths, 0.049, PHALANGES)
    draw_ray(
        s, "first", (0.23, 0.36), 42, (0.25, 0.18, 0.13), 0.056, ("metacarpal", "proximal phalanx", "distal phalanx")
    )
    _carpus(s, 0.0, 0.40, 1.0)
    s.bone("distal radius", (0.10, 1.2, 0), (0.08, 0.62, 0), (0.07, 0.075, 0.12), plates=(None, 1.0))
    s.bone("distal ulna", (-0.14, 1.2, 0), (-0.13, 0.65, 0), (0.055, 0.055, 0.07), plates=(None, 6.0))
    s.joint("wrist", (0.0, 0.52, 0), 0.16, "distal", away=(0, 1))


def finger(s: Scene) -> None:
    """One finger, large, over the head of its metacarpal, with part of a neighbour."""
    s.soft((0.0, 1.3, 0), (0.05, 0.62, 0), 0.55, 0.5, 0.45, depth=0.5)
    draw_ray(s, "third", (0.0, 1.28), 1, (0.60, 0.66, 0.44, 0.26), 0.115, PHALANGES)
    draw_ray(s, "second", (0.52, 1.35), 9, (0.60, 0.55), 0.10, PHALANGES[:2])
    s.breakable = [name for name in s.breakable if name.startswith("third") and "metacarpal" not in name]
    s.joints = [joint for joint in s.joints if joint.name.startswith("third")]


def wrist(s: Scene) -> None:
    """Distal radius and ulna, carpus and the bases of the metacarpals."""
    s.soft((0.0, 1.3, 0), (0.0, 0.0, 0), 0.40, 0.44, 0.46, depth=0.7)
    s.soft((0.0, 0.15, 0), (0.02, -1.2, 0), 0.46, 0.52, 0.60, depth=0.55)
    s.bone("radius", (0.16, 1.3, 0.02), (0.13, 0.16, 0), (0.12, 0.125, 0.215), plates=(None, 1.0))
    s.bone("ulna", (-0.24, 1.3, -0.06), (-0.22, 0.20, -0.04), (0.095, 0.09, 0.125), plates=(None, 6.0))
    _carpus(s, 0.0, -0.22, 1.75)
    for name, x, angle in zip(FINGERS, (-0.36, -0.18, 0.02, 0.21), (-10, -4, 1, 7), strict=True):
        tip = x + 0.8 * np.sin(np.radians(angle))
        s.bone(f"{name} metacarpal", (x, -0.42, 0), (tip, -1.25, 0), (0.10, 0.062, 0.08))
    s.bone("first metacarpal", (0.40, -0.26, 0.08), (0.72, -0.72, 0.12), (0.10, 0.068, 0.09), plates=(2.0, None))
    s.breakable = ["radius", "radius", "ulna"]
    s.joint("radiocarpal joint", (0.03, 0.04, 0), 0.26, "radius", "ulna")


def forearm(s: Scene) -> None:
    """Both bones from elbow to wrist."""
    s.soft((0.0, -1.2, 0), (0.0, -0.60, 0), 0.30, 0.28, 0.30)
    s.soft((0.0, -0.75, 0), (0.02, 0.80, 0), 0.30, 0.28, 0.17)
    s.soft((0.02, 0.72, 0), (0.02, 1.2, 0), 0.18, 0.22, 0.26, depth=0.5)
    s.bone("humerus", (0.0, -1.25, 0), (0.0, -0.72, 0), (0.075, 0.075, 0.16), plates=(None, 1.0), breakable=False)
    s.bone("radius", (0.085, -0.66, 0.02), (0.085, 0.66, 0), (0.058, 0.048, 0.085), plates=(3.5, 1.0), bend=-0.045)
    s.bone("ulna", (-0.055, -0.74, -0.03), (-0.085, 0.64, -0.02), (0.075, 0.046, 0.050), plates=(9.0, 6.0), bend=0.02)
    _carpus(s, 0.0, 0.83, 0.62)
    s.joint("elbow", (0.0, -0.70, 0), 0.12, "radius", "ulna")
    s.joint("wrist", (0.0, 0.70, 0), 0.11, "radius", "ulna", away=(0, -1))


def elbow(s: Scene) -> None:
    """Extended from the front, bent at a right angle from the side."""
    side = s.view == "lateral"
    s.turn = 0.0 if side else s.turn
    h = (-0.10, -0.05) if side else (0.0, -0.02)
    s.soft((h[0], -1.3, 0), (h[0], 0.0, 0), 0.34, 0.30, 0.31)
    widths = (0.13, 0.125, 0.17 if side else 0.29)
    s.bone("distal humerus", (h[0], -1.3, 0), (h[0], h[1], 0), widths)
    s.nucleus("capitellum", (0.02 if side else 0.15, 0.06, 0), 0.11, onset=1.0, complete=12)
    s.nucleus("medial epicondyle", (-0.02 if side else -0.30, -0.10, 0), 0.07, onset=5.0, complete=14, stretch=1.4)
    s.nucleus("trochlea", (-0.06 if side else -0.10, 0.05, 0), 0.10, onset=7.0, complete=13)
    s.nucleus("lateral epicondyle", (0.0 if side else 0.30, -0.08, 0), 0.055, onset=11.0, complete=14)
    if side:
        s.soft((-0.12, 0.12, 0), (1.3, 0.14, 0), 0.32, 0.28, 0.24)
        s.bone("proximal radius", (0.20, 0.10, 0), (1.3, 0.08, 0), (0.125, 0.085, 0.09), plates=(3.5, None))
        s.bone("proximal ulna", (-0.24, 0.20, 0), (1.3, 0.24, 0), (0.17, 0.085, 0.08), plates=(9.0, None), bend=-0.03)
        away = (1.0, 0.0)
    else:
        s.soft((0.0, -0.05, 0), (0.18, 1.3, 0), 0.36, 0.33, 0.27)
        s.bone("proximal radius", (0.17, 0.19, 0), (0.30, 1.3, 0), (0.125, 0.085, 0.09), plates=(3.5, None))
        s.bone("proximal ulna", (-0.10, -0.02, -0.1), (0.06, 1.3, 0), (0.17, 0.09, 0.08), plates=(9.0, None))
        away = (0.1, 1.0)
    s.joint("elbow joint", (0.0, 0.08, 0), 0.27, "proximal radius", "proximal ulna", away=away)


def humerus(s: Scene) -> None:
    """The whole bone, with shoulder and elbow at the edges of the image."""
    s.soft((0.0, -1.0, 0), (0.02, 0.9, 0), 0.40, 0.27, 0.24)
    s.soft((-0.75, -1.15, 0), (-0.05, -0.70, 0), 0.6, 0.55, 0.34)
    s.bone("humerus", (0.02, -0.86, 0), (0.02, 0.66, 0), (0.135, 0.072, 0.175), plates=(0.3, 1.0), sway=0.01)
    s.path("scapula", [(-0.42, -0.15, -0.1), (-0.17, -0.72, -0.1), (-0.70, -0.80, -0.1)], 0.045, density=0.45)
    s.path("acromion", [(-0.50, -0.92, -0.1), (-0.02, -1.0, 0)], 0.05, density=0.5)
    s.bone("ulna", (-0.07, 0.64, -0.05), (-0.05, 1.3, 0), (0.10, 0.06, 0.05), breakable=False)
    s.bone("radius", (0.10, 0.76, 0), (0.12, 1.3, 0), (0.07, 0.05, 0.05), plates=(3.5, None), breakable=False)
    s.joint("shoulder", (-0.10, -0.80, 0), 0.17, "humerus")
    s.joint("elbow", (0.02, 0.70, 0), 0.16, "ulna", "radius")


def _ribs_behind(s: Scene, x: float, top: float, count: int) -> None:
    for order in range(count):
        y = top + 0.22 * order
        s.path(
            f"rib {order + 1}",
            [(x, y, -0.2), (x + 0.28, y + 0.03, -0.2), (x + 0.55, y + 0.17, 0), (x + 0.62, y + 0.36, 0.1)],
            0.026,
            density=0.28,
        )


def shoulder(s: Scene) -> None:
    """Proximal humerus, glenoid, scapula, acromion, and the clavicle over the first ribs."""
    s.turn *= 0.5
    s.soft((0.38, -0.40, 0), (0.52, 1.3, 0), 0.40, 0.30, 0.28)
    s.soft((-0.9, 1.3, 0), (-0.1, -0.30, 0), 1.0, 0.9, 0.55)
    s.blob("lung", (-0.95, 0.55, 0), (0.75, 0.5), angle=80, density=-0.4)
    _ribs_behind(s, -1.15, -0.05, 5)
    s.path("scapula", [(0.05, -0.05, 0), (-0.18, 0.85, 0), (-0.62, -0.25, 0)], 0.05, density=0.5)
    s.blob("scapula", (-0.22, 0.22, 0), (0.55, 0.26), angle=80, density=0.22)
    s.blob("glenoid", (0.10, 0.00, 0), (0.22, 0.075), angle=95, density=0.75, cortex=0.02, hollow=0.4)
    s.path("acromion", [(-0.35, -0.28, 0), (0.10, -0.50, 0), (0.38, -0.44, 0)], 0.07, density=0.5)
    s.nucleus("coracoid", (0.02, -0.22, 0.1), 0.10, onset=1.0, stretch=1.4)
    s.bone("clavicle", (-1.2, -0.42, 0), (0.14, -0.60, 0), (0.09, 0.062, 0.075), sway=0.06)
    s.bone("proximal humerus", (0.36, -0.27, 0), (0.52, 1.3, 0), (0.27, 0.135, 0.125), plates=(0.3, None))
    s.joint("glenohumeral joint", (0.20, -0.02, 0), 0.28, "proximal humerus", away=(0.45, 0.9))


def clavicle(s: Scene) -> None:
    """The whole bone, S-shaped, over the lung apex and the first ribs."""
    s.turn *= 0.35
    s.soft((-0.75, -1.2, 0), (-0.70, 1.2, 0), 0.35, 0.95, 1.3)
    s.soft((-0.7, 0.6, 0), (0.75, 0.35, 0), 0.8, 0.75, 0.62)
    s.blob("lung", (-0.30, 0.75, 0), (0.85, 0.55), angle=80, density=-0.45)
    _ribs_behind(s, -0.80, 0.05, 4)
    for order in range(5):
        s.blob(
            "vertebra", (-0.98, -0.9 + 0.42 * order, 0), (0.16, 0.20), density=0.55, square=1.0, cortex=0.03, hollow=0.4
        )
    s.bone("clavicle", (-0.72, 0.02, 0.1), (0.55, -0.22, 0.1), (0.105, 0.066, 0.080), sway=0.12, density=1.1)
    s.path("acromion", [(0.35, 0.05, 0), (0.66, -0.15, 0), (0.80, -0.08, 0)], 0.065, density=0.5)
    s.bone("humerus", (0.80, 0.06, 0), (0.95, 1.2, 0), (0.19, 0.10, 0.10), plates=(0.3, None), breakable=False)
    s.joint("acromioclavicular joint", (0.60, -0.20, 0.1), 0.14, "acromion", "humerus", away=(0.7, 0.7))
