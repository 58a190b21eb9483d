"""What vision-language pre-training adds to where it starts from: zero-shot results, probes and gates of several runs.

    python -m benchmarks.starting_points --data /folder/of/sources --encoder random=runs/03_pretrain/random/checkpoint \
        --encoder imagenet=runs/03_pretrain/imagenet/checkpoint --json benchmarks/results/starting_points_real.json

The encoders were pre-trained on the training part of these data (or on other films); all are scored on the test films
of patients that none of them has seen. Beside them stand the thumbnail (the shortcut: 65 numbers and the labels of the
training films), and for probes "ImageNet features" (EfficientNet-Lite0 at 224², frozen, no report read) and
"untrained" (the first encoder's architecture). Each score of a classification or an age stands with its differences to
the baselines, which draw the same patients for both: 95 % intervals, not adjusted for the number of tasks.
"""

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmarks.downstream import load_films, named_encoder, provenance
from benchmarks.report import describe, write_report
from pedclip.anatomy import REGIONS
from pedclip.evaluation.downstream.learning_curves import difference_of_means
from pedclip.evaluation.downstream.run import DownstreamSettings, Found, run_probes
from pedclip.evaluation.embeddings import Embeddings, embed, embed_texts
from pedclip.evaluation.features import extract_features
from pedclip.evaluation.inputs import without_seen_patients
from pedclip.evaluation.metrics.bootstrap import can_resample
from pedclip.evaluation.metrics.interval import entry_text
from pedclip.evaluation.metrics.per_image import accuracy
from pedclip.evaluation.result import Result
from pedclip.evaluation.tasks.discover import discover_tasks
from pedclip.evaluation.tasks.findings import discover_findings
from pedclip.evaluation.tasks.labels import Row, read_labels
from pedclip.evaluation.zero_shot.results import retrieval_entry
from pedclip.evaluation.zero_shot.scoring import retrieval, zero_shot_findings, zero_shot_regions
from pedclip.evaluation.zero_shot.shortcut_baseline import shortcut_features, shortcut_findings, shortcut_regions
from pedclip.models.imagenet import IMAGENET, ImageNetEncoder
from pedclip.models.starting_points import installed_package
from pedclip.objectives.trained import open_model
from pedclip.triplets.arrays import to_arrays
from pedclip.triplets.splits import SPLITS

SHORTCUT: Final = "shortcut"
THUMBNAIL: Final = "thumbnail"
FEATURES: Final = "ImageNet features"
UNTRAINED: Final = "untrained"


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    folders = dict(named_encoder(entry, (SHORTCUT, THUMBNAIL, FEATURES, UNTRAINED)) for entry in options.encoder)
    if len(folders) < len(options.encoder):
        raise SystemExit("--encoder: two of them have one name")
    models = {name: open_model(folder) for name, folder in folders.items()}
    sizes = {model.preprocess.resize for model in models.values()}
    if len(sizes) > 1:
        raise SystemExit(f"--encoder: all must see films of one size, got {sorted(sizes)}")
    (size,) = sizes
    films = load_films(options.data, studies=options.studies, size=size)
    triplets, num_dropped = without_seen_patients(films, list(folders.values()))
    rows = read_labels(triplets["test"])
    images = to_arrays(triplets["test"], options.cache / f"{size}-test", size=size).images
    points = {name: embed(model, images, triplets["test"]["text"]) for name, model in models.items()}
    report = describe() | {
        "what": "runs of several starting points on test films of patients that none of them has seen",
        "encoders": {name: provenance(folder) for name, folder in folders.items()},
        "films": {split: len(triplets[split]) for split in SPLITS},
        "patients": len({row.patient for row in rows}),
        "films_left_out_as_seen_in_pretraining": num_dropped,
        "zero_shot": compared(zero_shot(models, points, triplets), [SHORTCUT, *models]),
        "retrieval": recall(points, triplets["test"]["text"], rows),
        "gate": {name: gate(points[name], models[name].config.regions, rows) for name in models},
    }
    print(table(report["zero_shot"]), flush=True)
    if not options.no_probes:
        report["probes"] = compared(probes(models, triplets, options.cache), [THUMBNAIL, FEATURES, UNTRAINED, *models])
        print(table(report["probes"]), flush=True)
    if options.json:
        write_report(options.json, report)


def zero_shot(models: Mapping[str, Any], points: Mapping[str, Embeddings], triplets: Any) -> Found:
    """Region and findings by prompts, and by the thumbnail with the labels of the training films."""
    rows, fitted = read_labels(triplets["test"]), read_labels(triplets["train"])
    tasks = discover_findings(rows)
    results: list[Result] = []
    for name, model in models.items():
        speak = partial(embed_texts, model)
        results.append(zero_shot_regions(points[name].image, rows, speak, method=name))
        results += zero_shot_findings(points[name].image, rows, speak, tasks, method=name)
    seen, tested = (shortcut_features(triplets[split]) for split in ("train", "test"))
    results += [
        shortcut_regions(seen, fitted, tested, rows),
        *shortcut_findings(seen, fitted, tested, rows, tasks),
    ]
    return {(_title(one), one.method): one for one in results}


def probes(models: Mapping[str, Any], triplets: Any, cache: Path) -> Found:
    """Linear probes of all tasks on frozen features."""
    encoders: dict[str, Any] = dict(models) | {UNTRAINED: next(iter(models.values())).untrained(0)}
    if installed_package("image", IMAGENET).is_installed:
        encoders[FEATURES] = ImageNetEncoder().eval()
    methods: dict[str, Any] = {THUMBNAIL: {split: shortcut_features(triplets[split]) for split in SPLITS}}
    patients = {}
    for name, encoder in encoders.items():
        size, methods[name] = encoder.preprocess.resize, {}
        for split in SPLITS:
            films = to_arrays(triplets[split], cache / f"{size}-{split}", size=size)
            kind = "embedding" if isinstance(encoder, ImageNetEncoder) else "both"
            methods[name][split] = extract_features(encoder, films.images, cache=cache / "features").inputs(kind)
            patients[split] = np.asarray(films.patients)
    return run_probes(discover_tasks(triplets), methods, patients, DownstreamSettings())


def recall(points: Mapping[str, Embeddings], texts: Sequence[str], rows: Sequence[Row]) -> dict[str, Any]:
    """Recall@5 from film to sentence by encoder."""
    patients = [row.patient for row in rows]
    found = {name: retrieval(one.image, one.text, texts, patients, method=name) for name, one in points.items()}
    return {
        name: retrieval_entry(next(one for one in results if (one.task, one.settings["k"]) == ("image to text", 5)))
        for name, results in found.items()
    }


def gate(points: Embeddings, regions: Sequence[str], rows: Sequence[Row]) -> dict[str, Any]:
    """Share of the films whose largest gate weight is on the expert of their region: over all, and region by region."""
    chosen = np.array(regions)[points.gate.argmax(axis=1)]  # (N,)
    truth, patients = np.array([row.region for row in rows]), np.array([row.patient for row in rows])
    found: dict[str, Any] = {"all": accuracy.bootstrap(truth, chosen, patients).to_dict()}
    for region in REGIONS:
        shown = truth == region
        if can_resample(patients[shown]):
            found[region] = accuracy.bootstrap(truth[shown], chosen[shown], patients[shown]).to_dict()
        elif shown.any():  # a single patient has no interval
            value = float((truth == chosen)[shown].mean())
            found[region] = {"value": value, "low": None, "high": None, "num_items": int(shown.sum()), "num_groups": 1}
    return found


def compared(found: Found, bases: Sequence[str]) -> list[dict[str, Any]]:
    """Plain values: each task with the score of every method, and its differences to those of `bases`."""
    entries = []
    for task in dict.fromkeys(task for task, _ in found):
        results = {method: one for (name, method), one in found.items() if name == task}
        first = next(iter(results.values()))
        methods: dict[str, Any] = {method: {"score": one.score.to_dict()} for method, one in results.items()}
        for method, one in results.items():
            for base in bases:
                if base in results and base != method:
                    methods[method][f"minus {base}"] = difference_of_means([one], [results[base]]).to_dict()
        owners = first.require_predictions().patients
        counts = {"films": len(owners), "patients": len(np.unique(owners))}
        entries.append({"task": task, "metric": first.metric, "chance": first.baseline} | counts | {"methods": methods})
    return entries


def table(entries: Sequence[Mapping[str, Any]]) -> str:
    """Plain text: a line per task and method, its score and its differences."""
    lines = []
    for entry in entries:
        lines.append(f"{entry['task']}: {entry['metric']}; {entry['films']} films of {entry['patients']} patients")
        for method, values in entry["methods"].items():
            shown = "".join(f"  {name} {entry_text(value)}" for name, value in values.items() if name != "score")
            lines.append(f"  {method:18}{entry_text(values['score']):>24}{shown}")
    return "\n".join(lines)


def _title(result: Result) -> str:
    # One finding may be asked of several sources.
    return f"{result.task} ({result.source})" if result.source else result.task


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help='"phantom", a folder of data sources, or several with commas')
    parser.add_argument("--encoder", action="append", required=True, help="NAME=FOLDER, or weights of the package")
    parser.add_argument("--studies", type=int, default=2000, help="of the phantom")
    parser.add_argument("--no-probes", action="store_true", help="zero-shot, retrieval and gates only")
    parser.add_argument("--threads", type=int, default=1, help="of torch; set OMP_NUM_THREADS for the rest")
    parser.add_argument("--cache", type=Path, default=Path("runs/benchmarks"), help="folder of films and features")
    parser.add_argument("--json", type=Path, help="file for the result")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
