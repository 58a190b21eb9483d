"""Macro AUC over several labels, with its interval and the value of each label."""

from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pedclip.evaluation.intervals import Floats, Metric, Resampled, mean_of_known
from pedclip.evaluation.metrics import auc


class MacroAuc(Metric):
    """Mean over labels of the area under the ROC curve, in [0, 1]; chance is 0.5.

    Called with labels (N, L) of 0, 1 or NaN, and finite scores (N, L), higher means positive. A label that nobody
    answered for an image (NaN) leaves that image out of that label. A label with one class only has no area and is left
    out of the mean; so it is in each resample.

    Raises:
        ValueError: No label has both classes, shapes differ, or a score is not finite.
    """

    def resampler(self, labels: ArrayLike, scores: ArrayLike) -> Resampled:
        """The mean as a function of (R, N) counts of each image."""
        truth, values = _checked(labels, scores)
        parts = []
        for label in scorable(truth):
            rows = np.flatnonzero(~np.isnan(truth[:, label]))
            parts.append((rows, auc.resampler(truth[rows, label], values[rows, label])))
        if not parts:
            raise ValueError("macro AUC needs a label with both classes; none has")
        return lambda counts: mean_of_known(np.stack([area(counts[:, rows]) for rows, area in parts]))


macro_auc: Final = MacroAuc()


def scorable(labels: NDArray[Any]) -> NDArray[np.intp]:
    """Positions of the labels (N, L) of which both classes are present."""
    return np.flatnonzero((labels == 1).any(axis=0) & (labels == 0).any(axis=0))


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    truth, values = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if truth.ndim != 2 or truth.shape != values.shape or 0 in truth.shape:
        raise ValueError(f"labels and scores must both be (N, L), got {truth.shape} and {values.shape}")
    if not (np.isin(truth, (0, 1)) | np.isnan(truth)).all():
        raise ValueError("labels must be 0, 1, or NaN where nobody labelled the image")
    if not np.isfinite(values).all():
        raise ValueError("scores must be finite")
    return truth, values
