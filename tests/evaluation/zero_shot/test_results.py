"""Tables hold the numbers of the results, one row each."""

from pedclip.evaluation.metrics.bootstrap import Interval
from pedclip.evaluation.zero_shot.results import (
    RegionResult,
    RetrievalResult,
    RetrievalScore,
    TaskResult,
    region_table,
    retrieval_table,
    task_table,
)

AUC = Interval(0.8, 0.7, 0.9, num_items=30, num_groups=10)


def test_a_task_carries_its_source_only_where_the_name_is_shared() -> None:
    results = [
        TaskResult("fracture", "a", "zero-shot", AUC, 10, 20, 9),
        TaskResult("fracture", "b", "zero-shot", Interval(0.6, 0.5, 0.65, 5, 5), 2, 3, 5),
        TaskResult("effusion", "b", "zero-shot", AUC, 4, 5, 6),
        TaskResult("effusion", "b", "shortcut", AUC, 4, 5, 6),
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
        "patients": 5,
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
    result = RegionResult(
        "zero-shot", AUC, 0.75, 0.4, 1 / 23, ("hand", "knee"), ("hand", "knee"), ((3, 1), (1, 5)), 10, 8
    )
    expected = {"method": "zero-shot", "value": 0.8, "low": 0.7, "high": 0.9, "macro": 0.75, "chance": 0.4}
    assert region_table([result]).to_dict("records") == [expected]


def test_retrieval_shows_recall_and_no_hits() -> None:
    scores = (
        RetrievalScore("image to text", "recall", 1, AUC, 0.1),
        RetrievalScore("image to text", "hit", 1, AUC, 0.2),
        RetrievalScore("text to image", "recall", 5, AUC, 0.3),
    )
    table = retrieval_table([("zero-shot", RetrievalResult(scores, 30, 20))])
    assert table[["method", "direction", "metric", "k", "chance"]].to_numpy().tolist() == [
        ["zero-shot", "image to text", "recall", 1, 0.1],
        ["zero-shot", "text to image", "recall", 5, 0.3],
    ]
