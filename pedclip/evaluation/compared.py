"""Further models beside the one that is evaluated: what each of them is, and that all see films of one size."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pedclip.evaluation.inputs import training_run
from pedclip.models.checkpoint_files import HEADS_FILE, WEIGHTS_FILE
from pedclip.models.pedclip import PedCLIP
from pedclip.objectives.base import Objective
from pedclip.objectives.registry import option_defaults
from pedclip.objectives.trained import ObjectiveModel, open_model
from pedclip.training.config import load_config
from pedclip.triplets.transforms import Preprocess
from pedclip.weights.installed import sha256_of


def way_of(checkpoint: Path) -> str:
    """The way in which a checkpoint was trained, as ``PrintedModel.way`` names the rows of PedCLIP's tables.

    It follows from the configuration of the training run, not from the name of a folder: the objective, and "clip" for
    PedCLIP without experts, which is what is left of it (the paper's Figure 5 calls that "MLP"). What no paper prints
    is added and fills no row: "OBJECTIVE with experts", "… with region labels", "… with options NAME=VALUE".

    Args:
        checkpoint: As for ``pedclip.evaluation.open_inputs``.

    Raises:
        FileNotFoundError: As ``training_run``.
        ValueError: The run's ``training.json`` is damaged.
    """
    # The description of the run, since a checkpoint of PedCLIP or CLIP has no heads to tell by.
    config = load_config(training_run(checkpoint) / "training.json")
    objective, has_experts = config.training.objective, bool(config.model.mobe_layers)
    # Experts are part of PedCLIP and of no rival.
    is_published = objective == "pedclip" and has_experts
    added = ["experts"] if has_experts and not is_published else []
    added += ["region labels"] if config.training.region_head else []
    if changed := _changed_options(objective, config.training.objective_options):
        added.append(f"options {', '.join(f'{name}={value}' for name, value in changed.items())}")
    way = "clip" if objective == "pedclip" and not has_experts else objective
    return f"{way} with {' and '.join(added)}" if added else way


def weight_hashes(checkpoint: Path) -> dict[str, str]:
    """SHA-256 of each file of weights in a checkpoint's folder, by its name: the encoders, and a rival's heads.

    Raises:
        FileNotFoundError: There are no encoders.
    """
    # Heads alone may differ between two runs, and change what both answer.
    heads = [HEADS_FILE] if (checkpoint / HEADS_FILE).is_file() else []
    return {name: sha256_of(checkpoint / name) for name in (WEIGHTS_FILE, *heads)}


def open_compared(checkpoints: Mapping[str, Path], *, like: Preprocess) -> dict[str, PedCLIP | ObjectiveModel]:
    """Models that are scored on the same decoded films, each with the heads of its objective.

    Args:
        checkpoints: By the name of the method; as for ``pedclip.evaluation.open_inputs``.
        like: Preprocessing of the model that the films were decoded for. Mean and standard deviation may differ, as
            each model normalizes with its own.

    Returns:
        By the same names, in evaluation mode.

    Raises:
        OSError: As ``open_model``.
        ValueError: As there; or a model sees films of another size.
    """
    models = {}
    for name, checkpoint in checkpoints.items():
        models[name] = open_model(checkpoint)
        # Films are decoded and squared once, for all models.
        sizes = [(one.resize, one.size) for one in (models[name].preprocess, like)]
        if sizes[0] != sizes[1]:
            (stored, seen), (wanted, expected) = sizes
            raise ValueError(
                f"{name} squares films to {stored} pixels and sees {seen} of them, the model it stands beside "
                f"{wanted} and {expected}; compare models that were trained with one image_size"
            )
    return models


def has_own_score(model: Any) -> bool:
    """True where a model's objective judges a film and a text by more than the cosine of its joint space."""
    # PedCLIP and CLIP are opened without an objective: their score is the cosine.
    return isinstance(model, ObjectiveModel) and type(model.objective).pair_scores is not Objective.pair_scores


def _changed_options(objective: str, options: Mapping[str, Any]) -> dict[str, Any]:
    defaults = option_defaults(objective)
    # A tuple comes back from a file as a list.
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}
    given = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
    return {name: value for name, value in sorted(given.items()) if value != plain[name]}
