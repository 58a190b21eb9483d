"""Targets and decoding are inverse, suppression equals torchvision's, the head finds squares, no boxes are handled."""

import numpy as np
import pytest
import torch

from pedclip.evaluation.crop import box_array
from pedclip.evaluation.downstream.detection import detect
from pedclip.evaluation.downstream.fit import Schedule
from pedclip.evaluation.downstream.yolo import YoloHead, choose_anchors, decode, make_targets, suppress, yolo_loss
from pedclip.evaluation.metrics.detection import Boxes, mean_average_precision
from pedclip.evaluation.result import Scoring
from pedclip.evaluation.tasks.patient_split import Part, PatientSplit
from tests.evaluation.tiny_tasks import GRID, squares

SCORING = Scoring("squares", "detection head", num_resamples=50)


def random_boxes(rng: np.random.Generator, number: int) -> Boxes:
    corner = rng.uniform(0, 0.7, (number, 2))
    return Boxes(np.concatenate([corner, corner + rng.uniform(0.05, 0.3, (number, 2))], 1), rng.integers(0, 2, number))


def task(number: int = 60) -> PatientSplit:
    parts = []
    for seed, name in enumerate(("train", "validation", "test")):
        tokens, corners, _ = squares(number, seed)
        boxes = [Boxes(np.array(one or []) / GRID, np.zeros(0 if one is None else 1, int)) for one in corners]
        parts.append(Part(tokens, box_array(boxes), np.array([f"{name}{i}" for i in range(number)])))
    return PatientSplit(*parts)


def perfect(boxes: list[Boxes], head: YoloHead) -> list[torch.Tensor]:
    """The output whose decoding gives the boxes back."""
    maps = head(torch.zeros(len(boxes), GRID * GRID, 3))
    outputs = []
    for target, output in zip(make_targets(boxes, head.anchors, maps), maps, strict=True):
        center = torch.logit(target.place[..., :2].clamp(1e-6, 1 - 1e-6))
        objectness = torch.where(target.is_box, 20.0, -20.0)[..., None]
        outputs.append(
            torch.cat([center, target.place[..., 2:], objectness, 40 * target.classes - 20], dim=-1).reshape(
                output.shape
            )
        )
    return outputs


def test_targets_decode_to_the_boxes() -> None:
    rng = np.random.default_rng(0)
    boxes = [random_boxes(rng, number) for number in (1, 0, 2, 3)]
    head = YoloHead(3, (GRID, GRID), 2, choose_anchors(np.concatenate([one.corners for one in boxes])), hidden=4).eval()
    with torch.no_grad():
        found = decode(perfect(boxes, head), head.anchors, min_score=0.5, max_overlap=1.0)
    for true, one in zip(boxes, found, strict=True):
        order, given = (np.lexsort(corners.T.round(4)) for corners in (one.corners, true.corners))
        assert one.corners[order] == pytest.approx(true.corners[given], abs=1e-4)
        assert one.labels[order].tolist() == true.labels[given].tolist()


def one_box(*corners: float, label: int = 0) -> Boxes:
    return Boxes(np.array([corners]), np.array([label]))


# Squares and flat boxes; a square of 0.2 overlaps one of 0.16 by 0.64 and the rest by less than one half.
ANCHORS = torch.tensor(
    [0.02, 0.02, 0.05, 0.05, 0.16, 0.16, 0.2, 0.2, 0.9, 0.04, 0.4, 0.1, 0.4, 0.4, 0.6, 0.6, 0.9, 0.9]
).reshape(3, 3, 2)
MAPS = [torch.zeros(1, 3, size, size, 5 + 2) for size in (8, 4, 2)]


def test_an_anchor_that_fits_nearly_as_well_is_neither_box_nor_empty() -> None:
    fine, middle, coarse = make_targets([one_box(0.4, 0.4, 0.6, 0.6)], ANCHORS, MAPS)
    assert middle.is_box.nonzero().tolist() == [[0, 0, 2, 2]]
    assert not fine.is_box.any()
    assert not coarse.is_box.any()
    assert (~fine.is_empty).nonzero().tolist() == [[0, 2, 4, 4]]
    assert (~middle.is_empty).nonzero().tolist() == [[0, 0, 2, 2]]
    assert coarse.is_empty.all()


def test_a_second_box_in_the_same_cell_replaces_the_first() -> None:
    both = Boxes(np.array([[0.4, 0.4, 0.6, 0.6], [0.42, 0.42, 0.62, 0.62]]), np.array([0, 1]))
    (_, together, _), (_, alone, _) = (
        make_targets([boxes], ANCHORS, MAPS) for boxes in (both, one_box(0.42, 0.42, 0.62, 0.62, label=1))
    )
    assert together.classes[together.is_box].tolist() == [[0.0, 1.0]]
    for part, expected in zip(vars(together).values(), vars(alone).values(), strict=True):
        assert torch.equal(part, expected)


def test_loss_by_hand() -> None:
    nothing = make_targets([Boxes(np.zeros((0, 4)), np.zeros(0))], ANCHORS, MAPS)
    cells = 3 * (8 * 8 + 4 * 4 + 2 * 2)
    # Each cell is half sure of a box: half the weight of log 2.
    assert float(yolo_loss(MAPS, nothing)) == pytest.approx(0.5 * cells * np.log(2), rel=1e-5)
    targets = make_targets([one_box(0.4, 0.4, 0.6, 0.6)], ANCHORS, MAPS)
    # One cell holds the box and one is ignored. The centre is the corner of the cell, the size that of the anchor.
    place, objectness, kind = 2.5 * 2 * np.log(2), np.log(2), 2 * np.log(2)
    expected = place + objectness + kind + 0.5 * (cells - 2) * np.log(2)
    assert float(yolo_loss(MAPS, targets)) == pytest.approx(expected, rel=1e-5)


def test_loss_is_lowest_for_the_perfect_output_and_finite_without_boxes() -> None:
    boxes = [random_boxes(np.random.default_rng(1), 2), random_boxes(np.random.default_rng(2), 0)]
    head = YoloHead(3, (GRID, GRID), 2, choose_anchors(boxes[0].corners), hidden=4).eval()
    maps = head(torch.zeros(2, GRID * GRID, 3))
    targets = make_targets(boxes, head.anchors, maps)
    best = yolo_loss(perfect(boxes, head), targets)
    assert best.item() < yolo_loss(maps, targets).item() / 2
    nothing = make_targets([boxes[1], boxes[1]], head.anchors, maps)
    assert not any(target.is_box.any() for target in nothing)
    loss = yolo_loss(maps, nothing)
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)


def test_suppression_equals_torchvision() -> None:
    torchvision = pytest.importorskip("torchvision")
    rng = np.random.default_rng(3)
    boxes = random_boxes(rng, 200)
    scores = rng.random(200)
    expected = torchvision.ops.batched_nms(
        torch.tensor(boxes.corners), torch.tensor(scores), torch.tensor(boxes.labels), 0.3
    )
    assert suppress(boxes.corners, scores, boxes.labels, max_overlap=0.3).tolist() == expected.tolist()
    assert len(suppress(np.zeros((0, 4)), np.zeros(0), np.zeros(0), max_overlap=0.3)) == 0


def test_anchors_by_hand() -> None:
    one = choose_anchors(np.array([[0.1, 0.1, 0.3, 0.5]]))
    assert one == pytest.approx(np.tile([0.2, 0.4], (9, 1)))
    sizes = np.arange(1, 19) / 100  # two boxes of each ninth
    boxes = np.stack([0 * sizes, 0 * sizes, sizes, 2 * sizes], axis=1)
    assert choose_anchors(boxes[::-1])[:, 0] == pytest.approx((sizes[::2] + sizes[1::2]) / 2)


def test_head_finds_the_squares() -> None:
    split = task()
    schedule = Schedule(epochs=15, learning_rate=5e-3, batch_size=8)
    done = detect(split, ["square"], scoring=SCORING, hidden=16, schedule=schedule)
    assert done.score.value > 0.6
    assert done.classes[0].score == done.score
    assert done.classes[0].num_positives == sum(len(boxes.labels) for boxes in split.test.truth)
    assert done.metric == "mAP"


def test_boxes_are_scored_over_patients() -> None:
    split = task(24)
    patients = np.array([f"test{i // 3}" for i in range(24)])
    split = PatientSplit(split.train, split.validation, Part(split.test.inputs, split.test.truth, patients))
    schedule = Schedule(epochs=2, learning_rate=5e-3, batch_size=8)
    done = detect(split, ["square"], scoring=SCORING, hidden=8, schedule=schedule)
    found = done.require_predictions().output
    assert done.score == mean_average_precision.bootstrap(split.test.truth, found, patients, num_resamples=50)
    assert done.classes[0].score == done.score
    assert done.score.num_groups == 8


def test_refuses_what_has_no_boxes() -> None:
    split = task(6)
    none = box_array([Boxes(np.zeros((0, 4)), np.zeros(0))] * 6)
    without = Part(split.train.inputs, none, split.train.patients)
    with pytest.raises(ValueError, match="needs training boxes"):
        detect(PatientSplit(without, split.validation, split.test), ["square"], scoring=SCORING)
    with pytest.raises(ValueError, match="at least one true box"):
        detect(
            PatientSplit(split.train, split.validation, Part(split.test.inputs, none, split.test.patients)),
            ["square"],
            scoring=SCORING,
            hidden=4,
            schedule=Schedule(epochs=1),
        )
    with pytest.raises(ValueError, match="class numbers 0 to -1"):
        detect(split, [], scoring=SCORING)
