"""Logistic regression on fixed features, with penalty and kind of features chosen on validation patients."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pedclip.evaluation.logistic import fit_path
from pedclip.evaluation.metrics import accuracy, auc
from pedclip.evaluation.probe import FALLBACK_PENALTY
from pedclip.evaluation.shortcut import INVERSE_PENALTIES

Metric = Literal["auc", "accuracy"]
METRICS: Final[dict[str, Callable[[Any, Any], float]]] = {"auc": auc, "accuracy": accuracy}
THUMBNAIL: Final = 32  # pixels per side


@dataclass(frozen=True, eq=False)
class Sides:
    """The features of one kind.

    Attributes:
        train: (N, K).
        validation: (M, K).
        test: (L, K).
    """

    train: NDArray[Any]
    validation: NDArray[Any]
    test: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Probe:
    """What the chosen regression says of the test films.

    Attributes:
        output: (L,) log-odds of label 1 for "auc", predicted labels for "accuracy".
        features: Kind of features chosen.
        inverse_penalty: Chosen; 0 where nothing could be fitted.
        validation: Metric on the validation films; None where they have one class only.
    """

    output: NDArray[Any]
    features: str
    inverse_penalty: float
    validation: float | None


def fit_probe(
    kinds: Mapping[str, Sides], train_labels: NDArray[np.int64], validation_labels: NDArray[np.int64], *, metric: Metric
) -> Probe:
    """The best logistic regression on standardized features.

    Training labels of one class teach nothing: all outputs are then that class, or 0 for "auc" (chance). Where the
    validation films cannot rank the candidates, the first kind and a fixed penalty are taken.

    Args:
        kinds: Name to features; rows as the labels.
        train_labels: (N,) 0 and 1 for "auc", any integers for "accuracy".
        validation_labels: (M,).
        metric: What is compared on the validation films.

    Returns:
        The output of the chosen regression for the test films.
    """
    first = next(iter(kinds))
    if len(np.unique(train_labels)) < 2:
        constant = 0 if metric == "auc" or not len(train_labels) else int(train_labels[0])
        return Probe(np.full(len(kinds[first].test), constant), first, 0.0, None)
    can_rank = len(np.unique(validation_labels)) > 1
    penalties = INVERSE_PENALTIES if can_rank else (FALLBACK_PENALTY,)
    best: Probe | None = None
    for kind in kinds if can_rank else [first]:
        for probe in _path(kind, kinds[kind], train_labels, validation_labels, penalties, metric):
            if best is None or (probe.validation or 0.0) > (best.validation or 0.0):
                best = probe
    assert best is not None  # there is at least one penalty
    return best


def thumbnails(films: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, side, side) films -> (N, 1024) the films at 32×32 pixels, gray values in [0, 1]."""
    shrunk = [Image.fromarray(film).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX) for film in films]
    pixels = np.array([np.asarray(film).ravel() for film in shrunk], np.float32)
    return pixels.reshape(-1, THUMBNAIL**2) / np.float32(255)


def _path(
    kind: str,
    sides: Sides,
    train_labels: NDArray[np.int64],
    validation_labels: NDArray[np.int64],
    penalties: tuple[float, ...],
    metric: Metric,
) -> list[Probe]:
    """One regression per penalty, from strong to weak."""
    names, classes = np.unique(train_labels, return_inverse=True)
    if metric == "auc":
        path = fit_path(sides.train, train_labels[:, None], penalties, kind="multi-label")
    else:
        path = fit_path(sides.train, classes, penalties, kind="multi-class", num_classes=len(names))
    probes = []
    for penalty, linear in zip(penalties, path, strict=True):
        validation, test = (
            _say(linear(part), names, metric) if len(part) else np.zeros(0) for part in (sides.validation, sides.test)
        )
        ranks = len(np.unique(validation_labels)) > 1
        score = METRICS[metric](validation_labels, validation) if ranks else None
        probes.append(Probe(test, kind, penalty, score))
    return probes


def _say(scores: NDArray[np.float64], names: NDArray[np.int64], metric: Metric) -> NDArray[Any]:
    """Log-odds of label 1, or the predicted labels."""
    return scores[:, 0] if metric == "auc" else names[scores.argmax(axis=1)]
