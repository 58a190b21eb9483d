"""Comparison of arms: means over seeds with intervals over test patients, and differences to the real arm as arrows."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pedclip.evaluation.macro import Measure, difference, interval, mean_of, of_result
from pedclip.evaluation.metrics.interval import Interval
from pedclip.synthesis.experiment.arms import REAL
from pedclip.synthesis.experiment.downstream import Scores

UP: Final = "▲"
DOWN: Final = "▼"
UNCLEAR: Final = "–"  # the interval holds 0, or the seeds disagree


class _Resampling(NamedTuple):
    number: int
    seed: int


Cells = Mapping[tuple[str, str], Mapping[int, Scores]]  # (arm, method) to seed to scores


def compare_arms(
    cells: Cells, patients: NDArray[Any], *, reference: str = REAL, num_resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Scores of all arms, and their differences to the reference arm of the same method.

    An arrow is given where the interval over patients leaves out 0 and the difference of every seed has its sign;
    intervals say what other patients would change, the lowest and highest seed what another training would.

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
        `arrow`.

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
        # In the order of the first seed; a later one may lack a fraction that taught nothing.
        for key in next(iter(seeds.values()), {}):
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
        return dict.fromkeys(("difference", "difference_low", "difference_high", "arrow"))
    # The same seeds on both sides, and the same patients in each resample.
    first, second = (mean_of([side[number] for number in shared]) for side in (own, other))
    apart = difference(first, second, num_resamples=options.number, seed=options.seed)
    everyone = np.ones((1, len(own[shared[0]].classes[0])))
    signs = {float(np.sign(own[number](everyone)[0] - other[number](everyone)[0])) for number in shared}
    found = _joined(apart)
    return {
        "difference": found["value"],
        "difference_low": found["low"],
        "difference_high": found["high"],
        "arrow": _arrow(apart, signs),
    }


def _arrow(apart: Interval, signs: set[float]) -> str:
    if apart.is_known and apart.low > 0 and signs == {1.0}:
        return UP
    return DOWN if apart.is_known and apart.high < 0 and signs == {-1.0} else UNCLEAR


def _joined(one: Interval) -> dict[str, Any]:
    # NaN where patients are too few, as tables and charts take it.
    return {"value": one.value, "low": one.low, "high": one.high}


def printed_cells(table: pd.DataFrame, columns: Sequence[str] = ("question", "fraction")) -> pd.DataFrame:
    """The table as papers print it: a row per method and arm, and in each cell the score with its difference.

    Args:
        table: Of `compare_arms`.
        columns: That name a cell.
    """
    words = [_cell(row) for row in table.to_dict("records")]
    heads = [
        ", ".join(share_words(one) if isinstance(one, float) else str(one) for one in names)
        for names in table[list(columns)].itertuples(index=False)
    ]
    wide = table.assign(cell=words, head=heads)
    # In the order of appearance, which a pivot would sort.
    rows = pd.MultiIndex.from_frame(wide[["method", "arm"]].drop_duplicates())
    pivoted = wide.pivot(index=["method", "arm"], columns="head", values="cell").reindex(rows)
    return pivoted[list(dict.fromkeys(heads))].reset_index().rename_axis(columns=None)


def share_words(fraction: float) -> str:
    """A fraction of the labels in words: "10%", or "no labels"."""
    return f"{fraction:.0%}" if fraction else "no labels"


def _cell(row: Mapping[Any, Any]) -> str:
    # Rows of the reference have no arrow.
    arrow = f" {row['arrow']}{abs(row['difference']):.3f}" if isinstance(row["arrow"], str) else ""
    return f"{row['value']:.3f}{arrow}"
