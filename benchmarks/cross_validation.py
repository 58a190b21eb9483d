"""Frozen features on small data sources by repeated cross-validation: what pre-training adds to ImageNet features.

    python -m benchmarks.cross_validation --data /folder/of/sources --encoder drawn=pedclip-phantom-small \
        --json benchmarks/results/cross_validation.json

A small test part misleads: here every film is predicted by probes that were fitted on other patients, in `--folds`
parts and `--repeats` divisions, and what is predicted is averaged over divisions: for a label the film's rank within
its part (the probes of two parts have scales of their own), for classes their probabilities. The penalty is chosen on
a part of the fitting patients. Beside the named encoders stand "imagenet" (EfficientNet-Lite0 at 224², frozen, if its
package is installed), "thumbnail" (the shortcut features) and "random" (the first encoder's architecture).

Only encoders that have seen none of these films belong here: one pre-trained on them has read the labels as text.
Intervals are 95 % over patients; those of a difference draw the same patients for both.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import rankdata
from sklearn.model_selection import StratifiedGroupKFold

from benchmarks.downstream import named_encoder
from benchmarks.report import describe, write_report
from pedclip.data.loading import load
from pedclip.evaluation.downstream.probes import fit_probe
from pedclip.evaluation.features import extract_features
from pedclip.evaluation.inputs import without_seen_patients
from pedclip.evaluation.metrics.bootstrap import Metric
from pedclip.evaluation.metrics.classification import auc
from pedclip.evaluation.metrics.comparison import compare
from pedclip.evaluation.metrics.interval import entry_text
from pedclip.evaluation.metrics.per_image import accuracy
from pedclip.evaluation.tasks.discover import discover_tasks
from pedclip.evaluation.tasks.patient_split import Part
from pedclip.evaluation.tasks.task import LabelKind, Task
from pedclip.evaluation.zero_shot.shortcut_baseline import shortcut_features
from pedclip.models.imagenet import IMAGENET, ImageNetEncoder
from pedclip.models.starting_points import installed_package
from pedclip.objectives.trained import open_model
from pedclip.triplets.arrays import to_arrays
from pedclip.triplets.splits import SPLITS

BASELINES: Final = ("thumbnail", "imagenet", "random")
MIN_POSITIVES: Final = 10  # films of a label, either way


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    folders = dict(named_encoder(entry, BASELINES) for entry in options.encoder)
    models: dict[str, Any] = {name: open_model(folder) for name, folder in folders.items()}
    models["random"] = next(iter(models.values())).untrained(0)
    if installed_package("image", IMAGENET).is_installed:
        models["imagenet"] = ImageNetEncoder().eval()
    triplets, num_dropped = without_seen_patients(load(options.data), list(folders.values()))
    methods = _features(models, triplets, options.cache)
    patients = np.concatenate([np.asarray(triplets[split]["patient_id"]) for split in SPLITS])
    results = []
    for task in discover_tasks(triplets):
        if task.kind in ("multi-label", "multi-class"):
            for question in questions(task, triplets):
                results.append(measure(question, methods, patients, folds=options.folds, repeats=options.repeats))
                print(table(results[-1]), flush=True)
    if options.json:
        report = describe() | {
            "what": f"{options.repeats} x {options.folds}-fold cross-validation by patient, probes on frozen features",
            "films_left_out_as_seen_in_pretraining": num_dropped,
            "tasks": results,
        }
        write_report(options.json, report)


def questions(task: Task, triplets: Any) -> list[dict[str, Any]]:
    """The questions of a task: its classes together, or each label that enough films have and lack.

    Args:
        task: Of films of all splits.
        triplets: Whose lengths place the rows of a split among those of all.

    Returns:
        ``name``, ``kind``, ``rows`` (N,) among all films, and ``truth``: (N, 1) 0 or 1, or (N,) class numbers.
    """
    starts = dict(zip(SPLITS, np.cumsum([0, *(len(triplets[split]) for split in SPLITS)]), strict=False))
    rows = np.concatenate([starts[split] + task.rows[split] for split in SPLITS])
    labels = np.concatenate([task.labels[split] for split in SPLITS])
    if task.kind == "multi-class":
        present, truth = np.unique(labels, return_inverse=True)
        return [{"name": task.name, "kind": task.kind, "rows": rows, "truth": truth, "classes": len(present)}]
    found = []
    for column, name in enumerate(task.classes):
        known = ~np.isnan(labels[:, column])
        truth = labels[known, column]
        if min((truth == 1).sum(), (truth == 0).sum()) >= MIN_POSITIVES:
            title = task.name if len(task.classes) == 1 else f"{task.name}: {name}"
            entry = {"name": title, "kind": task.kind, "rows": rows[known], "truth": truth[:, None], "classes": 1}
            found.append(entry)
    return found


def measure(
    question: Mapping[str, Any],
    methods: Mapping[str, NDArray[Any]],
    patients: NDArray[np.str_],
    *,
    folds: int,
    repeats: int,
) -> dict[str, Any]:
    """Score of every method on one question, and its differences to the baselines, as plain values."""
    rows, truth, kind = question["rows"], question["truth"], question["kind"]
    owners = patients[rows]
    predicted = {
        name: out_of_fold(features[rows], truth, owners, kind=kind, folds=folds, repeats=repeats)
        for name, features in methods.items()
    }
    metric: Metric = auc if kind == "multi-label" else accuracy
    target = truth[:, 0] if kind == "multi-label" else truth
    answers = {
        name: scores[:, 0] if kind == "multi-label" else scores.argmax(axis=1) for name, scores in predicted.items()
    }
    entry: dict[str, Any] = {
        "task": question["name"],
        "metric": "AUC" if kind == "multi-label" else "accuracy",
        "films": len(rows),
        "patients": len(np.unique(owners)),
        "positives": int(truth.sum()) if kind == "multi-label" else None,
        "methods": {name: {"score": metric.bootstrap(target, one, owners).to_dict()} for name, one in answers.items()},
    }
    for name, method in entry["methods"].items():
        for base in BASELINES:
            if base in answers and base != name:
                pair = compare(metric, target, answers[name], answers[base], owners)
                method[f"minus_{base}"] = pair.difference.to_dict()
    return entry


def out_of_fold(
    features: NDArray[Any],
    truth: NDArray[Any],
    patients: NDArray[np.str_],
    *,
    kind: LabelKind,
    folds: int,
    repeats: int,
) -> NDArray[np.float64]:
    """Scores of films by probes that were fitted on other patients, averaged over divisions.

    Args:
        features: (N, C).
        truth: (N, 1) 0 or 1, or (N,) class numbers.
        patients: (N,).
        kind: "multi-label" or "multi-class".
        folds: Parts of a division, at least 3: one is predicted, one chooses the penalty, the rest is fitted on.
        repeats: Divisions.

    Returns:
        (N, 1) mean rank within the part, in [0, 1], or (N, L) mean probabilities of the classes.
    """
    strata = truth[:, 0] if kind == "multi-label" else truth
    num_classes = 1 if kind == "multi-label" else int(truth.max()) + 1
    total = np.zeros((len(truth), num_classes))
    for seed in range(repeats):
        division = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        number = np.zeros(len(truth), int)  # (N,) part of each film
        for part, (_, held_out) in enumerate(division.split(features, strata, patients)):
            number[held_out] = part
        for part in range(folds):
            chosen_on = number == (part + 1) % folds
            held_out = number == part
            fitted = Part(features, truth, patients).take(~chosen_on & ~held_out)
            validation = Part(features, truth, patients).take(chosen_on)
            probe = fit_probe(fitted, validation, kind=kind, num_classes=num_classes if kind == "multi-class" else 0)
            scores = probe.scores(features[held_out])  # (M, L)
            total[held_out] += (
                rankdata(scores, axis=0) / len(scores) if kind == "multi-label" else softmax(scores, axis=1)
            )
    return total / repeats


def table(result: Mapping[str, Any]) -> str:
    """Plain text: the task, then a line per method with its score and differences."""
    positives = f", {result['positives']} positive" if result["positives"] is not None else ""
    lines = [
        f"{result['task']}: {result['metric']}; {result['films']} films of {result['patients']} patients{positives}",
        f"  {'':12}{'':>24}" + "".join(f"{f'minus {base}':>28}" for base in BASELINES),
    ]
    for name, entry in result["methods"].items():
        cells = [entry.get(f"minus_{base}") for base in BASELINES]
        shown = "".join(f"{entry_text(cell) if cell else '':>28}" for cell in cells)
        lines.append(f"  {name:12}{entry_text(entry['score']):>24}{shown}")
    return "\n".join(lines)


def _features(models: Mapping[str, Any], triplets: Any, cache: Path) -> dict[str, NDArray[Any]]:
    """(N, C) features of the films of all splits, by method."""
    features: dict[str, NDArray[Any]] = {
        "thumbnail": np.concatenate([shortcut_features(triplets[split]) for split in SPLITS])
    }
    for name, model in models.items():
        size = model.preprocess.resize
        parts = []
        for split in SPLITS:
            films = to_arrays(triplets[split], cache / f"{size}-{split}", size=size).images
            kind = "embedding" if isinstance(model, ImageNetEncoder) else "both"
            parts.append(extract_features(model, films, cache=cache / "features").inputs(kind))
        features[name] = np.concatenate(parts)
    return features


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a folder of data sources, or several with commas between")
    parser.add_argument("--encoder", action="append", required=True, help="NAME=FOLDER, or weights of the package")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of torch; set OMP_NUM_THREADS for the rest")
    parser.add_argument("--cache", type=Path, default=Path("runs/benchmarks"), help="folder of films and features")
    parser.add_argument("--json", type=Path, help="file for the result")
    options = parser.parse_args(arguments)
    if options.folds < 3 or options.repeats < 1:
        parser.error("at least 3 folds and 1 repeat")
    return options


if __name__ == "__main__":
    main()
