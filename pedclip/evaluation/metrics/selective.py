"""Selective answering: what is left of the error when the answers of low confidence are withheld.

A confidence is good where the answers that it ranks low are the wrong ones; its scale is of no account here.
"""

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pedclip.evaluation.metrics.bootstrap import (
    Floats,
    Groups,
    Interval,
    Metric,
    Resampled,
    _check_vectors,
    bootstrap_interval,
)

Indices = NDArray[np.intp]


class Augrc(Metric):
    """Area under the generalized risk–coverage curve: the mean risk of a wrong answer that is not withheld.

    Called with losses (N,) in [0, 1], 1 or True where the answer is wrong, and finite confidences (N,), higher means
    surer. In [0, 1/2] for losses of 0 and 1; lower is better. A confidence that knows nothing has half the mean loss.
    Tied confidences are withheld in random order.

    Raises:
        ValueError: A loss outside [0, 1], a confidence that is not finite, or the lengths differ.

    Source: Traub et al., NeurIPS 2024 (arXiv 2407.01032), section 3: for losses of 0 and 1 it equals
        (1 − AUROC) · a · (1 − a) + (1 − a)² / 2 with the accuracy a and the AUROC of right against wrong answers.
        Differs: the integral by trapezoids, not by steps, so that ties need no order.

    Example:
        >>> augrc([0, 0, 0, 1], [0.9, 0.8, 0.7, 0.1])
        0.03125
    """

    def resampler(self, losses: ArrayLike, confidence: ArrayLike) -> Resampled:
        """The area as a function of (R, N) counts of each item."""
        loss, order, ends = _sorted(losses, confidence)

        def resampled(counts: Floats) -> Floats:
            covered, lost = _curve(counts, loss, order, ends)  # (R, 1 + T) each
            # A trapezoid per threshold, since ties in random order lie on a straight line.
            area: Floats = (np.diff(covered, axis=1) * (lost[:, 1:] + lost[:, :-1]) / 2).sum(axis=1)
            return area

        return resampled


class Aurc(Metric):
    """Area under the risk–coverage curve: mean over answers of the loss among those at least as sure.

    Called as `augrc`, in [0, 1]; lower is better. It counts an error once for every answer that is less sure, so that a
    few errors at the top outweigh many below; `augrc` weighs them alike.

    Raises:
        ValueError: As `augrc`.

    Source: Geifman, Uziel & El-Yaniv, ICLR 2019. Differs: tied answers are withheld together.

    Example:
        >>> aurc([0, 0, 0, 1], [0.9, 0.8, 0.7, 0.1])
        0.0625
    """

    def resampler(self, losses: ArrayLike, confidence: ArrayLike) -> Resampled:
        """The area as a function of (R, N) counts of each item."""
        loss, order, ends = _sorted(losses, confidence)

        def resampled(counts: Floats) -> Floats:
            covered, lost = _curve(counts, loss, order, ends)  # (R, 1 + T) each
            # Thresholds above every answer drawn have no risk; their step is 0, so any number will do.
            risk = np.divide(lost[:, 1:], covered[:, 1:], out=np.zeros_like(lost[:, 1:]), where=covered[:, 1:] > 0)
            area: Floats = (np.diff(covered, axis=1) * risk).sum(axis=1)
            return area

        return resampled


class AccuracyAtCoverage(Metric):
    """Accuracy of the surest answers, the rest being withheld: one minus the mean loss of a share of them.

    Called as `augrc`, in [0, 1]; higher is better. Where the share ends within tied answers, or between two, these
    count in part, as if they were withheld in random order.

    Args:
        coverage: Share of the answers that are given, in (0, 1].

    Raises:
        ValueError: A coverage outside (0, 1], or as `augrc`.

    Example:
        >>> AccuracyAtCoverage(0.5)([0, 1, 0, 1], [0.9, 0.8, 0.7, 0.1])
        0.5
    """

    def __init__(self, coverage: float) -> None:
        if not 0 < coverage <= 1:
            raise ValueError(f"coverage={coverage} is not allowed: it is a share of the answers, above 0 and at most 1")
        self.coverage = coverage

    def resampler(self, losses: ArrayLike, confidence: ArrayLike) -> Resampled:
        """The accuracy as a function of (R, N) counts of each item."""
        loss, order, ends = _sorted(losses, confidence)

        def resampled(counts: Floats) -> Floats:
            covered, lost = _curve(counts, loss, order, ends)  # (R, 1 + T) each
            # The first threshold that covers enough; rounding must not ask for more than all there is.
            reached = covered >= min(self.coverage, covered[:, -1].min())
            end = reached.argmax(axis=1)[:, None]  # (R, 1), at least 1 as nothing covers nothing
            before, after = np.take_along_axis(covered, end - 1, 1), np.take_along_axis(covered, end, 1)
            at_start, at_end = np.take_along_axis(lost, end - 1, 1), np.take_along_axis(lost, end, 1)
            part = (self.coverage - before) / (after - before)  # of the tied answers, in (0, 1]
            accuracy: Floats = 1 - ((at_start + part * (at_end - at_start)) / self.coverage)[:, 0]
            return np.clip(accuracy, 0, 1)

        return resampled


augrc: Final = Augrc()


aurc: Final = Aurc()


def selective_difference(
    first: tuple[ArrayLike, ArrayLike],
    second: tuple[ArrayLike, ArrayLike],
    groups: Groups = None,
    *,
    metric: Metric = augrc,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Difference of a selective metric between two systems that answer the same queries, each with its own answers.

    `compare` asks two confidences about the same answers; here the answers differ too, so that a system gains by being
    right as well as by knowing when it is not.

    Args:
        first: Losses (N,) and confidences (N,) of the first system.
        second: Those of the second, of the same queries.
        groups: (N,) patient of each query; None resamples queries.
        metric: `augrc`, `aurc` or an `AccuracyAtCoverage`.
        num_resamples: At least 1; both systems are scored on the same resamples.
        seed: Of the resampling.

    Returns:
        First minus second, with its 95 % interval over patients.

    Raises:
        ValueError: Other numbers of queries, or as the metric.
    """
    lengths = len(np.asarray(first[0])), len(np.asarray(second[0]))
    if lengths[0] != lengths[1]:
        raise ValueError(f"both systems answer the same queries; got {lengths[0]} and {lengths[1]}")
    # What makes a patient hard for both cancels in each resample.
    of_first, of_second = metric.resampler(*first), metric.resampler(*second)
    return bootstrap_interval(
        metric(*first) - metric(*second),
        lambda counts: of_first(counts) - of_second(counts),
        num_items=lengths[0],
        groups=groups,
        num_resamples=num_resamples,
        seed=seed,
        scale="difference",
    )


def risk_coverage_table(losses: ArrayLike, confidence: ArrayLike) -> pd.DataFrame:
    """Risk–coverage curve: what happens where answers below each confidence are withheld.

    Args:
        losses: (N,) in [0, 1], 1 or True where the answer is wrong.
        confidence: (N,) finite, higher means surer.

    Returns:
        A row per distinct confidence, the surest first: `threshold`, the least confidence that is answered; `coverage`,
        the share answered; `risk`, the mean loss of these; `generalized_risk`, risk times coverage.

    Raises:
        ValueError: As `augrc`.

    Source: Geifman & El-Yaniv, NeurIPS 2017 (risk and coverage); Traub et al., NeurIPS 2024 (generalized risk).
    """
    loss, order, ends = _sorted(losses, confidence)
    # One "resample" that draws each item once is the data themselves.
    covered, lost = _curve(np.ones((1, len(loss))), loss, order, ends)
    coverage, generalized = covered[0, 1:], lost[0, 1:]  # (T,) without the point where nothing is answered
    threshold = np.asarray(confidence, dtype=np.float64)[order][ends]
    columns = {"threshold": threshold, "coverage": coverage, "risk": generalized / coverage}
    return pd.DataFrame({**columns, "generalized_risk": generalized})


def _sorted(losses: ArrayLike, confidence: ArrayLike) -> tuple[Floats, Indices, Indices]:
    """Losses (N,), their order by falling confidence (N,), and the last position of each distinct confidence (T,)."""
    loss, sure = np.asarray(losses, dtype=np.float64), np.asarray(confidence, dtype=np.float64)
    _check_vectors(loss, sure, "losses", "confidence")
    if not ((loss >= 0) & (loss <= 1)).all():  # also false for NaN
        raise ValueError(f"losses lie in [0, 1], 1 where the answer is wrong; got {loss.min():.3g} to {loss.max():.3g}")
    if not np.isfinite(sure).all():
        raise ValueError(f"confidence must be finite; {int((~np.isfinite(sure)).sum())} of {len(sure)} are not")
    # Sorted once for all resamples, which only weigh the items.
    order = np.argsort(-sure, kind="stable")
    # The last of all has no successor to differ from, and ends its run anyway.
    is_last = np.append(np.diff(sure[order]) != 0, True)
    return loss, order, np.flatnonzero(is_last)


def _curve(counts: Floats, loss: Floats, order: Indices, ends: Indices) -> tuple[Floats, Floats]:
    """Coverage and generalized risk (R, 1 + T) at each threshold, from nothing answered to everything."""
    drawn = counts[:, order]  # (R, N) from the surest on
    # A resample of patients does not always draw N items: patients have different numbers of films.
    total = drawn.sum(axis=1, keepdims=True)
    covered, lost = np.zeros((len(counts), len(ends) + 1)), np.zeros((len(counts), len(ends) + 1))
    # Sums up to the last of each run of ties: within a run there is no order.
    covered[:, 1:] = drawn.cumsum(axis=1)[:, ends] / total
    lost[:, 1:] = (drawn * loss[order]).cumsum(axis=1)[:, ends] / total
    return covered, lost
