"""The phantom's studies one after the other, in one process or in several: triplets, or reports alone."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pedclip.data.phantom.imaging.render import MIN_SIZE
from pedclip.data.phantom.study import draw_studies, report_of

if TYPE_CHECKING:
    from datasets import DatasetDict

_CHUNK: Final = 64  # studies that one process draws at a time


def generate(studies: int = 400, seed: int = 0, size: int = 224, *, workers: int = 0) -> "DatasetDict":
    """Phantom triplets, split by patient.

    Study k depends on `seed`, `size` and k only, not on the number of studies or of workers. On one machine and one
    version of torch the images are equal byte for byte; other processors may differ by single grey levels.

    Args:
        studies: Number of studies, at least 1. Each has 1 to 4 images of 1 to 3 body parts; 200 in a row contain all
            23 regions.
        seed: Of every random choice, 0 or more.
        size: Height and width of the images, at least 32 pixels.
        workers: Processes that draw; 0 draws in this one.

    Returns:
        Splits "train", "validation" and "test" (about 70, 15 and 15 % of the patients) with the features of
        `pedclip.triplets.schema`. With few studies a split may be empty.

    Raises:
        ValueError: An argument is out of its range.
    """
    from datasets import DatasetDict

    from pedclip.triplets.splits import SPLITS, split_of
    from pedclip.triplets.storage import make_split

    _check(studies=(studies, 1), seed=(seed, 0), size=(size, MIN_SIZE), workers=(workers, 0))
    rows: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for study in iterate_studies(studies, seed, size, workers=workers):
        for triplet in study:
            rows[split_of(str(triplet["patient_id"]))].append(triplet)
    return DatasetDict({split: make_split(rows[split]) for split in SPLITS})


def generate_reports(studies: int = 400, seed: int = 0) -> list[dict[str, Any]]:
    """The consolidated reports of the same studies, with the sentences of each part, without drawing a film.

    Args:
        studies: Number of studies, at least 1.
        seed: As for `generate`.

    Returns:
        One record per study: report_id (the study_id of `generate`), source, report_text, sections, filmed_regions,
        laterality, excerpts (region to sentences), left_out, paediatric, annotator_note.

    Raises:
        ValueError: An argument is out of its range.
    """
    _check(studies=(studies, 1), seed=(seed, 0))
    return [report_of(number, seed=seed).record() for number in range(studies)]


def _check(**values: tuple[int, int]) -> None:
    for name, (value, least) in values.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}.")


def iterate_studies(studies: int, seed: int, size: int, *, workers: int = 0) -> Iterator[list[dict[str, Any]]]:
    """The studies of `generate` one after the other, without `datasets`.

    Args:
        studies: Number of studies.
        seed: As for `generate`.
        size: Height and width of the images, pixels.
        workers: Processes that draw; 0 draws in this one.

    Yields:
        The triplets of one study, not split.
    """
    chunks = [range(begin, min(begin + _CHUNK, studies)) for begin in range(0, studies, _CHUNK)]
    # A partial of a module's function: what a spawned process can be sent.
    draw = partial(draw_studies, seed=seed, size=size)
    if not workers:
        for chunk in chunks:
            yield from draw(chunk)
        return
    # A forked process would inherit the locks of torch's threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_use_one_thread) as pool:
        # In order, so that the number of workers changes nothing.
        for part in pool.map(draw, chunks):
            yield from part


def _use_one_thread() -> None:
    # Workers times threads would be more than the cores.
    import torch

    torch.set_num_threads(1)
