"""Several methods on several downstream tasks: every method sees the same patients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from numpy.typing import NDArray

from pedclip.evaluation.downstream.detection import detect
from pedclip.evaluation.downstream.fine_tune import FINE_TUNE_SCHEDULE, fine_tune, fine_tune_age
from pedclip.evaluation.downstream.fit import Schedule
from pedclip.evaluation.downstream.probes import probe
from pedclip.evaluation.downstream.regression import predict_mean
from pedclip.evaluation.downstream.segmentation import WIDTHS, segment
from pedclip.evaluation.features import ImageModel
from pedclip.evaluation.result import Result, Scoring
from pedclip.evaluation.tasks.patient_split import PatientSplit
from pedclip.evaluation.tasks.task import Labels, Task

MEAN: Final = "mean of training"
_DEMO_WIDTHS: Final = (64, 48, 32, 16)

Found = dict[tuple[str, str], Result]  # (name of the task, method)


@dataclass(frozen=True)
class DownstreamSettings:
    """Settings of fitting and scoring downstream tasks.

    Args:
        num_resamples: Of the bootstrap over patients.
        seed: Of the bootstrap.
        device: Where probes compute.
        schedule: Of the heads for masks and boxes.
        widths: Channels of the stages of the decoder.
        network: "decoder" or "unet", for masks.
    """

    num_resamples: int = 1000
    seed: int = 0
    device: str = "cpu"
    schedule: Schedule = field(default_factory=Schedule)
    widths: tuple[int, ...] = WIDTHS
    network: str = "decoder"

    def scoring(self, task: Task, method: str) -> Scoring:
        """Names and bootstrap of one result."""
        return Scoring(task.name, method, self.num_resamples, self.seed)


def head_settings(profile: str, **options: Any) -> dict[str, Any]:
    """Widths and schedule of the heads for masks and boxes, as arguments of `DownstreamSettings`.

    Args:
        profile: "paper" for the published widths and learning rate, "demo" for a decoder that trains in seconds.
        **options: Of `Schedule`, such as `epochs` and `seed`.
    """
    if profile == "paper":
        # The published decoder at the published learning rate takes long on a CPU.
        return {"schedule": Schedule(weight_decay=0.05, **options), "widths": WIDTHS}
    # Chosen so that a demo of a few epochs shows outlines at all.
    return {"schedule": Schedule(learning_rate=2e-3, weight_decay=0.05, **options), "widths": _DEMO_WIDTHS}


def run_probes(
    tasks: Sequence[Task], methods: Mapping[str, Labels], patients: Labels, settings: DownstreamSettings
) -> Found:
    """A linear probe per task of labels or ages and method; for ages the mean of training as a method too.

    Args:
        tasks: Those of other kinds are passed over.
        methods: Name to features (N, C) by split.
        patients: By split.
        settings: Bootstrap and device.

    Raises:
        PatientLeak: A patient is in two parts.
        ValueError: As `probe`.
    """
    found: Found = {}
    for task in tasks:
        if task.kind in ("masks", "boxes"):
            continue
        for method, inputs in methods.items():
            # Checked anew for each method: a leak is refused whatever the features.
            split = task.split(inputs, patients)
            found[task.name, method] = probe(task, split, settings.scoring(task, method), device=settings.device)
        if task.kind == "regression":
            # It reads no features, so the split of any method will do.
            found[task.name, MEAN] = predict_mean(split, scoring=settings.scoring(task, MEAN))
    return found


def run_heads(
    task: Task,
    methods: Mapping[str, Labels],
    patients: Labels,
    truth: Mapping[str, NDArray[Any]],
    settings: DownstreamSettings,
) -> Found:
    """The decoder (or U-Net) of a task of masks, or the detection head of a task of boxes, for each method.

    Args:
        task: Of masks or boxes.
        methods: Name to patch tokens (N, S, C) by split; films (N, R, R) for the U-Net.
        patients: By split.
        truth: By split, from `read_truth`.
        settings: Schedule, network and bootstrap.

    Raises:
        PatientLeak: A patient is in two parts.
        ValueError: As `segment` and `detect`.
    """
    found: Found = {}
    for method, inputs in methods.items():
        # The truth of a head is read from the triplets, as a task holds positions only.
        found[task.name, method] = fit_head(task, task.split(inputs, patients, truth), method, settings)
    return found


def fit_head(task: Task, split: PatientSplit, method: str, settings: DownstreamSettings) -> Result:
    """The decoder (or U-Net) of a task of masks, or the detection head of a task of boxes, on one split.

    Args:
        task: Of masks or boxes.
        split: As `Task.split` gives it, or part of it.
        method: As it is reported.
        settings: Schedule, network and bootstrap.

    Raises:
        ValueError: As `segment` and `detect`.
    """
    scoring = settings.scoring(task, method)
    # Boxes take the published head; the choice of network is for masks alone.
    if task.kind == "boxes":
        return detect(split, task.classes, scoring=scoring, schedule=settings.schedule)
    return segment(split, scoring=scoring, widths=settings.widths, network=settings.network, schedule=settings.schedule)


def run_fine_tuning(
    tasks: Sequence[Task],
    model: ImageModel,
    films: Labels,
    patients: Labels,
    settings: DownstreamSettings,
    *,
    schedule: Schedule = FINE_TUNE_SCHEDULE,
) -> Found:
    """The whole encoder trained for each task of labels or ages, as method "fine-tuned"; the model does not change.

    Args:
        tasks: Those of other kinds are passed over.
        model: To start from.
        films: By split, (N, R, R) uint8.
        patients: By split.
        settings: Bootstrap.
        schedule: Of the training.

    Raises:
        PatientLeak: A patient is in two parts.
    """
    found: Found = {}
    for task in tasks:
        if task.kind in ("masks", "boxes"):
            continue
        # Films, not features: the encoder moves.
        split, scoring = task.split(films, patients), settings.scoring(task, "fine-tuned")
        # Written out, so that the type checker narrows the kind.
        if task.kind == "multi-label" or task.kind == "multi-class":
            result = fine_tune(model, split, task.classes, kind=task.kind, scoring=scoring, schedule=schedule)
        else:
            result = fine_tune_age(model, split, scoring=scoring, schedule=schedule)
        found[task.name, "fine-tuned"] = result
    return found
