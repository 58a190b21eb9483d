"""Means over several tasks and several seeds, with intervals over patients, and differences between methods.

A method answers many questions (a finding each), trained from several seeds. Its mean is resampled as a whole: each
resample draws patients once, for all questions, all seeds and both methods of a difference, so that what makes a
patient hard for all of them does not pass for a difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.metrics.bootstrap import (
    Floats,
    Interval,
    Resampled,
    bootstrap_interval,
    mean_of_known,
    value_of_all,
)
from pedclip.evaluation.metrics.small_samples import Scale, degrees_of_freedom
from pedclip.evaluation.result import Result
from pedclip.evaluation.zero_shot.recall import RankedQueries


@dataclass(frozen=True)
class Measure:
    """A number that follows from how often each patient counts.

    Attributes:
        resampled: (R, P) counts → (R,), NaN where a resample leaves it undefined.
        classes: (P,) True for patients who have items of a class that is compared, one array per class: the interval is
            as sure as the smallest of them has patients.
    """

    resampled: Resampled
    classes: tuple[NDArray[np.bool_], ...]

    def __call__(self, counts: Floats) -> Floats:
        """(R, P) counts → (R,)."""
        return self.resampled(counts)

    @property
    def freedom(self) -> float:
        """Degrees of freedom, at least 0."""
        return degrees_of_freedom(np.arange(len(self.classes[0])), self.classes)


def of_result(result: Result, patients: NDArray[Any]) -> Measure:
    """Score of a result as a function of how often each patient counts.

    Args:
        result: With its predictions.
        patients: (P,) sorted and distinct; those of the result are among them.

    Raises:
        ValueError: The predictions were not kept, or a patient of theirs is not among these.
    """
    known = result.require_predictions()
    resampler, place = known.metric.resampler(known.truth, known.output), _places(known.patients, patients)
    # (N,) items of each class → (P,) patients who have one.
    classes = tuple(
        np.bincount(place[items], minlength=len(patients)) > 0 for items in known.metric.classes(known.truth)
    )
    # (R, P) → (R, N): every film counts as often as its patient.
    return Measure(lambda counts: resampler(counts[:, place]), classes)


def of_queries(queries: RankedQueries, k: int, patients: NDArray[Any]) -> Measure:
    """Recall at K of ranked queries as a function of how often each patient counts.

    Args:
        queries: With the patient of each.
        k: K.
        patients: (P,) sorted and distinct.

    Raises:
        ValueError: The queries name no patients, or one that is not among these.
    """
    if queries.groups is None:
        raise ValueError("a mean over patients needs the patient of each query")
    # The gallery stays whole in every resample; only queries come and go.
    values, place = queries.values(k), _places(np.asarray(queries.groups), patients)  # (Q,) each

    def resampled(counts: Floats) -> Floats:
        drawn = counts[:, place]  # (R, Q)
        number = drawn.sum(axis=1)
        mean: Floats = np.divide(drawn @ values, number, out=np.full(len(counts), np.nan), where=number > 0)
        return mean

    return Measure(resampled, (np.bincount(place, minlength=len(patients)) > 0,))


def mean_of(measures: Sequence[Measure]) -> Measure:
    """Mean of several measures of the same patients, over those that a resample leaves defined.

    It counts as being as sure as the measure in the middle: of several rare findings each rests on a few patients, but
    not on the same few.

    Raises:
        ValueError: There is none.
    """
    # The mean of nothing would be NaN in every resample.
    if not measures:
        raise ValueError("a mean needs at least one measure")
    middle = sorted(measures, key=lambda measure: measure.freedom)[(len(measures) - 1) // 2]
    # A rare finding may be absent from a resample; the others are still a mean.
    return Measure(lambda counts: mean_of_known(np.stack([one(counts) for one in measures])), middle.classes)


def interval(measure: Measure, *, num_resamples: int = 1000, seed: int = 0, scale: Scale = "share") -> Interval:
    """A measure with its 95 % interval over patients.

    Args:
        measure: Of P patients.
        num_resamples: At least 1.
        seed: Of the resampling.
        scale: Range of the measure.
    """
    num_patients = len(measure.classes[0])
    return bootstrap_interval(
        value_of_all(measure, num_patients),
        measure,
        num_items=num_patients,
        groups=None,
        num_resamples=num_resamples,
        seed=seed,
        scale=scale,
        classes=measure.classes,
    )


def difference(first: Measure, second: Measure, *, num_resamples: int = 1000, seed: int = 0) -> Interval:
    """One measure minus another on the same patients, with its 95 % interval.

    Args:
        first: Of P patients, a share in [0, 1].
        second: Likewise, of the same patients.
        num_resamples: At least 1.
        seed: Of the resampling.
    """
    # The counts are of patients, so both sides see the same children in each resample.
    apart = Measure(
        lambda counts: first(counts) - second(counts), min(first, second, key=lambda one: one.freedom).classes
    )
    return interval(apart, num_resamples=num_resamples, seed=seed, scale="difference of shares")


def with_trainings(apart: Interval, by_seed: Sequence[float]) -> tuple[float, float]:
    """Ends of the interval of a difference over patients, widened by how much trainings differ.

    Args:
        apart: Mean difference with its interval over patients.
        by_seed: Difference of each of k paired seeds; of one the interval stays as it is.
    """
    from scipy.stats import t  # type: ignore[import-untyped]

    if len(by_seed) < 2:
        return apart.low, apart.high
    # The seeds share the test patients, so that the two sources of chance add up.
    of_trainings = t.ppf(0.975, len(by_seed) - 1) * np.std(by_seed, ddof=1) / np.sqrt(len(by_seed))
    below, above = (float(np.hypot(end - apart.value, of_trainings)) for end in (apart.low, apart.high))
    return apart.value - below, apart.value + above


def _places(owners: NDArray[Any], patients: NDArray[Any]) -> NDArray[np.intp]:
    """(N,) number of each owner among the sorted patients."""
    # A patient behind all others has no place of its own; the comparison below finds it out.
    place = np.searchsorted(patients, owners).clip(max=len(patients) - 1)
    if not np.array_equal(patients[place], owners):
        raise ValueError("some films are of patients that are not among those that are resampled")
    return place
