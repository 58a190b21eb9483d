"""One cell of a grid: its films, its training, its scores. ``cell.ipynb`` calls this and shows it."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
from filelock import FileLock

from pedclip.ablation.films import FilmChoice
from pedclip.ablation.grid import cell_config
from pedclip.ablation.mixtures import Mixture, blocks_with_experts
from pedclip.ablation.scores import score_films
from pedclip.anatomy import REGIONS
from pedclip.artefacts import write_bytes, write_json
from pedclip.data.loading import PHANTOM
from pedclip.data.phantom import generate
from pedclip.models.cost import count_parameters
from pedclip.models.pedclip import PedCLIP, default_preprocess
from pedclip.training.config import RunConfig, replace_fields
from pedclip.training.loop import pretrain
from pedclip.training.preparation import load_triplets_of
from pedclip.triplets.arrays import TripletArrays, to_arrays
from pedclip.triplets.splits import SPLITS
from pedclip.triplets.storage import load_triplets, save_triplets

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

CELL_FILE: Final = "cell.json"
SCORES_FILE: Final = "scores.parquet"
_TEST_SEED: Final = 7_919  # of further studies, far from the seeds of trainings


@dataclass(frozen=True)
class CellFilms:
    """Films that all cells of a grid share.

    Attributes:
        train: Training split.
        validation: Validation split.
        test: Films that are scored.
        test_rows: The same with their labels.
    """

    train: TripletArrays
    validation: TripletArrays
    test: TripletArrays
    test_rows: "Dataset"


@dataclass(frozen=True)
class TrainedCell:
    """A trained cell.

    Attributes:
        model: On the CPU, in evaluation mode.
        checkpoint: Its folder.
        films: Trained on.
        steps: Of the optimizer.
        parameters: That were trained.
        seconds: Of this process.
        history: One record per logged step.
    """

    model: PedCLIP
    checkpoint: Path
    films: int
    steps: int
    parameters: int
    seconds: float
    history: list[dict[str, float]]

    @property
    def num_experts(self) -> int:
        """E of the last block with experts; 0 without one."""
        blocks = blocks_with_experts(self.model)
        return int(blocks[-1].w1.shape[0]) if blocks else 0


def cell_films(config: RunConfig, cache: Path, *, test_studies: int = 0) -> CellFilms:
    """Films of a cell, drawn and decoded once for all cells of a grid that share a cache.

    Args:
        config: Names the data and the size of the films.
        cache: Folder of one grid, for drawn and decoded films.
        test_studies: Further studies of the phantom to score on; 0 takes the test split.
    """
    # All regions, whatever the experts of this arm: arms must share their films.
    every = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, regions=REGIONS),
        # The phantom is drawn by the seed of a training, which differs between cells.
        training=dataclasses.replace(config.training, seed=0),
    )
    # Before the crop, which every epoch draws anew.
    size = default_preprocess(config.model.image_size, None).resize
    cache.mkdir(parents=True, exist_ok=True)
    # The first cell draws and decodes; those beside it wait and find all of it done.
    with FileLock(cache / ".lock"):
        # What was left out is told by the notebook that loads these data; here they are known.
        triplets = _kept(cache / "triplets", lambda: load_triplets_of(every)[0], is_drawn=config.data == PHANTOM)
        found = {split: to_arrays(triplets[split], cache / f"{split}-{size}", size=size) for split in SPLITS}
        test, rows = found["test"], triplets["test"]
        # More test patients than the split has: intervals shrink at no cost of training.
        if test_studies:
            options = {"studies": test_studies, "seed": _TEST_SEED, "size": config.phantom_size}
            drawn = _kept(cache / "further-triplets", lambda: generate(**options), is_drawn=True)
            rows = _joined([drawn[split] for split in SPLITS if split in drawn])
            test = to_arrays(rows, cache / f"further-{size}", size=size)
    return CellFilms(found["train"], found["validation"], test, rows)


def train_cell(films: CellFilms, config: RunConfig, choice: FilmChoice, run: Path) -> TrainedCell:
    """Pre-train an arm; a killed training goes on.

    Args:
        films: Of `cell_films`.
        config: Of `pedclip.ablation.grid.cell_config`.
        choice: Films and labels of the arm.
        run: Folder of the training.

    Raises:
        ValueError: As `FilmChoice.training_films` and `pedclip.training.loop.pretrain`.
    """
    began = time.monotonic()
    seed = config.training.seed
    # Chosen by the seed of the training: another seed has other rare films.
    mine = choice.training_films(films.train, seed=seed)
    size = config.training.batch_size
    passes = choice.passes(config.training.epochs, all_batches=len(films.train) // size, batches=len(mine) // size)
    changes: dict[str, Any] = {"epochs": passes}
    if config.training.teacher_epochs > 0:
        # In proportion, so that "half of the training" stays half of it.
        changes["teacher_epochs"] = config.training.teacher_epochs * passes / config.training.epochs
    config = dataclasses.replace(config, training=replace_fields(config.training, changes))
    # Labels of validation films are those of the experts, too: the accuracy of the gate is logged on them.
    validation = dataclasses.replace(films.validation, regions=choice.labels_of(films.validation.regions))
    result = pretrain(mine, validation, config=config, run=run)
    # Counted from 0 by the trainer.
    steps = int(max((row["step"] for row in result.history), default=-1)) + 1
    return TrainedCell(
        model=result.model,
        checkpoint=result.checkpoint,
        films=len(mine),
        steps=steps,
        parameters=count_parameters(result.model),
        seconds=time.monotonic() - began,
        history=result.history,
    )


def score_cell(
    trained: TrainedCell,
    films: CellFilms,
    choice: FilmChoice,
    folder: Path,
    *,
    mixtures: Sequence[Mixture] = ("gate",),
    device: str = "cpu",
) -> pd.DataFrame:
    """Scores of a trained cell, written as ``scores.parquet``; columns as of `score_films`.

    Args:
        trained: Of `train_cell`.
        films: Of `cell_films`.
        choice: Of the arm.
        folder: Of the cell.
        mixtures: At test.
        device: Where to compute.
    """
    # All mixtures at once: a second visit would have to load the checkpoint.
    table = score_films(trained.model, films.test, films.test_rows, choice, mixtures=mixtures, device=device)
    write_bytes(folder / SCORES_FILE, table.to_parquet(index=False))
    return table


def finish_cell(trained: TrainedCell, folder: Path) -> Path:
    """Write ``cell.json``, the last file of a cell: with it the cell is finished.

    Args:
        trained: Of `train_cell`.
        folder: Of the cell, with its scores.
    """
    # By epoch, as far as validation films were embedded.
    gates = {
        name: [row[f"val/gate_{name}"] for row in trained.history if f"val/gate_{name}" in row]
        for name in ("accuracy", "entropy")
    }
    content = {
        "films": trained.films,
        "steps": trained.steps,
        "trained_parameters": trained.parameters,
        "experts": trained.num_experts,
        "seconds": round(trained.seconds, 1),
        "gate_by_epoch": gates,
        "checkpoint": str(trained.checkpoint.relative_to(folder)),
    }
    return write_json(folder / CELL_FILE, content)


def open_cell(parameters: Mapping[str, Any]) -> tuple[RunConfig, FilmChoice]:
    """Configuration and films of a cell from the parameters of its notebook.

    Args:
        parameters: `profile`, `settings`, `films` and `seed`, as `pedclip.ablation.grid.Cell` has them.

    Raises:
        ValueError: A name is unknown or a value not allowed.
    """
    choice = FilmChoice.from_dict(parameters["films"])
    config = cell_config(parameters["profile"], parameters["settings"], parameters["seed"], choice)
    return config, choice


def _kept(folder: Path, make: "Callable[[], DatasetDict]", *, is_drawn: bool) -> "DatasetDict":
    # Drawing takes longer than reading; somebody's own films stay where they are.
    if is_drawn and not folder.exists():
        save_triplets(make(), folder)
    return load_triplets(folder) if is_drawn else make()


def _joined(parts: "Sequence[Dataset]") -> "Dataset":
    from datasets import concatenate_datasets

    return concatenate_datasets(list(parts))
