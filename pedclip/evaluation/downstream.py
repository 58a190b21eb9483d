"""A downstream task over the three splits of a set of triplets; `find_downstream` finds those that data can answer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from pedclip.curation.splits import SPLITS
from pedclip.data.transforms import Preprocess
from pedclip.evaluation.crops import read_boxes, read_masks
from pedclip.evaluation.outcome import Outcome, Report
from pedclip.evaluation.probe import linear_probe
from pedclip.evaluation.regression import regress
from pedclip.evaluation.sides import Side, Sides

if TYPE_CHECKING:
    from datasets import Dataset

Kind = Literal["multi-label", "multi-class", "regression", "masks", "boxes"]
Labels = Mapping[str, NDArray[Any]]  # by split


@dataclass(frozen=True, eq=False)
class Downstream:
    """One task.

    Args:
        name: As it is reported, with the source in brackets.
        kind: "multi-label", "multi-class", "regression", "masks" or "boxes".
        classes: Labels in the order of the columns or class numbers; for masks that are filled boxes, the labels of
            these; none for "regression" and other masks.
        rows: By split, (N,) positions of the images that take part.
        labels: By split, (N, L) 0, 1 or NaN for "multi-label", (N,) class numbers or (N,) months; empty for masks and
            boxes, which `read_truth` reads.
        column: Of the triplets, for masks and boxes; "boxes" for masks that are filled boxes.
        flag: Bit of `pedclip.data.structures`, for "structures".
        paper: Column of the paper's Table 2 that asks the same, "" where none does.
    """

    name: str
    kind: Kind
    classes: tuple[str, ...]
    rows: Mapping[str, NDArray[np.intp]]
    labels: Labels
    column: str = ""
    flag: int = 0
    paper: str = ""

    def at_most(self, images: int) -> "Downstream":
        """The same task with fewer images to learn from, for heads that take long to train; the test images stay.

        Args:
            images: Training images kept, evenly spread over their order; validation keeps a third as many, at least 1.
        """
        kept = {split: np.arange(len(rows)) for split, rows in self.rows.items()}
        for split, most in (("train", images), ("validation", max(1, images // 3))):
            number = len(kept[split])
            if number > most:
                kept[split] = np.arange(most) * number // most
        rows = {split: self.rows[split][index] for split, index in kept.items()}
        labels = {split: values[kept[split]] for split, values in self.labels.items()}
        return replace(self, rows=rows, labels=labels)

    def sides(self, inputs: Labels, patients: Labels, truth: Labels | None = None) -> Sides:
        """The split of the task.

        Args:
            inputs: By split, what is learned from, one per image of the split.
            patients: By split, one per image of the split.
            truth: By split, from `read_truth`, for masks and boxes.

        Raises:
            PatientLeak: As `Sides`.
            ValueError: As `Sides`, or masks or boxes without `truth`.
        """
        answers = self.labels if truth is None else truth
        if not answers:
            raise ValueError(f"{self.name}: pass the {self.kind} that read_truth returns")
        parts = [
            Side(inputs[split][self.rows[split]], answers[split], np.asarray(patients[split])[self.rows[split]])
            for split in SPLITS
        ]
        return Sides(*parts)


def probe(task: Downstream, sides: Sides, report: Report, *, device: str = "cpu") -> Outcome:
    """The linear model of a task on frozen features: logistic regression for labels, ridge regression for months.

    Raises:
        ValueError: A task of masks or boxes, or as `linear_probe` and `regress`.
    """
    if task.kind == "regression":
        return regress(sides, report=report)
    if task.kind == "multi-label" or task.kind == "multi-class":
        return linear_probe(sides, task.classes, kind=task.kind, report=report, device=device)
    raise ValueError(f"{task.name}: a linear probe has no {task.kind}; see segment and detect")


def read_truth(task: Downstream, triplets: Mapping[str, "Dataset"], preprocess: Preprocess) -> dict[str, NDArray[Any]]:
    """The masks (N, size, size) or boxes (N,) of a task, by split, in the crop that the image encoder sees.

    Raises:
        ValueError: A task that is not of masks or boxes.
    """
    if task.kind not in ("masks", "boxes"):
        raise ValueError(f"{task.name} is of {task.kind}; only masks and boxes are read from the triplets")
    chosen = {split: triplets[split].select(task.rows[split]) for split in SPLITS}
    if task.kind == "boxes":
        return {split: read_boxes(part, preprocess, task.classes) for split, part in chosen.items()}
    return {
        split: read_masks(part, preprocess, column=task.column, flag=task.flag, classes=task.classes)[0]
        for split, part in chosen.items()
    }
