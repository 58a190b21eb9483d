"""The contrastive objective alone: PedCLIP without its gate loss."""

from torch import Tensor

from pedclip.models.pedclip import PedCLIP
from pedclip.objectives.base import FeatureBatch, Objective
from pedclip.objectives.contrastive import gathered_info_nce


class CLIPObjective(Objective):
    """Symmetric contrastive loss of the global embeddings, with the negatives of every rank.

    Experts, where the model has any, are then chosen by a gate that learns from this loss alone.

    Args:
        model: The dual encoder.
        mask_equal_texts: Pairs with the same words are no negatives (decision P15).

    Source: PedCLIP, Eq. 3 and Eq. 4.
    """

    def __init__(self, model: PedCLIP, *, mask_equal_texts: bool = False) -> None:
        super().__init__(model)  # no heads: what is compared are the embeddings of the model (decision P8)
        self.mask_equal_texts = mask_equal_texts

    def forward(self, features: FeatureBatch) -> dict[str, Tensor]:
        """``contrastive`` (), which is the ``loss``."""
        # (B, D) and (B, D) → (); over several ranks all of them give the negatives (decision P12).
        contrastive = gathered_info_nce(
            features.image.embedding,
            features.text.embedding,
            temperature=features.temperature,
            text_ids=features.text_ids if self.mask_equal_texts else None,
        )
        return {"contrastive": contrastive, "loss": contrastive}
