"""Shapes and textures on a square canvas, as coverage in [0, 1]; edges are softened over one pixel."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]

Canvas = NDArray[np.floating[Any]]
_Field = Callable[[Canvas, Canvas], Canvas]  # distances from the middle -> negative inside, in radii


def grid(size: int) -> tuple[Canvas, Canvas]:
    """Columns and rows (size, size) of the pixels' centres, as shares of the width."""
    places = (np.arange(size, dtype=np.float64) + 0.5) / size
    columns, rows = np.meshgrid(places, places)
    return columns, rows


def _star(x: Canvas, y: Canvas) -> Canvas:
    # Five points: the edge goes in and out with the angle.
    edge: Canvas = np.hypot(x, y) - (0.7 + 0.3 * np.cos(5 * np.arctan2(x, -y)))
    return edge


def _cross(x: Canvas, y: Canvas) -> Canvas:
    lying, upright = np.maximum(abs(x) - 1, abs(y) - 0.28), np.maximum(abs(y) - 1, abs(x) - 0.28)
    edge: Canvas = np.minimum(lying, upright)
    return edge


# Fields that are 0 on the edge and grow by about 1 per radius, which is what softening needs.
FIELDS: Final[dict[str, _Field]] = {
    "disc": lambda x, y: np.hypot(x, y) - 1,
    "square": lambda x, y: np.maximum(abs(x), abs(y)) - 0.85,
    "diamond": lambda x, y: (abs(x) + abs(y) - 1.1) / np.sqrt(2),
    "triangle": lambda x, y: np.maximum(abs(x) * 0.866 - y * 0.5, y) - 0.55,
    "ring": lambda x, y: abs(np.hypot(x, y) - 0.8) - 0.2,
    "cross": _cross,
    "star": _star,
    "oval": lambda x, y: (np.hypot(x, y / 0.55) - 1) * 0.75,
    "bar": lambda x, y: np.maximum(abs(x) - 1, abs(y) - 0.2),
}


def coverage(shape: str, size: int, *, centre: tuple[float, float], radius: float, turn: float = 0.0) -> Canvas:
    """Part of each pixel that a shape covers.

    Args:
        shape: A key of `FIELDS`.
        size: Height and width, pixels.
        centre: Column and row, as shares of the width.
        radius: As a share of the width.
        turn: Radians, clockwise.

    Returns:
        (size, size) in [0, 1].
    """
    columns, rows = grid(size)
    x, y = (columns - centre[0]) / radius, (rows - centre[1]) / radius
    cosine, sine = np.cos(turn), np.sin(turn)
    # Turned back, so that the shape itself lies straight.
    field = FIELDS[shape](x * cosine + y * sine, y * cosine - x * sine)
    # One pixel is 1 / (radius · size) radii wide.
    covered: Canvas = np.clip(0.5 - field * (radius * size), 0, 1)
    return covered


def texture(kind: str, size: int, *, periods: float, rng: np.random.Generator) -> Canvas:
    """Pattern of a kind.

    Args:
        kind: "columns", "rows", "diagonals", "chessboard", "dots", "sand", "clouds" or "waves".
        size: Height and width, pixels.
        periods: Repetitions across the width, above 0.
        rng: Of phase and noise.

    Returns:
        (size, size) in [0, 1].
    """
    columns, rows = grid(size)
    phase = rng.uniform(0, 2 * np.pi)
    turns = 2 * np.pi * periods
    if kind in ("sand", "clouds"):
        # Clouds are as large as the pattern would repeat, sand as fine as the pixels allow.
        width = 0.3 * size / periods if kind == "clouds" else 0.6
        noise = gaussian_filter(rng.standard_normal((size, size)), width, mode="wrap")
        return np.asarray(np.clip(0.5 + 0.22 * noise / noise.std(), 0, 1))
    # Steeper than a sine where edges belong: cut off at black and white.
    fields = {
        "columns": np.sin(turns * columns + phase),
        "rows": np.sin(turns * rows + phase),
        "diagonals": np.sin(turns * (columns + rows) + phase),
        "chessboard": 4 * np.sin(turns / 2 * columns + phase) * np.sin(turns / 2 * rows + phase),
        "dots": 3 * (np.cos(turns * columns + phase) + np.cos(turns * rows + phase) - 1),
        "waves": np.sin(turns * np.hypot(columns - rng.uniform(0.3, 0.7), rows - rng.uniform(0.3, 0.7)) + phase),
    }
    return np.asarray(np.clip(0.5 + fields[kind], 0, 1))
