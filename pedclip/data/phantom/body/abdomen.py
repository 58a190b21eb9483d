"""Layout of the abdomen, seen from the front; the patient's left is at positive x."""

import math

from pedclip.data.phantom.body.chest import draw_rib
from pedclip.data.phantom.body.scene import Scene
from pedclip.data.phantom.body.spine import draw_sacrum, short_vertebra
from pedclip.data.phantom.imaging.shapes import ADDED

# Course of the colon from the caecum to the rectum.
_COLON = (
    (-0.46, 0.52), (-0.49, 0.34), (-0.50, 0.14), (-0.48, -0.06), (-0.36, -0.20), (-0.18, -0.16), (0.0, -0.12),
    (0.18, -0.16), (0.36, -0.24), (0.49, -0.18), (0.51, 0.02), (0.50, 0.22), (0.47, 0.42), (0.36, 0.58), (0.18, 0.62),
    (0.06, 0.74), (0.0, 0.90),
)  # fmt: skip


def abdomen(s: Scene) -> None:
    """Bowel gas, solid organs, fat stripes, spine, lower ribs, pelvis."""
    # Infants have a round belly.
    young = max(0.0, 1 - s.age / 4)
    s.soft((0.0, -1.4, 0), (0.0, 1.4, 0), 0.74, 0.77 + 0.06 * young, 0.80, depth=0.65)
    # Inspiration pushes the diaphragm, and the lung with it, into the field.
    top = -1.02 + 0.10 * s.physique.breath
    for side in (-1, 1):
        s.blob("lung base", (side * 0.42, top - 0.10, 0), (0.24, 0.30), density=-0.24, square=0.3, layer=ADDED)
        # Only the lower ribs reach into the field; the height of -1.06 puts them at its top.
        for number in range(8, 13):
            draw_rib(s, number, side, y=-1.06, unit=1.0, density=0.13)
        _iliac(s, side)
        _organs(s, side)
    for order in range(9):
        short_vertebra(s, "vertebra", (0.0, -1.02 + 0.20 * order, -0.22), 0.104 + 0.003 * order, 0.093, density=0.13)
    draw_sacrum(s, 0.0, 0.93, 0.86, -0.2, density=0.26)
    # Faint: an organ shows where gas or fat lies beside it.
    s.blob("liver", (-0.36, -0.60, 0.1), (0.40, 0.33), angle=155, density=0.13, square=0.15, taper=-0.2, layer=ADDED)
    _gas(s)


def _iliac(s: Scene, side: int) -> None:
    # A plate, thin in the middle; the crest and the mass above the hip joint are dense.
    s.blob("iliac wing", (side * 0.42, 0.76, 0), (0.32, 0.24), angle=90 + side * 24, density=0.15, depth=0.4,
           square=0.35,
           taper=-0.25, cortex=0.03, hollow=0.35)  # fmt: skip
    crest = [(side * 0.24, 0.64, -0.1), (side * 0.40, 0.49, 0), (side * 0.58, 0.56, 0.1), (side * 0.64, 0.72, 0.12)]
    s.path("iliac wing", crest, 0.026, density=0.20)
    s.blob("acetabulum", (side * 0.42, 0.99, 0), (0.17, 0.10), angle=side * 8, density=0.20, square=0.3)
    # Both hips, cut by the lower edge.
    s.nucleus("femoral head", (side * 0.50, 1.17, 0), 0.13, onset=0.4, complete=9, density=0.32)


def _organs(s: Scene, side: int) -> None:
    s.blob(
        "psoas", (side * 0.19, 0.12, -0.1), (0.52, 0.10), angle=90 - side * 13, density=0.075, taper=0.35, layer=ADDED
    )
    s.blob(
        "kidney",
        (side * 0.32, -0.16 - 0.05 * (side > 0), -0.25),  # the left kidney lies higher
        (0.17, 0.09),
        angle=90 - side * 14,
        density=0.055,
        layer=ADDED,
    )
    # The fat between muscle and peritoneum draws a line along the flank.
    flank = [(side * 0.66, -0.35, 0.0), (side * 0.69, 0.05, 0.0), (side * 0.64, 0.45, 0.0)]
    s.path("properitoneal fat", flank, 0.012 + 0.008 * s.physique.fat, density=-0.05, layer=ADDED)


def _gas(s: Scene) -> None:
    """Stomach bubble, gas in parts of the colon, scattered loops; much in one person, little in another."""
    amount, colon, loops, stomach = s.rng.uniform(size=4).tolist()
    # Drawn whole, used in part: the amount of gas must not move what is drawn after it.
    table = s.rng.uniform(size=(len(_COLON) + 22, 5)).tolist()
    deep = 0.05 + 0.06 * amount
    s.blob(
        "stomach", (0.34, -0.56, 0.1), (0.10 + 0.10 * stomach, 0.18 + 0.05 * stomach), angle=35,
        density=-0.06 - 0.10 * stomach, square=0.25, layer=ADDED,
    )  # fmt: skip
    for k, (x, y) in enumerate(_COLON):
        u = table[k]
        if u[0] < 0.45 + 0.5 * colon:
            after = _COLON[min(k + 1, len(_COLON) - 1)]
            # Along the colon, so that neighbours join to a tube.
            angle = math.degrees(math.atan2(after[1] - y, after[0] - x)) if after != (x, y) else 90.0
            at = (x + 0.05 * (u[1] - 0.5), y + 0.05 * (u[2] - 0.5), 0.15)
            s.blob(
                "bowel gas", at, (0.095 + 0.03 * u[3], 0.055 + 0.035 * u[4]), angle=angle,
                density=-deep * (0.7 + 0.5 * u[3]), square=0.3, layer=ADDED,
            )  # fmt: skip
    # Small bowel: loops of gas that crowd the middle, touching each other.
    for k, u in enumerate(table[len(_COLON) : len(_COLON) + 7 + int(15 * loops)]):
        # The golden angle (2.4 radians) spreads points evenly over a disc.
        turn, far = 2.4 * k + u[0], 0.09 * math.sqrt(k + u[1])
        at = (0.02 + 0.95 * far * math.cos(turn), 0.22 + far * math.sin(turn), 0.3 * u[2])
        s.blob(
            "bowel gas", at, (0.07 + 0.08 * u[3] ** 2, 0.042 + 0.022 * u[4]), angle=math.degrees(turn) + 60 + 60 * u[2],
            density=-deep * (0.5 + 0.4 * u[4]), square=0.35, layer=ADDED,
        )  # fmt: skip
