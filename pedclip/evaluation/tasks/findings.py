"""Binary questions about findings, and which labelled images may answer them.

A task stays within one source, because positives of one data set against negatives of another measure the scanner.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.metrics.bootstrap import can_resample
from pedclip.evaluation.tasks.labels import Row, read_labels
from pedclip.evaluation.tasks.prompts import PromptPair, prompt_pair
from pedclip.findings import finding_name


@dataclass(frozen=True)
class FindingRule:
    """A question with two answers.

    Args:
        name: As it is reported.
        positive: Normalized findings, any of which makes an image positive.
        negative: Findings, any of which makes it negative (an image with findings of both kinds takes no part);
            "normal": labelled, and nothing found; "rest": labelled, and none of `positive`.
        prompts: Sentences for the two answers.
        regions: Images of these regions only; empty means all.
        source: Images of this data set only; empty means all.
        paper: Column of the paper's Tables 1 and 2 that asks the same, "" where none does.
        is_named: A question of tasks.json, not one made of a single finding.
    """

    name: str
    positive: tuple[str, ...]
    negative: tuple[str, ...] | str
    prompts: PromptPair
    regions: tuple[str, ...] = ()
    source: str = ""
    paper: str = ""
    is_named: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.negative, str) and self.negative not in ("normal", "rest"):
            raise ValueError(
                f"task {self.name!r}: negative must be a tuple of findings, 'normal' or 'rest', got {self.negative!r}"
            )

    def label(self, row: Row) -> int | None:
        """1, 0, or None where the image takes no part: one that is unlabelled, or whose answer is uncertain."""
        if row.findings is None or (self.source and row.source != self.source):
            return None
        if self.regions and row.region not in self.regions:
            return None
        is_positive = row.shows(self.positive)
        if isinstance(self.negative, tuple):
            is_negative = row.shows(self.negative)
            return None if None in (is_positive, is_negative) or is_positive == is_negative else int(bool(is_positive))
        if is_positive:
            return 1
        return 0 if row.is_normal or (self.negative == "rest" and is_positive is False) else None

    def select(self, rows: Iterable[Row | Mapping[str, Any]]) -> "TaskRows":
        """The images that take part, with their labels; perhaps none."""
        labels = [self.label(row) for row in read_labels(rows)]
        indices = [position for position, label in enumerate(labels) if label is not None]
        return TaskRows(self, np.array(indices, dtype=np.intp), np.array([labels[i] for i in indices], dtype=np.int64))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for metrics.json."""
        return {
            "name": self.name,
            "source": self.source,
            "positive": list(self.positive),
            "negative": self.negative if isinstance(self.negative, str) else list(self.negative),
            "regions": list(self.regions),
            "prompts": self.prompts.to_dict(),
        }


@dataclass(frozen=True, eq=False)
class TaskRows:
    """The images of a list that take part in a task.

    Args:
        task: The question.
        indices: (N,) positions in the list of rows.
        labels: (N,) 1 or 0.
    """

    task: FindingRule
    indices: NDArray[np.intp]
    labels: NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for metrics.json: the task and how many images it has, not which."""
        num_positives = int(self.labels.sum())
        counts = {"num_positives": num_positives, "num_negatives": len(self.labels) - num_positives}
        return self.task.to_dict() | counts


@cache
def named_tasks() -> tuple[FindingRule, ...]:
    """The questions of tasks.json, not yet bound to a source."""
    stored = json.loads(files(__package__).joinpath("tasks.json").read_text(encoding="utf-8"))
    return tuple(_read_task(entry) for entry in stored)


def discover_findings(rows: Iterable[Row | Mapping[str, Any]], min_positives: int = 5) -> list[TaskRows]:
    """Every task that the labels of a data set can answer.

    These are, within each source, the named tasks and one task per finding against the rest. Both answers come from
    regions where the positive finding occurs in that source; an image that nobody labelled takes no part.

    Args:
        rows: Rows of the triplet schema.
        min_positives: Images needed of each answer, at least 1; they must also come from two patients each.

    Returns:
        Per source, in alphabetical order: named tasks, then findings in alphabetical order.

    Raises:
        ValueError: `min_positives` below 1, or rows without the columns needed.
    """
    if min_positives < 1:
        raise ValueError(f"min_positives must be at least 1, got {min_positives}")
    labels = read_labels(rows)
    found = []
    for source in sorted({row.source for row in labels}):
        of_source = [row for row in labels if row.source == source]
        findings = sorted({finding for row in of_source for finding in row.findings or ()})
        for task in (*named_tasks(), *(_one_against_rest(finding) for finding in findings)):
            bound = _bind(task, of_source, source).select(labels)
            if _is_answerable(bound, labels, min_positives):
                found.append(bound)
    return found


def _bind(task: FindingRule, rows: list[Row], source: str) -> FindingRule:
    """The task within one source and the regions where its positives occur there."""
    positive_rows = [row for row in rows if not (row.findings or frozenset()).isdisjoint(task.positive)]
    shown = {row.region for row in positive_rows}
    # Without a positive in the regions of the task these stay, and its images have one answer only.
    regions = tuple(sorted(shown.intersection(task.regions) if task.regions else shown)) or task.regions
    prompts = task.prompts
    if len(task.positive) == 1 and task.negative == "rest" and len(regions) == 1:
        prompts = prompt_pair(task.positive[0], regions[0])
    return replace(task, regions=regions, source=source, prompts=prompts)


def _one_against_rest(finding: str) -> FindingRule:
    return FindingRule(name=finding, positive=(finding,), negative="rest", prompts=prompt_pair(finding))


def _is_answerable(bound: TaskRows, rows: list[Row], min_positives: int) -> bool:
    for label in (1, 0):
        images = bound.indices[bound.labels == label]
        if len(images) < min_positives or not can_resample([rows[i].patient for i in images]):
            return False
    return True


def _read_task(entry: dict[str, Any]) -> FindingRule:
    negative = entry["negative"]
    return FindingRule(
        name=entry["name"],
        positive=tuple(finding_name(finding) for finding in entry["positive"]),
        negative=negative if isinstance(negative, str) else tuple(finding_name(finding) for finding in negative),
        prompts=PromptPair(tuple(entry["positive_prompts"]), tuple(entry["negative_prompts"])),
        regions=tuple(entry.get("regions", ())),
        paper=entry.get("paper", ""),
        is_named=True,
    )
