"""Attention of words to patches, which the objectives with a local term share.

GLoRIA, MGCA and PRIOR ask the same question: what does a word see in this film? The answer is a weighted sum of patch
features, the word's context. They differ in the weights alone, and in what they do with the context.
"""

from typing import Final, Literal, get_args

import torch
from torch import Tensor

Weighting = Literal["softmax", "competing", "sigmoid"]
WEIGHTINGS: Final = get_args(Weighting)
_SHORTEST: Final = 1e-8  # length of a vector below which its cosines shrink


def attention_weights(
    words: Tensor,
    patches: Tensor,
    *,
    temperature: float | Tensor,
    weighting: Weighting = "softmax",
    word_mask: Tensor | None = None,
    patch_mask: Tensor | None = None,
) -> Tensor:
    """Weight of every patch in the context of every word.

    Leading dimensions broadcast. (B, T, C) with (B, S, C) pairs each text with its own film; words of shape
    (1, N, T, C) and patches of shape (M, 1, S, C) meet in all M · N combinations.

    Args:
        words: (…, T, C) queries.
        patches: (…, S, C) keys.
        temperature: Divisor of the scores, above 0; lower is sharper.
        weighting: "softmax" over the patches; "competing": the words share out each patch in a softmax of their own
            before, at temperature 1; "sigmoid": each pair by itself, weights that add up to nothing in particular.
        word_mask: (…, T) True on words, False on padding; None is all words. Padding must not compete.
        patch_mask: (…, S) True on patches that may be seen; None is all of them.

    Returns:
        (…, T, S) in [0, 1]; the rows of padded words mean nothing.

    Raises:
        ValueError: ``weighting`` has another value.

    Source: with r a patch and k a word, "softmax": α_kr = softmax_r(w_k·v_r / τ), MGCA, cross-attention token-wise
        alignment (τ = 0.1, unit vectors). "competing": a_rk = softmax_k(v_r·w_k), α_kr = softmax_r(a_rk / τ), GLoRIA
        as released (τ = 1/4); the first softmax is in its code, not in its paper. "sigmoid": α_kr = σ(w_k·v_r / τ),
        PRIOR, local alignment (τ = √C, after projections of its own).
    """
    # A misspelt weighting would otherwise be the softmax, silently.
    if weighting not in WEIGHTINGS:
        raise ValueError(f"weighting={weighting!r} is not allowed: one of {WEIGHTINGS}")
    # Not matmul, which would copy every film once per text where leading dimensions broadcast.
    scores = torch.einsum("...tc,...sc->...ts", words, patches)
    if weighting == "competing":
        if word_mask is not None:
            # −∞ for a padded word: its share of every patch is 0, and the shares of the others are as without it.
            scores = scores.masked_fill(~word_mask[..., :, None], -torch.inf)
        scores = scores.softmax(-2)  # over the words: each column of (…, T, S) sums to 1
    scores = scores / temperature
    if patch_mask is not None:
        # −∞ becomes weight 0 in a softmax and in a sigmoid alike.
        scores = scores.masked_fill(~patch_mask[..., None, :], -torch.inf)
    return scores.sigmoid() if weighting == "sigmoid" else scores.softmax(-1)


def local_similarities(
    words: Tensor,
    patches: Tensor,
    *,
    temperature: float | Tensor,
    weighting: Weighting = "softmax",
    word_mask: Tensor | None = None,
    patch_mask: Tensor | None = None,
) -> Tensor:
    """Cosine of every word with its context, the part of the film that it attends to.

    With the roles exchanged (patches as ``words``, words as ``patches``, the padding in ``patch_mask``) it is the
    cosine of every patch with its part of the text.

    Args:
        words: (…, T, C).
        patches: (…, S, C).
        temperature: See ``attention_weights``, as for the next three.
        weighting: "softmax", "competing" or "sigmoid".
        word_mask: (…, T) True on words; at least one per text.
        patch_mask: (…, S) True on patches that may be seen; at least one per film.

    Returns:
        (…, T) in [-1, 1]; 0, without gradient, on padding.

    Source: c_k = Σ_r α_kr v_r and cos(w_k, c_k): GLoRIA, local contrastive loss, before words are summed up as
        log Σ_k exp(5 cos).

    Example:
        >>> word, patches = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> round(float(local_similarities(word, patches, temperature=0.1)), 4)
        1.0
    """
    weights = attention_weights(
        words,
        patches,
        temperature=temperature,
        weighting=weighting,
        word_mask=word_mask,
        patch_mask=patch_mask,
    )
    contexts = torch.einsum("...ts,...sc->...tc", weights, patches)
    similarities = _cosines(words, contexts)  # (…, T)
    return similarities if word_mask is None else similarities.masked_fill(~word_mask, 0.0)


def _cosines(words: Tensor, contexts: Tensor) -> Tensor:
    """(…, T) cosines of (…, T, C) vectors, whose leading dimensions broadcast."""
    # cosine_similarity would write all words anew for every film.
    products: Tensor = torch.einsum("...tc,...tc->...t", words, contexts)
    # A word of length 0 is padding: its cosine is 0, not NaN.
    lengths: list[Tensor] = [vectors.norm(dim=-1).clamp(min=_SHORTEST) for vectors in (words, contexts)]
    return products / (lengths[0] * lengths[1])
