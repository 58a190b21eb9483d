"""Runs that die without warning at a chosen place: ``python -m tests.synthesis.flow.killing FOLDER PLACE…``.

Every place is tried in a process forked for it, in a folder of its own.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from pedclip.synthesis.flow import train
from pedclip.synthesis.flow.train import FlowResult, train_flow
from tests.synthesis.flow.tiny import tiny_captions, tiny_films, tiny_run

# Of the 4 steps, after every second of which a state is written.
PLACES: dict[str, tuple[object, str, int]] = {
    "fourth step": (train._Training, "_step", 4),
    "second state": (train, "write_state", 2),
    # Configuration, data, history, state, history, then the first state makes room for the second.
    "rename": (Path, "replace", 6),
    "export": (train, "save_generator", 2),
}


def run(folder: Path, **training: object) -> FlowResult:
    images, texts = tiny_films(10)
    return train_flow(
        images,
        texts,
        config=tiny_run({"channels": [16], "patch": 4}, steps=4, **training),
        run=folder,
        captions=tiny_captions(),
    )


def main(folder: Path, places: list[str]) -> None:
    torch.set_num_threads(1)  # so that forking is safe
    for place in places:
        child = os.fork()
        if child == 0:
            _die(place, lambda place=place: run(folder / place))  # type: ignore[misc]
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), (place, status)


def _die(place: str, work: Callable[[], object]) -> None:
    owner, name, number = PLACES[place]
    original, count = getattr(owner, name), 0

    def counted(*arguments: object, **options: object) -> object:
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)

    setattr(owner, name, counted)
    work()
    os._exit(0)  # the place was never reached


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
