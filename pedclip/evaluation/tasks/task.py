"""The task that a model is asked to do with a set of images, zero-shot or by what is fitted on top of it.

`discover_tasks` finds those that data can answer for fitting, `discover_findings` those for prompts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.tasks.finding_rule import FindingRule
from pedclip.evaluation.tasks.patient_split import Part, PatientSplit
from pedclip.triplets.splits import SPLITS

LabelKind = Literal["multi-label", "multi-class"]
TaskKind = LabelKind | Literal["regression", "masks", "boxes"]
Labels = Mapping[str, NDArray[Any]]  # by split


@dataclass(frozen=True, eq=False)
class Task:
    """A question, and the images and labels that answer it.

    Args:
        name: As it is reported; with the source in brackets, where no rule says it.
        kind: "multi-label", "multi-class", "regression", "masks" or "boxes".
        classes: Labels in the order of the columns or class numbers; for masks that are filled boxes, the labels of
            these; none for "regression" and other masks.
        rows: By split, (N,) positions of the images that take part; "test" alone where nothing is fitted.
        labels: By split, (N, L) 0, 1 or NaN for "multi-label", (N,) class numbers or (N,) ages in months;
            empty for masks and boxes, which `read_truth` reads.
        column: Of the triplets, for masks and boxes; "boxes" for masks that are filled boxes.
        flag: Bit of `pedclip.triplets.annotations`, for "structures".
        paper: Column of the paper's Tables 1 and 2 that asks the same, "" where none does.
        rule: That gave the labels of a binary task about findings, with its prompts; None where labels, ages or
            pictures were read as they are.
    """

    name: str
    kind: TaskKind
    classes: tuple[str, ...]
    rows: Mapping[str, NDArray[np.intp]]
    labels: Labels
    column: str = ""
    flag: int = 0
    paper: str = ""
    rule: FindingRule | None = None

    def require_rule(self) -> FindingRule:
        """The rule of a task that prompts can ask.

        Raises:
            ValueError: The task has none.
        """
        if self.rule is None:
            raise ValueError(f"{self.name} has no prompts; zero-shot takes the tasks of discover_findings")
        return self.rule

    def at_most(self, images: int) -> "Task":
        """A smaller task with fewer images to learn from, for heads that take long to train; the test images stay.

        Args:
            images: Training images kept, evenly spread over their order; validation keeps a third as many, at least 1.
        """
        # Evenly spread, because a table is often sorted by finding or by patient.
        kept = {split: np.arange(len(rows)) for split, rows in self.rows.items()}
        for split, most in (("train", images), ("validation", max(1, images // 3))):
            number = len(kept[split])
            if number > most:
                kept[split] = np.arange(most) * number // most
        # Positions in the data set, not in the larger task.
        rows = {split: self.rows[split][index] for split, index in kept.items()}
        # Empty for masks and boxes, which are read later by position.
        labels = {split: values[kept[split]] for split, values in self.labels.items()}
        return replace(self, rows=rows, labels=labels)

    def split(self, inputs: Labels, patients: Labels, truth: Labels | None = None) -> PatientSplit:
        """The split of the task.

        Args:
            inputs: By split, what is learned from, one per image of the split.
            patients: By split, one per image of the split.
            truth: By split, from `read_truth`, for masks and boxes.

        Raises:
            PatientLeak: As `PatientSplit`.
            ValueError: As `PatientSplit`, or masks or boxes without `truth`.
        """
        # Truth may be given for labels too, such as shuffled ones of a control.
        wanted = self.labels if truth is None else truth
        if not wanted:
            raise ValueError(f"{self.name}: pass the {self.kind} that read_truth returns")
        parts = [
            Part(inputs[split][self.rows[split]], wanted[split], np.asarray(patients[split])[self.rows[split]])
            for split in SPLITS
        ]
        return PatientSplit(*parts)
