"""What an evaluation returns: frozen, plain values through `to_dict`, and tidy tables of one row per number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pedclip.evaluation.metrics.bootstrap import Groups, Interval, Record
from pedclip.evaluation.metrics.classification import auc
from pedclip.evaluation.metrics.per_image import accuracy
from pedclip.evaluation.tasks.findings import TaskRows


@dataclass(frozen=True)
class TaskResult(Record):
    """How well scores answer one task.

    Args:
        task: Its name.
        source: The data set.
        method: What made the scores, such as "zero-shot" or "shortcut".
        auc: Over patients; chance is 0.5.
        num_positives: Images.
        num_negatives: Images.
        num_patients: Patients.
    """

    task: str
    source: str
    method: str
    auc: Interval
    num_positives: int
    num_negatives: int
    num_patients: int


@dataclass(frozen=True)
class RegionResult(Record):
    """How well the body region is recognized.

    Args:
        method: What made the predictions, such as "zero-shot" or "shortcut".
        accuracy: Top-1, over patients.
        macro_accuracy: Mean over true regions of the accuracy within each, in [0, 1].
        chance_majority: Accuracy of always answering the most frequent region of these images.
        chance_uniform: Accuracy of guessing among the candidates.
        regions: The T regions present, in the order of pedclip.anatomy.
        candidates: The L regions to choose from.
        confusion: (T, L) images of each true region given each answer.
        num_images: Images.
        num_patients: Patients.
    """

    method: str
    accuracy: Interval
    macro_accuracy: float
    chance_majority: float
    chance_uniform: float
    regions: tuple[str, ...]
    candidates: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    num_images: int
    num_patients: int


@dataclass(frozen=True)
class RetrievalScore(Record):
    """One number of a retrieval experiment.

    Args:
        direction: "image to text" or "text to image".
        metric: "recall" (capped by the number of relevant items) or "hit" (at least one of them).
        k: Results looked at.
        score: Over patients.
        chance: Expected value of a random ranking.
    """

    direction: str
    metric: str
    k: int
    score: Interval
    chance: float


@dataclass(frozen=True)
class RetrievalResult(Record):
    """Retrieval in both directions.

    Args:
        scores: One per direction, metric and K.
        num_images: Queries of image to text, and gallery of text to image.
        num_texts: Unique texts: gallery of image to text, and queries of text to image.
    """

    scores: tuple[RetrievalScore, ...]
    num_images: int
    num_texts: int


def task_result(
    bound: TaskRows, scores: NDArray[Any], patients: NDArray[Any], *, method: str, num_resamples: int, seed: int
) -> TaskResult:
    """The AUC of scores for one task.

    Args:
        bound: The images of the task and their labels.
        scores: (N,) one score per image of the task; higher means positive.
        patients: (N,) patient of each image of the task.
        method: What made the scores.
        num_resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        The result.

    Raises:
        ValueError: A class is missing, or scores are not finite.
    """
    num_positives = int(bound.labels.sum())
    return TaskResult(
        task=bound.task.name,
        source=bound.task.source,
        method=method,
        auc=auc.bootstrap(bound.labels, scores, patients, num_resamples=num_resamples, seed=seed),
        num_positives=num_positives,
        num_negatives=len(bound.labels) - num_positives,
        num_patients=len(set(patients.tolist())),
    )


def region_result(
    truth: Sequence[str],
    predicted: Sequence[str],
    candidates: Sequence[str],
    groups: Groups,
    *,
    method: str,
    num_resamples: int,
    seed: int,
) -> RegionResult:
    """Accuracy and confusion of predicted regions.

    Args:
        truth: (N,) region of each image.
        predicted: (N,) answer for each image, one of the candidates.
        candidates: (L,) regions to choose from.
        groups: (N,) patient of each image; None resamples images.
        method: What made the predictions.
        num_resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        The result; regions are in the order of the candidates, those that are no candidate after them.

    Raises:
        ValueError: Fewer than two regions to tell apart, or lengths that differ.
    """
    present = set(truth)
    regions = [*(region for region in candidates if region in present), *sorted(present.difference(candidates))]
    if len(regions) < 2:
        raise ValueError(f"recognizing regions needs images of at least 2 regions, got {', '.join(regions) or 'none'}")
    interval = accuracy.bootstrap(truth, predicted, groups, num_resamples=num_resamples, seed=seed)
    confusion = np.zeros((len(regions), len(candidates)), dtype=np.int64)
    rows = [regions.index(region) for region in truth]
    columns = [list(candidates).index(region) for region in predicted]
    np.add.at(confusion, (rows, columns), 1)
    counts = np.bincount(rows)  # images of each true region
    correct = np.bincount(rows, weights=[a == b for a, b in zip(truth, predicted, strict=True)])
    return RegionResult(
        method=method,
        accuracy=interval,
        macro_accuracy=float((correct / counts).mean()),
        chance_majority=float(counts.max() / counts.sum()),
        chance_uniform=1 / len(candidates),
        regions=tuple(regions),
        candidates=tuple(candidates),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        num_images=len(truth),
        num_patients=interval.num_groups,
    )


def task_table(results: Sequence[TaskResult]) -> pd.DataFrame:
    """AUC per task and method.

    A task's name carries its source where several sources have a task of that name.

    Args:
        results: Of all methods.

    Returns:
        Columns `row`, `method`, `value`, `low`, `high`, `positives`, `negatives`, `patients`.
    """
    sources: dict[str, set[str]] = {}
    for result in results:
        sources.setdefault(result.task, set()).add(result.source)
    rows = [
        {
            "row": f"{result.task} ({result.source})" if len(sources[result.task]) > 1 else result.task,
            "method": result.method,
            **_bounds(result.auc),
            "positives": result.num_positives,
            "negatives": result.num_negatives,
            "patients": result.num_patients,
        }
        for result in results
    ]
    columns = ["row", "method", "value", "low", "high", "positives", "negatives", "patients"]
    return pd.DataFrame(rows, columns=columns)


def region_table(results: Sequence[RegionResult]) -> pd.DataFrame:
    """Accuracy of region recognition per method.

    Returns:
        Columns `method`, `value`, `low`, `high`, `macro`, `chance` (always answering the commonest region).
    """
    rows = [
        {
            "method": result.method,
            **_bounds(result.accuracy),
            "macro": result.macro_accuracy,
            "chance": result.chance_majority,
        }
        for result in results
    ]
    return pd.DataFrame(rows, columns=["method", "value", "low", "high", "macro", "chance"])


def retrieval_table(results: Sequence[tuple[str, RetrievalResult]]) -> pd.DataFrame:
    """Recall per method, direction and K.

    Args:
        results: Pairs of method and result.

    Returns:
        Columns `method`, `direction`, `metric`, `k`, `value`, `low`, `high`, `chance`.
    """
    rows = [
        {
            "method": method,
            "direction": score.direction,
            "metric": score.metric,
            "k": score.k,
            **_bounds(score.score),
            "chance": score.chance,
        }
        for method, result in results
        for score in result.scores
        if score.metric == "recall"
    ]
    return pd.DataFrame(rows, columns=["method", "direction", "metric", "k", "value", "low", "high", "chance"])


def _bounds(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}
