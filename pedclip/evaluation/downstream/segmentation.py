"""Segmentation: a light decoder on frozen patch tokens, or a U-Net from the films, scored by Dice."""

import math
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pedclip.evaluation.downstream.fit import Schedule, fit_best, seeded
from pedclip.evaluation.metrics.per_image import dice
from pedclip.evaluation.result import ClassScore, Result, Scoring
from pedclip.evaluation.tasks.patient_split import Part, PatientSplit

WIDTHS: Final = (512, 256, 128, 64)
FOCAL_WEIGHT: Final = 10.0
FOCAL_POWER: Final = 2.0
DECODER_SCHEDULE: Final = Schedule(weight_decay=0.05)


class LightDecoder(nn.Module):
    """Patch tokens to one logit per pixel: per stage 3×3 convolution, batch normalization, ReLU and doubling.

    Args:
        width: C of the tokens.
        grid: Rows and columns of patches.
        widths: Channels of the stages; four of them undo a patch of 16 pixels.

    Source: MGCA's decoder for ViT (methods of PedCLIP, P25).
    """

    def __init__(self, width: int, grid: tuple[int, int], widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.grid = grid
        stages: list[nn.Module] = []
        for before, after in zip((width, *widths), widths, strict=False):
            stages += [
                # The bias would be taken out again by the batch normalization.
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            ]
        # One logit per pixel, at the size of the last stage.
        self.stages = nn.Sequential(*stages, nn.Conv2d((width, *widths)[-1], 1, 3, padding=1))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, S, C) -> (B, H, W) logits, H and W the grid times 2 per stage."""
        maps = tokens.transpose(1, 2).reshape(len(tokens), -1, *self.grid)  # (B, C, h, w)
        # (B, 1, H, W) -> (B, H, W)
        return self.stages(maps)[:, 0]  # type: ignore[no-any-return]


class UNet(nn.Module):
    """U-Net of segmentation-models-pytorch, trained from the films: what the frozen encoder is compared with.

    Its encoder is a ResNet-18 with random weights.

    Raises:
        ModuleNotFoundError: segmentation-models-pytorch is missing.
    """

    def __init__(self) -> None:
        super().__init__()
        try:
            from segmentation_models_pytorch import Unet
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "the U-Net needs segmentation-models-pytorch: pip install 'pedclip[segmentation]'"
            ) from error
        self.net = Unet("resnet18", encoder_weights=None, in_channels=1, classes=1)

    def forward(self, films: Tensor) -> Tensor:
        """(B, R, R) gray 0 to 255 -> (B, R, R) logits; R is padded to a multiple of 32 inside."""
        size = films.shape[-1]
        # Five halvings of the film; what is added is black, which is −1 here.
        margin = -size % 32
        # (B, 1, R', R')
        pixels = F.pad(films[:, None].float() / 127.5 - 1, (0, margin, 0, margin), value=-1.0)
        return self.net(pixels)[:, 0, :size, :size]  # type: ignore[no-any-return]


def segmentation_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Ten times the focal loss minus the logarithm of the soft Dice of the whole batch.

    Args:
        logits: (B, H, W).
        target: (B, H, W) 0 or 1.

    Returns:
        () at least 0.

    Source: MGCA's segmentation (methods of the baselines, section 4).
    """
    target = target.float()
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    # exp(−entropy) is the probability of the true answer: sure and right pixels, most of them outside, weigh little.
    focal = ((1 - torch.exp(-entropy)) ** FOCAL_POWER * entropy).mean()
    # (B, H, W) in (0, 1)
    inside = logits.sigmoid()
    # Over the batch, as one image may have no mask; the 1 defines the overlap of two empty ones.
    overlap = (2 * (inside * target).sum() + 1) / (inside.sum() + target.sum() + 1)
    return FOCAL_WEIGHT * focal - torch.log(overlap)


def segment(
    split: PatientSplit,
    *,
    scoring: Scoring,
    grid: tuple[int, int] | None = None,
    widths: tuple[int, ...] = WIDTHS,
    network: str = "decoder",
    schedule: Schedule = DECODER_SCHEDULE,
) -> Result:
    """Train on training, keep the best epoch on validation, score on test.

    Args:
        split: Patch tokens (N, S, C) for "decoder", films (N, R, R) for "unet"; masks (N, H, W) of 0 and 1. The films
            are those that the masks lie on: cropped as the masks are.
        scoring: Names and bootstrap.
        grid: Rows and columns of patches; None means a square.
        widths: Of the decoder.
        network: "decoder" or "unet".
        schedule: Of the training.

    Returns:
        The result, in Dice per image (two empty masks agree and count 1); as classes, the images with a mask and
        those without, because an empty image is easy or impossible, never in between. The baseline is the Dice of
        empty masks.

    Raises:
        ValueError: Another network, shapes that do not fit, or training masks that are all empty.
    """
    _check(split, network)
    # Weights depend on the seed alone, not on what ran before.
    with seeded(schedule.seed):
        module: nn.Module
        if network == "unet":
            module = UNet()
        else:
            num_patches, width = split.train.inputs.shape[1:]  # S, C
            module = LightDecoder(width, grid or square_grid(num_patches), widths)
    module.to(schedule.device)
    epoch = fit_best(
        module,
        schedule,
        lambda part, rows: _loss(module, part, rows, schedule.device),
        train=split.train,
        validation=split.validation,
    )
    masks = predict_masks(module, split.test, schedule)
    return _score(split, masks, scoring, {"network": network, "epoch": epoch, "seed": schedule.seed})


@torch.inference_mode()
def predict_masks(module: nn.Module, part: Part, schedule: Schedule) -> NDArray[np.bool_]:
    """(N, H, W) whether the probability of each pixel is at least one half, at the size of the true masks."""
    masks = np.zeros(part.truth.shape, dtype=np.bool_)
    for start in range(0, len(part), schedule.batch_size):
        rows = np.arange(start, min(start + schedule.batch_size, len(part)))
        # A logit of 0 is a probability of one half.
        masks[rows] = (_logits(module, part, rows, schedule.device) >= 0).cpu().numpy()
    return masks


def _logits(module: nn.Module, part: Part, rows: NDArray[np.intp], device: str) -> Tensor:
    # Tokens are stored in half precision, films as bytes.
    inputs = torch.from_numpy(np.asarray(part.inputs[rows], dtype=np.float32)).to(device)
    # (B, 1, H', W') -> (B, H, W) at the size of the masks.
    maps: Tensor = module(inputs)[:, None]
    return F.interpolate(maps, size=part.truth.shape[1:], mode="bilinear", align_corners=False)[:, 0]


def _loss(module: nn.Module, part: Part, rows: NDArray[np.intp], device: str) -> Tensor:
    target = torch.from_numpy(np.asarray(part.truth[rows], dtype=np.float32)).to(device)
    return segmentation_loss(_logits(module, part, rows, device), target)


def _score(split: PatientSplit, masks: NDArray[np.bool_], scoring: Scoring, settings: dict[str, Any]) -> Result:
    truth, patients = split.test.truth.astype(np.bool_), split.test.patients
    # (N,)
    has_mask = np.asarray(truth.reshape(len(truth), -1).any(axis=1))
    classes = []
    # Two empty masks score 1: films without a finding would hide how well the others are outlined.
    for name, rows in (("with a mask", has_mask), ("without a mask", ~has_mask)):
        score = scoring.bootstrap_if_possible(dice, truth[rows], masks[rows], patients[rows])
        classes.append(ClassScore(name, score, int(rows.sum()), len(rows)))
    return scoring.result(
        split,
        dice,
        masks,
        name="Dice",
        classes=classes,
        # Predicting nothing is right on every film without a mask.
        baseline=(float((~has_mask).mean()), "empty masks"),
        settings=settings,
    )


def square_grid(num_patches: int) -> tuple[int, int]:
    """Rows and columns of a square grid of patches; ValueError where the number is no square."""
    size = math.isqrt(num_patches)
    if size * size != num_patches:
        raise ValueError(f"{num_patches} patches are no square; pass grid=(rows, columns)")
    return size, size


def _check(split: PatientSplit, network: str) -> None:
    if network not in ("decoder", "unet"):
        raise ValueError(f"network must be 'decoder' or 'unet', got {network!r}")
    for part in (split.train, split.validation, split.test):
        if len(part) and (part.inputs.ndim != 3 or part.truth.ndim != 3):
            raise ValueError(
                "segmentation needs patch tokens (N, S, C) or films (N, R, R), and masks (N, H, W), "
                f"got {part.inputs.shape} and {part.truth.shape}"
            )
    # A decoder that sees no mask learns to draw none, and scores well by it.
    if not split.train.truth.any():
        raise ValueError("segmentation needs training masks; all of them are empty")
