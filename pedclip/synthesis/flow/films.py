"""Films and captions that a flow is trained on: of the phantom, of triplets, or generic pictures."""

import dataclasses
import io
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pedclip.anatomy import REGIONS
from pedclip.data.phantom import iterate_studies
from pedclip.synthesis.flow.config import GENERIC, PHANTOM, FlowRun
from pedclip.synthesis.flow.generic.films import generic_films
from pedclip.synthesis.prompts import prompt_of
from pedclip.triplets.arrays import TripletArrays, to_arrays
from pedclip.triplets.left_out import LEFT_OUT_FILE
from pedclip.triplets.seen_patients import write_seen_patients
from pedclip.triplets.splits import split_of
from pedclip.triplets.transforms import square

_log = logging.getLogger(__name__)


def training_films(config: FlowRun, run: Path, *, workers: int = 0) -> tuple[NDArray[np.uint8], list[str]]:
    """Films and captions of the training split of a run's data; of the phantom without `datasets`.

    Args:
        config: Names the data, their number and the size of the films.
        run: Folder of the run; gets ``patients.json``, of a folder also the image cache and ``left_out.csv``.
        workers: Processes that draw films of the phantom; they change nothing.

    Returns:
        (N, H, W) uint8 and N texts.

    Raises:
        ValueError: The data cannot be read, or leave no film.
        OSError: There are no such data.
    """
    if config.data == GENERIC:
        return generic_films(config.films, seed=config.training.seed, size=config.model.image_size)
    arrays = _phantom(config, workers) if config.data == PHANTOM else _folders(config, run)
    if not len(arrays):
        raise ValueError(f"data={config.data!r} leaves no film in the training split")
    train = _first(arrays, config.films or len(arrays))
    # An evaluation of what is trained on synthetic films must be able to leave these patients out.
    write_seen_patients(run, train=train, validation=_first(arrays, 0))
    texts = list(train.texts)
    # A report may lack the section that is asked for.
    if num_blank := sum(not text for text in texts):
        _log.info("%d of %d films have no %s: trained without a caption", num_blank, len(texts), config.prompt)
    return train.images, texts


def _first(arrays: TripletArrays, count: int) -> TripletArrays:
    images, texts, regions = arrays.images[:count], arrays.texts[:count], arrays.regions[:count]
    return TripletArrays(images, texts, regions, arrays.patients[:count], arrays.digests[:count])


def _phantom(config: FlowRun, workers: int) -> TripletArrays:
    rows: list[dict[str, Any]] = []
    films = []
    drawn = iterate_studies(config.studies, config.training.seed, config.phantom_size, workers=workers)
    # Resized one by one: the drawn films of a large run would not fit in memory.
    for row in (row for study in drawn for row in study if split_of(row["patient_id"]) == "train"):
        film = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])).convert("L"))  # (H, W)
        films.append(square(film, config.model.image_size))
        rows.append({name: row[name] for name in ("text", "region", "laterality", "source", "patient_id")})
    size = config.model.image_size
    regions = np.array([REGIONS.index(row["region"]) for row in rows], dtype=np.int64)
    patients = [f"{row['source']}/{row['patient_id']}" for row in rows]
    images = np.stack(films) if films else np.zeros((0, size, size), np.uint8)
    return TripletArrays(images, _captions(rows, config), regions, patients)


def _folders(config: FlowRun, run: Path) -> TripletArrays:
    # Imported here: a GPU image without `datasets` can draw its films.
    from pedclip.data.loading import read_source

    reading = read_source(config.data, left_out=run / LEFT_OUT_FILE)
    train = reading.triplets["train"]
    arrays = to_arrays(train, run / "cache" / "train", size=config.model.image_size, with_digests=True)
    # Without the films, which would all be decoded once more.
    rows = train.select_columns(["text", "region", "laterality"])
    return dataclasses.replace(
        arrays, texts=_captions(({**row, "region": REGIONS[row["region"]]} for row in rows), config)
    )


def _captions(rows: Iterable[Mapping[str, Any]], config: FlowRun) -> list[str]:
    return [
        prompt_of(row["text"] or "", prompt=config.prompt, region=row["region"], laterality=row["laterality"] or "")
        for row in rows
    ]
