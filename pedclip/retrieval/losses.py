"""PECM's three losses and their total, each with the printed and the intended form."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pedclip.retrieval.config import DiversityLoss, DiversityReduction, SimilarityLoss
from pedclip.retrieval.pecm import PECM


@dataclass(frozen=True, eq=False)
class Losses:
    """Losses of one batch, each () and unweighted except the total.

    Attributes:
        total: Eq. 9, the one to minimize.
        similarity: Eq. 10, nats.
        confidence: Contrast of the confidences, nats; with `conf_loss="as_printed"` Eq. 11.
        diversity: Eq. 12.
        entropy: log K minus the entropy of the weights, nats: 0 where all prototypes count alike.
    """

    total: Tensor
    similarity: Tensor
    confidence: Tensor
    diversity: Tensor
    entropy: Tensor


def similarity_loss(
    initial: Tensor,
    kind: SimilarityLoss = "sym_tau",
    *,
    temperature: float | Tensor = 0.07,
    same_text: Tensor | None = None,
) -> Tensor:
    """Contrastive loss of the initial scores of a batch.

    Args:
        initial: (B, B) cosines, row i and column i of one study.
        kind: "sym_tau" is the mean of both directions over a temperature; "as_printed" is image→text only and has no
            temperature, so that it cannot fall below log(1 + (B−1)·exp(−B/(B−1))): 2.488 of 3.466 at B = 32.
        temperature: Divisor of the cosines, in (0, 1]; unused as printed.
        same_text: (B, B) True where both rows have the same words, which are no negatives; None keeps all.

    Returns:
        () in nats.

    Raises:
        ValueError: No square, or B < 2.

    Source: PECM, Eq. 10. Differs: "sym_tau" and `same_text` (decision E8).
    """
    if initial.dim() != 2 or initial.shape[0] != initial.shape[1]:
        raise ValueError(f"initial has shape {tuple(initial.shape)}; expected (B, B) with partners on the diagonal")
    if len(initial) < 2:
        raise ValueError("B=1 is not allowed: a single pair has no negative; use a batch of at least 2")
    logits = initial if kind == "as_printed" else initial / temperature
    if same_text is not None:
        # exp(−∞) = 0: such pairs leave the denominator; the partner itself stays.
        partner = torch.eye(len(initial), dtype=torch.bool, device=initial.device)
        logits = logits.masked_fill(same_text & ~partner, -torch.inf)
    targets = torch.arange(len(initial), device=initial.device)  # (B,)
    # −log of the softmax of Eq. 10, averaged over the films.
    loss = F.cross_entropy(logits, targets)
    return loss if kind == "as_printed" else (loss + F.cross_entropy(logits.t(), targets)) / 2


def confidence_loss(confidence: Tensor) -> Tensor:
    """Mean squared distance of the partners' confidence from 1.

    It has no negatives: alone, it is lowest where all prototypes are one vector (decision E19).

    Args:
        confidence: (B,) C of each film with its own report.

    Returns:
        () in [0, 4] where C is a mean of cosines.

    Source: PECM, Eq. 11. Differs: nothing.
    """
    return (1 - confidence).square().mean()


def diversity_loss(
    prototypes: Tensor,
    kind: DiversityLoss = "orthogonal",
    *,
    reduce: DiversityReduction = "mean",
    mask: Tensor | None = None,
) -> Tensor:
    """Penalty on prototypes of one film or report by their cosines with each other.

    As printed, (1 − cos)² is lowest where all prototypes are equal: it pulls together what it is meant to keep apart
    (decision E3). "orthogonal" takes cos², "hinge" max(0, cos)², which leaves opposite prototypes alone.

    Args:
        prototypes: (B, K, D) of one modality.
        kind: Which function of the cosine.
        reduce: Mean or sum over the ordered pairs k ≠ l; then the mean over the batch (decision E4).
        mask: (B, K) True where present and no repeat of another one; None for all. Items of fewer than two prototypes
            have no pair and are left out of the mean.

    Returns:
        () 0 where no item has a pair.

    Raises:
        ValueError: A kind or shape that does not exist.

    Source: PECM, Eq. 12. Differs: "orthogonal" and "hinge", masks, the mean.
    """
    if prototypes.dim() != 3 or (mask is not None and mask.shape != prototypes.shape[:2]):
        shape = None if mask is None else tuple(mask.shape)
        raise ValueError(f"prototypes {tuple(prototypes.shape)} and mask {shape} must be (B, K, D) and (B, K)")
    # A prototype of length zero stays zero: no direction, and a cosine of 0 with all.
    unit = F.normalize(prototypes, dim=-1)
    cosines = unit @ unit.transpose(1, 2)  # (B, K, K)
    if kind == "as_printed":
        penalties = (1 - cosines).square()
    elif kind == "hinge":
        penalties = cosines.clamp(min=0).square()
    elif kind == "orthogonal":
        penalties = cosines.square()
    else:
        raise ValueError(f"kind={kind!r} is not allowed: one of ('orthogonal', 'hinge', 'as_printed')")
    present = torch.ones_like(prototypes[..., 0], dtype=torch.bool) if mask is None else mask  # (B, K)
    pairs = present[:, :, None] & present[:, None, :]
    pairs = pairs & ~torch.eye(pairs.shape[1], dtype=torch.bool, device=pairs.device)  # k ≠ l
    sums, counts = (penalties * pairs).sum((1, 2)), pairs.sum((1, 2))  # (B,)
    # Items without a pair have 0 here and are left out of the mean.
    per_item = sums / counts.clamp(min=1) if reduce == "mean" else sums
    return per_item.sum() / (counts > 0).sum().clamp(min=1)


def pecm_losses(
    pecm: PECM,
    image_prototypes: Tensor,
    text_prototypes: Tensor,
    *,
    text_mask: Tensor | None = None,
    distinct: Tensor | None = None,
    same_text: Tensor | None = None,
) -> Losses:
    """Losses of a batch of films with their reports, by the switches of the configuration.

    Args:
        pecm: Projects, weighs and scores.
        image_prototypes: (B, K, C) with C the image width.
        text_prototypes: (B, K, C) with C the text width; row i belongs to film i.
        text_mask: (B, K) True where present; None for all.
        distinct: (B, K) True where the diversity loss looks, see `Prototypes`; None for `text_mask`.
        same_text: (B, B) True where two reports are the same words; read unless the configuration calls them
            negatives.

    Returns:
        The total and its parts.

    Raises:
        ValueError: Shapes do not fit, or B < 2.

    Source: PECM, Eq. 9 to 12. Differs: see `PECMConfig`; λ and μ are its `conf_weight` and `div_weight`.
    """
    config = pecm.config
    # All three losses see the prototypes after the projection, where they are compared.
    image, text = pecm.project(image_prototypes, text_prototypes)  # (B, K, D)
    scores = pecm.scores(image, text, text_mask=text_mask)
    ignored = same_text if config.equal_texts == "ignored" else None
    similarity = similarity_loss(scores.initial, config.sim_loss, temperature=pecm.temperature, same_text=ignored)
    if config.conf_loss == "contrastive":
        # Against the other pairs of the batch, as the similarity is: what is high everywhere tells nothing.
        confidence = similarity_loss(scores.confidence, temperature=pecm.temperature, same_text=ignored)
    else:
        confidence = confidence_loss(scores.confidence.diagonal())  # partners stand on the diagonal
    of_image = diversity_loss(image, config.div_loss, reduce=config.div_reduce)
    looked_at = text_mask if distinct is None else distinct
    of_text = diversity_loss(text, config.div_loss, reduce=config.div_reduce, mask=looked_at)
    diversity = (of_image + of_text) / (2 if config.div_reduce == "mean" else 1)
    entropy = torch.log(torch.tensor(float(pecm.num_prototypes), device=image.device)) - pecm.entropy
    # Eq. 9.
    total = config.sim_weight * similarity
    # A term whose prototypes nothing reads, or whose component is off, trains nothing (decision E18).
    if config.dsce:
        total = total + config.conf_weight * confidence + config.w_entropy * entropy
    if config.compares_prototypes:
        total = total + config.div_weight * diversity
    return Losses(total, similarity, confidence, diversity, entropy)
