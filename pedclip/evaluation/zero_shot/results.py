"""Results of findings and regions from scores, their tidy tables, and their entries in metrics.json."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pedclip.anatomy import REGIONS
from pedclip.evaluation.metrics.bootstrap import Groups, Interval
from pedclip.evaluation.metrics.classification import auc
from pedclip.evaluation.metrics.per_image import accuracy
from pedclip.evaluation.result import ClassScore, Confusion, Predictions, Result, Scoring
from pedclip.evaluation.tasks.labels import Row
from pedclip.evaluation.tasks.task import Task


def finding_result(task: Task, scores: NDArray[Any], patients: NDArray[Any], scoring: Scoring) -> Result:
    """The AUC of scores for one task of `discover_findings`.

    Args:
        task: With N images and their labels as its "test" part.
        scores: (N,) one score per image of the task; higher means positive.
        patients: (N,) patient of each image of the task.
        scoring: Method and bootstrap.

    Returns:
        The result; its one class counts the positives and the images.

    Raises:
        ValueError: A class is missing, or scores are not finite.
    """
    labels = task.labels["test"][:, 0]  # (N,)
    score = scoring.bootstrap(auc, labels, scores, patients)  # all images of the task count, whatever their region
    return Result(
        task=task.name,
        source=task.require_rule().source,
        method=scoring.method,
        metric="AUC",
        score=score,
        # One class only, whose score is that of the task.
        classes=(ClassScore(task.name, score, int(labels.sum()), len(labels)),),
        # An AUC of any ranking without knowledge, whatever the prevalence.
        baseline=0.5,
        baseline_name="chance",
        predictions=Predictions(auc, labels, np.asarray(scores), np.asarray(patients)),
    )


def finding_results(
    labels: Sequence[Row],
    tasks: Sequence[Task],
    scores: Iterable[NDArray[Any]],
    *,
    method: str,
    num_resamples: int,
    seed: int,
) -> list[Result]:
    """The AUC of every task, however its films are scored.

    Args:
        labels: N rows.
        tasks: What `discover_findings` returned for these rows.
        scores: Of each task in turn, (n,) of the films that take part in it.
        method: Name in the results.
        num_resamples: Of the bootstrap over patients.
        seed: Of the bootstrap.

    Raises:
        ValueError: As `finding_result`.
    """
    results = []
    for task, found in zip(tasks, scores, strict=True):
        # (n,) of the images that take part.
        patients = np.array([labels[row].patient for row in task.rows["test"]])
        results.append(finding_result(task, found, patients, Scoring(task.name, method, num_resamples, seed)))
    return results


def region_result(
    truth: Sequence[str], predicted: Sequence[str], candidates: Sequence[str], groups: Groups, scoring: Scoring
) -> Result:
    """Accuracy and confusion of predicted regions.

    Args:
        truth: (N,) region of each image.
        predicted: (N,) answer for each image, one of the candidates.
        candidates: (L,) regions to choose from.
        groups: (N,) patient of each image; None resamples images.
        scoring: Method and bootstrap.

    Returns:
        The result; true regions are in the order of the candidates, those that are no candidate after them. The
        baseline is always answering the most frequent region of these images.

    Raises:
        ValueError: Fewer than two regions to tell apart, or lengths that differ.
    """
    # A region that nobody could answer is kept: leaving it out would make the model better than it is.
    present = set(truth)
    regions = [*(region for region in candidates if region in present), *sorted(present.difference(candidates))]
    if len(regions) < 2:
        # One region would make every answer right.
        raise ValueError(f"recognizing regions needs images of at least 2 regions, got {', '.join(regions) or 'none'}")
    score = scoring.bootstrap(accuracy, truth, predicted, groups)
    counts = np.zeros((len(regions), len(candidates)), dtype=np.int64)
    # Of each image, the column of the answer: (N,).
    answers = [list(candidates).index(region) for region in predicted]
    # Unlike `counts[...] += 1`, this counts a pair as often as it occurs.
    np.add.at(counts, ([regions.index(region) for region in truth], answers), 1)
    confusion = Confusion(tuple(regions), tuple(candidates), tuple(tuple(map(int, row)) for row in counts))
    return Result(
        task="body region",
        method=scoring.method,
        metric="accuracy",
        score=score,
        # The harder of the two chances: some regions are filmed far more often than others.
        baseline=confusion.chance_majority,
        baseline_name="commonest region",
        confusion=confusion,
        predictions=Predictions(
            accuracy,
            np.asarray(truth),
            np.asarray(predicted),
            np.arange(len(truth)) if groups is None else np.asarray(groups),
        ),
    )


def region_candidates(labels: Sequence[Row], asked: Sequence[str] | None = None) -> list[str]:
    """Regions to choose from, in the order of ``pedclip.anatomy``, so that confusions of different runs compare.

    Args:
        labels: N rows.
        asked: The regions; None means those present in the rows.
    """
    # A region that no film shows can only be answered wrongly, unless it is asked for.
    chosen = {row.region for row in labels} if asked is None else set(asked)
    return [region for region in REGIONS if region in chosen]


def best_regions(
    labels: Sequence[Row],
    candidates: Sequence[str],
    scores: NDArray[Any],
    *,
    method: str,
    num_resamples: int,
    seed: int,
) -> Result:
    """Accuracy of the region with the best score, however films are scored.

    Args:
        labels: N rows.
        candidates: L regions of `region_candidates`.
        scores: (N, L), higher for a better fit.
        method: Name in the result.
        num_resamples: Of the bootstrap over patients.
        seed: Of the bootstrap.

    Raises:
        ValueError: As `region_result`.
    """
    truth, patients = [row.region for row in labels], [row.patient for row in labels]
    # Of equal scores the first candidate wins.
    predicted = [candidates[answer] for answer in np.asarray(scores).argmax(axis=1)]  # (N, L) -> (N,)
    return region_result(truth, predicted, candidates, patients, Scoring("body region", method, num_resamples, seed))


def task_table(results: Sequence[Result]) -> pd.DataFrame:
    """AUC per task and method.

    A task's name carries its source where several sources have a task of that name.

    Args:
        results: Of findings, of all methods.

    Returns:
        Columns `row`, `method`, `value`, `low`, `high`, `positives`, `negatives`, `patients`.
    """
    # Most tables are of one source, and its name in every row would only be in the way.
    sources: dict[str, set[str]] = {}
    for result in results:
        sources.setdefault(result.task, set()).add(result.source)
    rows = [
        {
            "row": f"{result.task} ({result.source})" if len(sources[result.task]) > 1 else result.task,
            "method": result.method,
            **_bounds(result.score),
            "positives": result.classes[0].num_positives,
            "negatives": result.classes[0].num_items - result.classes[0].num_positives,
            # Patients, not images, are what the interval rests on.
            "patients": result.score.num_groups,
        }
        for result in results
    ]
    columns = ["row", "method", "value", "low", "high", "positives", "negatives", "patients"]
    return pd.DataFrame(rows, columns=columns)


def region_table(results: Sequence[Result]) -> pd.DataFrame:
    """Accuracy of region recognition per method.

    Returns:
        Columns `method`, `value`, `low`, `high`, `macro`, `chance` (always answering the commonest region).
    """
    rows = [
        {
            "method": result.method,
            **_bounds(result.score),
            # Every region counts alike here, however rare.
            "macro": _confusion(result).macro_accuracy,
            "chance": result.baseline,
        }
        for result in results
    ]
    return pd.DataFrame(rows, columns=["method", "value", "low", "high", "macro", "chance"])


def retrieval_table(results: Sequence[Result]) -> pd.DataFrame:
    """Recall per method, direction and K; hit rates are left to metrics.json.

    Args:
        results: Of `retrieval`, of all methods.

    Returns:
        Columns `method`, `direction`, `metric`, `k`, `value`, `low`, `high`, `chance`.
    """
    rows = [
        {
            "method": result.method,
            "direction": result.task,
            "metric": result.metric,
            "k": result.settings["k"],
            **_bounds(result.score),
            "chance": result.baseline,
        }
        for result in results
        # The hit rate is easy where a text has many films, and would look like a better recall.
        if result.metric == "recall"
    ]
    return pd.DataFrame(rows, columns=["method", "direction", "metric", "k", "value", "low", "high", "chance"])


def finding_entry(result: Result) -> dict[str, Any]:
    """Plain values of a result of findings, as "tasks" of metrics.json lists them."""
    # Unpacking refuses a result of several labels, which has no one AUC of images.
    (counted,) = result.classes
    return {
        "task": result.task,
        "source": result.source,
        "method": result.method,
        "auc": result.score.to_dict(),
        "num_positives": counted.num_positives,
        "num_negatives": counted.num_items - counted.num_positives,
        "num_patients": result.score.num_groups,
    }


def region_entry(result: Result) -> dict[str, Any]:
    """Plain values of a result of regions, as "regions" of metrics.json lists them."""
    confusion = _confusion(result)
    return {
        "method": result.method,
        "accuracy": result.score.to_dict(),
        "macro_accuracy": confusion.macro_accuracy,
        "chance_majority": confusion.chance_majority,
        "chance_uniform": confusion.chance_uniform,
        # JSON has no tuples: lists when read again.
        "regions": confusion.truth,
        "candidates": confusion.answers,
        "confusion": confusion.counts,
        "num_images": result.score.num_items,
        "num_patients": result.score.num_groups,
    }


def retrieval_entry(result: Result) -> dict[str, Any]:
    """Plain values of a result of retrieval, as "retrieval" of metrics.json lists them."""
    return {
        "direction": result.task,
        "metric": result.metric,
        "k": result.settings["k"],
        "score": result.score.to_dict(),
        "chance": result.baseline,
        "method": result.method,
    }


def _bounds(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def _confusion(result: Result) -> Confusion:
    if result.confusion is None:
        raise ValueError(f"{result.task}, {result.method}: expected a result of regions, which has a confusion")
    return result.confusion
