"""Logistic regression for many labels or classes at once, along a path of penalties.

All labels share one product with the features per step. The features are rotated to their principal axes and each axis
is scaled by the curvature it has, so that L-BFGS needs a few steps where it needs hundreds on correlated features.
Where weak penalties let the labels be separated that curvature is gone, and Newton's steps go on from there.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pedclip.evaluation.downstream.newton import Curved, newton
from pedclip.evaluation.tasks.task import LabelKind

TOLERANCE: Final = 1e-3  # of the gradient, where L-BFGS ends


GAP: Final = 1e-3  # share of the objective that may be left


MAX_STEPS: Final = 200


_LOGGER: Final = logging.getLogger(__name__)


INVERSE_PENALTIES: Final = tuple(10.0**power for power in range(-4, 3))


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
    gap: float = GAP,
    device: str = "cpu",
) -> list[Linear]:
    """The minimum of sum of losses + |w|² / (2 C) for each C, on standardized features; the bias is free.

    Args:
        features: (N, C); a column that never changes gets no weight.
        targets: (N, L) 0, 1 or NaN (left out of that label) for "multi-label", (N,) class numbers for "multi-class".
        penalties: Values of C, each above 0, from small to large: each start is the solution before.
        kind: One sigmoid per label, or one softmax.
        num_classes: L for "multi-class".
        tolerance: Of the scaled gradient at which L-BFGS hands over, per root of the number of images.
        gap: Share of the objective that may be left, by Newton's decrement; where more is, a warning is logged.
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
    loss, share, problem = _loss(targets, kind, num_classes, device)
    ones = torch.cat([rotated, torch.ones_like(rotated[:, :1])], dim=1)  # (N, C+1)
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
        ridge = torch.full((len(squares) + 1, 1), 1 / penalty, dtype=torch.float64, device=device)
        ridge[-1] = 0
        both, left = newton(ones, problem, torch.cat([weight, bias[None]]), ridge, gap=gap)
        weight, bias = both[:-1], both[-1]
        if float(left) > gap:
            _LOGGER.warning("logistic regression at C = %g: %.1g of the objective may be left", penalty, float(left))
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
) -> tuple[Callable[[Tensor], Tensor], Tensor, Curved]:
    """Sum of losses as a function of logits (N, L), the share of positives (L,), and the losses with derivatives."""
    if kind == "multi-class":
        classes = torch.as_tensor(np.asarray(targets), dtype=torch.int64, device=device)
        share = torch.bincount(classes, minlength=num_classes).double() / len(classes)
        return lambda logits: F.cross_entropy(logits, classes, reduction="sum"), share, _softmax(classes, num_classes)
    labels = torch.as_tensor(np.asarray(targets, dtype=np.float64), device=device)
    is_known = ~labels.isnan()
    known = torch.where(is_known, labels, 0.0)
    share = known.sum(dim=0) / is_known.sum(dim=0).clamp(min=1)

    def loss(logits: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, known, weight=is_known.double(), reduction="sum")

    # A label with one answer has no minimum; without its losses it gets no weight.
    has_both = (share > 0) & (share < 1)
    return loss, share, _sigmoids(known, (is_known & has_both).double())


def _sigmoids(known: Tensor, weight: Tensor) -> Curved:
    """Labels (N, L), each a problem of its own; those of weight 0 are unknown."""

    def curve(logits: Tensor) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        chance = logits.sigmoid()
        second = weight * chance * (1 - chance)  # (N, L)
        return lambda direction: second * direction, second

    def losses(logits: Tensor) -> Tensor:
        return (weight * (F.softplus(logits) - known * logits)).sum(dim=0)

    return Curved(True, losses, lambda logits: weight * (logits.sigmoid() - known), curve)


def _softmax(classes: Tensor, num_classes: int) -> Curved:
    """Classes (N,) as one problem."""
    truth = F.one_hot(classes, num_classes).double()

    def curve(logits: Tensor) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        chance = logits.softmax(dim=1)  # (N, L)

        def product(direction: Tensor) -> Tensor:
            weighted = chance * direction
            return weighted - chance * weighted.sum(dim=1, keepdim=True)

        return product, chance * (1 - chance)

    def losses(logits: Tensor) -> Tensor:
        return F.cross_entropy(logits, classes, reduction="sum").view(1)

    return Curved(False, losses, lambda logits: logits.softmax(dim=1) - truth, curve)
