"""Layouts of skull and face; from the front the patient's left is at positive x, from the side the face looks to it."""

import math

from pedclip.data.phantom.body.scene import Scene
from pedclip.data.phantom.imaging.shapes import ADDED, Point


def _face_size(age: float) -> float:
    """Size of the face beside the vault: a third smaller in a newborn."""
    return 0.58 + 0.14 * (1 - math.exp(-age / 6)) / (1 - math.exp(-3))  # saturates, as the face stops growing at 18


def _air(age: float, begins: float, complete: float) -> float:
    """Fraction of a sinus that is pneumatised, 0 to 1."""
    return min(1.0, max(0.0, (age - begins) / (complete - begins)))


def draw_face(s: Scene, u: float, y: float, z: float, *, mouth: float = 0.0) -> None:
    """Orbits, nose, sinuses and jaws from the front; `u` scales, `y` is the height of the orbits, `mouth` opens."""
    sinus = 0.35 + 0.65 * _air(s.age, 1.0, 13.0)
    for side in (-1, 1):
        # A dense rim around a lucent hole.
        orbit = (side * 0.31 * u, y, z)
        s.blob("orbit", orbit, (0.20 * u, 0.245 * u), density=0.26, depth=0.5, cortex=0.055 * u, hollow=0.9, square=0.3)
        s.blob("orbit", orbit, (0.165 * u, 0.21 * u), density=-0.14, depth=0.5, square=0.2, layer=ADDED)
        s.path(
            "petrous ridge", [(side * 0.14 * u, y + 0.17 * u, z - 0.5), (side * 0.54 * u, y + 0.10 * u, z - 0.5)],
            0.055 * u, density=0.05, layer=ADDED,
        )  # fmt: skip
        s.blob(
            "maxillary sinus", (side * 0.25 * u, y + 0.41 * u, z), (0.16 * u * sinus, 0.13 * u * sinus),
            density=-0.15 * sinus, square=0.3, angle=90 + side * 15, layer=ADDED,
        )  # fmt: skip
        s.path(
            "zygoma", [(side * 0.57 * u, y + 0.02 * u, z - 0.1), (side * 0.54 * u, y + 0.22 * u, z), (side * 0.42 * u,
            y + 0.40 * u, z), (side * 0.30 * u, y + 0.50 * u, z)], 0.095 * u, end_width=0.075 * u, density=0.15,
        )  # fmt: skip
    # The nose is air, split by the septum and narrowed by the turbinates.
    s.blob("nose", (0.0, y + 0.30 * u, z), (0.24 * u, 0.115 * u), density=-0.16, taper=0.35, layer=ADDED)
    s.path("nasal septum", [(0.0, y + 0.04 * u, z), (0.008, y + 0.52 * u, z)], 0.014 * u, density=0.13, layer=ADDED)
    for side in (-1, 1):
        s.blob("turbinate", (side * 0.065 * u, y + 0.40 * u, z), (0.07 * u, 0.03 * u), density=0.08, layer=ADDED)
    s.path(
        "maxilla",
        [(-0.24 * u, y + 0.62 * u, z), (0.0, y + 0.57 * u, z + 0.1), (0.24 * u, y + 0.62 * u, z)],
        0.08 * u,
        density=0.14,
    )
    # Behind the face, the skull base and the mass of the facial bones.
    s.blob("skull base", (0.0, y + 0.40 * u, z - 0.5), (0.24 * u, 0.60 * u), density=0.06, square=0.2, layer=ADDED)
    s.blob(
        "face", (0.0, y + 0.64 * u, z - 0.2), (0.46 * u, 0.44 * u), density=0.11, square=0.3, taper=-0.15, layer=ADDED
    )
    _jaws(s, u, y, z, mouth)


def _jaws(s: Scene, u: float, y: float, z: float, mouth: float) -> None:
    long = 0.90 + 0.10 * min(1.0, s.age / 14)
    drop = mouth * 0.16 * u  # the lower jaw alone goes down
    for side in (-1, 1):
        jaw = [
            (side * 0.53 * u, y + 0.22 * u, z - 0.45 * u), (side * 0.50 * u, y + 0.70 * u * long + drop,
            z - 0.35 * u), (side * 0.33 * u, y + 0.96 * u * long + drop, z - 0.1 * u), (0.0,
            y + 1.10 * u * long + drop, z),
        ]  # fmt: skip
        s.path("mandible", jaw, 0.080 * u, end_width=0.125 * u, density=0.30, cortex=0.02, hollow=0.3, breakable=True)
    # Teeth of one jaw from the front: none, some milk teeth, all of them, then the permanent ones.
    count = 0 if s.age < 0.7 else 6 if s.age < 2.5 else 10 if s.age < 10 else 12
    for order in range(count):
        x = (order - (count - 1) / 2) * (0.54 / max(count, 8)) * u
        for height, fall, long_ in ((0.69, 0.0, 0.068), (0.84 * (0.5 + 0.5 * long) + 0.02, drop, 0.062)):
            # On the arch of the jaw: side teeth lie higher and further back.
            at = (x, y + (height - 0.10 * (x / u) ** 2) * u + fall, z - abs(x) * 0.6)
            s.blob(
                "tooth",
                at,
                (1.5 * long_ * u, (0.20 / max(count, 8) + 0.008) * u),
                density=0.11,
                square=0.5,
                taper=-0.25,
                layer=ADDED,
            )
    if 1.0 < s.age < 12:  # germs of the permanent teeth
        for order in range(6):
            x = (order - 2.5) * 0.085 * u
            s.blob(
                "tooth germ",
                (x, y + 0.99 * u * long + drop - 0.4 * abs(x), z - abs(x)),
                (0.035 * u, 0.026 * u),
                density=0.12,
                layer=ADDED,
            )


def draw_profile(s: Scene, u: float, x: float, y: float, *, mouth: float = 0.0) -> None:
    """The face from the side, looking to positive x; (x, y) is the root of the nose."""
    long = 0.90 + 0.10 * min(1.0, s.age / 14)

    def at(dx: float, dy: float) -> Point:
        return x + dx * u, y + dy * u, 0.0

    s.soft(at(-0.30, -0.15), at(-0.28, 0.95), 0.48 * u, 0.49 * u, 0.43 * u, density=0.30)  # face
    s.soft(at(0.08, 0.10), at(0.20, 0.36), 0.06 * u, 0.10 * u, 0.09 * u, density=0.26)  # nose
    s.path(
        "nasal bone", [at(-0.03, -0.04), at(0.03, 0.08), at(0.12, 0.19)], 0.030 * u, end_width=0.016 * u, density=0.42
    )
    s.blob("orbit", at(-0.20, 0.08), (0.17 * u, 0.15 * u), density=0.24, cortex=0.05 * u, hollow=0.9)
    s.blob("orbit", at(-0.20, 0.08), (0.15 * u, 0.13 * u), density=-0.08, layer=ADDED)
    s.path("zygoma", [at(-0.66, 0.26), at(-0.34, 0.24), at(-0.16, 0.32)], 0.055 * u, end_width=0.075 * u, density=0.19)
    sinus = 0.35 + 0.65 * _air(s.age, 1.0, 13.0)
    s.blob(
        "maxillary sinus", at(-0.18, 0.40), (0.15 * u * sinus, 0.17 * u * sinus), density=-0.14, square=0.4, layer=ADDED
    )
    s.path("maxilla", [at(0.03, 0.30), at(0.06, 0.46), at(0.08, 0.60)], 0.05 * u, density=0.28)
    s.blob("face", at(-0.22, 0.38), (0.32 * u, 0.36 * u), density=0.20, square=0.4, layer=ADDED)
    s.path("maxilla", [at(0.08, 0.53), at(-0.18, 0.545), at(-0.44, 0.55)], 0.035 * u, density=0.20)
    s.blob("nasopharynx", at(-0.52, 0.62), (0.38 * u, 0.075 * u), angle=96, density=-0.12, square=0.4, layer=ADDED)
    # The jaw opens about its joint before the ear.
    with s.bent(at(-0.66, 0.30), sideways=9.0 * mouth):
        jaw = [
            at(-0.64, 0.28),
            at(-0.60, 0.62 * long),
            at(-0.50, 0.86 * long),
            at(-0.22, 0.97 * long),
            at(0.05, 1.06 * long),
        ]
        s.path("mandible", jaw, 0.115 * u, end_width=0.125 * u, density=0.36, cortex=0.02, hollow=0.35, breakable=True)
        s.path("mandible", [at(0.04, 1.04 * long), at(0.035, 0.84 * long)], 0.085 * u, density=0.34)
        s.path("mandible", [at(-0.52, 0.70 * long), at(-0.44, 0.40)], 0.07 * u, end_width=0.04 * u, density=0.30)
        _teeth_from_side(s, u, x, y + (0.80 * long + 0.01) * u, 0.058)
    _teeth_from_side(s, u, x, y + 0.66 * u, 0.066)


def _teeth_from_side(s: Scene, u: float, x: float, y: float, long: float) -> None:
    for order in range(0 if s.age < 0.7 else 4 if s.age < 2.5 else 6):
        s.blob(
            "tooth",
            (x + (0.07 - 0.073 * order) * u, y, 0.0),
            (1.35 * long * u, 0.035 * u),
            density=0.24,
            square=0.5,
            layer=ADDED,
        )


def _suture(s: Scene, points: list[Point], width: float) -> None:
    s.path("suture", points, width, density=-0.11, depth=5.0, layer=ADDED)


def skull(s: Scene) -> None:
    """Vault with sutures (wide in infants) over the face."""
    n = s.rng.normal(size=6).clip(-2.0, 2.0).tolist()
    # The vault thickens with age; sutures narrow in the first 18 months.
    wall, gap = 0.040 + 0.03 * s.age / 18, 0.010 + 0.020 * max(0.0, 1 - s.age / 1.5)
    if s.view == "lateral":
        return _lateral_skull(s, wall, gap, n)
    wide = 1 + 0.035 * n[0]
    s.soft((0.0, -0.95, 0), (0.0, 0.80, 0), 0.58 / s.chubby, 0.73 / s.chubby, 0.56 / s.chubby, depth=1.2, density=0.30)
    s.soft((0.0, 0.5, -0.1), (0.0, 1.4, -0.1), 0.38, 0.35, 0.42)  # neck
    s.blob(
        "vault", (0.0, -0.20, 0), (0.72, 0.66 * wide), density=0.56, depth=1.22, square=0.15, taper=-0.05,
        cortex=wall, hollow=0.45,
    )  # fmt: skip
    draw_face(s, _face_size(s.age), 0.16, 0.55, mouth=max(0.0, 0.5 * n[1]))
    s.blob("frontal sinus", (0.0, 0.02, 0.5), (0.06, 0.12), density=-0.08 * _air(s.age, 6.0, 14.0), layer=ADDED)
    if s.age < 16:
        _suture(s, [(0.0, -0.90, 0.0), (0.012, -0.74, 0.0), (-0.010, -0.60, 0.0), (0.008, -0.46, 0.0)], gap * 0.9)
        for side in (-1, 1):
            # Behind: lambdoid. In front: coronal.
            _suture(
                s,
                [(0.008, -0.46, 0.0), (side * 0.20, -0.33, 0.0), (side * 0.38, -0.12, 0.0), (side * 0.52, 0.10, 0.0)],
                gap * 0.8,
            )
            _suture(s, [(0.0, -0.80, 0.0), (side * 0.25, -0.72, 0.0), (side * 0.48, -0.46, 0.0)], gap * 0.6)
    if s.age < 1.5:
        s.blob(
            "fontanelle",
            (0.0, -0.80, 0.0),
            (0.09, 0.10),
            angle=45,  # a diamond
            density=-0.18 * (1 - s.age / 1.6),
            square=0.3,
            layer=ADDED,
        )
    for order in range(4):
        at = (0.0, 0.78 + 0.15 * order, -0.15)
        s.blob("vertebra", at, (0.062, 0.11), density=0.28, square=0.8, cortex=0.015, hollow=0.4)
    s.breakable = ["vault"]


def _lateral_skull(s: Scene, wall: float, gap: float, n: list[float]) -> None:
    s.turn = 0.0
    long, face = 1 + 0.04 * n[0], _face_size(s.age)
    s.soft(
        (-0.62, -0.24, 0), (0.48, -0.20, 0), 0.68 / s.chubby, 0.71 / s.chubby, 0.68 / s.chubby, density=0.30, depth=0.9
    )
    s.soft((-0.30, 0.35, 0), (-0.34, 1.5, 0), 0.34, 0.30, 0.36)  # neck
    s.blob(
        "vault",
        (-0.06, -0.22, 0),
        (0.80 * long, 0.64),
        angle=-6,
        density=0.52,
        depth=0.85,
        square=0.10,
        cortex=wall,
        hollow=0.5,
    )
    base = [(0.60, 0.10, 0), (0.30, 0.14, 0), (0.16, 0.22, 0), (0.02, 0.42, 0), (-0.22, 0.46, 0), (-0.52, 0.34, 0)]
    s.path("skull base", base, 0.055, density=0.28)
    # The saddle is a notch in the skull base.
    s.blob("sella", (0.13, 0.19, 0), (0.040, 0.045), density=-0.16, layer=ADDED)
    s.blob("petrous bone", (-0.08, 0.34, 0), (0.17, 0.09), angle=20, density=0.26, layer=ADDED)
    s.blob("mastoid air cells", (-0.22, 0.42, 0), (0.07, 0.05), density=-0.16 * _air(s.age, 1.0, 8.0), layer=ADDED)
    draw_profile(s, face * 1.12, 0.66 - 0.04 * (1 - long), 0.10, mouth=max(0.0, 0.5 * n[1]))
    s.blob("frontal sinus", (0.68, -0.02, 0), (0.09, 0.03), density=-0.18 * _air(s.age, 6.0, 14.0), layer=ADDED)
    if s.age < 16:
        _suture(s, [(0.18, -0.84, 0), (0.20, -0.60, 0), (0.26, -0.35, 0), (0.34, -0.10, 0)], gap)  # coronal
        _suture(s, [(-0.62, -0.62, 0), (-0.54, -0.34, 0), (-0.46, -0.10, 0), (-0.36, 0.20, 0)], gap)  # lambdoid
        _suture(s, [(0.24, 0.0, 0), (-0.02, -0.10, 0), (-0.30, 0.10, 0)], gap * 0.7)  # squamosal
    if s.age < 1.5:
        s.blob("fontanelle", (0.17, -0.84, 0), (0.14, 0.05), angle=10, density=-0.25, layer=ADDED)
    for order in range(4):
        s.blob(
            "vertebra",
            (-0.20 - 0.012 * order, 0.62 + 0.17 * order, 0),
            (0.058, 0.090),
            density=0.28,
            square=0.7,
            cortex=0.015,
            hollow=0.4,
        )
        s.path("vertebra", [(-0.32, 0.60 + 0.17 * order, 0), (-0.50, 0.67 + 0.17 * order, 0)], 0.03, density=0.34)
    s.breakable = ["vault"]


def facial_bones(s: Scene) -> None:
    """The face close up, cut at the forehead."""
    n = s.rng.normal(size=5).clip(-2.0, 2.0).tolist()
    size = 0.92 + 0.12 * _air(s.age, 0.0, 14.0)  # faces are fitted to the film, so infants differ less than in life
    if s.view == "lateral":
        s.turn = 0.0
        s.soft((-1.2, -0.85, 0), (-0.10, -0.65, 0), 0.85, 0.85, 0.80, density=0.38)
        s.soft((-0.75, 0.2, 0), (-0.85, 1.5, 0), 0.5, 0.42, 0.5)  # neck
        s.blob("vault", (-0.75, -0.85, 0), (1.15, 0.86), angle=-6, density=0.44, cortex=0.05, hollow=0.5)
        s.path(
            "skull base",
            [(0.28, -0.34, 0), (-0.20, -0.28, 0), (-0.45, -0.10, 0), (-0.60, 0.18, 0), (-0.95, 0.20, 0)],
            0.06,
            density=0.24,
        )
        s.blob("petrous bone", (-0.66, 0.05, 0), (0.22, 0.12), angle=20, density=0.25, layer=ADDED)
        draw_profile(s, 1.06 * size, 0.36, -0.36, mouth=max(0.0, 0.6 * n[0]))
        s.blob("frontal sinus", (0.36, -0.52, 0), (0.12, 0.045), density=-0.2 * _air(s.age, 6.0, 14.0), layer=ADDED)
        for order in range(4):
            s.blob(
                "vertebra",
                (-0.78, 0.42 + 0.26 * order, 0),
                (0.09, 0.14),
                density=0.28,
                square=0.7,
                cortex=0.02,
                hollow=0.4,
            )
        return
    s.soft((0.0, -1.4, 0), (0.0, 0.95, 0), 0.84 / s.chubby, 0.86 / s.chubby, 0.54 / s.chubby, density=0.42)
    s.soft((0.0, 0.8, -0.3), (0.0, 1.5, -0.3), 0.48, 0.45, 0.52)
    s.blob("vault", (0.0, -0.85, -0.35), (0.95, 0.80), density=0.36, depth=1.2, cortex=0.05, hollow=0.45)
    s.blob("frontal sinus", (0.0, -0.70, 0.5), (0.08, 0.18), density=-0.09 * _air(s.age, 6.0, 14.0), layer=ADDED)
    draw_face(s, 1.02 * size, -0.32, 0.40, mouth=max(0.0, 0.3 * n[0]))
    for order in range(3):
        s.blob("vertebra", (0.0, 0.85 + 0.2 * order, -0.5), (0.07, 0.14), density=0.16, square=0.8, layer=ADDED)
