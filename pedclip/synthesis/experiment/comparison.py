"""Comparison of arms: means over seeds with intervals over test patients, and differences to the real arm as arrows."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pedclip.evaluation.macro import Measure, difference, interval, mean_of, of_result, with_trainings
from pedclip.evaluation.metrics.interval import Interval
from pedclip.synthesis.experiment.arms import REAL
from pedclip.synthesis.experiment.downstream import Scores

UP: Final = "▲"
DOWN: Final = "▼"
UNCLEAR: Final = "–"  # the interval holds 0, or there is one training of each


class _Resampling(NamedTuple):
    number: int
    seed: int


Cells = Mapping[tuple[str, str], Mapping[int, Scores]]  # (arm, method) to seed to scores


def compare_arms(
    cells: Cells, patients: NDArray[Any], *, reference: str = REAL, num_resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Scores of all arms, and their differences to the reference arm of the same method.

    The interval of a score says what other test patients would change. That of a difference says what other patients
    and other trainings would: to its half widths h over patients that of a mean of k paired seeds is added, the square
    root of h² + t² s² / k, where s is the deviation of the k differences and t Student's quantile of k − 1. An arrow is
    given where it leaves out 0. One seed knows nothing of other trainings: its interval is over patients alone, and
    there is no arrow. Without any effect one arrow in twenty is to be expected: their number is not corrected for. What
    all seeds share, drawn films and labelled subsamples, is in no interval.

    Args:
        cells: Scores of each arm, method and seed; seeds that only one of two arms has are left out of a difference.
        patients: (P,) sorted and distinct, those of the test films.
        reference: Arm that the others are compared with.
        num_resamples: Of the patients.
        seed: Of the resampling.

    Returns:
        One row per method, question, fraction and arm: `arm`, `method`, `question`, `fraction`, `metric`, `value`,
        `low`, `high`, `seeds` (their number), `lowest`, `highest` (of the seeds), `num_tasks`, and, missing in rows of
        the reference and where there is nothing to compare with, `difference`, `difference_low`, `difference_high`,
        `arrow`, `shared_seeds` (those of the difference).

    Raises:
        ValueError: No cell, or a result is of a patient that is not among these.
    """
    if not cells:
        raise ValueError("no arm was scored")
    options = _Resampling(num_resamples, seed)
    measured = {
        cell: {number: _measures(scores, patients) for number, scores in seeds.items()} for cell, seeds in cells.items()
    }
    rows: list[dict[str, Any]] = []
    for (arm, method), seeds in measured.items():
        base = measured.get((reference, method), {}) if arm != reference else {}
        # A seed may lack a fraction that taught nothing.
        for key in dict.fromkeys(key for found in seeds.values() for key in found):
            own = {number: found[key] for number, found in seeds.items() if key in found}
            other = {number: found[key] for number, found in base.items() if key in found}
            first = next(scores[key] for scores in cells[arm, method].values() if key in scores)
            names = {"arm": arm, "method": method, "question": key[0], "fraction": key[1], "metric": first[0].metric}
            counts = {"seeds": len(own), "num_tasks": len({one.task for one in first})}
            rows.append(names | _score(own, len(patients), options) | counts | _difference(own, other, options))
    return pd.DataFrame(rows)


def _measures(scores: Scores, patients: NDArray[Any]) -> dict[tuple[str, float], Measure]:
    return {key: mean_of([of_result(one, patients) for one in results]) for key, results in scores.items()}


def _score(own: Mapping[int, Measure], num_patients: int, options: _Resampling) -> dict[str, Any]:
    everyone = np.ones((1, num_patients))
    values = [float(one(everyone)[0]) for one in own.values()]
    joined = _joined(interval(mean_of(list(own.values())), num_resamples=options.number, seed=options.seed))
    return joined | {"lowest": min(values), "highest": max(values)}


def _difference(own: Mapping[int, Measure], other: Mapping[int, Measure], options: _Resampling) -> dict[str, Any]:
    shared = [number for number in own if number in other]
    if not shared:
        return dict.fromkeys(("difference", "difference_low", "difference_high", "arrow", "shared_seeds"))
    # The same seeds on both sides, and the same patients in each resample.
    first, second = (mean_of([side[number] for number in shared]) for side in (own, other))
    apart = difference(first, second, num_resamples=options.number, seed=options.seed)
    everyone = np.ones((1, len(own[shared[0]].classes[0])))
    by_seed = [float(own[number](everyone)[0] - other[number](everyone)[0]) for number in shared]
    low, high = with_trainings(apart, by_seed)
    # NaN, of too few patients, is on no side of 0.
    arrow = UP if low > 0 else DOWN if high < 0 else UNCLEAR
    return {
        "difference": apart.value,
        "difference_low": low,
        "difference_high": high,
        "arrow": arrow if len(shared) > 1 else UNCLEAR,
        "shared_seeds": len(shared),
    }


def _joined(one: Interval) -> dict[str, Any]:
    # NaN where patients are too few, as tables and charts take it.
    return {"value": one.value, "low": one.low, "high": one.high}


def printed_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The table as papers print it: a row per method and arm, and in each cell the score with its difference.

    Args:
        table: Of `compare_arms`.
    """
    words = [_cell(row) for row in table.to_dict("records")]
    pairs = zip(table["question"], table["fraction"], strict=True)
    heads = [f"{question}, {fraction_words(fraction)}" for question, fraction in pairs]
    wide = table.assign(cell=words, head=heads)
    # In the order of appearance, which a pivot would sort.
    rows = pd.MultiIndex.from_frame(wide[["method", "arm"]].drop_duplicates())
    pivoted = wide.pivot(index=["method", "arm"], columns="head", values="cell").reindex(rows)
    return pivoted[list(dict.fromkeys(heads))].reset_index().rename_axis(columns=None)


def fraction_words(fraction: float) -> str:
    """A fraction of the labels in words: "10%", or "no labels"."""
    # As it was given: 0.1 % and 0.5 % are two columns.
    return f"{100 * fraction:g}%" if fraction else "no labels"


def _cell(row: Mapping[Any, Any]) -> str:
    # Rows of the reference have no difference, and a dash before a number would be a minus.
    difference = row["difference"]
    if not isinstance(row["arrow"], str):
        words = ""
    elif row["arrow"] == UNCLEAR:
        words = f" ({difference:+.3f})"
    else:
        words = f" {row['arrow']}{abs(difference):.3f}"
    return f"{row['value']:.3f}{words}"
