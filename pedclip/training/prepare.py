"""From a data name or folder to arrays that a training run can read without decoding anything."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pedclip.artefacts import write_json
from pedclip.training.arrays import TripletArrays
from pedclip.training.config import RunConfig

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


@dataclass(frozen=True)
class PreparedData:
    """The three splits of a run.

    Attributes:
        triplets: As loaded, with every field of the schema.
        train: Training arrays.
        validation: Validation arrays, possibly empty.
    """

    triplets: "DatasetDict"
    train: TripletArrays
    validation: TripletArrays


def prepare(config: RunConfig, run: Path, *, side: int, regions: tuple[str, ...] = ()) -> PreparedData:
    """Load the data of a run, decode every image once, and note who was trained on.

    Args:
        config: Names the data.
        run: Folder of the run; gets ``quarantine.csv``, ``training_patients.json`` and the image cache.
        side: Side of the cached films, pixels: the preprocessing's ``resize``.
        regions: Keep only these; () keeps all.

    Raises:
        ValueError: The data cannot be read, or no image is left for training.
    """
    # Imported here: a GPU image without `datasets` can train on arrays that were prepared elsewhere.
    from pedclip.data import load

    options: dict[str, Any] = {"studies": config.studies, "seed": config.training.seed, "size": config.phantom_size}
    is_phantom = config.data == "phantom"
    triplets = load(config.data, quarantine=run / "quarantine.csv", **(options if is_phantom else {}))
    if regions:
        names = triplets["train"].features["region"]
        wanted = {names.str2int(region) for region in regions}
        triplets = triplets.filter(lambda region: region in wanted, input_columns="region")
    train, validation = (
        to_arrays(triplets[split], run / "cache" / split, side=side) for split in ("train", "validation")
    )
    if not len(train):
        raise ValueError(f"data={config.data!r} leaves no image in the training split; see {run / 'quarantine.csv'}")
    write_json(run / "training_patients.json", sorted({patient_key(patient) for patient in train.patients}))
    return PreparedData(triplets, train, validation)


def to_arrays(split: "Dataset", cache: Path, *, side: int) -> TripletArrays:
    """Arrays of one split of triplets.

    Args:
        split: Triplets.
        cache: Folder of the image cache; rebuilt when stale.
        side: Side of the cached films, pixels.
    """
    from pedclip.data.cache import build_cache

    images = build_cache(split, cache, side=side) if len(split) else np.zeros((0, side, side), np.uint8)
    regions = np.asarray(split["region"], dtype=np.int64)
    return TripletArrays(images, list(split["text"]), regions, qualified_patients(split))


def qualified_patients(split: "Dataset") -> list[str]:
    """Patients as "<source>/<patient>", the same whether a folder was loaded alone or in a union."""
    pairs = zip(split["source"], split["patient_id"], strict=True)
    return [f"{source}/{patient.removeprefix(source + '/')}" for source, patient in pairs]


def patient_key(patient: str) -> str:
    """Short one-way key by which an evaluation recognises a qualified patient of the training split."""
    return hashlib.sha256(f"pedclip-training:{patient}".encode()).hexdigest()[:16]
