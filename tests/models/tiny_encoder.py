"""A ViT of three narrow blocks, some of them with experts."""

import torch
from torch import nn

from pedclip.models.image import ImageEncoder, build_vit

SIZES = {"patch_size": 8, "embed_dim": 32, "depth": 3, "num_heads": 2}


def encoder(*, mobe_layers: tuple[int, ...] = (-1,), vit: nn.Module | None = None, **options: object) -> ImageEncoder:
    torch.manual_seed(0)
    vit = vit or build_vit("vit_tiny_patch16_224", image_size=16, weights="", **SIZES)
    return ImageEncoder(vit, mobe_layers=mobe_layers, num_experts=4, **options)
