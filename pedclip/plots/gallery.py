"""A browsable gallery of the films that a model gets most wrong."""

import textwrap
from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd

from pedclip.plots.theme import INK, tidy, titled

_COLUMNS: Final = 4
_SIZE: Final = 130  # pixels of the longer edge of a film
_CELL: Final = 168  # pixels: four films fit in 700
_LINE: Final = 24  # characters of 12 px under a film
_LINE_HEIGHT: Final = 16
_HEADING: Final = 22  # pixels over the first row of a half
_GAP: Final = 14


def error_gallery(frame: pd.DataFrame, *, title: str, subtitle: str, name: str = "errors") -> Any:
    """Films with the truth and the answer below, in halves that err in opposite directions, the worst first.

    Args:
        frame: Columns `image` (a `data:` URL as from ``thumbnail_url(film, size=130)``), `task`, `half` (heading, such
            as "Worst misses"), `truth` and `predicted` (texts) and `error` (larger is worse); the order of first
            appearance is that of the tasks, and of the halves of a task.
        title: The finding.
        subtitle: The data.
        name: File name without ending.

    Returns:
        All films of one task, four in a row; a list chooses the task. The stored picture shows the first task.

    Raises:
        ValueError: A column is missing, an error is not a number, or an image is not a `data:` URL.
    """
    table = tidy(frame, "image", "task", "half", "truth", "predicted", "error")
    if not np.isfinite(table["error"].to_numpy(dtype=float)).all():
        raise ValueError("an error is a number; leave out films without truth")
    if not table["image"].str.match(r"data:image/").all():
        raise ValueError("the column image holds data: URLs (see thumbnail_url)")
    table = table.astype({"task": str, "half": str})
    tasks = list(pd.unique(table["task"]))
    # A menu of one task would be a riddle.
    menu = {"bind": alt.binding_select(options=tasks, name="Task: ")} if len(tasks) > 1 else {}
    chart = _films(_placed(table)).add_params(alt.param(name="task", value=tasks[0], **menu))
    shows = (
        f"{len(table)} films of {len(tasks)} tasks ({', '.join(tasks)}), the largest error first, "
        "each with its truth and the model's answer below"
    )
    return titled(chart, title=title, subtitle=subtitle, name=name, shows=shows)


def _placed(table: pd.DataFrame) -> pd.DataFrame:
    """Each film with its column, the words below, and its top in pixels; the first film of a half has its heading."""
    halves = {task: list(pd.unique(part["half"])) for task, part in table.groupby("task", sort=False)}
    # 0 or 1: place of the half within its task.
    order = [halves[task].index(half) for task, half in zip(table["task"], table["half"], strict=True)]
    table = table.assign(order=order).sort_values(["order", "error"], ascending=[True, False], kind="stable")
    place = table.groupby(["task", "half"], sort=False).cumcount()  # 0, 1, …: place of the film within its half
    words = [_words(*texts) for texts in zip(table["truth"], table["predicted"], strict=True)]
    # All rows are as high as the one with the longest words, so that films stand in lines.
    lines = max(text.count("\n") + 1 for text in words)
    height = _SIZE + lines * _LINE_HEIGHT + _GAP
    # Rows above a half: those of the halves before it in the same task.
    sizes = table.groupby(["task", "order"])["error"].size()
    rows = -(-sizes // _COLUMNS)  # ceiling
    above = rows.groupby("task").cumsum() - rows
    before = [int(above[task, half]) for task, half in zip(table["task"], table["order"], strict=True)]
    return table.assign(
        column=place % _COLUMNS,
        top=(place // _COLUMNS + before) * height + (table["order"] + 1) * _HEADING,
        bottom=lambda placed: placed["top"] + height,
        # Only the first film of a half carries the heading.
        heading=[half if first == 0 else "" for half, first in zip(table["half"], place, strict=True)],
        words=words,
    ).drop(columns="order")


def _words(truth: object, predicted: object) -> str:
    """Truth and answer, each in at most three lines."""
    texts = (str(truth), str(predicted))
    return "\n".join(line for text in texts for line in textwrap.wrap(text, _LINE, max_lines=3, placeholder=" …"))


def _films(table: pd.DataFrame) -> Any:
    base = (
        alt.Chart(table)
        .transform_filter("datum.task === task")
        .transform_calculate(
            x=f"(datum.column + 0.5) * {_CELL}",
            y=f"datum.top + {_SIZE / 2}",
            below=f"datum.top + {_SIZE + 6}",
            over="datum.top - 6",
        )
        .encode(
            # No scale: the places are pixels already.
            x=alt.X("x:Q", scale=None, axis=None),
            tooltip=["task:N", "half:N", "truth:N", "predicted:N", alt.Tooltip("error:Q", format=".3~g")],
        )
    )
    films = base.mark_image(width=_SIZE, height=_SIZE).encode(y=alt.Y("y:Q", scale=None, axis=None), url="image:N")
    words = base.mark_text(baseline="top", lineBreak="\n", lineHeight=_LINE_HEIGHT).encode(
        y=alt.Y("below:Q", scale=None, axis=None), text="words:N"
    )
    headings = base.transform_filter("datum.heading !== ''")
    headings = headings.mark_text(align="left", baseline="bottom", fontWeight="bold", color=INK).encode(
        x=alt.value(0), y=alt.Y("over:Q", scale=None, axis=None), text="heading:N"
    )
    return alt.layer(films, words, headings).properties(width=_COLUMNS * _CELL, height=int(table["bottom"].max()))
