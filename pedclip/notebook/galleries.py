"""Galleries of notebook 05: films with their worst errors, and ages beside predictions."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from pedclip.anatomy import REGIONS, display_name
from pedclip.evaluation.downstream.summary import probabilities
from pedclip.evaluation.result import Predictions, Result
from pedclip.evaluation.tasks.task import Task
from pedclip.plots.images import thumbnail_url
from pedclip.triplets.arrays import TripletArrays

GALLERY_SIZE: Final = 80  # pixels of a film in the gallery
HOVER_SIZE: Final = 36  # and in a tooltip
_CASE: Final = ("row", "direction", "half", "truth", "predicted", "error")


def age_rows(result: Result, task: Task, films: TripletArrays) -> pd.DataFrame:
    """Truth and prediction of each test film in months, with its region and a small picture."""
    rows, predictions = task.rows["test"], result.require_predictions()
    return pd.DataFrame(
        {
            "truth": np.asarray(predictions.truth, dtype=np.float64),
            "predicted": np.asarray(predictions.output, dtype=np.float64),
            "region": [display_name(REGIONS[films.regions[row]]) for row in rows],
            "image": [thumbnail_url(films.images[row], size=HOVER_SIZE) for row in rows],
        }
    )


def worst_errors(result: Result, task: Task, films: TripletArrays, *, count: int) -> pd.DataFrame:
    """The test films on which a probe is most wrong, in both directions.

    Ranked together, the films that show a rare finding would fill the page, as their probabilities are low. A film
    stands once in each half, with the label on which the probe is most wrong.

    Args:
        result: Of the task, with its predictions.
        task: Multi-label (the error is the distance of a probability to 0 or 1) or regression (months).
        films: The test films.
        count: Films of each half at most.

    Returns:
        Columns `image`, `task`, `half`, `truth`, `predicted` (texts) and `error`: first the misses or the films judged
        too old, then the false alarms or those judged too young, each with the largest error first.
    """
    made = result.require_predictions()
    cases = _age_errors(made) if task.kind == "regression" else _label_errors(made, task.classes)
    # The first of a film in a half is its worst, as the sorting is done before.
    table = cases.sort_values("error", ascending=False, kind="stable").drop_duplicates(["half", "row"])
    halves = [part.head(count) for _, part in table.groupby("direction")]
    worst = pd.concat(halves, ignore_index=True) if halves else table
    pictures = [thumbnail_url(films.images[task.rows["test"][row]], size=GALLERY_SIZE) for row in worst["row"]]
    return worst.assign(image=pictures, task=task.name)[["image", "task", "half", "truth", "predicted", "error"]]


def _label_errors(made: Predictions, classes: Sequence[str]) -> pd.DataFrame:
    """A row per known label of a film: `row`, `direction` (0 or 1), `half`, the texts and `error`."""
    chance = probabilities(made.output)
    rows = []
    # NaN stands for a label that nobody gave.
    for row, label in zip(*np.nonzero(~np.isnan(np.asarray(made.truth, dtype=np.float64))), strict=True):
        is_present, likely = bool(made.truth[row, label]), float(chance[row, label])
        half = "Worst misses: the finding is there" if is_present else "Worst false alarms: the finding is not there"
        words = f"{classes[label]}: finding {'present' if is_present else 'absent'}"
        error = 1 - likely if is_present else likely  # distance of the probability from the truth
        rows.append((int(row), int(not is_present), half, words, f"judged {_percent(likely)} likely", error))
    return pd.DataFrame(rows, columns=list(_CASE))


def _age_errors(made: Predictions) -> pd.DataFrame:
    """The same of ages; films judged exactly right have no place."""
    rows = []
    for row, (truth, predicted) in enumerate(zip(made.truth, made.output, strict=True)):
        if truth != predicted:  # neither too old nor too young
            direction = int(predicted < truth)
            half = ("Judged too old", "Judged too young")[direction]
            words = (f"truth: {truth:.0f} months", f"answer: {predicted:.0f} months")
            rows.append((row, direction, half, *words, abs(float(predicted - truth))))
    return pd.DataFrame(rows, columns=list(_CASE))


def _percent(probability: float) -> str:
    # Not "0 %" or "100 %": no probe is certain.
    return "<1 %" if probability < 0.01 else ">99 %" if probability > 0.99 else f"{probability:.0%}".replace("%", " %")
