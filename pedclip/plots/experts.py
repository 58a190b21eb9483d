"""Charts of ablations: a matrix of regions by experts, and accuracy as domains are added."""

from typing import Any, Final

import altair as alt
import pandas as pd

from pedclip.plots.theme import COLORS, MUTED, tidy, titled

_CELL = 19  # pixels, the least at which labels of 12 px do not touch
# Blue over white to orange, in nine steps.
_DIFFERENCES: Final = (
    "#0072B2", "#4A97C6", "#86B8D8", "#C2DBEB", "#FFFFFF", "#F6D7C2", "#ECAF86", "#E0864A", "#D55E00",
)  # fmt: skip


def region_matrix(
    frame: pd.DataFrame,
    *,
    title: str,
    subtitle: str,
    columns: str,
    value: str,
    rows: str = "region of the film",
    diverging: bool = True,
    name: str = "matrix",
) -> Any:
    """Values of regions (rows) by experts or other regions (columns).

    Args:
        frame: Columns `row`, `column` and `value`; the order of first appearance is the order on the page.
        title: The finding.
        subtitle: The data.
        columns: What the columns are, such as "expert that is removed".
        value: What the values are, for the legend.
        rows: What the rows are.
        diverging: True for differences: 0 is white, and the scale is symmetric; False for values in [0, 1].
        name: File name without ending.

    Returns:
        Heat map; blue is below 0 and orange above, which all kinds of colour blindness tell apart.

    Raises:
        ValueError: A column is missing, or a value that is no difference lies outside [0, 1].
    """
    table = tidy(frame, "row", "column", "value")
    if not diverging and not table["value"].between(0, 1).all():
        raise ValueError(f"values lie in [0, 1], not {table['value'].min()} to {table['value'].max()}")
    end = max(float(table["value"].abs().max()), 0.01)
    # Steps, not a gradient: a shade can be found again in the legend, and a stored picture keeps it.
    scale = (
        alt.Scale(type="quantize", domain=[-end, end], range=list(_DIFFERENCES))
        if diverging
        else alt.Scale(type="quantize", domain=[0, 1], scheme="viridis")
    )
    form = "+.3f" if diverging else ".3f"
    chart = (
        alt.Chart(table)
        .mark_rect()
        .encode(
            x=alt.X("column:N", title=columns, sort=None, axis=alt.Axis(labelAngle=-90, grid=False)),
            y=alt.Y("row:N", title=rows, sort=None, axis=alt.Axis(grid=False)),
            color=alt.Color("value:Q", title=value, scale=scale, legend=alt.Legend(format=form)),
            tooltip=["row:N", "column:N", alt.Tooltip("value:Q", title=value, format=form)],
        )
        .properties(width={"step": _CELL}, height={"step": _CELL})
    )
    shows = f"Heat map of {table['row'].nunique()} rows by {table['column'].nunique()} columns"
    return titled(chart, title=title, subtitle=subtitle, name=name, shows=shows)


def growing_domains(frame: pd.DataFrame, *, title: str, subtitle: str, name: str = "growing_domains") -> Any:
    """Accuracy among the first 3, 4, … domains: one line for the order given, a band for random ones.

    Args:
        frame: As of `pedclip.evaluation.zero_shot.growing_accuracy`: `order` (0 is the one given), `number`, `added`,
            `accuracy` and `chance`.
        title: The finding.
        subtitle: The data.
        name: File name without ending.

    Returns:
        Line, band from the lowest to the highest of the random orders, and chance, dashed.

    Raises:
        ValueError: A column is missing, or an accuracy lies outside [0, 1].
    """
    table = tidy(frame, "order", "number", "added", "accuracy", "chance")
    if not table["accuracy"].between(0, 1).all():
        raise ValueError(f"accuracies lie in [0, 1], not {table['accuracy'].min()} to {table['accuracy'].max()}")
    x = alt.X("number:Q", title="domains", axis=alt.Axis(tickMinStep=1))
    y = alt.Y("low:Q", title="balanced accuracy", scale=alt.Scale(domain=[0, 1]))
    others = table[table["order"] > 0]
    band = others.groupby("number", as_index=False)["accuracy"].agg(low="min", high="max", mean="mean")
    given = table[table["order"] == 0]
    tips = ["number:Q", "added:N", alt.Tooltip("accuracy:Q", format=".3f"), alt.Tooltip("chance:Q", format=".3f")]
    line = alt.Chart(given).mark_line(point=True, color=COLORS[0]).encode(x=x, y="accuracy:Q", tooltip=tips)
    chance = alt.Chart(given).mark_line(strokeDash=[4, 3], color=MUTED).encode(x=x, y="chance:Q")
    layers = [chance, line]
    if len(band):
        layers.insert(0, alt.Chart(band).mark_area(opacity=0.25, color=COLORS[0]).encode(x=x, y=y, y2="high:Q"))
    chart = alt.layer(*layers).properties(width=520, height=260)
    shows = f"Accuracy against {given['number'].min()} to {given['number'].max()} domains"
    return titled(chart, title=title, subtitle=subtitle, name=name, shows=shows)
