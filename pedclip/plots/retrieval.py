"""Charts of retrieval: what withheld answers cost, and how search time grows with the archive."""

from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd

from pedclip.plots.theme import INK, MUTED, categories, color, shape, tidy, titled

_POINTS: Final = 60  # of a curve that a reader can tell apart, and that a notebook need not be large for
_LEAST: Final = 0.05  # coverage: below it a risk is that of a handful of answers


def risk_coverage(frame: pd.DataFrame, *, risk: float, title: str, subtitle: str, name: str = "risk_coverage") -> Any:
    """Fraction of wrong answers among those that are given, over the fraction given, one line per confidence.

    Args:
        frame: Columns `method`, `coverage` in (0, 1] and `risk` in [0, 1], as `risk_coverage_table` gives them.
        risk: Of all answers, in [0, 1]: the level that a confidence without knowledge stays at.
        title: The finding.
        subtitle: The data.
        name: File name without ending.

    Returns:
        Lines from a twentieth of the answers on, thinned to sixty points each; a point under the pointer is told.

    Raises:
        ValueError: A column is missing, a value lies outside its range, or there are more than seven methods.
    """
    for column in ("coverage", "risk"):
        if column in frame and not frame[column].between(0, 1).all():
            raise ValueError(f"{column} lies in [0, 1], not {frame[column].min()} to {frame[column].max()}")
    methods = categories(frame["method"], "method") if "method" in frame else []
    thin = [_thinned(frame[frame["method"] == method]) for method in methods]
    table = tidy(pd.concat(thin) if thin else frame, "method", "coverage", "risk")
    base = alt.Chart(table).encode(
        x=alt.X("coverage:Q", title="fraction of the queries answered", axis=alt.Axis(format=".0%", tickCount=5)),
        y=alt.Y("risk:Q", title="wrong among the answered", axis=alt.Axis(format=".0%", tickCount=5)),
        color=color("method", methods, title=None, legend=alt.Legend(orient="bottom", columns=3, labelLimit=300)),
        tooltip=["method:N", alt.Tooltip("coverage:Q", format=".1%"), alt.Tooltip("risk:Q", format=".1%")],
    )
    # Shapes at every tenth point: lines of one lightness are told apart without colour.
    marks = base.transform_window(number="row_number()", groupby=["method"]).transform_filter("datum.number % 10 == 1")
    dots = marks.mark_point(filled=True, size=50, opacity=1).encode(shape=shape("method", methods, title=None))
    level = alt.Chart(pd.DataFrame({"risk": [risk]})).encode(y="risk:Q")
    note = level.mark_text(align="left", baseline="bottom", dy=-3, color=MUTED).encode(
        x=alt.value(4), text=alt.value(f"all answered, or a confidence that knows nothing: {risk:.0%}")
    )
    layers = [level.mark_rule(color=INK, strokeDash=[4, 3]), base.mark_line(), dots, note]
    chart = alt.layer(*layers).properties(width=460, height=260)
    shows = f"Lines of the fraction of wrong answers over the fraction answered, for {', '.join(methods)}"
    return titled(chart, title=title, subtitle=subtitle, name=name, shows=shows)


def _thinned(part: pd.DataFrame) -> pd.DataFrame:
    part = part[part["coverage"] >= _LEAST].sort_values("coverage")
    # Evenly over the rows, the last one included: it is the risk of all answers.
    return part.iloc[np.unique(np.linspace(0, len(part) - 1, min(_POINTS, len(part))).round().astype(int))]


def search_times(frame: pd.DataFrame, *, title: str, subtitle: str, name: str = "search_times") -> Any:
    """Time of one query over the size of the archive, both on logarithmic axes, one line per search.

    Args:
        frame: Columns `method`, `items` (at least 1) and `milliseconds` (above 0).
        title: The finding.
        subtitle: The machine and the archive.
        name: File name without ending.

    Returns:
        Lines with a dot for each measurement.

    Raises:
        ValueError: A column is missing, a number is not above 0, or there are more than seven methods.
    """
    table = tidy(frame, "method", "items", "milliseconds")
    # Neither has a place on a logarithmic axis.
    if not ((table["items"] >= 1).all() and (table["milliseconds"] > 0).all()):
        raise ValueError("a logarithmic axis takes at least one item and times above 0")
    methods = categories(table["method"], "method")
    sizes = sorted(set(table["items"].tolist()))
    log = {"type": "log", "nice": False}
    base = alt.Chart(table).encode(
        x=alt.X(
            "items:Q",
            title="items in the archive",
            scale=alt.Scale(domain=[sizes[0] / 1.2, sizes[-1] * 1.2], **log),
            axis=alt.Axis(values=sizes, format="~s"),
        ),
        y=alt.Y("milliseconds:Q", title="milliseconds per query", scale=alt.Scale(type="log")),
        color=color("method", methods, title=None, legend=alt.Legend(orient="bottom", columns=3, labelLimit=300)),
        tooltip=["method:N", alt.Tooltip("items:Q", format=",d"), alt.Tooltip("milliseconds:Q", format=".3~g")],
    )
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(shape=shape("method", methods, title=None))
    chart = alt.layer(base.mark_line(), dots).properties(width=460, height=240)
    shows = f"Lines of milliseconds per query over the number of items, for {', '.join(methods)}"
    return titled(chart, title=title, subtitle=subtitle, name=name, shows=shows)
