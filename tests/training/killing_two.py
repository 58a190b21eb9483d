"""Runs of two processes (gloo) that are killed at a chosen point, and taken up again by two others."""

import json
import os
import shutil
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from pedclip.models.pedclip import PedCLIP
from pedclip.training.launcher import join_processes
from pedclip.training.loop import pretrain
from tests.training.killing import Kill, check_equal, die
from tests.training.tiny import tiny_arrays, tiny_config


@dataclass(frozen=True)
class KillOfTwo:
    """Both processes die: that of ``rank`` at a chosen point, and the other when the first is gone.

    Args:
        kill: Point of the first.
        rank: Of the first.
        is_left_alone: True where nobody kills the other, which ends by itself, as its partner is gone.
    """

    kill: Kill
    rank: int = 0
    is_left_alone: bool = False


@dataclass
class Attempt:
    """Both processes of a run; their exit codes, negative for signals."""

    run: Path
    kill: KillOfTwo | None
    training: dict[str, object]
    children: dict[int, int] = field(default_factory=dict)  # process id -> rank

    def play(self) -> dict[int, int]:
        """Exit code by rank."""
        port = _free_port()
        for rank in range(2):
            child = os.fork()
            if child == 0:
                _be_rank(rank, port, self._work(rank))
            self.children[child] = rank
        codes: dict[int, int] = {}
        while len(codes) < 2:
            child, status = os.wait()
            codes[self.children.pop(child)] = os.waitstatus_to_exitcode(status)
            if self.kill and not self.kill.is_left_alone:
                for other in self.children:
                    os.kill(other, signal.SIGKILL)
        return codes

    def _work(self, rank: int) -> Callable[[], object]:
        config = tiny_config(**{"epochs": 2, "checkpoint_every": 2, "devices": 2, "accelerator": "cpu"} | self.training)

        def work() -> None:
            join_processes(config.training)
            pretrain(tiny_arrays(27), tiny_arrays(9, 1), config=config, run=self.run)

        if self.kill and self.kill.rank == rank:
            point = self.kill.kill
            return lambda: die(point, work)
        return work


def _be_rank(rank: int, port: int, work: Callable[[], object]) -> None:
    """This process as torchrun would start it."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0", "WORLD_SIZE": "2"}
    os.environ |= {"LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1"}
    os.environ["MASTER_PORT"] = str(port)
    try:
        work()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def killed_and_resumed(folder: Path, kills: Sequence[KillOfTwo], **training: object) -> None:
    """One pair of processes after the other dies; the last pair finishes."""
    for kill in kills:
        codes = Attempt(folder, kill, training).play()
        assert codes[kill.rank] == -signal.SIGKILL, (kill, codes)
        # Behind the last step of a run the processes wait for each other no more, and the other may have ended well.
        is_at_the_end = kill.kill.is_behind and kill.kill.place == "state"
        assert is_at_the_end or codes[1 - kill.rank] != 0, (kill, codes)
        if (folder / "checkpoint").exists():
            PedCLIP.from_pretrained(folder / "checkpoint")  # complete, or not there
    codes = Attempt(folder, None, training).play()
    assert codes == {0: 0, 1: 0}, codes


def sweep(folder: Path) -> None:
    """Every scenario; writes what went wrong into ``problems.json``."""
    from tests.training.test_kills_two import SCENARIOS

    torch.set_num_threads(1)  # so that forking is safe
    straight = folder / "straight"
    killed_and_resumed(straight, [])
    problems: dict[str, list[str]] = {}
    for name, (scenarios, training) in SCENARIOS.items():
        problems[name] = []
        for number, kills in enumerate(scenarios):
            place = folder / f"{name} {number}"
            try:
                killed_and_resumed(place, kills, **training)
                check_equal(straight, place)
            except Exception as error:
                problems[name].append(f"{kills}: {type(error).__name__}: {error}")
            shutil.rmtree(place, ignore_errors=True)
    (folder / "problems.json").write_text(json.dumps(problems))
