"""History of a run: what was logged at which step, in files that are whole whenever the process is killed."""

import csv
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from pedclip.artefacts import write_csv


class History(Logger):
    """Logged values in ``logs/version_N/metrics.csv``, a new N whenever a process takes up the run.

    The file is written as a whole: Lightning's own logger appends, and starts the file anew when a value has a new
    name, so that a kill loses rows that the resumed run does not repeat.

    Args:
        run: Folder of the run.
    """

    def __init__(self, run: Path) -> None:
        super().__init__()
        self._run = run
        # Never the folder of a process before: its rows up to the resumed step count.
        numbers = [_version(path) for path in run.glob("logs/version_*")]
        self._number = max(numbers, default=-1) + 1
        self._rows: list[dict[str, Any]] = []
        self._num_written = 0

    @property
    def name(self) -> str:
        """Folder of all versions."""
        return "logs"

    @property
    def version(self) -> int:
        """Number of times that the run was taken up before."""
        return self._number

    @property
    def save_dir(self) -> str:
        """Folder of the run."""
        return str(self._run)

    @property
    def path(self) -> Path:
        """The file."""
        return self._run / self.name / f"version_{self.version}" / "metrics.csv"

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the configuration stands in ``training.json``."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Keep the values of a step until the next `save`."""
        values = {name: value.item() if isinstance(value, Tensor) else value for name, value in metrics.items()}
        self._rows.append(values | {"step": step})

    @rank_zero_only
    def save(self) -> None:
        """Write everything."""
        # A run of 50 epochs has some thousand rows, so writing them all takes milliseconds.
        if len(self._rows) > self._num_written:
            names = sorted({name for row in self._rows for name in row})
            write_csv(self.path, names, [[row.get(name, "") for name in names] for row in self._rows])
            self._num_written = len(self._rows)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is left."""
        self.save()


def read_history(run: Path) -> list[dict[str, float]]:
    """Logged values of a run in order of the steps; where a resumed run repeated steps, its values count.

    Returns:
        Records with ``step``, ``epoch`` and whatever was logged there.
    """
    # A step and the validation after it have one number but stand in rows of their own.
    merged: dict[tuple[int, bool], dict[str, float]] = {}
    # By number, for "version_10" sorts before "version_2".
    files = sorted(run.glob("logs/version_*/metrics.csv"), key=lambda path: _version(path.parent))
    for path in files:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                # Empty cells: values that are logged at other steps.
                values = {name: float(value) for name, value in row.items() if value}
                is_validation = any(name.startswith("val/") for name in values)
                merged.setdefault((int(values["step"]), is_validation), {}).update(values)
    return [merged[key] for key in sorted(merged)]


def _version(folder: Path) -> int:
    number = folder.name.removeprefix("version_")
    return int(number) if number.isdigit() else -1
