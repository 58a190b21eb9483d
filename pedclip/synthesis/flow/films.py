"""Films and captions that a flow is trained on: of the phantom, of triplets, or generic pictures."""

import dataclasses
import io
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
from pedclip.triplets.splits import split_of
from pedclip.triplets.transforms import square

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class FlowFilms:
    """Films, captions and patients that a flow is trained on.

    Attributes:
        images: (N, H, W) uint8.
        captions: N texts.
        rows: The same films with their patients; None of generic pictures, which have none.
    """

    images: NDArray[np.uint8]
    captions: list[str]
    rows: TripletArrays | None


def training_films(config: FlowRun, run: Path, *, workers: int = 0) -> FlowFilms:
    """Films and captions of the training split of a run's data; of the phantom without `datasets`.

    Args:
        config: Names the data, their number and the size of the films.
        run: Folder of the run; of a folder of films it gets the image cache and ``left_out.csv``.
        workers: Processes that draw films of the phantom; they change nothing.

    Raises:
        ValueError: The data cannot be read, or leave no film.
        OSError: There are no such data.
    """
    if config.data == GENERIC:
        return FlowFilms(*generic_films(config.films, seed=config.training.seed, size=config.model.image_size), None)
    arrays = _phantom(config, workers) if config.data == PHANTOM else _folders(config, run)
    if not len(arrays):
        raise ValueError(f"data={config.data!r} leaves no film in the training split")
    train = first_rows(arrays, config.films or len(arrays))
    # A report may lack the section that is asked for.
    if num_blank := sum(not text for text in train.texts):
        _log.info("%d of %d films have no %s: trained without a caption", num_blank, len(train), config.prompt)
    return FlowFilms(train.images, list(train.texts), train)


def first_rows(arrays: TripletArrays, count: int) -> TripletArrays:
    """The first rows of some triplets, of which 0 are an empty split."""
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
