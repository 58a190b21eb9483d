"""Configuration of a pre-training run: typed, validated, stored as JSON, overridable field by field."""

import dataclasses
import difflib
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar, get_args

from pedclip.artefacts import read_json
from pedclip.models.config import PedCLIPConfig, check_types
from pedclip.models.starting_points import (
    RANDOM,
)
from pedclip.objectives.registry import check_options, option_names
from pedclip.objectives.registry import names as objective_names
from pedclip.triplets.columns import PATIENTS

LearningRateSchedule = Literal["cosine", "constant"]
Sampler = Literal["uniform", "sqrt"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
Logger = Literal["csv", "tensorboard"]
Optimizer = Literal["adamw", "adam"]
StemTraining = Literal["frozen", "slow", "full"]
STEM_RATES: Final[dict[StemTraining, float]] = {"frozen": 0.0, "slow": 0.1, "full": 1.0}  # of the learning rate
Config = TypeVar("Config", PedCLIPConfig, "TrainingConfig")


@dataclass(frozen=True)
class TrainingConfig:
    """Optimization of PedCLIP. The defaults are the published run; P numbers name its under-specified decisions.

    Attributes:
        objective: Name of the loss, one of ``pedclip.objectives.names()``; a stored configuration without it means
            "pedclip".
        objective_options: Options of that objective by name, such as {"variant": "code"}; see
            ``pedclip.objectives.registry.option_names``.
        epochs: Passes over the training triplets, at least 1.
        batch_size: Pairs per step over all devices, at least 2 per device (P12).
        accumulate: Batches whose gradients are added before a step, at least 1. Negatives stay within a batch.
        learning_rate: Peak step size, above 0.
        optimizer: "adamw" shrinks weights beside the step; "adam" adds their decay to the gradient, as some rivals do.
        beta1: Share of the past in the moving mean of gradients, in [0, 1).
        schedule: "cosine" warms up over ``warmup_fraction`` and falls to 0; "constant" is as printed (P11).
        warmup_fraction: Share of the steps, in [0, 1).
        weight_decay: On matrices only, at least 0 (P10).
        gradient_clip: Largest gradient norm; 0 never clips.
        teacher_epochs: Epochs whose experts are chosen by labels, in [0, epochs]; -1 takes a fifth of ``epochs``, the
            published 10 of 50; 0 switches teacher forcing off (P4).
        lambda_end: Weight of the gate loss at the end, at least 0 (P5).
        region_head: Teach the region to a model without experts, by a linear classifier on the image token with the
            weight of the gate loss: what the labels do without the experts.
        mask_equal_texts: Do not use pairs with the same words as negatives (P15).
        sampler: "uniform", or "sqrt" to draw regions by the square root of their frequency (P16).
        augment: "none" beyond the random crop, or "affine" with jitter; never a flip (P14).
        precision: Lightning's name.
        seed: Every random choice derives from it, below 2³¹.
        accelerator: Lightning's name: "auto", "cpu", "gpu".
        devices: Devices per machine, at least 1.
        num_nodes: Machines, at least 1.
        num_workers: Loader processes per device, at least 0; the images are memory-mapped, so 0 is rarely slow.
        validation_rows: Validation films embedded after each epoch, at most, at least 2; the gallery of Recall@K.
        checkpoint_every: Steps between resumable checkpoints, at least 1.
        logger: "csv" or "tensorboard".
        image_weights: Starting point of the image encoder: "random", "installed", "timm" for the published ones of the
            architecture, a hub name, a local file or "pedclip-phantom-small"; see ``pedclip.models.starting_points``.
        text_weights: Starting point of the text encoder: "random", "installed", a hub name, a folder or
            "pedclip-phantom-small".
        stem_training: The stages of a hybrid stem are kept ("frozen"), learn at a tenth of ``learning_rate`` ("slow")
            or like the rest ("full").
    """

    objective: str = "pedclip"
    objective_options: dict[str, Any] = field(default_factory=dict)
    epochs: int = 50
    batch_size: int = 256
    accumulate: int = 1
    learning_rate: float = 1e-5
    optimizer: Optimizer = "adamw"
    beta1: float = 0.9
    schedule: LearningRateSchedule = "cosine"
    warmup_fraction: float = 0.05
    weight_decay: float = 0.05
    gradient_clip: float = 0.0
    teacher_epochs: float = -1
    lambda_end: float = 0.0
    region_head: bool = False
    mask_equal_texts: bool = False
    sampler: Sampler = "uniform"
    augment: Literal["none", "affine"] = "none"
    precision: Precision = "32-true"
    seed: int = 0
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int = 1
    num_nodes: int = 1
    num_workers: int = 0
    validation_rows: int = 4096
    checkpoint_every: int = 200
    logger: Logger = "csv"
    image_weights: str = RANDOM
    text_weights: str = RANDOM
    stem_training: StemTraining = "full"

    def __post_init__(self) -> None:
        check_types(self)
        # Files of older versions write random weights as "".
        for name in ("image_weights", "text_weights"):
            object.__setattr__(self, name, getattr(self, name) or RANDOM)
        # Wrong values are named here, before an archive is decoded for hours.
        for name in ("epochs", "accumulate", "devices", "num_nodes", "checkpoint_every"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("weight_decay", "gradient_clip", "lambda_end", "num_workers", "seed"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "at least 0")
        _require(
            self.learning_rate > 0 and math.isfinite(self.learning_rate), "learning_rate", self.learning_rate, "above 0"
        )
        for name in ("warmup_fraction", "beta1"):
            _require(0 <= getattr(self, name) < 1, name, getattr(self, name), "in [0, 1)")
        teacher = self.teacher_epochs  # -1 is "as long in proportion as published"
        _require(
            teacher == -1 or 0 <= teacher <= self.epochs, "teacher_epochs", teacher, f"-1, or in [0, {self.epochs}]"
        )
        for name, allowed in (
            ("objective", objective_names()),
            ("optimizer", get_args(Optimizer)),
            ("schedule", get_args(LearningRateSchedule)),
            ("precision", get_args(Precision)),
            ("sampler", get_args(Sampler)),
            ("logger", get_args(Logger)),
            ("stem_training", get_args(StemTraining)),
            ("augment", ("none", "affine")),
            ("accelerator", ("auto", "cpu", "gpu")),
        ):
            _require(getattr(self, name) in allowed, name, getattr(self, name), f"one of {allowed}")
        known = [name for name in option_names(self.objective) if name not in (*vars(self), "schedule")]
        for name in self.objective_options:
            _require(name in known, "objective_options", name, f"an option of {self.objective!r}: one of {known}")
        check_options(self.objective, self.objective_options)
        _require(
            self.batch_size % self.world_size == 0, "batch_size", self.batch_size, f"a multiple of {self.world_size}"
        )
        # A single pair has no negative.
        _require(self.local_batch_size >= 2, "batch_size", self.batch_size, "at least 2 per device")
        _require(self.seed < 2**31, "seed", self.seed, "below 2147483648")
        _require(self.validation_rows >= 2, "validation_rows", self.validation_rows, "at least 2")

    @property
    def world_size(self) -> int:
        """Devices over all machines."""
        return self.devices * self.num_nodes

    @property
    def local_batch_size(self) -> int:
        """Pairs per step on one device."""
        return self.batch_size // self.world_size

    @property
    def resolved_teacher_epochs(self) -> float:
        """Length of teacher forcing in epochs, with -1 resolved."""
        return self.epochs / 5 if self.teacher_epochs == -1 else self.teacher_epochs


@dataclass(frozen=True)
class RunConfig:
    """A whole run: the data, the model, the optimization. The notebook and the shell share it.

    Attributes:
        data: "phantom", a folder, or several separated by commas; see ``pedclip.data.load``.
        studies: Number of phantom studies.
        phantom_size: Side of the phantom's films, pixels.
        patients: "column", or "independent" to state that no two films of a folder are of one patient; see
            ``pedclip.data.load``.
        model: Architecture.
        training: Optimization.
    """

    data: str = "phantom"
    studies: int = 600
    phantom_size: int = 224
    patients: str = "column"
    model: PedCLIPConfig = field(default_factory=PedCLIPConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        check_types(self)
        _require(self.patients in PATIENTS, "patients", self.patients, f"one of {PATIENTS}")
        # The gate of the experts is such a classifier.
        is_double = self.training.region_head and self.model.mobe_layers
        _require(not is_double, "region_head", True, "only without experts: mobe_layers=()")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as stored in ``training.json``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Inverse of ``to_dict``.

        Raises:
            ValueError: A name is unknown or a value out of range.
        """
        sections = (
            [values, *(values.get(name, {}) for name in ("model", "training"))] if isinstance(values, dict) else []
        )
        if not sections or not all(isinstance(section, dict) for section in sections):
            raise ValueError("a run's configuration is an object with the objects 'model' and 'training'")
        known = {item.name for item in dataclasses.fields(cls)}
        if unknown := set(values) - known:
            raise ValueError(f"unknown entry {sorted(unknown)[0]!r} in the run's configuration; known: {sorted(known)}")
        # From the defaults on: a file of an older version lacks fields, and their defaults are what it did without.
        model = replace_fields(PedCLIPConfig(), values.get("model", {}))
        training = replace_fields(TrainingConfig(), values.get("training", {}))
        rest = {name: value for name, value in values.items() if name not in ("model", "training")}
        return cls(**rest, model=model, training=training)


def load_config(path: str | Path) -> RunConfig:
    """Configuration of a ``training.json``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no JSON, or a name or value is not allowed; the message names the file.
    """
    content = read_json(path)
    try:
        return RunConfig.from_dict(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def parse_setting(text: str, *, form: str) -> tuple[str, str, Any]:
    """Section ("" for none), name and value of one change as it is written in a shell.

    Args:
        text: SECTION.NAME=VALUE or NAME=VALUE; a value that is no JSON is a word, which needs no quotes.
        form: What to write, for the message.

    Raises:
        ValueError: There is no "=" or no name.
    """
    path, equals, value = text.partition("=")
    section, dot, name = path.partition(".")
    if not equals or not section or (dot and not name):
        raise ValueError(f"--set {text!r} is not understood: write {form}")
    try:
        read = json.loads(value)
    except json.JSONDecodeError:
        read = value  # such as "cosine"
    return (section, name, read) if dot else ("", section, read)


def replace_fields(config: Config, changes: dict[str, Any]) -> Config:
    """Copy of a configuration with some fields changed and everything validated again.

    Raises:
        ValueError: A name is unknown (the closest known one is suggested) or a value is not allowed.
    """
    known = [item.name for item in dataclasses.fields(config)]
    for name in changes:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"
            raise ValueError(f"unknown setting {name!r} of {type(config).__name__}{hint}")
    return dataclasses.replace(config, **changes)


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise ValueError(f"{name}={value!r} is not allowed: {allowed}")
