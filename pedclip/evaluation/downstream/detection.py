"""Detection: a YOLOv3-style head on frozen patch tokens, scored by mean average precision."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pedclip.evaluation.downstream.fit import Schedule, fit_best, seeded
from pedclip.evaluation.downstream.segmentation import square_grid
from pedclip.evaluation.downstream.yolo import YoloHead, choose_anchors, decode, make_targets, yolo_loss
from pedclip.evaluation.metrics.detection import Boxes, mean_average_precision
from pedclip.evaluation.result import ClassScore, Result, Scoring
from pedclip.evaluation.tasks.patient_split import Part, PatientSplit

MIN_SCORE: Final = 0.01  # low, because the curve of precision over recall needs the unsure boxes too
MAX_OVERLAP: Final = 0.5
DETECTION_SCHEDULE: Final = Schedule()


def detect(
    split: PatientSplit,
    classes: Sequence[str],
    *,
    scoring: Scoring,
    grid: tuple[int, int] | None = None,
    hidden: int = 128,
    schedule: Schedule = DETECTION_SCHEDULE,
) -> Result:
    """Train on training, keep the best epoch on validation, score on test.

    Args:
        split: Patch tokens (N, S, C), and (N,) `Boxes` as from `pedclip.evaluation.crop.box_array`: corners are
            fractions of the crop that the tokens see. Images without a box belong to the task.
        classes: (L,) names.
        scoring: Names and bootstrap.
        grid: Rows and columns of patches; None means a square.
        hidden: Channels of the head.
        schedule: Of the training.

    Returns:
        The result: mAP over IoU 0.40 to 0.75, and the average precision of each class. Its baseline is 0: nothing is
        found without looking.

    Raises:
        ValueError: No training box or no test box, a class number out of range, or tokens of another shape.
    """
    _check(split, len(classes))
    num_patches, width = split.train.inputs.shape[1:]  # S, C
    # Of the training boxes: test boxes must not shape the head.
    anchors = choose_anchors(np.concatenate([boxes.corners for boxes in split.train.truth]))
    with seeded(schedule.seed):
        # A ViT crops to a square, so a square grid is the rule.
        head = YoloHead(width, grid or square_grid(num_patches), len(classes), anchors, hidden=hidden)
    head.to(schedule.device)
    epoch = fit_best(
        head,
        schedule,
        lambda part, rows: _loss(head, part, rows, schedule.device),
        train=split.train,
        validation=split.validation,
    )
    # Boxes of all test images, those without a true box included: what is found there is wrong.
    found = predict_boxes(head, split.test, schedule)
    each = [_class_score(name, number, split.test, found, scoring) for number, name in enumerate(classes)]
    return scoring.result(
        split,
        mean_average_precision,
        found,
        name="mAP",
        classes=each,
        baseline=(0.0, "no box"),
        settings={"epoch": epoch, "seed": schedule.seed, "anchors": anchors.round(4).tolist()},
    )


@torch.inference_mode()
def predict_boxes(head: YoloHead, part: Part, schedule: Schedule) -> list[Boxes]:
    """Boxes of N images, corners as shares of the image."""
    found: list[Boxes] = []
    for start in range(0, len(part), schedule.batch_size):
        rows = np.arange(start, min(start + schedule.batch_size, len(part)))
        maps = head(_tokens(part, rows, schedule.device))
        # Boxes are made per batch: the maps of all images would not fit into memory.
        found += decode(maps, head.anchors, min_score=MIN_SCORE, max_overlap=MAX_OVERLAP)
    return found


def _class_score(name: str, number: int, part: Part, found: Sequence[Boxes], scoring: Scoring) -> ClassScore:
    truth = [_only(boxes, number) for boxes in part.truth]
    # A class without a true box in the test images has no precision to average.
    num_boxes = sum(len(np.unique(boxes.corners, axis=0)) for boxes in truth)  # each once, as the metric counts them
    # Of one class the mean average precision is its average precision.
    only = [_only(boxes, number) for boxes in found]
    score = scoring.bootstrap_if_possible(mean_average_precision, truth, only, part.patients) if num_boxes else None
    return ClassScore(name, score, num_boxes, len(part))


def _only(boxes: Boxes, number: int) -> Boxes:
    rows = boxes.labels == number
    return Boxes(boxes.corners[rows], boxes.labels[rows], None if boxes.scores is None else boxes.scores[rows])


def _loss(head: YoloHead, part: Part, rows: NDArray[np.intp], device: str) -> Tensor:
    maps = head(_tokens(part, rows, device))
    # Targets need the shapes of the maps, so they are made per batch.
    return yolo_loss(maps, make_targets(list(part.truth[rows]), head.anchors, maps))


def _tokens(part: Part, rows: NDArray[np.intp], device: str) -> Tensor:
    # Tokens are stored in half precision.
    return torch.from_numpy(np.asarray(part.inputs[rows], dtype=np.float32)).to(device)


def _check(split: PatientSplit, num_classes: int) -> None:
    for part in (split.train, split.validation, split.test):
        if len(part) and part.inputs.ndim != 3:
            raise ValueError(f"detection needs patch tokens (N, S, C), got {part.inputs.shape}")
    labels: list[Any] = [label for part in (split.train, split.test) for boxes in part.truth for label in boxes.labels]
    if not any(len(boxes.labels) for boxes in split.train.truth):
        raise ValueError("detection needs training boxes; there is none")
    if min(labels) < 0 or max(labels) >= num_classes:
        raise ValueError(f"boxes must have class numbers 0 to {num_classes - 1}, got {min(labels)} to {max(labels)}")
