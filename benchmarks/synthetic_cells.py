"""Cells of the experiment on drawn films: their films, their configuration, their training and their scores."""

import argparse
import dataclasses
import hashlib
import json
import resource
import time
import traceback
from pathlib import Path
from typing import Any, Final

from benchmarks.report import describe
from benchmarks.synthetic_results import DESCRIPTION, load_scores, save_scores
from pedclip.artefacts import write_json, write_text
from pedclip.data.loading import PHANTOM, load
from pedclip.models.pedclip import default_preprocess
from pedclip.objectives.trained import open_model
from pedclip.synthesis.copying import SyntheticCopy, synthetic_copy
from pedclip.synthesis.experiment.arms import ARMS, GENERATORS, REAL, Arm, film_sets
from pedclip.synthesis.experiment.downstream import DownstreamOptions, DownstreamScorer, Scores
from pedclip.synthesis.experiment.train import arm_config, film_size, initial_model, train_arm
from pedclip.synthesis.named import named_generator
from pedclip.training.config import RunConfig
from pedclip.triplets.arrays import TripletArrays, to_arrays
from pedclip.triplets.splits import SPLITS
from pedclip.triplets.storage import load_triplets, save_triplets

CELL_FILE: Final = "cell.json"
ERROR_FILE: Final = "error.txt"
FILMS_FILE: Final = "films.json"
REPORTS_FILE: Final = "reports.json"
START: Final = "start"
UNTRAINED: Final = "untrained"
THUMBNAIL: Final = "thumbnail"
BASELINES: Final = (THUMBNAIL, UNTRAINED, START)
FILMS_SEED: Final = 0  # of films and drawn copies, whatever the seed of a training

Cell = tuple[str, str, int]  # arm or baseline, method, seed


def configuration(options: argparse.Namespace, method: str, seed: int) -> RunConfig:
    """Configuration of the real arm of a method."""
    data = options.data if options.data == PHANTOM else str(Path(options.data).resolve())
    named = {"data": data, "studies": options.studies}
    # Films about as large as the generator draws cost a third, and the real ones are hardly sharper.
    named |= {"image_size": options.image_size} if options.image_size else {}
    return arm_config(options.profile, method, epochs=options.epochs, seed=seed, **named)


def downstream_options(options: argparse.Namespace) -> DownstreamOptions:
    """How the cells are scored."""
    return DownstreamOptions(
        fractions=tuple(options.fractions),
        subsamples=options.subsamples,
        head_subsamples=options.head_subsamples,
        head_images=options.head_images,
        head_epochs=options.head_epochs,
    )


def identity(options: argparse.Namespace, cell: Cell) -> dict[str, Any]:
    """All that decides a cell, as JSON: two cells of one identity have one result."""
    name, method, seed = cell
    generators = sorted(ARMS[name].generators) if name in ARMS else []
    copies = {one: _copy_head(options, one) for one in generators}
    found = {
        "arm": name,
        "config": configuration(options, method or "clip", seed).to_dict(),
        "downstream": dataclasses.asdict(downstream_options(options)),
        "copies": copies,
        # A report without a film in any copy is in no arm, so that one more copy may change them all.
        "reports": _common_reports(options) if name in ARMS else "",
    }
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def _copy_head(options: argparse.Namespace, generator: str) -> dict[str, Any]:
    head = json.loads((copy_folder(options, generator) / "synthetic.json").read_text())
    # Versions and revision of whoever drew it do not decide the films.
    return {name: head[name] for name in ("generator", "options", "reports")}


def _common_reports(options: argparse.Namespace) -> str:
    """Digest of the reports that all arms read, as the last preparation found them; "" before any."""
    file = films_folder(options) / REPORTS_FILE
    return str(json.loads(file.read_text())["sha256"]) if file.exists() else ""


def folder_of(options: argparse.Namespace, cell: Cell) -> Path:
    """Folder of a cell."""
    name, method, seed = cell
    return Path(options.runs) / options.label / "-".join(filter(None, (name, method, str(seed))))


def films_folder(options: argparse.Namespace) -> Path:
    """Folder of the films that all cells share."""
    return Path(options.runs) / options.label / "films"


def copy_folder(options: argparse.Namespace, generator: str) -> Path:
    """Folder of the copy that a generator has drawn."""
    return films_folder(options) / "copies" / generator


def finished(options: argparse.Namespace, cell: Cell) -> dict[str, Any] | None:
    """Content of ``cell.json`` of a finished cell, or None.

    Raises:
        SystemExit: The cell was made with other options.
    """
    path = folder_of(options, cell) / CELL_FILE
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    # An old cell under new options would be reported as what it is not.
    if (expected := identity(options, cell)) != found["identity"]:
        differs = next(name for name in expected if expected[name] != found["identity"].get(name))
        raise SystemExit(f"{path} was made with other options ({differs}); use another --label")
    return found


def failure(options: argparse.Namespace, cell: Cell) -> str:
    """Last words of an unfinished cell, "" for one that was never started."""
    for name in (ERROR_FILE, "log.txt"):
        log = folder_of(options, cell) / name
        lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        if lines:
            return lines[-1]
    return ""


def prepare(options: argparse.Namespace, arms: list[Arm]) -> None:
    """Triplets, drawn copies and image caches of all cells: made once, before any of them starts.

    Raises:
        SystemExit: The folder holds the films of other options.
    """
    folder, size = films_folder(options), configuration(options, "clip", FILMS_SEED).phantom_size
    drawn = {"studies": configuration(options, "clip", FILMS_SEED).studies, "seed": FILMS_SEED, "size": size}
    asked = drawn if options.data == PHANTOM else {"data": str(Path(options.data).resolve())}
    if not (folder / FILMS_FILE).exists():
        save_triplets(load(options.data, **(drawn if options.data == PHANTOM else {})), folder / "triplets")
        write_json(folder / FILMS_FILE, asked)
    if (found := json.loads((folder / FILMS_FILE).read_text())) != asked:
        raise SystemExit(f"{folder} holds films of {found}, not of {asked}; use another --label")
    triplets = load_triplets(folder / "triplets")
    generators = {}
    # All of them before the first film is drawn: one that cannot be opened would end an hour of drawing.
    for name in sorted(set().union(*(arm.generators for arm in arms))):
        source = getattr(options, name)
        studies = triplets["train"]["study_id"] if source == PHANTOM else ()
        generators[name] = named_generator(source, studies=studies, image_size=size, judged_on=triplets["test"])
    for name, generator in generators.items():
        copy = synthetic_copy(triplets, generator, copy_folder(options, name), seed=FILMS_SEED)
        print(f"{name}: {copy.num_films} films of {generator.name}, {copy.num_cut} prompts cut", flush=True)
    # The caches: several cells may not build one at a time.
    films = next(iter(shared_films(options, triplets, [ARMS[REAL]]).values()))
    keys = "\n".join(f"{patient}\0{text}" for patient, text in zip(films.patients, films.texts, strict=True))
    digest = hashlib.sha256(keys.encode()).hexdigest()
    write_json(folder / REPORTS_FILE, {"reports": len(films), "sha256": digest})
    shared_films(options, triplets, arms)
    real_films(options, triplets)


def shared_films(options: argparse.Namespace, triplets: Any, arms: list[Arm]) -> dict[str, TripletArrays]:
    """Films of arms from the caches that all cells share."""
    # Every copy that is there, so that all cells read the same reports.
    found = [name for name in GENERATORS if (copy_folder(options, name) / "synthetic.json").is_file()]
    copies = {name: _opened(copy_folder(options, name)) for name in found}
    size = film_size(configuration(options, "clip", FILMS_SEED))
    return film_sets(triplets, copies, arms, folder=films_folder(options) / "sets", size=size, seed=FILMS_SEED)


def real_films(options: argparse.Namespace, triplets: Any) -> dict[str, TripletArrays]:
    """All real films by split, of which the downstream tasks are made."""
    size, folder = film_size(configuration(options, "clip", FILMS_SEED)), films_folder(options) / "real"
    return {split: to_arrays(triplets[split], folder / split, size=size) for split in SPLITS}


def _opened(folder: Path) -> SyntheticCopy:
    head = json.loads((folder / "synthetic.json").read_text())
    counts = {name: head[name] for name in ("num_films", "num_cut", "num_left_out")}
    return SyntheticCopy(folder, **counts, reasons=tuple(head["reasons"]), head=head)


def run_cell(options: argparse.Namespace, cell: Cell) -> None:
    """Train and score one cell; its error, if it has one, stays in its folder."""
    folder = folder_of(options, cell)
    try:
        _run_cell(options, cell, folder)
    except Exception:
        # The others go on, and the report says what this one died of.
        write_text(folder / ERROR_FILE, traceback.format_exc())
        raise
    (folder / ERROR_FILE).unlink(missing_ok=True)


def _run_cell(options: argparse.Namespace, cell: Cell, folder: Path) -> None:
    name, method, seed = cell
    triplets = load_triplets(films_folder(options) / "triplets")
    real, started = real_films(options, triplets), time.monotonic()
    cost: dict[str, Any] = {}
    model: Any = None
    if name in ARMS:
        films = shared_films(options, triplets, [ARMS[name]])
        run = train_arm(
            ARMS[name], films, real["validation"], config=configuration(options, method, seed), run=folder / "run"
        )
        model = open_model(run.checkpoint)
        cost = {"steps": run.steps, "films": run.films, "losses": run.losses}
    elif name != THUMBNAIL:
        model = initial_model(configuration(options, method, seed), real["train"])
        model = model if name == START else model.untrained(seed)
    preprocess = default_preprocess(configuration(options, "clip", seed).model.image_size, None)
    preprocess = model.preprocess if model else preprocess
    asked = DownstreamScorer(triplets, real, preprocess=preprocess, options=downstream_options(options))
    trained = time.monotonic()
    save_scores(folder, asked.score(model, name) if model else asked.score_thumbnail(name))
    # Last, as it says that the cell is done.
    write_json(
        folder / CELL_FILE,
        {
            "identity": identity(options, cell),
            **cost,
            "seconds": {"training": trained - started, "scoring": time.monotonic() - trained},
            "git_revision": describe()["git_revision"],
            "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        },
    )


def scores_of(options: argparse.Namespace, cell: Cell) -> Scores:
    """Scores of a finished cell."""
    folder = folder_of(options, cell)
    if not (folder / DESCRIPTION).is_file():
        raise SystemExit(f"{folder} has no {DESCRIPTION}; delete its {CELL_FILE} and run it again")
    return load_scores(folder)
