"""A folder of images with a table, as a user brings it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

REGIONS_IN_TURN = ("hand", "chest", "knee")


def write_source(folder: Path, patients: Sequence[str], *, splits: Sequence[str] = (), films: int = 1) -> Path:
    """Films of 20 x 16 pixels: ``films`` of every patient, regions in turn; the same for a folder's name and a patient.

    Args:
        folder: Made here.
        patients: Identifiers.
        splits: One per patient; none writes a table without the column.
        films: Per patient.
    """
    folder.mkdir(parents=True)
    lines = ["file,patient_id,region,text" + (",split" if splits else "")]
    for number, patient in enumerate(patients):
        for film in range(films):
            name, region = f"{number}_{film}.png", REGIONS_IN_TURN[(number + film) % 3]
            pixels = np.random.default_rng([*f"{folder.name}/{patient}".encode(), film]).integers(
                0, 255, (20, 16), dtype=np.uint8
            )
            Image.fromarray(pixels).save(folder / name)
            split = f",{splits[number]}" if splits else ""
            lines.append(f"{name},{patient},{region},Film {number % 7} of the {region}.{split}")
    (folder / "metadata.csv").write_text("\n".join(lines))
    return folder
