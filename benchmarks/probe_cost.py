"""Time of the linear probe against scikit-learn on the same features, at the same value of the objective.

    OMP_NUM_THREADS=1 python -m benchmarks.probe_cost --json benchmarks/results/probe_cost_cpu.json

Both fit the whole path of penalties. The features are correlated as those of an encoder are: the spread of their
principal axes falls exponentially. scikit-learn is run at its own tolerance and at one that converges. Seconds are
those of the processor, on one thread, so that other work on the machine does not count.
"""

import argparse
import time
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from benchmarks.report import describe, write_report
from pedclip.evaluation.downstream.logistic import INVERSE_PENALTIES, Linear, fit_path
from pedclip.evaluation.tasks.task import LabelKind

SKLEARN_TOLERANCES: Final = (1e-4, 1e-5)  # its default, and one that converges


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--labels", type=int, default=14)
    parser.add_argument("--classes", type=int, default=23)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    features = make_features(options.images, options.width)
    rng = np.random.default_rng(1)
    logits = features @ rng.normal(size=(options.width, options.labels)) * 0.4
    labels = (logits + rng.logistic(size=logits.shape) * 2 > 6).astype(float)
    scores = features @ rng.normal(size=(options.width, options.classes)) * 0.3
    classes = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    report: dict[str, Any] = describe() | {
        "what": f"path of {len(INVERSE_PENALTIES)} penalties, {options.images} images, {options.width} features",
        f"{options.labels} labels": measure(features, labels, "multi-label", 0),
        f"{options.classes} classes": measure(features, classes, "multi-class", options.classes),
    }
    for name, entry in report.items():
        if isinstance(entry, dict):
            for method, cost in entry.items():
                print(f"{name}: {method}: {cost['seconds']:.2f} s, {cost['above_best']:.1e} above the best objective")
    if options.json:
        write_report(options.json, report)


def make_features(images: int, width: int) -> NDArray[np.float64]:
    """(N, C) standardized, with the correlations of an encoder's features."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(width, width)) * np.exp(-6 * np.arange(width) / width)[:, None]
    features = rng.normal(size=(images, width)) @ mixing + 0.05 * rng.normal(size=(images, width))
    standard: NDArray[np.float64] = (features - features.mean(axis=0)) / features.std(axis=0)
    return standard


def measure(
    features: NDArray[Any], targets: NDArray[Any], kind: LabelKind, num_classes: int
) -> dict[str, dict[str, float]]:
    """Seconds of each solver, and how far it ends above the lowest objective, worst over the penalties."""
    paths: dict[str, tuple[float, list[Linear]]] = {}
    fit_path(features[:100], targets[:100], INVERSE_PENALTIES[:1], kind=kind, num_classes=num_classes)  # warm-up
    begin = time.process_time()
    ours = fit_path(features, targets, INVERSE_PENALTIES, kind=kind, num_classes=num_classes)
    paths["pedclip"] = time.process_time() - begin, ours
    for tolerance in SKLEARN_TOLERANCES:
        begin = time.process_time()
        theirs = by_sklearn(features, targets if kind == "multi-label" else targets[:, None], tolerance)
        paths[f"scikit-learn, tol {tolerance:g}"] = time.process_time() - begin, theirs
    values = {
        name: np.array(
            [objective(features, targets, one, c, kind) for one, c in zip(path, INVERSE_PENALTIES, strict=True)]
        )
        for name, (_, path) in paths.items()
    }
    lowest = np.min(list(values.values()), axis=0)
    return {
        name: {"seconds": round(seconds, 3), "above_best": float((values[name] / lowest - 1).max())}
        for name, (seconds, _) in paths.items()
    }


def by_sklearn(features: NDArray[Any], columns: NDArray[Any], tolerance: float) -> list[Linear]:
    """The path of scikit-learn, each penalty started from the one before, column by column."""
    fitted: list[list[tuple[NDArray[Any], NDArray[Any]]]] = [[] for _ in INVERSE_PENALTIES]
    for column in columns.T:
        model = LogisticRegression(warm_start=True, max_iter=5000, tol=tolerance)
        for number, penalty in enumerate(INVERSE_PENALTIES):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.set_params(C=penalty).fit(features, column)
            fitted[number].append((model.coef_.T.copy(), model.intercept_.copy()))
    return [
        Linear(np.concatenate([weight for weight, _ in one], axis=1), np.concatenate([bias for _, bias in one]))
        for one in fitted
    ]


def objective(features: NDArray[Any], targets: NDArray[Any], linear: Linear, penalty: float, kind: LabelKind) -> float:
    """Sum of losses + |w|² / (2 C)."""
    logits = linear(features)
    if kind == "multi-label":
        loss = np.logaddexp(0, logits).sum() - (logits * targets).sum()
    else:
        loss = (np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(targets)), targets]).sum()
    return float(loss + (linear.weight**2).sum() / (2 * penalty))


if __name__ == "__main__":
    main()
