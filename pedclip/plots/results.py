"""Charts of results: values with intervals, and costs."""

import math
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from pedclip.plots.theme import COLORS, INK, MUTED, categories, color, shape, tidy, titled, with_words


def intervals(
    frame: pd.DataFrame, *, title: str, subtitle: str, metric: str, chance: float | None, name: str = "intervals"
) -> Any:
    """A dot with its 95 % interval per row and method, beside the line of chance.

    Args:
        frame: Columns `row` (such as a finding), `method`, `value`, `low` and `high` (all in [0, 1], the last two NaN
            where patients are too few); the order of first appearance is the order on the page.
        title: The finding.
        subtitle: The data.
        metric: Axis title, such as "AUC".
        chance: Value that guessing reaches, in [0, 1]; None draws no line.
        name: File name without ending.

    Returns:
        One band per row; methods differ by colour and shape. The axis fits the intervals and the line of chance, since
        a dot, unlike a bar, is read by its place alone.

    Raises:
        ValueError: A column is missing, a value lies outside [0, 1] or outside its interval, or there are more than
            seven methods.
    """
    table = tidy(frame, "row", "method", "value", "low", "high")
    # A row without an interval is a dot that says so.
    low, high = table["low"].fillna(table["value"]), table["high"].fillna(table["value"])
    wrong = table[~((low >= 0) & (low <= table["value"]) & (table["value"] <= high) & (high <= 1))]
    if len(wrong):
        first = wrong.iloc[0]
        what = f"{first['value']} in [{first['low']}, {first['high']}] for {first['row']}, {first['method']}"
        raise ValueError(f"0 <= low <= value <= high <= 1 was expected, not {what}")
    methods = categories(table["method"], "method")
    # Height follows the number of rows and methods, so that dots never touch.
    rows = table["row"].nunique()
    scale = alt.Scale(domain=_fitted(table, chance), nice=False)
    base = alt.Chart(with_words(table)).encode(
        y=alt.Y("row:N", title=None, sort=None, axis=alt.Axis(ticks=False, domain=False)),
        # Methods of a row stand below each other instead of on one line.
        yOffset=alt.YOffset("method:N", sort=methods, scale=alt.Scale(domain=methods)),
        color=color("method", methods, title=None, legend=alt.Legend(orient="bottom", columns=4, labelLimit=300)),
        tooltip=[
            alt.Tooltip("row:N", title="of"),
            "method:N",
            alt.Tooltip("value:Q", format=".3f", title=metric),
            alt.Tooltip("interval:N", title="95 % interval"),
        ],
    )
    axis = alt.Axis(format=".2f", tickCount=6)
    x = alt.X("low:Q", title=f"{metric}, with 95 % interval", scale=scale, axis=axis)
    bars = base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q")
    symbols = shape("method", methods, title=None)
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(x="value:Q", shape=symbols)
    layers = [bars, dots]
    if table["low"].isna().any():
        layers.append(base.mark_text(align="left", dx=8, fontSize=10).encode(x="value:Q", text="note:N"))
    if chance is not None:
        line = alt.Chart(pd.DataFrame({"chance": [chance]})).encode(x="chance:Q")
        words = alt.value(f"chance {chance:.2f}")
        note = line.mark_text(baseline="bottom", dy=-4, color=MUTED).encode(y=alt.value(0), text=words)
        layers = [line.mark_rule(color=INK, strokeDash=[4, 3]), *layers, note]  # chance below the dots
    chart = alt.layer(*layers).properties(width=420, height=rows * max(26, 14 * len(methods) + 10))
    shows = f"Dots with intervals of {metric} per {rows} rows and {len(methods)} methods"
    return titled(chart, title=title, subtitle=subtitle, name=name, shows=shows)


def _fitted(table: pd.DataFrame, chance: float | None) -> list[float]:
    """Twentieths within [0, 1] around all intervals and the chance."""
    ends = table[["low", "value", "high"]].to_numpy(dtype=float)  # (rows, 3), NaN where there is no interval
    values = [*ends[~np.isnan(ends)].tolist(), *([] if chance is None else [chance])]
    # A hundredth of room before the next twentieth.
    bottom, top = math.floor((min(values) - 0.01) * 20) / 20, math.ceil((max(values) + 0.01) * 20) / 20
    return [max(0.0, bottom), min(1.0, top)]


def cost_bars(frame: pd.DataFrame, *, title: str, subtitle: str, name: str = "cost_bars") -> Any:
    """Costs of each method, one panel per quantity; the bars start at zero.

    Args:
        frame: Columns `method`, `quantity` (with its unit, such as "ms per image") and `value` (0 or more).
        title: The finding.
        subtitle: The machine and the batch.
        name: File name without ending.

    Returns:
        Horizontal bars with their values, panels side by side.

    Raises:
        ValueError: A column is missing or a cost is negative.
    """
    table = tidy(frame, "method", "quantity", "value")
    if (table["value"] < 0).any():
        raise ValueError(f"a cost is 0 or more, not {table['value'].min()}")
    # Three figures, or whole numbers with commas: nobody reads 12345.678.
    table["label"] = [f"{value:.3g}" if value < 1000 else f"{value:,.0f}" for value in table["value"]]
    methods = [str(method) for method in pd.unique(table["method"])]
    panels = []
    for index, quantity in enumerate(pd.unique(table["quantity"])):
        part = table[table["quantity"] == quantity]
        # Room for the value that is written after the longest bar.
        scale = alt.Scale(domain=[0, float(part["value"].max()) * 1.25 or 1.0], nice=False)
        # Names of the methods once, at the left panel.
        labels = alt.Axis(ticks=False, domain=False, labels=index == 0)
        base = alt.Chart(part).encode(
            x=alt.X("value:Q", title=quantity, scale=scale, axis=alt.Axis(tickCount=4)),
            y=alt.Y("method:N", title=None, sort=None, scale=alt.Scale(domain=methods), axis=labels),
            tooltip=["method:N", "quantity:N", alt.Tooltip("value:Q", format=",.4~g")],
        )
        words = base.mark_text(align="left", dx=4).encode(text="label:N")
        panels.append((base.mark_bar(color=COLORS[0], size=16) + words).properties(width=240, height={"step": 26}))
    chart = alt.hconcat(*panels, spacing=16)
    shows = f"Bars from zero of {', '.join(pd.unique(table['quantity']))} for {', '.join(methods)}"
    return titled(chart, title=title, subtitle=subtitle, name=name, shows=shows)
