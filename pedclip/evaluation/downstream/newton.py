"""Newton's method for logistic regression of many labels at once, where first-order steps no longer get on.

Each step solves its linear equations by conjugate gradients, so that no matrix of second derivatives is built.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

MAX_STEPS: Final = 60
MAX_PRODUCTS: Final = 150  # with the second derivatives, in one step
_PRECISION: Final = 0.2  # of a step, as a share of the residual
_HALVINGS: Final = 30  # of a step, before it counts as none


@dataclass(frozen=True, eq=False)
class Curved:
    """Losses as functions of logits.

    Args:
        is_separate: Each column of the logits is a problem of its own.
        losses: (N, L) logits -> (L,) sums, or (1,) where the columns are one problem.
        slope: (N, L) logits -> (N, L) first derivatives.
        curve: (N, L) logits -> a function of directions (N, L) -> (N, L), the product with second derivatives, and the
            (N, L) diagonal of them.
    """

    is_separate: bool
    losses: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    curve: Callable[[Tensor], tuple[Callable[[Tensor], Tensor], Tensor]]


def newton(inputs: Tensor, problem: Curved, start: Tensor, ridge: Tensor, *, gap: float) -> tuple[Tensor, Tensor]:
    """The minimum of losses + ridge · w² / 2.

    Args:
        inputs: (N, C) features, a column of ones among them for a bias.
        problem: The losses.
        start: (C, L) weights to begin with.
        ridge: (C, 1) of each feature, 0 for a bias.
        gap: Share of the objective that may be left.

    Returns:
        (C, L) weights, and the largest share of an objective that is still to be gained, by Newton's decrement.

    Source: Nocedal & Wright, Numerical Optimization (2006), algorithm 7.1 (line search Newton-CG).
    """
    weight = start
    logits, squares = inputs @ weight, inputs.square().T  # (N, L), (C, N)
    left = torch.full((1,), torch.inf, dtype=inputs.dtype)
    for _ in range(MAX_STEPS):
        gradient = inputs.T @ problem.slope(logits) + ridge * weight
        times_curve, diagonal = problem.curve(logits)
        scale = squares @ diagonal + ridge  # (C, L), the diagonal of the second derivatives
        objective = problem.losses(logits) + _sum(ridge * weight.square() / 2, problem.is_separate)
        step = _conjugate(inputs, times_curve, ridge, gradient, scale.clamp(min=1e-12), problem.is_separate)
        slope = _sum(gradient * step, problem.is_separate)  # (L,) or (1,), below 0
        left = -slope / 2 / objective.clamp(min=1e-12)
        if float(left.max()) <= gap:
            break
        weight, logits, moved = _search(inputs, problem, weight, logits, step, slope, objective, ridge)
        if not moved:
            break
    return weight, left.max()


def _sum(values: Tensor, is_separate: bool) -> Tensor:
    """(C, L) -> (L,) where columns are problems of their own, else (1,)."""
    total = values.sum(dim=0)
    return total if is_separate else total.sum().view(1)


def _conjugate(
    inputs: Tensor,
    times_curve: Callable[[Tensor], Tensor],
    ridge: Tensor,
    gradient: Tensor,
    scale: Tensor,
    is_separate: bool,
) -> Tensor:
    """(C, L) the step of Newton, nearly; what is missing the next step makes good."""
    step = torch.zeros_like(gradient)
    rest = -gradient
    scaled = rest / scale
    direction = scaled
    product = _sum(rest * scaled, is_separate)
    first = product.clamp(min=1e-300)
    for _ in range(MAX_PRODUCTS):
        if float((product / first).max()) <= _PRECISION**2:
            break
        curved = inputs.T @ times_curve(inputs @ direction) + ridge * direction
        length = product / _sum(direction * curved, is_separate).clamp(min=1e-300)
        step, rest = step + length * direction, rest - length * curved
        scaled = rest / scale
        following = _sum(rest * scaled, is_separate)
        direction, product = scaled + following / product.clamp(min=1e-300) * direction, following
    return step


def _search(
    inputs: Tensor,
    problem: Curved,
    weight: Tensor,
    logits: Tensor,
    step: Tensor,
    slope: Tensor,
    objective: Tensor,
    ridge: Tensor,
) -> tuple[Tensor, Tensor, bool]:
    """Weights and logits after a step that is halved, per problem, until the objective falls enough."""
    along = inputs @ step
    size = torch.ones_like(slope)
    for _ in range(_HALVINGS):
        new = weight + size * step
        found = logits + size * along
        value = problem.losses(found) + _sum(ridge * new.square() / 2, problem.is_separate)
        is_enough = value <= objective + 1e-4 * size * slope
        if bool(is_enough.all()):
            break
        size = torch.where(is_enough, size, size / 2)
    size = torch.where(is_enough, size, torch.zeros_like(size))
    return weight + size * step, logits + size * along, bool((size > 0).any())
