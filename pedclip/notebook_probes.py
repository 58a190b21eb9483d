"""What notebook 05 puts on the page: tables of tasks and scores, worst errors, and the paper's numbers beside ours."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pedclip.anatomy import REGIONS, display_name
from pedclip.curation.splits import SPLITS
from pedclip.evaluation.calibration import calibration_error, fit_platt, reliability_table
from pedclip.evaluation.compare import compare_outcomes
from pedclip.evaluation.downstream import Downstream
from pedclip.evaluation.outcome import Outcome
from pedclip.evaluation.probe import fit_probe
from pedclip.evaluation.sides import Sides
from pedclip.evaluation.tables import printed
from pedclip.plots.images import thumbnail_url
from pedclip.training.arrays import TripletArrays

GALLERY_SIDE: Final = 88  # pixels of a film in the gallery
HOVER_SIDE: Final = 32  # and in a tooltip
_MIN_BIN: Final = 10  # test images of a label behind one bin of the reliability diagram


def task_rows(tasks: Sequence[Downstream]) -> pd.DataFrame:
    """One row per task: what kind it is, how many classes and images it has, and whether the paper asks the same."""
    rows = [
        {"task": task.name, "kind": task.kind, "classes": str(len(task.classes) or "–")}
        | {split: str(len(task.rows[split])) for split in SPLITS}
        | {"as in the paper": task.paper or "–"}
        for task in tasks
    ]
    return pd.DataFrame(rows)


def score_rows(outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """One row per outcome: `row` (the task), `method`, `metric`, `unit`, `value`, `low`, `high`, `baseline`."""
    rows = []
    for outcome in outcomes:
        result, score = outcome.result, outcome.result.score
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
    found: Mapping[tuple[str, str], Outcome], first: str, second: str, *, num_resamples: int
) -> pd.DataFrame:
    """Paired comparison of two methods on every task that both have.

    Args:
        found: (task, method) to the outcome.
        first: Method.
        second: Method that is subtracted.
        num_resamples: Of the patients.

    Returns:
        Columns `task`, `metric`, both methods, `difference`, `low`, `high` (95 %) and `p`, unadjusted.
    """
    rows = []
    for (task, method), outcome in found.items():
        if method != first or (task, second) not in found:
            continue
        made = compare_outcomes(outcome, found[task, second], num_resamples=num_resamples)
        gap = made.difference
        values = {first: made.first, second: made.second, "difference": gap.value, "low": gap.low, "high": gap.high}
        rows.append({"task": task, "metric": outcome.result.metric} | values | {"p": made.p_value})
    return pd.DataFrame(rows)


def class_rows(outcomes: Iterable[Outcome], name: str) -> pd.DataFrame:
    """The classes of multi-label outcomes that could be scored, for the charts of bars.

    Args:
        outcomes: Of one task.
        name: Column for the class, such as "concept".

    Returns:
        Columns `name`, `method`, `value`, `low`, `high`; last the mean over the classes.
    """
    rows = []
    for outcome in outcomes:
        scores = [(one.name, one.score) for one in outcome.result.classes if one.score is not None]
        for label, score in [*scores, ("mean", outcome.result.score)]:
            values = {"value": score.value, "low": score.low, "high": score.high}
            rows.append({name: label, "method": outcome.result.method} | values)
    return pd.DataFrame(rows)


def calibration_rows(
    task: Downstream, sides: Sides, outcome: Outcome, *, bins: int = 5, num_resamples: int
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Reliability of a multi-label probe as fitted, and after Platt scaling on the validation films.

    All labels are pooled, for the scaling too: a rare finding has too few validation films for two numbers of its own.

    Args:
        task: Multi-label.
        sides: Features and labels that the outcome was fitted on.
        outcome: Of the probe, with log-odds as output.
        bins: Bins at most; fewer where there are not 10 films for each.
        num_resamples: Of the patients.

    Returns:
        Rows of `reliability_table` with `task`, and the expected calibration error "as fitted" and "rescaled" ("as
        fitted" alone where the validation films show one answer).
    """
    fitted = fit_probe(sides.train, sides.validation, kind="multi-label")
    learned = ~np.isnan(sides.validation.truth)
    scores, labels = fitted.scores(sides.validation.inputs)[learned], sides.validation.truth[learned]
    versions = {"as fitted": (1.0, 0.0)}
    if len(np.unique(labels)) == 2:
        versions["rescaled"] = fit_platt(labels, scores)
    truth = outcome.truth.astype(np.float64)
    known = ~np.isnan(truth)
    patients = np.repeat(outcome.patients[:, None], truth.shape[1], axis=1)[known]
    tables, errors = [], {}
    for version, (slope, intercept) in versions.items():
        chances = probabilities(slope * outcome.output[known] + intercept)
        fitting = max(1, min(bins, len(chances) // _MIN_BIN))
        table = reliability_table(truth[known], chances, patients, bins=fitting, num_resamples=num_resamples)
        tables.append(table.assign(task=f"{task.name}, {version}"))
        errors[version] = calibration_error(truth[known], chances, bins=fitting)
    return pd.concat(tables, ignore_index=True), errors


def probabilities(log_odds: NDArray[Any]) -> NDArray[np.float64]:
    """Log-odds as probabilities, without overflow."""
    values: NDArray[np.float64] = 0.5 * (1 + np.tanh(0.5 * np.asarray(log_odds, dtype=np.float64)))
    return values


def age_rows(outcome: Outcome, task: Downstream, films: TripletArrays) -> pd.DataFrame:
    """Truth and prediction of each test film in months, with its region and a small picture."""
    rows = task.rows["test"]
    return pd.DataFrame(
        {
            "truth": np.asarray(outcome.truth, dtype=np.float64),
            "predicted": np.asarray(outcome.output, dtype=np.float64),
            "region": [display_name(REGIONS[films.regions[row]]) for row in rows],
            "image": [thumbnail_url(films.images[row], side=HOVER_SIDE) for row in rows],
        }
    )


def worst_errors(outcome: Outcome, task: Downstream, films: TripletArrays, *, count: int) -> pd.DataFrame:
    """The test films on which a probe is most wrong.

    Args:
        outcome: Of the task.
        task: Multi-label (the error is the distance of a probability to 0 or 1) or regression (months).
        films: The test films.
        count: Films at most.

    Returns:
        Columns `image`, `task`, `truth`, `predicted` (texts) and `error`, the largest first.
    """
    if task.kind == "regression":
        error = np.abs(outcome.output - outcome.truth)
        worst = [(row, 0) for row in np.argsort(-error, kind="stable")[:count]]
        words = [(f"{outcome.truth[row]:.0f} months", f"{outcome.output[row]:.0f} months") for row, _ in worst]
        errors = [float(error[row]) for row, _ in worst]
    else:
        chance = probabilities(outcome.output)
        distance = np.nan_to_num(np.abs(chance - outcome.truth), nan=-1.0)
        order = np.argsort(-distance, axis=None, kind="stable")[:count]
        worst = [(int(row), int(label)) for row, label in zip(*np.unravel_index(order, distance.shape), strict=True)]
        worst = [(row, label) for row, label in worst if distance[row, label] >= 0]
        words = [
            (("" if outcome.truth[row, label] else "no ") + task.classes[label], f"{chance[row, label]:.0%} likely")
            for row, label in worst
        ]
        errors = [float(distance[row, label]) for row, label in worst]
    return pd.DataFrame(
        {
            "image": [thumbnail_url(films.images[task.rows["test"][row]], side=GALLERY_SIDE) for row, _ in worst],
            "task": task.name,
            "truth": [truth for truth, _ in words],
            "predicted": [predicted for _, predicted in words],
            "error": errors,
        }
    )


def beside_paper(
    found: Mapping[tuple[str, str], Outcome], tasks: Sequence[Downstream], *, methods: Sequence[str]
) -> pd.DataFrame:
    """Table 2 of the paper for PedCLIP and its best competitor, with our numbers for the task that asks the same.

    Args:
        found: (task, method) to the outcome.
        tasks: All tasks; those without a column in the paper are left out.
        methods: Ours, in the order of the columns.

    Returns:
        Columns `paper's task`, `metric`, `paper: PedCLIP`, `paper: best other`, `our task`, and one per method.
    """
    table = printed("pedclip")
    table = table[table["table"] == "Table 2"]
    rows = []
    for task in tasks:
        column = table[table["column"] == task.paper]
        if column.empty:
            continue
        own = float(column.loc[column["row"] == "PedCLIP", "value"].iloc[0])
        others = column.loc[column["row"] != "PedCLIP", "value"]
        best = float(others.min() if column["unit"].iloc[0] == "MAE" else others.max())
        scores = {
            method: str(found[task.name, method].result.score) for method in methods if (task.name, method) in found
        }
        printed_values = {"metric": column["unit"].iloc[0], "paper: PedCLIP": own, "paper: best other": best}
        rows.append({"paper's task": task.paper} | printed_values | {"our task": task.name} | scores)
    return pd.DataFrame(rows)
