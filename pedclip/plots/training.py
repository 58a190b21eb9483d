"""Charts of what happens while a model trains."""

from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pedclip.plots.theme import COLORS, GRID, MUTED, categories, color, shape, tidy, titled

_HEIGHT: Final = 220
_EXPONENT: Final = "datum.value === 0 ? '0' : format(datum.value, '.2~e')"
_LABEL_GAP: Final = 15  # pixels between the centres of two labels of 12 px
_UNITS: Final = {"nats": "loss (nats, lower is better)", "share": "share (higher is better)"}


def training_curves(frame: pd.DataFrame, *, title: str, subtitle: str, name: str = "training_curves") -> Any:
    """Losses and shares over the epochs, each line labelled at its end.

    Args:
        frame: Columns `epoch` (0 or more, fractions allowed), `term` (such as "contrastive" or "Recall@1"), `split`
            ("train" is solid, every other dashed), `unit` ("nats" or "share", one panel each) and `value`.
        title: The finding.
        subtitle: The data.
        name: File name without ending.

    Returns:
        One panel per unit, side by side; shares go from 0 to 1.

    Raises:
        ValueError: A column is missing, a unit is unknown, or there are more than seven terms.
    """
    table = tidy(frame, "epoch", "term", "split", "unit", "value")
    if unknown := sorted(set(table["unit"]) - set(_UNITS)):
        raise ValueError(f"unit '{unknown[0]}' is unknown; a unit is one of {', '.join(_UNITS)}")
    # A line per term and split; the colour is the term's.
    table["line"] = table["term"] + " (" + table["split"] + ")"
    terms = categories(table["term"], "term")
    panels = [_panel(table[table["unit"] == unit], unit, terms) for unit in _UNITS if unit in set(table["unit"])]
    shows = "Lines over epochs, solid for training and dashed for other splits: " + ", ".join(pd.unique(table["line"]))
    return titled(alt.hconcat(*panels, spacing=24), title=title, subtitle=subtitle, name=name, shows=shows)


def _panel(table: pd.DataFrame, unit: str, terms: list[str]) -> Any:
    # Shares always from 0 to 1; losses from 0, or below where one is negative.
    low, high = (0.0, 1.0) if unit == "share" else (min(0.0, table["value"].min()), float(table["value"].max()))
    # Last value of each line, from the lowest up.
    ends = table.sort_values("epoch").groupby("line", sort=False).tail(1).sort_values("value")
    gap = _LABEL_GAP / _HEIGHT * (high - low)
    ends = ends.assign(label_at=_spread(ends["value"].to_numpy(dtype=float), gap, low, high))
    # Labels at the ends of the lines take the place of a legend.
    tints = color("term", terms, legend=None)
    y = alt.Y("value:Q", title=_UNITS[unit], scale=alt.Scale(domain=[low, high], nice=False))
    last = float(table["epoch"].max())
    x = alt.X("epoch:Q", title="epoch", scale=alt.Scale(domain=[float(table["epoch"].min()), last], nice=False))
    lines = (
        alt.Chart(table)
        .mark_line()
        .encode(
            x=x,
            y=y,
            color=tints,
            detail="line:N",
            strokeDash=alt.StrokeDash("dash:N", scale=None, legend=None),
            tooltip=["line:N", alt.Tooltip("epoch:Q", format=".3~g"), alt.Tooltip("value:Q", format=".3f")],
        )
        .transform_calculate(dash="datum.split == 'train' ? [1, 0] : [6, 4]")  # solid or dashed
    )
    labels = alt.Chart(ends).encode(x=alt.X("epoch:Q"), y=alt.Y("label_at:Q"))
    symbols = labels.mark_point(xOffset=10, filled=True, size=50, opacity=1).encode(
        color=tints, shape=shape("term", terms, legend=None)
    )
    words = labels.mark_text(align="left", dx=18).encode(text="line:N")
    return (lines + symbols + words).properties(width=250, height=_HEIGHT)


def _spread(values: NDArray[np.float64], gap: float, low: float, high: float) -> list[float]:
    """Move rising positions up, then the stack below the ceiling, so that neighbours are `gap` apart."""
    places = [float(value) for value in values]
    for index in range(1, len(places)):
        places[index] = max(places[index], places[index - 1] + gap)
    ceiling = high
    # Back down from the ceiling: what was pushed above it moves below its upper neighbour.
    for index in range(len(places) - 1, -1, -1):
        places[index] = min(places[index], ceiling)
        ceiling = places[index] - gap
    return [max(place, low - gap) for place in places]


def schedule(frame: pd.DataFrame, *, title: str, subtitle: str, name: str = "schedule") -> Any:
    """The weight λ of the expert loss over the epochs, and the epochs with teacher forcing.

    Args:
        frame: Columns `epoch` (from 0), `lambda_gate` (0 or more) and `teacher_forcing` (bool).
        title: The finding.
        subtitle: Which published decision this is.
        name: File name without ending.

    Returns:
        A step line over a band where the true region chooses the expert.

    Raises:
        ValueError: A column is missing, or there are too many rows.
    """
    table = tidy(frame, "epoch", "lambda_gate", "teacher_forcing").sort_values("epoch")
    forced = table[table["teacher_forcing"].astype(bool)]
    x = alt.X("epoch:Q", title="epoch", scale=alt.Scale(domain=[0, int(table["epoch"].max()) + 1], nice=False))
    # Room above the line for the words in the band.
    scale = alt.Scale(domain=[0, max(1.0, float(table["lambda_gate"].max())) * 1.2], nice=False)
    line = (
        alt.Chart(table)
        .mark_line(interpolate="step-after", color=COLORS[0])
        .encode(
            x=x,
            y=alt.Y("lambda_gate:Q", title="weight of the expert loss, λ", scale=scale),
            tooltip=["epoch:Q", alt.Tooltip("lambda_gate:Q", format=".3f"), "teacher_forcing:N"],
        )
    )
    layers = [line]
    if len(forced):
        # An epoch lasts until the next one begins, hence + 1.
        span = pd.DataFrame({"start": [int(forced["epoch"].min())], "end": [int(forced["epoch"].max()) + 1]})
        band = alt.Chart(span).mark_rect(color=GRID).encode(x=alt.X("start:Q"), x2="end:Q")
        note = alt.Chart(span).mark_text(align="left", baseline="top", dx=6, dy=6, color=MUTED)
        words = "teacher forcing: the true region chooses the expert"
        layers = [band, line, note.encode(x="start:Q", y=alt.value(0), text=alt.value(words))]
    shows = "A step line of λ over epochs; a grey band marks the epochs with teacher forcing"
    chart = alt.layer(*layers).properties(width=460, height=200)
    return titled(chart, title=title, subtitle=subtitle, name=name, shows=shows)


def learning_rate(frame: pd.DataFrame, *, title: str, subtitle: str, name: str = "learning_rate") -> Any:
    """The step size over the optimizer steps.

    Args:
        frame: Columns `step` (from 0) and `learning_rate` (above 0).
        title: The finding.
        subtitle: The optimizer and its settings.
        name: File name without ending.

    Returns:
        One line; the axis starts at zero.

    Raises:
        ValueError: A column is missing, or there are too many rows.
    """
    table = tidy(frame, "step", "learning_rate")
    steps = alt.Axis(format=",d", tickCount=6)  # whole numbers with commas
    rates = alt.Axis(labelExpr=_EXPONENT)
    chart = (
        alt.Chart(table)
        .mark_line(color=COLORS[0])
        .encode(
            x=alt.X("step:Q", title="optimizer step", axis=steps, scale=alt.Scale(nice=False)),
            y=alt.Y("learning_rate:Q", title="learning rate", axis=rates, scale=alt.Scale(zero=True)),
            tooltip=["step:Q", alt.Tooltip("learning_rate:Q", format=".2e")],
        )
        .properties(width=460, height=180)
    )
    return titled(chart, title=title, subtitle=subtitle, name=name, shows="A line of the learning rate over steps")
