"""Downstream questions of the experiment to frozen encoders: without labels, then linear probes and heads on few."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.crop import read_truth
from pedclip.evaluation.downstream.head_curves import head_curve
from pedclip.evaluation.downstream.learning_curves import learning_curve
from pedclip.evaluation.downstream.run import DownstreamSettings, head_settings
from pedclip.evaluation.features import ImageModel, extract_features
from pedclip.evaluation.result import Result, Scoring
from pedclip.evaluation.tasks.discover import discover_tasks
from pedclip.evaluation.tasks.labels import read_labels
from pedclip.evaluation.tasks.task import Labels, Task
from pedclip.evaluation.zero_shot.shortcut_baseline import shortcut_features
from pedclip.synthesis.experiment.alignment import alignment
from pedclip.triplets.arrays import TripletArrays
from pedclip.triplets.splits import SPLITS
from pedclip.triplets.transforms import Preprocess

if TYPE_CHECKING:
    from datasets import DatasetDict

# Kind of task to question; one metric each, so that a mean over tasks is one. The paper's tables ask these, too: its
# CheXpert and RSNA are findings, its COVIDx is classes; here the body region is.
QUESTIONS: Final = {"multi-label": "findings", "multi-class": "classes", "masks": "segmentation", "boxes": "detection"}
_HEADS: Final = ("masks", "boxes")
_RESAMPLES: Final = 20  # of single results, which nobody reads: means over tasks and seeds are resampled as a whole

Scores = dict[tuple[str, float], list[Result]]  # (question, fraction of the labels) to tasks and subsamples


@dataclass(frozen=True)
class DownstreamOptions:
    """Options of all downstream tasks.

    Args:
        fractions: Of the training patients whose labels are used, each in (0, 1].
        subsamples: Subsamples of each fraction below 1 for probes, at least 1.
        head_subsamples: The same for heads; 0 asks for no masks and boxes.
        head_images: Training films of a task of masks at most; four times as many for boxes.
        head_epochs: Passes of a head over them, at least 1.
        profile: Of the heads, as for `head_settings`.
        batch_size: Films encoded at a time.
        device: Where to compute.
    """

    fractions: tuple[float, ...] = (0.01, 0.1, 1.0)
    subsamples: int = 3
    head_subsamples: int = 1
    head_images: int = 600
    head_epochs: int = 20
    profile: str = "demo"
    batch_size: int = 64
    device: str = "cpu"

    def __post_init__(self) -> None:
        # JSON and a command line bring lists.
        object.__setattr__(self, "fractions", tuple(self.fractions))
        if not self.fractions or not all(0 < one <= 1 for one in self.fractions):
            raise ValueError(f"fractions={self.fractions!r} is not allowed: at least one, each in (0, 1]")
        for name, least in (
            ("subsamples", 1),
            ("head_subsamples", 0),
            ("head_images", 1),
            ("head_epochs", 1),
            ("batch_size", 1),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)!r} is not allowed: at least {least}")


class DownstreamScorer:
    """The questions that some triplets answer, asked of one encoder after the other.

    Args:
        triplets: Real films of all three splits.
        films: The same as arrays, by split; the training films are those with labels, whatever was pre-trained on.
        preprocess: Of the encoders.
        options: How to ask.

    Raises:
        ValueError: The triplets have no labels to ask for.
    """

    def __init__(
        self,
        triplets: "DatasetDict",
        films: Mapping[str, TripletArrays],
        *,
        preprocess: Preprocess,
        options: DownstreamOptions,
    ) -> None:
        self.options, self._triplets, self._films = options, triplets, films
        self.patients: Labels = {split: np.asarray(films[split].patients) for split in SPLITS}
        found = [task for task in discover_tasks(triplets) if task.kind in QUESTIONS]
        if not found:
            raise ValueError("these films have no findings, masks or boxes to ask for")
        self.probes = [task for task in found if task.kind not in _HEADS]
        self.heads = [_fewer(task, options) for task in found if task.kind in _HEADS and options.head_subsamples]
        # Read once for all encoders: every one is asked for the same masks.
        self._labels = read_labels(triplets["test"])
        self._truth = [read_truth(task, triplets, preprocess) for task in self.heads]

    @property
    def test_patients(self) -> NDArray[Any]:
        """(P,) sorted and distinct."""
        return np.unique(self.patients["test"])

    def score(self, model: ImageModel, method: str) -> Scores:
        """Results of one encoder.

        Args:
            model: Frozen.
            method: As it is reported.

        Returns:
            By question and fraction, those of all tasks and subsamples; of an encoder that has texts also those of
            `alignment`, with the fraction 0.
        """
        options = self.options
        extracted = {
            split: extract_features(
                model,
                self._films[split].images,
                with_tokens=bool(self.heads),
                batch_size=options.batch_size,
                device=options.device,
            )
            for split in SPLITS
        }
        found: Scores = {}
        if hasattr(model, "encode_text"):
            known = self._films["test"], self._labels
            found |= alignment(model, *known, method, batch_size=options.batch_size, device=options.device)
        found |= self._probe({split: part.inputs("both") for split, part in extracted.items()}, method)
        if self.heads:
            # Tokens are asked for above wherever there is a head.
            tokens: Any = {split: part.tokens for split, part in extracted.items()}
            for task, truth in zip(self.heads, self._truth, strict=True):
                _add(
                    found, task, head_curve(task, {method: tokens}, self.patients, truth, self._settings, **self._heads)
                )
        return found

    def score_thumbnail(self, method: str = "thumbnail") -> Scores:
        """Results of 65 numbers per film: the questions of labels alone, as a thumbnail has no patches."""
        return self._probe({split: shortcut_features(self._triplets[split]) for split in SPLITS}, method)

    def _probe(self, inputs: Labels, method: str) -> Scores:
        found: Scores = {}
        for task in self.probes:
            scoring = Scoring(task.name, method, _RESAMPLES)
            curve = learning_curve(
                task,
                {method: inputs},
                self.patients,
                fractions=self.options.fractions,
                seeds=self.options.subsamples,
                scoring=scoring,
                device=self.options.device,
            )
            _add(found, task, curve)
        return found

    @property
    def _settings(self) -> DownstreamSettings:
        chosen = head_settings(self.options.profile, epochs=self.options.head_epochs, device=self.options.device)
        return DownstreamSettings(num_resamples=_RESAMPLES, device=self.options.device, **chosen)

    @property
    def _heads(self) -> dict[str, Any]:
        return {"fractions": self.options.fractions, "seeds": self.options.head_subsamples}


def _fewer(task: Task, options: DownstreamOptions) -> Task:
    # Films with a box are few among those of the task; a mask is on each.
    return task.at_most(options.head_images * (4 if task.kind == "boxes" else 1))


def _add(found: Scores, task: Task, curve: Mapping[tuple[str, float], Sequence[Result]]) -> None:
    for (_, fraction), results in curve.items():
        found.setdefault((QUESTIONS[task.kind], fraction), []).extend(results)
