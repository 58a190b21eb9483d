"""Folders of runs: what a killed run goes on from, and whether it may.

A run may only go on with what it began with. The folder therefore keeps, beside the resumable checkpoint, the
configuration (``training.json``) and a fingerprint of the training films.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
from torch import distributed

from pedclip.artefacts import clear_partial_files, first_difference, read_json, write_json
from pedclip.training.checkpoints import EXPORT_FOLDER, RESUME_FOLDER
from pedclip.training.config import RunConfig
from pedclip.training.run_lock import is_main
from pedclip.training.state import LAST_CHECKPOINT, State, read_state
from pedclip.triplets.arrays import TripletArrays
from pedclip.triplets.seen_patients import write_seen_patients

CONFIG_FILE: Final = "training.json"
DATA_FILE: Final = f"{RESUME_FOLDER}/data.json"
_WAYS_OUT: Final = (
    "  Give this one a folder of its own (a notebook: name='other'),\n"
    "  or delete what is there and start again:   resume=False"
)


def claim_run(
    run: Path, config: RunConfig, train: TripletArrays, validation: TripletArrays, *, resume: bool, start: str = ""
) -> State | None:
    """Take a folder for a run: continue what is in it, or clear it and write down what the run is made of.

    Args:
        run: Folder of the run.
        config: Of the run.
        train: Training split.
        validation: Validation split.
        resume: Continue; False deletes checkpoints and logs of the run that was there.
        start: Digest of the checkpoint that the run begins with, "" for none.

    Returns:
        The state to continue from, None for a fresh start.

    Raises:
        ValueError: The folder holds another run (the message names the first difference), or a checkpoint that nothing
            here can continue: it is not deleted unless ``resume`` is False.
    """
    if not is_main() and distributed.is_initialized():
        distributed.barrier()  # one process writes; the others find a folder in order
    run.mkdir(parents=True, exist_ok=True)
    films = {"films": len(train), "fingerprint": _fingerprint(train)}
    # Only where there is one, so that folders of older runs stay what they are.
    wanted = {CONFIG_FILE: config.to_dict(), DATA_FILE: films | ({"start": start} if start else {})}
    state = _continue(run, wanted) if resume else None
    if is_main():
        # Of a process that was killed while it wrote.
        for folder in (run, run / RESUME_FOLDER, *run.glob("logs/version_*")):
            clear_partial_files(folder)
        if state is None:
            _begin(run, wanted, train, validation)
        if distributed.is_initialized():
            distributed.barrier()
    return state


def _continue(run: Path, wanted: dict[str, Any]) -> State | None:
    has_export, resume = (run / EXPORT_FOLDER).exists(), run / RESUME_FOLDER
    # Neither was written yet: a process that died this early has left nothing to lose.
    if not has_export and not any(resume.glob("*.ckpt")):
        return None
    _refuse_another_run(run, wanted)
    missing = [name for name in wanted if not (run / name).exists()]
    # Without its description nobody knows what a state is of.
    state = None if missing else read_state(resume, repair=is_main())
    if state is None:
        absent = missing[0] if missing else f"{RESUME_FOLDER}/{LAST_CHECKPOINT}"
        what = f"the checkpoint {run / EXPORT_FOLDER}" if has_export else f"checkpoints in {resume}"
        raise ValueError(
            f"{run} holds {what}, but {absent} is missing, without which no run can go on; it is not deleted.\n"
            f"{_WAYS_OUT}"
        )
    return state


def _begin(run: Path, wanted: dict[str, Any], train: TripletArrays, validation: TripletArrays) -> None:
    # Killed halfway, this leaves what a run that died early leaves, and is begun again.
    # A checkpoint of another run must never stand beside this run's list of patients; renamed first, for a killed
    # process must not leave half of it.
    export, old = run / EXPORT_FOLDER, run / f".{EXPORT_FOLDER}.old"
    shutil.rmtree(old, ignore_errors=True)
    if export.exists():
        export.rename(old)
        shutil.rmtree(old)
    for pattern in (f"{RESUME_FOLDER}/*.ckpt", "logs/version_*/metrics.csv"):
        for path in run.glob(pattern):
            path.unlink()
    for name, content in wanted.items():
        write_json(run / name, content)
    write_seen_patients(run, train=train, validation=validation)


def _refuse_another_run(run: Path, wanted: dict[str, Any]) -> None:
    for name, content in wanted.items():
        if not (run / name).exists():
            continue
        stored = read_json(run / name)
        sections = [stored.get(key, {}) for key in ("model", "training")] if isinstance(stored, dict) else [None]
        if not all(isinstance(section, dict) for section in sections):
            raise ValueError(f"{run / name} is damaged: expected an object of names and values")
        if name == CONFIG_FILE:
            stored = _with_defaults(stored)
        # Through JSON once, for it knows lists but no tuples.
        difference = first_difference(stored, json.loads(json.dumps(content)))
        if difference:
            raise ValueError(f"{run} holds another run ({difference}).\n{_WAYS_OUT}")


def _with_defaults(stored: dict[str, Any]) -> dict[str, Any]:
    """A stored configuration with the fields that came after it, whose defaults are what the run did without them."""
    defaults = json.loads(json.dumps(RunConfig().to_dict()))
    sections = {name: defaults[name] | stored.get(name, {}) for name in ("model", "training")}
    return defaults | stored | sections  # type: ignore[no-any-return]


def _fingerprint(train: TripletArrays) -> str:
    """Digest of what a resumed run must find again: all words, regions, patients, and the pixels of a sample."""
    digest = hashlib.sha256(train.regions.tobytes())
    # 64 films at most: reading an archive of 400 000 again would take longer than many a restart is worth.
    digest.update(np.ascontiguousarray(train.images[:: max(1, len(train) // 64)]).tobytes())
    # \0 stands in no text: "ab" + "c" must not pass for "a" + "bc".
    for text, patient in zip(train.texts, train.patients, strict=True):
        digest.update(f"{patient}\0{text}\0".encode())
    return digest.hexdigest()[:16]
