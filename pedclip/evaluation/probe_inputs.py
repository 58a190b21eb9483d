"""What probes start from: a model, and films of all three splits."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pedclip.curation.splits import SPLITS
from pedclip.evaluation.inputs import data_config, without_seen_patients
from pedclip.models.pedclip import PedCLIP
from pedclip.training.arrays import TripletArrays
from pedclip.training.prepare import to_arrays

if TYPE_CHECKING:
    from datasets import DatasetDict

_MAX_WORKERS: Final = 4  # processes that draw the phantom


@dataclass(frozen=True)
class ProbeInputs:
    """Model and data of the probes.

    Attributes:
        model: The pre-trained model, in evaluation mode.
        triplets: By split.
        films: The same, decoded and squared for the model.
        num_dropped: By split, films left out because pre-training knows their patient.
    """

    model: PedCLIP
    triplets: "DatasetDict"
    films: Mapping[str, TripletArrays]
    num_dropped: Mapping[str, int]

    @property
    def patients(self) -> dict[str, Any]:
        """By split, the patient of each film, unique over sources."""
        return {split: films.patients for split, films in self.films.items()}


def open_probe_inputs(checkpoint: Path, *, data: str, root: str, studies: int, run: Path) -> ProbeInputs:
    """Model and films for probes, as `without_seen_patients` leaves them.

    Args:
        checkpoint: As for `open_inputs`.
        data: "phantom", folders, or a data card, as `pedclip.data.load` takes it; "" means what the checkpoint goes
            with.
        root: Folder of the data set of a card; "" for everything else.
        studies: Of the phantom.
        run: Folder of this evaluation; gets the image cache and ``quarantine.csv``.

    Raises:
        FileNotFoundError: As `training_run` and `pedclip.data.load`.
        ValueError: As `without_seen_patients`.
    """
    from pedclip.data.loading import PHANTOM, load

    config = data_config(checkpoint)
    options: dict[str, Any] = {"quarantine": run / "quarantine.csv"}
    name = data or config.data
    if root:
        options["root"] = root
    elif name == PHANTOM:
        workers = min(_MAX_WORKERS, os.cpu_count() or 1)
        options |= {"studies": studies, "seed": config.training.seed, "size": config.phantom_size, "workers": workers}
    triplets, num_dropped = without_seen_patients(load(name, **options), [checkpoint])
    model = PedCLIP.from_pretrained(checkpoint)
    films = {split: to_arrays(triplets[split], run / "cache" / split, side=model.preprocess.resize) for split in SPLITS}
    return ProbeInputs(model, triplets, films, num_dropped)
