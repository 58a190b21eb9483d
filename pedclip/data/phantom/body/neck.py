"""Layout of the cervical spine, from the front and from the side."""

from pedclip.data.phantom.body.scene import Scene
from pedclip.data.phantom.body.spine import vertebra
from pedclip.data.phantom.imaging.shapes import ADDED


def cervical_spine(s: Scene) -> None:
    """Seven small vertebrae between skull base and shoulders; the airway runs in front."""
    n = s.rng.normal(size=4).clip(-2.0, 2.0).tolist()
    if s.view == "lateral":
        return _lateral_neck(s, 6 * n[0])
    s.soft((0.0, -0.3, 0.1), (0.0, 0.85, 0), 0.46, 0.42, 0.50)  # neck
    s.soft((0.0, 0.80, 0), (0.0, 1.6, 0), 0.70, 1.0, 1.1, depth=0.55)  # shoulders
    s.soft((0.0, -1.6, 0.05), (0.0, -0.30, 0.15), 0.74, 0.72, 0.48, depth=1.1)  # head
    s.blob("skull", (0.0, -1.22, 0.0), (0.66, 0.66), density=0.40, depth=1.1, cortex=0.05, hollow=0.45)
    s.blob("skull base", (0.0, -0.78, -0.1), (0.16, 0.44), density=0.24, square=0.3, layer=ADDED)
    lift = 0.05 * n[1]
    for side in (-1, 1):
        jaw = [
            (side * 0.46, -0.78, 0.15),
            (side * 0.42, -0.46 + lift, 0.25),
            (side * 0.24, -0.30 + lift, 0.5),
            (0.0, -0.24 + lift, 0.68),
        ]
        s.path("mandible", jaw, 0.085, end_width=0.115, density=0.34, cortex=0.02, hollow=0.4)
        s.path(
            "first rib", [(side * 0.18, 0.86, -0.1), (side * 0.44, 0.84, 0), (side * 0.60, 1.0, 0.2), (side * 0.5,
            1.25, 0.3)], 0.042, density=0.20,
        )  # fmt: skip
        s.bone(
            "clavicle",
            (side * 0.14, 1.16, 0.3),
            (side * 0.98, 0.90, 0.1),
            (0.06, 0.042, 0.05),
            density=0.36,
            breakable=False,
        )
        s.blob("lung apex", (side * 0.40, 1.18, 0), (0.36, 0.30), density=-0.2, square=0.3, layer=ADDED)
    for order in range(6 if s.age > 1 else 0):
        s.blob(
            "tooth", ((order - 2.5) * 0.085, -0.50 + lift, 0.5), (0.085, 0.036), density=0.16, square=0.6, layer=ADDED
        )
    s.blob("face", (0.0, -0.52 + lift, 0.3), (0.24, 0.38), density=0.14, square=0.3, layer=ADDED)
    s.path("C1", [(-0.24, -0.66, 0.1), (0.0, -0.63, 0.15), (0.24, -0.66, 0.1)], 0.06, density=0.28)
    for order in range(1, 9):
        y = -0.66 + 0.205 * order
        name = f"C{order + 1}" if order < 7 else f"T{order - 6}"
        vertebra(
            s, name, (0.0, y, 0.02), 0.150 + 0.006 * order, 0.095, transverse=0.30 if order < 7 else 0.9, density=0.36
        )
    # The column of air in front of the spine, a little off the midline.
    s.blob("airway", (0.01 * n[2], 0.52, 0.34), (0.70, 0.070), density=-0.16, square=0.6, layer=ADDED)
    s.breakable = [f"C{level}" for level in range(2, 7)]


def _lateral_neck(s: Scene, flexed: float) -> None:
    """Bodies in a lordotic column with their spinous processes behind; jaw and airway in front (positive x)."""
    s.turn = 0.0
    s.soft((0.02, -0.5, 0), (0.0, 0.80, 0), 0.54, 0.45, 0.54)  # neck
    s.soft((-0.30, 0.95, 0), (-0.30, 1.6, 0), 0.70, 0.85, 0.95)  # shoulders
    # Nodding: head and column turn together, the shoulders stay.
    with s.bent((-0.1, 0.4, 0.0), sideways=flexed):
        _skull_and_jaw(s)
        _column(s)
    s.path(
        "airway",
        [(0.20, -0.62, 0), (0.27, -0.05, 0), (0.37, 0.35, 0), (0.30, 1.1, 0)],
        0.065,
        density=-0.20,
        layer=ADDED,
    )
    s.blob("airway", (0.29, 0.02, 0), (0.10, 0.03), angle=60, density=0.12, layer=ADDED)  # epiglottis
    s.path("hyoid", [(0.34, 0.02, 0), (0.50, -0.02, 0)], 0.03, density=0.18)
    s.bone("clavicle", (0.30, 1.12, 0), (-0.25, 0.98, 0), (0.06, 0.05, 0.06), density=0.30, breakable=False)
    s.breakable = [f"C{level}" for level in range(2, 7)]


def _skull_and_jaw(s: Scene) -> None:
    """From the side."""
    s.soft((-0.35, -0.95, 0), (0.56, -0.72, 0), 0.75, 0.72, 0.62)
    s.blob("skull", (-0.40, -1.15, 0), (0.85, 0.58), angle=-4, density=0.42, cortex=0.05, hollow=0.6)
    s.path("skull base", [(0.45, -0.95, 0), (0.10, -0.86, 0), (-0.10, -0.68, 0), (-0.50, -0.64, 0)], 0.05, density=0.36)
    s.blob("petrous bone", (-0.12, -0.80, 0), (0.22, 0.13), angle=10, density=0.20, layer=ADDED)
    s.blob("maxilla", (0.62, -0.78, 0), (0.34, 0.20), angle=4, density=0.22, square=0.4, layer=ADDED)
    jaw = [(0.16, -0.95, 0), (0.22, -0.56, 0), (0.44, -0.40, 0), (0.90, -0.32, 0)]
    s.path("mandible", jaw, 0.12, end_width=0.13, density=0.38, cortex=0.02, hollow=0.35)
    for order in range(6 if s.age > 1 else 0):
        s.blob(
            "tooth",
            (0.86 - 0.08 * order, -0.50 - 0.012 * order, 0),
            (0.11, 0.042),
            density=0.22,
            square=0.5,
            layer=ADDED,
        )


def _column(s: Scene) -> None:
    """C1 to T1 from the side; the bodies of young children are low and round."""
    grown = min(1.0, 0.5 + s.maturity / 16)  # 1 at eight years of maturity
    # A parabola: the lordosis.
    bodies = [(0.055 * k - 0.020 * (k - 3.5) ** 2 - 0.05, -0.62 + 0.205 * k) for k in range(8)]
    s.blob("C1", (0.02, -0.56, 0), (0.06, 0.045), density=0.36)
    s.path("C1", [(-0.20, -0.55, 0), (-0.42, -0.52, 0)], 0.034, density=0.30)
    s.blob(
        "C2",
        (-0.07, -0.37, 0),
        (0.085, 0.105 * grown),
        density=0.40 * s.mineral,
        square=0.7,
        cortex=0.016,
        hollow=0.45,
    )
    # The dens stands on the body of C2, behind the arch of C1.
    s.blob("C2", (-0.065, -0.52, 0), (0.105, 0.055), density=0.36, square=0.3)
    for order in range(1, 8):
        x, y = bodies[order]
        name = f"C{order + 1}" if order < 7 else "T1"
        if order > 1:
            height = (0.084 + 0.002 * order) * (0.85 + 0.15 * grown)
            s.blob(
                name, (x, y, 0), (height, 0.118), angle=90 + 4 * (order - 4), density=0.40 * s.mineral,
                square=0.35 + 0.6 * (grown - 0.5), taper=0.06, cortex=0.016, hollow=0.45,
            )  # fmt: skip
        # Articular pillar, both sides over each other.
        s.blob(name, (x - 0.185, y + 0.015, 0), (0.105, 0.062), angle=118, density=0.30, square=0.5, depth=2.0)
        # Spinous processes: long at C2, then growing down to the vertebra prominens.
        reach = 0.20 + 0.035 * max(0, order - 3) + 0.06 * (order == 1)
        s.path(
            name,
            [(x - 0.24, y + 0.05, 0), (x - 0.24 - reach, y + 0.10 + 0.012 * order, 0)],
            0.05,
            end_width=0.038,
            density=0.26,
            cortex=0.012,
            hollow=0.4,
        )
