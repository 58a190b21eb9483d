"""Macro AUC over several labels, with its interval and the value of each label."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pedclip.evaluation.intervals import Floats, Interval, bootstrap_interval
from pedclip.evaluation.metrics import Groups, auc


class MacroAuc:
    """Mean over labels of the area under the ROC curve.

    A label that nobody answered for an image (NaN) leaves that image out of that label. A label with one class only
    has no area and is left out of the mean.
    """

    def __call__(self, labels: ArrayLike, scores: ArrayLike) -> float:
        """The mean.

        Args:
            labels: (N, L) 0, 1 or NaN.
            scores: (N, L) finite; higher means positive.

        Returns:
            In [0, 1]; chance is 0.5.

        Raises:
            ValueError: No label has both classes, shapes differ, or a score is not finite.
        """
        truth, _ = _checked(labels, scores)
        return float(self.resampler(labels, scores)(np.ones((1, len(truth))))[0])

    def bootstrap(
        self, labels: ArrayLike, scores: ArrayLike, groups: Groups = None, *, num_resamples: int = 1000, seed: int = 0
    ) -> Interval:
        """The mean with its interval over `groups` (N,); a resample averages the labels that have both classes."""
        truth, _ = _checked(labels, scores)
        return bootstrap_interval(
            self(labels, scores),
            self.resampler(labels, scores),
            num_items=len(truth),
            groups=groups,
            num_resamples=num_resamples,
            seed=seed,
        )

    def resampler(self, labels: ArrayLike, scores: ArrayLike) -> Callable[[Floats], Floats]:
        """The mean as a function of (R, N) counts of each image."""
        truth, values = _checked(labels, scores)
        parts = []
        for label in scorable(truth):
            rows = np.flatnonzero(~np.isnan(truth[:, label]))
            parts.append((rows, auc.resampler(truth[rows, label], values[rows, label])))
        if not parts:
            raise ValueError("macro AUC needs a label with both classes; none has")

        def resampled(counts: Floats) -> Floats:
            areas = np.stack([area(counts[:, rows]) for rows, area in parts])  # (L, R)
            is_known = ~np.isnan(areas)
            total, number = np.where(is_known, areas, 0).sum(axis=0), is_known.sum(axis=0)
            mean: Floats = np.divide(total, number, out=np.full(len(counts), np.nan), where=number > 0)
            return mean

        return resampled


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
