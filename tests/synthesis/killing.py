"""A copy in a process of its own that is killed at a chosen place: `python -m tests.synthesis.killing FOLDER PLACE`."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pedclip.synthesis import copying, drawn_films
from pedclip.triplets import storage
from tests.synthesis.generators import NoiseGenerator
from tests.synthesis.test_copying import triplets

# Function that is called as usual but for the call of this number.
PLACES: dict[str, tuple[Any, str, int]] = {
    "within a batch": (drawn_films, "write_bytes", 4),
    "between two batches": (drawn_films, "_draw", 3),
    "between two shards": (storage, "_write_split", 2),
    "before the manifest": (copying, "write_file", 1),
    "before the head": (copying, "write_json", 1),
    "after the copy": (copying, "_result", 1),
}


def killed_at(function: Callable[..., Any], number: int) -> Callable[..., Any]:
    calls = []

    def replacement(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)

    return replacement


def main(folder: Path, places: list[str]) -> None:
    """Begin one copy per place, in children that are killed there."""
    for place in places:
        child = os.fork()
        if child == 0:
            module, name, number = PLACES[place]
            setattr(module, name, killed_at(getattr(module, name), number))
            copying.synthetic_copy(triplets(), NoiseGenerator(), folder / place, batch_size=2)
            os._exit(0)  # reached only if the place is never met
        _, status = os.waitpid(child, 0)
        print(place, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
