"""Learning curves of probes: fractions of the labelled patients, several subsamples of each."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pedclip.evaluation.downstream.probes import probe
from pedclip.evaluation.metrics.bootstrap import Floats, Interval, Resampled, bootstrap_interval
from pedclip.evaluation.metrics.comparison import difference_scale
from pedclip.evaluation.metrics.small_samples import Scale
from pedclip.evaluation.result import Result, Scoring
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
) -> dict[tuple[str, float], list[Result]]:
    """A probe per method, fraction of the labelled patients and subsample of that fraction.

    A fraction is one of the training patients and of the validation patients, on whom the penalty is chosen. All
    methods learn from the same subsamples, and one of a smaller fraction is part of that of a larger one with the same
    seed. All of the patients are taken once.

    Args:
        task: Of labels or ages.
        methods: Name to features by split.
        patients: By split, one per image.
        fractions: Each in (0, 1].
        seeds: Subsamples of each fraction below 1, at least 1.
        scoring: Task and bootstrap; the method is filled in.
        device: Where to compute.

    Returns:
        (method, fraction) to one result per subsample; one with a single class of a multi-class task is left out.

    Raises:
        ValueError: As `PatientSplit.subsample` and the probe on all patients.
    """
    found: dict[tuple[str, float], list[Result]] = {}
    for method, inputs in methods.items():
        split = task.split(inputs, patients)
        # Patients are the same for all methods, and so are the subsamples of one seed.
        strata, validation = (_strata(task, part.truth) for part in (split.train, split.validation))
        for fraction in fractions:
            results = []
            # All of the patients can be taken in one way only.
            for seed in range(seeds if fraction < 1 else 1):
                smaller = split.subsample(fraction, seed=seed, strata=strata, validation_strata=validation)
                # A hundredth of the patients may hold one region only; that is bad luck and no error of the data.
                if fraction < 1 and not _can_fit(task, smaller.train.truth):
                    continue
                # One bootstrap for all: curves of a task are compared on the same resamples.
                named = Scoring(scoring.task, method, scoring.num_resamples, scoring.seed)
                results.append(probe(task, smaller, named, device=device))
            if results:
                found[method, fraction] = results
    return found


def mean_over_subsamples(results: Sequence[Result], *, num_resamples: int = 1000, seed: int = 0) -> Interval:
    """The mean score of several results on the same test images, with its interval over patients.

    Args:
        results: Of one task, at least one.
        num_resamples: Of the patients; the results are resampled together.
        seed: Of the resampling.

    Returns:
        The interval says what other test patients would change; what another subsample would is seen in the results.

    Raises:
        ValueError: No result, or other test images in some.
    """
    _check_same_images(results)
    # Resampled together: the subsamples share their test patients, so their scores are not independent.
    scale = results[0].require_predictions().metric.scale
    return _interval(results, _mean_score(results), _mean_resampler(results), scale, num_resamples, seed)


def difference_of_means(
    first: Sequence[Result], second: Sequence[Result], *, num_resamples: int = 1000, seed: int = 0
) -> Interval:
    """The mean score of some results minus that of others, each resample with the same patients for both.

    Args:
        first: Such as the subsamples of a model, at least one.
        second: Of the same task, such as those of models with random weights, at least one.
        num_resamples: Of the patients; all results are resampled together.
        seed: Of the resampling.

    Returns:
        The difference, in the unit of the metric; for an error, below 0 is better.

    Raises:
        ValueError: No result for one of the two, another task, or other test images in some.
    """
    if not first or not second:
        raise ValueError("a difference needs at least one result on either side")
    # Both sides must be of the same test images, not only each within itself.
    together = [*first, *second]
    _check_same_images(together)
    # Equal patients are not enough, as several tasks are asked of the same films.
    if len({(one.task, one.metric) for one in together}) > 1:
        raise ValueError("a difference needs results of one task and metric")
    of_first, of_second = _mean_resampler(first), _mean_resampler(second)
    outputs = [[one.require_predictions().output for one in results] for results in (first, second)]
    return _interval(
        together,
        _mean_score(first) - _mean_score(second),
        # What makes a patient hard for both cancels in each resample.
        lambda counts: of_first(counts) - of_second(counts),
        difference_scale(first[0].require_predictions().metric, *outputs),
        num_resamples,
        seed,
    )


def curve_table(
    curves: Mapping[str, Mapping[tuple[str, float], Sequence[Result]]], *, num_resamples: int = 1000, seed: int = 0
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
        # The column is called "share" in files and charts.
        for (method, fraction), results in curve.items():
            score = mean_over_subsamples(results, num_resamples=num_resamples, seed=seed)
            result = results[0]
            # Their spread is shown beside the interval, which does not hold it.
            values = [one.score.value for one in results]
            rows.append(
                {
                    "task": name,
                    # An axis carries its unit.
                    "metric": f"{result.metric}, {result.unit}" if result.unit else result.metric,
                    "method": method,
                    "share": fraction,
                    "value": score.value,
                    "low": score.low,
                    "high": score.high,
                    "lowest": min(values),
                    "highest": max(values),
                    "draws": len(results),
                    # Subsamples of one fraction differ by a few images, as patients have several.
                    "train": result.num_train,
                    "chance": result.baseline,
                }
            )
    return pd.DataFrame(rows)


def _check_same_images(results: Sequence[Result]) -> None:
    # In the same order too, or the resamples would be of other images.
    patients = [one.require_predictions().patients for one in results]
    if not patients or any(not np.array_equal(patients[0], other) for other in patients):
        raise ValueError("a mean needs results of the same test images, at least one")


def _mean_score(results: Sequence[Result]) -> float:
    return float(np.mean([one.score.value for one in results]))


def _mean_resampler(results: Sequence[Result]) -> Resampled:
    # Sorting and matching are done once per result, not once per resample.
    predictions = [one.require_predictions() for one in results]
    resamplers = [one.metric.resampler(one.truth, one.output) for one in predictions]

    def resampled(counts: Floats) -> Floats:
        # (subsamples, R) -> (R,)
        mean: Floats = np.mean([resampler(counts) for resampler in resamplers], axis=0)
        return mean

    return resampled


def _interval(
    results: Sequence[Result], value: float, resampled: Resampled, scale: Scale, num_resamples: int, seed: int
) -> Interval:
    predictions = results[0].require_predictions()
    return bootstrap_interval(
        value,
        resampled,
        num_items=len(predictions.patients),
        groups=predictions.patients,
        num_resamples=num_resamples,
        seed=seed,
        scale=scale,
        classes=predictions.metric.classes(predictions.truth),
    )


def _strata(task: Task, labels: NDArray[Any]) -> NDArray[Any] | None:
    if task.kind == "regression":
        return None
    # Ages have no strata: neighbours are alike.
    return rarest_label(labels) if task.kind == "multi-label" else labels


def _can_fit(task: Task, labels: NDArray[Any]) -> bool:
    """True where there is anything to tell apart; a label that all images have is no error, its scores are constant."""
    return len(labels) > 1 and (task.kind == "multi-label" or len(np.unique(labels)) > 1)
