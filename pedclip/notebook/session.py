"""Functions that a notebook calls first, last and at the end of each step.

`start` validates the parameters and prepares the run folder, `check` prints a line that is the same on every machine,
`finish` writes the metrics; `say` and `show_…` are for the reader's eyes.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from pedclip import plots
from pedclip.artefacts import write_json
from pedclip.notebook.display import say, show_images, show_report, show_source, show_table, show_text
from pedclip.notebook.environment import default_runs, provenance, quiet, shown
from pedclip.notebook.errors import CheckFailed, InputError, MissingArtefact, ParameterError, readable
from pedclip.notebook.parameters import PARAMETERS, Parameters, validate
from pedclip.weights import SHIPPED

__all__ = [
    "CheckFailed",
    "Config",
    "InputError",
    "MissingArtefact",
    "ParameterError",
    "RunPaths",
    "add_provenance",
    "check",
    "finish",
    "readable",
    "require_artefact",
    "say",
    "show_images",
    "show_report",
    "show_source",
    "show_table",
    "show_text",
    "start",
]

# Names that IPython puts into every notebook; those with an underscore are left out anyway.
_OF_IPYTHON: Final = frozenset({"In", "Out", "exit", "quit", "open", "get_ipython"})
_STARTED: Final = "_pedclip_started"  # in the notebook's namespace, so it lives as long as the kernel


@dataclass(frozen=True)
class RunPaths:
    """Places of the files of one run of one notebook: `<output>/<notebook>/<name>/`."""

    output: Path
    notebook: str
    name: str

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.output / self.notebook / self.name

    @property
    def figures(self) -> Path:
        """Charts, each as a picture and as a specification."""
        return self.folder / "figures"

    @property
    def triplets(self) -> Path:
        """A triplet set."""
        return self.folder / "triplets"

    @property
    def checkpoint(self) -> Path:
        """A model that `PedCLIP.from_pretrained` reads."""
        return self.folder / "checkpoint"

    @property
    def embeddings(self) -> Path:
        """Vectors of images and texts."""
        return self.folder / "embeddings"

    @property
    def predictions(self) -> Path:
        """One row per image."""
        return self.folder / "predictions.parquet"

    @property
    def metrics(self) -> Path:
        """The numbers of the run, with intervals."""
        return self.folder / "metrics.json"

    @property
    def parameters(self) -> Path:
        """The parameters as validated."""
        return self.folder / "parameters.json"

    @property
    def provenance(self) -> Path:
        """Versions, seed, revision and data of the run."""
        return self.folder / "provenance.json"

    def of(self, notebook: str) -> "RunPaths":
        """The run of the same name of another notebook, whose artefacts this one may need."""
        return RunPaths(self.output, notebook, self.name)


@dataclass(frozen=True)
class Config:
    """The validated parameters of a notebook as attributes (`cfg.epochs`), and the paths of its run."""

    parameters: Parameters
    paths: RunPaths

    def __getattr__(self, name: str) -> Any:
        # Copying asks for attributes before the fields are there.
        if name in {"parameters", "paths"} or name not in type(self.parameters).model_fields:
            raise AttributeError(f"no parameter is called '{name}'")
        return getattr(self.parameters, name)

    @property
    def is_default(self) -> bool:
        """True for the run whose quality the notebook vouches for: data, model and training untouched."""
        # These change where and how fast, not what.
        free = {"name", "output", "resume", "num_workers", "device"}
        fields = type(self.parameters).model_fields
        return all(value == fields[name].default for name, value in self.parameters if name not in free)


def start(namespace: dict[str, Any], notebook: str) -> Config:
    """Validate the parameters of a notebook and prepare its run.

    Call it as `cfg = start(globals(), "03_pretrain")` in the second code cell, before every other import: whatever is
    defined by then is a parameter, which is how a misspelt name is seen. In a second call in the same kernel the names
    that later cells have defined are ignored, so that a reader may change a parameter and go on.

    Args:
        namespace: `globals()` of the notebook.
        notebook: Its file name without ending.

    Returns:
        The parameters and the paths. `parameters.json` and `provenance.json` are written, the charts are installed.
        A relative `output` starts at the caller's working directory, the default at the project.

    Raises:
        ParameterError: A parameter is unknown or has a value that is not allowed.
    """
    values = {name: value for name, value in namespace.items() if _is_parameter(name, value)}
    fields = PARAMETERS[notebook].model_fields if notebook in PARAMETERS else {}
    # By now the namespace also holds the results of later cells.
    if _STARTED in namespace:
        values = {name: value for name, value in values.items() if name in fields}
    # First of all: to know the name of an objective, validation loads torch and what comes with it.
    quiet()
    try:
        parameters = validate(values, notebook)
    except ParameterError:
        # Else the misspelt name would still be there after the reader has corrected the cell.
        for name in values.keys() - fields.keys():
            namespace.pop(name)
        raise
    namespace[_STARTED] = True
    # Absolute before anything changes the working directory.
    output = Path(parameters.output).absolute() if parameters.output else default_runs()
    cfg = Config(parameters, RunPaths(output, notebook, parameters.name))
    # From here on every chart also leaves its picture in the run folder.
    plots.use(cfg.paths.figures)
    write_json(cfg.paths.parameters, parameters.model_dump())
    write_json(cfg.paths.provenance, provenance(notebook, parameters.seed))
    # Printed, so that a stored notebook says with which parameters it ran.
    changed = [f"{name}={value!r}" for name, value in parameters if value != fields[name].default]
    print(f"{notebook}: {', '.join(changed) or 'every parameter at its default'}")
    print(f"run folder: {shown(cfg.paths.folder)}")
    return cfg


def finish(cfg: Config, metrics: Mapping[str, Any], made: list[Path], next_notebook: str) -> None:
    """Write `metrics.json` and print what the run made.

    Args:
        cfg: From `start`.
        metrics: Numbers with intervals, number of patients, seeds, split and prompts; NaN becomes null.
        made: The artefacts, without `metrics.json`.
        next_notebook: File name without ending; "" after the last one.

    Raises:
        MissingArtefact: Something that should have been made is not there.
    """
    # Checked before the metrics are written: their file says that a run is complete.
    for path in made:
        if not path.exists():
            raise MissingArtefact(f"{shown(path)} was to be made and is not there; run the notebook from its top.")
    write_json(cfg.paths.metrics, _without_nan(metrics))
    for path in [*made, cfg.paths.metrics]:
        print(f"made  {shown(path)}")  # relative to the project: the same on every machine
    if next_notebook:
        print(f"next  notebooks/{next_notebook}.ipynb")


def add_provenance(cfg: Config, **facts: Any) -> dict[str, Any]:
    """Add to `provenance.json` what is known only after `start`, such as the fingerprint of the data.

    Args:
        cfg: From `start`.
        facts: By name; a name that is there already is replaced.

    Returns:
        All that the file holds now.
    """
    known: dict[str, Any] = json.loads(cfg.paths.provenance.read_text(encoding="utf-8"))  # as `start` wrote it
    write_json(cfg.paths.provenance, known | facts)
    return known | facts


def check(
    name: str, value: Any, *, at_least: Any = None, at_most: Any = None, equal: Any = None, when: bool = True
) -> None:
    """Stop unless a value keeps its bound; print a line in which the value itself does not occur.

    Args:
        name: The quantity, such as "Recall@1, test patients".
        value: A number, text or tuple; NaN keeps no bound.
        at_least: Smallest allowed value.
        at_most: Largest allowed value.
        equal: The only allowed value.
        when: False reports a bound that is not kept instead of stopping: for quality that only the default run
            promises.

    Raises:
        CheckFailed: The bound is not kept; the message has the value.
        TypeError: Not exactly one bound was given.

    Example:
        >>> check("Recall@1, test patients", 0.93, at_least=0.8)
        ok  Recall@1, test patients >= 0.80
    """
    given = [(sign, bound) for sign, bound in ((">=", at_least), ("<=", at_most), ("==", equal)) if bound is not None]
    # Two bounds would be two lines, and a check without one cannot fail.
    if len(given) != 1:
        raise TypeError(f"check takes exactly one of at_least, at_most and equal; got {len(given)}")
    sign, bound = given[0]
    # NaN compares false with everything, so it keeps no bound.
    kept = value >= bound if sign == ">=" else value <= bound if sign == "<=" else value == bound
    if not kept and not when:
        print(f"--  {name} is not {sign} {_number(bound)}, which the notebook promises for its default run only")
        return
    if not kept:
        raise CheckFailed(f"{name} is {value}, expected {sign} {_number(bound)}")
    # The bound, not the value: the line is compared exactly, and the value differs between machines.
    print(f"ok  {name} {sign} {_number(bound)}")


def require_artefact(
    path: str | Path, *, notebook: str, needs: str, command_hint: str, parameter: str = "checkpoint"
) -> Path:
    """The path, after making sure that it exists.

    Args:
        path: File or folder.
        notebook: Number of the notebook that needs it.
        needs: Its name, with its article: "a checkpoint".
        command_hint: The command that makes it.
        parameter: The parameter that takes someone else's; for "checkpoint" the message names the weights of the
            package and says how to pass those of an own run.

    Returns:
        The path.

    Raises:
        MissingArtefact: It does not exist; the message says how to make it and how to pass another.
    """
    if not Path(path).exists():
        message = f"notebook {notebook} needs {needs}; there is none in {shown(Path(path))}.\n"
        message += f"  Make one:      {command_hint}\n"
        # The package brings weights, which is the shortest way out.
        if parameter == "checkpoint":
            message += (
                '  and pass it:   -p checkpoint ""  (the run of notebook 03 of this name)\n'
                f"  or shipped:    -p checkpoint {' or '.join(SHIPPED)}\n"
            )
        raise MissingArtefact(f"{message}  or use yours:  -p {parameter} /path/to/folder")
    return Path(path)


def _is_parameter(name: str, value: object) -> bool:
    is_machinery = name.startswith("_") or name in _OF_IPYTHON
    # Modules and functions come from imports; a `Config` from an earlier `start`.
    return not (is_machinery or isinstance(value, ModuleType | Config) or callable(value))


def _number(bound: Any) -> str:
    """A float with two figures after the point or more, everything else as it is written."""
    if not isinstance(bound, float) or not math.isfinite(bound):
        return str(bound)
    text = f"{bound:.2f}"
    return text if float(text) == bound else f"{bound:g}"  # 0.80, but 0.005 as it is


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: what could not be computed is null."""
    if isinstance(value, Mapping):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    plain = value.item() if hasattr(value, "item") else value  # NumPy and torch scalars
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain
