"""The protocol of a training objective: what it is given, what it owns, what it returns.

One training step is the same for every published method: view → encode → objective → step. The training loop knows the
frame only; views, heads and losses are the objective's own, so a rival of PedCLIP is one more file of this folder.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pedclip.models.image import ImageFeatures
from pedclip.models.pedclip import PedCLIP
from pedclip.models.text import TextFeatures
from pedclip.objectives.tokens import Tokens
from pedclip.triplets.transforms import Preprocess, to_pixels


@dataclass(frozen=True)
class FeatureBatch:
    """Everything an objective may read of one batch; row i of every field belongs to the same triplet.

    Attributes:
        image: Of the image encoder: embedding (B, D), gate logits, patches and attention on demand.
        text: Of the text encoder: embedding (B, D), tokens (B, T, C), all hidden states.
        tokens: What the text encoder read: ids, mask, words and sentences, (B, T) each.
        regions: (B,) labels in 0…E-1.
        labels: (B, L) 1 for the region and each finding that a film is labelled with, 0 elsewhere.
        text_ids: (B,) integers, equal for equal excerpts over the whole training split.
        temperature: () divisor of the cosines, the model's own; carries a gradient where it is learned.
        epoch: Passes done so far, with fraction.
        pixels: (B, 3, H, W) normalized, which the image encoder read; None where nobody kept them.
    """

    image: ImageFeatures
    text: TextFeatures
    tokens: Tokens
    regions: Tensor
    labels: Tensor
    text_ids: Tensor
    temperature: Tensor
    epoch: float
    pixels: Tensor | None = None


class Objective(nn.Module, ABC):
    """A training objective with its heads and its views of film and excerpt.

    Heads are ordinary submodules: the optimizer trains them and a resumable checkpoint holds them. The encoders are no
    part of an objective, since they are trained, stored and loaded whatever it is.

    Args:
        model: The dual encoder; its widths size the heads. It is not kept.

    Attributes:
        has_cosine: The objective trains a joint space, so that cosines in it mean something. False where
            ``pair_scores`` is all there is: nothing is measured by ``embed_image`` and ``embed_text`` then.
        has_local_head: ``embed_patches`` reads ``ImageFeatures.patches`` through a head of its own, in the
            rows and columns of the image encoder's ``local_grid``; of a residual network it is finer than its ``grid``.
    """

    has_cosine: bool = True
    has_local_head: bool = False

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

    def text_view(self, tokens: Tokens, *, generator: torch.Generator) -> Tokens:
        """Tokens to train on; by default the whole excerpt. Several rivals draw one sentence of it.

        Args:
            tokens: (B, T) of the excerpts.
            generator: Source of all randomness of the step, on the CPU; the image view has drawn from it before.

        Returns:
            (B, T'), T' at most T.
        """
        # The excerpt is already about one body part (PedCLIP, Fig. 2): nothing is left out of it.
        return tokens

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

    def embed_image(self, image: ImageFeatures) -> Tensor:
        """Films in the space in which this objective compares them: (B, D) unit vectors, by default the encoder's.

        Args:
            image: Of B films.
        """
        return image.embedding

    def embed_patches(self, image: ImageFeatures, as_films: ImageFeatures) -> Tensor:
        """Places of films in the same space: (B, S, D) unit vectors, by default each as if it were a whole film.

        Args:
            image: Of B films.
            as_films: ``pooled`` (B · S, C) and ``embedding`` (B · S, D) of their places, film by film.
        """
        embedded = self.embed_image(as_films)  # (B · S, D)
        return embedded.view(len(image.dense), -1, embedded.shape[-1])

    def embed_text(self, text: TextFeatures, tokens: Tokens) -> Tensor:
        """Texts in the same space: (N, D) unit vectors, by default the encoder's.

        Args:
            text: Of N texts.
            tokens: What the encoder read.
        """
        return text.embedding

    def pair_scores(self, image: ImageFeatures, text: TextFeatures, tokens: Tokens) -> Tensor:
        """Score of every film with every text, higher for a better fit; by default the cosine in the joint space.

        A score may depend on its film and its text only, never on what else is in the batch.

        Args:
            image: Of B films.
            text: Of N texts.
            tokens: Of these texts.

        Returns:
            (B, N).
        """
        return self.embed_image(image) @ self.embed_text(text, tokens).t()
