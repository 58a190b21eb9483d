"""Mixtures at test: what becomes of a trained model when other experts answer than its gate chose."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pedclip.models.mobe import MixtureOfBodyExperts, mobe_batched

Mixture = Literal["gate", "top-1", "truncated", "uniform", "label", "other label"]
MIXTURES: Final[tuple[Mixture, ...]] = get_args(Mixture)
_TRUNCATED: Final = 0.1  # gate weights below it are dropped; a gate that is sure of one expert loses nothing

Reweigh = Callable[[Tensor], Tensor]  # (B, E) gates → (B, E) gates


def blocks_with_experts(model: Any) -> list[MixtureOfBodyExperts]:
    """The mixtures of a model, from the first block to the last."""
    return [one for one in model.modules() if isinstance(one, MixtureOfBodyExperts)]


@contextmanager
def reweighed(model: Any, reweigh: Reweigh) -> Iterator[None]:
    """In the block all mixtures of a model weigh their experts by other gates.

    The gate logits stay what they are; only the weights of Eq. 2 change. For frozen models: the outputs are computed a
    second time.

    Args:
        model: With experts.
        reweigh: (B, E) softmax of the gate to the weights that are used instead.
    """

    def hook(module: nn.Module, given: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        assert isinstance(module, MixtureOfBodyExperts)
        # What the block was given, and the logits that it returned.
        tokens, logits = given[0], output[1]  # (B, T, C) and (B, E)
        gates = reweigh(logits.softmax(-1))
        return mobe_batched(tokens, gates, module.w1, module.b1, module.w2, module.b2), logits

    # Hooks, so that the model has no switch which serves ablations alone.
    hooks = [one.register_forward_hook(hook) for one in blocks_with_experts(model)]
    try:
        yield
    finally:
        for one in hooks:
            one.remove()


def weights_of(mixture: Mixture, labels: Tensor | None = None) -> Reweigh:
    """Weights of a named mixture.

    Args:
        mixture: "gate" is Eq. 1; "top-1" its largest weight alone; "truncated" without those below 0.1, the rest as it
            is; "uniform" 1/E each, whatever the film shows; "label" the expert of the film's own label, which no user
            knows; "other label" the next expert after it, the control that must fail where experts differ.
        labels: (B,) expert of each film of the batch, for the last two.

    Raises:
        ValueError: An unknown mixture, or no labels.
    """
    if mixture not in MIXTURES:
        raise ValueError(f"mixture={mixture!r} is not allowed: one of {MIXTURES}")
    # Labels are known to a test and never to a user.
    if "label" in mixture and labels is None:
        raise ValueError(f"mixture={mixture!r} needs the label of each film")

    def reweigh(gates: Tensor) -> Tensor:
        experts = gates.shape[1]
        if mixture == "top-1":
            return F.one_hot(gates.argmax(-1), experts).to(gates.dtype)
        # The largest weight always stays, or an unsure gate would leave nothing.
        if mixture == "truncated":
            return gates * ((gates >= _TRUNCATED) | (gates == gates.amax(-1, keepdim=True)))
        if mixture == "uniform":
            # As if the gate were not there.
            return torch.full_like(gates, 1 / experts)
        if labels is not None and mixture != "gate":
            # The next one round the end: a wrong expert, and the same for all films of a region.
            chosen = labels if mixture == "label" else (labels + 1) % experts
            return F.one_hot(chosen.to(gates.device), experts).to(gates.dtype)
        return gates

    return reweigh


def without(expert: int) -> Reweigh:
    """Weights with one expert removed and the others made to sum to 1 again."""

    def reweigh(gates: Tensor) -> Tensor:
        # The caller may need the gates again.
        kept = gates.clone()
        kept[:, expert] = 0
        # A gate that is sure of the removed expert leaves rounding errors, which are then blown up: all others alike.
        total = kept.sum(-1, keepdim=True)  # (B, 1)
        others = torch.full_like(gates, 1 / max(1, gates.shape[1] - 1))
        others[:, expert] = 0
        return torch.where(total > 1e-6, kept / total.clamp_min(1e-6), others)

    return reweigh


def only(expert: int) -> Reweigh:
    """Weights with one expert for all films."""

    def reweigh(gates: Tensor) -> Tensor:
        return F.one_hot(torch.full_like(gates[:, 0], expert, dtype=torch.long), gates.shape[1]).to(gates.dtype)

    return reweigh
