"""Tidy tables of downstream results: tasks, scores, differences, classes and calibration."""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pedclip.artefacts import write_bytes
from pedclip.evaluation.downstream.probes import fit_probe
from pedclip.evaluation.metrics.bootstrap import Interval
from pedclip.evaluation.metrics.calibration import calibration_error, fit_platt, reliability_table
from pedclip.evaluation.metrics.comparison import Comparison, compare, same_predictions
from pedclip.evaluation.result import Result
from pedclip.evaluation.tasks.patient_split import PatientSplit
from pedclip.evaluation.tasks.task import Task
from pedclip.triplets.splits import SPLITS


def compare_results(first: Result, second: Result, *, num_resamples: int = 1000, seed: int = 0) -> Comparison:
    """Difference between two results of one task.

    Raises:
        ValueError: They were not scored on the same images in the same order, or their predictions were not kept.
    """
    one, other = first.require_predictions(), second.require_predictions()
    # Equal patients in equal order are the cheap test, equal truth the sure one.
    same = first.metric == second.metric and np.array_equal(one.patients, other.patients)
    if not same or not same_predictions(one.truth, other.truth):
        raise ValueError("the results are of different test images or metrics; compare models on one task")
    return compare(
        one.metric, one.truth, one.output, other.output, one.patients, num_resamples=num_resamples, seed=seed
    )


_MIN_BIN: Final = 10  # test images of a label behind one bin of the reliability diagram


def task_rows(tasks: Sequence[Task]) -> pd.DataFrame:
    """One row per task: kind, classes, images, positives of the rarest class, and the paper's question."""
    rows = [
        {"task": task.name, "kind": task.kind, "classes": str(len(task.classes) or "–")}
        | {split: str(len(task.rows[split])) for split in SPLITS}
        | {"rarest class, training / test": _rarest(task), "as in the paper": task.paper or "–"}
        for task in tasks
    ]
    return pd.DataFrame(rows)


def _rarest(task: Task) -> str:
    """The class with the fewest positives in the test part, and how many; no score rests on more."""
    if task.kind not in ("multi-label", "multi-class"):
        return "–"
    counts = {}
    for split in ("train", "test"):
        labels = task.labels[split]
        is_multi = task.kind == "multi-label"
        # NaN, a label that nobody gave, counts as no positive.
        counts[split] = np.nansum(labels, axis=0) if is_multi else np.bincount(labels, minlength=len(task.classes))
    # The last key sorts first: test, then training.
    rarest = int(np.lexsort((counts["train"], counts["test"]))[0])
    return f"{task.classes[rarest]}: {counts['train'][rarest]:.0f} / {counts['test'][rarest]:.0f}"


def score_rows(results: Iterable[Result]) -> pd.DataFrame:
    """One row per result: `row` (the task), `method`, `metric`, `unit`, `value`, `low`, `high`, `baseline`."""
    rows = []
    for result in results:
        score = result.score
        rows.append(
            {
                "row": result.task,
                "method": result.method,
                "metric": result.metric,
                "unit": result.unit,
                "value": score.value,
                "low": score.low,
                "high": score.high,
                "baseline": result.baseline,
            }
        )
    return pd.DataFrame(rows, columns=["row", "method", "metric", "unit", "value", "low", "high", "baseline"])


def differences(
    found: Mapping[tuple[str, str], Result], first: str, second: str, *, num_resamples: int
) -> pd.DataFrame:
    """Paired comparison of two methods on every task that both have.

    Args:
        found: (task, method) to the result.
        first: Method.
        second: Method that is subtracted.
        num_resamples: Of the patients.

    Returns:
        Columns `task`, `metric`, both methods, `difference`, `low`, `high` (95 %) and `p`, unadjusted.
    """
    rows = []
    for (task, method), result in found.items():
        # Heads and fine-tuning run for some tasks only.
        if method != first or (task, second) not in found:
            continue
        made = compare_results(result, found[task, second], num_resamples=num_resamples)
        gap = made.difference
        values = {first: made.first, second: made.second, "difference": gap.value, "low": gap.low, "high": gap.high}
        # p is not adjusted: how many questions were asked is for the reader to see.
        rows.append({"task": task, "metric": result.metric} | values | {"p": made.p_value})
    return pd.DataFrame(rows)


def class_rows(results: Iterable[Result], name: str) -> pd.DataFrame:
    """The classes of multi-label results that could be scored, for the charts of bars.

    Args:
        results: Of one task.
        name: Column for the class, such as "concept".

    Returns:
        Columns `name`, `method`, `value`, `low`, `high`; last the mean over the classes.
    """
    rows = []
    for result in results:
        scores = [(one.name, one.score) for one in result.classes if one.score is not None]
        # The score of the task is the mean over its classes.
        for label, score in [*scores, ("mean", result.score)]:
            values = {"value": score.value, "low": score.low, "high": score.high}
            rows.append({name: label, "method": result.method} | values)
    return pd.DataFrame(rows)


def calibration_rows(
    task: Task, split: PatientSplit, result: Result, *, bins: int = 5, num_resamples: int
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Reliability of a multi-label probe as fitted, and after Platt scaling on the validation films.

    All labels are pooled, for the scaling too: a rare finding has too few validation films for two numbers of its own.

    Args:
        task: Multi-label.
        split: Features and labels that the result was fitted on.
        result: Of the probe, with log-odds as output.
        bins: Bins at most; fewer where there are not 10 films for each.
        num_resamples: Of the patients.

    Returns:
        Rows of `reliability_table` with `task`, and the expected calibration error "as fitted" and "rescaled" ("as
        fitted" alone where the validation films show one answer).
    """
    # Fitted again, because a result keeps the scores of the test images only; the fit is the same.
    fitted = fit_probe(split.train, split.validation, kind="multi-label")
    # (N, L) labels that somebody gave.
    learned = ~np.isnan(split.validation.truth)
    scores, labels = fitted.scores(split.validation.inputs)[learned], split.validation.truth[learned]
    versions = {"as fitted": (1.0, 0.0)}
    if len(np.unique(labels)) == 2:
        # With one answer there is nothing to fit a slope to.
        versions["rescaled"] = fit_platt(labels, scores)
    predicted = result.require_predictions()
    truth = predicted.truth.astype(np.float64)
    # All labels pooled: a rare one alone has too few films for a bin.
    known = ~np.isnan(truth)
    patients = np.repeat(predicted.patients[:, None], truth.shape[1], axis=1)[known]  # (N, L) -> (known,)
    tables, errors = [], {}
    for version, (slope, intercept) in versions.items():
        chances = probabilities(slope * predicted.output[known] + intercept)
        # A bin of a few films has an interval from 0 to 1 and says nothing.
        fitting = max(1, min(bins, len(chances) // _MIN_BIN))
        table = reliability_table(truth[known], chances, patients, bins=fitting, num_resamples=num_resamples)
        tables.append(table.assign(task=f"{task.name}, {version}"))
        errors[version] = calibration_error(truth[known], chances, bins=fitting)
    return pd.concat(tables, ignore_index=True), errors


def probabilities(log_odds: NDArray[Any]) -> NDArray[np.float64]:
    """Log-odds (N, …) as probabilities (N, …) in [0, 1], without overflow."""
    # tanh saturates where exp would overflow.
    values: NDArray[np.float64] = 0.5 * (1 + np.tanh(0.5 * np.asarray(log_odds, dtype=np.float64)))
    return values


def downstream_table(results: Sequence[Result]) -> pd.DataFrame:
    """Every number of the results, one row each.

    Returns:
        Columns `task`, `method`, `metric`, `unit`, `class` ("" for the whole task), `value`, `low`, `high` (NaN where
        a class could not be scored), `baseline`, `items`, `patients`, `positives` (-1 for the whole task), `share`,
        `seed`, `train`, `train_patients`, `validation`.
    """
    rows = []
    for result in results:
        # The whole task first, as class "".
        scored: list[tuple[str, Interval | None, int, int]] = [("", result.score, -1, result.score.num_items)]
        scored += [(one.name, one.score, one.num_positives, one.num_items) for one in result.classes]
        for name, score, positives, items in scored:
            rows.append(
                {
                    "task": result.task,
                    "method": result.method,
                    "metric": result.metric,
                    "unit": result.unit,
                    "class": name,
                    "value": score.value if score else np.nan,
                    "low": score.low if score else np.nan,
                    "high": score.high if score else np.nan,
                    # The baseline is of the whole task.
                    "baseline": result.baseline if not name else np.nan,
                    "items": items,
                    "patients": score.num_groups if score else 0,
                    "positives": positives,
                    "share": result.fraction,
                    "seed": result.seed,
                    "train": result.num_train,
                    "train_patients": result.num_train_patients,
                    "validation": result.num_validation,
                }
            )
    return pd.DataFrame(rows)


def write_table(table: pd.DataFrame, path: Path) -> Path:
    """A table as one Parquet file that is complete or absent."""
    # Written to memory first, so that the file appears at once.
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return write_bytes(path, buffer.getvalue())
