"""Processes of cells that are noted, not started, and fail."""

import pytest

from benchmarks import cell_queue


def failing_processes(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have been started, in their order."""
    started: list[list[str]] = []

    class Process:
        returncode = 1

        def __init__(self, command: list[str], **_: object) -> None:
            started.append(command)

        def poll(self) -> int:
            return self.returncode

    monkeypatch.setattr(cell_queue.subprocess, "Popen", Process)
    return started
