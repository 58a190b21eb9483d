"""Running a grid: each cell one papermill run in a process of its own, finished cells never computed again."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal, get_args

import pandas as pd

from pedclip.ablation.cell import CELL_FILE
from pedclip.ablation.grid import Cell, Grid
from pedclip.artefacts import read_json, write_json, write_text
from pedclip.training.run_lock import RunInUse, run_lock

Where = Literal["local", "ray"]
PARAMETERS_FILE: Final = "parameters.json"
ERROR_FILE: Final = "error.txt"
OUTPUT_NOTEBOOK: Final = "cell.ipynb"
_LOG: Final = "log.txt"
_IN_USE: Final = 75  # exit status of a cell that another process computes
_WAIT: Final = 2.0  # seconds between two looks at cells of others


def run_grid(
    grid: Grid,
    output: Path,
    *,
    workers: int = 1,
    where: Where = "local",
    retry: bool = False,
    show: Callable[[str], Any] = lambda line: None,
) -> pd.DataFrame:
    """All cells of a grid; whatever is finished in the folder is kept.

    A cell that fails stays as it failed, with its error, and leaves the others alone. Several processes, also on
    several machines that share the folder, may run one grid: each takes cells that nobody computes.

    Args:
        grid: Arms and seeds.
        output: Folder; each cell has one in it, and all share a cache of films.
        workers: Cells at a time on this machine; with Ray, in the cluster.
        where: "local", or "ray" for the machines of a Ray cluster, which must see the folder and this package.
        retry: Compute failed cells again.
        show: Gets a line when a cell ends.

    Returns:
        A row per cell: `arm`, `seed`, `state` ("done" or "failed"), `error`, and of finished ones `films`, `steps`,
        `trained_parameters`, `experts`, `seconds`.

    Raises:
        ValueError: A finished cell in the folder was made with other parameters, or an unknown `where`.
        ModuleNotFoundError: papermill or Ray is not installed; the message says what to install.
    """
    if where not in get_args(Where) or workers < 1:
        raise ValueError(f"where={where!r}, workers={workers} is not allowed: one of {get_args(Where)}, at least 1")
    _require("papermill", "notebooks")
    cells = grid.cells()
    for cell in cells:
        _claim(cell, output)
        if retry:
            (output / cell.name / ERROR_FILE).unlink(missing_ok=True)
    # What has ended, well or not, is not touched.
    waiting = [cell for cell in cells if _state(cell, output) == ""]
    options = {"output": str(output.resolve()), "threads": max(1, (os.cpu_count() or 1) // workers)}
    # More than one round only where another run computes some of them.
    while waiting:
        for cell, status in zip(
            waiting, _spread([cell.name for cell in waiting], workers, where, options), strict=True
        ):
            # Its own run will tell.
            if status != _IN_USE:
                show(f"{cell.name}: {_state(cell, output)}")
        before, waiting = waiting, [cell for cell in waiting if _state(cell, output) == ""]
        # What is left belongs to somebody else, who may be killed yet.
        if len(waiting) == len(before):
            time.sleep(_WAIT)
    return cells_table(grid, output)


def cells_table(grid: Grid, output: Path) -> pd.DataFrame:
    """State of all cells of a grid, finished or not; columns as of `run_grid`, `state` also "" for not begun."""
    rows = []
    for cell in grid.cells():
        folder = output / cell.name
        row: dict[str, Any] = {"arm": cell.arm, "seed": cell.seed, "state": _state(cell, output), "error": ""}
        if row["state"] == "done":
            # Written last, so that a cell which has it is whole.
            found = read_json(folder / CELL_FILE)
            row |= {name: found[name] for name in ("films", "steps", "trained_parameters", "experts", "seconds")}
        elif row["state"] == "failed":
            row["error"] = (folder / ERROR_FILE).read_text(encoding="utf-8").strip().splitlines()[-1]
        rows.append(row)
    return pd.DataFrame(rows)


def compute_cell(folder: Path) -> bool:
    """Run the notebook of one cell, unless it has ended before; False where another process computes it.

    Args:
        folder: Of the cell, with its ``parameters.json``.

    Raises:
        papermill.PapermillExecutionError: It failed; the error is in ``error.txt``, the notebook beside it.
    """
    import papermill

    try:
        with run_lock(folder):
            # Another run may have ended it while this one waited for a worker.
            if (folder / CELL_FILE).exists() or (folder / ERROR_FILE).exists():
                return True
            # From the file and not by arguments: the folder tells how it was made.
            given = read_json(folder / PARAMETERS_FILE) | {"folder": str(folder), "cache": str(folder.parent / "cache")}
            try:
                papermill.execute_notebook(
                    str(files(__package__).joinpath("cell.ipynb")),
                    str(folder / OUTPUT_NOTEBOOK),
                    parameters=given,
                    progress_bar=False,
                    cwd=str(folder),
                )
            # The notebook with the traceback lies beside it.
            except papermill.PapermillExecutionError as error:
                write_text(folder / ERROR_FILE, f"{error.ename}: {error.evalue}\n")
                raise
    except RunInUse:
        return False
    return True


def _claim(cell: Cell, output: Path) -> None:
    # JSON, so that a finished cell is told from one of other parameters by whoever reads the folder.
    file = output / cell.name / PARAMETERS_FILE
    content = json.loads(json.dumps(dict(cell.parameters)))
    if file.exists() and (found := read_json(file)) != content:
        differs = sorted(name for name in content if found.get(name) != content[name])
        raise ValueError(f"{file} was made with other {', '.join(differs)}; give this grid a folder of its own")
    write_json(file, content)


def _state(cell: Cell, output: Path) -> str:
    # Read from the disk each time: several runs may share the folder.
    if (output / cell.name / CELL_FILE).exists():
        return "done"
    return "failed" if (output / cell.name / ERROR_FILE).exists() else ""


def _spread(names: Sequence[str], workers: int, where: Where, options: dict[str, Any]) -> Iterator[int]:
    if where == "ray":
        _require("ray", "ray")
        import ray

        # One core of the cluster per cell; how many run at a time is Ray's business up to `workers`.
        remote = ray.remote(num_cpus=1, max_retries=0)(_attempt)
        pending, results = list(names), {}
        running: dict[Any, str] = {}
        while pending or running:
            while pending and len(running) < workers:
                name = pending.pop(0)
                running[remote.remote(name, **options)] = name
            ready, _ = ray.wait(list(running), num_returns=1)
            results[running.pop(ready[0])] = ray.get(ready[0])
        yield from (results[name] for name in names)
        return
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(partial(_attempt, **options), names)


def _attempt(name: str, *, output: str, threads: int) -> int:
    """Exit status of a process that computes one cell; what it says is in ``log.txt``."""
    folder = Path(output, name)
    # Two cells that both use all cores are slower than one after the other.
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    with (folder / _LOG).open("ab") as log:
        # A process each: a crash ends one cell, and memory is given back.
        command = [sys.executable, "-m", "pedclip.ablation.run", str(folder)]
        status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False).returncode
    ended = (folder / CELL_FILE).exists() or (folder / ERROR_FILE).exists()
    if status not in (0, _IN_USE) and not ended:
        # Killed for memory, or its kernel died: no cell of a notebook could say so.
        write_text(folder / ERROR_FILE, f"the process ended with status {status}; see {folder / _LOG}\n")
    return status


def _require(module: str, extra: str) -> None:
    from importlib.util import find_spec

    # Asked without importing, which takes seconds.
    if find_spec(module) is None:
        raise ModuleNotFoundError(f"a grid needs {module}: pip install 'pedclip[{extra}]'")


if __name__ == "__main__":
    sys.exit(0 if compute_cell(Path(sys.argv[1])) else _IN_USE)
