"""The lead letter of a side, laid on the detector before the exposure."""

from typing import Final

import numpy as np

from pedclip.data.phantom.imaging.shapes import FLAT, FLAT_COLUMN, LEAD, Rows

_MARKED: Final = 0.85  # of the films carry a marker
_TURNED_OVER: Final = 0.05  # of the markers were laid face down and read in mirror writing
# Strokes of a letter 2 high, x to the right and y down: from, to, and how far the middle bows out.
_STROKES: Final = {
    "left": ((-0.5, -1.0, -0.5, 1.0, 0.0), (-0.5, 1.0, 0.5, 1.0, 0.0)),
    "right": (
        (-0.5, -1.0, -0.5, 1.0, 0.0),
        (-0.5, -1.0, 0.15, -1.0, 0.0),
        (0.15, -1.0, 0.15, 0.0, -0.38),
        (-0.5, 0.0, 0.15, 0.0, 0.0),
        (-0.05, 0.0, 0.5, 1.0, 0.0),
    ),
}


def sample_marker(side: str, rng: np.random.Generator) -> Rows:
    """A side marker somewhere at the edge, as the habits of a radiographer have it.

    Args:
        side: "left" or "right" for a limb; "" for the trunk and the head, where either letter may be used and lies on
            its own side of the patient (R on the left of the image).
        rng: Source of place, size, angle and lead thickness.

    Returns:
        (P, len(FLAT)) rows for a film; (0, len(FLAT)) for the 15 % without a marker.

    Raises:
        ValueError: `side` is none of these.
    """
    if side not in ("", "left", "right"):
        raise ValueError(f'side must be "left", "right" or "", got {side!r}.')
    if rng.random() >= _MARKED:
        return np.zeros((0, len(FLAT)))
    # Of the trunk one letter is enough, and either may be used.
    letter = side or str(rng.choice(["left", "right"]))
    # The film is seen as if one faced the patient, whose left is on the right of the image.
    to_right = letter == "left" if rng.random() < 0.7 or not side else bool(rng.integers(2))
    down = rng.uniform(-0.88, -0.4) if rng.random() < 0.7 else rng.uniform(0.4, 0.88)
    return marker_rows(
        letter,
        float(rng.uniform(0.70, 0.88)) * (1 if to_right else -1),
        float(down),
        float(rng.uniform(0.035, 0.07)),
        angle=float(rng.normal(0, 0.15)) if rng.random() < 0.85 else float(rng.uniform(-np.pi, np.pi)),
        turned_over=bool(rng.random() < _TURNED_OVER),
        density=float(rng.uniform(0.7, 2.4)),
    )


def marker_rows(
    side: str,
    x: float,
    y: float,
    height: float,
    *,
    angle: float = 0.0,
    turned_over: bool = False,
    density: float = 1.6,
) -> Rows:
    """Flat rows of the lead letter L or R.

    Args:
        side: "left" or "right".
        x: Middle of the letter, scene units from the middle of the image.
        y: Likewise, downwards.
        height: Half the height of the letter, scene units.
        angle: Turn in the image plane, radians, clockwise.
        turned_over: True for mirror writing.
        density: Attenuation of the lead.

    Returns:
        (P, len(FLAT)) rows of the layer `LEAD`.
    """
    rows = np.zeros((len(_STROKES[side]), len(FLAT)))
    cos, sin = np.cos(angle), np.sin(angle)
    # Mirrored about its own middle, before it is turned: a letter laid face down.
    over = -1.0 if turned_over else 1.0
    thick = height * 0.17  # half-width of a stroke
    for row, (x0, y0, x1, y1, bow) in zip(rows, _STROKES[side], strict=True):
        half = np.array([(x1 - x0) * over, y1 - y0]) * height / 2
        middle = np.array([(x0 + x1) / 2 * over, (y0 + y1) / 2]) * height
        length = float(np.hypot(*half))
        values = {
            "x": x + middle[0] * cos - middle[1] * sin,
            "y": y + middle[0] * sin + middle[1] * cos,
            "cos": (half[0] * cos - half[1] * sin) / length,
            "sin": (half[0] * sin + half[1] * cos) / length,
            # A little longer, so that strokes that meet leave no notch.
            "length": length + thick / 2,
            **dict.fromkeys(("w0", "wm", "w1"), thick),
            **dict.fromkeys(("flare", "square_end", "square_side"), 1.0),
            "density": density,
            "bend": bow * height * over,
            "crack": 2.0,  # intact
            "layer": LEAD,
        }
        for name, value in values.items():
            row[FLAT_COLUMN[name]] = value
    return rows
