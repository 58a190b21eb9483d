"""Comparison of arms: means over seeds, regions and findings, with intervals over patients and trainings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pedclip.ablation.cell import CELL_FILE, SCORES_FILE
from pedclip.ablation.grid import Grid
from pedclip.ablation.mixtures import Mixture
from pedclip.ablation.scores import FINDING, OWN_TEXT, REGION
from pedclip.evaluation.macro import Measure, difference, interval, mean_of, with_trainings
from pedclip.evaluation.metrics import auc
from pedclip.evaluation.metrics.bootstrap import Floats

Scores = dict[tuple[str, int], pd.DataFrame]  # (arm, seed) to the scores of a cell
ALL: Final = "all"  # the mean over regions
_ASKED: Final = (OWN_TEXT, FINDING, REGION)


def read_scores(grid: Grid, output: Path) -> Scores:
    """Scores of all finished cells of a grid, by arm and seed; columns as of `pedclip.ablation.scores.score_films`."""
    return {
        (cell.arm, cell.seed): pd.read_parquet(output / cell.name / SCORES_FILE)
        for cell in grid.cells()
        if (output / cell.name / CELL_FILE).exists()
    }


def compare_cells(
    scores: Scores,
    reference: str,
    *,
    questions: Sequence[str] = _ASKED,
    mixture: Mixture = "gate",
    by_region: bool = False,
    num_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Arms with their differences to one of them, seed by seed and patient by patient.

    A mean is over regions, each counting alike (of findings: over the findings of all regions). The interval of a
    difference is over test patients and, where there are several seeds, trainings; see `with_trainings`.

    Args:
        scores: Of `read_scores`.
        reference: Name of the arm that the others are compared with; only seeds that both have are compared.
        questions: Of `pedclip.ablation.scores.QUESTIONS`.
        mixture: At test.
        by_region: Also a row per region.
        num_resamples: Of the patients.
        seed: Of the resampling.

    Returns:
        `arm`, `question`, `region` ("all" for the mean), `value`, `low`, `high`, `seeds`, and for all but the
        reference `difference`, `difference_low`, `difference_high`, `is_clear` (its interval leaves out 0). Arms are
        compared on the regions that both were scored on.

    Raises:
        ValueError: There is no finished cell of the reference.
    """
    if not any(arm == reference for arm, _ in scores):
        raise ValueError(f"no cell of the reference {reference!r} is finished")
    # Of all arms: a resample draws the same children for each.
    patients = _patients(scores)
    rows = []
    for question in questions:
        tables = {key: _asked(table, question, mixture) for key, table in scores.items()}
        for arm in dict.fromkeys(name for name, _ in scores):
            # An arm may lack a question: it then has no row in it.
            own = {number: table for (name, number), table in tables.items() if name == arm and len(table)}
            other = {number: table for (name, number), table in tables.items() if name == reference and len(table)}
            if not own:
                continue  # a question that this arm cannot be asked, such as the region of films of one
            # Compared on what both were asked, or a missing region would pass for a difference.
            regions = _shared_regions([*own.values(), *(other.values() if arm != reference else ())])
            for region in (ALL, *(regions if by_region else ())):
                names = {"arm": arm, "question": question, "region": region}
                # A region by itself, or all with equal weight.
                chosen = regions if region == ALL else [region]
                row = _row(own, {} if arm == reference else other, chosen, patients, num_resamples, seed)
                if row:
                    rows.append(names | row)
    return pd.DataFrame(rows)


def measure_of(table: pd.DataFrame, regions: Sequence[str], patients: NDArray[Any]) -> Measure | None:
    """Mean of a question over regions (of findings: over those of all of them) as a function of the patients' counts.

    Args:
        table: Scores of one cell, question and mixture.
        regions: To take.
        patients: (P,) sorted and distinct.

    Returns:
        None where nothing was asked in these regions.
    """
    parts = []
    for (_, task), group in table[table["region"].isin(regions)].groupby(["region", "task"], sort=True):
        place = np.searchsorted(patients, group["patient"].to_numpy())
        truth, values = group["truth"].to_numpy(), group["value"].to_numpy()
        parts.append(_area(truth, values, place, len(patients)) if task else _mean(values, place, len(patients)))
    return mean_of(parts) if parts else None


def _mean(values: NDArray[Any], place: NDArray[Any], num_patients: int) -> Measure:
    # Sums by patient once: a resample only weighs them.
    sums = np.bincount(place, weights=values, minlength=num_patients)  # (P,)
    films = np.bincount(place, minlength=num_patients).astype(float)  # (P,)

    def resampled(counts: Floats) -> Floats:
        number = counts @ films  # (R,)
        mean: Floats = np.divide(counts @ sums, number, out=np.full(len(counts), np.nan), where=number > 0)
        return mean

    return Measure(resampled, (films > 0,))


def _area(truth: NDArray[Any], values: NDArray[Any], place: NDArray[Any], num_patients: int) -> Measure:
    resampler = auc.resampler(truth, values)
    classes = tuple(np.bincount(place[items], minlength=num_patients) > 0 for items in auc.classes(truth))
    return Measure(lambda counts: resampler(counts[:, place]), classes)


def _row(
    own: Mapping[int, pd.DataFrame],
    other: Mapping[int, pd.DataFrame],
    regions: Sequence[str],
    patients: NDArray[Any],
    num_resamples: int,
    seed: int,
) -> dict[str, Any]:
    options: dict[str, Any] = {"num_resamples": num_resamples, "seed": seed}
    mine = {key: one for key, table in own.items() if (one := measure_of(table, regions, patients))}
    theirs = {key: one for key, table in other.items() if (one := measure_of(table, regions, patients))}
    # Too few films of a finding in this region.
    if not mine:
        return {}
    score = interval(mean_of(list(mine.values())), **options)
    row: dict[str, Any] = {"value": score.value, "low": score.low, "high": score.high, "seeds": len(mine)}
    shared = [key for key in mine if key in theirs]
    if shared:
        # The same seeds on both sides, and the same patients in each resample.
        first, second = (mean_of([side[key] for key in shared]) for side in (mine, theirs))
        apart = difference(first, second, **options)
        everyone = np.ones((1, len(patients)))
        by_seed = [float(mine[key](everyone)[0] - theirs[key](everyone)[0]) for key in shared]
        low, high = with_trainings(apart, by_seed)
        row |= {"difference": apart.value, "difference_low": low, "difference_high": high}
        row["is_clear"] = bool(low > 0 or high < 0)
    return row


def _asked(table: pd.DataFrame, question: str, mixture: Mixture) -> pd.DataFrame:
    # A model without experts answers under its only name.
    # A grid compares models with experts and without.
    known = mixture if (table["mixture"] == mixture).any() else "gate"
    return table[(table["question"] == question) & (table["mixture"] == known)]


def _shared_regions(tables: Sequence[pd.DataFrame]) -> list[str]:
    return sorted(set.intersection(*(set(table["region"]) for table in tables)))


def _patients(scores: Scores) -> NDArray[Any]:
    return np.unique(np.concatenate([table["patient"].to_numpy(dtype=str) for table in scores.values()]))
