"""Further models that a notebook compares: its own runs, others' weights, and the commands that bring missing ones."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

from pedclip.evaluation.published import PrintedModel
from pedclip.models.checkpoint_files import CONFIG_FILE
from pedclip.models.released.load import load_released
from pedclip.models.released.model import ReleasedModel
from pedclip.models.released.release import OPEN_CLIP_PREFIXES
from pedclip.notebook.environment import shown
from pedclip.notebook.errors import MissingArtefact, ParameterError
from pedclip.notebook.session import RunPaths
from pedclip.weights import SHIPPED, shipped_folder

_PRETRAIN: Final = "03_pretrain"
_RELEASED: Final = "released:"  # before the name of weights of others
_IS_PATH: Final = re.compile(r"[/\\]")  # the name of a run has none


def compared_checkpoints(names: Iterable[str], paths: RunPaths) -> dict[str, Path]:
    """Checkpoints of the runs that the parameter `compare` names.

    Args:
        names: Runs of notebook 03 in the same output folder, weights of the package, or folders of checkpoints;
            weights of others are left to `released_models`.
        paths: Of the run that compares.

    Returns:
        By the name of the method, "run NAME"; a folder called "checkpoint" goes by the name of its run.

    Raises:
        MissingArtefact: There is no checkpoint; the message says how to make one.
        ParameterError: Two of them would have one name.
    """
    found: dict[str, Path] = {}
    for name in (name for name in names if not name.startswith(_RELEASED)):
        checkpoint = _checkpoint(name, paths)
        if not (checkpoint / CONFIG_FILE).is_file():
            command = f"papermill notebooks/{_PRETRAIN}.ipynb runs/{_PRETRAIN}_NAME.ipynb -p name NAME -p objective …"
            raise MissingArtefact(
                f"compare: there is no checkpoint in {shown(checkpoint)}.\n"
                f"  Make one:      {command}\n"
                '  and pass it:   -p compare "[NAME]"  (runs of notebook 03 under the same output folder)\n'
                '  or use yours:  -p compare "[/path/to/checkpoint]"'
            )
        # A prefix, so that no run can take the name of a baseline.
        method = f"run {checkpoint.parent.name if checkpoint.name == 'checkpoint' else checkpoint.name}"
        if method in found:
            raise ParameterError(f"compare: two checkpoints go by the name '{method}'; rename the folder of one")
        found[method] = checkpoint
    return found


def released_models(names: Iterable[str], *, needs_texts: bool = False) -> dict[str, ReleasedModel]:
    """Weights of others that the parameter `compare` names.

    Args:
        names: Those that count here are "released:NAME", which asks the hub, or "released:NAME:/path/to/file". A NAME
            of open_clip keeps its own colon, such as "released:hf-hub:OWNER/MODEL:/path/to/file".
        needs_texts: Whether a model without a text encoder is refused.

    Returns:
        By the name of the method, "released NAME", which is also the way of the printed model.

    Raises:
        FileNotFoundError: As ``load_released``; the message says which file, from where, under which licence.
        ParameterError: One name stands there twice, or a model has no texts where they are needed.
        ValueError: As ``load_released``.
    """
    found: dict[str, ReleasedModel] = {}
    for entry in (name.removeprefix(_RELEASED) for name in names if name.startswith(_RELEASED)):
        name, place = _name_and_place(entry)
        # Checked before the weights are read, which may take a minute.
        if f"released {name}" in found:
            raise ParameterError(f"compare: the weights of {name} are named twice; compare one file at a time")
        model = load_released(name, os.path.expanduser(place) or None)
        # RAD-DINO, say: nothing can be asked of it in words.
        if needs_texts and not model.release.has_text:
            raise ParameterError(f"compare: {name} encodes films only; compare it where features are probed, not here")
        found[f"released {name}"] = model
    return found


def how_to_fill(model: PrintedModel, *, parameter: Literal["compare", "checkpoint"] = "compare") -> str:
    """The commands that fill a row of a printed table, or why there are none.

    Args:
        model: Of `models_of`.
        parameter: By which the notebook takes the run; one without "compare" takes it in place of its own.
    """
    if model.released and parameter == "compare":
        return f'{model.reason}; -p compare "[{_RELEASED}{model.released}:/path/to/file]"'
    if not model.objective:
        return model.reason
    name = model.objective
    given = {"compare": f'-p compare "[{name}]"', "checkpoint": f'-p name {name} -p checkpoint ""'}
    made = f"papermill notebooks/{_PRETRAIN}.ipynb out.ipynb -p objective {name} -p name {name}"
    return f"{made}, then {given[parameter]}"


def _name_and_place(entry: str) -> tuple[str, str]:
    prefix = next((one for one in OPEN_CLIP_PREFIXES if entry.startswith(one)), "")
    name, _, place = entry.removeprefix(prefix).partition(":")
    return prefix + name, place


def _checkpoint(name: str, paths: RunPaths) -> Path:
    # Never relative to the working directory, which differs between Jupyter and papermill: a bare name is a run.
    if _IS_PATH.search(name):
        return Path(name)
    return shipped_folder(name) if name in SHIPPED else RunPaths(paths.output, _PRETRAIN, name).checkpoint
