"""Layouts of pelvis and hip, seen from the front; the patient's left is at positive x."""

from pedclip.data.phantom.body.digits import growth_room
from pedclip.data.phantom.body.scene import Scene
from pedclip.data.phantom.body.spine import draw_sacrum, vertebra
from pedclip.data.phantom.imaging.shapes import ADDED, Point


def _hemipelvis(s: Scene, side: float, unit: float, x: float, y: float) -> None:
    """Iliac wing, acetabulum, pubis and ischium around a hip centre at (x, y); `side` is 1 or -1."""
    wall = 0.012

    def at(dx: float, dy: float) -> Point:
        return x + side * dx * unit, y + dy * unit, 0.0

    s.blob(  # a plate that widens from above the acetabulum to the crest
        "ilium", at(-0.01, -0.49), (0.345 * unit, 0.245 * unit), angle=-90 + 8 * side, density=0.42, depth=0.3,
        square=0.60, taper=0.26, cortex=0.020 * unit, hollow=0.18,
    )  # fmt: skip
    crest = [at(-0.20, -0.73), at(-0.08, -0.81), at(0.10, -0.83), at(0.26, -0.74)]
    s.path("ilium", crest, 0.026 * unit, end_width=0.032 * unit, density=0.40)
    s.path(
        "ilium", [at(-0.15, -0.18), at(-0.06, -0.215), at(0.05, -0.215), at(0.15, -0.17)], 0.062 * unit,
        end_width=0.030 * unit, density=0.42, breakable=True,
    )  # fmt: skip
    s.path(
        "superior pubic ramus", [at(-0.15, -0.01), at(-0.30, 0.07), at(-0.43, 0.13)], 0.072 * unit,
        end_width=0.056 * unit, density=0.44, cortex=wall, hollow=0.28, breakable=True,
    )  # fmt: skip
    # The obturator foramen is what the rami leave open.
    s.path("pubis", [at(-0.43, 0.12), at(-0.44, 0.26)], 0.058 * unit, density=0.42, cortex=wall, hollow=0.25)
    s.path(
        "ischium", [at(-0.13, 0.03), at(-0.10, 0.22), at(-0.17, 0.40)], 0.092 * unit, end_width=0.062 * unit,
        density=0.48, cortex=wall, hollow=0.28, breakable=True,
    )  # fmt: skip
    _pelvic_cartilage(s, side, unit, x, y)


def _pelvic_cartilage(s: Scene, side: float, unit: float, x: float, y: float) -> None:
    """Parts that ossify late: the ischiopubic bridge by about 6 years, the triradiate cartilage by about 14."""

    def at(dx: float, dy: float) -> Point:
        return x + side * dx * unit, y + dy * unit, 0.0

    m = s.maturity
    bridge = min(1.0, 0.55 + 0.45 * m / 6)  # 1 once ischium and pubis have met
    ramus = [
        at(-0.18, 0.40),
        at(-0.18 - 0.13 * bridge, 0.40 - 0.03 * bridge),
        at(-0.18 - 0.25 * bridge, 0.40 - 0.12 * bridge),
    ]
    s.path("inferior pubic ramus", ramus, 0.050 * unit, end_width=0.040 * unit, density=0.38)
    # An open triradiate cartilage is lucent, drawn as one line across the acetabulum.
    if m < 14:
        gap = (0.030 - 0.0015 * m) * unit
        s.blob(
            "triradiate cartilage",
            at(-0.15, -0.075),
            (0.07 * unit, gap),
            angle=8 * side,
            density=-0.18,
            depth=3.0,
            layer=ADDED,
        )
    else:
        s.path("ilium", [at(-0.16, -0.16), at(-0.15, 0.0)], 0.085 * unit, density=0.44)


def _proximal_femur(s: Scene, side: float, unit: float, x: float, y: float, shaft: float) -> None:
    """Head, neck, trochanters and shaft below a hip centre."""
    room = 0.035 * growth_room(s.maturity) * unit  # cartilage between head and neck
    wide = s.slender * unit
    s.nucleus("femoral head", (x + side * 0.005, y + 0.0, 0), 0.150 * unit, onset=0.4, complete=9)
    s.path(  # without a dense wall where it runs into the shaft
        "femoral neck", [(x + side * (0.11 * unit + room), y + 0.075 * unit + room, 0), (x + side * 0.215 * unit,
        y + 0.180 * unit, 0)], 0.100 * wide, end_width=0.098 * wide, density=0.50, cortex=0.018 * unit, hollow=0.14,
        breakable=True,
    )  # fmt: skip
    s.nucleus("greater trochanter", (x + side * 0.315 * unit, y + 0.06 * unit, 0), 0.075 * unit, onset=3.0, complete=13,
              stretch=1.45, angle=90 + 18 * side)  # fmt: skip
    s.nucleus(
        "lesser trochanter", (x + side * 0.155 * unit, y + 0.335 * unit, -0.05), 0.040 * unit, onset=8.0, complete=13,
        stretch=1.4, angle=90 - 35 * side,
    )  # fmt: skip
    s.bone(
        # The shaft begins between the trochanters, which are bones of their own until puberty.
        "proximal femur", (x + side * 0.255 * unit, y + 0.12 * unit, 0), (x + side * 0.21 * unit,
        y + (0.30 + shaft) * unit, 0), (0.135 * unit, 0.082 * unit, 0.078 * unit), flare=3.0, density=0.90,
    )  # fmt: skip


def pelvis(s: Scene) -> None:
    """Ring with both hips, sacrum and the last lumbar vertebrae; the lateral view is the frog-leg position."""
    frog = s.view == "lateral"
    n = s.rng.normal(size=5).clip(-2.0, 2.0).tolist()
    # Nobody films a pelvis from the side: its second view turns the legs, not the patient.
    s.turn = 0.0 if frog else s.turn * 0.6
    s.soft((0.0, -1.5, 0), (0.0, 0.30, 0), 0.74, 0.80, 0.86, depth=0.65)
    for order in range(3):
        y = -1.12 + 0.235 * order
        vertebra(s, f"L{order + 3}", (0.0, y, -0.1), 0.155, 0.092, density=0.46)
    draw_sacrum(s, 0.0, -0.28, 1.0, -0.15)
    s.path("coccyx", [(0.0, 0.02, -0.2), (0.01, 0.16, -0.18)], 0.035, end_width=0.02, density=0.36)
    for side in (-1.0, 1.0):
        hip = (side * 0.50, 0.20, 0.0)
        _hemipelvis(s, side, 1.0, side * 0.50, 0.20)
        swing = 48.0 + 8 * n[0] if frog else 3.0 + 5 * n[1 + (side > 0)]  # degrees of abduction
        with s.bent(hip, sideways=-side * swing):
            s.soft((side * 0.60, 0.42, 0), (side * 0.68, 1.6, 0), 0.42, 0.38, 0.32)  # thigh
            _proximal_femur(s, side, 1.0, side * 0.50, 0.20, 1.0)
    s.blob("bladder", (0.0, 0.14, 0.1), (0.14, 0.21), density=0.06, layer=ADDED)
    for x, y, r, angle in s.rng.uniform((-0.40, -0.80, 0.04, 0), (0.40, 0.02, 0.11, 180), size=(6, 4)).tolist():
        s.blob("bowel gas", (x, y, 0.3), (r, r * 0.65), angle=angle, density=-0.13, square=0.2, layer=ADDED)
    for name, side in (("right hip", -1.0), ("left hip", 1.0)):
        s.joint(name, (side * 0.50, 0.20, 0), 0.19)
    s.breakable = [name for name in s.breakable if not name.startswith("femoral")]


def hip(s: Scene) -> None:
    """One hip, close up; the lateral view shows the abducted femur."""
    frog = s.view == "lateral"
    n = s.rng.normal(size=4).clip(-2.0, 2.0).tolist()
    # As in `pelvis`.
    s.turn = 0.0 if frog else s.turn * 0.5
    s.soft((-0.6, -1.6, 0), (-0.15, 0.35, 0), 0.95, 0.98, 0.80, depth=0.7)  # trunk
    x, y = -0.10, -0.06
    _hemipelvis(s, 1.0, 1.55, x, y)
    draw_sacrum(s, -0.92, -0.72, 1.5, -0.1)
    with s.bent((x, y, 0.0), sideways=-(46.0 + 7 * n[0]) if frog else -2.0 - 6 * n[1]):
        s.soft((0.12, 0.22, 0), (0.25, 1.8, 0), 0.66, 0.58, 0.50)  # thigh
        _proximal_femur(s, 1.0, 1.55, x, y, 1.2)
        s.joint("hip joint", (x, y, 0), 0.30, "femoral", "proximal femur", "greater", "lesser", away=(0.6, 0.8))
    # The other pubic bone stays in view across the midline.
    s.path("pubis", [(x - 0.86, y + 0.18, 0), (x - 0.85, y + 0.40, 0)], 0.075, density=0.50)
    s.path("pubis", [(x - 0.88, y + 0.20, 0), (x - 1.20, y + 0.06, 0)], 0.075, density=0.50)
    for gx, gy, r, angle in s.rng.uniform((-0.95, -1.0, 0.06, 0), (-0.35, -0.1, 0.15, 180), size=(4, 4)).tolist():
        s.blob("bowel gas", (gx, gy, 0.3), (r, r * 0.65), angle=angle, density=-0.12, square=0.2, layer=ADDED)
