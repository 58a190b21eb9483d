"""What a downstream task returns: the result for the tables, and what is needed to compare it with another model."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pedclip.artefacts import write_bytes
from pedclip.evaluation.metrics.bootstrap import Interval, Metric, Record, can_resample
from pedclip.evaluation.tasks.patient_split import PatientSplit


@dataclass(frozen=True)
class ClassScore:
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
class DownstreamResult(Record):
    """How well one model does one downstream task.

    Args:
        task: As it is reported.
        method: Such as "linear probe" or "fine-tuning".
        metric: "AUC", "accuracy", "Dice", "mAP" or "MAE".
        unit: "" for shares, "months" for ages.
        score: On the test patients.
        classes: One per class; empty where there are none.
        baseline: What needs no image: chance, the commonest class, or the mean of the training images.
        baseline_name: Which of them.
        fraction: Of the training patients used, in (0, 1].
        seed: Of that subsample.
        num_train: Images fitted on.
        num_train_patients: Patients fitted on.
        num_validation: Images that the settings were chosen on.
        settings: Chosen values by name, such as the penalty of each class, or the epoch and the seed of a head.
    """

    task: str
    method: str
    metric: str
    unit: str
    score: Interval
    classes: tuple[ClassScore, ...]
    baseline: float
    baseline_name: str
    fraction: float
    seed: int
    num_train: int
    num_train_patients: int
    num_validation: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for metrics.json, where the fraction is called "share"."""
        return {"share" if name == "fraction" else name: value for name, value in super().to_dict().items()}


@dataclass(frozen=True, eq=False)
class Outcome:
    """A result with the predictions behind it, for `pedclip.evaluation.metrics.comparison`.

    Args:
        result: For the tables.
        metric: That gave its score.
        truth: Of the test images.
        output: What the model said of them, as the metric takes it.
        patients: (N,) patient of each test image.
    """

    result: DownstreamResult
    metric: Metric
    truth: Any
    output: Any
    patients: NDArray[Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for metrics.json: the result without the predictions."""
        return self.result.to_dict()


@dataclass(frozen=True)
class Scoring:
    """What is said of a task beside its numbers.

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

    def bootstrap(self, metric: Metric, truth: Any, output: Any, patients: NDArray[Any]) -> Interval:
        """The metric with its interval over patients."""
        return metric.bootstrap(truth, output, patients, num_resamples=self.num_resamples, seed=self.seed)

    def bootstrap_if_possible(self, metric: Metric, truth: Any, output: Any, patients: NDArray[Any]) -> Interval | None:
        """The same, None where fewer than two patients answer."""
        return self.bootstrap(metric, truth, output, patients) if can_resample(patients) else None

    def outcome(
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
    ) -> Outcome:
        """Score the output for the test images of a task."""
        result = DownstreamResult(
            task=self.task,
            method=self.method,
            metric=name,
            unit=unit,
            score=self.bootstrap(metric, split.test.truth, output, split.test.patients),
            classes=tuple(classes),
            baseline=baseline[0],
            baseline_name=baseline[1],
            fraction=split.fraction,
            seed=split.seed,
            num_train=len(split.train),
            num_train_patients=split.train.num_patients,
            num_validation=len(split.validation),
            settings=dict(settings),
        )
        return Outcome(result, metric, split.test.truth, output, split.test.patients)


def downstream_table(results: Sequence[DownstreamResult]) -> pd.DataFrame:
    """Every number of the results, one row each.

    Returns:
        Columns `task`, `method`, `metric`, `unit`, `class` ("" for the whole task), `value`, `low`, `high` (NaN where
        a class could not be scored), `baseline`, `items`, `patients`, `positives` (-1 for the whole task), `share`,
        `seed`, `train`, `train_patients`, `validation`.
    """
    rows = []
    for result in results:
        scored: list[tuple[str, Interval | None, int, int]] = [("", result.score, -1, result.score.num_items)]
        scored += [(one.name, one.score, one.num_positives, one.num_items) for one in result.classes]
        for name, score, positives, items in scored:
            rows.append(
                {
                    "task": result.task,
                    "method": result.method,
                    "metric": result.metric,
                    "unit": result.unit,
                    "class": name,
                    "value": score.value if score else np.nan,
                    "low": score.low if score else np.nan,
                    "high": score.high if score else np.nan,
                    "baseline": result.baseline if not name else np.nan,
                    "items": items,
                    "patients": score.num_groups if score else 0,
                    "positives": positives,
                    "share": result.fraction,
                    "seed": result.seed,
                    "train": result.num_train,
                    "train_patients": result.num_train_patients,
                    "validation": result.num_validation,
                }
            )
    return pd.DataFrame(rows)


def write_table(table: pd.DataFrame, path: Path) -> Path:
    """A table as one Parquet file that is complete or absent."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return write_bytes(path, buffer.getvalue())
