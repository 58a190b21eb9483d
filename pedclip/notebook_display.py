"""What a notebook shows to its reader, each with a plain text that no number and no machine can change.

nbval compares that plain text and skips the rich form, so a last-digit difference breaks nothing.
"""

import base64
import html
import inspect
import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pedclip.plots import contact_sheet
from pedclip.plots.report_text import report_table

_LOSSLESS_PIXELS: Final = 300_000  # larger sheets of radiographs would fill a notebook


def say(markdown: str) -> None:
    """Render a sentence that holds computed numbers."""
    _show({"text/markdown": markdown, "text/plain": "text"})


def show_table(rows: pd.DataFrame | Sequence[Mapping[str, Any]], *, caption: str = "") -> None:
    """Render a table; numbers are rounded for reading, missing values are dashes.

    Args:
        rows: A table (a named or labelled index becomes columns), or one mapping per row.
        caption: What the table shows; also names it for screen readers.
    """
    table = rows.copy() if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    if not isinstance(table.index, pd.RangeIndex):
        table = table.reset_index()
    text = table.map(_readable).to_html(index=False, border=0)
    if caption:
        text = text.replace("<thead>", f"<caption>{html.escape(caption)}</caption><thead>", 1)
    _show({"text/html": text, "text/plain": f"table: {len(table)} rows x {len(table.columns)} columns"})


def show_images(
    images: Sequence[NDArray[np.uint8]], titles: Sequence[str], *, columns: int = 4, side: int = 150, alt: str
) -> None:
    """Render radiographs in a grid, each under its title.

    Args:
        images: Each (H, W) gray or (H, W, 3) coloured, 8 bits; an (N, H, W) array is a sequence of N.
        titles: One for each.
        columns: Pictures in a row.
        side: Height of each picture in pixels. Coloured sheets, and those of more than 300,000 pixels, are JPEG.
        alt: What is to be seen, for those who cannot.
    """
    sheet = contact_sheet(images, titles, columns=columns, side=side)
    buffer = io.BytesIO()
    is_lossless = sheet.mode == "L" and sheet.width * sheet.height <= _LOSSLESS_PIXELS
    if is_lossless:
        sheet.save(buffer, "PNG", optimize=True)
    else:
        sheet.save(buffer, "JPEG", quality=80, optimize=True)
    kind = "image/png" if is_lossless else "image/jpeg"
    picture = base64.b64encode(buffer.getvalue()).decode()
    metadata = {kind: {"alt": alt, "width": sheet.width, "height": sheet.height}}
    _show({kind: picture, "text/plain": f"images: {len(images)}"}, metadata)


def show_report(report_text: str, assignments: Mapping[str, Mapping[str, Sequence[str]]], *, caption: str = "") -> None:
    """Render the sentences of a report, each marked with the regions it was given to.

    Args:
        report_text: The whole report.
        assignments: By the name of a column, sentences by region; rows where two columns differ are marked.
        caption: What the table shows; also names it for screen readers.
    """
    text = report_table(report_text, assignments, caption=caption)
    _show({"text/html": text, "text/plain": f"report: {text.count('<tr>') - 1} sentences"})


def show_source(thing: Any) -> None:
    """Render the source of a function or class as it runs.

    Args:
        thing: Anything that `inspect.getsource` finds.
    """
    source = textwrap.dedent(inspect.getsource(thing)).rstrip()
    name = f"{thing.__module__}.{thing.__qualname__}"
    _show({"text/markdown": f"`{name}`\n\n```python\n{source}\n```", "text/plain": f"source: {name}"})


def _show(data: dict[str, str], metadata: dict[str, Any] | None = None) -> None:
    from IPython.display import display

    display(data, raw=True, metadata=metadata or {})  # type: ignore[no-untyped-call]


def _readable(value: Any) -> str:
    """Three figures after the point near one, none in the thousands; a dash for what is missing."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if not isinstance(value, float | np.floating):
        return "–" if value is None or value is pd.NA else str(value)
    number = float(value)
    size = abs(number)
    if math.isnan(number):
        return "–"
    if 0 < size < 0.001:
        return f"{number:.1e}"
    return f"{number:.3f}" if size < 10 else f"{number:.1f}" if size < 1000 else f"{number:,.0f}"
