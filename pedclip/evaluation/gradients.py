"""Gradient alignment: cosines that say if body regions pull one shared MLP in different directions."""

import torch
from torch import Tensor
from torch.nn import functional as F

from pedclip.models.pedclip import PedCLIP
from pedclip.objectives.contrastive import info_nce


def gradient_alignment(
    model: PedCLIP, pixels: Tensor, tokens: dict[str, Tensor], labels: Tensor, *, parameters: list[Tensor], forced: bool
) -> Tensor:
    """Cosine between the contrastive gradients of different regions on the same parameters.

    A negative value means that a step which helps one region hurts the other.

    Args:
        model: In evaluation mode, so that dropout adds no noise.
        pixels: (B, 3, H, W).
        tokens: ``input_ids`` and ``attention_mask`` (B, T).
        labels: (B,) regions; those with fewer than two films are left out.
        parameters: What the gradients are taken of.
        forced: Let the labels choose the experts.

    Returns:
        (R, R) for the R regions in rising order; 0 where a gradient is zero.

    Raises:
        ValueError: No region has two films.
    """
    rows = []
    for region in torch.unique(labels):
        mine = labels == region
        # One pair has no negative, hence no contrastive loss.
        if int(mine.sum()) < 2:
            continue
        # The negatives of a region are its own other films, so that no other region has a say in its gradient.
        image = model.encode_image(pixels[mine], labels[mine] if forced else None)
        text = model.encode_text(**{name: value[mine] for name, value in tokens.items()})
        loss = info_nce(image.embedding, text.embedding, temperature=model.temperature)
        gradients = torch.autograd.grad(loss, parameters)
        rows.append(torch.cat([gradient.flatten() for gradient in gradients]))  # (P,) all parameters
    if not rows:
        raise ValueError(f"no region has two films among {len(labels)}; give at least two films of each region")
    unit = F.normalize(torch.stack(rows), dim=1)  # (R, P)
    # (R, R) cosines.
    return unit @ unit.t()
