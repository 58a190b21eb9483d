"""Expert assignment: the gate learns the body region."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def expert_assignment(gate_logits: Sequence[Tensor], region: Tensor) -> Tensor:
    """Cross-entropy of the gate against the region label, averaged over MoBE blocks.

    Takes logits: cross-entropy applied to gate scores that already went through a softmax cannot fall below
    ln(e + E - 1) - 1 (2.208 nats for 23 experts) however right the gate is.

    Args:
        gate_logits: One (B, E) tensor per MoBE block.
        region: (B,) labels in 0…E-1.

    Returns:
        () nats; log(E) for an undecided gate.

    Raises:
        ValueError: There is no MoBE block.

    Source: PedCLIP, section 2.3, ℓ_G = CE(s, x_b). Differs: mean over blocks when there are several.

    Example:
        >>> round(float(expert_assignment([torch.zeros(2, 23)], torch.tensor([0, 5]))), 3)
        3.135
    """
    if not gate_logits:
        raise ValueError("gate_logits is empty: the model has no MoBE block; train it with lambda_gate=0")
    # cross_entropy is −log softmax(logits)[x_b], the softmax of Eq. 1 taken once, here.
    # Per block (B, E) and (B,) → (); stacked (blocks,) → ().
    return torch.stack([F.cross_entropy(logits, region) for logits in gate_logits]).mean()
