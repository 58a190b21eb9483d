"""The downstream tasks that a set of triplets can answer with its own labels, ages, masks and boxes.

The paper's eleven tasks belong to data sets that few hold. What makes each of them a task is found here in any data:
findings, region, age, concepts, masks, boxes. A task stays within one source (but for the region over all of them),
because telling two collections apart is no knowledge of films.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.anatomy import REGIONS
from pedclip.evaluation.tasks.concepts import CONCEPTS
from pedclip.evaluation.tasks.discover_annotations import (
    AllColumns,
    RowsBySplit,
    discover_boxes,
    discover_masks,
    is_enough,
    read_columns,
)
from pedclip.evaluation.tasks.findings import discover_findings
from pedclip.evaluation.tasks.labels import Row, read_labels
from pedclip.evaluation.tasks.protocols import protocol_of
from pedclip.evaluation.tasks.task import Task
from pedclip.findings import finding_name
from pedclip.triplets.splits import SPLITS

if TYPE_CHECKING:
    from datasets import Dataset

ADULT: Final = 216.0  # months
BONE_AGE_REGIONS: Final = ("hand", "wrist")  # where the atlases of bone age are read
MIN_REGIONS: Final = 5  # of a source, to be asked for the region within it
NO_FINDING: Final = "no finding"  # the class of images labelled normal
_GRADE: Final = re.compile(r"kl ?([0-4])")  # Kellgren and Lawrence
_GRADES: Final = tuple(f"grade {grade}" for grade in range(5))

Triplets = Mapping[str, "Dataset"]
Answer = Callable[[Row], float | None]  # None: the image takes no part


def discover_tasks(triplets: Triplets, *, min_positives: int = 5, max_box_classes: int = 0) -> list[Task]:
    """Every task that the splits can answer.

    Args:
        triplets: "train", "validation" and "test" of the triplet schema.
        min_positives: Images of a finding (of a class of boxes: boxes) that training and test each need, and as many
            without it; at least 1.
        max_box_classes: The most frequent classes of boxes that are asked for; 0 asks for all.

    Returns:
        Region; then per source region, named questions, findings, concepts, classes, grades, ages, masks and boxes. A
        finding is asked in the regions where the source shows it; an image that nobody labelled, or where the finding
        is uncertain, takes no part.

    Raises:
        ValueError: `min_positives` below 1, or rows without the columns needed.
    """
    if min_positives < 1:
        raise ValueError(f"min_positives must be at least 1, got {min_positives}")
    # Labels are read once; every task below is a function of them and decodes no picture.
    rows = {split: read_labels(triplets[split]) for split in SPLITS}
    columns = {split: read_columns(triplets[split]) for split in SPLITS}
    sources = sorted({row.source for row in rows["train"]})
    found = [_classes("body region", rows, _region, REGIONS)]
    for source in sources:
        # With one source this would be the first task again.
        if len(sources) > 1 and len({row.region for row in rows["train"] if row.source == source}) >= MIN_REGIONS:
            found.append(_classes(f"body region ({source})", rows, _of(source, _region), REGIONS))
        found += _named(source, rows, min_positives)
        found += _findings(source, rows, min_positives)
        found.append(_exclusive(source, rows, min_positives))
        found += _grades(source, rows, min_positives)
        found += _ages(source, rows, columns)
        found += discover_masks(source, rows, columns)
        found.append(discover_boxes(source, rows, columns, min_positives, max_box_classes or None))
    return [task for task in found if task is not None]


def _named(source: str, rows: RowsBySplit, least: int) -> list[Task | None]:
    """The questions of tasks.json, in the regions where the training images of the source show the finding."""
    column = protocol_of(source).column
    # Asked of the training images, so that no choice of a task has seen a test image.
    found = discover_findings([row for row in rows["train"] if row.source == source], least)
    return [
        _labels(f"{rule.name} ({source})", [rule.name], rows, [rule.label], least, paper=column(rule.paper))
        for rule in (task.require_rule() for task in found)
        if rule.is_named
    ]


def _findings(source: str, rows: RowsBySplit, least: int) -> list[Task | None]:
    """All findings as one task, those of the chest as another, and the six concepts of inflammatory arthritis.

    Source: of the concepts, PedCLIP, Fig. 4 right (decision P27): an independent probe for each.
    """
    # Regions in which training shows each finding: elsewhere its absence is no knowledge.
    shown: dict[str, set[str]] = {}
    for row in rows["train"]:
        for name in row.findings or () if row.source == source else ():
            shown.setdefault(name, set()).add(row.region)
    # A grade is no finding that is there or not; `_grades` asks for it.
    names = sorted(name for name in shown if not _GRADE.fullmatch(name))
    chest = [name for name in names if "chest" in shown[name]]
    concepts = [name for name in CONCEPTS if finding_name(CONCEPTS[name]) in shown]
    everywhere = [_of(source, _has(name, shown[name])) for name in names]
    in_chest = [_of(source, _has(name, {"chest"})) for name in chest]
    asked = [_of(source, _has(name, shown[name])) for name in (finding_name(CONCEPTS[one]) for one in concepts)]
    column = protocol_of(source).column("Pedi-CXR")
    # Where all findings are of the chest, both tasks are one.
    return [
        _labels(f"findings ({source})", names, rows, everywhere, least, paper=column if chest == names else ""),
        _labels(f"chest findings ({source})", chest, rows, in_chest, least, paper=column) if chest != names else None,
        _labels(f"concepts ({source})", concepts, rows, asked, least),
    ]


def _exclusive(source: str, rows: RowsBySplit, least: int) -> Task | None:
    """The finding of a film, or none, where it shows one at most: a multi-class task, scored by accuracy.

    All labelled films are of one region, as it would tell the finding elsewhere; grades are a task of their own. A
    class with too few images in training or test is not asked; without three classes there is no task.

    Source: the COVIDx task of MGCA and the synthetic-image study (COVID-19, other pneumonia, normal).
    """
    labelled = {
        split: [row for row in rows[split] if row.source == source and row.findings is not None] for split in SPLITS
    }
    entries = [row for part in labelled.values() for row in part]
    # One film with two findings, or a second region, and the question would be another.
    if len({row.region for row in entries}) != 1 or any(len(row.findings or ()) > 1 for row in entries):
        return None
    # Validation may lack a class: it chooses a penalty and scores nothing.
    counts = [Counter(_only(row) for row in labelled[split]) for split in ("train", "test")]
    names = sorted(name for name in counts[0] if name is not None and min(count[name] for count in counts) >= least)
    if NO_FINDING not in names or len(names) < 3 or any(_GRADE.fullmatch(name) for name in names):
        return None
    classes = [NO_FINDING, *(name for name in names if name != NO_FINDING)]
    answer = _of(source, lambda row: classes.index(name) if (name := _only(row)) in classes else None)
    return _classes(f"classes ({source})", rows, answer, classes)


def _grades(source: str, rows: RowsBySplit, least: int) -> list[Task | None]:
    """Kellgren-Lawrence grade, and grade 2 or more, the usual definition of osteoarthritis on a film."""
    if not any(_GRADE.fullmatch(name) for row in rows["train"] if row.source == source for name in row.findings or ()):
        return []
    # Grade 2, definite osteophytes, is where osteoarthritis begins (Kellgren and Lawrence, 1957).
    high = _of(source, lambda row: None if (grade := _grade(row)) is None else float(grade >= 2))
    return [
        _classes(f"grade ({source})", rows, _of(source, _grade), _GRADES),
        _labels(f"grade 2 or more ({source})", ["grade 2 or more"], rows, [high], least),
    ]


def _ages(source: str, rows: RowsBySplit, columns: AllColumns) -> list[Task]:
    """Bone age of hands and wrists; age of children and of adults apart, as one line would be fitted to the adults."""
    found = []
    for name, column, low, high, regions, paper in (
        ("bone age", "bone_age_months", 0.0, np.inf, BONE_AGE_REGIONS, "RSNA-BoneAge"),
        ("age under 18", "age_months", 0.0, ADULT, REGIONS, ""),
        ("age from 18", "age_months", ADULT, np.inf, REGIONS, ""),
    ):
        chosen, ages = {}, {}
        for split, entries in rows.items():
            values = columns[split].ages[column]
            # A mask over all images of the split, in their order.
            is_asked = np.array([row.source == source and row.region in regions for row in entries], dtype=bool)
            # A missing age is NaN and compares false.
            chosen[split] = np.flatnonzero(is_asked & (values >= low) & (values < high))
            ages[split] = values[chosen[split]]
        # One age for all would leave nothing to regress on.
        if is_enough(chosen) and np.ptp(ages["train"]) > 0:
            found.append(Task(f"{name} ({source})", "regression", (), chosen, ages, paper=paper))
    return found


def _classes(name: str, rows: RowsBySplit, answer: Answer, classes: Sequence[str]) -> Task | None:
    """A multi-class task; None unless training has two classes, and the test images two of two images each."""
    chosen, labels = _answers(rows, [answer])
    numbers = {split: values[:, 0].astype(np.int64) for split, values in labels.items()}
    # A class of one test image has an accuracy of 0 or 1.
    counts = np.unique(numbers["test"], return_counts=True)[1]
    if len(np.unique(numbers["train"])) < 2 or (counts >= 2).sum() < 2:
        return None
    return Task(name, "multi-class", tuple(classes), chosen, numbers)


def _labels(
    name: str, classes: Sequence[str], rows: RowsBySplit, answers: Sequence[Answer], least: int, *, paper: str = ""
) -> Task | None:
    """A multi-label task of the classes with enough images of both answers in training and test; None without."""
    if not answers:
        return None
    # Rare labels are left out first; then an image takes part that answers any of the rest.
    everywhere = {split: _table(entries, answers) for split, entries in rows.items()}
    kept = [
        column
        for column in range(len(answers))
        if all(
            (everywhere[split][:, column] == answer).sum() >= least for split in ("train", "test") for answer in (0, 1)
        )
    ]
    if not kept:
        return None
    chosen, labels = _answers(rows, [answers[column] for column in kept])
    return Task(name, "multi-label", tuple(classes[column] for column in kept), chosen, labels, paper=paper)


def _answers(
    rows: RowsBySplit, answers: Sequence[Answer]
) -> tuple[dict[str, NDArray[np.intp]], dict[str, NDArray[Any]]]:
    """By split, the images that answer anything (N,), and their answers (N, L)."""
    tables = {split: _table(entries, answers) for split, entries in rows.items()}
    chosen = {split: np.flatnonzero(~np.isnan(table).all(axis=1)) for split, table in tables.items()}
    return chosen, {split: tables[split][index] for split, index in chosen.items()}  # (N,), (N, L)


def _table(entries: list[Row], answers: Sequence[Answer]) -> NDArray[np.float64]:
    """(N, L), NaN where an image takes no part."""
    values = [[np.nan if (value := answer(row)) is None else value for answer in answers] for row in entries]
    return np.array(values, dtype=np.float64).reshape(len(entries), len(answers))


def _of(source: str, answer: Answer) -> Answer:
    return lambda row: answer(row) if row.source == source else None


def _has(name: str, regions: set[str]) -> Answer:
    return lambda row: None if row.region not in regions or (is_shown := row.shows([name])) is None else float(is_shown)


def _only(row: Row) -> str | None:
    """The finding of an image that shows one at most; None where that is not known."""
    if row.findings is None or row.uncertain:
        return None
    return next(iter(row.findings), NO_FINDING)


def _region(row: Row) -> float:
    return REGIONS.index(row.region)


def _grade(row: Row) -> float | None:
    """Kellgren-Lawrence grade; an image without a finding has grade 0."""
    # A film has one grade; a second one in its labels would be a mistake of the table.
    found = [int(match[1]) for name in row.findings or () if (match := _GRADE.fullmatch(name))]
    return found[0] if found else (0 if row.is_normal else None)
