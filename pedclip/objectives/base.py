"""The protocol of a training objective: what it is given, what it owns, what it returns.

One training step is the same for every published method: view → encode → objective → step. The training loop knows the
frame only; views, heads and losses are the objective's own, so a rival of PedCLIP is one more file of this folder.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pedclip.models.image import ImageFeatures
from pedclip.models.pedclip import PedCLIP, TextFeatures
from pedclip.triplets.transforms import Preprocess, to_pixels


@dataclass(frozen=True)
class FeatureBatch:
    """Everything an objective may read of one batch; row i of every field belongs to the same triplet.

    Attributes:
        image: Of the image encoder: embedding (B, D), gate logits, patch tokens on demand.
        text: Of the text encoder: embedding (B, D), tokens (B, T, C).
        attention_mask: (B, T), 1 on text and 0 on padding.
        regions: (B,) labels in 0…E-1.
        text_ids: (B,) integers, equal for equal excerpts over the whole training split.
        temperature: () divisor of the cosines, the model's own; carries a gradient where it is learned.
        epoch: Passes done so far, with fraction.
    """

    image: ImageFeatures
    text: TextFeatures
    attention_mask: Tensor
    regions: Tensor
    text_ids: Tensor
    temperature: Tensor
    epoch: float


class Objective(nn.Module, ABC):
    """A training objective with its heads and its views of film and excerpt.

    Heads are ordinary submodules: the optimizer trains them and a resumable checkpoint holds them. The encoders are no
    part of an objective, since they are trained, stored and loaded whatever it is.

    Args:
        model: The dual encoder; its widths size the heads. It is not kept.
    """

    def __init__(self, model: PedCLIP) -> None:
        # Kept as a submodule, the model's weights would stand twice in every checkpoint and meet the optimizer twice.
        super().__init__()

    def image_view(self, films: Tensor, preprocess: Preprocess, *, generator: torch.Generator) -> Tensor:
        """Pixels to train on; by default the random crop of ``preprocess``.

        Args:
            films: (B, R, R) uint8.
            preprocess: Of the model.
            generator: Source of all randomness of the step, on the CPU.

        Returns:
            (B, 3, H, W) normalized pixels.
        """
        return to_pixels(films, preprocess, generator=generator)

    def text_view(
        self, input_ids: Tensor, attention_mask: Tensor, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Tokens to train on; by default the whole excerpt. Several rivals draw one sentence of it.

        Args:
            input_ids: (B, T) token ids.
            attention_mask: (B, T), 1 on text and 0 on padding.
            generator: Source of all randomness of the step, on the CPU; the image view has drawn from it before.

        Returns:
            Token ids and mask, both (B, T'), T' at most T.
        """
        # The excerpt is already about one body part (PedCLIP, Fig. 2): nothing is left out of it.
        return input_ids, attention_mask

    def assignment(self, regions: Tensor, epoch: float) -> Tensor | None:
        """Experts prescribed for this step: (B,) labels, or None (the default) where the gate decides.

        Args:
            regions: (B,) region labels.
            epoch: Passes done so far, with fraction.
        """
        return None

    @abstractmethod
    def forward(self, features: FeatureBatch) -> dict[str, Tensor]:
        """Losses of one batch by name, each () and in nats unless the objective says otherwise.

        Args:
            features: Both encoders' output for the views of this objective.

        Returns:
            ``loss``, which is minimized, and whatever else is worth a curve: its parts, accuracies, weights. All of
            them are logged.
        """
