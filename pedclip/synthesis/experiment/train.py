"""Training of an arm: one or two pre-trainings with as many passes as the real arm has."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pedclip.models.pedclip import PedCLIP, default_preprocess
from pedclip.objectives.trained import PLAIN, ObjectiveModel
from pedclip.synthesis.experiment.arms import Arm, Stage
from pedclip.training.config import RunConfig, replace_fields
from pedclip.training.loop import build_model, pretrain
from pedclip.training.module import build_objective, objective_settings
from pedclip.training.profiles import configure
from pedclip.triplets.arrays import TripletArrays


@dataclass(frozen=True)
class ArmRun:
    """A trained arm.

    Attributes:
        checkpoint: Of the last stage, for `pedclip.objectives.open_model`.
        steps: Of the optimizer, by stage.
        films: Trained on, by stage.
        losses: Mean training loss of each tenth of all steps: one that stays where it began has taught nothing.
    """

    checkpoint: Path
    steps: tuple[int, ...]
    films: tuple[int, ...]
    losses: tuple[float, ...]


def arm_config(profile: str, method: str, *, epochs: int, seed: int, **settings: Any) -> RunConfig:
    """Configuration of the real arm of a method; every other arm differs in its passes alone.

    Args:
        profile: See `pedclip.training.profiles.load_profile`.
        method: Name of the objective; "pedclip" has experts, every other none.
        epochs: Passes over the reports; 0 takes the profile's.
        seed: Of the training.
        **settings: Further fields, as `pedclip.training.profiles.configure` takes them.

    Raises:
        ValueError: As `configure`, or an odd number of passes, which two stages could not share.
    """
    # Validation films choose nothing here, so as few as there may be are embedded after each pass.
    given = {"objective": method, "epochs": epochs, "seed": seed, "validation_rows": 2} | settings
    config = configure(profile, given)
    if config.training.epochs % 2:
        raise ValueError(f"epochs={config.training.epochs} is not allowed: an even number, for arms of two halves")
    return config


def film_size(config: RunConfig) -> int:
    """Height and width of the arrays that a configuration trains on, pixels: before the crop."""
    return default_preprocess(config.model.image_size, None).resize


def stage_config(config: RunConfig, stage: Stage) -> RunConfig:
    """Configuration of one stage: that of the real arm with its fraction of the passes.

    Raises:
        ValueError: The fraction is no whole number of passes.
    """
    epochs = config.training.epochs * stage.fraction
    if epochs < 1 or epochs != round(epochs):
        raise ValueError(f"{stage.fraction:g} of {config.training.epochs} passes is no whole number of them")
    return dataclasses.replace(config, training=replace_fields(config.training, {"epochs": round(epochs)}))


def train_arm(
    arm: Arm, films: Mapping[str, TripletArrays], validation: TripletArrays, *, config: RunConfig, run: Path
) -> ArmRun:
    """Pre-train on the films of an arm; a killed training goes on.

    The second stage begins with the weights of the first; its learning rate rises and falls anew, and PedCLIP's labels
    choose the experts again for a fifth of it.

    Args:
        arm: What to train on.
        films: By name of the set.
        validation: Real films.
        config: Of the real arm.
        run: Folder of this arm.

    Raises:
        KeyError: A set of films is missing.
        ValueError: As `pedclip.training.loop.pretrain`.
    """
    steps, losses, checkpoint = [], [], None
    for number, stage in enumerate(arm.stages, start=1):
        # A folder each: the first checkpoint must stay whole while the second is written.
        folder = run / f"stage-{number}" if len(arm.stages) > 1 else run
        result = pretrain(
            films[stage.films], validation, config=stage_config(config, stage), run=folder, start=checkpoint
        )
        checkpoint = result.checkpoint
        # As the trainer counted them, from 0; the last row is that of the validation films.
        steps.append(int(max(row["step"] for row in result.history)) + 1)
        losses += [row["train/loss"] for row in result.history if "train/loss" in row]
    assert checkpoint is not None
    tenths = tuple(float(np.mean(part)) for part in np.array_split(losses, 10) if len(part))
    counts = tuple(len(films[stage.films]) for stage in arm.stages)
    return ArmRun(checkpoint, tuple(steps), counts, tenths)


def initial_model(config: RunConfig, films: TripletArrays) -> "PedCLIP | ObjectiveModel":
    """The encoders and heads of an arm before any training: what its starting weights alone can do.

    Args:
        config: Of the arm; its seed draws what starts at random.
        films: Whose texts the tokenizer is trained on.
    """
    torch.manual_seed(config.training.seed)
    model = build_model(config, films).eval()
    method = config.training.objective
    if method in PLAIN:
        return model
    objective = build_objective(config.training, model)
    return ObjectiveModel(model, objective, name=method, options=objective_settings(config.training)).eval()
