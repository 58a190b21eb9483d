"""Every training objective under one roof: equal films, encoders, starting weights, steps and batch; several seeds.

    python -m benchmarks.rivals --json benchmarks/results/rivals_phantom.json
    python -m benchmarks.rivals --data /folder/of/sources --methods clip,pedclip,clip+labels,convirt,gloria,mgca \
        --epochs 4 --label real --json benchmarks/results/rivals_real.json

A cell is one method (see ``benchmarks.rivals_cells.Method``) and one seed: a process of its own that pre-trains and
writes its folder in ``--runs``. A finished cell is never computed again, a killed one goes on, a failed one is kept
with its error. The report is made of all finished cells: for each method the mean over seeds with a 95 % interval over
test patients, and its differences to CLIP without experts and to PedCLIP, which draw the same patients for both.

"+labels" adds a linear classifier of the region on the image token, with the weight of the gate loss: region labels
without experts. "+experts" is the same objective with a Mixture of Body-part Experts in the last block; its gate is
taught as PedCLIP's, except that of clip+experts, which learns from the contrastive loss alone. "start" is what training
starts from (ImageNet stages, random transformer and text encoder), "untrained" has random weights throughout,
"thumbnail" is the shortcut: 65 numbers per film and the labels of the training films.

What a method reads beside films and texts stands in the report: region labels for PedCLIP, "+labels" and the rivals'
"+experts", region and finding labels for MedCLIP. Equal texts are no negatives for the methods that have that option.
The step size is the profile's, which was chosen for PedCLIP's loss; "prior@1e-4" trains with another. Such a choice is
made with ``--split validation``, where nothing is read of the test films. ``--time`` measures seconds per step instead,
all methods in turn in one process.
"""

import argparse
import re
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.cell_queue import run_queue
from benchmarks.report import describe, write_report
from benchmarks.rivals_cells import (
    Method,
    cell_arrays,
    configuration,
    failure,
    finished,
    folder_of,
    open_films,
    run_cell,
    store_arrays,
)
from benchmarks.rivals_scores import START, THUMBNAIL, UNTRAINED, Measures, Scorer, entry, joined_seeds
from benchmarks.rivals_time import step_of
from pedclip.evaluation.metrics.interval import entry_text
from pedclip.objectives.trained import open_model
from pedclip.training.loop import build_model
from pedclip.training.preparation import PreparedData
from pedclip.triplets.splits import SPLITS


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    try:
        for method in options.methods:
            configuration(options, method, options.seeds[0])
    except ValueError as error:
        raise SystemExit(f"--methods: {error}") from error
    if options.data != "phantom" and not Path(options.data).is_dir():
        raise SystemExit(f"--data {options.data} is no folder; expected 'phantom' or a folder of data sources")
    if options.cell:
        run_cell(options, options.cell, options.seeds[0])
        return
    if options.time:
        report: dict[str, Any] = {"seconds_per_step": time_steps(options)}
    else:
        if not options.report_only:
            run_cells(options)
        report = summarize(options)
        print(table(report), flush=True)
    if options.json:
        write_report(options.json, describe() | {"options": _described(options)} | report)
    # Of a comparison that lacks cells nobody should read a ranking by accident.
    if report.get("not_done"):
        raise SystemExit(f"{len(report['not_done'])} cells are not done; their logs lie in {options.runs}")


def run_cells(options: argparse.Namespace) -> None:
    """All cells that are not done, ``--parallel`` at a time, each in a process of its own."""
    # Seeds outside: after a third of the time every method has one.
    waiting = [(method, seed) for seed in options.seeds for method in options.methods]
    waiting = [cell for cell in waiting if finished(options, *cell) is None]
    films = open_films(options)  # once: each cell would draw or decode the same films again
    for split, arrays in (("train", films.train), ("validation", films.validation)):
        store_arrays(cell_arrays(options, split), arrays)
    run_queue(
        waiting,
        command=lambda cell: _command(options, *cell),
        folder=lambda cell: folder_of(options, *cell),
        name=lambda cell: f"{cell[0]}, seed {cell[1]}",
        parallel=options.parallel,
    )


def _command(options: argparse.Namespace, method: str, seed: int) -> list[str]:
    command = [sys.executable, "-m", "benchmarks.rivals", "--cell", method, "--seeds", str(seed)]
    for name in ("data", "studies", "profile", "epochs", "runs", "label", "threads"):
        command += [f"--{name}", str(getattr(options, name))]
    return command


def summarize(options: argparse.Namespace) -> dict[str, Any]:
    """Scores and differences of all finished cells."""
    films = open_films(options)
    scorer = Scorer(films, options)
    measured: dict[str, list[Measures]] = {THUMBNAIL: [scorer.shortcut()]}
    costs: dict[str, list[dict[str, Any]]] = {}
    for method in (UNTRAINED, START, *options.methods):
        for seed in options.seeds:
            folder = folder_of(options, method, seed)
            if method in (UNTRAINED, START):
                measured.setdefault(method, []).append(scorer.measure(initial(options, films, method, seed)))
            elif (cell := finished(options, method, seed)) is not None:
                measured.setdefault(method, []).append(scorer.measure(open_model(folder / "checkpoint")))
                costs.setdefault(method, []).append(cell)
    patients = len(scorer.patients)
    joined = {method: joined_seeds(cells) for method, cells in measured.items()}
    return {
        "films": {split: len(films.triplets[split]) for split in SPLITS},
        "split": options.split,
        "patients": patients,
        "finding_tasks": [task.name for task in scorer.tasks],
        "probe_tasks": scorer.probe_tasks,
        # With the last words of their logs.
        "not_done": {
            f"{method}-{seed}": failure(options, method, seed)
            for method in options.methods
            for seed in options.seeds
            if finished(options, method, seed) is None
        },
        "methods": {
            method: {
                "seeds": len(measured[method]),
                "reads": Method.parse(method).reads if method in options.methods else "",
                "cost": _cost(costs.get(method, [])),
                "measures": {name: entry(joined, method, name, patients, measured[method]) for name in joined[method]},
            }
            for method in joined
        },
    }


def initial(options: argparse.Namespace, films: PreparedData, method: str, seed: int) -> Any:
    """The encoders before any training: with the profile's starting weights, or random throughout."""
    torch.manual_seed(seed)
    model = build_model(configuration(options, "clip", seed), films.train).eval()
    return model if method == START else model.untrained(seed)


def time_steps(options: argparse.Namespace, *, num_steps: int = 12) -> dict[str, Any]:
    """Median seconds of a training step of each method, all in turn in one process."""
    films = open_films(options)
    steps = {method: step_of(configuration(options, method, 0), films.train) for method in options.methods}
    seconds: dict[str, list[float]] = {method: [] for method in steps}
    for turn in range(num_steps + 2):
        for method, step in steps.items():
            started = time.perf_counter()
            step()
            if turn >= 2:  # the first ones allocate
                seconds[method].append(time.perf_counter() - started)
    return {method: statistics.median(found) for method, found in seconds.items()}


def table(report: Mapping[str, Any]) -> str:
    """Plain text: a line per method and measure."""
    lines = []
    for method, found in report["methods"].items():
        lines.append(f"{method} ({found['seeds']} seeds)")
        for name, values in found["measures"].items():
            apart = "".join(f"  {key} {entry_text(value)}" for key, value in values.items() if key.startswith("minus"))
            lines.append(f"  {name:34}{entry_text(values['score']):>24}{apart}")
    lines += [f"not done: {cell} ({words or 'not started'})" for cell, words in report["not_done"].items()]
    return "\n".join(lines)


def _cost(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if not cells:
        return {}
    return {
        "steps": cells[0]["steps"],
        "losses": [cell["losses"] for cell in cells],
        "git_revisions": sorted({cell["git_revision"] for cell in cells}),
        "peak_memory_gib": max(cell["peak_memory_gib"] for cell in cells),
    }


def _described(options: argparse.Namespace) -> dict[str, Any]:
    # No path of this machine.
    named = {name: value for name, value in vars(options).items() if name not in ("runs", "json", "cell", "data")}
    return named | {"data": "phantom" if options.data == "phantom" else "folders"}


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="phantom", help='"phantom", or a folder of data sources')
    parser.add_argument("--label", default="phantom", help="folder of these data in --runs")
    parser.add_argument("--studies", type=int, default=1200, help="of the phantom")
    parser.add_argument("--profile", default="demo", help="encoders, starting weights, batch, step size")
    parser.add_argument("--epochs", type=int, default=0, help="0 means the profile's")
    parser.add_argument("--methods", type=lambda text: re.split(r",(?![^{]*})", text), default=["clip", "pedclip"])
    parser.add_argument("--seeds", type=lambda text: [int(one) for one in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--parallel", type=int, default=2, help="cells at a time")
    parser.add_argument("--threads", type=int, default=1, help="of torch in each cell; set OMP_NUM_THREADS too")
    parser.add_argument("--runs", type=Path, default=Path("runs/rivals"), help="folder of all cells")
    parser.add_argument("--report-only", action="store_true", help="of the cells that are done")
    parser.add_argument("--time", action="store_true", help="seconds per step instead; needs a quiet machine")
    parser.add_argument("--split", choices=("test", "validation"), default="test", help="films to score")
    parser.add_argument("--cell", default="", help="one method, with one seed: what each process runs")
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
