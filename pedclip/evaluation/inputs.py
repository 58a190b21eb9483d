"""Inputs of an evaluation: a model, films of patients it has not seen, and films for baselines to learn from."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pedclip.models.pedclip import PedCLIP
from pedclip.objectives.trained import ObjectiveModel, open_model
from pedclip.training.config import RunConfig, load_config
from pedclip.training.preparation import load_triplets_of
from pedclip.training.profiles import load_profile
from pedclip.triplets.arrays import TripletArrays, to_arrays
from pedclip.triplets.left_out import LEFT_OUT_FILE
from pedclip.triplets.seen_patients import PATIENTS_FILE, drop_seen_patients
from pedclip.triplets.splits import SPLITS
from pedclip.weights import SHIPPED, shipped_folder

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

STUDIES: Final = 1200  # of the phantom on which the weights of the package are evaluated: the films of the demo


@dataclass(frozen=True)
class EvaluationInputs:
    """Model and data of one evaluation.

    Attributes:
        model: The pre-trained model, in evaluation mode.
        train: Training triplets of ``config``, for baselines that have to learn something too. They are what the model
            was trained on, but for the weights of the package: those have not seen them.
        triplets: Triplets to evaluate, of other patients.
        films: The same, decoded and squared for the model.
        num_dropped: Films left out because the model knows their patient.
        notes: What was noticed and left out when the films were read, one line each.
        config: As from `data_config`; names the data that ``train`` and, unless told otherwise, ``triplets`` are of.
    """

    model: PedCLIP | ObjectiveModel
    train: "Dataset"
    triplets: "Dataset"
    films: TripletArrays
    num_dropped: int
    notes: tuple[str, ...]
    config: RunConfig


def open_inputs(
    checkpoint: Path, *, data: str, split: str, run: Path, patients: str = "column", also: Sequence[Path] = ()
) -> EvaluationInputs:
    """Model and films of an evaluation; nobody the model was trained on is among them.

    The split of named folders is taken as given (``holdout`` counts as test). Where one of them has no split column,
    all are split as in training: by a hash of the patient where there is no column or it has no training rows.

    Args:
        checkpoint: Folder made by pre-training, inside the folder of its run; or that of the weights that come with
            the package, which holds the description of its run itself.
        data: As ``pedclip.data.load`` takes it; "" means what the model was trained on, for the weights of the package
            the demo's phantom (none of whose patients they have seen).
        split: "test" or "validation".
        run: Folder of this evaluation; gets the image cache and ``left_out.csv``.
        patients: As in `pedclip.data.load`, of named data.
        also: Checkpoints of further models that are scored on the same films; their patients are dropped too.

    Raises:
        FileNotFoundError: The training run's ``training.json`` or ``patients.json`` is not beside a checkpoint.
        ValueError: No film is left.
    """
    trained = [training_run(one) for one in (checkpoint, *also)]
    config = data_config(checkpoint)
    model = open_model(checkpoint)
    left_out = run / LEFT_OUT_FILE
    # The training films of the run are needed anyway: baselines learn from them.
    own, notes = load_triplets_of(config, left_out=None if data else left_out)
    candidates = own
    if data:
        candidates, notes = _load_named(replace(config, data=data, patients=patients), left_out)
    # Named data may hold films of the training run under the same names.
    # A film that one model knows is left out for all, as in `without_seen_patients`.
    triplets = candidates[split]
    for folder in trained:
        triplets, _ = _drop_seen(triplets, folder, split)
    num_dropped = len(candidates[split]) - len(triplets)
    if not len(triplets):
        which = "that none of the models has" if also else "that the model has not"
        raise ValueError(
            f"the {split} split of data={data or config.data!r} has no film of a patient {which} seen "
            f"({num_dropped} films dropped); name other data or the other split"
        )
    films = to_arrays(triplets, run / "cache", size=model.preprocess.resize)
    return EvaluationInputs(model, own["train"], triplets, films, num_dropped, notes, config)


def training_run(checkpoint: Path) -> Path:
    """Folder that describes the training of a checkpoint: the one above, or its own for the weights of the package.

    Raises:
        FileNotFoundError: The run's ``training.json`` or ``patients.json`` is missing.
    """
    # Weights of the package describe themselves; a checkpoint of a run lies beside its description.
    folder = checkpoint if (checkpoint / "training.json").is_file() else checkpoint.parent
    for name in ("training.json", PATIENTS_FILE):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder / name} is missing: it says whose films the model has seen. "
                "Keep the checkpoint in the folder of its training run."
            )
    return folder


def _drop_seen(triplets: "Dataset", trained: Path, split: str) -> tuple["Dataset", int]:
    """Triplets without the patients of a training run, and without those of the weights that it started from."""
    training = load_config(trained / "training.json").training
    started_from = {training.image_weights, training.text_weights} & set(SHIPPED)
    rest = triplets
    for folder in (trained, *map(shipped_folder, sorted(started_from))):
        rest, _ = drop_seen_patients(rest, folder / PATIENTS_FILE, split=split)
    return rest, len(triplets) - len(rest)


def data_config(checkpoint: Path) -> RunConfig:
    """The run whose data a checkpoint is evaluated on unless told otherwise.

    It is the run that trained it; for the weights of the package the demo's phantom with their model, because their own
    training set takes minutes to draw and none of its patients may be evaluated.

    Raises:
        FileNotFoundError: As `training_run`.
    """
    trained = training_run(checkpoint)
    config = load_config(trained / "training.json")
    # The demo's phantom is of another seed than the one the weights of the package have seen.
    return replace(load_profile("demo"), studies=STUDIES, model=config.model) if trained == checkpoint else config


def _load_named(asked: RunConfig, left_out: Path) -> tuple["DatasetDict", tuple[str, ...]]:
    from pedclip.triplets.tabular import TableError

    try:
        return load_triplets_of(asked, left_out=left_out, split="given")
    except TableError:
        # No split column, for which "auto" has an answer; it raises again whatever else is wrong.
        return load_triplets_of(asked, left_out=left_out, split="auto")


def without_seen_patients(triplets: "DatasetDict", checkpoints: Sequence[Path]) -> tuple["DatasetDict", dict[str, int]]:
    """All three splits without the test and validation films that one of the checkpoints makes unfit.

    Training films stay: pre-training has seen them with their reports, but nothing is scored on them.

    Args:
        triplets: "train", "validation" and "test".
        checkpoints: As for `training_run`.

    Returns:
        The rest, and the number of films dropped by split.

    Raises:
        FileNotFoundError: As `training_run`.
        ValueError: A split is empty.
    """
    from datasets import DatasetDict

    # A new dictionary; the data sets in it are shared.
    kept = DatasetDict(triplets)
    # A film that one model knows is left out for all, or the models would be scored on different films.
    for checkpoint in checkpoints:
        for split in ("validation", "test"):
            kept[split], _ = _drop_seen(kept[split], training_run(checkpoint), split)
    num_dropped = {split: len(triplets[split]) - len(kept[split]) for split in SPLITS}
    # Said with the numbers dropped, because the data looked complete to whoever named them.
    if empty := [split for split in SPLITS if not len(kept[split])]:
        raise ValueError(
            f"the data leave no film in {' and '.join(empty)} (dropped as seen in pre-training: {num_dropped}); "
            "all three splits are needed"
        )
    return kept, num_dropped


_MAX_WORKERS: Final = 4  # processes that draw the phantom


@dataclass(frozen=True)
class ProbeInputs:
    """Model and data of the probes.

    Attributes:
        model: The pre-trained model, in evaluation mode.
        triplets: By split.
        films: The same, decoded and squared for the model.
        num_dropped: By split, films left out because pre-training knows their patient.
        notes: What was noticed and left out when the films were read, one line each.
    """

    model: PedCLIP | ObjectiveModel
    triplets: "DatasetDict"
    films: Mapping[str, TripletArrays]
    num_dropped: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def encoders(self) -> PedCLIP:
        """Both encoders without the heads of an objective: what PECM builds on."""
        return self.model.model if isinstance(self.model, ObjectiveModel) else self.model

    @property
    def patients(self) -> dict[str, Any]:
        """By split, the patient of each film, unique over sources."""
        return {split: films.patients for split, films in self.films.items()}


def open_probe_inputs(
    checkpoint: Path,
    *,
    data: str,
    root: str,
    studies: int,
    run: Path,
    patients: str = "column",
    also: Sequence[Path] = (),
) -> ProbeInputs:
    """Model and films for probes, as `without_seen_patients` leaves them.

    Args:
        checkpoint: As for `open_inputs`.
        data: "phantom", folders, or a data card, as `pedclip.data.load` takes it; "" means what the checkpoint goes
            with.
        root: Folder of the data set of a card; "" for everything else.
        studies: Of the phantom.
        run: Folder of this evaluation; gets the image cache and ``left_out.csv``.
        patients: As in `pedclip.data.load`, of named data.
        also: As for `open_inputs`.

    Raises:
        FileNotFoundError: As `training_run` and `pedclip.data.load`.
        ValueError: As `without_seen_patients`.
    """
    from pedclip.data.loading import PHANTOM, read_source, summary

    config = data_config(checkpoint)
    # How the training data tell patients apart was said when the model was trained.
    options: dict[str, Any] = {"left_out": run / LEFT_OUT_FILE, "patients": patients if data else config.patients}
    # What the checkpoint goes with, unless told otherwise.
    name = data or config.data
    if root:
        options["root"] = root
    elif name == PHANTOM:
        # Drawing is the slow part of a run on the phantom.
        workers = min(_MAX_WORKERS, os.cpu_count() or 1)
        options |= {"studies": studies, "seed": config.training.seed, "size": config.phantom_size, "workers": workers}
    # Patients are dropped before any film is decoded for the cache.
    reading = read_source(name, **options)
    triplets, num_dropped = without_seen_patients(reading.triplets, [checkpoint, *also])
    model = open_model(checkpoint)
    films = {split: to_arrays(triplets[split], run / "cache" / split, size=model.preprocess.resize) for split in SPLITS}
    return ProbeInputs(model, triplets, films, num_dropped, tuple(summary(reading)))
