"""Charts of differences: arms of an experiment against one of them."""

import math
import textwrap
from typing import Any, Final

import altair as alt
import pandas as pd

from pedclip.plots.theme import INK, MUTED, categories, color, shape, tidy, titled, with_words

_ROOM: Final = 620  # pixels of all panels of a row
_LETTER: Final = 7  # pixels of a character of 12 px over a panel
_STEP: Final = 0.01  # the axis ends at a whole one of these


def difference_forest(
    frame: pd.DataFrame, *, reference: str, title: str, subtitle: str, columns: int = 3, name: str = "differences"
) -> Any:
    """Differences to a reference with their 95 % intervals: a panel per question, a row per arm.

    Args:
        frame: Columns `panel` (the question, with its metric), `row` (the arm), `method`, `value` (the difference),
            `low` and `high` (in [-1, 1], the last two NaN where patients are too few); the order of first appearance is
            the order on the page.
        reference: What the arms are compared with, for the axis.
        title: The finding.
        subtitle: The data.
        columns: Panels in a row, at least 1.
        name: File name without ending.

    Returns:
        Dots with intervals beside the line of no difference; all panels have one range, symmetric about it. Methods
        differ by colour and shape.

    Raises:
        ValueError: A column is missing, a difference lies outside [-1, 1] or outside its interval, or there are more
            than seven methods.
    """
    table = tidy(frame, "panel", "row", "method", "value", "low", "high")
    low, high = table["low"].fillna(table["value"]), table["high"].fillna(table["value"])
    wrong = table[~((low >= -1) & (low <= table["value"]) & (table["value"] <= high) & (high <= 1))]
    if len(wrong):
        first = wrong.iloc[0]
        what = f"{first['value']} in [{first['low']}, {first['high']}] for {first['row']}, {first['panel']}"
        raise ValueError(f"-1 <= low <= value <= high <= 1 was expected, not {what}")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    methods, rows = categories(table["method"], "method"), [str(row) for row in pd.unique(table["row"])]
    # Symmetric, so that the line of no difference stands in the middle of every panel.
    end = math.ceil(max(-low.min(), high.max(), _STEP) / _STEP + 0.5) * _STEP
    panels = [str(panel) for panel in pd.unique(table["panel"])]
    width = _ROOM // min(columns, len(panels)) - 20
    charts = [
        _panel(table[table["panel"] == panel], rows, methods, end, width, reference, is_first=index % columns == 0)
        for index, panel in enumerate(panels)
    ]
    chart = alt.concat(*charts, columns=columns, spacing={"row": 24, "column": 14})
    shows = f"Dots with intervals of the difference to {reference} for {', '.join(rows)} in {len(panels)} panels"
    return titled(chart, title=title, subtitle=subtitle, name=name, shows=shows)


def _panel(
    part: pd.DataFrame, rows: list[str], methods: list[str], end: float, width: int, reference: str, *, is_first: bool
) -> Any:
    scale = alt.Scale(domain=[-end, end], nice=False)
    # Names of the arms once, at the left panel of each row.
    names = alt.Axis(ticks=False, domain=False, labels=is_first, labelLimit=240)
    legend = alt.Legend(orient="bottom", columns=4, labelLimit=300) if len(methods) > 1 else None
    base = alt.Chart(with_words(part)).encode(
        y=alt.Y("row:N", title=None, scale=alt.Scale(domain=rows), axis=names),
        yOffset=alt.YOffset("method:N", sort=methods, scale=alt.Scale(domain=methods)),
        color=color("method", methods, title=None, legend=legend),
        tooltip=[
            alt.Tooltip("row:N", title="arm"),
            "method:N",
            alt.Tooltip("value:Q", format="+.3f", title=f"minus {reference}"),
            alt.Tooltip("interval:N", title="95 % interval"),
        ],
    )
    axis = alt.Axis(format="+.2f", tickCount=4, labelFlush=False)
    x = alt.X("low:Q", title=f"minus {reference}", scale=scale, axis=axis)
    bars = base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q")
    symbols = shape("method", methods, title=None, legend=legend)
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(x="value:Q", shape=symbols)
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=INK, strokeDash=[4, 3]).encode(x="zero:Q")
    layers = [zero, bars, dots]
    if part["low"].isna().any():
        layers.append(base.mark_text(align="left", dx=8, fontSize=10, color=MUTED).encode(x="value:Q", text="note:N"))
    heading = alt.TitleParams(textwrap.wrap(str(part["panel"].iloc[0]), width // _LETTER), fontSize=12, offset=8)
    height = len(rows) * max(24, 12 * len(methods) + 10)
    return alt.layer(*layers).properties(width=width, height=height, title=heading)
