"""Layouts of thigh, knee and lower leg, drawn as a left limb seen from the front; lateral is at positive x."""

from typing import Final

from pedclip.data.phantom.body.scene import Scene
from pedclip.data.phantom.imaging.shapes import ADDED

_PLAIN: Final = (0.92, 1.0, 0.92)
_CONDYLES: Final = (1.25, 0.74, 1.18)  # thickness of the distal epiphysis of the femur from side to side
_PLATEAU: Final = (0.95, 1.05, 0.95)
_HEAD: Final = (0.85, 1.1, 0.6)  # proximal epiphysis of the fibula, pointed outside
_MORTISE: Final = (1.0, 0.95, 1.25)  # distal epiphysis of the tibia, thick at the malleolus


def _knee_flexion(s: Scene, straight: float = 4.0) -> float:
    """Degrees; a lateral knee is bent."""
    return max(2.0, 28.0 + 9 * s.physique.flexion) if s.view == "lateral" else straight + 2 * abs(s.physique.flexion)


def _other_leg(s: Scene, chance: float) -> None:
    """Now and then the other limb reaches into the field."""
    # Drawn in every view: the generator must go on alike.
    near = float(s.rng.random())
    if near < chance and s.view != "lateral":
        x = -0.92 - 0.2 * near / chance
        s.soft((x, -1.4, 0), (x - 0.06, 1.4, 0), 0.30, 0.28, 0.26)
        s.bone("other limb", (x - 0.06, -1.4, 0), (x - 0.08, 1.4, 0), (0.09, 0.08, 0.09), breakable=False)


def femur(s: Scene) -> None:
    """The whole bone from hip to knee."""
    _other_leg(s, 0.15)
    side_on = s.view == "lateral"
    s.soft((-0.14, -1.3, 0), (0.03, 0.80, 0), 0.52, 0.40, 0.23)  # hip and thigh
    s.soft((0.03, 0.6, 0), (0.03, 1.4, 0), 0.23, 0.23, 0.25)  # knee
    s.nucleus("femoral head", (-0.165, -0.86, 0), 0.100, onset=0.4, complete=9)
    s.path("femoral neck", [(-0.09, -0.81, 0), (-0.01, -0.745, 0)], 0.060 * s.slender, density=0.45, cortex=0.012,
           hollow=0.15, breakable=True)  # fmt: skip
    s.nucleus("greater trochanter", (0.075, -0.82, 0), 0.050, onset=3.0, complete=13, stretch=1.5, angle=105)
    s.nucleus("lesser trochanter", (-0.045, -0.60, -0.05), 0.030, onset=8.0, complete=13, stretch=1.4, angle=55)
    s.bone(
        "femoral shaft", (0.025, -0.77, 0), (0.03, 0.72, 0), (0.085, 0.064, 0.168), plates=(None, 0.0), closes=16.5,
        flare=4.0, thick=0.95, caps=(_PLAIN, _CONDYLES), bend=-0.015,
    )  # fmt: skip
    s.path("acetabulum", [(-0.34, -1.3, 0), (-0.28, -1.10, 0), (-0.16, -1.03, 0), (-0.07, -1.00, 0)], 0.09,
           end_width=0.04, density=0.36)  # fmt: skip
    s.path("ischium", [(-0.29, -0.92, 0), (-0.27, -0.74, 0), (-0.33, -0.58, 0)], 0.060, end_width=0.045, density=0.38)
    s.path("pubis", [(-0.30, -0.88, 0), (-0.50, -0.76, 0), (-0.62, -0.74, 0)], 0.050, density=0.36)
    with s.bent((0.03, 0.68, 0.0), forwards=-_knee_flexion(s, 2.0)):
        s.soft((0.03, 0.74, 0), (0.03, 1.6, 0), 0.23, 0.23, 0.22)
        s.bone("tibia", (0.02, 0.77, 0), (0.02, 1.6, 0), (0.150, 0.075, 0.08), plates=(0.0, None), thick=0.6, flare=5.0,
               breakable=False)  # fmt: skip
        s.bone(
            "fibula", (0.15, 0.90, -0.1), (0.15, 1.6, -0.1), (0.042, 0.025, 0.03), plates=(3.5, None), breakable=False
        )
        # In front of the femur: faint from the front, dense from the side.
        s.nucleus("patella", (0.03, 0.58, 0.19), 0.062, onset=4.0, complete=12, stretch=1.2, depth=0.6,
                  density=0.7 if side_on else 0.3)  # fmt: skip
        s.joint("knee", (0.02, 0.74, 0), 0.17, "tibia", "fibula")
    s.joint("hip", (-0.165, -0.86, 0), 0.15, "femoral", "greater")


def knee(s: Scene) -> None:
    """Condyles over the plateau, the fibular head below and outside, and the patella in front."""
    _other_leg(s, 0.2)
    side_on = s.view == "lateral"
    s.soft((0.0, -1.4, 0), (0.0, 0.05, 0.03), 0.52, 0.45, 0.44, depth=1.0)  # thigh
    s.bone(
        "distal femur", (-0.02, -1.4, 0), (0.0, -0.015, 0), (0.19, 0.165, 0.355), plates=(None, 0.0), closes=16.5,
        thick=1.0, flare=2.4, caps=(_PLAIN, _CONDYLES), depth=0.75,
    )  # fmt: skip
    if s.maturity > 3:  # the notch between the condyles
        s.blob("intercondylar notch", (0.0, -0.035, -0.05), (0.080, 0.10), density=-0.10, layer=ADDED)
    s.nucleus(
        "posterior condyles", (0.0, -0.17, -0.17), 0.19, onset=1.5, complete=12, stretch=1.5, angle=0, density=0.45
    )
    with s.bent((0.0, -0.06, 0.0), forwards=-_knee_flexion(s)):
        s.soft((0.0, -0.1, 0.03), (0.0, 1.5, 0), 0.43, 0.42, 0.36, depth=1.0)  # lower leg
        s.bone(
            "proximal tibia", (0.0, 0.055, 0), (-0.02, 1.5, 0), (0.345, 0.155, 0.150), plates=(0.0, None),
            closes=16.5, thick=0.70, flare=2.4, caps=(_PLATEAU, _PLATEAU), depth=0.75,
        )  # fmt: skip
        if s.maturity > 5:
            for side in (-1, 1):  # intercondylar eminence
                s.blob(
                    "proximal tibia epiphysis",
                    (side * 0.040, 0.085, 0),
                    (0.060, 0.042),
                    angle=90 - side * 25,
                    density=0.44,
                )
        # Ossifies at the front of the tibia, seen best from the side.
        s.nucleus("proximal tibia tubercle", (0.0, 0.30, 0.24), 0.055, onset=9.5, complete=14, stretch=2.0, depth=1.5,
                  density=0.5)  # fmt: skip
        s.bone(
            # The fibula lies outside and behind, and ends below the joint.
            "proximal fibula", (0.325, 0.26, -0.16), (0.30, 1.5, -0.14), (0.095, 0.052, 0.052), plates=(3.5, None),
            closes=16.5, flare=3.2, thick=1.1, caps=(_HEAD, _PLAIN),
        )  # fmt: skip
        s.joint("knee joint", (0.0, 0.02, 0.05), 0.34, "proximal tibia", "proximal fibula")
    s.nucleus(
        "patella", (0.02, -0.30, 0.40), 0.135, onset=4.0, complete=11, stretch=1.25,
        depth=0.45 if not side_on else 0.5, density=0.75 if side_on else 0.30,
    )  # fmt: skip
    s.breakable.append("proximal tibia")  # again, so that it is chosen twice as often


def tibia_fibula(s: Scene) -> None:
    """Both bones from knee to ankle."""
    _other_leg(s, 0.15)
    with s.bent((0.0, -0.77, 0.0), forwards=_knee_flexion(s)):
        s.soft((0.0, -1.6, 0), (0.0, -0.70, 0), 0.28, 0.27, 0.26)  # thigh
        s.bone(
            "femur", (0.0, -1.6, 0), (0.0, -0.795, 0), (0.10, 0.09, 0.190), plates=(None, 0.0), thick=0.95, flare=3.2,
            caps=(_PLAIN, _CONDYLES), breakable=False,
        )  # fmt: skip
    s.soft((0.0, -0.80, -0.02), (0.0, 0.85, 0), 0.26, 0.29, 0.145)  # lower leg
    s.bone(
        "tibia", (-0.02, -0.755, 0), (-0.03, 0.75, 0), (0.180, 0.068, 0.108), plates=(0.0, 0.5), closes=16.5,
        bend=0.008, flare=4.0, thick=0.6, caps=(_PLATEAU, _MORTISE),
    )  # fmt: skip
    s.bone("fibula", (0.165, -0.63, -0.10), (0.105, 0.80, -0.06), (0.050, 0.026, 0.050), plates=(3.5, 1.0), flare=4.5)
    s.nucleus("patella", (0.0, -0.93, 0.22), 0.07, onset=4.0, complete=12, stretch=1.2, depth=0.6, density=0.4)
    with s.bent((0.0, 0.80, 0.0), forwards=6 * s.physique.flexion):
        s.soft((0.0, 0.75, 0.0), (0.02, 1.1, 0.06), 0.15, 0.17, 0.18)  # ankle
        s.soft((0.02, 1.0, -0.2), (0.02, 1.1, 0.7), 0.14, 0.14, 0.12)  # foot, which points at the viewer
        s.nucleus("talus", (0.0, 0.87, 0.03), 0.085, complete=8, stretch=1.35, angle=0, depth=1.5)
        s.nucleus("calcaneus", (0.03, 1.02, -0.13), 0.085, complete=8, stretch=1.2, depth=1.7, density=0.5)
        s.nucleus("navicular", (-0.03, 0.96, 0.22), 0.05, onset=2.8, complete=9)
        s.joint("ankle", (0.0, 0.79, 0), 0.13, "talus", "calcaneus", "navicular")
    s.joint("knee", (0.0, -0.77, 0), 0.19, "femur", away=(0, -1))
