"""Folder of a flow's run: what a killed run goes on from, and whether it may."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.artefacts import check_replaceable, clear_partial_files, first_difference, read_json, write_json
from pedclip.models.checkpoint_files import CONFIG_FILE
from pedclip.synthesis.flow.checkpoint import EMBEDDED_NAMES, HELD
from pedclip.synthesis.flow.config import GENERIC, PHANTOM, FlowRun
from pedclip.training.state import State, read_state
from pedclip.triplets.seen_patients import PATIENTS_FILE

RUN_FILE: Final = "flow.json"
EXPORT_FOLDER: Final = "checkpoint"
RESUME_FOLDER: Final = "resume"
_DATA_FILE: Final = f"{RESUME_FOLDER}/data.json"
_SAMPLE: Final = 64  # films whose pixels are part of the fingerprint
_WAYS_OUT: Final = "\n  Give this one a folder of its own, or start again: resume=False (a shell: --no-resume)"


def claim_run(
    run: Path,
    config: FlowRun,
    images: NDArray[np.uint8],
    texts: Sequence[str],
    *,
    text_encoder: str,
    start: str,
    resume: bool,
) -> State | None:
    """Folder taken for a run: what is in it is continued, or cleared and begun.

    Args:
        run: Folder.
        config: Of the run.
        images: (N, H, W) films.
        texts: N captions.
        text_encoder: Its fingerprint.
        start: That of the weights it begins with; "" of random ones, or where they are gone.
        resume: False deletes states and history of the flow that was there.

    Returns:
        The state to go on from, None for a fresh start.

    Raises:
        ValueError: As `check_run`.
        FileExistsError: As `check_run`.
    """
    # What the configuration does not say and yet decides the weights.
    data = {"films": len(images), "fingerprint": _fingerprint(images, texts), "text_encoder": text_encoder}
    if start:
        data["start"] = start
    wanted = {RUN_FILE: config.to_dict(), _DATA_FILE: data}
    check_run(run, config, resume=resume)
    state = _continue(run, wanted) if resume else None
    (run / RESUME_FOLDER).mkdir(parents=True, exist_ok=True)
    for folder in (run, run / RESUME_FOLDER, *run.glob("logs/version_*")):
        clear_partial_files(folder)  # of a process that was killed while it wrote
    if state is None:
        # Nothing of an earlier run may stand beside the description of this one.
        for pattern in (f"{RESUME_FOLDER}/*.ckpt", "logs/version_*/metrics.csv"):
            for path in run.glob(pattern):
                path.unlink()
        shutil.rmtree(run / EXPORT_FOLDER, ignore_errors=True)
        (run / PATIENTS_FILE).unlink(missing_ok=True)  # of the films of that run
        for name, content in wanted.items():
            write_json(run / name, content)
    return state


def check_run(run: Path, config: FlowRun, *, resume: bool) -> None:
    """A refusal of a folder that holds another run, before anything is written into it.

    Args:
        run: Folder.
        config: Of the run that is to begin or to go on.
        resume: False allows another flow, which will be begun anew.

    Raises:
        ValueError: The folder holds another flow, the films, or the generator that this one begins with.
        FileExistsError: It holds something else.
    """
    _refuse_sources(run, config)
    _refuse_other_rooms(run)
    if resume and _has_work(run):
        _check_described(run, {RUN_FILE: config.to_dict()})


def _refuse_sources(run: Path, config: FlowRun) -> None:
    # What is read must not be what is written: left_out.csv, the cache and the checkpoint would replace theirs.
    places = [Path(one.strip()) for one in config.data.split(",")] if config.data not in (PHANTOM, GENERIC) else []
    if any(one.is_dir() and run.resolve().is_relative_to(one.resolve()) for one in places):
        raise ValueError(f"{run} holds the films that are read; give another output folder")
    start = Path(config.start).resolve() if config.start and config.start not in EMBEDDED_NAMES else None
    if start and start.is_relative_to(run.resolve()):
        raise ValueError(f"start={config.start!r} lies in {run}, which the run replaces; give another output folder")


def _refuse_other_rooms(run: Path) -> None:
    # Before hours of training, and before anything is deleted.
    export = run / EXPORT_FOLDER
    has_other = export.exists() and not (run / RUN_FILE).exists()
    if has_other or (run / "training.json").exists():
        raise FileExistsError(f"{run} holds a run that is none of a flow (see {export / CONFIG_FILE}); name another")
    # Before it is replaced: somebody may keep notes there.
    check_replaceable(export, HELD)


def has_state(run: Path) -> bool:
    """True for a folder that holds what a killed run goes on from."""
    return any((run / RESUME_FOLDER).glob("*.ckpt"))


def _has_work(run: Path) -> bool:
    # A finished generator may have been kept without the states it came from.
    return has_state(run) or (run / EXPORT_FOLDER).exists()


def _continue(run: Path, wanted: dict[str, Any]) -> State | None:
    # Without a state or a generator there is nothing to lose, whatever the folder was meant for.
    if _has_work(run):
        _check_described(run, wanted)
    return read_state(run / RESUME_FOLDER, repair=True) if has_state(run) else None


def _check_described(run: Path, wanted: dict[str, Any]) -> None:
    # Described, and of the same thing, or it is somebody else's work.
    for name, content in wanted.items():
        if not (run / name).exists():
            raise ValueError(f"{run} holds a flow but no {name}, without which nobody knows of what.{_WAYS_OUT}")
        stored = read_json(run / name)
        if name == RUN_FILE:
            # A field that came later has its default: what the run did without it.
            stored = FlowRun.from_dict(stored).to_dict()
        if name == _DATA_FILE and "start" not in content:
            # Weights that are gone decide nothing any more: the run has its own.
            stored.pop("start", None)
        if difference := first_difference(stored, content):
            raise ValueError(f"{run} holds another run ({difference}).{_WAYS_OUT}")


def _fingerprint(images: NDArray[np.uint8], texts: Sequence[str]) -> str:
    # \0 stands in no text: "ab" + "c" must not pass for "a" + "bc".
    digest = hashlib.sha256("\0".join(texts).encode())
    # A sample: an archive is not read again for every restart.
    digest.update(np.ascontiguousarray(images[:: max(1, len(images) // _SAMPLE)]).tobytes())
    return digest.hexdigest()[:16]
