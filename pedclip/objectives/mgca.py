"""MGCA: film and report are aligned as wholes, word by patch, and by the prototypes to which they are assigned."""

from typing import Final, Literal, get_args

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from pedclip.models.image import ImageFeatures
from pedclip.models.pedclip import PedCLIP
from pedclip.models.text import TextFeatures
from pedclip.objectives.base import FeatureBatch, Objective
from pedclip.objectives.contrastive import gathered_info_nce, rows_of_all_ranks, unit_vectors, widened
from pedclip.objectives.heads import normalized_head
from pedclip.objectives.local_alignment import attention_weights
from pedclip.objectives.text_units import merge_tokens
from pedclip.objectives.tokens import Tokens

Variant = Literal["paper", "code"]
VARIANTS: Final = get_args(Variant)
SMOOTHNESS: Final = 0.05  # ε of the assignment to prototypes; lower is harder
ITERATIONS: Final = 3  # of Sinkhorn's algorithm
FIXED_EPOCHS: Final = 1  # in which prototypes stay as they were drawn
LOWEST, HIGHEST = 0.1, 0.9  # quantiles to which attention is clipped


class MGCAObjective(Objective):
    """λ₁ ITA + λ₂ CTA + λ₃ CPA: instances, tokens and prototypes of both sides agree.

    Args:
        model: The dual encoder.
        variant: "paper" averages the two directions of ITA and the two sides of CTA, and compares patches with their
            contexts by cosines. "code" adds them up, so that prototypes count half as much beside them, and leaves the
            contexts of a ViT's patches shorter than 1.
        width: D of the joint spaces, at least 1.
        hidden_width: Of the heads, at least 1.
        num_prototypes: P, at least 2.
        temperature: Divisor of the cosines of film and report, above 0, as for the next two.
        local_temperature: Of those of words and patches, both in their attention and in their loss.
        prototype_temperature: Of those with the prototypes.
        lambda_1: Weight of ITA, at least 0. The release is run with 1, 1 and 1 as in the paper, while the signature of
            its class says 1, 0.7 and 0.5.
        lambda_2: Weight of CTA, at least 0.
        lambda_3: Weight of CPA, at least 0.
        mask_equal_texts: Pairs with the same excerpt are no negatives in ITA (decision P15).

    Raises:
        ValueError: An option has a value that is not allowed.

    Source: MGCA, sections on instance-wise, token-wise and disease-level alignment; heads, clipping and temperatures
        as in its released code. Differs:

        - Words are those with a letter or digit. [SEP], which the release aligns as a last word, is none. Padding takes
          part neither in the denominators nor in the batch statistics of the heads, as it does there.
        - Words ask patches, and patches words, by plain products, as the release does by default; its other attention,
          with learned projections, is left out.
        - Encoders are this project's (the text encoder is not cut to six layers) and so is the crop of the films.
        - Over several ranks, ITA has the negatives, and the assignment the films, of all of them; batch statistics are
          of one rank, as released.
        - While prototypes are fixed, their gradient is 0 instead of absent, since DDP waits for it. Adam's first steps
          with them are then up to three times as long.
    """

    has_local_head = True

    def __init__(
        self,
        model: PedCLIP,
        *,
        variant: Variant = "paper",
        width: int = 128,
        hidden_width: int = 2048,
        num_prototypes: int = 500,
        temperature: float = 0.07,
        local_temperature: float = 0.1,
        prototype_temperature: float = 0.2,
        lambda_1: float = 1.0,
        lambda_2: float = 1.0,
        lambda_3: float = 1.0,
        mask_equal_texts: bool = False,
    ) -> None:
        super().__init__(model)
        # Options arrive from files as well: a misspelt one must not pass for a default.
        _require(variant in VARIANTS, "variant", variant, f"one of {VARIANTS}")
        for name, size in (("width", width), ("hidden_width", hidden_width)):
            _require(size >= 1, name, size, "at least 1")
        _require(num_prototypes >= 2, "num_prototypes", num_prototypes, "at least 2")
        self.temperature, self.local_temperature = temperature, local_temperature
        self.prototype_temperature = prototype_temperature
        for name in ("temperature", "local_temperature", "prototype_temperature"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        self.lambdas = (lambda_1, lambda_2, lambda_3)
        for number, weight in enumerate(self.lambdas, start=1):
            _require(weight >= 0, f"lambda_{number}", weight, "at least 0")
        self.variant, self.mask_equal_texts = variant, mask_equal_texts
        image, text = model.image_encoder, model.text_encoder
        self.image_head, self.patch_head = (
            normalized_head(size, hidden_width, width) for size in (image.width, image.local_width)
        )
        self.report_head, self.word_head = (normalized_head(text.width, hidden_width, width) for _ in range(2))
        self.prototypes = nn.Linear(width, num_prototypes, bias=False)

    def embed_image(self, image: ImageFeatures) -> Tensor:
        """(B, D) unit vectors: the image token behind its head."""
        return unit_vectors(self.image_head(image.pooled))

    def embed_patches(self, image: ImageFeatures, as_films: ImageFeatures) -> Tensor:
        """(B, S, D) unit vectors of places behind their head; S as of ``local_grid``.

        The partners that this head was trained with are words behind theirs, not whole reports as of ``embed_text``.
        """
        patches = image.patches
        return _embedded(self.patch_head, patches, patches.new_ones(patches.shape[:2], dtype=torch.bool))

    def embed_text(self, text: TextFeatures, tokens: Tokens) -> Tensor:
        """(N, D) unit vectors: [CLS] behind its head."""
        return unit_vectors(self.report_head(text.tokens[:, 0]))

    def forward(self, features: FeatureBatch) -> dict[str, Tensor]:
        """Parts of the loss, each () and unweighted: ``ita``, ``cta`` and ``cpa``; ``loss`` is their weighted sum."""
        image, text = self.embed_image(features.image), self.embed_text(features.text, features.tokens)
        text_ids = features.text_ids if self.mask_equal_texts else None
        ita = gathered_info_nce(image, text, temperature=self.temperature, text_ids=text_ids)
        cta = self._tokens_agree(features)
        if self.variant == "code":
            # Sums of both directions and of both sides where the paper has means.
            ita, cta = 2 * ita, 2 * cta
        cpa = self._prototypes_agree(image, text, features.epoch)
        parts = (ita, cta, cpa)
        loss = torch.stack([weight * part for weight, part in zip(self.lambdas, parts, strict=True)]).sum()
        return {"ita": ita, "cta": cta, "cpa": cpa, "loss": loss}

    def _tokens_agree(self, features: FeatureBatch) -> Tensor:
        """() mean of the alignments of words and of patches (CTA)."""
        numbers = features.tokens.words
        words, mask = merge_tokens(features.text.tokens, numbers)  # (B, U, C) and (B, U)
        words = _embedded(self.word_head, words, mask)  # (B, U, D)
        patches = self.embed_patches(features.image, features.image)  # (B, S, D)
        everywhere = torch.ones(patches.shape[:2], dtype=torch.bool, device=patches.device)  # (B, S)
        # Weights say which tokens matter; they are no way to make the loss small.
        with torch.no_grad():
            attention, _ = merge_tokens(
                features.text.attention.mean(1), numbers
            )  # (B, U): of a word, of all its pieces
            word_weights = importance(attention, mask)
            seen = features.image.attention  # (B, heads, S)
            patch_weights = importance(everywhere.to(patches.dtype) if seen is None else seen.mean(1), everywhere)
        temperature = self.local_temperature
        of_words = token_alignment(words, patches, word_weights, temperature=temperature, mask=mask)
        # The release leaves out the division by the length where its encoder is a ViT.
        is_unit = self.variant == "paper" or seen is None
        of_patches = token_alignment(
            patches, words, patch_weights, temperature=temperature, other_mask=mask, unit_contexts=is_unit
        )
        return (of_words + of_patches) / 2

    def _prototypes_agree(self, image: Tensor, text: Tensor, epoch: float) -> Tensor:
        """() mean cross-entropy of each side's prototypes against the other side's assignment (CPA)."""
        with torch.no_grad():
            self.prototypes.weight.copy_(F.normalize(self.prototypes.weight, dim=-1))
        # A copy, so that the next division in place leaves this graph alone.
        prototypes = self.prototypes.weight.clone()  # (P, D)
        if epoch < FIXED_EPOCHS:
            # In the graph, since DDP waits for a gradient of every parameter.
            prototypes = prototypes.detach() + 0 * prototypes
        # Scores of 1 become e²⁰ below, which is beyond half precision.
        with torch.autocast(image.device.type, enabled=False):
            image_scores, text_scores = image @ prototypes.t(), text @ prototypes.t()  # (B, P)
            # Swapped: the report predicts where the film belongs, and the other way round.
            of_text = F.cross_entropy(text_scores / self.prototype_temperature, balanced_assignment(image_scores))
            of_image = F.cross_entropy(image_scores / self.prototype_temperature, balanced_assignment(text_scores))
        return (of_text + of_image) / 2


def importance(attention: Tensor, mask: Tensor) -> Tensor:
    """Weights of tokens: their attention without its extremes.

    Args:
        attention: (B, U) at least 0.
        mask: (B, U) True on tokens, at least one per row.

    Returns:
        (B, U), rows sum to 1; 0 on padding.

    Source: MGCA as released: clipped to the 10 % and 90 % quantiles of its row, then divided by the sum.

    Example:
        >>> importance(torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([[True, True, False]])).tolist()
        [[0.5, 0.5, 0.0]]
    """
    attention = widened(attention)  # quantiles know no half precision
    # NaN on padding, which is no token and moves no quantile.
    known = attention.masked_fill(~mask, torch.nan)
    low, high = (known.nanquantile(share, dim=1, keepdim=True) for share in (LOWEST, HIGHEST))  # (B, 1)
    # A token may look at nothing but itself: then no other one matters more than another.
    clipped = attention.clamp(low, high).clamp(min=torch.finfo(attention.dtype).tiny).masked_fill(~mask, 0.0)
    return clipped / clipped.sum(1, keepdim=True)


def token_alignment(
    tokens: Tensor,
    others: Tensor,
    weights: Tensor,
    *,
    temperature: float,
    mask: Tensor | None = None,
    other_mask: Tensor | None = None,
    unit_contexts: bool = True,
) -> Tensor:
    """Contrastive loss of the tokens of a pair and their contexts: what each of them sees on the other side.

    The negatives of a token are the contexts of the other tokens of the same film or report.

    Args:
        tokens: (B, U, D) unit vectors.
        others: (B, V, D) unit vectors of the other side.
        weights: (B, U) of the tokens, rows sum to 1; 0 on padding.
        temperature: Divisor of the cosines, above 0.
        mask: (B, U) True on tokens; None is all of them.
        other_mask: (B, V) True on what may be seen; None is all of it.
        unit_contexts: Divide contexts by their length.

    Returns:
        () mean of both directions, token to context and context to token, in nats.

    Source: MGCA, cross-attention-based token-wise alignment: α = softmax_p(w · p / τ), c = Σ α p, and the cross-entropy
        of w_k · c_l / τ over l, and over k.
    """
    # As for whole films: bf16 rounds such logits to steps of 0.06.
    with torch.autocast(tokens.device.type, enabled=False):
        attention = attention_weights(tokens, others, temperature=temperature, patch_mask=other_mask)
        contexts = attention @ others  # (B, U, V) · (B, V, D) → (B, U, D)
        if unit_contexts:
            contexts = F.normalize(contexts, dim=-1)
        scores = tokens @ contexts.transpose(1, 2) / temperature  # (B, U, U)
    rows = columns = scores
    if mask is not None:
        # Padding is nobody's negative. It keeps its own place, so that no softmax is over nothing.
        itself = torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
        rows = scores.masked_fill(~(mask[:, None, :] | itself), -torch.inf)
        columns = scores.masked_fill(~(mask[:, :, None] | itself), -torch.inf)
    # Both (B, U) after the diagonal: −log of the softmax at a token's own context, and at a context's own token.
    own = rows.log_softmax(2).diagonal(dim1=1, dim2=2) + columns.log_softmax(1).diagonal(dim1=1, dim2=2)
    return -(weights * own).sum(1).mean() / 2


def balanced_assignment(scores: Tensor) -> Tensor:
    """Assignment of a batch to prototypes such that all prototypes get about as many.

    Args:
        scores: (B, P) cosines of this rank; the balance is that of all ranks.

    Returns:
        (B, P) shares, rows sum to 1, without gradient.

    Source: MGCA, disease-level alignment, after SwAV: Q = exp(scores / ε), then rows and columns are scaled in turn,
        ε = 0.05, three times.

    Example:
        >>> balanced_assignment(torch.eye(3)).round().tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    with torch.no_grad():
        logits = rows_of_all_ranks(scores.detach()) / SMOOTHNESS  # (W·B, P)
        # A constant factor changes no share, and this one keeps the powers small.
        shares = (logits - logits.max()).exp()
        for _ in range(ITERATIONS):
            # To 1 / P for each prototype, then to 1 / B for each film; only the proportions matter.
            shares = shares / shares.sum(0, keepdim=True)
            shares = shares / shares.sum(1, keepdim=True)
        is_distributed = distributed.is_available() and distributed.is_initialized()
        first = distributed.get_rank() * len(scores) if is_distributed else 0
        return shares[first : first + len(scores)]


def _embedded(head: nn.Module, tokens: Tensor, mask: Tensor) -> Tensor:
    """(B, U, D) unit vectors of (B, U, C) tokens, 0 on padding, which the batch statistics never see."""
    rows = unit_vectors(head(tokens[mask]))  # (M, D), M the tokens of the batch
    return rows.new_zeros(*mask.shape, rows.shape[-1]).masked_scatter(mask[..., None], rows)


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise ValueError(f"{name}={value!r} is not allowed: {allowed}")
