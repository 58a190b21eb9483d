"""Triplets as arrays: decoded square films with text and labels, shared by training and evaluation."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pedclip.anatomy import REGIONS
from pedclip.triplets.sources import real_source

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class TripletArrays:
    """One split, ready to train on.

    Attributes:
        images: (N, R, R) uint8 squared films, memory-mapped; R is the preprocessing's ``resize``.
        texts: N excerpts.
        regions: (N,) int64 indices into ``pedclip.anatomy.REGIONS``.
        patients: N patient identifiers, unique over all sources.
        digests: N digests of the stored films, by which they are known under any name; () where nobody asked.
        findings: Names of the findings that each film is labelled with; () where nobody asked.

    Raises:
        ValueError: The lengths differ, or a region is none of the 23; with the rows.
    """

    images: np.ndarray
    texts: Sequence[str]
    regions: np.ndarray
    patients: Sequence[str]
    digests: Sequence[str] = ()
    findings: Sequence[Sequence[str]] = ()

    def __post_init__(self) -> None:
        # Rows of different columns belong together by their number alone.
        lengths = {len(self.images), len(self.texts), len(self.regions), len(self.patients)}
        lengths |= {len(column) for column in (self.digests, self.findings) if column}
        if len(lengths) != 1:
            raise ValueError(f"images, texts, regions and patients have different lengths: {sorted(lengths)}")
        # -1, the libraries' "no label", would count from the end of the regions.
        wrong = np.flatnonzero((self.regions < 0) | (self.regions >= len(REGIONS)))
        if len(wrong):
            first = ", ".join(f"{row} ({self.regions[row]})" for row in wrong[:20])
            raise ValueError(f"{len(wrong)} regions outside 0 to {len(REGIONS) - 1}, in rows {first}")

    def __len__(self) -> int:
        return len(self.texts)


def to_arrays(split: "Dataset", cache: Path, *, size: int, with_digests: bool = False) -> TripletArrays:
    """Arrays of one split of triplets.

    Args:
        split: Triplets.
        cache: Folder of the image cache; rebuilt when stale.
        size: Height and width of the cached films, pixels.
        with_digests: Also of the stored films.
    """
    from pedclip.triplets.cache import build_cache

    # An empty split has no cache, as a file of 0 bytes cannot be mapped.
    images = build_cache(split, cache, size=size) if len(split) else np.zeros((0, size, size), np.uint8)
    regions = np.asarray(split["region"], dtype=np.int64)  # (N,)
    digests = film_digests(split) if with_digests else []
    findings = [tuple(found or ()) for found in split["findings"]] if "findings" in split.column_names else []
    return TripletArrays(images, list(split["text"]), regions, qualified_patients(split), digests, findings)


def film_digests(split: "Dataset") -> list[str]:
    """Digests of the films as they are stored: those of a copy under another name are the same."""
    from pedclip.triplets.cache import stored_films

    return [hashlib.sha256(content).hexdigest() for content in stored_films(split)]


def qualified_patients(split: "Dataset") -> list[str]:
    """Patients as `qualified_patient` writes them, one per film."""
    return list(map(qualified_patient, split["source"], split["patient_id"]))


def qualified_patient(source: str, patient: str) -> str:
    """A patient as "<source>/<patient>", the same whether a folder was loaded alone or in a union.

    The patient of a drawn film is the one whose report it was drawn for.
    """
    source = real_source(source)
    # Several times, because an identifier may begin with the folder's name before a union puts it there once more.
    return f"{source}/{re.sub(f'^({re.escape(source)}/)+', '', patient)}"
