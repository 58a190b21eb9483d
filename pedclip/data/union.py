"""Several sources as one: identifiers that cannot collide, and no film of two sources in two parts."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import numpy as np
from datasets import Dataset, DatasetDict, Image, Value, concatenate_datasets

from pedclip.curation.duplicates import Duplicate
from pedclip.data.folder import FolderReading
from pedclip.data.same_films import (
    Film,
    Fingerprint,
    clusters,
    fingerprint,
    left_out_detail,
    pairs_of_patients,
    settle,
)
from pedclip.triplets.decoding import BadImage, decode
from pedclip.triplets.left_out import LeftOut, Reason
from pedclip.triplets.schema import FEATURES
from pedclip.triplets.splits import SPLITS

_IDS: Final = ("image_id", "patient_id", "study_id")
_THREADS: Final = 8


class _Row(NamedTuple):
    """A film of the union: its source, its identifier in it, and what decides where it goes."""

    source: str
    image: str
    film: Film


def join(readings: Mapping[str, FolderReading]) -> FolderReading:
    """All triplets of several sources, with "<name>/" before every identifier.

    The same film, or nearly the same, in two sources is in one part, by the rule of `pedclip.data.same_films.settle`;
    films within one source are as its own reading left them.

    Args:
        readings: By the name of the source.

    Returns:
        The triplets, and what was left out and noted here and in each source.
    """
    left_out = [item for reading in readings.values() for item in reading.left_out]
    notes = [f"{name}: {note}" for name, reading in readings.items() for note in reading.notes]
    parts = {
        (name, split): _prefixed(reading.triplets[split], name)
        for name, reading in readings.items()
        for split in SPLITS
    }
    splits, extra, found = _in_one_part(readings) if len(readings) > 1 else (None, [], [])
    if splits is None:
        triplets = {key: concatenate_datasets([parts[name, key] for name in readings]) for key in SPLITS}
    else:
        whole = concatenate_datasets(list(parts.values()))
        triplets = {key: whole.select(np.flatnonzero(np.array(splits) == key)) for key in SPLITS}
    return FolderReading(DatasetDict(triplets), [*left_out, *extra], [*notes, *found])


def _in_one_part(readings: Mapping[str, FolderReading]) -> tuple[list[str] | None, list[LeftOut], list[str]]:
    """The part of every film in the order of sources and parts, "" for none; None where nothing changes."""
    rows, prints = [], []
    for name, reading in readings.items():
        for row, found in zip(_rows(name, reading), _fingerprints(reading), strict=True):
            rows.append(row)
            prints.append(found)
    pairs = _pairs(rows, prints)
    # Pairs within a source bind its patients where parts are drawn; what is given there stays as it was read, unless
    # another source has the film too.
    shared = [group for group in clusters(pairs) if len({rows[number].source for number in group}) > 1]
    if not shared:
        return None, [], []
    is_shared = {number for group in shared for number in group}
    used = [pair for pair in pairs if pair.first in is_shared or not rows[pair.first].film.is_given]
    splits, gone = settle([row.film for row in rows], used)
    left_out = [
        LeftOut(rows[number].image, Reason.SAME_FILM, left_out_detail(kept), source=rows[number].source)
        for number, kept in sorted(gone.items())
    ]
    moved = sum(split != row.film.split for split, row in zip(splits, rows, strict=True))
    note = f"{len(shared)} films are the same, or nearly so, in two sources"
    notes = [f"{note}; {moved} films moved into the part of the other, {len(gone)} left out"]
    return ["" if number in gone else split for number, split in enumerate(splits)], left_out, notes


def _pairs(rows: Sequence[_Row], prints: Sequence[Fingerprint | None]) -> list[Duplicate]:
    # A film that cannot be read is compared with none.
    known = [(number, found) for number, found in enumerate(prints) if found is not None]
    numbers = [number for number, _ in known]
    pairs = pairs_of_patients([rows[number].film.patient for number in numbers], [found for _, found in known])
    return [Duplicate(numbers[pair.first], numbers[pair.second], pair.similarity) for pair in pairs]


def _rows(name: str, reading: FolderReading) -> Iterator[_Row]:
    for split in SPLITS:
        columns = (reading.triplets[split][column] for column in ("image_id", "patient_id"))
        for image, patient in zip(*columns, strict=True):
            # A film without a patient is its own.
            owner = f"{name}/{patient}" if patient else f"{name}/film {image}"
            yield _Row(name, image, Film(owner, split, not reading.is_drawn))


def _fingerprints(reading: FolderReading) -> Iterator[Fingerprint | None]:
    with ThreadPoolExecutor(_THREADS) as pool:
        for split in SPLITS:
            data = reading.triplets[split]
            # A folder was decoded when it was read; a triplet directory was not.
            if reading.fingerprints:
                yield from (reading.fingerprints[image] for image in data["image_id"])
                continue
            images = data.select_columns(["image"]).cast_column("image", Image(decode=False))
            for batch in images.iter(batch_size=64):
                yield from pool.map(_fingerprint, batch["image"])


def _fingerprint(image: Mapping[str, Any]) -> Fingerprint | None:
    try:
        return fingerprint(decode(image["path"] if image["bytes"] is None else image["bytes"]))
    except BadImage:
        return None


def _prefixed(dataset: Dataset, name: str) -> Dataset:
    """The same triplets with "<name>/" before every identifier; images are not touched."""
    for column in _IDS:
        # A blank stays blank: "source/" would be one patient for all without one.
        values = [f"{name}/{value}" if value else "" for value in dataset[column]]
        dataset = dataset.remove_columns(column).add_column(column, values, feature=Value("string"))
    return dataset.select_columns(list(FEATURES))
