"""Charts of downstream tasks: label efficiency, predicted ages, concepts, calibration."""

import math
import textwrap
from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd

from pedclip.plots.theme import COLORS, GRID, INK, MUTED, categories, color, shape, tidy, titled

_PANEL: Final = 170  # pixels: three panels with their axes fit in 700
_DODGE: Final = 5  # pixels between the interval bars of two methods
_BANDS: Final = {"months": 12, "years": 1}
_PERCENT: Final = "format(datum.value * 100, '.3~g') + ' %'"
_SPACING: Final = {"row": 24, "column": 20}
_LINE: Final = 24  # characters of 12 px over a panel
_ROOM: Final = 560  # pixels for the names of methods
_DASHES: Final = [4, 3]
_VALUES: Final = ("value", "low", "high")
_NOTE: Final[dict[str, Any]] = {"fontSize": 12, "fontWeight": "normal", "color": MUTED, "offset": 8}


def learning_curves(
    frame: pd.DataFrame, *, title: str, subtitle: str, columns: int = 3, name: str = "learning_curves"
) -> Any:
    """What a method reaches with a share of the training patients, one panel per task.

    Args:
        frame: Columns `task`, `metric` (with its unit, such as "MAE, months"; one per task), `method`, `share` of the
            training patients in (0, 1], `value`, `low`, `high`, and `chance` (what guessing or the baseline reaches;
            NaN draws no line); the order of first appearance is the order on the page.
        title: The finding.
        subtitle: The data.
        columns: Panels in a row, at least 1.
        name: File name without ending.

    Returns:
        Lines with interval bars over a logarithmic share; panels of one metric have the same range. Methods are moved
        a few pixels apart so that no bar hides another.

    Raises:
        ValueError: A column is missing, a share lies outside (0, 1], a value outside its interval, a task has two
            metrics, or there are more than seven methods.
    """
    table = tidy(frame, "task", "metric", "method", "share", *_VALUES, "chance")
    table = table.astype({"task": str, "metric": str, "method": str})
    if not (table["share"].gt(0) & table["share"].le(1)).all():
        raise ValueError(f"shares of the patients lie in (0, 1], not {table['share'].min()} to {table['share'].max()}")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    _check_intervals(table, "task", "method")
    methods, tasks = categories(table["method"], "method"), list(pd.unique(table["task"]))
    if (twice := table.groupby("task")["metric"].nunique()).max() > 1:
        raise ValueError(f"a task has one metric, but {twice.idxmax()} has {twice.max()}")
    width = max(_PANEL, 3 * _PANEL // max(2, min(columns, len(tasks))))
    chart = alt.concat(*(_curves(table, task, methods, width) for task in tasks), columns=columns, spacing=_SPACING)
    shows = f"{len(tasks)} panels of lines with intervals over the share of patients, for {len(methods)} methods"
    return titled(chart, title=title, subtitle=subtitle, name=name, shows=shows)


def _curves(table: pd.DataFrame, task: str, methods: list[str], width: int) -> Any:
    part = table[table["task"] == task]
    metric = str(part["metric"].iloc[0])
    # All panels have the same range of shares, and those of one metric the same range of values.
    first, last = float(table["share"].min()), float(table["share"].max())
    pixel = max(1.0, math.log10(last / first)) / width  # in powers of ten
    half = (len(methods) - 1) / 2
    part = part.assign(at=part["share"] * 10 ** ((part["method"].map(methods.index) - half) * _DODGE * pixel))
    margin = 10 ** ((half * _DODGE + 8) * pixel)
    ticks = alt.Axis(values=sorted(set(part["share"])), labelExpr=_PERCENT, grid=False)
    across = alt.Scale(type="log", domain=[first / margin, last * margin], nice=False)
    x = alt.X("at:Q", title="training patients", scale=across, axis=ticks)
    values = table.loc[table["metric"] == metric, ["low", "high", "chance"]].to_numpy(dtype=float)
    bottom, top = float(np.nanmin(values)), float(np.nanmax(values))
    bottom -= 0.04 * (top - bottom)  # so that a line of chance does not lie on the axis
    # A tick at the top of every panel, so that all headings stand at one height.
    scale = alt.Scale(domain=[bottom, top], zero=False, nice=5)
    y = alt.Y("value:Q", title=None, scale=scale, axis=alt.Axis(tickCount=5))
    tints, marks = _cues(methods)
    tooltip = ["task:N", "method:N", *_numbers("share", digits=".3~%"), *_numbers(*_VALUES, "chance")]
    base = alt.Chart(part).encode(x=x, color=tints, tooltip=tooltip)
    bars = base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q")
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(y=y, shape=marks)
    layers = [base.mark_line().encode(y=y, tooltip=alt.value(None)), bars, dots]
    if part["chance"].notna().any():
        levels = part[["chance"]].dropna().drop_duplicates().assign(line="chance or baseline")
        words = alt.StrokeDash(
            "line:N",
            scale=alt.Scale(range=[_DASHES]),
            legend=alt.Legend(orient="bottom", title=None, symbolStrokeColor=MUTED, symbolType="stroke"),
        )
        layers.insert(0, alt.Chart(levels).mark_rule(color=MUTED).encode(y="chance:Q", strokeDash=words))
    return alt.layer(*layers).properties(width=width, height=_PANEL, title=_heading(task, subtitle=metric))


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
        Scatter with the line of no error and a band of one year to both sides, beside a histogram of the error.

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
    table["error"] = table["predicted"] - table["truth"]
    brush = alt.selection_interval(name="brush")
    chart = alt.hconcat(_ages(table, unit, brush), _errors(table, unit, brush), spacing=20)
    shows = (
        f"Scatter of {len(table)} predicted against true ages with the line of no error, and a histogram of the error"
    )
    return titled(chart, title=title, subtitle=subtitle, name=name, shows=shows)


def _ages(table: pd.DataFrame, unit: str, brush: Any) -> Any:
    year = _BANDS[unit]
    # From 0, or below where a prediction is, to the end, in at most seven steps of whole years.
    years = math.ceil(max(table["truth"].max(), table["predicted"].max()) / year) or 1
    step = year * math.ceil(years / 7)
    bottom = step * math.floor(min(0.0, float(table["predicted"].min())) / step)
    top = step * math.ceil(years * year / step)
    scale = alt.Scale(domain=[bottom, top], nice=False)
    axis = alt.Axis(values=list(range(bottom, top + 1, step)))
    edge = pd.DataFrame({"age": [bottom, top]})
    edge = edge.assign(low=edge["age"] - year, high=edge["age"] + year)
    line = alt.Chart(edge).encode(x=alt.X("age:Q", scale=scale, axis=axis))
    band = line.mark_area(color=GRID, opacity=0.6, clip=True).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q")
    points = (
        alt.Chart(table)
        .mark_point(filled=True, size=40, opacity=0.7)
        .encode(
            x=alt.X("truth:Q", title=f"true age ({unit})", scale=scale, axis=axis),
            y=alt.Y("predicted:Q", title=f"predicted age ({unit})", scale=scale, axis=axis),
            color=alt.condition(brush, alt.value(COLORS[0]), alt.value("#AAAAAA")),
            tooltip=["image:N", "region:N", *_numbers("truth", "predicted", "error", digits=".1f")],
        )
        .add_params(brush)
    )
    identity = line.mark_line(color=INK, strokeWidth=1, strokeDash=_DASHES).encode(y=alt.Y("age:Q", scale=scale))
    words = alt.TitleParams("Grey: within one year of the truth", **_NOTE)
    return alt.layer(band, identity, points).properties(width=330, height=330, title=words)


def _errors(table: pd.DataFrame, unit: str, brush: Any) -> Any:
    largest = float(table["error"].abs().max())
    # A round width of the bins, with 0 on an edge, that gives at most ten on either side.
    widths = (0.5, 1, 2, 3, 6, 12, 24, 48) if unit == "months" else (0.05, 0.1, 0.25, 0.5, 1, 2, 4)
    step = next((width for width in widths if largest <= 10 * width), widths[-1])
    reach = step * (math.ceil(largest / step) or 1)
    bins, words = alt.Bin(extent=[-reach, reach], step=step), f"predicted minus true ({unit})"
    stride = step * (math.ceil(reach / step / 2))
    axis = alt.Axis(values=[number * stride for number in (-2, -1, 0, 1, 2)], grid=False, labelFlush=False)
    # A fixed range, as that of the bars in a rectangle would jump.
    x = alt.X("error:Q", bin=bins, title=words, axis=axis, scale=alt.Scale(domain=[-reach, reach], nice=False))
    tooltip = [alt.Tooltip("error:Q", bin=bins, title=words), alt.Tooltip("count():Q", title="films")]
    y = alt.Y("count():Q", title="films", axis=alt.Axis(tickMinStep=1, tickCount=5), scale=alt.Scale(nice=5))
    # The bars read the same table as the points, so the pictures are stored once.
    bars = alt.Chart(table).mark_bar(color=COLORS[0]).encode(x=x, y=y, tooltip=tooltip)
    zero = alt.Chart(pd.DataFrame({"error": [0]})).mark_rule(color=INK, strokeDash=_DASHES).encode(x="error:Q")
    heading = alt.TitleParams("Drag a rectangle to choose films", **_NOTE)
    return alt.layer(bars.transform_filter(brush), zero).properties(width=210, height=330, title=heading)


def concept_bars(frame: pd.DataFrame, *, title: str, subtitle: str, name: str = "concepts") -> Any:
    """How well similarity to a concept's text ranks the films that show it: grouped bars from zero.

    Args:
        frame: Columns `concept`, `method`, `value` (AUC), `low` and `high` (all in [0, 1]); the order of first
            appearance is the order on the page.
        title: The finding.
        subtitle: The data.
        name: File name without ending.

    Returns:
        A bar with its 95 % interval per concept and method, and a line at the chance of 0.5; methods differ by colour
        and by the white shape at the foot of the bar.

    Raises:
        ValueError: A column is missing, a value lies outside [0, 1] or outside its interval, or there are more than
            seven methods.

    Source: PedCLIP, Fig. 4 right (the quantity). Differs: with intervals, and from zero.
    """
    table = tidy(frame, "concept", "method", *_VALUES)
    _check_intervals(table, "concept", "method", unit=True)
    methods = categories(table["method"], "method")
    tints, marks = _cues(methods)
    scale = alt.Scale(domain=[0, 1], nice=False)
    axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".2f", labelFlush=False)
    base = alt.Chart(table).encode(
        x=alt.X("value:Q", title="AUC, with 95 % interval", scale=scale, axis=axis),
        y=alt.Y("concept:N", title=None, sort=None, axis=alt.Axis(ticks=False), scale=alt.Scale(paddingInner=0.25)),
        yOffset=alt.YOffset("method:N", sort=methods, scale=alt.Scale(domain=methods, paddingInner=0.1)),
        tooltip=["concept:N", "method:N", *_numbers(*_VALUES)],
    )
    bars = base.mark_bar().encode(color=tints)
    feet = base.mark_point(filled=True, size=40, opacity=1, color="white").encode(x=alt.value(9), shape=marks)
    rules = base.mark_rule().encode(x=alt.X("low:Q", scale=scale), x2="high:Q")
    halo, rules = rules.mark_rule(color="white", strokeWidth=4), rules.mark_rule(color=INK, strokeWidth=2)
    line = alt.Chart(pd.DataFrame({"chance": [0.5]})).encode(x="chance:Q")
    note = line.mark_text(baseline="bottom", dy=-4, color=MUTED).encode(y=alt.value(0), text=alt.value("chance 0.50"))
    concepts = table["concept"].nunique()
    chart = alt.layer(bars, line.mark_rule(color=INK, strokeDash=_DASHES), feet, halo, rules, note)
    chart = chart.properties(width=420, height=concepts * (18 * len(methods) + 10))
    shows = f"Bars from zero with intervals of the AUC per {concepts} concepts and {len(methods)} methods"
    return titled(chart, title=title, subtitle=subtitle, name=name, shows=shows)


def reliability(frame: pd.DataFrame, *, title: str, subtitle: str, name: str = "reliability") -> Any:
    """Observed shares against predicted probabilities, one panel per task.

    Args:
        frame: Columns `task`, and those of ``pedclip.evaluation.calibration.reliability_table``: `predicted` (mean
            probability), `observed`, `low`, `high` (all in [0, 1]) and `count` (at least 1).
        title: The finding.
        subtitle: The data.
        name: File name without ending.

    Returns:
        Dots sized by their count with intervals, beside the diagonal of perfect calibration; both axes from 0 to 1.

    Raises:
        ValueError: A column is missing, a value lies outside [0, 1] or outside its interval, or a count is below 1.
    """
    table = tidy(frame, "task", "predicted", "observed", "low", "high", "count")
    _check_intervals(table, "task", "predicted", value="observed", unit=True)
    if not table["predicted"].between(0, 1).all():
        raise ValueError(f"probabilities lie in [0, 1], not {table['predicted'].min()} to {table['predicted'].max()}")
    if not (table["count"] >= 1).all():
        raise ValueError(f"a count is at least 1, not {table['count'].min()}")
    counts = sorted({int(table["count"].min()), int(table["count"].max())})
    parts = [table[table["task"] == task] for task in pd.unique(table["task"])]
    panels = [_calibration(part, counts, is_first=index % 3 == 0) for index, part in enumerate(parts)]
    chart = alt.concat(*panels, columns=3, spacing=_SPACING)
    shows = f"{len(panels)} panels of observed share against predicted probability with intervals and the diagonal"
    return titled(chart, title=title, subtitle=subtitle, name=name, shows=shows)


def _calibration(part: pd.DataFrame, counts: list[int], *, is_first: bool) -> Any:
    scale = alt.Scale(domain=[0, 1], nice=False)
    axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".2~f", labelFlush=False)
    corners = pd.DataFrame({"predicted": [0, 1], "observed": [0, 1]})
    x = alt.X("predicted:Q", title="predicted probability", scale=scale, axis=axis)
    y = alt.Y("observed:Q", title="observed share" if is_first else None, scale=scale, axis=axis)
    diagonal = alt.Chart(corners).mark_line(color=MUTED, strokeWidth=1, strokeDash=_DASHES).encode(x=x, y=y)
    tooltip = [*_numbers("predicted", "observed", "low", "high"), *_numbers("count", digits=",d")]
    base = alt.Chart(part).encode(x=x, tooltip=tooltip)
    rules = base.mark_rule(color=COLORS[0], strokeWidth=2).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q")
    legend = alt.Legend(orient="bottom", symbolFillColor=COLORS[0], symbolStrokeWidth=0, values=counts)
    sizes = alt.Size("count:Q", title="films", scale=alt.Scale(domain=[0, counts[-1]], range=[12, 100]), legend=legend)
    dots = base.mark_point(filled=True, color=COLORS[0], opacity=0.8).encode(y=y, size=sizes)
    heading = _heading(str(part["task"].iloc[0]))
    return alt.layer(diagonal, rules, dots).properties(width=_PANEL, height=_PANEL, title=heading)


def _cues(methods: list[str]) -> tuple[Any, Any]:
    """Colour and shape of methods; in one row of names where they fit beside the dashed line's, else in columns."""
    widths = [7 * len(method) + 24 for method in methods]
    columns = len(methods) if sum(widths) <= _ROOM else max(1, _ROOM // max(widths))
    legend = alt.Legend(orient="bottom", columns=columns, labelLimit=300)
    return tuple(channel("method", methods, title=None, legend=legend) for channel in (color, shape))


def _heading(task: str, **options: Any) -> Any:
    return alt.TitleParams(textwrap.wrap(task, _LINE), fontSize=12, subtitlePadding=2, offset=8, **options)


def _numbers(*fields: str, digits: str = ".3f") -> list[Any]:
    """Tooltips of quantities."""
    return [alt.Tooltip(f"{field}:Q", format=digits) for field in fields]


def _check_intervals(table: pd.DataFrame, *keys: str, value: str = "value", unit: bool = False) -> None:
    """Raise on a row whose value lies outside its interval, or outside [0, 1] where `unit` asks for that."""
    lowest, highest = (0.0, 1.0) if unit else (-math.inf, math.inf)
    inside = table["low"].between(lowest, table[value]) & table["high"].between(table[value], highest)
    if len(wrong := table[~inside]):
        row = wrong.iloc[0]
        expected = f"0 <= low <= {value} <= high <= 1" if unit else f"low <= {value} <= high"
        where = ", ".join(str(row[key]) for key in keys)
        raise ValueError(f"{expected} was expected, not {row[value]} in [{row['low']}, {row['high']}] for {where}")
