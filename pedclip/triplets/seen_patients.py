"""The patients and films that a training run has used, and their removal from what is evaluated.

``patients.json`` holds keyed hashes. The key lies beside the folder of the run, as curation keeps it beside its output,
so that whoever gets the folder cannot try all record numbers; an evaluation needs both.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pedclip.artefacts import read_json, write_json
from pedclip.triplets.arrays import TripletArrays, film_digests, qualified_patients
from pedclip.triplets.pseudonyms import pseudonym, read_salt

if TYPE_CHECKING:
    from datasets import Dataset

PATIENTS_FILE: Final = "patients.json"
_CHECKED: Final = "the key of this file"  # its hash tells a wrong key, which would recognise nobody


def write_seen_patients(run: Path, *, train: TripletArrays, validation: TripletArrays) -> Path:
    """Write ``patients.json`` of a run, and its key beside the folder if there is none yet.

    Args:
        run: Folder of the run.
        train: Training split.
        validation: Validation split.
    """
    salt = read_salt(salt_file(run))
    content: dict[str, Any] = {"hash": "HMAC-SHA256, 64 bits", "key": pseudonym(_CHECKED, salt)}
    for name, arrays in (("train", train), ("validation", validation)):
        content[name] = sorted({pseudonym(patient, salt) for patient in arrays.patients})
        content[f"{name}_films"] = sorted({pseudonym(digest, salt) for digest in arrays.digests})
    return write_json(run / PATIENTS_FILE, content)


def salt_file(run: Path) -> Path:
    """Key of the ``patients.json`` in the folder of a run."""
    folder = run.resolve()
    return folder.with_name(f"{folder.name}.salt")


def drop_seen_patients(triplets: "Dataset", patients: Path, *, split: str) -> tuple["Dataset", int]:
    """Triplets of patients that a training run has not used.

    A film can reach both parts when an evaluation names other data than the training did, for example a folder whose
    own split had no training part and was split anew. A patient is known by the identifier within its source, or by
    any film, whatever folder it lies in now.

    Args:
        triplets: Candidates.
        patients: ``patients.json`` of the training run.
        split: "test" drops patients of its training and validation splits, "validation" those of training only.

    Returns:
        The rest, and the number of films that were dropped.

    Raises:
        FileNotFoundError: The key of the file is not beside the run.
        ValueError: The file or its key is damaged, or names no training patient.
    """
    used = _read(patients)
    # Validation patients chose the checkpoint: they are known to it too, but may be validated on again.
    parts = ("train", "validation") if split == "test" else ("train",)
    seen = {key for part in parts for key in used[part]}
    films = {key for part in parts for key in used.get(f"{part}_films", ())}
    salt = _salt_of(patients, used) if "key" in used else None
    names = qualified_patients(triplets)
    keys = [patient_key(name) if salt is None else pseudonym(name, salt) for name in names]
    known = {name for name, key in zip(names, keys, strict=True) if key in seen}
    if salt is not None and films and "image" in triplets.column_names:
        digests = film_digests(triplets)
        known |= {name for name, digest in zip(names, digests, strict=True) if pseudonym(digest, salt) in films}
    # (N,) of bool also where N is 0.
    is_new = np.array([name not in known for name in names], dtype=bool)
    return triplets.select(np.flatnonzero(is_new)), int((~is_new).sum())


def num_unnamed(patients: Path, *films: TripletArrays) -> int:
    """Number of patients of a training run that are in none of some films.

    Args:
        patients: ``patients.json`` of the training run.
        films: Of the training and validation splits of another one.

    Raises:
        FileNotFoundError: As `drop_seen_patients`.
        ValueError: As there.
    """
    used = _read(patients)
    salt = _salt_of(patients, used) if "key" in used else None
    names = {name for part in films for name in part.patients}
    keys = {patient_key(name) if salt is None else pseudonym(name, salt) for name in names}
    return len(({*used["train"], *used["validation"]}) - keys)


def patient_key(patient: str) -> str:
    """Hash without a key, as files of older runs hold it.

    Args:
        patient: As ``pedclip.triplets.arrays.qualified_patients`` writes it.
    """
    # Salted with the purpose, so that the key is not that of a split or of a curated set.
    return hashlib.sha256(f"pedclip-training:{patient}".encode()).hexdigest()[:16]


def _read(patients: Path) -> dict[str, Any]:
    used: dict[str, Any] = read_json(patients)
    parts = ("train", "validation", "train_films", "validation_films")
    lists = [used.get(part, []) for part in parts] if isinstance(used, dict) else []
    is_sound = lists and all(isinstance(part, list) and all(isinstance(key, str) for key in part) for part in lists)
    if not is_sound or not {"train", "validation"} <= used.keys() or not isinstance(used.get("key", ""), str):
        raise ValueError(f"{patients} is damaged: expected lists of keys under 'train' and 'validation'")
    # No run trains on nobody: such a list would let every patient pass as new.
    if not used["train"]:
        raise ValueError(f"{patients} names no training patient, so nobody could be told to be new; restore the file")
    return used


def _salt_of(patients: Path, used: dict[str, Any]) -> bytes:
    file = salt_file(patients.parent)
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} is missing: it is the key of {patients}, which says whose films the model has seen. "
            "Keep it beside the folder of the training run, under the folder's name."
        )
    salt = read_salt(file)
    if pseudonym(_CHECKED, salt) != used["key"]:
        raise ValueError(f"{file} is not the key of {patients}: with it no patient would be recognised")
    return salt
