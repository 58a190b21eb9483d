"""Cells of a benchmark, each a process of its own, a few at a time."""

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

Cell = TypeVar("Cell")


def run_queue(
    cells: Sequence[Cell],
    *,
    command: Callable[[Cell], list[str]],
    folder: Callable[[Cell], Path],
    name: Callable[[Cell], str],
    parallel: int,
) -> None:
    """All cells in turn; what each writes lies in its ``log.txt``, and one that fails leaves the others alone.

    Args:
        cells: In their order.
        command: Of the process of a cell.
        folder: Of a cell.
        name: For the line that tells how it ended.
        parallel: Cells at a time.
    """
    waiting = list(cells)
    running: list[tuple[Cell, subprocess.Popen[bytes]]] = []
    while waiting or running:
        while waiting and len(running) < parallel:
            cell = waiting.pop(0)
            folder(cell).mkdir(parents=True, exist_ok=True)
            with (folder(cell) / "log.txt").open("wb") as log:
                running.append((cell, subprocess.Popen(command(cell), stdout=log, stderr=subprocess.STDOUT)))
        for cell, process in running:
            if process.poll() is not None:
                print(f"{name(cell)}: {'done' if process.returncode == 0 else 'FAILED'}", flush=True)
        running = [(cell, process) for cell, process in running if process.returncode is None]
        time.sleep(1)
