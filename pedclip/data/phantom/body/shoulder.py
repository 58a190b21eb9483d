"""Layouts of shoulder and clavicle: a left limb seen from the front over the edge of the chest."""

from pedclip.data.phantom.body.chest import draw_rib
from pedclip.data.phantom.body.scene import Scene
from pedclip.data.phantom.imaging.shapes import ADDED


def _scapula(s: Scene, x: float, y: float, unit: float) -> None:
    """Body, spine, acromion, coracoid and glenoid around a glenohumeral joint at (x, y)."""

    def at(dx: float, dy: float, z: float = -0.15) -> tuple[float, float, float]:
        return x + dx * unit, y + dy * unit, z

    s.blob(  # a thin plate, broad above and pointed below
        "scapula", at(-0.335, 0.34), (0.56 * unit, 0.215 * unit), angle=96, density=0.19 * s.mineral, square=0.35,
        taper=-0.60, depth=0.3, layer=ADDED,
    )  # fmt: skip
    s.path(
        "scapula", [at(-0.07, 0.16), at(-0.15, 0.40), at(-0.35, 0.84)], 0.055 * unit, end_width=0.034 * unit,
        density=0.27, breakable=False,
    )  # fmt: skip
    s.path(
        "scapula", [at(-0.42, 0.84), at(-0.56, 0.36), at(-0.56, -0.05)], 0.022 * unit, density=0.15,
        breakable=False,
    )  # fmt: skip
    s.path(
        "acromion",
        [at(-0.52, 0.06), at(-0.22, -0.12), at(0.05, -0.34), at(0.24, -0.36)],
        0.034 * unit,
        end_width=0.085 * unit,
        density=0.28,
    )
    # The coracoid points forwards, so it is seen end-on.
    s.path("coracoid", [at(-0.14, -0.08, 0.1), at(-0.10, -0.20, 0.2), at(0.04, -0.15, 0.3)], 0.06 * unit, density=0.35)
    s.blob(
        "glenoid",
        at(-0.04, 0.0, 0.0),
        (0.19 * unit, 0.07 * unit),
        angle=97,
        density=0.48 * s.mineral,
        cortex=0.02,
        hollow=0.25,
        square=0.4,
    )


def _thorax(s: Scene, x: float, unit: float, y: float, ribs: int) -> None:
    """The left half of the chest behind, magnified by `unit`, its midline at x."""
    s.blob(
        "lung",
        (x + 0.42 * unit, y + 0.15 * unit, 0),
        (0.75 * unit, 0.27 * unit),
        angle=84,
        density=-0.34,
        square=0.2,
        depth=1.5,
        layer=ADDED,
    )
    for number in range(1, ribs + 1):
        draw_rib(s, number, 1, x=x, y=y, unit=unit)


def shoulder(s: Scene) -> None:
    """Proximal humerus, glenoid, scapula, acromion, and the clavicle over the first ribs."""
    n = s.rng.normal(size=4).clip(-2.0, 2.0).tolist()
    s.turn *= 0.5
    s.soft((-1.0, 1.4, 0), (-0.25, -0.18, 0), 1.0, 0.85, 0.45)  # chest wall
    s.soft((-1.3, -0.9, 0), (-1.1, 0.2, 0), 0.3, 0.5, 0.7)  # neck
    _thorax(s, -1.42, 1.55, 0.75, 6)
    _scapula(s, 0.10, 0.0, 1.0)
    s.bone("clavicle", (-1.25, -0.40, 0), (0.20, -0.42, 0), (0.085, 0.058, 0.078), sway=0.05, density=0.62)
    with s.bent((0.30, 0.0, 0.0), sideways=-4.0 - 9 * abs(n[0])):
        s.soft((0.36, -0.20, 0), (0.50, 1.4, 0), 0.36, 0.31, 0.28)  # arm
        s.bone(
            "proximal humerus", (0.30, -0.24, 0), (0.50, 1.4, 0), (0.255, 0.130, 0.120), plates=(0.3, None),
            closes=18.0, flare=2.6, thick=1.0, caps=((0.55, 1.05, 1.0), (1.0, 1.0, 1.0)), depth=0.8,
        )  # fmt: skip
        s.nucleus("greater tuberosity", (0.50, -0.04, 0), 0.09, onset=1.2, complete=9, stretch=1.4, angle=75)
        s.joint("glenohumeral joint", (0.12, 0.0, 0), 0.28, "proximal humerus", "greater tuberosity", away=(0.45, 0.9))


def clavicle(s: Scene) -> None:
    """The whole bone, S-shaped, from the sternum over the lung apex to the shoulder."""
    n = s.rng.normal(size=3).clip(-2.0, 2.0).tolist()
    s.turn *= 0.35
    s.soft((-0.95, -1.4, 0), (-0.90, 0.2, 0), 0.32, 0.36, 0.75)  # neck
    s.soft((-0.75, 1.4, 0), (-0.55, 0.45, 0), 1.2, 1.0, 0.85)  # chest
    s.soft((-0.7, 0.30, 0), (0.62, 0.12, 0), 0.55, 0.50, 0.40)  # shoulder
    for order in range(6):
        y = -1.1 + 0.36 * order
        s.blob("vertebra", (-0.96, y, -0.4), (0.135, 0.18), density=0.42, square=1.0, cortex=0.03, hollow=0.4)
    _thorax(s, -0.96, 1.75, 1.15, 5)
    s.blob("trachea", (-0.96, -0.4, 0.1), (1.0, 0.09), density=-0.2, square=0.6, layer=ADDED)
    _scapula(s, 0.66, 0.12, 0.8)
    rise = -0.10 - 0.06 * n[0]  # shrugged or dropped shoulder
    s.bone(
        "clavicle",
        (-0.74, 0.10, 0.1),
        (0.62, rise - 0.06, 0.1),
        (0.115, 0.062, 0.085),
        sway=0.085,
        density=0.95,
        flare=2.5,
    )
    s.blob("manubrium", (-0.90, 0.34, 0.3), (0.28, 0.16), density=0.16, square=0.6, layer=ADDED)
    with s.bent((0.80, 0.12, 0.0), sideways=-5.0 * abs(n[1])):
        s.soft((0.82, 0.05, 0), (0.92, 1.4, 0), 0.30, 0.26, 0.25)  # arm
        s.bone(
            "humerus", (0.82, -0.06, 0), (0.95, 1.4, 0), (0.20, 0.105, 0.10), plates=(0.3, None), closes=18.0,
            flare=3.2, thick=1.0, breakable=False,
        )  # fmt: skip
    s.joint("acromioclavicular joint", (0.66, -0.14, 0.1), 0.14, "acromion", "humerus", away=(0.7, 0.7))
