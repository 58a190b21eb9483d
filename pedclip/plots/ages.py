"""The chart of predicted ages."""

import math
from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd

from pedclip.plots.theme import COLORS, GRID, INK, MUTED, tidy, titled

_BANDS: Final = {"months": 12, "years": 1}
_DASHES: Final = [4, 3]
_NOTE: Final[dict[str, Any]] = {"fontSize": 12, "fontWeight": "normal", "color": MUTED, "offset": 8}


def predicted_age(
    frame: pd.DataFrame, *, title: str, subtitle: str, unit: str = "months", name: str = "predicted_age"
) -> Any:
    """Predicted against true age; a dragged rectangle shows the errors of the films inside.

    Args:
        frame: Columns `truth` (0 or more), `predicted`, `region`, and `image` (a `data:` URL as from
            ``thumbnail_url``, drawn by the tooltip); a few hundred films.
        title: The finding.
        subtitle: The data.
        unit: "months" or "years", of both ages.
        name: File name without ending.

    Returns:
        Scatter with the line of no error and a band of one year to both sides, beside a histogram of the error, which
        keeps its bins and its height whatever is chosen.

    Raises:
        ValueError: A column is missing, an age is not a number, a true age is below 0, the unit is unknown, or an
            image is not a `data:` URL.
    """
    table = tidy(frame, "truth", "predicted", "region", "image")
    if unit not in _BANDS:
        raise ValueError(f"unit '{unit}' is unknown; a unit is one of {', '.join(_BANDS)}")
    if not (np.isfinite(table["predicted"]).all() and table["truth"].between(0, math.inf, inclusive="left").all()):
        raise ValueError("ages are numbers, and true ages are 0 or more")
    if not table["image"].str.match(r"data:image/").all():
        raise ValueError("the column image holds data: URLs (see thumbnail_url)")
    # Here and not in the chart: both panels and the tooltips need it.
    table["error"] = table["predicted"] - table["truth"]
    brush = alt.selection_interval(name="brush")
    # One selection for both panels: the histogram counts what the scatter holds.
    chart = alt.hconcat(_ages(table, unit, brush), _errors(table, unit, brush), spacing=20)
    shows = (
        f"Scatter of {len(table)} predicted against true ages with the line of no error, and a histogram of the error"
    )
    return titled(chart, title=title, subtitle=subtitle, name=name, shows=shows)


def _ages(table: pd.DataFrame, unit: str, brush: Any) -> Any:
    year = _BANDS[unit]
    # From 0, or below where a prediction is, to the end, in at most seven steps of whole years.
    years = math.ceil(max(table["truth"].max(), table["predicted"].max()) / year) or 1
    step = year * math.ceil(years / 7)  # months or years between two ticks
    bottom = step * math.floor(min(0.0, float(table["predicted"].min())) / step)
    top = step * math.ceil(years * year / step)
    scale = alt.Scale(domain=[bottom, top], nice=False)
    axis = alt.Axis(values=list(range(bottom, top + 1, step)))
    # Two points are enough for a straight line and a straight band.
    edge = pd.DataFrame({"age": [bottom, top]})
    edge = edge.assign(low=edge["age"] - year, high=edge["age"] + year)
    line = alt.Chart(edge).encode(x=alt.X("age:Q", scale=scale, axis=axis))
    band = line.mark_area(color=GRID, opacity=0.6, clip=True).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q")
    points = (
        alt.Chart(table)
        # Transparent: where many films agree, the dots add up.
        .mark_point(filled=True, size=40, opacity=0.7)
        .encode(
            x=alt.X("truth:Q", title=f"true age ({unit})", scale=scale, axis=axis),
            y=alt.Y("predicted:Q", title=f"predicted age ({unit})", scale=scale, axis=axis),
            color=alt.condition(brush, alt.value(COLORS[0]), alt.value("#AAAAAA")),
            tooltip=[
                "image:N",
                "region:N",
                alt.Tooltip("truth:Q", format=".1f", title=f"true age ({unit})"),
                alt.Tooltip("predicted:Q", format=".1f", title=f"predicted age ({unit})"),
                alt.Tooltip("error:Q", format="+.1f", title=f"predicted minus true ({unit})"),
            ],
        )
        .add_params(brush)
    )
    # The line of no error.
    identity = line.mark_line(color=INK, strokeWidth=1, strokeDash=_DASHES).encode(y=alt.Y("age:Q", scale=scale))
    words = alt.TitleParams(["Drag a rectangle to choose films", "Grey band: within one year of the truth"], **_NOTE)
    return alt.layer(band, identity, points).properties(width=330, height=330, title=words)


def _errors(table: pd.DataFrame, unit: str, brush: Any) -> Any:
    largest = float(table["error"].abs().max())
    # A round width of the bins, with 0 on an edge, that gives at most ten on either side.
    widths = (0.5, 1, 2, 3, 6, 12, 24, 48) if unit == "months" else (0.05, 0.1, 0.25, 0.5, 1, 2, 4)
    step = next((width for width in widths if largest <= 10 * width), widths[-1])
    reach = step * (math.ceil(largest / step) or 1)
    bins, words = alt.Bin(extent=[-reach, reach], step=step), f"predicted minus true ({unit})"
    # Five labels, symmetric around zero.
    stride = step * (math.ceil(reach / step / 2))
    axis = alt.Axis(values=[number * stride for number in (-2, -1, 0, 1, 2)], grid=False, labelFlush=False)
    # Fixed ranges: those of the bars in a rectangle would jump, and collapse where it holds no film.
    x = alt.X("error:Q", bin=bins, title=words, axis=axis, scale=alt.Scale(domain=[-reach, reach], nice=False))
    tooltip = [alt.Tooltip("error:Q", bin=bins, title=words), alt.Tooltip("count():Q", title="films")]
    edges = np.arange(-reach, reach + step / 2, step)
    # The height of all films, so that the bars of a selection are seen as a part of them.
    highest = int(np.histogram(table["error"], edges)[0].max())
    tall = alt.Scale(domain=[0, highest], nice=5)
    y = alt.Y("count():Q", title="films", axis=alt.Axis(tickMinStep=1, tickCount=5), scale=tall)
    # The bars read the same table as the points, so the pictures are stored once.
    bars = alt.Chart(table).mark_bar(color=COLORS[0]).encode(x=x, y=y, tooltip=tooltip)
    every = alt.Chart(table).mark_bar(color=GRID).encode(x=x, y=y, tooltip=alt.value(None))
    zero = alt.Chart(pd.DataFrame({"error": [0]})).mark_rule(color=INK, strokeDash=_DASHES).encode(x="error:Q")
    heading = alt.TitleParams(["Blue: films in the rectangle", "Grey: all films"], **_NOTE)
    return alt.layer(every, bars.transform_filter(brush), zero).properties(width=210, height=330, title=heading)
