"""The phantom: procedurally generated pediatric radiographs with reports, the default data of everything here.

It exists so that every task runs anywhere with exact ground truth. It is never clinical evidence.
"""

from typing import TYPE_CHECKING

from pedclip.data.phantom.findings import FINDINGS, LESIONS
from pedclip.data.phantom.render import MIN_SIZE, RenderSpec, render
from pedclip.data.phantom.study import draw_study

if TYPE_CHECKING:
    from datasets import DatasetDict

__all__ = ["FINDINGS", "LESIONS", "RenderSpec", "generate", "render"]


def generate(studies: int = 400, seed: int = 0, size: int = 224) -> "DatasetDict":
    """Phantom triplets, split by patient.

    Study k depends on `seed`, `size` and k only, not on the number of studies. On one machine and one version of torch
    the images are equal byte for byte; other processors may differ by single grey levels.

    Args:
        studies: Number of studies, at least 1. Each has 1 to 3 images; 200 in a row contain all 23 regions.
        seed: Of every random choice, 0 or more.
        size: Side of the square images, at least 32 pixels.

    Returns:
        Splits "train", "validation" and "test" (about 70, 15 and 15 % of the patients) with the features of
        `pedclip.data.schema`. With few studies a split may be empty.

    Raises:
        ValueError: An argument is out of its range.
    """
    from datasets import Dataset, DatasetDict

    from pedclip.curation.splits import split_of
    from pedclip.data.schema import FEATURES, SPLITS

    for name, value, least in (("studies", studies, 1), ("seed", seed, 0), ("size", size, MIN_SIZE)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}.")
    columns: dict[str, dict[str, list[object]]] = {split: {name: [] for name in FEATURES} for split in SPLITS}
    for number in range(studies):
        for triplet in draw_study(number, seed=seed, size=size):
            for name, value in triplet.items():
                columns[split_of(str(triplet["patient_id"]))][name].append(value)
    return DatasetDict({split: Dataset.from_dict(table, features=FEATURES) for split, table in columns.items()})
