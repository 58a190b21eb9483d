"""What can be learned from the phantom, and how many studies that takes: neither trivial nor hopeless.

    python -m benchmarks.phantom_learning --studies-few 400 --studies-many 8000 --size 96 --threads 1 \
        --json benchmarks/results/phantom_learning.json

A small network trained from random weights and logistic regression on 32×32 pixels learn region and findings (the
network bone age as well) from few and from many studies. Both are scored on the films of other patients, drawn with
another seed. A finding is scored among the films of the regions in which it can occur. "Subtle", "moderate" and
"marked" compare the positives of that third of the severity with all negatives. Where the training films of a setting
do not show a finding at all, the regression scores all films alike, an AUC of 0.5.
"""

import argparse
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.phantom_films import Films, draw, joined
from benchmarks.report import describe, write_report
from benchmarks.small_cnn import SmallCNN, num_parameters, predict, train
from pedclip.anatomy import REGIONS
from pedclip.data.phantom import FINDINGS
from pedclip.evaluation.downstream.probes import fit_probe
from pedclip.evaluation.metrics.classification import auc
from pedclip.evaluation.metrics.per_image import accuracy, mae
from pedclip.evaluation.tasks.patient_split import Part

SEVERITIES: Final = {"subtle": (0.0, 1 / 3), "moderate": (1 / 3, 2 / 3), "marked": (2 / 3, 1.01)}
THUMBNAIL: Final = 32  # pixels, height and width
MIN_POSITIVES: Final = 2  # test films; below, an interval says nothing
SETTINGS: Final = ("few", "many")

Prediction = dict[str, NDArray[Any]]  # "region" (N,), "findings" (N, F), "bone_age" (N,) months


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    begin = time.perf_counter()
    sets = {
        name: draw(options.cache, studies=studies, seed=options.seed, size=options.size)
        for name, studies in (("few", options.studies_few), ("many", options.studies_many))
    }
    test = joined(draw(options.cache, studies=options.studies_test, seed=options.seed + 1, size=options.size))
    seconds = {"drawing or reading": time.perf_counter() - begin}
    _say(f"{len(test)} test films; drawn or read in {seconds['drawing or reading']:.0f} s")
    predictions: dict[str, Prediction] = {}
    for name, epochs in (("few", options.epochs_few), ("many", options.epochs_many)):
        begin = time.perf_counter()
        predictions[f"CNN {name}"] = _by_network(train(sets[name]["train"], epochs=epochs, seed=options.seed), test)
        seconds[f"CNN {name}"] = time.perf_counter() - begin
        begin = time.perf_counter()
        predictions[f"LR {name}"] = _by_regression(sets[name], test)
        seconds[f"LR {name}"] = time.perf_counter() - begin
        _say(f"{name}: CNN {seconds[f'CNN {name}']:.0f} s, logistic regression {seconds[f'LR {name}']:.0f} s")
    report = describe() | {
        "what": f"phantom films {options.size}², patients of training and test apart",
        "studies": {name: getattr(options, f"studies_{name}") for name in (*SETTINGS, "test")},
        "train_films": {name: len(sets[name]["train"]) for name in SETTINGS},
        "test_films": len(test),
        "epochs": {name: getattr(options, f"epochs_{name}") for name in SETTINGS},
        "seed": options.seed,
        "network_parameters": num_parameters(SmallCNN()),
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        **score(predictions, sets["many"]["train"], test, seed=options.seed),
    }
    print(table(report))
    if options.json:
        write_report(options.json, report)


def score(predictions: dict[str, Prediction], train_films: Films, test: Films, *, seed: int) -> dict[str, Any]:
    """Every number of the report, with 95 % intervals over test patients.

    Args:
        predictions: Method to its predictions for the test films.
        train_films: Whose most frequent region and mean bone age are the trivial predictions.
        test: The films predicted.
        seed: Of the resampling.

    Returns:
        "region" (accuracy), "bone_age" (mean absolute error, months) and "findings" (AUC) by method.
    """
    majority = np.full(len(test), np.bincount(train_films.regions).argmax())
    guesses = {name: made["region"] for name, made in predictions.items()} | {"majority": majority}
    region = {
        name: accuracy.bootstrap(test.regions, made, test.patients, seed=seed).to_dict()
        for name, made in guesses.items()
    }
    known = ~np.isnan(test.bone_age)
    ages: dict[str, Any] = {}
    if known.sum() > 1 and not np.isnan(train_films.bone_age).all():
        months = {name: made["bone_age"] for name, made in predictions.items() if "bone_age" in made}
        months["mean"] = np.full(len(test), np.nanmean(train_films.bone_age))
        ages = {
            name: mae.bootstrap(test.bone_age[known], made[known], test.patients[known], seed=seed).to_dict()
            for name, made in months.items()
        }
    findings = {
        name: _score_finding(column, predictions, train_films, test, seed) for column, name in enumerate(FINDINGS)
    }
    return {"region": region, "bone_age": ages, "findings": findings}


def table(report: dict[str, Any]) -> str:
    """Plain text: finding, positives, LR few, LR many, CNN few, CNN many, CNN subtle; then region and bone age."""
    methods = ("LR few", "LR many", "CNN few", "CNN many")
    lines = [f"{'AUC':28}{'positives':>10}" + "".join(f"{method:>12}" for method in (*methods, "CNN subtle"))]
    for name, entry in report["findings"].items():
        cells = [_cell(entry["all"].get(method)) for method in methods]
        cells.append(_cell(entry.get("subtle", {}).get("CNN many")))
        lines.append(f"{name:28}{entry['num_positives']['all']:>10}" + "".join(f"{cell:>12}" for cell in cells))
    region, ages = report["region"], report["bone_age"]
    shown = [_cell(region.get(method)) for method in methods]
    lines.append(f"{'region, accuracy':28}{'':>10}" + "".join(f"{cell:>12}" for cell in shown))
    lines.append(f"  most frequent region {region['majority']['value']:.3f}")
    if ages:
        lines.append(
            f"bone age, mean absolute error in months: CNN few {_cell(ages['CNN few'], 1)}, "
            f"CNN many {_cell(ages['CNN many'], 1)}, mean {_cell(ages['mean'], 1)}"
        )
    return "\n".join([*lines, f"{report['test_films']} test films; intervals are in the JSON."])


def _score_finding(
    column: int, predictions: dict[str, Prediction], train_films: Films, test: Films, seed: int
) -> dict[str, Any]:
    """AUC over the films of the regions where the finding can occur, for all positives and by severity."""
    inside = test.occurs[:, column]
    is_positive = test.findings[:, column] == 1
    chosen = {"all": inside}
    if not np.isnan(test.severity[is_positive, column]).all():
        for name, (low, high) in SEVERITIES.items():
            is_band = (test.severity[:, column] >= low) & (test.severity[:, column] < high)
            chosen[name] = inside & (~is_positive | is_band)
    entry: dict[str, Any] = {
        "num_train_positives_many": int(train_films.findings[:, column].sum()),
        "num_positives": {name: int((rows & is_positive).sum()) for name, rows in chosen.items()},
        "num_negatives": int((inside & ~is_positive).sum()),
    }
    for name, rows in chosen.items():
        has_both = entry["num_positives"][name] >= MIN_POSITIVES and entry["num_negatives"] >= MIN_POSITIVES
        entry[name] = {
            method: auc.bootstrap(
                is_positive[rows], made["findings"][rows, column], test.patients[rows], seed=seed
            ).to_dict()
            for method, made in predictions.items()
            if has_both
        }
    return entry


def _by_network(model: SmallCNN, test: Films) -> Prediction:
    regions, findings, months = predict(model, test)
    return {"region": regions, "findings": findings, "bone_age": months}


def _by_regression(splits: dict[str, Films], test: Films) -> Prediction:
    """Regions from the pixels, findings from the pixels and the region, each finding where it can occur."""
    fitted, chosen = ((films, thumbnails(films.images)) for films in (splits["train"], splits["validation"]))
    pixels = thumbnails(test.images)
    by_region = [Part(small, films.regions, films.patients) for films, small in (fitted, chosen)]
    region = fit_probe(*by_region, kind="multi-class", num_classes=len(REGIONS))
    scores = np.zeros((len(test), len(FINDINGS)))
    for column in range(len(FINDINGS)):
        inside = test.occurs[:, column]
        one = [
            Part(_with_region(films, small), films.findings[:, [column]], films.patients).take(films.occurs[:, column])
            for films, small in (fitted, chosen)
        ]
        if not len(one[0]):
            continue  # no training film of these regions: all are scored alike
        scores[inside, column] = fit_probe(*one, kind="multi-label").scores(_with_region(test, pixels)[inside])[:, 0]
    return {"region": region.scores(pixels).argmax(axis=1), "findings": scores}


def _with_region(films: Films, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.hstack([pixels, np.eye(len(REGIONS), dtype=np.float32)[films.regions]])


def thumbnails(films: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, size, size) films -> (N, 1024) the films at 32×32 pixels, gray values in [0, 1]."""
    shrunk = [Image.fromarray(film).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX) for film in films]
    pixels = np.array([np.asarray(film).ravel() for film in shrunk], np.float32)
    return pixels.reshape(-1, THUMBNAIL**2) / np.float32(255)


def _cell(interval: dict[str, float] | None, digits: int = 2) -> str:
    return "–" if interval is None else f"{interval['value']:.{digits}f}"


def _say(line: str) -> None:
    print(line, flush=True)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies-few", type=int, default=400, help="studies drawn for the small training set")
    parser.add_argument("--studies-many", type=int, default=8000, help="studies drawn for the large training set")
    parser.add_argument("--studies-test", type=int, default=6000, help="studies drawn for the test set")
    parser.add_argument("--size", type=int, default=96, help="height and width of the films, pixels, at least 36")
    parser.add_argument("--epochs-few", type=int, default=60, help="passes of the network over the small training set")
    parser.add_argument("--epochs-many", type=int, default=15, help="passes of the network over the large training set")
    parser.add_argument("--seed", type=int, default=0, help="of films, weights, order and resampling")
    parser.add_argument("--threads", type=int, default=1, help="of torch; set OMP_NUM_THREADS as well for scikit-learn")
    parser.add_argument("--cache", type=Path, default=Path("runs/benchmarks"), help="folder that keeps the drawn films")
    parser.add_argument("--json", type=Path, help="file for the result")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
