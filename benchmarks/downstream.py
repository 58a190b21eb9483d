"""Downstream tasks of frozen encoders: all that the phantom or real data sources can answer, for several encoders.

    python -m benchmarks.downstream --data phantom --encoder phantom=pedclip-phantom-small --heads
    python -m benchmarks.downstream --data /folder/of/sources --encoder phantom=pedclip-phantom-small \
        --encoder real=runs/03_pretrain/real/checkpoint --json benchmarks/results/downstream_real.json

Beside the named encoders stand "random" (the architecture of the first with random weights, the mean over several
seeds) and "thumbnail" (the shortcut features). Labels are read off by logistic regression and ages by ridge
regression, fitted on fractions of the training patients, the penalty chosen on validation, scored on the test patients.
Masks and boxes take small heads on the patch tokens, for the named encoders and one random one.

A patient whom any of the encoders saw in training (or validation) is left out of the test films, and one whom it saw
in training out of the validation films, for all methods alike. Training films stay: an encoder pre-trained on these
data sources has seen the films that the probe is fitted on, with their labels as text; the others have not.

Intervals are 95 % over test patients; those of the difference to "random" draw the same patients for both.
"""

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.report import describe, write_report
from pedclip.data.loading import PHANTOM, load
from pedclip.evaluation.crop import read_truth
from pedclip.evaluation.downstream.learning_curves import difference_of_means, learning_curve, mean_over_subsamples
from pedclip.evaluation.downstream.regression import predict_mean
from pedclip.evaluation.downstream.run import MEAN, DownstreamSettings, head_settings, run_heads
from pedclip.evaluation.features import KINDS, Features, extract_features
from pedclip.evaluation.inputs import training_run, without_seen_patients
from pedclip.evaluation.metrics.interval import entry_text
from pedclip.evaluation.result import Result, Scoring
from pedclip.evaluation.tasks.discover import discover_tasks
from pedclip.evaluation.tasks.task import Labels, Task
from pedclip.evaluation.zero_shot.shortcut_baseline import shortcut_features
from pedclip.models.pedclip import WEIGHTS_FILE
from pedclip.objectives.trained import open_model
from pedclip.triplets.arrays import to_arrays
from pedclip.triplets.splits import SPLITS
from pedclip.weights import SHIPPED, shipped_folder

PHANTOM_SEED: Final = 0  # the films of notebook 05
RANDOM: Final = "random"
THUMBNAIL: Final = "thumbnail"
RESERVED: Final = (RANDOM, THUMBNAIL, MEAN)
BOX_CLASSES: Final = 4  # the most frequent ones of a source

Curve = dict[tuple[str, float], list[Result]]  # (method, fraction of the training patients) to subsamples and seeds
Extracted = Mapping[str, Mapping[str, Features]]  # by encoder and split


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    paths = dict(named_encoder(entry, RESERVED) for entry in options.encoder)
    if len(paths) < len(options.encoder):
        raise SystemExit("--encoder: two of them have one name")
    models = {name: open_model(path) for name, path in paths.items()}
    first = next(iter(models.values()))
    crops = {(model.preprocess.resize, model.preprocess.size) for model in models.values()}
    if options.heads and len(crops) > 1:
        raise SystemExit(f"--heads: the encoders must see films of one size and crop, got {sorted(crops)}")
    films = load_films(options.data, studies=options.studies, size=max(crops)[0])
    triplets, num_dropped = without_seen_patients(films, list(paths.values()))
    models |= {f"{RANDOM} {seed}": first.untrained(seed) for seed in range(options.random_seeds)}
    with_heads = [*paths, f"{RANDOM} 0"] if options.heads else []
    extracted, patients = extract(models, triplets, options.cache, with_tokens=with_heads)
    methods: dict[str, Labels] = {
        name: {split: part.inputs(options.features) for split, part in parts.items()}
        for name, parts in extracted.items()
    }
    methods[THUMBNAIL] = {split: shortcut_features(triplets[split]) for split in SPLITS}
    results = []
    for task in discover_tasks(triplets, max_box_classes=BOX_CLASSES):
        if task.kind not in ("masks", "boxes"):
            curve = probe_curve(task, methods, patients, fractions=options.shares, seeds=options.draws)
        elif options.heads:
            task = task.at_most(options.head_images)
            truth = read_truth(task, triplets, first.preprocess)
            encoders = {name: extracted[name] for name in with_heads}
            curve = head_curve(task, encoders, patients, truth, epochs=options.head_epochs)
        else:
            continue
        results.append(summarize(task, curve, patients))
        print(table(results[-1]), flush=True)
    if options.json:
        report = describe() | {
            "what": "probes and heads on frozen features; test films of patients that no encoder has seen",
            "sources": sorted(set(triplets["train"]["source"])),
            "options": _described(options),
            "encoders": {name: provenance(path) for name, path in paths.items()},
            "films": {split: _count(ids) for split, ids in patients.items()},
            "films_left_out_as_seen_in_pretraining": num_dropped,
            "tasks": results,
        }
        write_report(options.json, report)


def load_films(data: str, *, studies: int, size: int) -> Any:
    """Triplets, split as they say, else by a hash of the patient; the phantom has films of `size` pixels."""
    drawn: dict[str, Any] = {"studies": studies, "seed": PHANTOM_SEED, "size": size} if _is_drawn(data) else {}
    return load(data, **drawn)


def extract(
    models: Mapping[str, Any], triplets: Any, cache: Path, *, with_tokens: Sequence[str]
) -> tuple[Extracted, Labels]:
    """Features of all films by encoder and split, from the cache where it holds them; and the patients by split."""
    films = {
        (size, split): to_arrays(triplets[split], cache / f"{size}-{split}", size=size)
        for size in {model.preprocess.resize for model in models.values()}
        for split in SPLITS
    }
    extracted = {
        name: {
            split: extract_features(model, arrays.images, cache=cache / "features", with_tokens=name in with_tokens)
            for (size, split), arrays in films.items()
            if size == model.preprocess.resize
        }
        for name, model in models.items()
    }
    return extracted, {split: np.asarray(arrays.patients) for (_, split), arrays in films.items()}


def probe_curve(
    task: Task, methods: Mapping[str, Labels], patients: Labels, *, fractions: Sequence[float], seeds: int
) -> Curve:
    """The learning curve of every method; those with random weights are joined, and ages have their mean as well."""
    scoring = Scoring(task.name, MEAN)
    found = learning_curve(task, methods, patients, fractions=fractions, seeds=seeds, scoring=scoring)
    curve: Curve = {}
    for (method, fraction), results in found.items():
        curve.setdefault((_family(method), fraction), []).extend(results)
    if task.kind == "regression":
        curve[MEAN, 1.0] = [predict_mean(task.split(next(iter(methods.values())), patients), scoring=scoring)]
    return curve


def head_curve(task: Task, extracted: Extracted, patients: Labels, truth: Labels, *, epochs: int) -> Curve:
    """The head of every encoder, on all of the training patients of the task."""
    tokens: dict[str, Any] = {
        name: {split: part.tokens for split, part in parts.items()} for name, parts in extracted.items()
    }
    found = run_heads(task, tokens, patients, truth, DownstreamSettings(**head_settings("demo", epochs=epochs)))
    return {(_family(method), 1.0): [result] for (_, method), result in found.items()}


def summarize(task: Task, curve: Curve, patients: Labels) -> dict[str, Any]:
    """Plain values of one task.

    Each method has its score at each fraction, the mean over subsamples and seeds with the lowest and highest of them;
    at 1.0 also the difference to "random" and the value of each class, None where the test films cannot tell.
    """
    methods: dict[str, Any] = {}
    for (method, fraction), results in curve.items():
        values = [one.score.value for one in results]
        draws = len({one.seed for one in results})
        extremes = {"draws": draws, "lowest": min(values), "highest": max(values)}
        entry = methods.setdefault(method, {"shares": {}})
        entry["shares"][f"{fraction:g}"] = mean_over_subsamples(results).to_dict() | extremes
    for method, entry in methods.items():
        whole = curve[method, 1.0]
        if method != RANDOM:
            entry["minus_random"] = difference_of_means(whole, curve[RANDOM, 1.0]).to_dict()
        entry["classes"] = {one.name: _mean_class(whole, i) for i, one in enumerate(whole[0].classes)}
    result = curve[RANDOM, 1.0][0]
    return {
        "task": task.name,
        "kind": task.kind,
        "metric": result.metric,
        "unit": result.unit,
        "without_image": {"value": result.baseline, "what": result.baseline_name},
        "counts": {split: _count(patients[split][rows]) for split, rows in task.rows.items()},
        "test_positives": {one.name: one.num_positives for one in result.classes},
        "methods": methods,
    }


def table(result: Mapping[str, Any]) -> str:
    """Plain text: the task, then a line per method with its score at each fraction and its difference to "random"."""
    shares = list(result["methods"][RANDOM]["shares"])
    test, without = result["counts"]["test"], result["without_image"]
    unit = f" in {result['unit']}, lower is better" if result["unit"] else ""
    lines = [
        f"{result['task']}: {result['metric']}{unit}; {result['counts']['train']['films']} training films, "
        f"{test['films']} test films of {test['patients']} patients; {without['what']} {without['value']:.3f}",
        f"  {'share of the training patients':30}" + "".join(f"{title:>31}" for title in [*shares, "minus random"]),
    ]
    for method, entry in result["methods"].items():
        cells = [_shown(entry["shares"].get(share)) for share in shares]
        cells.append(_shown(entry.get("minus_random")))
        lines.append(f"  {method:30}" + "".join(f"{cell:>31}" for cell in cells))
    return "\n".join(lines)


def provenance(encoder: Path) -> dict[str, Any]:
    """What an encoder was trained on, in words and without any path."""
    run = json.loads((training_run(encoder) / "training.json").read_text(encoding="utf-8"))
    data = {"data": PHANTOM, "studies": run["studies"]} if run["data"] == PHANTOM else {"data": "packs"}
    digest = hashlib.sha256((encoder / WEIGHTS_FILE).read_bytes()).hexdigest()
    return data | {"epochs": run["training"]["epochs"], "weights_sha256": digest}


def _family(method: str) -> str:
    return RANDOM if method.startswith(f"{RANDOM} ") else method  # all seeds are reported as one


def _is_drawn(data: str) -> bool:
    return PHANTOM in (part.strip() for part in data.split(","))


def _mean_class(results: Sequence[Result], number: int) -> float | None:
    scores = [one.classes[number].score for one in results]
    values = [score.value for score in scores if score is not None]
    return float(np.mean(values)) if values else None


def _count(patients: NDArray[np.str_]) -> dict[str, int]:
    return {"films": len(patients), "patients": len(np.unique(patients))}


def _shown(entry: Mapping[str, float] | None) -> str:
    return entry_text(entry) if entry else ""


def _described(options: argparse.Namespace) -> dict[str, Any]:
    """The options that decide the result; without paths."""
    names = ["shares", "draws", "random_seeds", "features", "heads"]
    names += ["studies"] if _is_drawn(options.data) else []
    names += ["head_images", "head_epochs"] if options.heads else []
    return {name: getattr(options, name) for name in names}


def named_encoder(entry: str, reserved: Sequence[str]) -> tuple[str, Path]:
    """Name and folder of NAME=FOLDER; the folder may be a name of weights of the package.

    Args:
        entry: Of the command line.
        reserved: Names that a baseline has.
    """
    name, separator, folder = entry.partition("=")
    if not separator or not name or name in reserved or name.startswith(f"{RANDOM} "):
        raise SystemExit(f"--encoder {entry}: expected NAME=FOLDER, with a name other than {', '.join(reserved)}")
    path = shipped_folder(folder) if folder in SHIPPED else Path(folder)
    if not (path / WEIGHTS_FILE).is_file():
        raise SystemExit(f"--encoder {entry}: no {WEIGHTS_FILE} there; make one with notebooks/03_pretrain.ipynb")
    return name, path


def _shares(text: str) -> list[float]:
    shares = sorted({float(part) for part in text.split(",")})
    if not 0 < shares[0] or shares[-1] != 1:
        raise argparse.ArgumentTypeError(f"expected shares above 0, the largest of them 1, got {text}")
    return shares


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", required=True, help='"phantom", a folder of data sources, or several with commas between'
    )
    parser.add_argument("--encoder", action="append", required=True, help="NAME=FOLDER, or weights of the package")
    parser.add_argument("--studies", type=int, default=3000, help="of the phantom")
    parser.add_argument("--shares", type=_shares, default="0.01,0.1,1", help="of the training patients")
    parser.add_argument("--draws", type=int, default=3, help="of each share below 1")
    parser.add_argument("--random-seeds", type=int, default=3, help="untrained encoders that are averaged")
    parser.add_argument("--features", choices=tuple(KINDS), default="both", help="what a probe reads")
    parser.add_argument("--heads", action="store_true", help="masks and boxes as well")
    parser.add_argument("--head-images", type=int, default=600, help="training films of a head at most")
    parser.add_argument("--head-epochs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1, help="of torch; set OMP_NUM_THREADS for the rest")
    parser.add_argument("--cache", type=Path, default=Path("runs/benchmarks"), help="folder of films and features")
    parser.add_argument("--json", type=Path, help="file for the result")
    options = parser.parse_args(arguments)
    if min(options.studies, options.draws, options.random_seeds, options.head_images, options.head_epochs) < 1:
        parser.error("every number of studies, draws, seeds, images and epochs must be at least 1")
    return options


if __name__ == "__main__":
    main()
