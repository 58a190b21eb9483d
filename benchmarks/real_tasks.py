"""Questions that real packs can answer with their labels: region, pneumonia, bone tumor, grade of osteoarthritis."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.probe import Metric
from pedclip.anatomy import REGIONS
from pedclip.evaluation.rows import Row
from pedclip.evaluation.tasks import find_tasks

NAMED: Final = ("bacterial vs viral pneumonia", "bone tumor vs none")  # of pedclip/evaluation/tasks.json
_GRADE: Final = re.compile(r"kl ?([0-4])")
MIN_REGIONS: Final = 5  # of a pack, to be asked for the region within it
_MIN_CLASS: Final = 2  # test films of the rarer answer


@dataclass(frozen=True, eq=False)
class Question:
    """One task over the splits.

    Attributes:
        name: As it is reported; the pack in brackets unless it is asked of all.
        metric: "auc" for labels 0 and 1, "accuracy" for classes.
        rows: Split to the positions of the films that take part.
        labels: Split to their labels.
    """

    name: str
    metric: Metric
    rows: Mapping[str, NDArray[np.intp]]
    labels: Mapping[str, NDArray[np.int64]]


def find_questions(rows: Mapping[str, list[Row]]) -> list[Question]:
    """Every question of this module that the packs can answer.

    Args:
        rows: "train", "validation" and "test".

    Returns:
        Region over all packs; region within each pack that shows several, where the style of a pack gives nothing
        away; the named tasks; Kellgren-Lawrence grade, and grade 2 or more against less.

    Raises:
        ValueError: None can be answered.
    """
    asked = [_ask("body region (all packs)", "accuracy", rows, _region)]
    for source in sorted({row.source for row in rows["train"]}):
        if len({row.region for row in rows["train"] if row.source == source}) >= MIN_REGIONS:
            asked.append(_ask(f"body region ({source})", "accuracy", rows, _region_in(source)))
    for bound in find_tasks(rows["train"]):
        if bound.task.name in NAMED:
            asked.append(_ask(f"{bound.task.name} ({bound.task.source})", "auc", rows, bound.task.label))
    graded = {row.source for row in rows["train"] if any(_GRADE.fullmatch(name) for name in row.findings or ())}
    for source in sorted(graded):
        asked.append(_ask(f"knee grade 0 to 4 ({source})", "accuracy", rows, _grade_in(source)))
        asked.append(_ask(f"knee grade 2 or more ({source})", "auc", rows, _is_high_in(source)))
    answered = [question for question in asked if _is_answerable(question)]
    if not answered:
        raise ValueError("these packs have no label that a probe could learn and be tested on")
    return answered


def _ask(name: str, metric: Metric, rows: Mapping[str, list[Row]], label: Callable[[Row], int | None]) -> Question:
    given = {split: [label(row) for row in entries] for split, entries in rows.items()}
    return Question(
        name,
        metric,
        {split: np.flatnonzero([one is not None for one in labels]) for split, labels in given.items()},
        {split: np.array([one for one in labels if one is not None], np.int64) for split, labels in given.items()},
    )


def _region(row: Row) -> int:
    return REGIONS.index(row.region)


def _region_in(source: str) -> Callable[[Row], int | None]:
    return lambda row: _region(row) if row.source == source else None


def _grade_in(source: str) -> Callable[[Row], int | None]:
    """Grade of a film of one pack; a film without a finding has grade 0."""

    def grade(row: Row) -> int | None:
        if row.source != source or row.findings is None:
            return None
        found = [int(match[1]) for name in row.findings if (match := _GRADE.fullmatch(name))]
        return found[0] if found else (None if row.findings else 0)

    return grade


def _is_high_in(source: str) -> Callable[[Row], int | None]:
    """1 from grade 2 on, the usual definition of osteoarthritis on a film, else 0."""
    grade = _grade_in(source)

    def is_high(row: Row) -> int | None:
        found = grade(row)
        return None if found is None else int(found >= 2)

    return is_high


def _is_answerable(question: Question) -> bool:
    """At least two classes to learn, and two to be tested on with two films or more each."""
    _, counts = np.unique(question.labels["test"], return_counts=True)
    return len(np.unique(question.labels["train"])) > 1 and (counts >= _MIN_CLASS).sum() > 1
