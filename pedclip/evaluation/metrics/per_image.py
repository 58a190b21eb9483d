"""Means over images of a value per image: accuracy, mean absolute error, Dice."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pedclip.evaluation.metrics.bootstrap import (
    Floats,
    Metric,
    Resampled,
    _check_vectors,
    _weighted_mean,
)
from pedclip.evaluation.metrics.small_samples import Scale


class ItemMean(Metric):
    """A metric that is the mean over items of a comparison of truth and prediction.

    Args:
        per_item: (truth, prediction) -> (N,) one value per item; its docstring becomes that of the metric.
        scale: Range of the values.
    """

    def __init__(self, per_item: Callable[[Any, Any], Floats], *, scale: Scale = "share") -> None:
        self._per_item = per_item
        self.scale = scale
        self.__doc__ = per_item.__doc__

    def resampler(self, truth: Any, prediction: Any) -> Resampled:
        """The mean as a function of (R, N) counts of each item."""
        # Each item is compared once; resamples only weigh the values.
        return _weighted_mean(self._per_item(truth, prediction))


def _accuracy(labels: ArrayLike, predictions: ArrayLike) -> Floats:
    """Share of items whose predicted label (N,) equals the true label (N,); numbers or strings."""
    truth, predicted = np.asarray(labels), np.asarray(predictions)
    _check_vectors(truth, predicted, "labels", "predictions")
    # numpy compares numbers and strings alike, element by element.
    is_correct: Floats = (truth == predicted).astype(np.float64)
    return is_correct


def _mae(target: ArrayLike, predicted: ArrayLike) -> Floats:
    """Mean absolute error of predictions (N,) against targets (N,), in the unit of the target."""
    truth, guess = np.asarray(target, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    _check_vectors(truth, guess, "target", "predicted")
    if not (np.isfinite(truth).all() and np.isfinite(guess).all()):
        raise ValueError("mae needs finite targets and predictions; leave out the items without a target")
    # (N,)
    return np.abs(truth - guess)


def _dice(target: Sequence[NDArray[Any]], predicted: Sequence[NDArray[Any]]) -> Floats:
    """Mean over images of 2|A∩B| / (|A|+|B|) of masks (N, H, W); two empty masks agree and count 1.

    A list of (H, W) masks of different sizes will do. Masks are booleans, or 0 and 1.
    """
    # Lists have no shape to compare.
    if len(target) != len(predicted) or len(target) == 0:
        raise ValueError(
            f"dice needs as many predicted masks as targets, at least 1: got {len(predicted)} and {len(target)}"
        )
    # One pair at a time, because masks of stored films differ in size.
    return np.array([_dice_of_pair(np.asarray(a), np.asarray(b)) for a, b in zip(target, predicted, strict=True)])


accuracy: Final = ItemMean(_accuracy)


mae: Final = ItemMean(_mae, scale="error")


dice: Final = ItemMean(_dice)


def _dice_of_pair(target: NDArray[Any], predicted: NDArray[Any]) -> float:
    # A mask of another size would be broadcast without a word.
    if target.ndim != 2 or target.shape != predicted.shape:
        raise ValueError(
            f"dice compares (N, H, W) masks of equal size, got {target.shape} and {predicted.shape} inside"
        )
    for mask in (target, predicted):
        if not np.isin(mask, (0, 1)).all():
            raise ValueError("dice needs masks of 0 and 1; threshold probabilities first")
    # In int64 on every platform, whatever the masks are stored as.
    total = float(target.sum(dtype=np.int64) + predicted.sum(dtype=np.int64))
    return 1.0 if total == 0 else 2 * float((target.astype(np.bool_) & predicted.astype(np.bool_)).sum()) / total
