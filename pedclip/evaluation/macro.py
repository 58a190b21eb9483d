"""Means over several tasks and several seeds, with intervals over patients, and differences between methods.

A method answers many questions (a finding each), trained from several seeds. Its mean is resampled as a whole: each
resample draws patients once, for all questions, all seeds and both methods of a difference, so that what makes a
patient hard for all of them does not pass for a difference.
"""

from collections.abc import Sequence
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
from pedclip.evaluation.metrics.small_samples import Scale
from pedclip.evaluation.result import Result
from pedclip.evaluation.zero_shot.recall import RankedQueries


def of_result(result: Result, patients: NDArray[Any]) -> Resampled:
    """Score of a result as a function of how often each patient counts.

    Args:
        result: With its predictions.
        patients: (P,) sorted and distinct; those of the result are among them.

    Returns:
        (R, P) counts → (R,) the score, NaN where a resample leaves it undefined.

    Raises:
        ValueError: The predictions were not kept, or a patient of theirs is not among these.
    """
    known = result.require_predictions()
    resampler, place = known.metric.resampler(known.truth, known.output), _places(known.patients, patients)
    # (R, P) → (R, N): every film counts as often as its patient.
    return lambda counts: resampler(counts[:, place])


def of_queries(queries: RankedQueries, k: int, patients: NDArray[Any]) -> Resampled:
    """Recall at K of ranked queries as a function of how often each patient counts.

    Args:
        queries: With the patient of each.
        k: K.
        patients: (P,) sorted and distinct.

    Returns:
        (R, P) counts → (R,) mean over the queries of the patients drawn.

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

    return resampled


def mean_of(measures: Sequence[Resampled]) -> Resampled:
    """Mean of several measures, (R, P) counts → (R,): over those that a resample leaves defined.

    Raises:
        ValueError: There is none.
    """
    # The mean of nothing would be NaN in every resample.
    if not measures:
        raise ValueError("a mean needs at least one measure")
    # A rare finding may be absent from a resample; the others are still a mean.
    return lambda counts: mean_of_known(np.stack([measure(counts) for measure in measures]))


def interval(
    measure: Resampled, num_patients: int, *, num_resamples: int = 1000, seed: int = 0, scale: Scale = "share"
) -> Interval:
    """A measure with its 95 % interval over patients.

    Args:
        measure: (R, P) counts → (R,).
        num_patients: P.
        num_resamples: At least 1.
        seed: Of the resampling.
        scale: Range of the measure.
    """
    return bootstrap_interval(
        value_of_all(measure, num_patients),
        measure,
        num_items=num_patients,
        groups=None,
        num_resamples=num_resamples,
        seed=seed,
        scale=scale,
    )


def difference(
    first: Resampled, second: Resampled, num_patients: int, *, num_resamples: int = 1000, seed: int = 0
) -> Interval:
    """One measure minus another on the same patients, with its 95 % interval.

    Args:
        first: (R, P) counts → (R,), a share in [0, 1].
        second: Likewise, of the same patients.
        num_patients: P.
        num_resamples: At least 1.
        seed: Of the resampling.
    """

    # The counts are of patients, so both sides see the same children in each resample.
    def apart(counts: Floats) -> Floats:
        return first(counts) - second(counts)

    return bootstrap_interval(
        value_of_all(apart, num_patients),
        apart,
        num_items=num_patients,
        groups=None,
        num_resamples=num_resamples,
        seed=seed,
        scale="difference of shares",
    )


def _places(owners: NDArray[Any], patients: NDArray[Any]) -> NDArray[np.intp]:
    """(N,) number of each owner among the sorted patients."""
    # A patient behind all others has no place of its own; the comparison below finds it out.
    place = np.searchsorted(patients, owners).clip(max=len(patients) - 1)
    if not np.array_equal(patients[place], owners):
        raise ValueError("some films are of patients that are not among those that are resampled")
    return place
