"""Further runs that a notebook compares: where their checkpoints are, and the commands that make the missing ones."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

from pedclip.evaluation.published import PrintedModel
from pedclip.models.checkpoint_files import CONFIG_FILE
from pedclip.notebook.environment import shown
from pedclip.notebook.errors import MissingArtefact, ParameterError
from pedclip.notebook.session import RunPaths
from pedclip.weights import SHIPPED, shipped_folder

_PRETRAIN: Final = "03_pretrain"
_IS_PATH: Final = re.compile(r"[/\\]")  # the name of a run has none


def compared_checkpoints(names: Iterable[str], paths: RunPaths) -> dict[str, Path]:
    """Checkpoints of the runs that the parameter `compare` names.

    Args:
        names: Runs of notebook 03 in the same output folder, weights of the package, or folders of checkpoints.
        paths: Of the run that compares.

    Returns:
        By the name of the method, "run NAME"; a folder called "checkpoint" goes by the name of its run.

    Raises:
        MissingArtefact: There is no checkpoint; the message says how to make one.
        ParameterError: Two of them would have one name.
    """
    found: dict[str, Path] = {}
    for name in names:
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


def how_to_fill(model: PrintedModel, *, parameter: Literal["compare", "checkpoint"] = "compare") -> str:
    """The commands that fill a row of a printed table, or why there are none.

    Args:
        model: Of `models_of`.
        parameter: By which the notebook takes the run; one without "compare" takes it in place of its own.
    """
    if not model.objective:
        return model.reason
    name = model.objective
    given = {"compare": f'-p compare "[{name}]"', "checkpoint": f'-p name {name} -p checkpoint ""'}
    made = f"papermill notebooks/{_PRETRAIN}.ipynb out.ipynb -p objective {name} -p name {name}"
    return f"{made}, then {given[parameter]}"


def _checkpoint(name: str, paths: RunPaths) -> Path:
    # Never relative to the working directory, which differs between Jupyter and papermill: a bare name is a run.
    if _IS_PATH.search(name):
        return Path(name)
    return shipped_folder(name) if name in SHIPPED else RunPaths(paths.output, _PRETRAIN, name).checkpoint
