"""ConVIRT: one sentence of a report against its film, through a non-linear head on either side."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

import torch
from torch import Tensor, nn

from pedclip.models.image import ImageFeatures
from pedclip.models.pedclip import PedCLIP
from pedclip.models.text import TextFeatures
from pedclip.objectives.base import FeatureBatch, Objective
from pedclip.objectives.contrastive import gathered_info_nce, unit_vectors
from pedclip.objectives.heads import normalized_head
from pedclip.objectives.text_units import TEXT_PARTS, TextPart, random_sentence
from pedclip.objectives.tokens import Tokens

Variant = Literal["paper", "code"]
VARIANTS: Final = get_args(Variant)


@dataclass(frozen=True)
class _Recipe:
    """Settings of a variant; ``scale`` times the weighted mean of both directions is the loss."""

    text: TextPart
    temperature: float
    image_weight: float
    scale: float


_RECIPES: Final[dict[str, _Recipe]] = {
    "paper": _Recipe("sentence", 0.1, 0.75, 1.0),
    # The sum of both directions is twice their mean.
    "code": _Recipe("excerpt", 0.07, 0.5, 2.0),
}


class ConVIRTObjective(Objective):
    """λ ℓ^v2u + (1 − λ) ℓ^u2v of the global embeddings v = g_v(film), u = g_u(text), cosines over τ.

    The authors released no code. "code" is the re-implementation beside MGCA, from which published comparisons take
    their ConVIRT.

    ============  ===========================================  ====================================================
    Variant       "paper"                                      "code"
    ============  ===========================================  ====================================================
    text feature  maximum over all tokens                      [CLS]
    heads         Linear, ReLU, Linear to 512                  Linear to 2048, BatchNorm, ReLU, Linear to 128,
                                                               BatchNorm without scale and shift
    loss          λ = 0.75, τ = 0.1                            sum of both directions, τ = 0.07
    text view     one random sentence                          the whole text
    ============  ===========================================  ====================================================

    Args:
        model: The dual encoder; its widths size the heads.
        variant: "paper" or "code".
        text: "sentence" or "excerpt", what is trained on; None takes that of the variant.
        temperature: τ, in (0, 1]; None takes that of the variant.
        mask_equal_texts: Pairs with the same excerpt are no negatives (decision P15).

    Raises:
        ValueError: An option has another value.

    Source: ConVIRT, Eq. 1 to 4 and its section on pre-training. Differs: encoders, crop and optimizer of this project;
        no flip, as reports name sides, and no other augmentation; the film feature is the image token, not a pooled
        map; a hidden layer of the paper's heads is as wide as its input, which the paper leaves open; no layer of the
        text encoder is frozen (in the paper the first 6); negatives of every rank. Batch statistics of "code" are those
        of one rank. A second public re-implementation sends no gradient to the text side; that is not offered.
    """

    def __init__(
        self,
        model: PedCLIP,
        *,
        variant: Variant = "paper",
        text: TextPart | None = None,
        temperature: float | None = None,
        mask_equal_texts: bool = False,
    ) -> None:
        super().__init__(model)
        if variant not in VARIANTS:
            raise ValueError(f"variant={variant!r} is not allowed: one of {VARIANTS}")
        recipe = _RECIPES[variant]
        # A part of the recipe may be exchanged alone, to tell what makes the difference.
        self.variant, self.mask_equal_texts = variant, mask_equal_texts
        self.text = recipe.text if text is None else text
        self.temperature = recipe.temperature if temperature is None else temperature
        if self.text not in TEXT_PARTS:
            raise ValueError(f"text={text!r} is not allowed: one of {TEXT_PARTS}, or None for that of the variant")
        if not 0 < self.temperature <= 1:
            raise ValueError(f"temperature={temperature!r} is not allowed: in (0, 1], or None for that of the variant")
        self.image_head = _head(model.image_encoder.width, variant)
        self.text_head = _head(model.text_encoder.width, variant)

    def text_view(self, tokens: Tokens, *, generator: torch.Generator) -> Tokens:
        """(B, T') tokens of one sentence of each excerpt, or of the whole."""
        # Drawn anew at every step, so that all sentences of a report are seen in the end.
        return random_sentence(tokens, generator=generator) if self.text == "sentence" else tokens

    def forward(self, features: FeatureBatch) -> dict[str, Tensor]:
        """``contrastive`` (), which is the ``loss``."""
        recipe = _RECIPES[self.variant]
        # (B, D) and (B, D) → (); the paper weighs the direction from film to text three times the other.
        contrastive = recipe.scale * gathered_info_nce(
            self.image_head(features.image.pooled),
            self.text_head(self._pooled(features.text, features.tokens)),
            temperature=self.temperature,
            text_ids=features.text_ids if self.mask_equal_texts else None,
            image_weight=recipe.image_weight,
        )
        return {"contrastive": contrastive, "loss": contrastive}

    def embed_image(self, image: ImageFeatures) -> Tensor:
        """(B, D) unit vectors behind the image head."""
        return unit_vectors(self.image_head(image.pooled))

    def embed_text(self, text: TextFeatures, tokens: Tokens) -> Tensor:
        """(N, D) unit vectors behind the text head."""
        return unit_vectors(self.text_head(self._pooled(text, tokens)))

    def _pooled(self, text: TextFeatures, tokens: Tokens) -> Tensor:
        """(N, C) feature of a text."""
        if self.variant == "code":
            # Row 0 is [CLS], as it leaves the last block.
            return text.tokens[:, 0]
        # Padding must not win the maximum.
        is_padding = tokens.attention_mask[..., None] == 0  # (N, T, 1)
        return text.tokens.masked_fill(is_padding, -torch.inf).amax(1)


def _head(width: int, variant: Variant) -> nn.Module:
    if variant == "paper":
        return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 512))
    return normalized_head(width, 2048, 128)
