"""The rule that answers a question about findings from the labels of an image: present, absent, or no part in it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.tasks.labels import Row
from pedclip.evaluation.tasks.prompts import PromptPair


@dataclass(frozen=True)
class FindingRule:
    """A question about findings with two answers, and the sentences that ask it.

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
        # An image that nobody labelled says nothing, not even "normal".
        if row.findings is None or (self.source and row.source != self.source):
            return None
        if self.regions and row.region not in self.regions:
            return None
        is_positive = row.shows(self.positive)
        if isinstance(self.negative, tuple):
            # Both, neither or an open question: the image is of no use to tell one from the other.
            is_negative = row.shows(self.negative)
            return None if None in (is_positive, is_negative) or is_positive == is_negative else int(bool(is_positive))
        if is_positive:
            return 1
        # "rest" takes images with other findings too, as long as the one asked for is not left open.
        return 0 if row.is_normal or (self.negative == "rest" and is_positive is False) else None

    def select(self, rows: Sequence[Row]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The images that take part, perhaps none.

        Args:
            rows: Labels of a list of images.

        Returns:
            (N,) positions in the list, and (N,) labels 1 or 0.
        """
        # None, no part in the question, is another thing than 0.
        labels = [self.label(row) for row in rows]
        indices = [position for position, label in enumerate(labels) if label is not None]
        return np.array(indices, dtype=np.intp), np.array([labels[i] for i in indices], dtype=np.float64)
