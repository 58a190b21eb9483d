"""Mean average precision of boxes, as COCO defines it, fast enough to be resampled a thousand times.

Matching of predicted to true boxes does not depend on which patients a resample holds. So it is done once, and each
resample only adds up how often the boxes were drawn that lie between two found ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array  # type: ignore[import-untyped]

from pedclip.evaluation.metrics.bootstrap import Floats, Metric, Resampled, mean_of_known

IOU_THRESHOLDS: Final = tuple(round(0.40 + 0.05 * step, 2) for step in range(8))  # 0.40 to 0.75
MAX_DETECTIONS: Final = 100  # per image and class, as COCO
RECALL_POINTS: Final = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes of one image, true or predicted.

    Args:
        corners: (K, 4) left, top, right, bottom, in any one unit; right and bottom not below left and top.
        labels: (K,) class numbers.
        scores: (K,) finite; higher is surer. None for true boxes.

    Raises:
        ValueError: Shapes differ, corners are not finite or not in order, or a score is not finite.
    """

    corners: NDArray[Any]
    labels: NDArray[Any]
    scores: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        # An image without a box may come as an empty list: (0,) -> (0, 4).
        corners = np.asarray(self.corners, dtype=np.float64).reshape(-1, 4)
        labels = np.asarray(self.labels, dtype=np.int64)
        object.__setattr__(self, "corners", corners)
        object.__setattr__(self, "labels", labels)
        if self.scores is not None:
            object.__setattr__(self, "scores", np.asarray(self.scores, dtype=np.float64))
        if labels.shape != (len(corners),) or (self.scores is not None and self.scores.shape != labels.shape):
            raise ValueError(f"expected one label and score per box: {len(corners)} boxes, labels {labels.shape}")
        if not np.isfinite(corners).all() or (corners[:, 2:] < corners[:, :2]).any():
            raise ValueError("boxes must be finite left, top, right, bottom with right >= left and bottom >= top")
        if self.scores is not None and not np.isfinite(self.scores).all():
            raise ValueError("scores of boxes must be finite")


class MeanAveragePrecision(Metric):
    """Mean over classes and IoU thresholds 0.40 to 0.75 of the area under the precision-recall curve, in [0, 1].

    Called with N true and N predicted `Boxes`; the scores of true boxes are not read, of the predicted the best 100 per
    image and class are used. Images without a true box count: what is predicted there is wrong. So do images in which
    nothing was found. A resample without a true box of any class is drawn again; one without a box of some class
    averages the rest. The order of images and of boxes does not matter: boxes of one score enter the curve together,
    within an image those that overlap a true box more are matched first, and a true box given twice is one box.

    Raises:
        ValueError: No image has a true box, lengths differ, or predictions have no scores.

    Source: the protocol of COCO (101 recall points, greedy matching by score, 100 boxes per image and class) at the
        thresholds of MGCA. Differs: MGCA's code leaves out images without a true or without a predicted box; among
        equal scores COCO keeps the order of the file, and of equal true boxes it wants each to be found.
    """

    def resampler(self, truth: Sequence[Boxes], predicted: Sequence[Boxes]) -> Resampled:
        """The mean as a function of (R, N) counts of each image, NaN without a true box."""
        # Matching depends on the boxes of one image alone, so it is done before any resampling.
        curves = list(self._curves(truth, predicted).values())
        return lambda counts: mean_of_known(np.stack([_average_precision(counts, curve) for curve in curves]))

    def classes(self, truth: Sequence[Boxes]) -> list[NDArray[np.bool_]]:
        """The images (N,) with a true box of each class."""
        labels = sorted({int(label) for boxes in truth for label in boxes.labels})
        return [np.array([(boxes.labels == label).any() for boxes in truth]) for label in labels]

    def per_class(self, truth: Sequence[Boxes], predicted: Sequence[Boxes]) -> dict[int, float]:
        """Average precision of each class that has a true box, over the same thresholds."""
        once = np.ones((1, len(truth)))
        curves = self._curves(truth, predicted)
        return {label: float(_average_precision(once, curve)[0]) for label, curve in curves.items()}

    @staticmethod
    def _curves(truth: Sequence[Boxes], predicted: Sequence[Boxes]) -> dict[int, "_Curve"]:
        if len(truth) != len(predicted):
            raise ValueError(f"expected one prediction per image, got {len(predicted)} for {len(truth)} images")
        # Without scores there is no ranking, hence no curve.
        if any(boxes.scores is None for boxes in predicted):
            raise ValueError("predicted boxes need scores")
        labels = sorted({int(label) for boxes in truth for label in boxes.labels})
        if not labels:
            raise ValueError("mean average precision needs at least one true box; there is none in these images")
        return {label: _match_class(truth, predicted, label) for label in labels}


mean_average_precision: Final = MeanAveragePrecision()


class _Step(NamedTuple):
    """One IoU threshold of a class: its curve changes only where a box was found, at J distinct scores.

    Attributes:
        boxes: (N, J) sparse, predicted boxes of each image down to each of these scores, but not to the one before.
        hits: (N, J) sparse, those that matched a true box.
    """

    boxes: csr_array
    hits: csr_array


class _Curve(NamedTuple):
    """All thresholds of a class.

    Attributes:
        steps: One per IoU threshold.
        num_true: (N,) true boxes of each image.
    """

    steps: list[_Step]
    num_true: Floats


def box_iou(first: NDArray[Any], second: NDArray[Any]) -> Floats:
    """Intersection over union of boxes (K, 4) and (M, 4), left, top, right, bottom: (K, M) in [0, 1].

    Two boxes without area have 0.

    Example:
        >>> box_iou(np.array([[0, 0, 2, 2]]), np.array([[1, 0, 3, 2]])).round(3).tolist()
        [[0.333]]
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])  # (K, M, 2)
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)  # (K, M); 0 where the boxes do not meet
    area, other = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second))
    union = area[:, None] + other[None] - shared
    overlap: Floats = np.divide(shared, union, out=np.zeros(shared.shape), where=union > 0)
    return overlap


def _match_class(truth: Sequence[Boxes], predicted: Sequence[Boxes], label: int) -> _Curve:
    # Empty arrays first, so that a class that nobody predicted still concatenates.
    images, scores, hits = [np.zeros(0, np.intp)], [np.zeros(0)], [np.zeros((len(IOU_THRESHOLDS), 0), np.bool_)]
    num_true = np.zeros(len(truth))
    for position, (true, guess) in enumerate(zip(truth, predicted, strict=True)):
        assert guess.scores is not None  # checked by the caller
        is_wanted, is_guess = true.labels == label, guess.labels == label
        # Most images have nothing of a rare class.
        if not (is_wanted.any() or is_guess.any()):
            continue
        # Sorted, and each box once.
        wanted = np.unique(true.corners[is_wanted], axis=0)
        found, sureness = guess.corners[is_guess], guess.scores[is_guess]
        overlap = box_iou(found, wanted)
        nearest = overlap.max(axis=1, initial=0.0)
        # By score, then by overlap, then by place; the last key of lexsort counts first.
        order = np.lexsort((*found.T, -nearest, -sureness))[:MAX_DETECTIONS]
        num_true[position] = len(wanted)
        images.append(np.full(len(order), position))
        scores.append(sureness[order])
        hits.append(_match_image(overlap[order]))
    # Boxes of all images in one ranking.
    ranked, image, is_hit = np.concatenate(scores), np.concatenate(images), np.concatenate(hits, axis=1)
    order = np.argsort(-ranked, kind="stable")
    # Number of each box's score; boxes of one score enter the curve together.
    score = np.unique(-ranked[order], return_inverse=True)[1]
    steps = [_step(image[order], score, one[order], len(truth)) for one in is_hit]
    return _Curve(steps, num_true)


def _step(image: NDArray[np.intp], score: NDArray[np.intp], is_hit: NDArray[np.bool_], num_images: int) -> _Step:
    """Boxes (K,), surest first, between the scores at which one was found."""
    # Precision falls from one found box to just before the next, so that the highest at or beyond a recall is at one.
    ends = np.unique(score[is_hit])  # (J,)
    column = np.searchsorted(ends, score)  # (K,); J for boxes below the last
    shape = (num_images, len(ends))

    def count(kept: NDArray[np.bool_]) -> csr_array:
        # Boxes of one image and column are added up.
        return csr_array((np.ones(kept.sum()), (image[kept], column[kept])), shape=shape)

    return _Step(count(column < len(ends)), count(is_hit))


def _match_image(overlap: Floats) -> NDArray[np.bool_]:
    """(T, K) whether each of K boxes, surest first, takes a true box that is still free; the best overlap is taken."""
    is_hit = np.zeros((len(IOU_THRESHOLDS), len(overlap)), dtype=np.bool_)
    if overlap.shape[1] == 0:
        return is_hit
    for row, threshold in enumerate(IOU_THRESHOLDS):
        free = np.ones(overlap.shape[1], dtype=np.bool_)
        for number, line in enumerate(overlap):
            # A true box can be found once; a second box on it is a false alarm.
            candidates = np.where(free, line, -1.0)
            # Among equal overlaps COCO keeps the last, here in the order of the corners.
            best = len(candidates) - 1 - int(candidates[::-1].argmax())
            # COCO's guard: an IoU of exactly 1 must pass a threshold of 1.
            if candidates[best] >= min(threshold, 1 - 1e-10):
                is_hit[row, number], free[best] = True, False
    return is_hit


def _average_precision(counts: Floats, curve: _Curve) -> Floats:
    """(R, N) counts of each image -> (R,) mean over thresholds; NaN where no true box was drawn."""
    num_true = counts @ curve.num_true  # (R,)
    areas = [_area(counts, num_true, step) for step in curve.steps]
    mean: Floats = np.where(num_true > 0, np.mean(areas, axis=0), np.nan)
    return mean


def _area(counts: Floats, num_true: Floats, step: _Step) -> Floats:
    """(R,) area under the precision-recall curve at 101 recalls."""
    found, hits = ((counts @ one).cumsum(axis=1) for one in step)  # (R, J) boxes down to each score, and those right
    precision = np.divide(hits, found, out=np.zeros_like(hits), where=found > 0)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]  # highest at this recall or beyond
    recall = hits / np.maximum(num_true, 1)[:, None]
    # Points of recall that are reached first at each score; those never reached add a precision of 0.
    reached = np.searchsorted(RECALL_POINTS, recall, side="right")
    at_first = np.diff(reached, axis=1, prepend=0)
    area: Floats = (precision * at_first).sum(axis=1) / len(RECALL_POINTS)
    return area
