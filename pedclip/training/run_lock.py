"""One process at a time in the folder of a run: two would mix their configurations, patients and logs."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import SoftFileLease, Timeout
from torch import distributed

from pedclip.artefacts import is_alive

LOCK_FILE: Final = ".lock"
# A holder on this machine that is dead is recognised at once. One elsewhere cannot be asked: it touches the file every
# three seconds, and is taken for dead when it has not done so for thirty.
_LEASE_SECONDS: Final = 30.0
_BEATS_PER_LEASE: Final = 10
_held: dict[Path, tuple[int, SoftFileLease]] = {}  # folders that this process holds, with the thread


class RunInUse(BlockingIOError):
    """Another process works in the folder of a run."""


@contextmanager
def run_lock(run: Path, *, lease_seconds: float = _LEASE_SECONDS) -> Iterator[None]:
    """Hold the folder of a run; within one thread it may be held several times.

    A lock that a killed process left is taken over: at once where the process was of this machine, after
    ``lease_seconds`` without a sign of life where it was of another.

    Args:
        run: Folder, made if absent.
        lease_seconds: Time after which a silent holder on another machine counts as dead; the same for all runs.

    Raises:
        RunInUse: Another process or thread holds it; the message names it.
    """
    folder, thread = run.resolve(), threading.get_ident()
    # Of the processes of one run the one that writes holds it for all.
    if not is_main() or (folder in _held and _held[folder][0] == thread):
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    beat = lease_seconds / _BEATS_PER_LEASE
    lock = SoftFileLease(folder / LOCK_FILE, lease_duration=lease_seconds, heartbeat_interval=beat)
    _acquire(lock, run, lease_seconds)
    _held[folder] = thread, lock
    try:
        yield
    finally:
        del _held[folder]
        lock.release()


def check_lock(run: Path) -> None:
    """Make sure that a folder held with `run_lock` has not been taken over, as after hours of suspension.

    Raises:
        RunInUse: It has been.
    """
    _, lock = _held.get(run.resolve(), (0, None))
    if lock is not None and lock.compromise is not None:
        raise RunInUse(f"{run} was taken over by another run while this one was suspended; nothing more is written")


def is_main() -> bool:
    """True in the process that writes: rank 0."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank() == 0
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


def _acquire(lock: SoftFileLease, run: Path, lease_seconds: float) -> None:
    path = Path(lock.lock_file)
    seen, deadline = None, time.monotonic() + 2 * lease_seconds
    while True:
        try:
            lock.acquire(timeout=0)  # takes over from a dead process of this machine
            return
        except Timeout:
            # A silent holder is waited for; whoever touches the file is alive.
            now = path.stat().st_mtime_ns if path.exists() else None
            is_held = _is_alive_here(lock) or (seen is not None and now is not None and now != seen)
            if is_held or time.monotonic() > deadline:
                raise RunInUse(
                    f"{run} is in use by {_holder(lock)}: two runs in one folder would mix their patients and weights. "
                    "Wait for it, or give this run a folder of its own (a notebook: name='other')"
                ) from None
            seen = now
        time.sleep(lease_seconds / _BEATS_PER_LEASE / 3)


def _is_alive_here(lock: SoftFileLease) -> bool:
    # Only where the name is all of the identity: a container may have the name of its predecessor.
    owner = lock.owner
    return owner is not None and owner.hostname == socket.gethostname() and is_alive(owner.pid)


def _holder(lock: SoftFileLease) -> str:
    owner = lock.owner
    return "another process" if owner is None else f"process {owner.pid} on {owner.hostname.partition('?')[0]}"
