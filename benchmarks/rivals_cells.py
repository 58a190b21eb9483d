"""Cells of the comparison of objectives: what a method's name means, its configuration, its films and its training."""

import argparse
import dataclasses
import json
import re
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import yaml

from benchmarks.report import describe
from pedclip.artefacts import write_json
from pedclip.objectives.registry import names as objective_names
from pedclip.training.config import RunConfig, replace_fields
from pedclip.training.history import read_history
from pedclip.training.loop import pretrain
from pedclip.training.preparation import PreparedData, prepare
from pedclip.training.profiles import load_profile
from pedclip.triplets.arrays import TripletArrays

WITH_EXPERTS: Final = "+experts"
WITH_LABELS: Final = "+labels"
CELL_FILE: Final = "cell.json"
_NAME: Final = re.compile(
    r"(?P<objective>[a-z]+)(?P<plus>\+experts|\+labels)?(?:@(?P<rate>[\de.-]+))?(?::(?P<options>.+))?"
)


@dataclass(frozen=True)
class Method:
    """A method of the comparison.

    Attributes:
        name: As it was asked for: OBJECTIVE, with "+experts" or "+labels", "@" and another step size, and ":" and
            options of the objective, such as "medclip:{variant: code}".
        objective: Name of the loss.
        plus: "+experts", "+labels" or "".
        rate: Step size; 0 takes the profile's.
        options: Of the objective.
    """

    name: str
    objective: str
    plus: str
    rate: float
    options: dict[str, Any]

    @classmethod
    def parse(cls, name: str) -> Self:
        """The method of a name.

        Raises:
            ValueError: It is none, or PedCLIP is asked for with what it has.
        """
        match = _NAME.fullmatch(name)
        if match is None or match["objective"] not in objective_names():
            raise ValueError(
                f"{name!r} is no method: one of {', '.join(objective_names())}, with +experts or +labels, "
                "@STEP_SIZE and :{OPTION: VALUE} behind it"
            )
        if match["objective"] == "pedclip" and match["plus"]:
            raise ValueError(f"{name!r} is no method: pedclip has experts and labels itself")
        try:
            rate = float(match["rate"] or 0)
        except ValueError:
            raise ValueError(f"{name!r} is no method: {match['rate']!r} is no step size such as 3e-4") from None
        options = yaml.safe_load(match["options"]) if match["options"] else {}
        if not isinstance(options, dict):
            raise ValueError(f"{name!r} is no method: options are written as {{OPTION: VALUE}}")
        return cls(name, match["objective"], match["plus"] or "", rate, options)

    @property
    def plain(self) -> str:
        """Name of the same method without experts and labels."""
        return self.name.replace(self.plus, "", 1) if self.plus else self.name

    @property
    def reads(self) -> str:
        """Everything that its training reads beside films and texts."""
        if self.objective == "medclip":
            # Its soft targets are made of the answers to the zero-shot questions, of the training films.
            return "region and finding labels"
        has_gate_loss = self.plus == WITH_EXPERTS and self.objective != "clip"
        return "region labels" if self.objective == "pedclip" or self.plus == WITH_LABELS or has_gate_loss else ""


def configuration(options: argparse.Namespace, method: str, seed: int) -> RunConfig:
    """Configuration of a cell: the profile with another objective, with or without experts."""
    asked = Method.parse(method)
    config = load_profile(options.profile)
    # PedCLIP is CLIP with experts whose gate is taught; every other name says "+experts" where it has them.
    has_experts = asked.objective == "pedclip" or asked.plus == WITH_EXPERTS
    model = replace_fields(config.model, {} if has_experts else {"mobe_layers": ()})
    # No cell reads validation films: a step size is chosen on them afterwards, with --split validation.
    changes: dict[str, Any] = {"objective": asked.objective, "objective_options": asked.options, "seed": seed}
    changes |= {"validation_rows": 2, "region_head": asked.plus == WITH_LABELS}
    if asked.rate:
        changes["learning_rate"] = asked.rate
    if options.epochs:
        changes["epochs"] = options.epochs
    training = replace_fields(config.training, changes)
    data = options.data if options.data == "phantom" else str(Path(options.data).resolve())
    return dataclasses.replace(config, data=data, studies=options.studies, model=model, training=training)


def folder_of(options: argparse.Namespace, method: str, seed: int) -> Path:
    """Folder of a cell."""
    # A name may hold signs of its options.
    return Path(options.runs) / options.label / f"{re.sub(r'[^a-z0-9+@.-]+', '_', method)}-{seed}"


def finished(options: argparse.Namespace, method: str, seed: int) -> dict[str, Any] | None:
    """Content of ``cell.json`` of a finished cell, or None.

    Raises:
        SystemExit: The cell was made with other options.
    """
    path = folder_of(options, method, seed) / CELL_FILE
    if not path.exists():
        return None
    cell: dict[str, Any] = json.loads(path.read_text())
    # An old cell under new options would be reported as what it is not.
    if RunConfig.from_dict(cell["config"]) != configuration(options, method, seed):
        raise SystemExit(f"{path} was made with other options (data, studies, profile or epochs); use another --label")
    return cell | {"losses": _losses(path.parent)}


def failure(options: argparse.Namespace, method: str, seed: int) -> str:
    """Last line that an unfinished cell has written, "" for one that was never started."""
    log = folder_of(options, method, seed) / "log.txt"
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else ""


def _losses(folder: Path) -> list[float]:
    """Mean loss of each tenth of a run: one that stays where it began has taught nothing."""
    losses = [row["train/loss"] for row in read_history(folder) if "train/loss" in row]
    return [float(np.mean(part)) for part in np.array_split(losses, 10) if len(part)]


def run_cell(options: argparse.Namespace, method: str, seed: int) -> None:
    """Pre-train one method from one seed and write what it cost; the model lies beside it.

    The films are those of seed 0 whatever the seed: a cell is scored by this benchmark, not by a notebook.
    """
    config, folder = configuration(options, method, seed), folder_of(options, method, seed)
    train, validation = (stored_arrays(cell_arrays(options, split)) for split in ("train", "validation"))
    pretrain(train, validation, config=config, run=folder)
    write_json(
        folder / CELL_FILE,
        {
            "method": method,
            "seed": seed,
            "config": config.to_dict(),
            "steps": config.training.epochs * (len(train) // config.training.batch_size),
            "git_revision": describe()["git_revision"],
            "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        },
    )


def open_films(options: argparse.Namespace) -> PreparedData:
    """Films of all cells: drawn and split by seed 0, whatever the seed of a training."""
    return prepare(configuration(options, "clip", 0), Path(options.runs) / options.label / "films")


def cell_arrays(options: argparse.Namespace, split: str) -> Path:
    """Folder of the films that the cells train on."""
    return Path(options.runs) / options.label / "films" / f"arrays-{split}"


def store_arrays(folder: Path, arrays: TripletArrays) -> None:
    """Films, texts and labels as plain arrays, which several processes read at once."""
    folder.mkdir(parents=True, exist_ok=True)
    # Renamed into place: cells of an earlier start may have the present file mapped.
    np.save(folder / "partial.npy", arrays.images)
    (folder / "partial.npy").replace(folder / "images.npy")
    rows = {"texts": arrays.texts, "patients": arrays.patients, "digests": arrays.digests}
    # Findings of a film on one line each: their names hold no line break.
    rows["findings"] = ["\n".join(found) for found in arrays.findings]
    np.savez(folder / "rows.npz", regions=arrays.regions, **{name: np.array(row, str) for name, row in rows.items()})


def stored_arrays(folder: Path) -> TripletArrays:
    """The inverse of ``store_arrays``; the films are mapped, not read."""
    with np.load(folder / "rows.npz") as rows:
        findings = [tuple(found.split("\n")) if found else () for found in rows["findings"].tolist()]
        texts, patients, digests = (rows[name].tolist() for name in ("texts", "patients", "digests"))
        regions = rows["regions"]
    return TripletArrays(np.load(folder / "images.npy", mmap_mode="r"), texts, regions, patients, digests, findings)
