"""Folders of runs: which checkpoint a killed run goes on from, and whether it may.

A run may only go on with what it began with. The folder therefore keeps, beside Lightning's checkpoint, the
configuration (``training.json``) and a fingerprint of the training films.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import distributed

from pedclip.artefacts import write_json
from pedclip.training.config import RunConfig
from pedclip.triplets.arrays import TripletArrays
from pedclip.triplets.seen_patients import PATIENTS_FILE, patient_key

RESUME_FOLDER: Final = "resume"
LAST_CHECKPOINT: Final = "last.ckpt"
CONFIG_FILE: Final = "training.json"
DATA_FILE: Final = f"{RESUME_FOLDER}/data.json"


def claim_run(
    run: Path, config: RunConfig, train: TripletArrays, validation: TripletArrays, *, resume: bool
) -> Path | None:
    """Take a folder for a run: continue what is in it, or clear it and write down what the run is made of.

    Args:
        run: Folder of the run.
        config: Of the run.
        train: Training split.
        validation: Validation split.
        resume: Continue; False clears the checkpoints and logs of whatever was there.

    Returns:
        The checkpoint to continue from, None for a fresh start.

    Raises:
        ValueError: The folder holds another run; the message names the first difference.
    """
    run.mkdir(parents=True, exist_ok=True)
    wanted = {
        CONFIG_FILE: config.to_dict(),
        DATA_FILE: {"films": len(train), "fingerprint": _fingerprint(train)},
    }
    last = run / RESUME_FOLDER / LAST_CHECKPOINT
    # All of them, or a fresh start: a process may have died between any two of these files.
    if resume and last.exists() and all((run / name).exists() for name in wanted):
        _refuse_another_run(run, wanted)
        return last
    if _is_main():  # one process writes; the others find a folder in order
        # A checkpoint of another run must never stand beside this run's list of patients.
        shutil.rmtree(run / "checkpoint", ignore_errors=True)
        for pattern in (f"{RESUME_FOLDER}/*.ckpt", "logs/version_*/metrics.csv"):
            for path in run.glob(pattern):
                path.unlink()
        seen = {"train": train.patients, "validation": validation.patients}
        # Keys instead of identifiers: the file tells whose films were used only to who already knows the names.
        keys = {split: sorted({patient_key(patient) for patient in patients}) for split, patients in seen.items()}
        for name, content in (wanted | {PATIENTS_FILE: keys}).items():
            write_json(run / name, content)
    return None


def steps_done(checkpoint: Path) -> int:
    """Optimizer steps that a resumable checkpoint stands for."""
    return int(torch.load(checkpoint, weights_only=True)["global_step"])


def _refuse_another_run(run: Path, wanted: dict[str, Any]) -> None:
    for name, content in wanted.items():
        stored = json.loads((run / name).read_text())
        if name == CONFIG_FILE:
            stored = _with_defaults(stored)
        # Through JSON once, for it knows lists but no tuples.
        difference = _first_difference(stored, json.loads(json.dumps(content)))
        if difference:
            raise ValueError(
                f"{run} holds another run ({difference}).\n"
                "  Give this one a folder of its own (a notebook: name='other'),\n"
                "  or start it again:   resume=False"
            )


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


def _first_difference(old: Any, new: Any, name: str = "") -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        # A key on one side only counts as None on the other.
        for key in sorted(old.keys() | new.keys()):
            found = _first_difference(old.get(key), new.get(key), f"{name}.{key}".lstrip("."))
            if found:
                return found
        return ""
    return "" if old == new else f"{name} was {old!r}, is {new!r}"


def _is_main() -> bool:
    return not (distributed.is_available() and distributed.is_initialized()) or distributed.get_rank() == 0
