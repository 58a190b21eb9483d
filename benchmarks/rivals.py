"""Every training objective under one roof: equal films, encoders, starting weights, steps and batch; several seeds.

    python -m benchmarks.rivals --json benchmarks/results/rivals_phantom.json
    python -m benchmarks.rivals --data /folder/of/sources --methods clip,pedclip,convirt,gloria,mgca --epochs 4 \
        --label real --json benchmarks/results/rivals_real.json

A cell is one method and one seed: a process of its own that pre-trains, embeds the test films and writes its folder in
``--runs``. A finished cell is never computed again, a killed one goes on, a failed one is kept with its error. The
report is made of all finished cells: for each method the mean over seeds with a 95 % interval over test patients, and
its differences to CLIP without experts and to PedCLIP, which draw the same patients for both.

"+labels" adds a linear classifier of the region on the image token, with the weight of the gate loss: region labels
without experts. "+experts" is the same objective with a Mixture of Body-part Experts in the last block; its gate is
taught as PedCLIP's, except that of clip+experts, which learns from the contrastive loss alone. "start" is what training
starts from (ImageNet stages, random transformer and text encoder), "untrained" has random weights throughout,
"thumbnail" is the shortcut: 65 numbers per film and the labels of the training films.
The step size is the profile's, which was chosen for PedCLIP's loss; "prior@1e-4" trains with another. Such a choice is
made with ``--split validation``, where nothing is read of the test films. ``--time`` measures seconds per step instead,
all methods in turn in one process.
"""

import argparse
import dataclasses
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmarks.report import describe, write_report
from benchmarks.rivals_time import step_of
from pedclip.artefacts import write_json
from pedclip.evaluation.compared import has_own_score
from pedclip.evaluation.downstream.run import DownstreamSettings, run_probes
from pedclip.evaluation.embeddings import embed, embed_texts
from pedclip.evaluation.features import extract_features
from pedclip.evaluation.macro import difference, interval, mean_of, of_queries, of_result
from pedclip.evaluation.metrics.bootstrap import Resampled
from pedclip.evaluation.metrics.interval import entry_text
from pedclip.evaluation.result import Result
from pedclip.evaluation.tasks.discover import discover_tasks
from pedclip.evaluation.tasks.findings import discover_findings
from pedclip.evaluation.tasks.labels import read_labels
from pedclip.evaluation.zero_shot.own_score import own_findings, own_regions, pair_score_matrix
from pedclip.evaluation.zero_shot.recall import ranked_queries
from pedclip.evaluation.zero_shot.scoring import cosines, unit_vectors, zero_shot_findings, zero_shot_regions
from pedclip.evaluation.zero_shot.shortcut_baseline import shortcut_features, shortcut_findings, shortcut_regions
from pedclip.objectives.registry import names as objective_names
from pedclip.objectives.trained import ObjectiveModel, open_model
from pedclip.training.config import RunConfig, load_profile, replace_fields
from pedclip.training.loop import build_model, pretrain
from pedclip.training.preparation import PreparedData, prepare
from pedclip.triplets.arrays import TripletArrays, to_arrays
from pedclip.triplets.splits import SPLITS

WITH_EXPERTS: Final = "+experts"
WITH_LABELS: Final = "+labels"
START: Final = "start"
UNTRAINED: Final = "untrained"
THUMBNAIL: Final = "thumbnail"
CELL_FILE: Final = "cell.json"
RECALLS: Final = (("image to text", 1), ("image to text", 5), ("text to image", 1), ("text to image", 5))

Measures = dict[str, Resampled]  # by name of the measure


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
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


def configuration(options: argparse.Namespace, method: str, seed: int) -> RunConfig:
    """Configuration of a cell: the profile with another objective, with or without experts."""
    objective, plus, rate = parts_of(method)
    config = load_profile(options.profile)
    # PedCLIP is CLIP with experts whose gate is taught; every other name says "+experts" where it has them.
    has_experts = objective == "pedclip" or plus == WITH_EXPERTS
    model = replace_fields(config.model, {} if has_experts else {"mobe_layers": ()})
    # Nothing is chosen on validation films here, so they are not embedded after every epoch.
    changes: dict[str, Any] = {"objective": objective, "seed": seed, "validation_rows": 2}
    changes["region_head"] = plus == WITH_LABELS
    if rate:
        changes["learning_rate"] = float(rate)
    if options.epochs:
        changes["epochs"] = options.epochs
    training = replace_fields(config.training, changes)
    data = options.data if options.data == "phantom" else str(Path(options.data).resolve())
    return dataclasses.replace(config, data=data, studies=options.studies, model=model, training=training)


def parts_of(method: str) -> tuple[str, str, str]:
    """Objective, "+experts", "+labels" or "", and the step size behind "@" or ""."""
    name, _, rate = method.partition("@")
    objective = name.removesuffix(WITH_EXPERTS).removesuffix(WITH_LABELS)
    return objective, name.removeprefix(objective), rate


def run_cells(options: argparse.Namespace) -> None:
    """All cells that are not done, ``--parallel`` at a time, each in a process of its own."""
    # Seeds outside: after a third of the time every method has one.
    waiting = [(method, seed) for seed in options.seeds for method in trained(options)]
    waiting = [cell for cell in waiting if not (folder_of(options, *cell) / CELL_FILE).exists()]
    films = open_films(options)  # once: each cell would draw or decode the same films again
    for split, arrays in (("train", films.train), ("validation", films.validation)):
        store_arrays(cell_arrays(options, split), arrays)
    running: dict[tuple[str, int], subprocess.Popen[bytes]] = {}
    while waiting or running:
        while waiting and len(running) < options.parallel:
            method, seed = waiting.pop(0)
            command = [sys.executable, "-m", "benchmarks.rivals", "--cell", method, "--seeds", str(seed)]
            for name in ("data", "studies", "profile", "epochs", "runs", "label", "threads"):
                command += [f"--{name}", str(getattr(options, name))]
            folder = folder_of(options, method, seed)
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / "log.txt").open("wb") as log:
                running[method, seed] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        for cell, process in list(running.items()):
            if process.poll() is not None:
                del running[cell]
                # A failed cell keeps its log; the others go on.
                print(f"{cell[0]}, seed {cell[1]}: {'done' if process.returncode == 0 else 'FAILED'}", flush=True)
        time.sleep(1)


def run_cell(options: argparse.Namespace, method: str, seed: int) -> None:
    """Pre-train one method from one seed and write what it cost; the model lies beside it."""
    config, folder = configuration(options, method, seed), folder_of(options, method, seed)
    train, validation = (stored_arrays(cell_arrays(options, split)) for split in ("train", "validation"))
    pretrain(train, validation, config=config, run=folder)
    steps = config.training.epochs * (len(train) // config.training.batch_size)
    write_json(
        folder / CELL_FILE,
        {
            "method": method,
            "seed": seed,
            "config": config.to_dict(),
            "steps": steps,
            "git_revision": describe()["git_revision"],
            "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        },
    )


def open_films(options: argparse.Namespace) -> PreparedData:
    """Films of all cells: drawn and split by seed 0, whatever the seed of a training."""
    return prepare(configuration(options, "clip", 0), options.runs / options.label / "films")


def cell_arrays(options: argparse.Namespace, split: str) -> Path:
    """Folder of the films that the cells train on."""
    return Path(options.runs) / options.label / "films" / f"arrays-{split}"


def store_arrays(folder: Path, arrays: TripletArrays) -> None:
    """Films, texts and labels as plain arrays, which several processes read at once."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "images.npy", arrays.images)
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


def trained(options: argparse.Namespace) -> list[str]:
    """Methods to train, in the order asked for."""
    more = [name + plus for name in objective_names() if name != "pedclip" for plus in (WITH_EXPERTS, WITH_LABELS)]
    known = [*objective_names(), *more]
    if wrong := [method for method in options.methods if method.partition("@")[0] not in known]:
        raise SystemExit(f"--methods: {wrong[0]!r} is not one of {', '.join(known)}")
    return list(options.methods)


def folder_of(options: argparse.Namespace, method: str, seed: int) -> Path:
    """Folder of a cell."""
    return Path(options.runs) / options.label / f"{method}-{seed}"


def summarize(options: argparse.Namespace) -> dict[str, Any]:
    """Scores and differences of all finished cells."""
    films = open_films(options)
    scorer = Scorer(films, options)
    measured: dict[str, list[Measures]] = {THUMBNAIL: [scorer.shortcut()]}
    costs: dict[str, list[dict[str, Any]]] = {}
    for method in (UNTRAINED, START, *trained(options)):
        for seed in options.seeds:
            folder = folder_of(options, method, seed)
            if method in (UNTRAINED, START):
                measured.setdefault(method, []).append(scorer.measure(initial(options, films, method, seed)))
            elif (folder / CELL_FILE).exists():
                measured.setdefault(method, []).append(scorer.measure(open_model(folder / "checkpoint")))
                costs.setdefault(method, []).append(json.loads((folder / CELL_FILE).read_text()))
    patients = len(scorer.patients)
    joined = {method: joined_seeds(cells) for method, cells in measured.items()}
    return {
        "films": {split: len(films.triplets[split]) for split in SPLITS},
        "split": options.split,
        "patients": patients,
        "finding_tasks": [task.name for task in scorer.tasks],
        "probe_tasks": scorer.probe_tasks,
        "not_done": [
            f"{method}-{seed}"
            for method in trained(options)
            for seed in options.seeds
            if not (folder_of(options, method, seed) / CELL_FILE).exists()
        ],
        "methods": {
            method: {
                "seeds": len(measured[method]),
                "cost": _cost(costs.get(method, [])),
                "measures": {name: entry(joined, method, name, patients, measured[method]) for name in joined[method]},
            }
            for method in joined
        },
    }


def joined_seeds(cells: Sequence[Measures]) -> Measures:
    """Each measure as the mean over seeds."""
    return {name: mean_of([cell[name] for cell in cells]) for name in cells[0]}


def entry(
    joined: Mapping[str, Measures], method: str, name: str, num_patients: int, cells: Sequence[Measures]
) -> dict[str, Any]:
    """One measure of one method: interval, value of each seed, differences to the two references."""
    everyone = np.ones((1, num_patients))
    found: dict[str, Any] = {
        "score": interval(joined[method][name], num_patients).to_dict(),
        "seeds": [float(cell[name](everyone)[0]) for cell in cells],
    }
    for base in ("clip", "pedclip", START, THUMBNAIL, parts_of(method)[0]):
        if base != method and name in joined.get(base, {}):
            apart = difference(joined[method][name], joined[base][name], num_patients)
            found[f"minus {base}"] = apart.to_dict()
    return found


def initial(options: argparse.Namespace, films: PreparedData, method: str, seed: int) -> Any:
    """The encoders before any training: with the profile's starting weights, or random throughout."""
    torch.manual_seed(seed)
    model = build_model(configuration(options, "clip", seed), films.train).eval()
    return model if method == START else model.untrained(seed)


class Scorer:
    """All measures of a model on the test films of one set of triplets.

    Args:
        films: Of all cells.
        options: Names the cache.
    """

    def __init__(self, films: PreparedData, options: argparse.Namespace) -> None:
        self.triplets = films.triplets
        cache = Path(options.runs) / options.label / "films"
        size = films.train.images.shape[1]
        self.arrays = {
            split: films.train
            if split == "train"
            else to_arrays(films.triplets[split], cache / f"of-{split}", size=size)
            for split in SPLITS
        }
        self.cache = cache / "features"
        self.split = options.split
        self.rows = read_labels(films.triplets[self.split])
        self.owners = {split: np.asarray(arrays.patients) for split, arrays in self.arrays.items()}
        self.tasks = discover_findings(self.rows)
        self.patients = np.unique([row.patient for row in self.rows])
        self.probes = [task for task in discover_tasks(films.triplets) if task.kind in ("multi-label", "multi-class")]
        self.probe_tasks = [task.name for task in self.probes]
        texts = self.arrays[self.split].texts
        # (U,) first film with each text, and (N,) the text of each film.
        self.first, self.answer = np.unique(np.asarray(texts), return_index=True, return_inverse=True)[1:]

    def measure(self, model: Any) -> Measures:
        """Zero-shot, retrieval and probes of one model."""
        asked = self.arrays[self.split]
        found = embed(model, asked.images, asked.texts)
        speak = partial(embed_texts, model)
        regions = zero_shot_regions(found.image, self.rows, speak)
        findings = zero_shot_findings(found.image, self.rows, speak, self.tasks)
        similarity = cosines(unit_vectors(found.image, "image"), unit_vectors(found.text[self.first], "text").T)
        by_cosine = self.zero_shot(regions, findings) | self.recall(similarity)
        if not has_own_score(model):
            return by_cosine | self.probe(model)
        # The score that its authors use is the method's; what its cosine alone would give stands beside it.
        return self.own(model) | {f"{name}, cosine": one for name, one in by_cosine.items()} | self.probe(model)

    def own(self, model: ObjectiveModel) -> Measures:
        """Zero-shot and retrieval by the objective's own score of a pair."""
        asked = self.arrays[self.split]
        score = partial(pair_score_matrix, model, asked.images)
        texts = [asked.texts[row] for row in self.first]
        regions, findings = own_regions(score, self.rows), own_findings(score, self.rows, self.tasks)
        return self.zero_shot(regions, findings) | self.recall(score(texts))

    def zero_shot(self, regions: Result, findings: Sequence[Result]) -> Measures:
        """Region accuracy, and the mean AUC over findings."""
        found = {"region accuracy": of_result(regions, self.patients)}
        # Few films may hold no finding that can be scored.
        if findings:
            found["zero-shot AUC"] = mean_of([of_result(one, self.patients) for one in findings])
        return found

    def recall(self, similarity: Any) -> Measures:
        """Recall of (N, U) scores in both directions."""
        queries = ranked_queries(similarity, self.answer, [row.patient for row in self.rows])
        return {
            f"Recall@{k}, {direction}": of_queries(one, k, self.patients)
            for one in queries
            for direction, k in RECALLS
            if one.direction == direction and one.metric == "recall"
        }

    def probe(self, model: Any) -> Measures:
        """Mean AUC over linear probes of frozen features; nothing on validation films, which choose their penalties."""
        if self.split != "test":
            return {}
        inputs = {
            split: extract_features(model, arrays.images, cache=self.cache).inputs("both")
            for split, arrays in self.arrays.items()
        }
        return self.fitted(inputs)

    def fitted(self, inputs: Mapping[str, Any]) -> Measures:
        """Mean AUC over linear probes of features (N, C) by split."""
        found = run_probes(self.probes, {"probe": inputs}, self.owners, DownstreamSettings(num_resamples=100))
        scored = [of_result(one, self.patients) for one in found.values() if one.metric == "AUC"]
        return {"probe AUC": mean_of(scored)} if scored else {}

    def shortcut(self) -> Measures:
        """The same questions answered by a thumbnail and the labels of the training films."""
        learned = read_labels(self.triplets["train"])
        features = {split: shortcut_features(self.triplets[split]) for split in SPLITS}
        asked = features[self.split]
        regions = shortcut_regions(features["train"], learned, asked, self.rows)
        findings = shortcut_findings(features["train"], learned, asked, self.rows, self.tasks)
        return self.zero_shot(regions, findings) | (self.fitted(features) if self.split == "test" else {})


def time_steps(options: argparse.Namespace, *, num_steps: int = 12) -> dict[str, Any]:
    """Median seconds of a training step of each method, all in turn in one process."""
    films = open_films(options)
    steps = {method: step_of(configuration(options, method, 0), films.train) for method in trained(options)}
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
            lines.append(f"  {name:26}{entry_text(values['score']):>24}{apart}")
    return "\n".join([*lines, f"not done: {', '.join(report['not_done']) or 'nothing'}"])


def _cost(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if not cells:
        return {}
    return {
        "steps": cells[0]["steps"],
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
    parser.add_argument("--methods", type=lambda text: text.split(","), default=["clip", "pedclip"])
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
