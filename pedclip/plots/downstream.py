"""Charts of downstream tasks: label efficiency, concepts, calibration."""

import math
import textwrap
from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd

from pedclip.plots.theme import COLORS, INK, MUTED, categories, color, shape, tidy, titled, with_words

_PANEL: Final = 170  # pixels: three panels with their axes fit in 700
_DODGE: Final = 5  # pixels between the interval bars of two methods
_PERCENT: Final = "format(datum.value * 100, '.3~g') + ' %'"
_SPACING: Final = {"row": 24, "column": 20}
_PAIR: Final = 230  # and two
_LETTER: Final = 7  # pixels of a character of 12 px over a panel
_COUNTED: Final = "pairs of film and label"
_ROOM: Final = 560  # pixels for the names of methods
_DASHES: Final = [4, 3]
_VALUES: Final = ("value", "low", "high")


def learning_curves(
    frame: pd.DataFrame, *, title: str, subtitle: str, columns: int = 3, name: str = "learning_curves"
) -> Any:
    """Values that methods reach with a share of the training patients, one panel per task.

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
    # A value outside its interval is an error of the caller that a chart would hide.
    _check_intervals(table, "task", "method")
    methods, tasks = categories(table["method"], "method"), list(pd.unique(table["task"]))
    if (twice := table.groupby("task")["metric"].nunique()).max() > 1:
        raise ValueError(f"a task has one metric, but {twice.idxmax()} has {twice.max()}")
    width = max(_PANEL, 3 * _PANEL // max(2, min(columns, len(tasks))))  # fewer panels are wider: a row fills the page
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
    # A factor on a logarithmic axis is a step in pixels.
    part = part.assign(at=part["share"] * 10 ** ((part["method"].map(methods.index) - half) * _DODGE * pixel))
    margin = 10 ** ((half * _DODGE + 8) * pixel)  # room for the outermost dodge and for half a dot
    ticks = alt.Axis(values=sorted(set(part["share"])), labelExpr=_PERCENT, grid=False)
    across = alt.Scale(type="log", domain=[first / margin, last * margin], nice=False)
    x = alt.X("at:Q", title="training patients", scale=across, axis=ticks)
    values = table.loc[table["metric"] == metric, ["low", "value", "high", "chance"]].to_numpy(dtype=float)
    bottom, top = float(np.nanmin(values)), float(np.nanmax(values))
    bottom -= 0.04 * (top - bottom)  # so that a line of chance does not lie on the axis
    # A tick at the top of every panel, so that all headings stand at one height.
    scale = alt.Scale(domain=[bottom, top], zero=False, nice=5)
    y = alt.Y("value:Q", title=None, scale=scale, axis=alt.Axis(tickCount=5))
    tints, symbols = _cues(methods)
    tooltip = ["task:N", "method:N", *_numbers("share", digits=".3~%"), *_interval(), *_numbers("chance")]
    base = alt.Chart(with_words(part)).encode(x=x, color=tints, tooltip=tooltip)
    bars = base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q")
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(y=y, shape=symbols)
    layers = [base.mark_line().encode(y=y, tooltip=alt.value(None)), bars, dots]
    if part["low"].isna().any():
        layers.append(_note(base).encode(y=y))
    if part["chance"].notna().any():
        levels = part[["chance"]].dropna().drop_duplicates().assign(line="chance or baseline")
        words = alt.StrokeDash(
            "line:N",
            scale=alt.Scale(range=[_DASHES]),
            legend=alt.Legend(orient="bottom", title=None, symbolStrokeColor=MUTED, symbolType="stroke"),
        )
        # Below the lines, and in the legend only where there is such a line.
        layers.insert(0, alt.Chart(levels).mark_rule(color=MUTED).encode(y="chance:Q", strokeDash=words))
    return alt.layer(*layers).properties(width=width, height=_PANEL, title=_heading(task, subtitle=metric))


def concept_bars(frame: pd.DataFrame, *, title: str, subtitle: str, name: str = "concepts") -> Any:
    """AUC with which similarity to a concept's text ranks the films that show it: grouped bars from zero.

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
    tints, symbols = _cues(methods)
    scale = alt.Scale(domain=[0, 1], nice=False)
    axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".2f", labelFlush=False)
    base = alt.Chart(with_words(table)).encode(
        x=alt.X("value:Q", title="AUC, with 95 % interval", scale=scale, axis=axis),
        y=alt.Y("concept:N", title=None, sort=None, axis=alt.Axis(ticks=False), scale=alt.Scale(paddingInner=0.25)),
        yOffset=alt.YOffset("method:N", sort=methods, scale=alt.Scale(domain=methods, paddingInner=0.1)),
        tooltip=["concept:N", "method:N", *_interval()],
    )
    bars = base.mark_bar().encode(color=tints)
    # The second cue beside the colour.
    feet = base.mark_point(filled=True, size=40, opacity=1, color="white").encode(x=alt.value(9), shape=symbols)
    rules = base.mark_rule().encode(x=alt.X("low:Q", scale=scale), x2="high:Q")
    # A white edge, since the interval lies half inside its own bar.
    halo, rules = rules.mark_rule(color="white", strokeWidth=4), rules.mark_rule(color=INK, strokeWidth=2)
    line = alt.Chart(pd.DataFrame({"chance": [0.5]})).encode(x="chance:Q")
    note = line.mark_text(baseline="bottom", dy=-4, color=MUTED).encode(y=alt.value(0), text=alt.value("chance 0.50"))
    concepts = table["concept"].nunique()
    layers = [bars, line.mark_rule(color=INK, strokeDash=_DASHES), feet, halo, rules, note]
    if table["low"].isna().any():
        layers.append(_note(base))
    chart = alt.layer(*layers)
    chart = chart.properties(width=420, height=concepts * (18 * len(methods) + 10))
    shows = f"Bars from zero with intervals of the AUC per {concepts} concepts and {len(methods)} methods"
    return titled(chart, title=title, subtitle=subtitle, name=name, shows=shows)


def reliability(frame: pd.DataFrame, *, title: str, subtitle: str, name: str = "reliability") -> Any:
    """Observed shares against predicted probabilities, one panel per task, an even number of them in two columns.

    Args:
        frame: Columns `task`, and those of `reliability_table`: `predicted` (mean
            probability), `observed`, `low`, `high` (all in [0, 1]) and `count` (pairs of film and label, at least 1).
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
    # The legend of sizes shows the smallest and the largest count.
    counts = sorted({int(table["count"].min()), int(table["count"].max())})
    parts = [table[table["task"] == task] for task in pd.unique(table["task"])]
    # Pairs of panels, such as a task before and after scaling, stand side by side.
    columns, size = (2, _PAIR) if len(parts) % 2 == 0 else (3, _PANEL)
    panels = [_calibration(part, counts, size, is_first=index % columns == 0) for index, part in enumerate(parts)]
    chart = alt.concat(*panels, columns=columns, spacing=_SPACING)
    shows = f"{len(panels)} panels of observed share against predicted probability with intervals and the diagonal"
    return titled(chart, title=title, subtitle=subtitle, name=name, shows=shows)


def _calibration(part: pd.DataFrame, counts: list[int], size: int, *, is_first: bool) -> Any:
    scale = alt.Scale(domain=[0, 1], nice=False)
    axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".2~f", labelFlush=False)
    corners = pd.DataFrame({"predicted": [0, 1], "observed": [0, 1]})
    x = alt.X("predicted:Q", title="predicted probability", scale=scale, axis=axis)
    # One title per row: all panels share the axis.
    y = alt.Y("observed:Q", title="observed share" if is_first else None, scale=scale, axis=axis)
    diagonal = alt.Chart(corners).mark_line(color=MUTED, strokeWidth=1, strokeDash=_DASHES).encode(x=x, y=y)
    counted = alt.Tooltip("count:Q", format=",d", title=_COUNTED)
    tooltip = [*_numbers("predicted"), *_interval("observed"), counted]
    base = alt.Chart(with_words(part)).encode(x=x, tooltip=tooltip)
    rules = base.mark_rule(color=COLORS[0], strokeWidth=2).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q")
    legend = alt.Legend(orient="bottom", symbolFillColor=COLORS[0], symbolStrokeWidth=0, values=counts)
    sizes = alt.Size("count:Q", title=_COUNTED, scale=alt.Scale(domain=[0, counts[-1]], range=[12, 100]), legend=legend)
    dots = base.mark_point(filled=True, color=COLORS[0], opacity=0.8).encode(y=y, size=sizes)
    heading = _heading(str(part["task"].iloc[0]), width=size)
    return alt.layer(diagonal, rules, dots).properties(width=size, height=size, title=heading)


def _cues(methods: list[str]) -> tuple[Any, Any]:
    """Colour and shape of methods; in one row of names where they fit beside the dashed line's, else in columns."""
    widths = [7 * len(method) + 24 for method in methods]  # estimated: 7 pixels a letter, 24 for symbol and gap
    columns = len(methods) if sum(widths) <= _ROOM else max(1, _ROOM // max(widths))
    legend = alt.Legend(orient="bottom", columns=columns, labelLimit=300)
    return tuple(channel("method", methods, title=None, legend=legend) for channel in (color, shape))


def _heading(task: str, *, width: int = _PANEL, **options: Any) -> Any:
    return alt.TitleParams(textwrap.wrap(task, width // _LETTER), fontSize=12, subtitlePadding=2, offset=8, **options)


def _numbers(*fields: str, digits: str = ".3f") -> list[Any]:
    """Tooltips of quantities."""
    return [alt.Tooltip(f"{field}:Q", format=digits) for field in fields]


def _interval(value: str = "value") -> list[Any]:
    """Tooltips of a score and its interval, or that there is none."""
    return [*_numbers(value), alt.Tooltip("interval:N", title="95 % interval")]


def _note(base: Any) -> Any:
    """The words beside a score without an interval."""
    return base.mark_text(align="left", dx=8, fontSize=10, color=MUTED).encode(text="note:N")


def _check_intervals(table: pd.DataFrame, *keys: str, value: str = "value", unit: bool = False) -> None:
    """Raise on a row whose value lies outside its interval, or outside [0, 1] where `unit` asks for that."""
    lowest, highest = (0.0, 1.0) if unit else (-math.inf, math.inf)
    # Both ends are NaN where patients are too few; a dot without a bar is then drawn.
    low, high = (table[end].fillna(table[value]) for end in ("low", "high"))
    inside = low.between(lowest, table[value]) & high.between(table[value], highest)
    if len(wrong := table[~inside]):
        row = wrong.iloc[0]  # the first is enough for whoever made the table
        expected = f"0 <= low <= {value} <= high <= 1" if unit else f"low <= {value} <= high"
        where = ", ".join(str(row[key]) for key in keys)
        raise ValueError(f"{expected} was expected, not {row[value]} in [{row['low']}, {row['high']}] for {where}")
