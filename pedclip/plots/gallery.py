"""A browsable gallery of the films that a model gets most wrong."""

import textwrap
from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd

from pedclip.plots.theme import MUTED, tidy, titled

_COLUMNS: Final = 4
_SIDE: Final = 130  # pixels of the longer side of a film
_CELL: Final = 168  # pixels: four films fit in 700
_LINE: Final = 24  # characters of 12 px under a film
_LINE_HEIGHT: Final = 16
_GAP: Final = 14


def error_gallery(frame: pd.DataFrame, *, title: str, subtitle: str, page: int = 8, name: str = "errors") -> Any:
    """Films with the truth and the answer below, the worst first, in pages chosen by a slider.

    Args:
        frame: Columns `image` (a `data:` URL as from ``thumbnail_url(film, side=130)``), `task`, `truth` and
            `predicted` (texts) and `error` (larger is worse); the order of first appearance is that of the tasks.
        title: The finding.
        subtitle: The data.
        page: Films shown at once, at least 1; four in a row.
        name: File name without ending.

    Returns:
        The films of one task and page; a list chooses the task and a slider the page. The stored picture shows the
        first page of the first task.

    Raises:
        ValueError: A column is missing, an error is not a number, an image is not a `data:` URL, or `page` is below 1.
    """
    table = tidy(frame, "image", "task", "truth", "predicted", "error")
    if page < 1:
        raise ValueError(f"page must be at least 1 film, got {page}")
    if not np.isfinite(table["error"].to_numpy(dtype=float)).all():
        raise ValueError("an error is a number; leave out films without truth")
    if not table["image"].str.match(r"data:image/").all():
        raise ValueError("the column image holds data: URLs (see thumbnail_url)")
    tasks = [str(task) for task in pd.unique(table["task"])]
    table = _placed(table, page)
    pages = int(table["pages"].max())
    choices = [alt.param(name="task", value=tasks[0], bind=alt.binding_select(options=tasks, name="Task: "))]
    slider = alt.binding_range(min=1, max=pages, step=1, name="Page: ")
    choices.append(alt.param(name="page", value=1, **({"bind": slider} if pages > 1 else {})))
    rows = int(table["row"].max()) + 1
    chart = _films(table, rows).add_params(*choices)
    shows = (
        f"{len(table)} films of {len(tasks)} tasks ({', '.join(tasks)}) in pages of {page}, the largest error first, "
        "each with its truth and the model's answer below"
    )
    return titled(chart, title=title, subtitle=subtitle, name=name, shows=shows)


def _placed(table: pd.DataFrame, page: int) -> pd.DataFrame:
    """Each film with its place within its task: page, row and column, and the words below."""
    table = table.sort_values("error", ascending=False, kind="stable")
    place = table.groupby("task", sort=False).cumcount()
    films = table.groupby("task")["task"].transform("size")
    return table.assign(
        task=table["task"].astype(str),
        page=place // page + 1,
        pages=-(-films // page),
        row=place % page // _COLUMNS,
        column=place % page % _COLUMNS,
        words=[_words(*texts) for texts in zip(table["truth"], table["predicted"], strict=True)],
    )


def _words(truth: object, predicted: object) -> str:
    """Truth and answer, each in at most three lines."""
    texts = (f"truth: {truth}", f"answer: {predicted}")
    return "\n".join(line for text in texts for line in textwrap.wrap(text, _LINE, max_lines=3, placeholder=" …"))


def _films(table: pd.DataFrame, rows: int) -> Any:
    lines = int(table["words"].str.count("\n").max()) + 1
    height = _SIDE + lines * _LINE_HEIGHT + _GAP
    # Past the last page of a short task, its last page stays.
    shown = "datum.task === task && datum.page === min(page, datum.pages)"
    base = (
        alt.Chart(table)
        .transform_filter(shown)
        .transform_calculate(
            x=f"(datum.column + 0.5) * {_CELL}",
            y=f"datum.row * {height} + {_SIDE / 2}",
            below=f"datum.row * {height} + {_SIDE + 6}",
            heading="datum.task + ': page ' + datum.page + ' of ' + datum.pages + ', the worst first'",
        )
        .encode(
            x=alt.X("x:Q", scale=None, axis=None),
            tooltip=["task:N", "truth:N", "predicted:N", alt.Tooltip("error:Q", format=".3~g")],
        )
    )
    films = base.mark_image(width=_SIDE, height=_SIDE).encode(y=alt.Y("y:Q", scale=None, axis=None), url="image:N")
    words = base.mark_text(baseline="top", lineBreak="\n", lineHeight=_LINE_HEIGHT).encode(
        y=alt.Y("below:Q", scale=None, axis=None), text="words:N"
    )
    where = base.transform_filter("datum.row === 0 && datum.column === 0")
    where = where.mark_text(align="left", baseline="bottom", color=MUTED).encode(
        x=alt.value(0), y=alt.value(-8), text="heading:N"
    )
    return alt.layer(films, words, where).properties(width=_COLUMNS * _CELL, height=rows * height)
