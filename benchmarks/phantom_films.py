"""Phantom films drawn once and kept as memory-mapped arrays with their labels."""

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.anatomy import REGIONS
from pedclip.artefacts import atomic_folder, write_json
from pedclip.data.phantom import FINDINGS, generate
from pedclip.triplets.splits import SPLITS

BONE_AGE_REGIONS: Final = ("hand", "wrist")
_LABELS: Final = ("region", "findings", "patient_id")
_OPTIONAL: Final = ("severity", "bone_age_months")  # columns that an older phantom does not have


@dataclass(frozen=True, eq=False)
class Films:
    """Films with their labels.

    Attributes:
        images: (N, size, size) uint8, memory-mapped.
        regions: (N,) indices into `pedclip.anatomy.REGIONS`.
        findings: (N, F) 1 where the finding is present; F in the order of `FINDINGS`.
        severity: (N, F) from 0 (subtle) to 1 (marked); NaN where absent or not known.
        bone_age: (N,) months; NaN where there is none.
        patients: (N,) identifiers.
    """

    images: NDArray[np.uint8]
    regions: NDArray[np.int64]
    findings: NDArray[np.float32]
    severity: NDArray[np.float32]
    bone_age: NDArray[np.float32]
    patients: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.regions)

    @property
    def occurs(self) -> NDArray[np.bool_]:
        """(N, F) whether the finding can occur in the region of the film."""
        return possible()[self.regions]


def possible() -> NDArray[np.bool_]:
    """(23, F) whether a finding can occur in a region."""
    return np.array([[region in regions for regions in FINDINGS.values()] for region in REGIONS])


def draw(cache: Path, *, studies: int, seed: int, size: int) -> dict[str, Films]:
    """The splits of `pedclip.data.phantom.generate`, from the cache where it holds them.

    Args:
        cache: Folder of caches; each gets a subfolder named by the arguments and the content of the phantom's source.
        studies: Number of studies, at least 1.
        seed: Of every random choice.
        size: Side of the films, pixels.

    Returns:
        "train", "validation" and "test", divided by patient.
    """
    folder = cache / f"{studies}-{seed}-{size}-{source_hash()}"
    if not folder.is_dir():
        with atomic_folder(folder, holds=("*.json", "*.npy")) as partial:
            for split, rows in generate(studies, seed=seed, size=size).items():
                _store(partial, str(split), rows, size)
    return {split: _open(folder, split) for split in SPLITS}


def joined(splits: dict[str, Films]) -> Films:
    """All splits as one; the images are read into memory."""
    parts = list(splits.values())
    names = ("images", "regions", "findings", "severity", "bone_age", "patients")
    return Films(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def source_hash(root: Path | None = None) -> str:
    """Of the code and tables that draw the phantom, subfolders included: other code draws other films.

    Args:
        root: Folder of the phantom; None is the one that is imported.
    """
    root = root or Path(str(files("pedclip.data.phantom")))
    named = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    digest = hashlib.sha256()
    for name in sorted(named):
        # Compiled files come and go without a change of the films.
        if "__pycache__" not in name:
            digest.update(name.encode() + b"\0" + named[name].read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _store(folder: Path, split: str, rows: Any, size: int) -> None:
    images = np.zeros((len(rows), size, size), np.uint8)
    for number, row in enumerate(rows.select_columns(["image"])):
        images[number] = np.asarray(row["image"])
    np.save(folder / f"{split}.npy", images)
    names = [*_LABELS, *(name for name in _OPTIONAL if name in rows.features)]
    write_json(folder / f"{split}.json", {name: list(rows[name]) for name in names})


def _open(folder: Path, split: str) -> Films:
    labels = json.loads((folder / f"{split}.json").read_text(encoding="utf-8"))
    images = np.load(folder / f"{split}.npy", mmap_mode="r")
    order = {name: number for number, name in enumerate(FINDINGS)}
    findings = np.zeros((len(images), len(order)), np.float32)
    severity = np.full_like(findings, np.nan)
    for film, names in enumerate(labels["findings"]):
        columns = [order[name] for name in names]
        findings[film, columns] = 1
        if labels.get("severity"):
            severity[film, columns] = labels["severity"][film]
    ages = labels.get("bone_age_months") or [None] * len(images)
    bone_age = np.array([np.nan if age is None else age for age in ages], np.float32)
    regions = np.array(labels["region"], np.int64)
    bone_age[~np.isin(regions, [REGIONS.index(region) for region in BONE_AGE_REGIONS])] = np.nan
    return Films(images, regions, findings, severity, bone_age, np.array(labels["patient_id"], dtype=str))
