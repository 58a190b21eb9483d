"""Rays of hand and foot: bones in a row, with the growth plates and joints that they have."""

import math
from collections.abc import Sequence
from typing import Final

from pedclip.data.phantom.body.scene import Scene

FINGERS: Final = ("fifth", "fourth", "third", "second")
PHALANGES: Final = ("metacarpal", "proximal phalanx", "middle phalanx", "distal phalanx")
_CLOSES: Final = 16.0  # years of maturity; plates of digits
_WIDTHS: Final = {  # half-widths at base, waist and head, as fractions of the ray's
    "metacarpal": (1.10, 0.64, 1.02), "metatarsal": (1.15, 0.58, 0.95), "proximal phalanx": (1.08, 0.64, 0.84),
    "middle phalanx": (1.0, 0.62, 0.76), "distal phalanx": (0.92, 0.46, 0.52),
}  # fmt: skip


def growth_room(maturity: float) -> float:
    """Extra width of joints in a young child, whose bone ends are still cartilage: 1 at birth to 0 at 14 years."""
    return max(0.0, 1 - maturity / 14)


def draw_ray(
    s: Scene,
    name: str,
    base: tuple[float, float],
    angle: float,
    lengths: Sequence[float],
    width: float,
    names: Sequence[str],
    *,
    curl: float = 3.0,
    fleshy_from: float = 0.0,
) -> None:
    """Bones in a row from `base` (scene units), `angle` degrees from upwards.

    `lengths` and `names` are those of the bones, at least two, and `width` is the half-width of the first. Each joint
    bends by `curl` degrees out of the image plane. The skin of the digit begins at the fraction `fleshy_from` of the
    first bone.
    """
    sin, cos = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    x, y, z = base[0], base[1], 0.0
    knuckle = skin = (x + sin * lengths[0] * fleshy_from, y - cos * lengths[0] * fleshy_from, z)
    for order, (bone, length) in enumerate(zip(names, lengths, strict=True)):
        # Joints bend one after the other, so the angle out of the plane adds up.
        flat, out = math.cos(math.radians(curl * order)), math.sin(math.radians(curl * order))
        end = (x + sin * flat * length, y - cos * flat * length, z - out * length)
        w = width * (1.0 - 0.10 * order)  # each bone a tenth of the first thinner
        a, b, c = _WIDTHS[bone]
        # Metacarpals and metatarsals grow at their heads; the first of both, like phalanges, at its base.
        distal_plate = bone.startswith("meta") and name != "first"
        plates = (None, 1.8) if distal_plate else (2.0 if order < 3 else 2.6, None)
        s.bone(
            f"{name} {bone}",
            (x, y, z),
            end,
            (w * a, w * b, w * c),
            plates=plates,
            closes=_CLOSES,
            thick=0.66,
            flare=3.5,
        )
        if order:
            # The bones that a dislocation of this joint carries along.
            beyond = (f"{name} {n}" for n in names[order:])
            s.joint(_joint_name(name, bone, names), (x, y, z), w * 1.2, *beyond, away=(sin, -cos))
        if order == 1:
            knuckle = end
        # The gap of a joint is cartilage, and most of a young child's bone end is.
        room = width * (0.24 + 0.38 * growth_room(s.maturity))
        x, y, z = end[0] + sin * flat * room, end[1] - cos * flat * room, end[2] - out * room
    tip = (x + sin * width * 0.3, y - cos * width * 0.3, z)
    # Two stretches of skin, bent at the first joint as the bones are.
    s.soft(skin, knuckle, width * 1.85, width * 1.8, width * 1.7, density=0.42, overlap=0.0)
    s.soft(knuckle, tip, width * 1.75, width * 1.65, width * 1.3, density=0.42, overlap=0.7)


def _joint_name(ray: str, distal: str, names: Sequence[str]) -> str:
    if distal == "proximal phalanx":
        return f"{ray} {'metacarpo' if 'metacarpal' in names else 'metatarso'}phalangeal joint"
    if distal == "distal phalanx":
        return f"{ray} {'distal ' if 'middle phalanx' in names else ''}interphalangeal joint"
    return f"{ray} proximal interphalangeal joint"
