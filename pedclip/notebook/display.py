"""Texts, tables and pictures for the reader, each with a plain text that no number and no machine can change.

nbval compares that plain text and skips the rich form, so a last-digit difference breaks nothing.
"""

import base64
import html
import inspect
import io
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pedclip.evaluation.metrics.interval import TOO_FEW, Interval
from pedclip.notebook.report_view import report_table
from pedclip.plots import contact_sheet

_NUMBER: Final = re.compile(r"[<>]?[-−+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?( ?%)?")  # also "<1 %", "1,234" and "3e-4"
_MISSING: Final = "–"
_CODE: Final = "overflow-x:auto;white-space:pre;word-break:normal"  # a page scrolls rather than break a line of code
_LOSSLESS_PIXELS: Final = 300_000  # larger sheets of radiographs would fill a notebook


def say(markdown: str) -> None:
    """Render a sentence that holds computed numbers."""
    _show({"text/markdown": markdown, "text/plain": "text"})


def show_text(text: str, *, caption: str = "") -> None:
    """Render a text as it is, such as a request to a language model; lines too long for the page break at words.

    Args:
        text: Any.
        caption: A line in bold above it.
    """
    # Escaped: the text may come from a report or from a model.
    heading = f"<p><b>{html.escape(caption)}</b></p>" if caption else ""
    style = "white-space:pre-wrap;word-break:normal;overflow-wrap:break-word"
    _show({"text/html": f'{heading}<pre style="{style}">{html.escape(text)}</pre>', "text/plain": "text"})


def show_table(rows: pd.DataFrame | Sequence[Mapping[str, Any]], *, caption: str = "") -> None:
    """Render a table: numbers rounded for reading and to the right, texts to the left, dashes for missing values.

    A column without any value is left out. A score without the ends of its interval says that patients are too few.

    Args:
        rows: A table (a named or labelled index becomes columns), or one mapping per row.
        caption: Content of the table; also names it for screen readers.
    """
    table = rows.copy() if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    # An index that counts rows says nothing; any other is a column.
    if not isinstance(table.index, pd.RangeIndex):
        table = table.reset_index()
    columns = [(str(name), [reader_text(value) for value in table.iloc[:, i]]) for i, name in enumerate(table.columns)]
    _mark_too_few(columns)
    # The plain twin counts what was given, which no value can change.
    shape = f"table: {len(table)} rows x {len(columns)} columns"
    _show({"text/html": _table_html(columns, len(table), caption), "text/plain": shape})


def _mark_too_few(columns: Sequence[tuple[str, list[str]]]) -> None:
    """Write it in place of the lower end, where a row has a score but no interval."""
    cells = dict(columns)
    scores = cells.get("value", cells.get("difference"))
    if scores is None or not {"low", "high"} <= cells.keys():
        return
    for row, (score, low) in enumerate(zip(scores, cells["low"], strict=True)):
        # A class that could not be scored at all has no value either.
        if score != _MISSING and low == _MISSING:
            cells["low"][row] = TOO_FEW


def _table_html(columns: Sequence[tuple[str, Sequence[str]]], num_rows: int, caption: str) -> str:
    kept = [
        (name, cells) for name, cells in columns if num_rows == 0 or any(cell not in ("", _MISSING) for cell in cells)
    ]
    # Numbers to the right, so that their digits stand below each other.
    alignments = [
        "right" if all(cell in (_MISSING, TOO_FEW) or _NUMBER.fullmatch(cell) for cell in cells) else "left"
        for _, cells in kept
    ]
    heads = [
        f'<th style="text-align:{alignment}">{html.escape(name)}</th>'
        for (name, _), alignment in zip(kept, alignments, strict=True)
    ]
    rows = [
        [_cell(cells[row], alignment) for (_, cells), alignment in zip(kept, alignments, strict=True)]
        for row in range(num_rows)
    ]
    # Inside the table, where screen readers look for its name.
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<table>{title}<thead><tr>{''.join(heads)}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str, alignment: str) -> str:
    # What begins with a number, such as a value with its interval, is one word.
    unbroken = ";white-space:nowrap" if _NUMBER.match(text) and len(text) < 40 else ""
    return f'<td style="text-align:{alignment}{unbroken}">{html.escape(text)}</td>'


def show_images(
    images: Sequence[NDArray[np.uint8]], titles: Sequence[str], *, columns: int = 4, size: int = 150, alt: str
) -> None:
    """Render radiographs in a grid, each under its title, and below it what is to be seen.

    The picture is stored as a picture, which every viewer of notebooks shows. JupyterLab leaves out its alternative
    text, so that stands on the page as well.

    Args:
        images: Each (H, W) gray or (H, W, 3) coloured, uint8; an (N, H, W) array is a sequence of N.
        titles: One for each.
        columns: Pictures in a row.
        size: Height of each picture in pixels. Coloured sheets, and those of more than 300,000 pixels, are JPEG.
        alt: Description, for those who cannot see it.
    """
    sheet = contact_sheet(images, titles, columns=columns, size=size)
    buffer = io.BytesIO()
    # JPEG shows around letters and edges, so it is for what would be too large without.
    is_lossless = sheet.mode == "L" and sheet.width * sheet.height <= _LOSSLESS_PIXELS
    if is_lossless:
        sheet.save(buffer, "PNG", optimize=True)
    else:
        sheet.save(buffer, "JPEG", quality=80, optimize=True)
    mime = "image/png" if is_lossless else "image/jpeg"
    # Notebook files are text.
    picture = base64.b64encode(buffer.getvalue()).decode()
    metadata = {mime: {"alt": alt, "width": sheet.width, "height": sheet.height}}
    _show({mime: picture, "text/plain": f"images: {len(images)}"}, metadata)
    _show({"text/html": f"<p><small>{html.escape(alt)}</small></p>", "text/plain": "caption"})


def show_report(report_text: str, assignments: Mapping[str, Mapping[str, Sequence[str]]], *, caption: str = "") -> None:
    """Render the sentences of a report, each marked with the regions it was given to.

    Args:
        report_text: The whole report.
        assignments: By the name of a column, sentences by region; rows where two columns differ are marked.
        caption: Content of the table; also names it for screen readers.
    """
    text = report_table(report_text, assignments, caption=caption)
    _show({"text/html": text, "text/plain": f"report: {text.count('<tr>') - 1} sentences"})


def show_source(thing: Any) -> None:
    """Render the source of a function or class as it runs.

    Args:
        thing: Anything that `inspect.getsource` finds.
    """
    source = textwrap.dedent(inspect.getsource(thing)).rstrip()  # a method is indented in its file
    name = f"{thing.__module__}.{thing.__qualname__}"
    page = f'<p><code>{html.escape(name)}</code></p><pre style="{_CODE}">{html.escape(source)}</pre>'
    _show({"text/html": page, "text/plain": f"source: {name}"})


def _show(data: dict[str, str], metadata: dict[str, Any] | None = None) -> None:
    # Here, so that the package is imported without IPython.
    from IPython.display import display

    # Raw: these MIME types as they are, without the formatters of IPython.
    display(data, raw=True, metadata=metadata or {})  # type: ignore[no-untyped-call]


def reader_text(value: Any) -> str:
    """A value as a table shows it.

    Args:
        value: A float gets three figures after the point near one and none in the thousands, an interval the same
            three times; what is missing becomes a dash, anything else its own text.

    Example:
        >>> reader_text(32.8561), reader_text(0.91234), reader_text(None)
        ('32.9', '0.912', '–')
    """
    if isinstance(value, Interval):
        ends = f"{reader_text(value.low)} to {reader_text(value.high)}" if value.is_known else TOO_FEW
        return f"{reader_text(value.value)} ({ends})"
    # Before the numbers, for a bool is an int.
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if not isinstance(value, float | np.floating):
        return _MISSING if value is None or value is pd.NA else str(value)
    number = float(value)
    size = abs(number)
    if math.isnan(number):
        return _MISSING
    # Three places would show 0.000.
    if 0 < size < 0.001:
        return f"{number:.1e}"
    return f"{number:.3f}" if size < 10 else f"{number:.1f}" if size < 1000 else f"{number:,.0f}"
