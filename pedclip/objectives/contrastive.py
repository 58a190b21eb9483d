"""Symmetric contrastive loss of images and texts."""

from typing import Any, cast

import torch
from torch import Tensor, distributed
from torch.nn import functional as F


def info_nce(
    image: Tensor,
    text: Tensor,
    *,
    temperature: float | Tensor,
    same_text: Tensor | None = None,
    image_weight: float = 0.5,
) -> Tensor:
    """Symmetric contrastive loss of matched image and text embeddings.

    Row i of both comes from the same study; every other row is a negative.

    Args:
        image: (B, D) embeddings of any length; normalized here.
        text: (B, D) embeddings of the matching excerpts.
        temperature: Divisor of the cosines, in (0, 1]; lower is sharper.
        same_text: (B, B) True where the excerpts of both rows are the same words. Such pairs are no negatives: two
            normal wrists with one sentence cannot be told apart (decision P15). None keeps every negative.
        image_weight: Share of the direction from image to text, in [0, 1] (ConVIRT, λ); the other has the rest.

    Returns:
        () mean of both directions, in nats. Chance is log(B).

    Raises:
        ValueError: Shapes differ, or B < 2 (a single pair has no negative).

    Source: PedCLIP, Eq. 3 and Eq. 4. Differs: ``same_text`` and ``image_weight``, off by default.

    Example:
        >>> eye = torch.eye(4)
        >>> bool(info_nce(eye, eye, temperature=0.01) < 1e-3)
        True
    """
    if image.shape != text.shape or image.dim() != 2:
        raise ValueError(
            f"image {tuple(image.shape)} and text {tuple(text.shape)} must be two (B, D) tensors of one shape"
        )
    if image.shape[0] < 2:
        raise ValueError("B=1 is not allowed: a single pair has no negative; use a batch of at least 2")
    image, text = unit_vectors(image), unit_vectors(text)  # (B, D): their products are cosines
    targets = torch.arange(image.shape[0], device=image.device)  # (B,) the partner of row i is column i
    return _both_directions(image, text, image, text, targets, temperature, same_text, image_weight)


def gathered_info_nce(
    image: Tensor,
    text: Tensor,
    *,
    temperature: float | Tensor,
    text_ids: Tensor | None = None,
    image_weight: float = 0.5,
) -> Tensor:
    """``info_nce`` with the negatives of every rank, whose gradients are those of one large batch.

    Each rank scores its own rows against all columns. The mean of this over ranks, which is what DDP forms of the
    gradients, is the loss of the joined batch. Outside distributed training it is ``info_nce``.

    Args:
        image: (B, D) embeddings of this rank; B is the same on every rank.
        text: (B, D) embeddings of the matching excerpts.
        temperature: Divisor of the cosines, in (0, 1].
        text_ids: (B,) integers equal for equal excerpts; None keeps every negative (see ``info_nce``).
        image_weight: As of ``info_nce``.

    Returns:
        () mean of both directions over this rank's rows, in nats.

    Source: PedCLIP, Eq. 3 and 4, with M the batch over all ranks (decision P12).
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        same_text = None if text_ids is None else text_ids[:, None] == text_ids
        return info_nce(image, text, temperature=temperature, same_text=same_text, image_weight=image_weight)
    # W processes; a row of this rank meets B·W columns.
    image, text = unit_vectors(image), unit_vectors(text)
    all_images, all_texts = gather_rows(image), gather_rows(text)  # (W·B, D)
    # Rows are gathered in rank order, so the partners of this rank's rows begin at rank · B.
    targets = torch.arange(len(image), device=image.device) + distributed.get_rank() * len(image)
    same_text = None if text_ids is None else text_ids[:, None] == gather_rows(text_ids)  # (B, W·B)
    return _both_directions(image, text, all_images, all_texts, targets, temperature, same_text, image_weight)


def gather_rows(rows: Tensor) -> Tensor:
    """Rows of all ranks, in rank order, differentiable.

    Not ``torch.distributed.nn``: torch 2.15 announces its removal, and its successor is a private module.

    Args:
        rows: (B, …), of one shape on every rank.

    Returns:
        (world_size · B, …).
    """
    return cast(Tensor, _GatherRows.apply(rows))


def rows_of_all_ranks(rows: Tensor) -> Tensor:
    """Rows of all ranks, differentiable (``gather_rows``); outside distributed training the rows themselves.

    Args:
        rows: (B, …), of one shape on every rank.

    Returns:
        (world_size · B, …).
    """
    return gather_rows(rows) if distributed.is_available() and distributed.is_initialized() else rows


class _GatherRows(torch.autograd.Function):
    # all_gather alone would cut the graph: the other ranks' losses would send nothing back to these rows.
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.num_rows = len(rows)
        parts = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        # Every rank's loss read these rows, so their gradients add up; then each rank keeps its own.
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        first = distributed.get_rank() * ctx.num_rows
        return cast(Tensor, total[first : first + ctx.num_rows])


def unit_vectors(embedding: Tensor) -> Tensor:
    """Embeddings (…, D) of any length at length 1, in single precision at least."""
    # Widened before the division, which half precision would round.
    return F.normalize(widened(embedding), dim=-1)


def widened(values: Tensor) -> Tensor:
    """The same values (…, D) in single precision at least; a double stays a double, for gradient checks."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _both_directions(
    image: Tensor,
    text: Tensor,
    all_images: Tensor,
    all_texts: Tensor,
    targets: Tensor,
    temperature: float | Tensor,
    same_text: Tensor | None,
    image_weight: float,
) -> Tensor:
    # In bf16 a logit near 14 (cosine 1 at temperature 0.07) moves in steps of 0.06, so autocast stays outside.
    with torch.autocast(image.device.type, enabled=False):
        # (B, M) each, M the batch over all ranks: v_i · t_j / τ in Eq. 3, t_i · v_j / τ in Eq. 4.
        image_rows, text_rows = image @ all_texts.t() / temperature, text @ all_images.t() / temperature
    return logits_nce(image_rows, text_rows, targets, same_text=same_text, image_weight=image_weight)


def logits_nce(
    image_rows: Tensor,
    text_rows: Tensor,
    targets: Tensor,
    *,
    same_text: Tensor | None = None,
    image_weight: float = 0.5,
) -> Tensor:
    """Contrastive loss of both directions from scores of any kind.

    Args:
        image_rows: (B, M) logits of each image with every text.
        text_rows: (B, M) logits of each text with every image.
        targets: (B,) column of the partner, in both.
        same_text: (B, M) True where the excerpts are the same words (see ``info_nce``); None keeps every negative.
        image_weight: As of ``info_nce``.

    Returns:
        () in nats.
    """
    if same_text is not None:
        # The partner itself has the same words, of course, and stays.
        negative = same_text.clone()
        negative[torch.arange(len(targets), device=targets.device), targets] = False
        # exp(−∞) = 0: the pair leaves the denominator and gets no gradient.
        image_rows = image_rows.masked_fill(negative, -torch.inf)
        text_rows = text_rows.masked_fill(negative, -torch.inf)
    # Cross-entropy against the partner's column is −log of the softmax of Eq. 3 and 4, averaged over the rows.
    to_text, to_image = F.cross_entropy(image_rows, targets), F.cross_entropy(text_rows, targets)
    return image_weight * to_text + (1 - image_weight) * to_image
