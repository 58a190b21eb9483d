"""Runs killed without warning at a chosen point, in a process forked for it, and taken up again."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

import pedclip.models.pedclip
import pedclip.training.state
from pedclip.models.pedclip import PedCLIP
from pedclip.training.callbacks import Progress
from pedclip.training.checkpoints import ExportCheckpoint, ResumableCheckpoint
from pedclip.training.history import History, read_history
from pedclip.training.loop import PretrainResult, pretrain
from pedclip.training.module import PretrainModule
from tests.training.tiny import tiny_arrays, tiny_config

# 27 films make 3 batches of 8 an epoch and leave 3 over; two epochs make 6 batches.
BATCHES_PER_EPOCH, BATCHES = 3, 6
PLACES: dict[str, tuple[object, str]] = {
    "step": (PretrainModule, "training_step"),
    "batch end": (Progress, "on_train_batch_end"),
    "validation": (PretrainModule, "validation_step"),
    "metrics": (PretrainModule, "on_validation_epoch_end"),
    "history": (History, "save"),
    "export": (ExportCheckpoint, "on_train_epoch_end"),
    "weights": (pedclip.models.pedclip, "save_model"),
    "state": (ResumableCheckpoint, "_save"),
    "part of the state": (pedclip.training.state._HashedFile, "write"),
    "rename": (Path, "replace"),
}


@dataclass(frozen=True)
class Kill:
    """The process dies at the ``number``-th call of a place, before it or behind it."""

    place: str
    number: int
    is_behind: bool = False


def run(folder: Path, **training: object) -> PretrainResult:
    config = tiny_config(**{"epochs": 2, "checkpoint_every": 2} | training)
    return pretrain(tiny_arrays(27), tiny_arrays(9, 1), config=config, run=folder)


def killed_and_resumed(folder: Path, kills: Sequence[Kill], **training: object) -> PretrainResult:
    """One process after the other dies; the last one finishes."""
    for kill in kills:
        child = os.fork()
        if child == 0:
            die(kill, lambda: run(folder, **training))
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), (kill, status)
        if (folder / "checkpoint").exists():
            PedCLIP.from_pretrained(folder / "checkpoint")  # complete, or not there
    return run(folder, **training)


def die(kill: Kill, work: Callable[[], object]) -> None:
    owner, name = PLACES[kill.place]
    original, count = getattr(owner, name), 0

    def counted(*arguments: object, **options: object) -> object:
        nonlocal count
        count += 1
        if count == kill.number and not kill.is_behind:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **options)
        if count == kill.number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, counted)
    work()
    os._exit(0)  # the place was never reached


def check_equal(straight: Path, other: Path) -> None:
    """Weights, history and files of two runs are the same."""
    first, second = (load_file(folder / "checkpoint" / "model.safetensors") for folder in (straight, other))
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert not different, different
    assert read_history(straight) == read_history(other)
    left = [path for path in other.rglob(".*") if path.name.startswith(".")]
    assert not left, left


def sweep(folder: Path) -> None:
    """Every scenario; writes what went wrong into ``problems.json``."""
    from tests.training.test_kills import SCENARIOS

    torch.set_num_threads(1)  # so that forking is safe
    straight: dict[str, Path] = {}
    problems: dict[str, list[str]] = {}
    for name, (scenarios, training) in SCENARIOS.items():
        # Neither the loader's processes nor the times of saving may change a result.
        kind = json.dumps({key: value for key, value in training.items() if key in ("accumulate", "batch_size")})
        if kind not in straight:
            straight[kind] = folder / f"straight {len(straight)}"
            run(straight[kind], **training)
        problems[name] = []
        for number, kills in enumerate(scenarios):
            place = folder / f"{name} {number}"
            try:
                killed_and_resumed(place, kills, **training)
                check_equal(straight[kind], place)
            except Exception as error:
                problems[name].append(f"{kills}: {type(error).__name__}: {error}")
            shutil.rmtree(place, ignore_errors=True)
    (folder / "problems.json").write_text(json.dumps(problems))
