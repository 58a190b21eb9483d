"""Binary tasks about findings, each with the prompts that ask for it: what zero-shot scoring is measured on.

A task stays within one source, because positives of one data set against negatives of another measure the scanner.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any, Final

from pedclip.evaluation.metrics.bootstrap import can_resample
from pedclip.evaluation.tasks.finding_rule import FindingRule
from pedclip.evaluation.tasks.labels import Row, read_labels
from pedclip.evaluation.tasks.prompts import PromptPair, prompt_pair
from pedclip.evaluation.tasks.protocols import protocol_of
from pedclip.evaluation.tasks.task import Task
from pedclip.findings import finding_name

_CHEST: Final = "Pedi-CXR"  # column of the paper's tables


@cache
def named_rules() -> tuple[FindingRule, ...]:
    """The questions of tasks.json, not yet bound to a source."""
    stored = json.loads(files(__package__).joinpath("tasks.json").read_text(encoding="utf-8"))
    return tuple(_read_rule(entry) for entry in stored)


def discover_findings(rows: Iterable[Row | Mapping[str, Any]], min_positives: int = 5) -> list[Task]:
    """Every task that the labels of a data set can answer.

    These are, within each source, the named tasks and one task per finding against the rest. Both answers come from
    regions where the positive finding occurs in that source; an image that nobody labelled takes no part.

    Args:
        rows: Rows of the triplet schema.
        min_positives: Images needed of each answer, at least 1; they must also come from two patients each.

    Returns:
        Per source, in alphabetical order: named tasks, then findings in alphabetical order. The images of each are
        its "test" part.

    Raises:
        ValueError: `min_positives` below 1, or rows without the columns needed.
    """
    if min_positives < 1:
        raise ValueError(f"min_positives must be at least 1, got {min_positives}")
    labels = read_labels(rows)
    found = []
    for source in sorted({row.source for row in labels}):
        # The rule names its source, so that it finds its own images among all of them.
        of_source = [row for row in labels if row.source == source]
        # Sorted, so that the order of rows does not change the order of tasks.
        findings = sorted({finding for row in of_source for finding in row.findings or ()})
        for rule in (*named_rules(), *(_one_against_rest(finding) for finding in findings)):
            task = finding_task(_bind(rule, of_source, source), labels)
            if _is_answerable(task, labels, min_positives):
                found.append(task)
    return found


def discover_chest_findings(rows: Iterable[Row | Mapping[str, Any]], min_positives: int = 5) -> list[Task]:
    """The findings of the chest, each against the rest of the chests: the mean of them is the column "Pedi-CXR".

    Args:
        rows: As for `discover_findings`.
        min_positives: As for `discover_findings`.

    Returns:
        Per source whose films may stand beside that column, tasks called "FINDING, chest" in alphabetical order.

    Raises:
        ValueError: As `discover_findings`.

    Source: PedCLIP, Table 1, zero-shot on the labels of Pedi-CXR (decision P20); all of its films are of the chest.
    """
    labels = read_labels(rows)
    chests = [row for row in labels if row.region == "chest" and protocol_of(row.source).column(_CHEST)]
    found = []
    # Found among chests, then asked of all rows, so that positions are those of the list given.
    for task in discover_findings(chests, min_positives):
        rule = task.require_rule()
        # Questions with a name have columns of their own.
        if not rule.is_named:
            found.append(finding_task(replace(rule, name=f"{rule.name}, chest", paper=_CHEST), labels))
    return found


def finding_task(rule: FindingRule, rows: Sequence[Row]) -> Task:
    """The task of a rule on images to score, which are its "test" part whatever their split is called."""
    indices, labels = rule.select(rows)
    return Task(
        name=rule.name,
        kind="multi-label",
        classes=(rule.name,),
        rows={"test": indices},
        labels={"test": labels[:, None]},  # (N, 1)
        paper=rule.paper,
        rule=rule,
    )


def _bind(rule: FindingRule, rows: list[Row], source: str) -> FindingRule:
    """The rule within one source and the regions where its positives occur there."""
    # Where the finding is shown at all; elsewhere its absence would be known from the region.
    positive_rows = [row for row in rows if not (row.findings or frozenset()).isdisjoint(rule.positive)]
    shown = {row.region for row in positive_rows}
    # Without a positive in the regions of the rule these stay, and its images have one answer only.
    regions = tuple(sorted(shown.intersection(rule.regions) if rule.regions else shown)) or rule.regions
    prompts = rule.prompts
    if len(rule.positive) == 1 and rule.negative == "rest" and len(regions) == 1:
        # Sentences may name the region where there is only one.
        prompts = prompt_pair(rule.positive[0], regions[0])
    return replace(rule, regions=regions, source=source, prompts=prompts)


def _one_against_rest(finding: str) -> FindingRule:
    return FindingRule(name=finding, positive=(finding,), negative="rest", prompts=prompt_pair(finding))


def _is_answerable(task: Task, rows: list[Row], min_positives: int) -> bool:
    # With one patient of an answer, most resamples would lack it.
    for label in (1, 0):
        images = task.rows["test"][task.labels["test"][:, 0] == label]
        if len(images) < min_positives or not can_resample([rows[i].patient for i in images]):
            return False
    return True


def _read_rule(entry: dict[str, Any]) -> FindingRule:
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
