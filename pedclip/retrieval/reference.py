"""PECM's equations as they are printed, pair by pair and prototype by prototype: the oracle for the faster forms."""

import torch
from torch import Tensor

from pedclip.retrieval.pecm import PECM, Scores


def pecm_reference(
    pecm: PECM, image_prototypes: Tensor, text_prototypes: Tensor, *, text_mask: Tensor | None = None
) -> Scores:
    """Scores of `PECM.scores` for prototypes paired by index (``match`` is not read), computed literally.

    Args:
        pecm: Gives the weights and the switches.
        image_prototypes: (B, K, D) in the joint space.
        text_prototypes: (N, K, D) likewise.
        text_mask: (N, K) True where present; None for all.

    Returns:
        Three (B, N) scores.

    Source: PECM, Eq. 1 to 4, 6 and 7. Differs: absent prototypes (decision E12).
    """
    mask = torch.ones(text_prototypes.shape[:2], dtype=torch.bool) if text_mask is None else text_mask
    # One pair after the other, in the order of the rows of a (B, N) table.
    initial, confidence = [], []
    for film in image_prototypes:
        for report, present in zip(text_prototypes, mask, strict=True):
            initial.append(_initial(pecm, film, report, present))
            confidence.append(_confidence(pecm, film, report, present))
    shape = len(image_prototypes), len(text_prototypes)  # (B, N)
    initials, confidences = torch.stack(initial).view(shape), torch.stack(confidence).view(shape)
    return Scores(initials, confidences, pecm.final(initials, confidences), pecm.config.top_m)


def _cosine(first: Tensor, second: Tensor) -> Tensor:
    product: Tensor = first @ second  # Eq. 1
    cosine: Tensor = product / (first.norm() * second.norm())
    return cosine


def _initial(pecm: PECM, film: Tensor, report: Tensor, present: Tensor) -> Tensor:
    # Without PER, h is the global prototype (decision E18).
    if not pecm.config.per:
        return _cosine(film[-1], report[-1])
    # Eq. 4, both (D,): h_v = Σ_k w_k z_i^k and h_t = Σ_k w_k z_r^k with the same weights.
    h_v, h_t = torch.zeros_like(film[0]), torch.zeros_like(report[0])
    for k, weight in enumerate(pecm.weights):
        h_v = h_v + weight * (film[k] / film[k].norm() if pecm.config.norm_z else film[k])
        # A sentence that the report lacks adds nothing to it; a film has all of its regions.
        if present[k]:
            h_t = h_t + weight * (report[k] / report[k].norm() if pecm.config.norm_z else report[k])
    return _cosine(h_v, h_t)  # Eq. 3


def _confidence(pecm: PECM, film: Tensor, report: Tensor, present: Tensor) -> Tensor:
    # Eq. 6: (1/K) Σ_k sim(z_i^k, z_r^k) · w_k.
    weights, num_prototypes = pecm.weights, pecm.num_prototypes
    indices = [k for k in range(num_prototypes) if present[k]]
    cosines = {k: _cosine(film[k], report[k]) for k in indices}
    if pecm.config.w_mode == "per_pair" and pecm.config.dsce:
        # Decision E6: w of this pair is larger where it agrees, if β is positive; what is present shares all of it.
        powers = {k: torch.exp(pecm.theta[k] + pecm.beta * cosines[k]) for k in indices}
        mean = torch.stack([powers[k] * cosines[k] for k in indices]).sum() / torch.stack(list(powers.values())).sum()
        return mean * weights.sum() / num_prototypes
    total = torch.stack([cosines[k] * weights[k] for k in indices]).sum()
    if pecm.config.w_norm == "free":
        # Free weights have no total to keep: the mean is over fewer terms.
        return total / len(indices)
    # The weights that are left grow to the total of all.
    growth = weights.sum() / weights[indices].sum()
    return total * growth / num_prototypes
