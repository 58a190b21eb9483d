"""The patients that a training run has used, and their removal from what is evaluated."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from pedclip.triplets.arrays import qualified_patients

if TYPE_CHECKING:
    from datasets import Dataset

PATIENTS_FILE: Final = "patients.json"


def drop_seen_patients(triplets: "Dataset", patients: Path, *, split: str) -> tuple["Dataset", int]:
    """Triplets of patients that a training run has not used.

    A film can reach both parts when an evaluation names other data than the training did, for example a folder whose
    own split had no training part and was split anew.

    Args:
        triplets: Candidates.
        patients: ``patients.json`` of the training run.
        split: "test" drops patients of its training and validation splits, "validation" those of training only.

    Returns:
        The rest, and the number of films that were dropped.
    """
    # Validation patients chose the checkpoint: they are known to it too, but may be validated on again.
    used = json.loads(patients.read_text())
    seen = {*used["train"], *(used["validation"] if split == "test" else [])}
    # (N,) of bool also where N is 0.
    is_new = np.array([patient_key(patient) not in seen for patient in qualified_patients(triplets)], dtype=bool)
    return triplets.select(np.flatnonzero(is_new)), int((~is_new).sum())


def patient_key(patient: str) -> str:
    """Pseudonymous key by which an evaluation recognises a patient of this run.

    Args:
        patient: As ``pedclip.triplets.arrays.qualified_patients`` writes it.
    """
    # Salted with the purpose, so that the key is not that of a split or of a curated set.
    return hashlib.sha256(f"pedclip-training:{patient}".encode()).hexdigest()[:16]
