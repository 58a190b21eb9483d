"""State that a killed run goes on from: one file that is verified when it is read, and the one before it.

The file is what ``torch.save`` writes, with a digest of it behind. It is written beside its destination and renamed,
so that a kill or a full disk leaves the old one.
"""

import hashlib
import logging
from pathlib import Path
from typing import Any, BinaryIO, Final

import torch
from torch import Tensor

from pedclip.artefacts import write_file

LAST_CHECKPOINT: Final = "last.ckpt"
PREVIOUS_CHECKPOINT: Final = "previous.ckpt"
_MARK: Final = b"\npedclip-sha256 "
_TRAILER: Final = len(_MARK) + 64  # bytes; torch.load reads the file all the same
_KEYS: Final = frozenset({"global_step", "batches", "state_dict", "optimizer", "scheduler", "precision"})
_log = logging.getLogger(__name__)

State = dict[str, Any]


class DamagedState(ValueError):
    """A resumable checkpoint that is not what was written."""


class _HashedFile:
    """A file that remembers the digest of what was written into it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.digest = hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        return self.file.write(content)

    def flush(self) -> None:
        self.file.flush()


def write_state(folder: Path, state: State) -> Path:
    """Write the resumable checkpoint of a run; the present one becomes the one before.

    Args:
        folder: Of the resumable checkpoints.
        state: ``global_step`` (optimizer steps) and ``batches`` (of one rank since the beginning of the run) that are
            done, and the states of model, optimizer, scheduler and precision.

    Returns:
        The file.
    """
    last = folder / LAST_CHECKPOINT

    def fill(file: BinaryIO) -> None:
        hashed = _HashedFile(file)
        torch.save(state, hashed)  # type: ignore[arg-type]  # it writes front to back
        file.write(_MARK + hashed.digest.hexdigest().encode())

    def keep_previous() -> None:
        # Killed behind this rename, a run goes on from the one before.
        if last.exists():
            last.replace(folder / PREVIOUS_CHECKPOINT)

    return write_file(last, fill, before_rename=keep_previous)


def read_state(folder: Path, *, repair: bool) -> State | None:
    """The newest sound checkpoint of a folder, or None where there is none at all.

    Args:
        folder: Of the resumable checkpoints.
        repair: Delete a damaged one before which a sound one stands.

    Raises:
        DamagedState: There are checkpoints, but none is sound; the message says what is wrong with each.
        IsADirectoryError: A folder stands in place of one.
    """
    problems = []
    # A kill between the two renames of `write_state` leaves the one before alone.
    for name in (LAST_CHECKPOINT, PREVIOUS_CHECKPOINT):
        path = folder / name
        if path.is_dir():
            # No damage that a sound one could replace: a person has put it there.
            raise IsADirectoryError(f"{path} is a folder; expected the file of a checkpoint. Move it away")
        if not path.exists():
            continue
        try:
            state = _verified(path)
        except DamagedState as error:
            problems.append(str(error))
            continue
        if problems:
            _log.warning("%s; going on from %s, step %d", problems[0], path, state["global_step"])
            if repair:  # or it would take the place of the sound one at the next writing
                (folder / LAST_CHECKPOINT).unlink(missing_ok=True)
        return state
    if problems:
        raise DamagedState(f"nothing to go on from: {'; '.join(problems)}; start the run again: resume=False")
    return None


def not_finite(tensors: Any, name: str = "") -> str:
    """Name of the first tensor with a NaN or an infinite value in nested dicts and lists, "" if there is none."""
    if isinstance(tensors, Tensor):
        is_sound = not tensors.is_floating_point() or bool(torch.isfinite(tensors).all())
        return "" if is_sound else name
    items = tensors.items() if isinstance(tensors, dict) else enumerate(tensors) if isinstance(tensors, list) else ()
    for key, value in items:
        if found := not_finite(value, f"{name}.{key}".lstrip(".")):
            return found
    return ""


def _verified(path: Path) -> State:
    _check_digest(path)
    try:
        # weights_only: unpickled without running any code that the file may hold.
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # every part of torch's reader raises its own class
        raise DamagedState(f"{path} cannot be read ({type(error).__name__})") from error
    if not isinstance(state, dict) or not state.keys() >= _KEYS:
        raise DamagedState(f"{path} is no resumable checkpoint")
    if tensor := not_finite(state):
        raise DamagedState(f"{path} holds NaN or infinite values in {tensor}")
    return state


def _check_digest(path: Path) -> None:
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(max(0, size - _TRAILER))
        trailer = file.read()
        file.seek(0)
        left = size - _TRAILER
        # In pieces of 4 MiB: the state of a large model is larger than what a node may have free.
        while left > 0 and (content := file.read(min(left, 1 << 22))):
            digest.update(content)
            left -= len(content)
    if not trailer.startswith(_MARK):
        raise DamagedState(f"{path} is damaged: it has {size} bytes and no digest at its end")
    if trailer != _MARK + digest.hexdigest().encode():
        raise DamagedState(f"{path} is damaged: its digest differs")
