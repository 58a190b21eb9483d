"""The tasks of masks and boxes that a set of triplets can answer; `discover_tasks` asks for them per source."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.tasks.labels import Row
from pedclip.evaluation.tasks.protocols import protocol_of
from pedclip.evaluation.tasks.task import Task
from pedclip.triplets.annotations import BONE, LUNG
from pedclip.triplets.splits import SPLITS

if TYPE_CHECKING:
    from datasets import Dataset

MIN_IMAGES: Final = 20  # training images of an age, a mask or a box
# Boxes that the papers fill in to get masks: name of the task, label of the box, column of PedCLIP's Table 2.
_FILLED: Final = (
    ("fracture masks", "fracture", "GRAZPEDWRI-DX segmentation"),
    ("lung opacity masks", "lung opacity", ""),
)

RowsBySplit = Mapping[str, list[Row]]  # by split
Chosen = dict[str, NDArray[np.intp]]  # by split, positions of images


@dataclass(frozen=True)
class Columns:
    """Columns of a split that tasks need beside its labels: ages, given masks, and the labels of its boxes."""

    ages: Mapping[str, NDArray[np.float64]]  # column to (N,) months, NaN where unknown
    given: Mapping[str, NDArray[np.bool_]]  # column to (N,)
    box_labels: Sequence[Sequence[str]]  # (N,)


AllColumns = Mapping[str, Columns]  # by split


def read_columns(split: "Dataset") -> Columns:
    """The columns of a split, without decoding a picture."""
    return Columns(
        ages={name: np.array(split[name], dtype=np.float64) for name in ("bone_age_months", "age_months")},
        given={name: _given(split, name) for name in ("structures", "mask")},
        box_labels=[[box["label"] for box in boxes or ()] for boxes in split["boxes"]],
    )


def discover_masks(source: str, rows: RowsBySplit, columns: AllColumns) -> list[Task]:
    """Masks (H, W) of structures and of findings, of the images that have one.

    Where enough images show a fracture and nothing else, the masks asked for are theirs, as in the paper; else all.
    Where a source has no masks at all, the boxes of fractures and of opacities are filled in instead.

    Images without the finding take part, with an empty mask, only where the protocol of the source says so
    (`pedclip.evaluation.tasks.protocols`): elsewhere nobody says whether no mask means that nothing is there.
    """
    found: list[Task] = []
    for name, column, flag, asked, paper in (
        ("lungs", "structures", LUNG, lambda row: row.region == "chest", ""),
        ("bones", "structures", BONE, lambda row: row.region != "chest", ""),
        ("fracture masks", "mask", 0, lambda row: row.findings == {"fracture"}, "GRAZPEDWRI-DX segmentation"),
        ("masks", "mask", 0, lambda row: True, ""),
    ):
        chosen = _choose(rows, columns, source, lambda row, own: asked(row), given=column)  # noqa: B023
        # The masks of fractures come first: where they make a task, all masks do not make another.
        if is_enough(chosen) and not any(task.column == column == "mask" for task in found):
            if column == "mask":
                chosen = _with_empty(chosen, rows, source)
            found.append(Task(f"{name} ({source})", "masks", (), chosen, {}, column, flag, paper))
    # A single real mask says that this source has masks, and filled boxes would compete with them.
    masks = _choose(rows, columns, source, lambda row, own: True, given="mask")
    return found if any(map(len, masks.values())) else found + _filled(source, rows, columns)


def _filled(source: str, rows: RowsBySplit, columns: AllColumns) -> list[Task]:
    """Masks that are filled boxes, of the images that have such a box, whatever else these show.

    A box tells the fracture from the cast or the periosteal reaction beside it, so that, unlike a joint mask, it needs
    no film with a fracture alone. A fracture without a box was not annotated, and a film without a fracture has nothing
    to be outlined (P22 is silent on both).

    Source: PedCLIP, decision P22; MGCA's public code for RSNA Pneumonia (methods of the baselines, section 4).
    """
    found = []
    for name, label, paper in _FILLED:
        chosen = _choose(rows, columns, source, lambda row, own: label in own)  # noqa: B023
        if is_enough(chosen):
            chosen = _with_empty(chosen, rows, source)
            found.append(Task(f"{name} ({source})", "masks", (label,), chosen, {}, "boxes", paper=paper))
    return found


def _with_empty(chosen: Chosen, rows: RowsBySplit, source: str) -> Chosen:
    """The images with a mask, and those that the protocol of the source adds with an empty one, in their order."""
    rule = protocol_of(source).empty_masks
    if rule is None:
        return chosen
    joined = {}
    for split, own in chosen.items():
        empty = np.flatnonzero([row.source == source and row.shows([rule.finding]) is False for row in rows[split]])
        if split == "train" and rule.training == "equal" and len(empty) > len(own):
            empty = empty[np.arange(len(own)) * len(empty) // len(own)]  # evenly over their order
        joined[split] = np.union1d(own, empty)
    return joined


def discover_boxes(source: str, rows: RowsBySplit, columns: AllColumns, least: int, most: int | None) -> Task | None:
    """Boxes (K,) of the classes that are frequent enough, on images that have one and on those labelled normal.

    An image with a finding and without a box may simply not have been annotated, so it takes no part.

    Args:
        source: Name of the data set.
        rows: By split.
        columns: By split.
        least: Boxes of a class that training and test each need.
        most: Classes at most, the most frequent ones; None means all.
    """
    labels = {split: columns[split].box_labels for split in SPLITS}
    counts = {
        split: Counter(
            label for row, own in zip(rows[split], labels[split], strict=True) if row.source == source for label in own
        )
        for split in SPLITS
    }
    # Ranked by training alone, so that the test part decides nothing but whether a class can be scored.
    ranked = [name for name, count in counts["train"].most_common() if min(count, counts["test"][name]) >= least]
    classes = tuple(ranked[:most])
    chosen = _choose(
        rows,
        columns,
        source,
        # Boxes of rare classes alone make no negative: something is there that the task does not ask for.
        lambda row, own: row.is_normal if not own else not set(classes).isdisjoint(own),
    )
    if not classes or not is_enough(chosen):
        return None
    return Task(f"boxes ({source})", "boxes", classes, chosen, {}, "boxes")


def is_enough(chosen: Mapping[str, NDArray[np.intp]]) -> bool:
    """True where there are images (N,) enough to train on, and two to test on."""
    return len(chosen["train"]) >= MIN_IMAGES and len(chosen["test"]) >= 2


def _choose(
    rows: RowsBySplit,
    columns: AllColumns,
    source: str,
    asked: Callable[[Row, Sequence[str]], bool],
    *,
    given: str = "",
) -> Chosen:
    """Images of a source, asked for by row and labels of boxes; with `given`, those that have this picture."""
    chosen = {}
    for split, entries in rows.items():
        labels = columns[split].box_labels
        taken = [row.source == source and asked(row, own) for row, own in zip(entries, labels, strict=True)]
        has_picture = columns[split].given[given] if given else True
        chosen[split] = np.flatnonzero(np.array(taken, dtype=bool) & has_picture)
    return chosen


def _given(split: "Dataset", column: str) -> NDArray[np.bool_]:
    """(N,) true where a picture is there, without decoding it."""
    # Arrow keeps validity apart from the bytes of the pictures.
    parts = split.select_columns([column]).with_format("arrow").iter(batch_size=1000)
    return np.array([valid for part in parts for valid in part[column].is_valid().to_pylist()], dtype=bool)
