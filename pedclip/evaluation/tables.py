"""Results as tidy tables, one row per number."""

from collections.abc import Sequence

import pandas as pd

from pedclip.evaluation.intervals import Interval
from pedclip.evaluation.results import RegionResult, RetrievalResult, TaskResult


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
