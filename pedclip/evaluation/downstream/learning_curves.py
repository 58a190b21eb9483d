"""Learning curves of probes: fractions of the training patients, several subsamples of each."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pedclip.evaluation.downstream.outcome import Outcome, Scoring
from pedclip.evaluation.downstream.probes import probe
from pedclip.evaluation.metrics.bootstrap import Floats, Interval, Resampled, bootstrap_interval
from pedclip.evaluation.tasks.patient_split import rarest_label
from pedclip.evaluation.tasks.task import Labels, Task

FRACTIONS: Final = (0.01, 0.1, 1.0)


def learning_curve(
    task: Task,
    methods: Mapping[str, Labels],
    patients: Labels,
    *,
    fractions: Sequence[float] = FRACTIONS,
    seeds: int = 3,
    scoring: Scoring,
    device: str = "cpu",
) -> dict[tuple[str, float], list[Outcome]]:
    """A probe per method, fraction of the training patients and subsample of that fraction.

    All methods learn from the same subsamples, and one of a smaller fraction is part of that of a larger one with the
    same seed. All of the patients are taken once.

    Args:
        task: Of labels or ages.
        methods: Name to features by split.
        patients: By split, one per image.
        fractions: Each in (0, 1].
        seeds: Subsamples of each fraction below 1, at least 1.
        scoring: Task and bootstrap; the method is filled in.
        device: Where to compute.

    Returns:
        (method, fraction) to one outcome per subsample; one with a single class of a multi-class task is left out.

    Raises:
        ValueError: As `PatientSplit.subsample` and the probe on all patients.
    """
    found: dict[tuple[str, float], list[Outcome]] = {}
    for method, inputs in methods.items():
        split = task.split(inputs, patients)
        strata = _strata(task, split.train.truth)
        for fraction in fractions:
            outcomes = []
            for seed in range(seeds if fraction < 1 else 1):
                smaller = split.subsample(fraction, seed=seed, strata=strata)
                if fraction < 1 and not _can_fit(task, smaller.train.truth):
                    continue
                named = Scoring(scoring.task, method, scoring.num_resamples, scoring.seed)
                outcomes.append(probe(task, smaller, named, device=device))
            if outcomes:
                found[method, fraction] = outcomes
    return found


def mean_over_subsamples(outcomes: Sequence[Outcome], *, num_resamples: int = 1000, seed: int = 0) -> Interval:
    """The mean score of several outcomes on the same test images, with its interval over patients.

    Args:
        outcomes: Of one task, at least one.
        num_resamples: Of the patients; the outcomes are resampled together.
        seed: Of the resampling.

    Returns:
        The interval says what other test patients would change; what another subsample would is seen in the outcomes.

    Raises:
        ValueError: No outcome, or other test images in some.
    """
    _check_same_images(outcomes)
    return _interval(outcomes, _mean_score(outcomes), _mean_resampler(outcomes), num_resamples, seed)


def difference_of_means(
    first: Sequence[Outcome], second: Sequence[Outcome], *, num_resamples: int = 1000, seed: int = 0
) -> Interval:
    """The mean score of some outcomes minus that of others, each resample with the same patients for both.

    Args:
        first: Such as the subsamples of a model, at least one.
        second: Of the same task, such as those of models with random weights, at least one.
        num_resamples: Of the patients; all outcomes are resampled together.
        seed: Of the resampling.

    Returns:
        The difference, in the unit of the metric; for an error, below 0 is better.

    Raises:
        ValueError: No outcome for one of the two, another task, or other test images in some.
    """
    if not first or not second:
        raise ValueError("a difference needs at least one outcome on either side")
    together = [*first, *second]
    _check_same_images(together)
    if len({(one.result.task, one.result.metric) for one in together}) > 1:
        raise ValueError("a difference needs outcomes of one task and metric")
    of_first, of_second = _mean_resampler(first), _mean_resampler(second)
    return _interval(
        together,
        _mean_score(first) - _mean_score(second),
        lambda counts: of_first(counts) - of_second(counts),
        num_resamples,
        seed,
    )


def curve_table(
    curves: Mapping[str, Mapping[tuple[str, float], Sequence[Outcome]]], *, num_resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Learning curves for the chart and for a file.

    Args:
        curves: Task to what `learning_curve` returned.
        num_resamples: Of the patients.
        seed: Of the resampling.

    Returns:
        One row per task, method and fraction: `task`, `metric` (with its unit), `method`, `share` (the fraction),
        `value` (mean over subsamples), `low` and `high` (95 % over test patients), `lowest` and `highest` (of the
        subsamples), `draws` (their number), `train` (images of the first), `chance` (what needs no image).
    """
    rows: list[dict[str, Any]] = []
    for name, curve in curves.items():
        for (method, fraction), outcomes in curve.items():
            score = mean_over_subsamples(outcomes, num_resamples=num_resamples, seed=seed)
            result = outcomes[0].result
            values = [one.result.score.value for one in outcomes]
            rows.append(
                {
                    "task": name,
                    "metric": f"{result.metric}, {result.unit}" if result.unit else result.metric,
                    "method": method,
                    "share": fraction,
                    "value": score.value,
                    "low": score.low,
                    "high": score.high,
                    "lowest": min(values),
                    "highest": max(values),
                    "draws": len(outcomes),
                    "train": result.num_train,
                    "chance": result.baseline,
                }
            )
    return pd.DataFrame(rows)


def _check_same_images(outcomes: Sequence[Outcome]) -> None:
    if not outcomes or any(not np.array_equal(outcomes[0].patients, other.patients) for other in outcomes):
        raise ValueError("a mean needs outcomes of the same test images, at least one")


def _mean_score(outcomes: Sequence[Outcome]) -> float:
    return float(np.mean([one.result.score.value for one in outcomes]))


def _mean_resampler(outcomes: Sequence[Outcome]) -> Resampled:
    resamplers = [one.metric.resampler(one.truth, one.output) for one in outcomes]

    def resampled(counts: Floats) -> Floats:
        mean: Floats = np.mean([resampler(counts) for resampler in resamplers], axis=0)
        return mean

    return resampled


def _interval(
    outcomes: Sequence[Outcome], value: float, resampled: Resampled, num_resamples: int, seed: int
) -> Interval:
    patients = outcomes[0].patients
    return bootstrap_interval(
        value, resampled, num_items=len(patients), groups=patients, num_resamples=num_resamples, seed=seed
    )


def _strata(task: Task, labels: NDArray[Any]) -> NDArray[Any] | None:
    if task.kind == "regression":
        return None
    return rarest_label(labels) if task.kind == "multi-label" else labels


def _can_fit(task: Task, labels: NDArray[Any]) -> bool:
    """Whether there is anything to tell apart; a label that all images share is no error, its scores are constant."""
    return len(labels) > 1 and (task.kind == "multi-label" or len(np.unique(labels)) > 1)
