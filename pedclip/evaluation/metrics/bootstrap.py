"""Bootstrap intervals over patients, and the metrics that have one."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pedclip.evaluation.metrics.interval import Interval as Interval
from pedclip.evaluation.metrics.interval import Record as Record
from pedclip.evaluation.metrics.small_samples import (
    Scale,
    all_items,
    bounds,
    degrees_of_freedom,
    is_too_few,
    variance_with_reserve,
)

Floats = NDArray[np.float64]


Groups = Sequence[object] | NDArray[Any] | None  # patient of each item; None: every item is its own


Resampled = Callable[[Floats], Floats]  # (R, N) counts of each item -> (R,) the metric, NaN where undefined


# Numbers held at once per array of resamples: 16 MB in float64, so that a large archive does not fill the memory.
CHUNK_ELEMENTS: Final = 2_000_000


MIN_GROUPS: Final = 2  # patients that a bootstrap needs


MAX_REDRAWS: Final = 100  # resamples drawn for each one kept, before giving up


class Metric(ABC):
    """A metric of N items that follows from how often each item counts; a subclass says how."""

    scale: Scale = "share"

    @abstractmethod
    def resampler(self, truth: Any, prediction: Any) -> Resampled:
        """The metric as a function of (R, N) counts of each item, NaN where it is undefined.

        Raises:
            ValueError: As the subclass documents.
        """

    def classes(self, truth: Any) -> Sequence[NDArray[np.bool_]]:
        """Items (N,) of each class that the metric compares; the interval is as sure as the smallest has patients."""
        return all_items(len(truth))

    def __call__(self, truth: Any, prediction: Any) -> float:
        """The metric, every item counted once; arguments and errors as the class documents."""
        # A value is the resample in which every item was drawn once, so that no metric is written twice.
        return value_of_all(self.resampler(truth, prediction), len(truth))

    def bootstrap(
        self, truth: Any, prediction: Any, groups: Groups = None, *, num_resamples: int = 1000, seed: int = 0
    ) -> Interval:
        """The metric with its interval.

        Args:
            truth: N items, as for the call.
            prediction: N items, as for the call.
            groups: (N,) patient of each item; None resamples items.
            num_resamples: At least 1.
            seed: Of the resampling.

        Returns:
            The interval; a resample on which the metric is undefined is drawn again and counted.

        Raises:
            ValueError: As the call, or as `bootstrap_interval`.
        """
        # What can be done once, such as sorting or matching, happens here and not per resample.
        resampled, num_items = self.resampler(truth, prediction), len(truth)
        return bootstrap_interval(
            value_of_all(resampled, num_items),
            resampled,
            num_items=num_items,
            groups=groups,
            num_resamples=num_resamples,
            seed=seed,
            scale=self.scale,
            classes=self.classes(truth),
        )


def can_resample(groups: Sequence[object] | NDArray[Any]) -> bool:
    """True where items of these patients (N,) have an interval: with one, it would only repeat that patient."""
    return len(np.unique(_patients(groups))) >= MIN_GROUPS


def value_of_all(resampled: Resampled, num_items: int) -> float:
    """A metric with each of the N items counted once."""
    return float(resampled(np.ones((1, num_items)))[0])  # (1, N) -> (1,)


def mean_of_known(values: Floats) -> Floats:
    """(L, R) -> (R,) mean over the L that are not NaN, NaN where all are."""
    is_known = ~np.isnan(values)
    # numpy's nanmean warns where all are NaN, and a warning is an error in our tests.
    total, number = np.where(is_known, values, 0).sum(axis=0), is_known.sum(axis=0)
    mean: Floats = np.divide(total, number, out=np.full(values.shape[1], np.nan), where=number > 0)
    return mean


def bootstrap_interval(
    value: float,
    resampled: Resampled,
    *,
    num_items: int,
    groups: Groups,
    num_resamples: int,
    seed: int,
    scale: Scale = "share",
    classes: Sequence[NDArray[np.bool_]] | None = None,
) -> Interval:
    """Interval over patients of a metric that can be computed from how often each item was drawn.

    Its coverage was measured for 20 to 200 patients and rare classes (`benchmarks/coverage.py`); a percentile
    interval falls short there.

    Args:
        value: The metric on all items.
        resampled: As for `resample`.
        num_items: N.
        groups: (N,) patient of each item; None resamples items.
        num_resamples: At least 1.
        seed: Of the resampling; equal seeds give equal intervals.
        scale: Range of the metric.
        classes: (N,) items of each class that is compared; None for one class of all.

    Returns:
        The value with its interval, without ends where a class has too few patients.

    Raises:
        ValueError: Fewer than two patients, a missing one, groups of another length than the items, or no resample
            asked for.

    Source: as `variance_with_reserve` and `bounds`.
    """
    found = resample(
        resampled, num_items=num_items, groups=groups, num_resamples=num_resamples, seed=seed, classes=classes
    )
    low, high = bounds(float(value), found.variance, found.freedom, scale)
    return Interval(float(value), low, high, num_items, found.num_groups, found.num_redrawn)


@dataclass(frozen=True)
class Uncertainty:
    """Variance of a metric over patients.

    Args:
        variance: 0 or more; NaN with too few degrees of freedom.
        freedom: Its degrees of freedom.
        num_groups: Patients resampled.
        num_redrawn: Resamples drawn again.
    """

    variance: float
    freedom: float
    num_groups: int
    num_redrawn: int


def resample(
    resampled: Resampled,
    *,
    num_items: int,
    groups: Groups,
    num_resamples: int,
    seed: int,
    classes: Sequence[NDArray[np.bool_]] | None = None,
) -> Uncertainty:
    """Variance of a metric over resamples of the patients.

    A patient is drawn with all of their items, so that items of one patient, which resemble each other, are not
    mistaken for independent evidence.

    Args:
        resampled: (R, N) counts of each item in R resamples -> (R,) the metric; NaN where it is undefined, and
            that resample is drawn again.
        num_items: N.
        groups: (N,) patient of each item; None resamples items.
        num_resamples: R, at least 1.
        seed: Of the resampling; equal seeds draw the same patients whatever the metric.
        classes: As for `bootstrap_interval`.

    Returns:
        The variance; nothing is drawn where a class has too few patients.

    Raises:
        ValueError: Fewer than two patients, a missing one, groups of another length than the items, no resample asked
            for, or a metric that is hardly ever defined.
    """
    if num_resamples < 1:
        raise ValueError(f"num_resamples must be at least 1, got {num_resamples}")
    index, num_groups = _group_index(num_items, groups)
    freedom = degrees_of_freedom(index, all_items(num_items) if classes is None else classes)
    if is_too_few(freedom):
        return Uncertainty(math.nan, freedom, num_groups, 0)
    # The draws depend on seed and patients alone: two models scored apart are still compared on the same resamples.
    rng = np.random.default_rng(seed)
    # A generator gives the same numbers in chunks as at once, row after row.
    chunk = max(1, CHUNK_ELEMENTS // num_items)
    kept: list[Floats] = []
    drawn_with, times_drawn = np.zeros(num_groups), np.zeros(num_groups)
    missing, num_drawn = num_resamples, 0
    while missing:
        size = min(chunk, missing)
        # (r, G) counts of patients, then (r, N): every item counts as often as its patient was drawn.
        counts = _draw(rng, size, num_groups)
        values = resampled(counts[:, index])
        # Only the missing ones are drawn again, so that the number of resamples is the one asked for.
        is_defined = ~np.isnan(values)
        kept.append(values[is_defined])
        drawn_with += kept[-1] @ counts[is_defined]
        times_drawn += counts[is_defined].sum(axis=0)
        missing -= len(kept[-1])
        num_drawn += size
        if num_drawn > MAX_REDRAWS * num_resamples:
            raise ValueError(
                f"the metric is undefined on almost every resample of {num_groups} patients; "
                "report the plain value instead"
            )
    draws = np.concatenate(kept)
    # Covariance of the metric with how often a patient was drawn (Efron, JASA 109 (2014) 991-1007, Eq. 3.4).
    influence = (drawn_with - draws.mean() * times_drawn) / len(draws)
    variance = variance_with_reserve(draws, influence, freedom)
    return Uncertainty(variance, freedom, num_groups, num_drawn - num_resamples)


def _draw(rng: np.random.Generator, num_resamples: int, num_groups: int) -> Floats:
    """(R, G) times that each group was drawn; each row sums to G."""
    drawn = rng.integers(num_groups, size=(num_resamples, num_groups))  # (R, G)
    # Row r takes the numbers from r·G on, so that one count over all of them keeps the rows apart.
    drawn += np.arange(num_resamples)[:, None] * num_groups  # one histogram for all rows
    counts = np.bincount(drawn.ravel(), minlength=num_resamples * num_groups)
    return counts.reshape(num_resamples, num_groups).astype(np.float64)


def _group_index(num_items: int, groups: Groups) -> tuple[NDArray[np.intp], int]:
    """(N,) group number of each item, and the number of groups."""
    if groups is None:
        index = np.arange(num_items)
    elif len(groups) != num_items:
        raise ValueError(f"groups must name one patient per item: expected {num_items}, got {len(groups)}")
    else:
        # Sorted by name, so that the order of the items does not change who is drawn.
        index = np.unique(_patients(groups), return_inverse=True)[1]
    # Groups are numbered from 0 without gaps.
    num_groups = int(index.max()) + 1
    if num_groups < MIN_GROUPS:
        what = "item" if groups is None else "patient"
        raise ValueError(
            f"a bootstrap needs at least {MIN_GROUPS} {what}s, got {num_groups}; report the plain value instead"
        )
    return index, num_groups


def _patients(groups: Sequence[object] | NDArray[Any]) -> NDArray[Any]:
    """(N,) patient of each item, none of them missing: items of unknown patients are not of one patient."""
    patients = np.asarray(groups)
    if num_missing := int(pd.isna(patients).sum()):
        raise ValueError(
            f"groups must name the patient of every item; {num_missing} of {len(patients)} are missing. "
            "Leave these items out, or give each a name of its own"
        )
    return patients


def _weighted_mean(values: Floats) -> Resampled:
    def resampled(counts: Floats) -> Floats:
        # Patients with many items make resamples of more items, hence the division by the number drawn.
        number = counts.sum(axis=1)
        # Of several tasks one may have no patient in a resample of the patients of all.
        mean: Floats = np.divide(counts @ values, number, out=np.full(len(counts), np.nan), where=number > 0)
        return mean

    return resampled


def _check_vectors(truth: NDArray[Any], other: NDArray[Any], truth_name: str, other_name: str) -> None:
    if truth.ndim != 1 or truth.shape != other.shape or len(truth) == 0:
        raise ValueError(
            f"{truth_name} and {other_name} must be vectors of one length, at least 1: "
            f"got {truth.shape} and {other.shape}"
        )
