"""Mean average precision by hand, against pycocotools and torchmetrics, and on degenerate images."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pedclip.evaluation.metrics.detection import IOU_THRESHOLDS, Boxes, box_iou, mean_average_precision

NONE = Boxes(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))


def boxes(*corners: tuple[float, float, float, float], scores: list[float] | None = None, label: int = 0) -> Boxes:
    return Boxes(
        np.array(corners), np.full(len(corners), label), None if scores is None else np.array(scores, dtype=float)
    )


def random_images(rng: np.random.Generator, number: int, *, digits: int) -> tuple[list[Boxes], list[Boxes]]:
    """True boxes, and their noisy copies among false ones; few digits make equal scores."""
    truth, found = [], []
    for _ in range(number):
        true = random_boxes(rng, rng.integers(0, 5))
        false = random_boxes(rng, rng.integers(0, 5))
        near = true + rng.normal(0, 2, true.shape)
        near[:, 2:] = np.maximum(near[:, :2], near[:, 2:])
        both = np.concatenate([near, false]).astype(np.float32)
        labels = rng.integers(0, 3, len(true))
        scores = rng.random(len(both)).round(digits)
        truth.append(Boxes(true.astype(np.float32), labels))
        found.append(Boxes(both, np.append(labels, rng.integers(0, 3, len(false))), scores))
    return truth, found


def random_boxes(rng: np.random.Generator, number: int) -> NDArray[Any]:
    corner = rng.uniform(0, 60, (number, 2))
    return np.concatenate([corner, corner + rng.uniform(5, 40, (number, 2))], axis=1)


def by_pycocotools(truth: list[Boxes], found: list[Boxes]) -> float:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    true, guessed = COCO(), COCO()
    for reference, images in ((true, truth), (guessed, found)):
        entries = [
            {
                "id": 0,
                "image_id": image,
                "category_id": int(label),
                "bbox": [*corners[:2].tolist(), *(corners[2:] - corners[:2]).tolist()],
                "area": float((corners[2:] - corners[:2]).prod()),
                "iscrowd": 0,
                "score": 0.0 if one.scores is None else float(one.scores[number]),
            }
            for image, one in enumerate(images)
            for number, (corners, label) in enumerate(zip(one.corners, one.labels, strict=True))
        ]
        for number, entry in enumerate(entries, start=1):
            entry["id"] = number
        reference.dataset = {
            "images": [{"id": image} for image in range(len(images))],
            "annotations": entries,
            "categories": [{"id": label} for label in range(3)],
        }
        with contextlib.redirect_stdout(io.StringIO()):
            reference.createIndex()
    with contextlib.redirect_stdout(io.StringIO()):
        measured = COCOeval(true, guessed, "bbox")
        measured.params.iouThrs = np.array(IOU_THRESHOLDS)
        measured.evaluate()
        measured.accumulate()
    precision = measured.eval["precision"][:, :, :, 0, -1]  # (T, recall, L), all areas, 100 boxes
    return float(precision[precision > -1].mean())


@pytest.mark.parametrize("seed", range(4))
def test_equals_pycocotools(seed: int) -> None:
    truth, found = random_images(np.random.default_rng(seed), 25, digits=12)
    assert mean_average_precision(truth, found) == pytest.approx(by_pycocotools(truth, found), abs=1e-9)


def test_equals_torchmetrics() -> None:
    from torchmetrics.detection import MeanAveragePrecision

    truth, found = random_images(np.random.default_rng(9), 25, digits=12)
    metric = MeanAveragePrecision(iou_thresholds=list(IOU_THRESHOLDS), rec_thresholds=np.linspace(0, 1, 101).tolist())
    predicted = [
        {
            "boxes": torch.tensor(one.corners, dtype=torch.float32),
            "labels": torch.tensor(one.labels),
            "scores": torch.tensor(one.scores),
        }
        for one in found
    ]
    target = [
        {"boxes": torch.tensor(one.corners, dtype=torch.float32), "labels": torch.tensor(one.labels)} for one in truth
    ]
    metric.update(predicted, target)
    assert mean_average_precision(truth, found) == pytest.approx(float(metric.compute()["map"]), abs=1e-6)  # float32


def shuffled(rng: np.random.Generator, one: Boxes) -> Boxes:
    order = rng.permutation(len(one.labels))
    return Boxes(one.corners[order], one.labels[order], None if one.scores is None else one.scores[order])


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_images_and_of_boxes_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, found = random_images(rng, 25, digits=1)
    # Two true boxes that a prediction overlaps equally, and two predictions that overlap one equally.
    truth.append(boxes((0, 0, 10, 10), (4, 0, 14, 10), (2, 2, 12, 12)))
    found.append(boxes((2, 0, 12, 10), (0, 0, 10, 10), (4, 0, 14, 10), (2, 0, 12, 10), scores=[0.5] * 4))
    expected = mean_average_precision(truth, found)
    for _ in range(5):
        order = rng.permutation(len(truth))
        mixed = [[shuffled(rng, images[position]) for position in order] for images in (truth, found)]
        assert mean_average_precision(*mixed) == pytest.approx(expected, abs=1e-12)
        # The counts of a resample follow their images.
        counts = rng.integers(0, 3, (3, len(truth))).astype(float)
        one = mean_average_precision.resampler(truth, found)(counts)
        assert mean_average_precision.resampler(*mixed)(counts[:, order]) == pytest.approx(one, abs=1e-12)


def test_boxes_of_one_score_enter_the_curve_together() -> None:
    # One right and one wrong box, equally sure: precision 1/2 wherever the threshold is put.
    truth = [boxes((0, 0, 10, 10)), NONE]
    right, wrong = boxes((0, 0, 10, 10), scores=[0.5]), boxes((0, 0, 10, 10), scores=[0.5])
    assert mean_average_precision(truth, [right, wrong]) == 0.5
    assert mean_average_precision(truth[::-1], [wrong, right]) == 0.5
    # Of two equally sure boxes the one that lies better is matched: IoU 1 instead of 0.5.
    both = boxes((0, 0, 10, 5), (0, 0, 10, 10), scores=[0.5, 0.5])
    assert mean_average_precision([boxes((0, 0, 10, 10))], [both]) == 0.5
    low = boxes((0, 0, 10, 5), (0, 0, 10, 10), scores=[0.9, 0.5])
    assert mean_average_precision([boxes((0, 0, 10, 10))], [low]) == pytest.approx((3 * 1 + 5 * 0.5) / 8)


def test_a_true_box_given_twice_is_one_box() -> None:
    twice = [boxes((0, 0, 10, 10), (0, 0, 10, 10), (0, 0, 10, 10))]
    assert mean_average_precision(twice, [boxes((0, 0, 10, 10), scores=[0.9])]) == 1.0
    # Of two classes they are two boxes.
    other = [Boxes(np.array([[0, 0, 10, 10]] * 2), np.array([0, 1]))]
    assert mean_average_precision(other, [boxes((0, 0, 10, 10), scores=[0.9])]) == 0.5


def test_among_equal_overlaps_the_last_true_box_is_taken_and_the_other_stays_free() -> None:
    truth = [boxes((0, 0, 10, 10), (4, 0, 14, 10))]
    # The first box lies between both (IoU 2/3), the second on the right one only: one of the two is missed.
    found = [boxes((2, 0, 12, 10), (6, 0, 16, 10), scores=[0.9, 0.8])]
    # It takes the right one, so the second finds nothing but the left one, at IoU 1/4.
    at_two_thirds = 6 / 8  # thresholds 0.40 to 0.65
    assert mean_average_precision(truth, found) == pytest.approx(at_two_thirds * 51 / 101)


def test_at_most_a_hundred_boxes_of_an_image_count() -> None:
    right, wrong = (0, 0, 10, 10), (50, 50, 60, 60)
    scores = np.linspace(1, 0.5, 101).tolist()
    at_the_end = [boxes(*[wrong] * 100, right, scores=scores)]
    assert mean_average_precision([boxes(right)], at_the_end) == 0.0
    in_time = [boxes(*[wrong] * 99, right, scores=scores[:100])]
    assert mean_average_precision([boxes(right)], in_time) == pytest.approx(0.01)


def test_by_hand() -> None:
    truth = [boxes((0, 0, 10, 10), (20, 20, 30, 30))]
    # One of two boxes found exactly: precision 1 up to recall 0.5, which is 51 of the 101 points.
    assert mean_average_precision(truth, [boxes((0, 0, 10, 10), scores=[0.9])]) == pytest.approx(51 / 101)
    # A surer false box halves the precision there.
    found = [boxes((0, 0, 10, 10), (50, 50, 60, 60), scores=[0.8, 0.9])]
    assert mean_average_precision(truth, found) == pytest.approx(51 / 101 / 2)
    # IoU 0.6 counts at 0.40, 0.45, 0.50, 0.55 and 0.60 of the eight thresholds.
    only = [boxes((0, 0, 10, 10))]
    assert mean_average_precision(only, [boxes((0, 0, 10, 6), scores=[0.5])]) == pytest.approx(5 / 8)
    # The same box found twice is right once.
    twice = [boxes((0, 0, 10, 10), (0, 0, 10, 10), scores=[0.9, 0.8])]
    assert mean_average_precision(only, twice) == 1.0


def test_images_without_boxes_and_missed_images_count() -> None:
    truth = [boxes((0, 0, 10, 10)), boxes((0, 0, 10, 10)), NONE]
    right, wrong = boxes((0, 0, 10, 10), scores=[0.5]), boxes((0, 0, 10, 10), scores=[0.9])
    assert mean_average_precision(truth, [right, right, NONE]) == 1.0
    assert mean_average_precision(truth, [right, NONE, NONE]) == pytest.approx(51 / 101)  # a missed image
    assert mean_average_precision(truth, [right, right, wrong]) == pytest.approx(2 / 3)  # a false alarm
    assert mean_average_precision(truth, [NONE, NONE, NONE]) == 0.0


def test_resamples_are_what_repeating_the_images_gives() -> None:
    rng = np.random.default_rng(3)
    truth, found = random_images(rng, 12, digits=12)
    counts = rng.integers(0, 3, (6, 12)).astype(float)
    values = mean_average_precision.resampler(truth, found)(counts)
    for value, row in zip(values, counts.astype(int), strict=True):
        repeated = np.repeat(np.arange(12), row).tolist()
        literal = by_pycocotools([truth[i] for i in repeated], [found[i] for i in repeated])
        assert value == pytest.approx(literal, abs=1e-9)


def test_interval_and_classes() -> None:
    truth, found = random_images(np.random.default_rng(1), 30, digits=12)
    interval = mean_average_precision.bootstrap(truth, found, np.arange(30) // 2, num_resamples=200)
    assert interval.low < interval.value == mean_average_precision(truth, found) < interval.high
    assert interval.num_groups == 15
    each = mean_average_precision.per_class(truth, found)
    assert np.mean(list(each.values())) == pytest.approx(interval.value, abs=1e-12)


def test_boxes_may_come_as_lists() -> None:
    found = Boxes([[0, 0, 1, 2]], [3], [1])  # type: ignore[arg-type]
    for array, value, dtype in (
        (found.corners, [[0, 0, 1, 2]], np.float64),
        (found.labels, [3], np.int64),
        (found.scores, [1], np.float64),
    ):
        assert isinstance(array, np.ndarray)
        assert (array.tolist(), array.dtype) == (value, dtype)
    none = Boxes([], [], [])  # type: ignore[arg-type]
    assert none.corners.shape == (0, 4)
    assert mean_average_precision([found, none], [found, none]) == 1.0


def test_overlap_by_hand() -> None:
    one = np.array([[0.0, 0, 2, 2], [1, 1, 1, 1]])
    other = np.array([[1.0, 1, 3, 3], [0, 0, 2, 2], [1, 1, 1, 1]])
    assert box_iou(one, other) == pytest.approx(np.array([[1 / 7, 1, 0], [0, 0, 0]]))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mean_average_precision([NONE], [NONE]), "at least one true box"),
        (lambda: mean_average_precision([boxes((0, 0, 1, 1))], []), "one prediction per image, got 0 for 1"),
        (lambda: mean_average_precision([boxes((0, 0, 1, 1))], [boxes((0, 0, 1, 1))]), "need scores"),
        (lambda: boxes((2, 0, 1, 1)), "right >= left"),
        (lambda: boxes((0, 0, 1, 1), scores=[np.nan]), "finite"),
        (lambda: Boxes(np.zeros((2, 4)), np.zeros(1)), "one label and score per box"),
    ],
)
def test_refuses(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
