"""Scores of a cell on disk: predictions as plain arrays, so that any two cells can be compared on the same patients."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from pedclip.artefacts import write_file, write_json
from pedclip.evaluation.metrics.bootstrap import Interval, Metric
from pedclip.evaluation.metrics.classification import macro_auc
from pedclip.evaluation.metrics.detection import Boxes, mean_average_precision
from pedclip.evaluation.metrics.per_image import accuracy, dice
from pedclip.evaluation.result import Predictions, Result
from pedclip.synthesis.experiment.alignment import RECALL_AT
from pedclip.synthesis.experiment.downstream import Scores

METRICS: Final[dict[str, Metric]] = {
    "AUC": macro_auc,
    "accuracy": accuracy,
    "Dice": dice,
    "mAP": mean_average_precision,
    f"Recall@{RECALL_AT}": accuracy,  # of whether a film found its text
}
DESCRIPTION: Final = "scores.json"
ARRAYS: Final = "predictions.npz"


def save_scores(folder: Path, scores: Scores) -> None:
    """Write the scores of one cell; the description comes last, and without it there are none."""
    entries: list[dict[str, Any]] = []
    arrays: dict[str, Any] = {}
    for (question, fraction), results in scores.items():
        for result in results:
            known, number = result.require_predictions(), len(entries)
            entries.append(
                {
                    "question": question,
                    "fraction": fraction,
                    "task": result.task,
                    "method": result.method,
                    "metric": result.metric,
                    "seed": result.seed,
                    "value": result.score.value,
                    "num_train": result.num_train,
                    "shape": list(np.shape(known.truth)) if result.metric == "Dice" else [],
                }
            )
            arrays[f"{number}-patients"] = np.asarray(known.patients, str)
            for name, values in (("truth", known.truth), ("output", known.output)):
                arrays |= {f"{number}-{name}{part}": one for part, one in _packed(result.metric, values).items()}
    write_file(folder / ARRAYS, lambda file: np.savez_compressed(file, **arrays))
    write_json(folder / DESCRIPTION, entries)


def load_scores(folder: Path) -> Scores:
    """The inverse of ``save_scores``; of each result what a comparison needs."""
    entries, scores = json.loads((folder / DESCRIPTION).read_text()), {}
    with np.load(folder / ARRAYS) as arrays:  # without pickles, as always
        for number, entry in enumerate(entries):
            both = [_unpacked(entry, arrays, f"{number}-{name}") for name in ("truth", "output")]
            known = Predictions(METRICS[entry["metric"]], *both, arrays[f"{number}-patients"])
            value = entry["value"]
            result = Result(
                task=entry["task"],
                method=entry["method"],
                metric=entry["metric"],
                score=Interval(value, float("nan"), float("nan"), len(known.patients), len(set(known.patients))),
                baseline=float("nan"),
                baseline_name="not stored",
                fraction=entry["fraction"],
                seed=entry["seed"],
                num_train=entry["num_train"],
                predictions=known,
            )
            scores.setdefault((entry["question"], entry["fraction"]), []).append(result)
    return scores


def _packed(metric: str, values: Any) -> dict[str, Any]:
    if metric == "Dice":
        return {"": np.packbits(np.asarray(values, bool))}
    if metric == "mAP":
        return _packed_boxes(values)
    return {"": np.asarray(values)}


def _packed_boxes(boxes: Sequence[Boxes]) -> dict[str, Any]:
    found = {
        "-counts": np.array([len(one.labels) for one in boxes]),
        "-corners": np.concatenate([one.corners for one in boxes]),
        "-labels": np.concatenate([one.labels for one in boxes]),
    }
    # True boxes have none.
    if all(one.scores is not None for one in boxes):
        found["-scores"] = np.concatenate([one.scores for one in boxes])
    return found


def _unpacked(entry: dict[str, Any], arrays: Any, name: str) -> Any:
    if entry["metric"] == "Dice":
        shape = entry["shape"]
        return np.unpackbits(arrays[name], count=int(np.prod(shape))).reshape(shape).astype(bool)
    if entry["metric"] != "mAP":
        return arrays[name]
    ends = np.cumsum(arrays[f"{name}-counts"])[:-1]
    corners, labels = (np.split(arrays[f"{name}-{part}"], ends) for part in ("corners", "labels"))
    scores = np.split(arrays[f"{name}-scores"], ends) if f"{name}-scores" in arrays else [None] * len(corners)
    return [Boxes(*one) for one in zip(corners, labels, scores, strict=True)]
