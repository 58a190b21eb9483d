"""A small convolutional network with three heads: region, findings, bone age."""

from itertools import pairwise
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.phantom_films import Films
from pedclip.anatomy import REGIONS
from pedclip.data.phantom import FINDINGS
from pedclip.triplets.transforms import Preprocess, to_pixels

STEM: Final = 16  # channels of the first convolution
STAGES: Final = ((32,), (64,), (128, 128), (192,))  # channels of the convolutions, each stage at half the side
POOLED: Final = 2  # last stages whose maps are pooled: a small lesion is lost in the coarsest one
SHIFT: Final = 1 / 12  # largest shift to either side together, as a share of the film
LEARNING_RATE: Final = 3e-3
WEIGHT_DECAY: Final = 0.05
BATCH: Final = 32
MONTHS: Final = 108.0  # half of the range of bone ages: the head predicts about -1 to 1


class SmallCNN(nn.Module):
    """Stages of convolution, group normalization and GELU; mean and largest response of the maps of the last two.

    Args:
        stages: Channels of the convolutions of each stage, multiples of 8.
    """

    def __init__(self, stages: tuple[tuple[int, ...], ...] = STAGES) -> None:
        super().__init__()
        before = STEM
        self.stem = _convolution(1, STEM, size=5, stride=2)
        self.stages = nn.ModuleList()
        for widths in stages:
            layers = [_convolution(*pair) for pair in pairwise((before, *widths))]
            self.stages.append(nn.Sequential(*layers))
            before = widths[-1]
        features = 2 * sum(widths[-1] for widths in stages[-POOLED:])
        self.region = nn.Linear(features, len(REGIONS))
        self.findings = nn.Linear(features, len(FINDINGS))
        self.bone_age = nn.Linear(features, 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast on a CPU

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 1, size, size) -> logits (B, 23), logits (B, F), bone age (B,) in units of 108 months about 108."""
        maps, pooled = self.stem(pixels), []
        for order, stage in enumerate(self.stages):
            maps = stage(F.max_pool2d(maps, 2) if order else maps)
            if order >= len(self.stages) - POOLED:
                # The largest response beside the mean, because a small lesion hardly moves a mean.
                pooled += [maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))]
        features = torch.cat(pooled, dim=1)
        return self.region(features), self.findings(features), self.bone_age(features)[:, 0]


def train(films: Films, *, epochs: int, seed: int) -> SmallCNN:
    """Train on films with random shifts as the only augmentation.

    Args:
        films: Of the training patients.
        epochs: Passes over the films, at least 1.
        seed: Of weights, order and shifts.

    Returns:
        The network. AdamW, one cycle of the learning rate, a fixed number of steps: nothing is chosen by validation.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SmallCNN()
    generator = torch.Generator().manual_seed(seed)
    batch = min(BATCH, len(films))
    steps = epochs * (len(films) // batch)
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=max(steps, 2), pct_start=0.2)
    occurs = torch.from_numpy(films.occurs)
    for _ in range(epochs):
        order = torch.randperm(len(films), generator=generator)
        for rows in order[: len(films) // batch * batch].numpy().reshape(-1, batch):
            pixels = _pixels(films, rows, generator)
            optimizer.zero_grad()
            _loss(model(pixels), films, rows, occurs[rows]).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return model.eval()


def predict(model: SmallCNN, films: Films) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Predictions for all films.

    Returns:
        (N,) indices of regions, (N, F) logits of findings, (N,) bone ages in months.
    """
    parts = []
    with torch.inference_mode():
        for rows in np.array_split(np.arange(len(films)), -(-len(films) // 256)):
            region, findings, bone_age = model(_pixels(films, rows, None))
            parts.append((region.argmax(1).numpy(), findings.numpy(), MONTHS * (1 + bone_age.numpy())))
    regions, logits, months = (np.concatenate(part) for part in zip(*parts, strict=True))
    return regions, logits, months


def _convolution(before: int, width: int, *, size: int = 3, stride: int = 1) -> nn.Sequential:
    kernel = nn.Conv2d(before, width, size, stride=stride, padding=size // 2, bias=False)
    return nn.Sequential(kernel, nn.GroupNorm(8, width), nn.GELU())


def _pixels(films: Films, rows: NDArray[np.int64], generator: torch.Generator | None) -> Tensor:
    """(B, 1, crop, crop): a random crop per film, or the middle one without a generator."""
    size = films.images.shape[-1]
    crop = Preprocess(size=size - round(size * SHIFT), resize=size)
    stored = torch.from_numpy(np.array(films.images[rows]))
    return to_pixels(stored, crop, generator=generator)[:, :1]


def _loss(outputs: tuple[Tensor, Tensor, Tensor], films: Films, rows: NDArray[np.int64], occurs: Tensor) -> Tensor:
    """Cross-entropy of the region, of the findings that can occur there, and smooth L1 where a bone age is known."""
    region, findings, bone_age = outputs
    loss = F.cross_entropy(region, torch.from_numpy(films.regions[rows]))
    per_finding = F.binary_cross_entropy_with_logits(findings, torch.from_numpy(films.findings[rows]), reduction="none")
    loss = loss + (per_finding * occurs).sum() / len(rows)
    target = torch.from_numpy(films.bone_age[rows]) / MONTHS - 1
    known = ~target.isnan()
    return loss + F.smooth_l1_loss(bone_age[known], target[known], beta=0.1, reduction="sum") / max(1, int(known.sum()))


def num_parameters(model: nn.Module) -> int:
    """Trainable numbers of a network."""
    return sum(parameter.numel() for parameter in model.parameters())
