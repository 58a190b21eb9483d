"""Is pre-training on the phantom of use on real films? Frozen encoders, one linear probe for all of them.

    python -m benchmarks.phantom_transfer --data /folder/of/packs --encoder phantom=runs/03_pretrain/demo/checkpoint \
        --encoder real=runs/03_pretrain/real/checkpoint --json benchmarks/results/phantom_transfer.json

Beside the named encoders stand "random" (the architecture of the first one with random weights, the mean over several
seeds), "thumbnail" (the 65 shortcut features of `pedclip.evaluation.shortcut`) and "pixels" (the film at 32×32). Each
gives features of the same films to the same logistic regression: fitted on the training patients, penalty and kind of
features chosen on the validation patients, read once on the test patients. Kinds of features of an encoder: "embedding"
(D), and "dense" (2C: the mean of the patch rows beside the [IMG] row, both as they enter the last block).

A patient whom any of the encoders saw in training (or validation) is left out of the test films, and one whom it saw in
training out of the validation films, for all encoders alike. An encoder pre-trained on these packs has seen the films
that the probe is fitted on, with their labels as text; the others have not.

Intervals are 95 % over patients. The difference to "random" is resampled in pairs: same patients, both encoders.
"""

import argparse
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.probe import METRICS, Sides, fit_probe, thumbnails
from benchmarks.real_tasks import Question, find_questions
from benchmarks.report import describe, write_report
from pedclip.data import load
from pedclip.data.transforms import to_pixels
from pedclip.evaluation.inputs import drop_seen_patients
from pedclip.evaluation.intervals import Floats, Interval, bootstrap_interval
from pedclip.evaluation.rows import Row, read_rows
from pedclip.evaluation.shortcut import shortcut_features
from pedclip.models.pedclip import WEIGHTS_FILE, PedCLIP
from pedclip.training.prepare import to_arrays
from pedclip.training.pretrain import PATIENTS_FILE

SPLITS: Final = ("train", "validation", "test")
BASELINE: Final = "random"
RESERVED: Final = (BASELINE, "thumbnail", "pixels")
BATCH: Final = 64

Kinds = Mapping[str, Sides]


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    paths = dict(_named(entry) for entry in options.encoder)
    models = {name: PedCLIP.from_pretrained(path) for name, path in paths.items()}
    triplets, num_dropped = load_unseen(options.data, list(paths.values()))
    films: dict[int, dict[str, NDArray[np.uint8]]] = {}
    for model in models.values():
        side = model.preprocess.resize
        films[side] = {
            split: to_arrays(triplets[split], options.cache / f"{side}-{split}", side=side).images for split in SPLITS
        }
    first = next(iter(models.values()))
    untrained = [first.untrained(seed) for seed in range(options.random_seeds)]
    encoders = {name: [_kinds(model, films)] for name, model in models.items()}
    encoders |= {BASELINE: [_kinds(model, films) for model in untrained], "pixels": [_pixels(films)]}
    encoders["thumbnail"] = [{"thumbnail": Sides(*(shortcut_features(triplets[split]) for split in SPLITS))}]
    rows = {split: read_rows(triplets[split]) for split in SPLITS}
    results = [measure(question, encoders, rows["test"]) for question in find_questions(rows)]
    report = describe() | {
        "what": "logistic regression on frozen features, real films of held-out patients",
        "encoders": {name: _provenance(path) for name, path in paths.items()},
        "random_seeds": options.random_seeds,
        "films": {split: len(triplets[split]) for split in SPLITS},
        "films_left_out_as_seen_in_pretraining": num_dropped,
        "tasks": results,
    }
    print(table(results))
    if options.json:
        write_report(options.json, report)


def load_unseen(data: str, checkpoints: list[Path]) -> tuple[Any, dict[str, int]]:
    """Triplets of the packs without the patients that an encoder knows.

    Args:
        data: As ``pedclip.data.load`` takes it; a given split is taken, else a hash of the patient.
        checkpoints: Folders of the encoders, each in the folder of its training run.

    Returns:
        The splits, and the number of films left out of each.

    Raises:
        FileNotFoundError: No such data, or a training run without its list of patients.
    """
    triplets = load(data)
    if empty := [split for split in SPLITS if not len(triplets[split])]:
        raise ValueError(f"the packs have no {' and no '.join(empty)} films; a probe needs all three splits")
    dropped = {"validation": 0, "test": 0}
    for checkpoint in checkpoints:
        for split in dropped:
            triplets[split], count = drop_seen_patients(
                triplets[split], _of_run(checkpoint, PATIENTS_FILE), split=split
            )
            dropped[split] += count
    return triplets, dropped


def encode(model: PedCLIP, films: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Frozen features of films.

    Args:
        model: In evaluation mode.
        films: (N, resize, resize).

    Returns:
        "embedding" (N, D) and "dense" (N, 2C).
    """
    parts: dict[str, list[NDArray[np.float32]]] = {"embedding": [], "dense": []}
    with torch.inference_mode():
        for start in range(0, len(films), BATCH):
            stored = torch.from_numpy(np.array(films[start : start + BATCH]))
            features = model.encode_image(to_pixels(stored, model.preprocess))
            dense = torch.cat([features.dense[:, 1:].mean(dim=1), features.dense[:, 0]], dim=1)
            parts["embedding"].append(features.embedding.numpy())
            parts["dense"].append(dense.numpy())
    return {kind: np.concatenate(batches) for kind, batches in parts.items()}


def measure(question: Question, encoders: Mapping[str, list[Kinds]], test_rows: list[Row]) -> dict[str, Any]:
    """One task for all encoders.

    Args:
        question: Which films take part, and their labels.
        encoders: Name to the features of each of its seeds; "random" among them.
        test_rows: Of all test films.

    Returns:
        Plain values: the metric with its interval, and the difference to "random" with its own.
    """
    rows, labels = question.rows, question.labels
    patients = np.array([test_rows[row].patient for row in rows["test"]])
    fitted = {
        name: [
            fit_probe(
                {kind: _select(sides, rows) for kind, sides in kinds.items()},
                labels["train"],
                labels["validation"],
                metric=question.metric,
            )
            for kinds in seeds
        ]
        for name, seeds in encoders.items()
    }
    outputs = {name: [probe.output for probe in probes] for name, probes in fitted.items()}
    entries: dict[str, Any] = {}
    for name, made in outputs.items():
        chosen = [{"features": probe.features, "C": probe.inverse_penalty} for probe in fitted[name]]
        entries[name] = {"score": interval(question, made, patients).to_dict(), "chosen": chosen}
        if name != BASELINE:
            against = interval(question, made, patients, baseline=outputs[BASELINE])
            entries[name]["minus_random"] = against.to_dict()
    counts = {split: len(rows[split]) for split in SPLITS}
    names, sizes = np.unique(labels["test"], return_counts=True)
    classes = {str(name): int(size) for name, size in zip(names, sizes, strict=True)}
    chance = 0.5 if question.metric == "auc" else max(classes.values()) / counts["test"]
    described = {"task": question.name, "metric": question.metric, "films": counts, "test_classes": classes}
    return described | {"test_patients": len(set(patients)), "chance": chance, "encoders": entries}


def interval(
    question: Question,
    made: list[NDArray[Any]],
    patients: NDArray[np.str_],
    *,
    baseline: list[NDArray[Any]] | None = None,
) -> Interval:
    """The metric, the mean over seeds, minus that of the baseline where one is given."""
    truth, metric = question.labels["test"], METRICS[question.metric]

    def value(index: NDArray[np.intp]) -> float:
        if len(np.unique(truth[index])) < 2:
            return float("nan")  # drawn again: the AUC needs both classes
        own = float(np.mean([metric(truth[index], output[index]) for output in made]))
        return own - float(np.mean([metric(truth[index], output[index]) for output in baseline or []] or [0.0]))

    def resampled(counts: Floats) -> Floats:
        items = np.arange(len(truth))
        return np.array([value(np.repeat(items, row.astype(np.intp))) for row in counts])

    whole = value(np.arange(len(truth)))
    return bootstrap_interval(whole, resampled, num_items=len(truth), groups=patients, num_resamples=1000, seed=0)


def table(results: list[dict[str, Any]]) -> str:
    """Plain text: a block per task, a line per encoder with its score and its difference to "random"."""
    lines = []
    for result in results:
        test = f"{result['films']['test']} test films, {result['test_patients']} patients"
        lines.append(f"{result['task']}: {result['metric']}, {test}, chance {result['chance']:.3f}")
        for name, entry in result["encoders"].items():
            minus = _shown(entry["minus_random"], sign="+") if "minus_random" in entry else ""
            kinds = ", ".join(sorted({chosen["features"] for chosen in entry["chosen"]}))
            lines.append(f"  {name:12}{_shown(entry['score']):26}{minus:30}{kinds}")
    return "\n".join([*lines, "score (95 % interval), difference to random (95 % interval), features chosen"])


def _kinds(model: PedCLIP, films: dict[int, dict[str, NDArray[np.uint8]]]) -> Kinds:
    parts = [encode(model, films[model.preprocess.resize][split]) for split in SPLITS]
    return {kind: Sides(*(part[kind] for part in parts)) for kind in parts[0]}


def _pixels(films: dict[int, dict[str, NDArray[np.uint8]]]) -> Kinds:
    side = max(films)
    return {"pixels": Sides(*(thumbnails(films[side][split]) for split in SPLITS))}


def _select(sides: Sides, rows: Mapping[str, NDArray[np.intp]]) -> Sides:
    return Sides(sides.train[rows["train"]], sides.validation[rows["validation"]], sides.test[rows["test"]])


def _of_run(checkpoint: Path, name: str) -> Path:
    """A file of the training run: beside the checkpoint, or inside it where the weights come with the package."""
    for folder in (checkpoint, checkpoint.parent):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"{checkpoint.parent / name} is missing: it says what the encoder has seen. "
        "Keep the checkpoint in the folder of its training run."
    )


def _provenance(checkpoint: Path) -> dict[str, Any]:
    """What an encoder was trained on, in words and without any path."""
    run = json.loads(_of_run(checkpoint, "training.json").read_text(encoding="utf-8"))
    is_phantom = run["data"] == "phantom"
    digest = hashlib.sha256((checkpoint / WEIGHTS_FILE).read_bytes()).hexdigest()[:16]
    data = {"data": "phantom", "studies": run["studies"]} if is_phantom else {"data": "packs"}
    return data | {"epochs": run["training"]["epochs"], "weights_sha256": digest}


def _shown(interval_: dict[str, float], sign: str = "") -> str:
    value, low, high = (f"{interval_[key]:{sign}.3f}" for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _named(entry: str) -> tuple[str, Path]:
    name, separator, path = entry.partition("=")
    if not separator or not name or name in RESERVED:
        raise SystemExit(f"--encoder {entry}: expected NAME=FOLDER, with a name other than {', '.join(RESERVED)}")
    if not (Path(path) / WEIGHTS_FILE).is_file():
        raise SystemExit(f"--encoder {entry}: no {WEIGHTS_FILE} there; make one with notebooks/03_pretrain.ipynb")
    return name, Path(path)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a folder of packs, or several folders separated by commas")
    parser.add_argument("--encoder", action="append", required=True, help="NAME=FOLDER of a checkpoint; repeatable")
    parser.add_argument("--random-seeds", type=int, default=3, help="untrained encoders that are averaged")
    parser.add_argument("--threads", type=int, default=1, help="of torch; set OMP_NUM_THREADS as well for scikit-learn")
    parser.add_argument("--cache", type=Path, default=Path("runs/benchmarks"), help="folder that keeps decoded films")
    parser.add_argument("--json", type=Path, help="file for the result")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
