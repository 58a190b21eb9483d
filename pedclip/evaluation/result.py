"""One result of one method on one task, and the scoring that makes it; zero-shot and downstream alike."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.metrics.bootstrap import Interval, Metric, Record, can_resample
from pedclip.evaluation.tasks.patient_split import PatientSplit


@dataclass(frozen=True)
class ClassScore(Record):
    """One class of a task.

    Args:
        name: Of the finding, region, concept or kind of box.
        score: With its interval; None where the test images cannot tell, for example without a positive.
        num_positives: Test images (for boxes: boxes) of the class.
        num_items: Test images that answer for the class.
    """

    name: str
    score: Interval | None
    num_positives: int
    num_items: int


@dataclass(frozen=True)
class Confusion:
    """Images of each true class by answer.

    Args:
        truth: (T,) names of the classes that are present.
        answers: (L,) names of the candidates.
        counts: (T, L) images; each row has at least one.
    """

    truth: tuple[str, ...]
    answers: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def macro_accuracy(self) -> float:
        """Mean over true classes of the accuracy within each, in [0, 1]; a class that is no candidate has 0."""
        # A diagonal would not do: the rows may hold classes that nobody could answer.
        correct = [
            row[self.answers.index(name)] if name in self.answers else 0
            for name, row in zip(self.truth, self.counts, strict=True)
        ]
        return float((np.array(correct, dtype=np.float64) / np.array(self.counts).sum(axis=1)).mean())  # (T,) -> ()

    @property
    def chance_majority(self) -> float:
        """Accuracy of always answering the most frequent true class, in [0, 1]."""
        # Rows of the confusion add up to the images of each true class.
        images = np.array(self.counts).sum(axis=1)  # (T,)
        return float(images.max() / images.sum())

    @property
    def chance_uniform(self) -> float:
        """Accuracy of guessing among the candidates, in [0, 1]."""
        return 1 / len(self.answers)


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions behind a score, for a paired comparison with another model.

    Args:
        metric: That gave the score.
        truth: Of the N test images.
        output: Of the model for the N test images, as the metric takes it.
        patients: (N,) patient of each test image.
    """

    metric: Metric
    truth: Any
    output: Any
    patients: NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Result(Record):
    """Score of one method on one task, with what it stands beside.

    Args:
        task: As it is reported; for retrieval, the direction.
        method: Such as "zero-shot", "shortcut", "linear probe" or "fine-tuned".
        metric: "AUC", "accuracy", "Dice", "mAP", "MAE", "recall" or "hit".
        score: On the test patients.
        unit: "" for fractions, "months" for ages.
        source: Data set, where the name of the task does not say it.
        classes: One per class; empty where there are none.
        baseline: What needs no image: chance, the commonest class, or the mean of the training images.
        baseline_name: Which of them.
        fraction: Of the training patients used, in (0, 1].
        seed: Of that subsample.
        num_train: Images fitted on; 0 for zero-shot.
        num_train_patients: Patients fitted on.
        num_validation: Images that the settings were chosen on.
        confusion: Of regions.
        settings: Values by name, such as the penalty of each class, the epoch and the seed of a head, or the K of
            retrieval.
        predictions: Behind the score; None where nobody compares them.
    """

    task: str
    method: str
    metric: str
    score: Interval
    unit: str = ""
    source: str = ""
    classes: tuple[ClassScore, ...] = ()
    baseline: float
    baseline_name: str
    fraction: float = 1.0
    seed: int = 0
    # Zero-shot fits nothing, hence the zeros.
    num_train: int = 0
    num_train_patients: int = 0
    num_validation: int = 0
    confusion: Confusion | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    # Left out of equality: arrays have no single truth value.
    predictions: Predictions | None = field(default=None, compare=False, repr=False)

    def require_predictions(self) -> Predictions:
        """The predictions, for a paired comparison.

        Raises:
            ValueError: They were not kept.
        """
        # A clear error, where comparing None would end in one about types.
        if self.predictions is None:
            raise ValueError(f"{self.task}, {self.method}: the predictions were not kept; score the task again")
        return self.predictions

    def to_dict(self) -> dict[str, Any]:
        """Plain values for metrics.json, in which the fraction is called "share"; predictions stay in memory."""
        values: dict[str, Any] = {
            "task": self.task,
            "method": self.method,
            "metric": self.metric,
            "unit": self.unit,
            "score": self.score.to_dict(),
            "classes": [one.to_dict() for one in self.classes],
            "baseline": self.baseline,
            "baseline_name": self.baseline_name,
            # The key is older than the word, and result files keep it.
            "share": self.fraction,
            "seed": self.seed,
            "num_train": self.num_train,
            "num_train_patients": self.num_train_patients,
            "num_validation": self.num_validation,
            "settings": dict(self.settings),
        }
        # Left out where a task has none, so that every entry of a kind of task has the same keys.
        if self.source:
            values["source"] = self.source
        if self.confusion is not None:
            values["confusion"] = asdict(self.confusion)
        return values


@dataclass(frozen=True)
class Scoring:
    """Names and bootstrap of a result.

    Args:
        task: As it is reported.
        method: As it is reported.
        num_resamples: Of the bootstrap over patients.
        seed: Of the bootstrap.
    """

    task: str
    method: str
    num_resamples: int = 1000
    seed: int = 0

    def bootstrap(self, metric: Metric, truth: Any, output: Any, patients: Any) -> Interval:
        """The metric with its interval over patients."""
        return metric.bootstrap(truth, output, patients, num_resamples=self.num_resamples, seed=self.seed)

    def bootstrap_if_possible(self, metric: Metric, truth: Any, output: Any, patients: NDArray[Any]) -> Interval | None:
        """The metric with its interval, None where fewer than two of the patients (N,) answer."""
        # A class that one patient shows has a value but no interval, so it is not scored.
        return self.bootstrap(metric, truth, output, patients) if can_resample(patients) else None

    def result(
        self,
        split: PatientSplit,
        metric: Metric,
        output: Any,
        *,
        name: str,
        unit: str = "",
        classes: Sequence[ClassScore] = (),
        baseline: tuple[float, str],
        settings: Mapping[str, Any],
    ) -> Result:
        """Score of the output for the test images of a split, with what was fitted on and the predictions.

        Args:
            split: The task; only its test part is scored.
            metric: Of `pedclip.evaluation.metrics`.
            output: Of the model for the test images, as the metric takes it.
            name: Of the metric, as it is reported.
            unit: Of the metric.
            classes: Scores within each class.
            baseline: Value of what needs no image, and its name.
            settings: Chosen values by name.
        """
        # Nothing of training or validation enters the score; they are only counted.
        test = split.test
        return Result(
            task=self.task,
            method=self.method,
            metric=name,
            unit=unit,
            score=self.bootstrap(metric, test.truth, output, test.patients),
            # A frozen result holds nothing that can grow.
            classes=tuple(classes),
            baseline=baseline[0],
            baseline_name=baseline[1],
            fraction=split.fraction,
            seed=split.seed,
            num_train=len(split.train),
            num_train_patients=split.train.num_patients,
            num_validation=len(split.validation),
            settings=dict(settings),
            # Kept by reference: masks of a data set are too large to copy.
            predictions=Predictions(metric, test.truth, output, test.patients),
        )
