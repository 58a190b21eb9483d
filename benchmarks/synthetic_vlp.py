"""Can drawn films replace real ones in vision-language pre-training? Equal reports, steps and encoders; several seeds.

    python -m benchmarks.synthetic_vlp --json benchmarks/results/synthetic_phantom.json

A cell is one arm (which films are trained on, see ``pedclip.synthesis.experiment.arms``), one method and one seed: a
process of its own that pre-trains, freezes the encoder, and scores it: without labels the region by prompts and the
search for a film's text, then linear probes of findings and of the region, decoders of masks and detectors of boxes on
fractions of the labelled patients. Every score is on real films of test patients. A finished cell is never computed
again, a killed one goes on, a failed one is kept with its error.

All arms read the same reports (those that have a film in every copy) and take the same number of optimizer steps, up to
the batch that an epoch leaves over: the mixed arm has twice the films and half the passes; the two-stage arm trains
half of the passes on drawn films, then half on real ones from that checkpoint, where optimizer, learning rate and
PedCLIP's teacher forcing begin anew. Films are drawn once, with one seed; the seed of a cell is that of its training.

"coarse" are real films with the detail of the drawn ones: what the generator's size alone costs. "shuffled" are drawn
films of other reports: what drawn films teach without their meaning; "in-region" those of other reports of the same
region: what they teach by their region alone. "start" is what training starts from (ImageNet stages, random
transformers), "untrained" random weights throughout, "thumbnail" 65 numbers per film.

The report: for each arm, method, question and fraction the mean over seeds with a 95 % interval over test patients, and
the difference to the real arm, and to the shuffled one, on the same patients and seeds; an arrow where its interval,
over patients and trainings, leaves out 0. Labelled subsamples and drawn films are the same for all seeds: their luck is
in no interval.

The domain generator reads reports with a text encoder that was trained on pairs with real films, so that "no real
films" is true of this pre-training only (methods/synthetic.md, Y7).
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.cell_queue import run_queue
from benchmarks.report import describe, write_report
from benchmarks.synthetic_cells import (
    BASELINES,
    THUMBNAIL,
    Cell,
    configuration,
    copy_folder,
    downstream_options,
    failure,
    films_folder,
    finished,
    folder_of,
    prepare,
    run_cell,
    scores_of,
)
from pedclip.artefacts import read_json
from pedclip.data.loading import PHANTOM
from pedclip.evaluation.metrics.interval import entry_text
from pedclip.synthesis.experiment.arms import ARMS, PERFECT, REAL, SHUFFLED, Arm
from pedclip.synthesis.experiment.comparison import Cells, compare_arms, fraction_words
from pedclip.synthesis.experiment.downstream import Scores
from pedclip.triplets.arrays import qualified_patients
from pedclip.triplets.splits import SPLITS
from pedclip.triplets.storage import TripletsError, load_triplets

# Handed to the process of a cell: all that decides it.
_OF_A_CELL = (
    "data",
    "studies",
    "profile",
    "image_size",
    "epochs",
    "domain",
    "generic",
    "perfect",
    "subsamples",
    "head_subsamples",
    "head_images",
    "head_epochs",
    "runs",
    "label",
    "threads",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    try:
        downstream_options(options)
        for method in options.methods:
            configuration(options, method, options.seeds[0])
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error
    if options.cell:
        # The thumbnail has no method.
        run_cell(options, (options.cell, "" if options.cell == THUMBNAIL else options.methods[0], options.seeds[0]))
        return
    if not options.report_only:
        try:
            prepare(options, _arms(options))
        except (OSError, ValueError) as error:
            raise SystemExit(f"error: {error}") from error
        run_cells(options)
    try:
        report = summarize(options)
    except (OSError, TripletsError) as error:
        raise SystemExit(f"error: {error}") from error
    print(table(report["rows"], report["not_done"]), flush=True)
    if options.json:
        write_report(options.json, describe() | {"options": _described(options)} | report)
    # Of a comparison that lacks cells nobody should read a ranking by accident.
    if report["not_done"]:
        raise SystemExit(f"{len(report['not_done'])} cells are not done; their logs lie in {options.runs}")


def cells_of(options: argparse.Namespace) -> list[Cell]:
    """All cells, seeds outside: after a third of the time every arm has one."""
    found: list[Cell] = [(THUMBNAIL, "", 0)] if THUMBNAIL in options.baselines else []
    others = [name for name in (*options.baselines, *options.arms) if name != THUMBNAIL]
    return found + [(name, method, seed) for seed in options.seeds for method in options.methods for name in others]


def run_cells(options: argparse.Namespace) -> None:
    """All cells that are not done, ``--parallel`` at a time, each in a process of its own."""
    waiting = [cell for cell in cells_of(options) if finished(options, cell) is None]
    run_queue(
        waiting,
        command=lambda cell: _command(options, cell),
        folder=lambda cell: folder_of(options, cell),
        name=lambda cell: f"{' '.join(filter(None, cell[:2]))}, seed {cell[2]}",
        parallel=options.parallel,
    )


def _command(options: argparse.Namespace, cell: Cell) -> list[str]:
    name, method, seed = cell
    command = [sys.executable, "-m", "benchmarks.synthetic_vlp", "--cell", name, "--seeds", str(seed)]
    command += ["--methods", method or "clip", "--fractions", ",".join(map(str, options.fractions))]
    for one in _OF_A_CELL:
        command += [f"--{one.replace('_', '-')}", str(getattr(options, one))]
    return command


def summarize(options: argparse.Namespace) -> dict[str, Any]:
    """Scores and differences of all finished cells."""
    triplets = load_triplets(films_folder(options) / "triplets")
    patients = np.unique(qualified_patients(triplets["test"]))
    cells: dict[tuple[str, str], dict[int, Scores]] = {}
    costs: dict[str, list[dict[str, Any]]] = {}
    for cell in cells_of(options):
        if (found := finished(options, cell)) is not None:
            name, method, seed = cell
            scores = scores_of(options, cell)
            if name == THUMBNAIL:
                # It has no method and no seed: the same beside every training.
                same = {number: scores for number in options.seeds}
                cells |= {(name, one): same for one in options.methods}
            else:
                cells.setdefault((name, method), {})[seed] = scores
            costs.setdefault(f"{name} {method}".strip(), []).append(_cost(found, seed))
    has_control = any(name == SHUFFLED for name, _ in cells)
    return {
        "films": {split: len(triplets[split]) for split in SPLITS},
        "patients": len(patients),
        "arms": {name: ARMS[name].words for name in options.arms},
        "copies": {name: _copy(options, name) for name in sorted(set().union(*(a.generators for a in _arms(options))))},
        "rows": _rows(cells, patients, REAL, options.num_resamples) if cells else [],
        "over_shuffled": _rows(cells, patients, SHUFFLED, options.num_resamples) if has_control else [],
        "cells": costs,
        # With the last words of their logs.
        "not_done": {
            "-".join(map(str, cell)): failure(options, cell)
            for cell in cells_of(options)
            if finished(options, cell) is None
        },
    }


def _rows(cells: Cells, patients: NDArray[Any], reference: str, num_resamples: int) -> list[dict[str, Any]]:
    rows = compare_arms(cells, patients, reference=reference, num_resamples=num_resamples).to_dict("records")
    return [{str(name): _plain(value) for name, value in row.items()} for row in rows]


def table(rows: Sequence[Mapping[str, Any]], not_done: Mapping[str, str]) -> str:
    """Plain text: a line per method, question, fraction and arm, and one per missing cell."""
    lines = []
    for row in rows:
        apart = ""
        if row["arrow"] is not None:
            ends = {"value": row["difference"], "low": row["difference_low"], "high": row["difference_high"]}
            apart = f"  {row['arrow']} {entry_text(ends)}"
        named = f"{row['question']}, {fraction_words(row['fraction'])}"
        lines.append(f"{row['method']:8} {named:24} {row['arm']:10} {entry_text(row):>26}{apart}")
    lines += [f"not done: {cell} ({words or 'not started'})" for cell, words in not_done.items()]
    return "\n".join(lines)


def _arms(options: argparse.Namespace) -> list[Arm]:
    return [ARMS[name] for name in options.arms]


def _copy(options: argparse.Namespace, name: str) -> dict[str, Any]:
    head = read_json(copy_folder(options, name) / "synthetic.json")
    return {key: head[key] for key in ("generator", "options", "num_films", "num_cut", "num_left_out")}


def _cost(cell: Mapping[str, Any], seed: int) -> dict[str, Any]:
    kept = ("steps", "films", "losses", "seconds", "peak_memory_gib", "git_revision")
    return {"seed": seed} | {name: cell[name] for name in kept if name in cell}


def _plain(value: Any) -> Any:
    # JSON has no NaN, and pandas turns None into it.
    return None if isinstance(value, float) and np.isnan(value) else value


def _described(options: argparse.Namespace) -> dict[str, Any]:
    # No path of this machine.
    hidden = ("runs", "json", "cell", "data", "domain", "generic")
    named = {name: value for name, value in vars(options).items() if name not in hidden}
    return named | {"data": "phantom" if options.data == "phantom" else "folders"}


def _names(text: str) -> list[str]:
    # Each once: two cells of one name would share a folder.
    found = list(dict.fromkeys(one.strip() for one in text.split(",") if one.strip()))
    if not found:
        raise argparse.ArgumentTypeError("names none")
    return found


def _numbers(kind: type[int] | type[float]) -> Any:
    def parse(text: str) -> list[Any]:
        try:
            return [kind(one) for one in _names(text)]
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers with commas between") from error

    return parse


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: an integer, at least 1")
    return int(text)


def _some_of(known: Mapping[str, Any] | tuple[str, ...]) -> Any:
    def parse(text: str) -> list[str]:
        found = _names(text)
        if unknown := [name for name in found if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return found

    return parse


def _label(text: str) -> str:
    # It becomes the name of a folder.
    if not re.fullmatch(r"\w[\w.-]*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a folder")
    return text


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="phantom", help='"phantom", or a folder of data sources')
    parser.add_argument("--label", type=_label, default="phantom", help="folder of these data in --runs")
    parser.add_argument("--studies", type=int, default=1200, help="of the phantom")
    parser.add_argument("--profile", default="demo", help="encoders, starting weights, batch, step size")
    parser.add_argument("--image-size", type=int, default=0, help="of all encoders, pixels; 0 means the profile's")
    parser.add_argument("--epochs", type=int, default=0, help="of the real arm, even; 0 means the profile's")
    parser.add_argument("--arms", type=_some_of(ARMS), help="all by default, of the phantom also the perfect one")
    parser.add_argument("--baselines", type=_some_of(BASELINES), default=list(BASELINES))
    parser.add_argument("--methods", type=_names, default=["convirt", "gloria", "mgca", "pedclip"])
    parser.add_argument("--seeds", type=_numbers(int), default=[0, 1, 2])
    parser.add_argument("--domain", default="embedded", help='"embedded", or a folder of a flow or a pipeline')
    parser.add_argument("--generic", default="embedded-generic", help="the same, of one without films")
    parser.add_argument("--perfect", default="phantom", help="which needs data of the phantom")
    parser.add_argument("--fractions", type=_numbers(float), default=[0.01, 0.1, 1.0])
    parser.add_argument("--subsamples", type=int, default=3, help="subsamples of each fraction below 1, of probes")
    parser.add_argument(
        "--head-subsamples", type=int, default=1, help="the same of heads; 0 asks for no masks and boxes"
    )
    parser.add_argument("--head-images", type=int, default=200, help="training films of a head at most")
    parser.add_argument("--head-epochs", type=int, default=10)
    parser.add_argument("--num-resamples", type=int, default=1000, help="of the test patients")
    parser.add_argument("--parallel", type=_at_least_one, default=2, help="cells at a time")
    parser.add_argument("--threads", type=_at_least_one, default=1, help="of torch in each cell; OMP_NUM_THREADS too")
    parser.add_argument("--runs", type=Path, default=Path("runs/synthetic"), help="folder of all cells")
    parser.add_argument("--report-only", action="store_true", help="of the cells that are done")
    parser.add_argument("--cell", default="", help="one arm or baseline, with one method and seed: for each process")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    # The perfect generator knows reports of the phantom alone.
    has_perfect = options.data == PHANTOM or options.perfect != PHANTOM
    options.arms = options.arms or [name for name in ARMS if has_perfect or name != PERFECT]
    return options


if __name__ == "__main__":
    main()
