"""Matching of prototypes: with which of the other side each one is compared, where equal numbers mean nothing (E13)."""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from pedclip.retrieval.config import Match

Weigh = Callable[[Tensor, Tensor], Tensor]  # (B, N, K) cosines and (N, K) present -> (B, N)

_LARGEST: Final = 2**25  # cosines held at once where every prototype meets every other
_SHORTEST: Final = 1e-12  # squared length below which a mean of unit vectors has no direction


def matched_confidence(
    image: Tensor, text: Tensor, mask: Tensor, *, match: Match, temperature: float, weigh: Weigh
) -> Tensor:
    """Confidence of every film with every report, a group of films at a time.

    "index" compares prototype k with prototype k. "max" compares each prototype with the best of the other side, and
    "attention" with a mean of the other side, to which each prototype adds by the softmax of its cosine. Both look from
    the film and from the report, and take the mean. The lower the temperature, the nearer is attention to the best.

    Args:
        image: (B, K, D) unit prototypes.
        text: (N, K, D) likewise, zero where absent.
        mask: (N, K) True where present, at least once in each row.
        match: Who meets whom.
        temperature: Divisor of the cosines in the softmax of "attention", above 0.
        weigh: Makes one number of the K cosines of each pair; it must pass over absent ones.

    Returns:
        (B, N).

    Source: PECM, Eq. 6. Differs: decision E13. The attention is that of Lee et al., Stacked Cross Attention for
        Image-Text Matching (ECCV 2018), in both directions at once.
    """
    num_prototypes = text.shape[1]
    # Films stay together by as many as fit into memory with all reports.
    rows = max(1, _LARGEST // (len(text) * num_prototypes * (1 if match == "index" else num_prototypes)))
    found = []  # (b, N) each
    for films in torch.split(image, rows):
        sides = matched_cosines(films, text, mask, match=match, temperature=temperature)
        found.append(torch.stack([weigh(*side) for side in sides]).mean(0))
    return torch.cat(found)


def matched_cosines(
    films: Tensor, text: Tensor, mask: Tensor, *, match: Match, temperature: float
) -> tuple[tuple[Tensor, Tensor], ...]:
    """Cosine of each prototype with what it meets, from each side that looks; arguments as of `matched_confidence`.

    Returns:
        The film's side and, unless prototypes are paired by index, the report's: each (b, N, K) cosines and (N, K) True
        where they count.
    """
    if match == "index":
        return ((torch.einsum("bkd,nkd->bnk", films, text), mask),)
    of_image, of_text = _attended(films, text, mask, temperature) if match == "attention" else _best(films, text, mask)
    everywhere = torch.ones_like(mask)  # a film lacks nothing
    return (of_image, everywhere), (of_text, mask)


def best_partners(films: Tensor, text: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Number of the prototype that each one meets by "max": the lowest of equals.

    Args:
        films: (B, K, D) unit prototypes.
        text: (N, K, D) likewise, zero where absent.
        mask: (N, K) True where present.

    Returns:
        (B, N, K) of the report for each of the film, and (B, N, K) of the film for each of the report; those of absent
        prototypes mean nothing.
    """
    cosines, present = _every_cosine(films, text, mask)
    return present.argmax(3), cosines.argmax(2)


def wide(values: Tensor) -> Tensor:
    """Values (…,) in float32 at least: a cosine in bf16 moves in steps of 0.004."""
    # A double stays one, for gradient checks.
    return values.to(torch.promote_types(values.dtype, torch.float32))


def unit(values: Tensor) -> Tensor:
    """Vectors (…, D) of length 1 in the precision of `wide`; those of length 0 stay 0."""
    return F.normalize(wide(values), dim=-1)


def _every_cosine(films: Tensor, text: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    # (b, N, K, K), the film's prototypes in front, and the same without absent ones, which are nobody's best.
    cosines = torch.einsum("bkd,nld->bnkl", films, text)
    return cosines, cosines.masked_fill(~mask[None, :, None, :], -torch.inf)


def _best(films: Tensor, text: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    # Of each prototype its highest cosine with the other side, both (b, N, K).
    cosines, present = _every_cosine(films, text, mask)
    # The own rows of absent ones stay 0, a number that the weights can pass over.
    return present.amax(3), cosines.amax(2)


def _attended(films: Tensor, text: Tensor, mask: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    # Of each prototype its cosine with what it attends to, both (b, N, K).
    cosines = torch.einsum("bkd,nld->bnkl", films, text)
    logits = cosines / temperature
    to_text = logits.masked_fill(~mask[None, :, None, :], -torch.inf).softmax(3)
    of_image = _cosine_of_mean(to_text, cosines, text @ text.transpose(1, 2))  # Gram matrices (N, K, K)
    # The same from the other side: (b, N, K, K) with the report's prototypes in front.
    to_image = logits.transpose(2, 3).softmax(3)
    of_text = _cosine_of_mean(to_image, cosines.transpose(2, 3), (films @ films.transpose(1, 2))[:, None])
    return of_image, of_text


def _cosine_of_mean(fractions: Tensor, cosines: Tensor, gram: Tensor) -> Tensor:
    # With mean m = Σ_l a_l·v_l, cos(u, m) = Σ_l a_l·cos(u, v_l) / |m| and |m|² = aᵀ·G·a: no mean is ever made, which
    # would be (b, N, K, D).
    squared = ((fractions @ gram) * fractions).sum(3)
    return (fractions * cosines).sum(3) / squared.clamp(min=_SHORTEST).sqrt()
