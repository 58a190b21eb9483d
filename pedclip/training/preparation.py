"""Arrays that a training run can read without decoding anything, made from a data name or folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pedclip.anatomy import REGIONS
from pedclip.models.pedclip import check_same_architecture, default_preprocess
from pedclip.training.config import RunConfig
from pedclip.training.profiles import starting_points
from pedclip.training.run_lock import run_lock
from pedclip.triplets.arrays import TripletArrays, to_arrays
from pedclip.triplets.left_out import LEFT_OUT_FILE

if TYPE_CHECKING:
    from datasets import DatasetDict


@dataclass(frozen=True)
class PreparedData:
    """The three splits of a run.

    Attributes:
        triplets: As loaded, with every field of the schema.
        notes: What was noticed and left out, one line each, for the reader of a notebook.
        train: Training arrays.
        validation: Validation arrays, possibly empty.
    """

    triplets: "DatasetDict"
    notes: tuple[str, ...]
    train: TripletArrays
    validation: TripletArrays


def prepare(config: RunConfig, run: Path) -> PreparedData:
    """Load the data of a run and decode every image once.

    Args:
        config: Names the data, the regions to keep (those that have an expert) and the size of the films.
        run: Folder of the run; gets ``left_out.csv`` and the image cache.

    Raises:
        ValueError: The data cannot be read, no image is left for training, or the package's image encoder is of another
            architecture.
        OSError: A starting point is not there; found out before any film is decoded.
        RunInUse: Another process works in the folder.
    """
    image, _ = starting_points(config)
    if image.is_shipped:
        check_same_architecture(config.model, image.weights)
    with run_lock(run):  # the run that trains here may be another one
        triplets, notes = load_triplets_of(config, left_out=run / LEFT_OUT_FILE)
        # Cached at the size before the crop: every epoch crops anew without decoding again.
        size = default_preprocess(config.model.image_size, None).resize
        train, validation = (
            to_arrays(triplets[split], run / "cache" / split, size=size, with_digests=True)
            for split in ("train", "validation")
        )
    # A run needs films to train on, while one without validation is merely not measured.
    if not len(train):
        raise ValueError(f"data={config.data!r} leaves no image in the training split; see {run / LEFT_OUT_FILE}")
    return PreparedData(triplets, notes, train, validation)


def load_triplets_of(
    config: RunConfig, *, left_out: Path | None = None, split: str = "auto"
) -> tuple["DatasetDict", tuple[str, ...]]:
    """Triplets of a run, of the regions that have an expert, and the lines that `pedclip.data.summary` has on them.

    Args:
        config: Names the data, the regions and how patients are told apart.
        left_out: File for what was left out.
        split: See ``pedclip.data.load``.
    """
    # Imported here: a GPU image without `datasets` can train on arrays that were prepared elsewhere.
    from pedclip.data.loading import read_source, summary

    options: dict[str, Any] = {}
    # Only drawn films are sized and seeded by the run; files are what they are.
    if "phantom" in (part.strip() for part in config.data.split(",")):
        options = {"studies": config.studies, "seed": config.training.seed, "size": config.phantom_size}
    reading = read_source(config.data, left_out=left_out, split=split, patients=config.patients, **options)
    triplets = reading.triplets
    # "<" of sets: with all regions nothing is filtered, whatever their order.
    if set(config.model.regions) < set(REGIONS):
        wanted = {REGIONS.index(region) for region in config.model.regions}
        triplets = triplets.filter(lambda region: region in wanted, input_columns="region")
    return triplets, tuple(summary(reading))
