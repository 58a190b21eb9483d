"""A YOLOv3-style head on frozen patch tokens: anchors, targets, loss, and boxes from its output."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pedclip.evaluation.metrics.detection import MAX_DETECTIONS, Boxes, box_iou

NUM_SCALES: Final = 3
ANCHORS_PER_SCALE: Final = 3
NUM_ANCHORS: Final = NUM_SCALES * ANCHORS_PER_SCALE
PLACE_WEIGHT: Final = 2.5  # of centre and of size
EMPTY_WEIGHT: Final = 0.5  # of cells without a box
IGNORE_IOU: Final = 0.5  # an anchor that fits this well but is not the best is neither box nor empty
RARE_LOGIT: Final = -4.6  # objectness at the start: 1 %, so that thousands of empty cells do not drown the boxes
MAX_STRETCH: Final = 4.0  # of a box over its anchor, logarithm


class YoloHead(nn.Module):
    """Three maps of box predictions, at twice, once and half the grid of patches.

    Args:
        width: C of the tokens.
        grid: Rows and columns of patches, at least 2 each.
        num_classes: L.
        anchors: (9, 2) width and height as shares of the image, by rising area.
        hidden: Channels of the head.

    Source: YOLOv3 (Redmon & Farhadi, 2018) as MGCA uses it. Differs: the three maps come from one map of patches,
        because a ViT has one resolution.
    """

    def __init__(
        self, width: int, grid: tuple[int, int], num_classes: int, anchors: NDArray[Any], *, hidden: int = 128
    ) -> None:
        super().__init__()
        self.grid = grid
        self.anchors: Tensor
        given = torch.as_tensor(np.asarray(anchors), dtype=torch.float32)
        self.register_buffer("anchors", given.reshape(NUM_SCALES, ANCHORS_PER_SCALE, 2))
        self.stem = _convolution(width, hidden, 1)
        outputs = ANCHORS_PER_SCALE * (5 + num_classes)
        self.branches = nn.ModuleList(
            nn.Sequential(_convolution(hidden, hidden, 3), nn.Conv2d(hidden, outputs, 1)) for _ in range(NUM_SCALES)
        )
        for branch in self.branches:
            # A view of the parameter: (3, 5+L), of which column 4 is the objectness.
            bias = branch[-1].bias.detach().view(ANCHORS_PER_SCALE, -1)  # type: ignore[index]
            bias.zero_()
            bias[:, 4] = RARE_LOGIT

    def forward(self, tokens: Tensor) -> list[Tensor]:
        """(B, S, C) -> three maps (B, 3, h, w, 5+L): centre, size, objectness, classes; finest first."""
        maps = self.stem(tokens.transpose(1, 2).reshape(len(tokens), -1, *self.grid))
        fine = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
        # Small boxes need a fine grid, large ones a coarse one.
        scales = (fine, maps, F.max_pool2d(maps, 2))
        outputs = [branch(scale) for branch, scale in zip(self.branches, scales, strict=True)]
        return [
            output.unflatten(1, (ANCHORS_PER_SCALE, -1)).permute(0, 1, 3, 4, 2)  # type: ignore[no-untyped-call]
            for output in outputs
        ]


def choose_anchors(boxes: NDArray[Any]) -> NDArray[np.float64]:
    """Nine typical sizes of the training boxes, by rising area.

    Args:
        boxes: (K, 4) left, top, right, bottom as shares of the image, at least one.

    Returns:
        (9, 2) the median width and height of each ninth of the boxes ordered by area.
    """
    sizes = boxes[:, 2:] - boxes[:, :2]
    ordered = sizes[np.argsort(sizes.prod(axis=1), kind="stable")]
    # Fewer than nine boxes stand for several anchors each.
    spread = ordered[np.linspace(0, len(ordered) - 1, max(len(ordered), NUM_ANCHORS)).round().astype(int)]
    return np.stack([np.median(part, axis=0) for part in np.array_split(spread, NUM_ANCHORS)])


@dataclass(frozen=True)
class Targets:
    """Targets of one map for a batch.

    Args:
        is_box: (B, 3, h, w) cells and anchors that hold a true box.
        is_empty: (B, 3, h, w) those that should say "nothing".
        place: (B, 3, h, w, 4) centre within the cell in [0, 1], then log of size over anchor.
        classes: (B, 3, h, w, L) 0 or 1.
    """

    is_box: Tensor
    is_empty: Tensor
    place: Tensor
    classes: Tensor


def make_targets(boxes: list[Boxes], anchors: Tensor, maps: list[Tensor]) -> list[Targets]:
    """Each true box goes to the cell of its centre, at the one of nine anchors whose shape fits best.

    Args:
        boxes: B images, corners as shares of the image.
        anchors: (3, 3, 2).
        maps: Output of the head, for its shapes.

    Returns:
        One per map.
    """
    targets = [
        Targets(
            torch.zeros(output.shape[:4], dtype=torch.bool),
            torch.ones(output.shape[:4], dtype=torch.bool),
            torch.zeros(*output.shape[:4], 4),
            torch.zeros(*output.shape[:4], output.shape[4] - 5),
        )
        for output in maps
    ]
    flat = anchors.cpu().double().numpy().reshape(-1, 2)
    # Boxes at the origin: their IoU compares shapes and not places.
    shapes = np.concatenate([np.zeros_like(flat), flat], axis=1)
    for image, true in enumerate(boxes):
        for corners, label in zip(true.corners, true.labels, strict=True):
            size = corners[2:] - corners[:2]
            fit = box_iou(np.append(np.zeros(2), size)[None], shapes)[0]
            for number, overlap in enumerate(fit):
                scale, anchor = divmod(number, ANCHORS_PER_SCALE)
                is_best = number == int(fit.argmax())
                # Anchors that fit nearly as well are not told to be empty, or the head would be pushed both ways.
                if is_best or overlap > IGNORE_IOU:
                    _mark(targets[scale], (image, anchor), corners, int(label), flat[number], is_box=is_best)
    device = maps[0].device
    return [Targets(*(part.to(device) for part in vars(target).values())) for target in targets]


def _mark(
    target: Targets,
    where: tuple[int, int],
    corners: NDArray[Any],
    label: int,
    anchor: NDArray[np.float64],
    *,
    is_box: bool,
) -> None:
    rows, columns = target.is_box.shape[2:]
    x, y = (corners[:2] + corners[2:]) / 2 * (columns, rows)
    # A centre on the right or lower edge belongs to the last cell.
    cell = (*where, min(int(y), rows - 1), min(int(x), columns - 1))
    target.is_empty[cell] = False
    if is_box:
        # The head says by how much a box stretches its anchor, as a logarithm; a box of no size is cut off.
        size = np.log(np.maximum(corners[2:] - corners[:2], 1e-6) / np.maximum(anchor, 1e-6))
        target.is_box[cell] = True
        target.place[cell] = torch.tensor([x - cell[3], y - cell[2], *size.clip(-MAX_STRETCH, MAX_STRETCH)])
        target.classes[cell] = 0.0  # a second box in the same cell replaces the first
        target.classes[cell][label] = 1.0


def yolo_loss(maps: list[Tensor], targets: list[Targets]) -> Tensor:
    """Centre and size, objectness, and class, summed over the true boxes and divided by their number.

    Args:
        maps: Output of the head.
        targets: As from `make_targets`.

    Returns:
        () at least 0; with no box in the batch, the objectness alone.

    Source: YOLOv3 with the weights of MGCA. Differs: MGCA divides by the number of all cells, which are mostly empty.
    """
    # Summed over three scales, each of which holds some of the true boxes.
    total = maps[0].new_zeros(())
    num_boxes = max(1, sum(int(target.is_box.sum()) for target in targets))
    for output, target in zip(maps, targets, strict=True):
        found, wanted = output[target.is_box], target.place[target.is_box]  # (K, 5+L), (K, 4)
        center = F.binary_cross_entropy_with_logits(found[:, :2], wanted[:, :2], reduction="sum")
        size = F.mse_loss(found[:, 2:4], wanted[:, 2:4], reduction="sum")
        is_object = F.softplus(-found[:, 4]).sum()
        # softplus(x) is −log(1 − σ(x)), and softplus(−x) is −log σ(x).
        is_nothing = F.softplus(output[..., 4][target.is_empty]).sum()
        kind = F.binary_cross_entropy_with_logits(found[:, 5:], target.classes[target.is_box], reduction="sum")
        total = total + PLACE_WEIGHT * (center + size) + is_object + EMPTY_WEIGHT * is_nothing + kind
    return total / num_boxes


def decode(maps: list[Tensor], anchors: Tensor, *, min_score: float, max_overlap: float) -> list[Boxes]:
    """Boxes of a batch, without duplicates.

    Args:
        maps: Output of the head for B images.
        anchors: (3, 3, 2).
        min_score: Objectness times class probability below it is dropped.
        max_overlap: IoU with a surer box of the class above it is dropped.

    Returns:
        B images, corners as shares of the image in [0, 1], at most 100 boxes each, the surest first.
    """
    parts = [_decode_map(output.float().cpu(), shape.cpu()) for output, shape in zip(maps, anchors, strict=True)]
    corners, scores = (torch.cat(kind, dim=1).numpy() for kind in zip(*parts, strict=True))  # (B, K, 4), (B, K, L)
    images = []
    for image in range(len(corners)):
        # A cell may hold two classes; each is a box of its own.
        place, label = np.nonzero(scores[image] >= min_score)
        score, box = scores[image][place, label], corners[image][place]
        kept = suppress(box, score, label, max_overlap=max_overlap)[:MAX_DETECTIONS]
        images.append(Boxes(box[kept], label[kept], score[kept]))
    return images


def suppress(
    corners: NDArray[Any], scores: NDArray[Any], labels: NDArray[Any], *, max_overlap: float
) -> NDArray[np.intp]:
    """Positions of the boxes that no surer box of their class overlaps by more than `max_overlap`, surest first.

    Args:
        corners: (K, 4).
        scores: (K,).
        labels: (K,).
        max_overlap: IoU in [0, 1].

    Source: greedy non-maximum suppression, as `torchvision.ops.batched_nms`, which needs torchvision.
    """
    kept = []
    # Stable, so that equal scores keep the order of the cells on every machine.
    left = np.argsort(-scores, kind="stable")
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        overlap = box_iou(corners[[best]], corners[left])[0]
        left = left[(overlap <= max_overlap) | (labels[left] != labels[best])]
    return np.array(kept, dtype=np.intp)


def _decode_map(output: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 3, h, w, 5+L) -> corners (B, K, 4) and scores (B, K, L)."""
    rows, columns = output.shape[2:4]
    grid = torch.stack(torch.meshgrid(torch.arange(columns), torch.arange(rows), indexing="xy"), dim=-1)  # (h, w, 2)
    center = (output[..., :2].sigmoid() + grid) / torch.tensor([columns, rows])
    # (B, 3, h, w, 2); clamped, as exp of an untrained output may overflow.
    half = output[..., 2:4].clamp(-MAX_STRETCH, MAX_STRETCH).exp() * anchors[None, :, None, None] / 2
    corners = torch.cat([center - half, center + half], dim=-1).clamp(0, 1)
    # (B, 3, h, w, L): is there anything, times what it is.
    scores = output[..., 4:5].sigmoid() * output[..., 5:].sigmoid()
    return corners.flatten(1, 3), scores.flatten(1, 3)


def _convolution(before: int, after: int, kernel: int) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.LeakyReLU(0.1))
