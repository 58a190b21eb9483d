"""Charts of the data sheet of a curated set."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt
import pandas as pd

from pedclip.anatomy import REGIONS, display_name
from pedclip.plots.theme import COLORS, tidy, titled

# The order on the page.
_PANELS: Final = ("region", "age", "sex", "finding", "excerpt_length")
_TITLES: Final = {
    "region": "Body region",
    "age": "Age at the study",
    "sex": "Sex",
    "finding": "Finding mentioned (also negated)",
    "excerpt_length": "Words of the excerpt",
}


def data_sheet_table(sheet: Mapping[str, Any]) -> pd.DataFrame:
    """Counts of ``datasheet.json`` as ``data_sheet_bars`` takes them.

    Args:
        sheet: As written by ``pedclip.curation.pipeline``.

    Returns:
        Columns `panel`, `value` and `triplets`, for region, age, sex, finding and length of the excerpt.
    """
    rows = [
        # Sex, age and findings are words already.
        {"panel": panel, "value": display_name(value) if value in REGIONS else value, "triplets": count}
        for panel in _PANELS
        for value, count in sheet["counts"][panel].items()
    ]
    return pd.DataFrame(rows, columns=["panel", "value", "triplets"])


def left_out_table(sheet: Mapping[str, Any]) -> pd.DataFrame:
    """Reasons of ``datasheet.json`` for what became no triplet, the most frequent first.

    Returns:
        Columns `panel` ("left out"), `value` (the reason) and `triplets` (files, rows or films).
    """
    rows = [{"panel": "left out", "value": reason, "triplets": count} for reason, count in sheet["left_out"].items()]
    return pd.DataFrame(rows, columns=["panel", "value", "triplets"])


def data_sheet_bars(
    frame: pd.DataFrame, *, title: str, subtitle: str, unit: str = "triplets", name: str = "data_sheet"
) -> Any:
    """Bars from zero with their counts, one panel per property; empty classes stay, as a gap is a finding.

    Args:
        frame: Columns `panel`, `value` and `triplets` (0 or more); the order of first appearance is the order on the
            page.
        title: The finding.
        subtitle: The data.
        unit: What is counted.
        name: File name without ending.

    Returns:
        Panels in two columns, each with an axis of its own.

    Raises:
        ValueError: A column is missing or a count is negative.
    """
    table = tidy(frame, "panel", "value", "triplets")
    if (table["triplets"] < 0).any():
        raise ValueError(f"a count is 0 or more, not {table['triplets'].min()}")
    panels = [_panel(table[table["panel"] == panel], str(panel), unit) for panel in pd.unique(table["panel"])]
    # Columns and not rows, as panels differ in height.
    chart = alt.hconcat(*(alt.vconcat(*column) for column in _columns(panels)), spacing=40)
    listed = ", ".join(_TITLES.get(str(panel), str(panel)) for panel in pd.unique(table["panel"]))
    shows = f"Bars from zero of the number of {unit} by {listed}"
    return titled(chart, title=title, subtitle=subtitle, name=name, shows=shows)


def _panel(part: pd.DataFrame, panel: str, unit: str) -> Any:
    # Room for the count that is written after the longest bar.
    scale = alt.Scale(domain=[0, float(part["triplets"].max()) * 1.25 or 1.0], nice=False)
    base = alt.Chart(part).encode(
        x=alt.X("triplets:Q", title=unit, scale=scale, axis=alt.Axis(tickCount=4, format="~s")),
        y=alt.Y("value:N", title=None, sort=None, axis=alt.Axis(ticks=False, domain=False)),  # the order of the table
        tooltip=["value:N", alt.Tooltip("triplets:Q", format=",", title=unit)],
    )
    words = base.mark_text(align="left", dx=4).encode(text=alt.Text("triplets:Q", format=","))
    bars = base.mark_bar(color=COLORS[0], size=12)  # one colour, as there is one series
    return (bars + words).properties(
        width=200, height={"step": 18}, title=alt.TitleParams(_TITLES.get(panel, panel), fontSize=12)
    )


def _columns(panels: Sequence[Any]) -> list[Sequence[Any]]:
    """Panels in two columns, read from left to right."""
    return [column for column in (panels[0::2], panels[1::2]) if column]
