"""Conformal answer sets: as many items as are needed for the right one to be among them at a promised rate.

A threshold on the score is chosen on calibration patients; whatever the model, a new patient of the same kind finds
the right item above it with the promised coverage. A poor model pays with large sets.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pedclip.evaluation.metrics.bootstrap import (
    Floats,
    Groups,
    Interval,
    Record,
    _patients,
    _weighted_mean,
    bootstrap_interval,
)
from pedclip.evaluation.metrics.retrieval import relevance


@dataclass(frozen=True)
class ConformalThreshold(Record):
    """A score at and above which items are in the answer set.

    Args:
        value: Of the score.
        alpha: Share of patients that may miss the right item, in (0, 1).
        num_patients: Calibration patients.
        num_queries: Their queries.
    """

    value: float
    alpha: float
    num_patients: int
    num_queries: int


@dataclass(frozen=True)
class AnswerSets(Record):
    """Answer sets of test queries: how often they hold a right item, and how many items they hold.

    Args:
        coverage: Share of queries with a right item in the set.
        size: Mean number of items.
        median_size: Median number of items.
        largest: Items of the largest set.
        share_empty: Share of queries whose set is empty: no item is likely enough.
    """

    coverage: Interval
    size: Interval
    median_size: float
    largest: int
    share_empty: float


def needed_patients(alpha: float) -> int:
    """The fewest calibration patients with which a threshold can promise coverage 1 − alpha.

    Args:
        alpha: Share of patients that may miss the right item, in (0, 1).

    Returns:
        The least n with alpha · (n + 1) of at least 1.

    Raises:
        ValueError: An alpha outside (0, 1).

    Example:
        >>> needed_patients(0.1)
        9
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha={alpha} is not allowed: it is the share that may be missed, above 0 and below 1")
    # The same rounding as in the rank below: 1 / 0.1 is 10, whatever the last bit of 0.1 says.
    return math.ceil(round(1 / alpha, 9)) - 1


def right_scores(scores: ArrayLike, relevant: ArrayLike) -> Floats:
    """Score of the right item of each query; of the best one where several are right.

    Args:
        scores: (Q, N) of each query and item, finite.
        relevant: (Q, N) booleans, or (Q,) the index of the one right item of each query.

    Returns:
        (Q,) scores.

    Raises:
        ValueError: A query without a right item, a shape or index that does not fit, or a score that is not finite.
    """
    given = np.asarray(scores, dtype=np.float64)
    is_right = relevance(given, np.asarray(relevant))  # (Q, N)
    # One right item in the set is enough, and the best enters first.
    best: Floats = np.where(is_right, given, -np.inf).max(axis=1)
    return best


def fit_threshold(
    scores_of_right: ArrayLike, patients: Groups = None, *, alpha: float = 0.1, rng: np.random.Generator | None = None
) -> ConformalThreshold:
    """Threshold that at least 1 − alpha of new patients' right items reach, if they are like the calibration patients.

    Patients are exchangeable, their films are not: films of one patient resemble one another, and count as one.

    Args:
        scores_of_right: (Q,) finite score of the right item of each calibration query, as of `right_scores`.
        patients: (Q,) patient of each query; None where each query is of another patient.
        alpha: Share that may be missed, in (0, 1).
        rng: Draws one query of each patient, and the promise is for a query drawn from a new patient. None takes the
            lowest score of each patient, and the promise is for all queries of a new patient together.

    Returns:
        The threshold.

    Raises:
        ValueError: Too few calibration patients for the coverage (the message says how many are needed), a score that
            is not finite, no query, a missing patient, or an alpha outside (0, 1).

    Source: Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World (2005), ch. 2 and 4 (split conformal);
        Dunn, Wasserman & Ramdas, JASA 118 (2023) 2491-2502 (one item per group).

    Example:
        >>> fit_threshold([0.5, 0.9, 0.6, 0.7, 0.8, 0.4, 0.3, 0.95, 0.85], alpha=0.2).value
        0.4
    """
    right = np.asarray(scores_of_right, dtype=np.float64)
    if right.ndim != 1 or len(right) == 0 or not np.isfinite(right).all():
        raise ValueError(f"calibration needs a finite score per query, at least one query; got shape {right.shape}")
    per_patient = right if patients is None else _one_per_patient(right, patients, rng)
    num_patients, needed = len(per_patient), needed_patients(alpha)
    if num_patients < needed:
        raise ValueError(
            f"coverage {1 - alpha:.4g} needs at least {needed} calibration patients, got {num_patients}; "
            "add patients or promise less"
        )
    # A new patient is equally likely to fall in each of the n + 1 gaps, so the lowest α(n + 1) of them may be missed.
    rank = math.floor(round(alpha * (num_patients + 1), 9))
    return ConformalThreshold(float(np.sort(per_patient)[rank - 1]), alpha, num_patients, len(right))


def answer_sets(scores: ArrayLike, threshold: ConformalThreshold) -> NDArray[np.bool_]:
    """Items that are in the answer set of each query.

    Args:
        scores: (Q, N) of each query and item.
        threshold: Of `fit_threshold`, for the same score.

    Returns:
        (Q, N) booleans; a row may be empty.
    """
    # At the threshold too: it is itself the score of a right item.
    is_inside: NDArray[np.bool_] = np.asarray(scores, dtype=np.float64) >= threshold.value
    return is_inside


def evaluate_sets(
    scores: ArrayLike,
    relevant: ArrayLike,
    threshold: ConformalThreshold,
    patients: Groups = None,
    *,
    num_resamples: int = 1000,
    seed: int = 0,
) -> AnswerSets:
    """Coverage and size of the answer sets of test queries, with intervals over patients.

    Args:
        scores: (Q, N) of each test query and item, finite.
        relevant: (Q, N) booleans, or (Q,) the index of the one right item of each query.
        threshold: Of `fit_threshold`, from other patients.
        patients: (Q,) patient of each query; None resamples queries.
        num_resamples: At least 1.
        seed: Of the resampling.

    Returns:
        The result; a query counts as covered where one of its right items is in the set.

    Raises:
        ValueError: As `right_scores`, or as `bootstrap_interval`.
    """
    is_covered = (right_scores(scores, relevant) >= threshold.value).astype(np.float64)  # (Q,)
    sizes = answer_sets(scores, threshold).sum(axis=1).astype(np.float64)  # (Q,)
    # Both on the same resamples, since seed and patients are the same.
    coverage, size = (
        bootstrap_interval(
            float(values.mean()),
            _weighted_mean(values),
            num_items=len(values),
            groups=patients,
            num_resamples=num_resamples,
            seed=seed,
            # A number of items is 0 or more and has no upper end.
            scale="share" if values is is_covered else "error",
        )
        for values in (is_covered, sizes)
    )
    return AnswerSets(coverage, size, float(np.median(sizes)), int(sizes.max()), float((sizes == 0).mean()))


def _one_per_patient(right: Floats, patients: Groups, rng: np.random.Generator | None) -> Floats:
    """One score of each patient (G,): a drawn one, or the lowest."""
    names = _patients(patients if patients is not None else ())
    if len(names) != len(right):
        raise ValueError(f"patients must name one patient per query: expected {len(right)}, got {len(names)}")
    _, index = np.unique(names, return_inverse=True)  # (Q,) number of the patient
    # The first of each patient after a shuffle is a fair draw; after a sort it is the lowest.
    order = np.argsort(right, kind="stable") if rng is None else rng.permutation(len(right))
    first = np.unique(index[order], return_index=True)[1]
    chosen: Floats = right[order][first]
    return chosen
