"""MedCLIP: films and sentences are matched as far as their labels agree, not as far as they are of one study."""

import math
from typing import Final, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pedclip.models.image import ImageFeatures
from pedclip.models.pedclip import PedCLIP
from pedclip.models.text import TextFeatures
from pedclip.objectives.base import FeatureBatch, Objective
from pedclip.objectives.contrastive import rows_of_all_ranks, unit_vectors
from pedclip.objectives.text_units import TEXT_PARTS, TextPart, random_sentence
from pedclip.objectives.tokens import Tokens

Variant = Literal["paper", "code"]
VARIANTS: Final = get_args(Variant)
LAYERS: Final = (1, 2)  # hidden states that are averaged with the last one; 0 is the embedding layer
FIRST_LOG_SCALE: Final = math.log(1 / 0.07)
LARGEST_LOG_SCALE: Final = 4.6052  # ln 100, rounded as released


class MedCLIPObjective(Objective):
    """Soft contrastive loss whose targets are the likenesses of labels.

    Two films with the same finding, and the sentences about them, are no negatives of each other.

    Args:
        model: The dual encoder.
        variant: "paper" compares labels by their cosine, "code" by how many they share: the raw products of the
            release give films with several findings sharper targets.
        text: "sentence" trains on one random sentence, as released; "excerpt" on the whole.
        width: D of the joint space, at least 1.
        mask_padding: Leave padding out of the mean over tokens. False averages it as the release does; the embedding
            of a text then depends on the longest text beside it.

    Raises:
        ValueError: An option has a value that is not allowed.

    Source: MedCLIP, section 3 (semantic matching loss), and its released code for the hidden states, the widths and
        the bounds of the scale. Differs:

        - The labels are the region and the findings of a film, 1 or 0, in place of 14 findings of the chest in
          {-1, 0, 1}. A sentence has the labels of its film: there is no list of labelled sentences beyond the chest.
        - Films and sentences come in pairs; neither a film nor a sentence without a partner is drawn in addition.
        - A sentence is drawn among all of a text, not only among those of more than four words, and there is no second,
          randomly worded copy of it.
        - Films are cropped as in the rest of this project: no flip (reports name sides), no jitter, no affine map.
        - A film is read at the image token of this project's encoder, not in the mean over a Swin's places. A text
          encoder of one layer gives that layer in place of layer 2.
        - Padding is masked out (``mask_padding``).
        - Over several ranks the columns are those of the joint batch.
    """

    def __init__(
        self,
        model: PedCLIP,
        *,
        variant: Variant = "paper",
        text: TextPart = "sentence",
        width: int = 512,
        mask_padding: bool = True,
    ) -> None:
        super().__init__(model)
        # Options arrive from files as well: a misspelt one must not pass for a default.
        if variant not in VARIANTS:
            raise ValueError(f"variant={variant!r} is not allowed: one of {VARIANTS}")
        if text not in TEXT_PARTS:
            raise ValueError(f"text={text!r} is not allowed: one of {TEXT_PARTS}")
        if width < 1:
            raise ValueError(f"width={width!r} is not allowed: at least 1")
        self.variant, self.text, self.mask_padding = variant, text, mask_padding
        self.image_head = nn.Linear(model.image_encoder.width, width, bias=False)
        self.text_head = nn.Linear(model.text_encoder.width, width, bias=False)
        # The method's own scale, whatever the temperature of the model is.
        self.log_scale = nn.Parameter(torch.tensor(FIRST_LOG_SCALE))

    def text_view(self, tokens: Tokens, *, generator: torch.Generator) -> Tokens:
        """(B, T') tokens of one sentence of each text, or of the whole."""
        return random_sentence(tokens, generator=generator) if self.text == "sentence" else tokens

    def embed_image(self, image: ImageFeatures) -> Tensor:
        """(B, D) unit vectors: the image token, projected."""
        return unit_vectors(self.image_head(image.pooled))

    def embed_text(self, text: TextFeatures, tokens: Tokens) -> Tensor:
        """(N, D) unit vectors: the mean over tokens and over three layers, projected."""
        mask = tokens.attention_mask if self.mask_padding else torch.ones_like(tokens.attention_mask)
        return unit_vectors(self.text_head(mean_over_tokens(text.hidden, mask)))

    def forward(self, features: FeatureBatch) -> dict[str, Tensor]:
        """Parts of the loss, each (): ``image_to_text``, ``text_to_image``, ``scale`` and ``entropy``.

        ``loss`` is the mean of the first two. It cannot fall below ``entropy``, that of the targets, in nats.
        """
        with torch.no_grad():
            # Of the parameter itself, as released: bounded in the graph alone, it would get no gradient to come back.
            self.log_scale.clamp_(0, LARGEST_LOG_SCALE)
        image = self.embed_image(features.image)
        text = self.embed_text(features.text, features.tokens)
        all_images, all_texts = rows_of_all_ranks(image), rows_of_all_ranks(text)  # (W·B, D)
        targets = soft_targets(features.labels, rows_of_all_ranks(features.labels), variant=self.variant)
        # bf16 would round logits near 14 to steps of 0.06.
        with torch.autocast(image.device.type, enabled=False):
            scale = self.log_scale.exp()
            image_to_text = F.cross_entropy(scale * (image @ all_texts.t()), targets)
            text_to_image = F.cross_entropy(scale * (text @ all_images.t()), targets)
        return {
            "image_to_text": image_to_text,
            "text_to_image": text_to_image,
            "scale": scale,
            "entropy": torch.special.entr(targets).sum(1).mean(),
            "loss": (image_to_text + text_to_image) / 2,
        }


def soft_targets(labels: Tensor, others: Tensor, *, variant: Variant) -> Tensor:
    """Shares in which a film belongs to the texts of a batch, or a text to its films.

    Args:
        labels: (B, L) of the rows.
        others: (M, L) of the columns.
        variant: "paper" compares by the cosine, in which case a row without labels is like all alike; "code" by the
            raw product.

    Returns:
        (B, M), rows sum to 1.

    Source: MedCLIP, semantic matching loss: y_ij = softmax_j(l_i · l_j), l of unit length in the paper.

    Example:
        >>> one, both = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
        >>> soft_targets(one, both, variant="code").tolist()
        [[0.5, 0.5]]
    """
    # Shared findings count in full precision: below it, 3 and 4 of them are soon alike.
    with torch.autocast(labels.device.type, enabled=False):
        if variant == "paper":
            labels, others = F.normalize(labels, dim=-1), F.normalize(others, dim=-1)
        return (labels @ others.t()).softmax(-1)  # (B, M)


def mean_over_tokens(hidden: tuple[Tensor, ...], mask: Tensor) -> Tensor:
    """Mean over tokens and over the first, the second and the last layer.

    Args:
        hidden: (B, T, C) each, the embedding layer first; at least one layer behind it.
        mask: (B, T), 1 on the tokens that count, at least one per text.

    Returns:
        (B, C).

    Source: MedCLIP as released.
    """
    # Where there are fewer layers, the last one stands in.
    chosen = [hidden[min(layer, len(hidden) - 1)] for layer in LAYERS] + [hidden[-1]]
    states = torch.stack(chosen).mean(0)  # (B, T, C)
    weights = mask.to(states.dtype)[..., None]  # (B, T, 1)
    # Not a product with 0: what stands on padding may be anything, even infinite.
    return states.masked_fill(weights == 0, 0.0).sum(1) / weights.sum(1)
