"""GLoRIA: films against reports as wholes, and words against the places in the film that they attend to."""

from typing import Final, Literal, get_args

import torch
from torch import Tensor, nn

from pedclip.models.image import ImageFeatures
from pedclip.models.pedclip import PedCLIP
from pedclip.models.text import TextFeatures
from pedclip.objectives.base import FeatureBatch, Objective
from pedclip.objectives.contrastive import gathered_info_nce, logits_nce, unit_vectors, widened
from pedclip.objectives.local_alignment import local_similarities
from pedclip.objectives.text_units import TEXT_PARTS, TextPart, merge_tokens, random_sentence
from pedclip.objectives.tokens import NOTHING, Tokens

Variant = Literal["paper", "code"]
VARIANTS: Final = get_args(Variant)
LAYERS: Final = 4  # of the text encoder, from the end, that are added up
# The paper and its code print the inverse of the temperatures: 4, 5 and 10.
ATTENTION_TEMPERATURE: Final = 1 / 4
WORD_TEMPERATURE: Final = 1 / 5
LOSS_TEMPERATURE: Final = 1 / 10
_MOST_VALUES: Final = 16_000_000  # of one intermediate tensor of pair_scores, 64 MB in single precision


class GLoRIAObjective(Objective):
    """Contrastive loss of global embeddings plus contrastive loss of a matching score of words and places.

    With words w_k and places v_r, α_kr the attention of word k to place r and c_k = Σ_r α_kr v_r, the score of a film
    and a text is Z = log Σ_k exp(cos(w_k, c_k) / τ_w), τ_w = 1/5. Both losses add up the two directions, at τ = 1/10.

    ============  ======================================  =============================================================
    Variant       "paper"                                 "code"
    ============  ======================================  =============================================================
    attention     softmax over places of 4 w_k·v_r        softmax over places of 4 a_kr, a softmax over words of w_k·v_r
    score         τ_w Z, a soft maximum of the cosines    Z, whose logits are five times as large
    words         the words                               [CLS] counts as a word in training, not in ``pair_scores``
    pair_scores   τ_w Z and the global cosine, averaged   max_k cos(w_k, c_k) / τ_w and the global cosine, averaged
    ============  ======================================  =============================================================

    Args:
        model: The dual encoder; films are mapped into the width of its text encoder.
        variant: "paper" or "code", as released.
        text: "sentence" trains on one random sentence, as the released configuration; "excerpt" on the whole.
        local_weight: Of the local loss, at least 0; the global one has 1.
        mask_equal_texts: Pairs with the same excerpt are no negatives (decision P15).

    Raises:
        ValueError: An option has another value.

    Source: GLoRIA, sections 3.2 and 3.3 (attention, matching function, global and local loss). Differs: encoders, crop
        and optimizer of this project, no flip and no other augmentation; places are the patch tokens of the ViT; fewer
        than 4 layers of text are all added up, embeddings never; words are without punctuation, which the released
        code strips from the text before; global negatives of every rank, local ones of one rank. Of the released
        zero-shot score, the padding that enters the maximum is not repeated; neither are the maximum over the prompts
        of a class, in place of the mean, and the z-score over the test batch, by which a film's score would depend on
        the films beside it.
    """

    has_local_head = True

    def __init__(
        self,
        model: PedCLIP,
        *,
        variant: Variant = "paper",
        text: TextPart = "sentence",
        local_weight: float = 1.0,
        mask_equal_texts: bool = False,
    ) -> None:
        super().__init__(model)
        if variant not in VARIANTS:
            raise ValueError(f"variant={variant!r} is not allowed: one of {VARIANTS}")
        if text not in TEXT_PARTS:
            raise ValueError(f"text={text!r} is not allowed: one of {TEXT_PARTS}")
        if not local_weight >= 0:
            raise ValueError(f"local_weight={local_weight!r} is not allowed: at least 0")
        self.variant, self.text = variant, text
        self.local_weight, self.mask_equal_texts = local_weight, mask_equal_texts
        # The text side has no head: films come to the words, not both to a third space.
        width = model.text_encoder.width
        self.global_head = nn.Linear(model.image_encoder.width, width)
        self.local_head = nn.Linear(model.image_encoder.local_width, width, bias=False)  # the 1×1 convolution

    def text_view(self, tokens: Tokens, *, generator: torch.Generator) -> Tokens:
        """(B, T') tokens of one sentence of each excerpt, or of the whole."""
        return random_sentence(tokens, generator=generator) if self.text == "sentence" else tokens

    def forward(self, features: FeatureBatch) -> dict[str, Tensor]:
        """``global`` and ``local``, each the sum of both directions, and ``loss``, all ()."""
        text_ids = features.text_ids
        whole = 2 * gathered_info_nce(
            self.global_head(features.image.pooled),
            _mean_of_tokens(features.text, features.tokens),
            temperature=LOSS_TEMPERATURE,
            text_ids=text_ids if self.mask_equal_texts else None,
        )
        words, word_mask = self._words(features.text, features.tokens, with_cls=self.variant == "code")
        logits = self._matching(self.local_head(features.image.patches), words, word_mask) / LOSS_TEMPERATURE  # (B, B)
        # One matrix serves both directions: rows are films that look for a text, columns texts that look for a film.
        local = 2 * logits_nce(
            logits,
            logits.t(),
            torch.arange(len(logits), device=logits.device),
            same_text=text_ids[:, None] == text_ids if self.mask_equal_texts else None,
        )
        return {"global": whole, "local": local, "loss": whole + self.local_weight * local}

    def embed_image(self, image: ImageFeatures) -> Tensor:
        """(B, D) unit vectors of the global half."""
        return unit_vectors(self.global_head(image.pooled))

    def embed_patches(self, image: ImageFeatures, as_films: ImageFeatures) -> Tensor:
        """(B, S, D) unit vectors of places behind the local head, in the space of the words; S as of ``local_grid``."""
        return unit_vectors(self.local_head(image.patches))

    def embed_text(self, text: TextFeatures, tokens: Tokens) -> Tensor:
        """(N, D) unit vectors of the global half."""
        return unit_vectors(_mean_of_tokens(text, tokens))

    def pair_scores(self, image: ImageFeatures, text: TextFeatures, tokens: Tokens) -> Tensor:
        """(B, N) mean of the local score and the global cosine.

        In "code" the local half is in [-5, 5] and outweighs the global one five times; as released.
        """
        patches = self.local_head(image.patches)  # (B, S, C)
        words, word_mask = self._words(text, tokens, with_cls=False)
        # A text costs its weights, (B, T, S), and its contexts, (B, T, C).
        values = words.shape[1] * len(patches) * (patches.shape[1] + patches.shape[2])
        count = max(1, _MOST_VALUES // values)
        local = [
            self._matching(
                patches,
                words[start : start + count],
                word_mask[start : start + count],
                is_hard=self.variant == "code",
            )
            for start in range(0, len(words), count)
        ]
        return (torch.cat(local, dim=1) + super().pair_scores(image, text, tokens)) / 2

    def _words(self, text: TextFeatures, tokens: Tokens, *, with_cls: bool) -> tuple[Tensor, Tensor]:
        """(N, T, C) features of the words of texts, pieces added up, and their (N, T) mask."""
        numbers = tokens.words
        if with_cls:
            # Word 0 is [CLS] then, and the others move up by one.
            numbers = torch.where(numbers == NOTHING, NOTHING, numbers + 1)
            numbers[:, 0] = 0
        return merge_tokens(_layers(text), numbers)

    def _matching(self, patches: Tensor, words: Tensor, word_mask: Tensor, *, is_hard: bool = False) -> Tensor:
        """(B, N) scores of (B, S, C) films with (N, T, C) texts by their words."""
        # Ten times a log-sum-exp of five times a cosine: a step of bf16 would be half a nat.
        with torch.autocast(patches.device.type, enabled=False):
            patches, words = widened(patches), widened(words)
            cosines = local_similarities(
                words[None],
                patches[:, None],
                temperature=ATTENTION_TEMPERATURE,
                weighting="competing" if self.variant == "code" else "softmax",
                word_mask=word_mask[None],
            )
            # (B, N, T), every film against every text; exp(−∞) = 0 keeps padding out of the sum and of the maximum.
            scaled = (cosines / WORD_TEMPERATURE).masked_fill(~word_mask, -torch.inf)
            matched = scaled.amax(-1) if is_hard else scaled.logsumexp(-1)
            return WORD_TEMPERATURE * matched if self.variant == "paper" else matched


def _layers(text: TextFeatures) -> Tensor:
    """(N, T, C) sum of the last layers."""
    # The first hidden state is the embedding layer, which has read no neighbour.
    return torch.stack(text.hidden[1:][-LAYERS:]).sum(0)


def _mean_of_tokens(text: TextFeatures, tokens: Tokens) -> Tensor:
    """(N, C) mean over all tokens, special ones included as in the released code."""
    mask = tokens.attention_mask[..., None].to(text.tokens.dtype)  # (N, T, 1)
    return (_layers(text) * mask).sum(1) / mask.sum(1)
