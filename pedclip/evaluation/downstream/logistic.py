"""Logistic regression for many labels or classes at once, along a path of penalties.

All labels share one product with the features per step. The features are rotated to their principal axes and each axis
is scaled by the curvature it has, so that L-BFGS needs a few steps where it needs hundreds on correlated features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pedclip.evaluation.tasks.task import LabelKind

TOLERANCE: Final = 1e-3


MAX_STEPS: Final = 200


RARE: Final = 1e-3  # share of positives below which the curvature estimate is not trusted


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear map of features.

    Args:
        weight: (C, L).
        bias: (L,).
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def __call__(self, features: NDArray[Any]) -> NDArray[np.float64]:
        """(N, C) features -> (N, L) log-odds, or logits up to a constant per image."""
        scores: NDArray[np.float64] = np.asarray(features, dtype=np.float64) @ self.weight + self.bias
        return scores


def fit_path(
    features: NDArray[Any],
    targets: NDArray[Any],
    penalties: Sequence[float],
    *,
    kind: LabelKind,
    num_classes: int = 0,
    tolerance: float = TOLERANCE,
    device: str = "cpu",
) -> list[Linear]:
    """The minimum of sum of losses + |w|² / (2 C) for each C, on standardized features; the bias is free.

    Args:
        features: (N, C); a column that never changes gets no weight.
        targets: (N, L) 0, 1 or NaN (left out of that label) for "multi-label", (N,) class numbers for "multi-class".
        penalties: Values of C, each above 0, from small to large: each start is the solution before.
        kind: One sigmoid per label, or one softmax.
        num_classes: L for "multi-class".
        tolerance: Of the scaled gradient, per root of the number of images. At the default the objective is right to
            about one part in a thousand, except where weak penalties let the labels be separated, as where features
            outnumber images: nearly nothing is left of it then, and what is left may be several times its minimum.
        device: Where to compute, in float64.

    Returns:
        One map per penalty, of features as they were given.

    Source: scikit-learn's `LogisticRegression` has the same objective.
    """
    raw = torch.from_numpy(np.array(features, dtype=np.float64)).to(device)  # a copy: cached features are read-only
    mean, spread = raw.mean(dim=0), raw.std(dim=0, correction=0)
    spread = torch.where(spread > 1e-9 * (1 + mean.abs()), spread, torch.inf)
    standard = (raw - mean) / spread
    squares, axes = torch.linalg.eigh(standard.T @ standard)
    squares, rotated = squares.clamp(min=0), standard @ axes  # (C,), (N, C)
    loss, share = _loss(targets, kind, num_classes, device)
    curvature = (share * (1 - share)).clamp(min=RARE)  # (L,)
    weight = torch.zeros(len(squares), len(share), dtype=torch.float64, device=device)
    bias = torch.log(share.clamp(RARE, 1 - RARE)) - torch.log1p(-share.clamp(RARE, 1 - RARE))
    path = []
    for penalty in penalties:
        scale = (curvature * squares[:, None] + 1 / penalty).rsqrt()  # (C, L)
        bias_scale = (curvature * len(raw)).rsqrt()
        weight, bias = _minimize(
            rotated,
            loss,
            weight,
            bias,
            scale=scale,
            bias_scale=bias_scale,
            penalty=penalty,
            tolerance=tolerance * len(raw) ** 0.5,
        )
        back = (axes @ weight) / spread[:, None]
        path.append(Linear(back.cpu().numpy(), (bias - mean @ back).cpu().numpy()))
    return path


def _minimize(
    rotated: Tensor,
    loss: Callable[[Tensor], Tensor],
    weight: Tensor,
    bias: Tensor,
    *,
    scale: Tensor,
    bias_scale: Tensor,
    penalty: float,
    tolerance: float,
) -> tuple[Tensor, Tensor]:
    scaled, scaled_bias = (weight / scale).requires_grad_(), (bias / bias_scale).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [scaled, scaled_bias],
        max_iter=MAX_STEPS,
        history_size=20,
        tolerance_grad=tolerance,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        unscaled = scaled * scale
        total = loss(rotated @ unscaled + scaled_bias * bias_scale) + unscaled.square().sum() / (2 * penalty)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    return (scaled * scale).detach(), (scaled_bias * bias_scale).detach()


def _loss(
    targets: NDArray[Any], kind: LabelKind, num_classes: int, device: str
) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """Sum of losses as a function of logits (N, L), and the share of positives (L,)."""
    if kind == "multi-class":
        classes = torch.as_tensor(np.asarray(targets), dtype=torch.int64, device=device)
        share = torch.bincount(classes, minlength=num_classes).double() / len(classes)
        return lambda logits: F.cross_entropy(logits, classes, reduction="sum"), share
    labels = torch.as_tensor(np.asarray(targets, dtype=np.float64), device=device)
    is_known = ~labels.isnan()
    known = torch.where(is_known, labels, 0.0)
    share = known.sum(dim=0) / is_known.sum(dim=0).clamp(min=1)

    def loss(logits: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, known, weight=is_known.double(), reduction="sum")

    return loss, share


INVERSE_PENALTIES: Final = tuple(10.0**power for power in range(-4, 3))
