"""Tables and entries of metrics.json hold the numbers of the results."""

import json

from pedclip.evaluation.metrics.bootstrap import Interval
from pedclip.evaluation.result import ClassScore, Confusion, Result
from pedclip.evaluation.zero_shot.results import (
    finding_entry,
    region_entry,
    region_table,
    retrieval_entry,
    retrieval_table,
    task_table,
)

AUC = Interval(0.8, 0.7, 0.9, num_items=30, num_groups=10)


def finding(task: str, source: str, method: str, score: Interval, num_positives: int) -> Result:
    counted = ClassScore(task, score, num_positives, score.num_items)
    return Result(
        task=task, source=source, method=method, metric="AUC", score=score, classes=(counted,), baseline=0.5,
        baseline_name="chance",
    )  # fmt: skip


REGIONS = Result(
    task="body region",
    method="zero-shot",
    metric="accuracy",
    score=AUC,
    baseline=0.6,
    baseline_name="commonest region",
    confusion=Confusion(("hand", "knee"), ("hand", "knee", "toe"), ((3, 1, 0), (1, 4, 1))),
)


def ranked(direction: str, metric: str, k: int, chance: float) -> Result:
    return Result(
        task=direction, method="zero-shot", metric=metric, score=AUC, baseline=chance, baseline_name="random ranking",
        settings={"k": k, "gallery": 20},
    )  # fmt: skip


def test_a_task_carries_its_source_only_where_the_name_is_shared() -> None:
    results = [
        finding("fracture", "a", "zero-shot", AUC, 10),
        finding("fracture", "b", "zero-shot", Interval(0.6, 0.5, 0.65, 5, 4), 2),
        finding("effusion", "b", "zero-shot", AUC, 4),
        finding("effusion", "b", "shortcut", AUC, 4),
    ]
    table = task_table(results)
    assert table["row"].tolist() == ["fracture (a)", "fracture (b)", "effusion", "effusion"]
    assert table.iloc[1].to_dict() == {
        "row": "fracture (b)",
        "method": "zero-shot",
        "value": 0.6,
        "low": 0.5,
        "high": 0.65,
        "positives": 2,
        "negatives": 3,
        "patients": 4,
    }
    assert finding_entry(results[1]) == {
        "task": "fracture",
        "source": "b",
        "method": "zero-shot",
        "auc": results[1].score.to_dict(),
        "num_positives": 2,
        "num_negatives": 3,
        "num_patients": 4,
    }


def test_no_task_keeps_the_columns() -> None:
    assert task_table([]).columns.tolist() == [
        "row",
        "method",
        "value",
        "low",
        "high",
        "positives",
        "negatives",
        "patients",
    ]


def test_regions_show_the_majority_as_chance() -> None:
    macro = (3 / 4 + 4 / 6) / 2
    expected = {"method": "zero-shot", "value": 0.8, "low": 0.7, "high": 0.9, "macro": macro, "chance": 0.6}
    assert region_table([REGIONS]).to_dict("records") == [expected]
    assert json.loads(json.dumps(region_entry(REGIONS))) == {
        "method": "zero-shot",
        "accuracy": AUC.to_dict(),
        "macro_accuracy": macro,
        "chance_majority": 6 / 10,
        "chance_uniform": 1 / 3,
        "regions": ["hand", "knee"],
        "candidates": ["hand", "knee", "toe"],
        "confusion": [[3, 1, 0], [1, 4, 1]],
        "num_images": 30,
        "num_patients": 10,
    }


def test_retrieval_shows_recall_and_no_hits() -> None:
    results = [
        ranked("image to text", "recall", 1, 0.1),
        ranked("image to text", "hit", 1, 0.2),
        ranked("text to image", "recall", 5, 0.3),
    ]
    table = retrieval_table(results)
    assert table[["method", "direction", "metric", "k", "chance"]].to_numpy().tolist() == [
        ["zero-shot", "image to text", "recall", 1, 0.1],
        ["zero-shot", "text to image", "recall", 5, 0.3],
    ]
    assert retrieval_entry(results[1]) == {
        "direction": "image to text",
        "metric": "hit",
        "k": 1,
        "score": AUC.to_dict(),
        "chance": 0.2,
        "method": "zero-shot",
    }
