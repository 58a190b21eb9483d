"""PedCLIP's own objective: contrastive loss, gate loss, and labels that choose the experts at first."""

from collections.abc import Callable

import torch
from torch import Tensor

from pedclip.models.pedclip import PedCLIP
from pedclip.objectives.assignment import expert_assignment
from pedclip.objectives.base import FeatureBatch
from pedclip.objectives.clip import CLIPObjective

# Of the epoch: λ of the gate loss, and True while labels choose the experts.
Schedule = Callable[[float], tuple[float, bool]]


class PedCLIPObjective(CLIPObjective):
    """ℓ = ½(ℓ^v2t + ℓ^t2v) + λ ℓ_G. A model without experts leaves the first term.

    Args:
        model: The dual encoder.
        mask_equal_texts: Pairs with the same words are no negatives (decision P15).
        schedule: λ and the teacher-forcing switch by epoch, such as ``pedclip.training.schedule.expert_schedule``;
            None keeps λ = 1 and lets the gate choose from the start.

    Source: PedCLIP, sections 2.3 and 3.1.
    """

    def __init__(self, model: PedCLIP, *, mask_equal_texts: bool = False, schedule: Schedule | None = None) -> None:
        super().__init__(model, mask_equal_texts=mask_equal_texts)
        # The length of a training is no matter of a loss, so the loop brings λ as a function of time.
        self.schedule = schedule or (lambda epoch: (1.0, False))

    def assignment(self, regions: Tensor, epoch: float) -> Tensor | None:
        """(B,) labels while teacher forcing lasts (decision P4), then None."""
        _, is_teacher_forced = self.schedule(epoch)
        return regions if is_teacher_forced else None

    def forward(self, features: FeatureBatch) -> dict[str, Tensor]:
        """``contrastive``, ``gate`` (unweighted), ``gate_accuracy``, ``lambda`` and ``loss``, each ()."""
        values = super().forward(features)
        gate_logits = features.image.gate_logits  # one (B, E) per MoBE block
        if not gate_logits:
            return values  # a plain ViT: nothing to assign
        weight, _ = self.schedule(features.epoch)
        # The gate is trained under teacher forcing too: the mixture ignores it then, and only this loss reaches it.
        gate = expert_assignment(gate_logits, features.regions)
        is_right = gate_logits[-1].argmax(-1) == features.regions  # (B,)
        return values | {
            "gate": gate,
            "gate_accuracy": is_right.float().mean(),
            "lambda": torch.tensor(weight),
            "loss": values["contrastive"] + weight * gate,
        }
