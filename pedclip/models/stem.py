"""Patch embeddings for small vision transformers: convolutions from random weights, or pretrained stages."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Self

import timm
import torch
from timm.layers import HybridEmbed
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class ConvolutionalStem(nn.Module):
    """Patch embedding by stacked 3×3 convolutions of stride 2 instead of one large patch product.

    A transformer without pretrained weights learns from far fewer films this way.

    Args:
        img_size: Input side, pixels.
        patch_size: Pixels per token along a side, a power of 2 of at least 4.
        in_chans: Input channels.
        embed_dim: C.
        **_: What else timm passes to a patch embedding; of no meaning here.

    Source: Xiao et al., Early Convolutions Help Transformers See Better, NeurIPS 2021. Differs: group instead of batch
        normalization, so that a film's features do not depend on its batch.
    """

    def __init__(self, img_size: int, patch_size: int, in_chans: int, embed_dim: int, **_: object) -> None:
        super().__init__()
        num_stages = patch_size.bit_length() - 1  # each halves the side: 16 pixels per token take four
        if patch_size < 4 or patch_size != 2**num_stages or img_size % patch_size:
            raise ValueError(
                f"image_patch_size={patch_size} is not allowed with image_stem='convolutional': "
                f"a power of 2, at least 4, that divides the input side {img_size}"
            )
        # Widths double from stage to stage and end at C; 8 groups need a multiple of 8, hence at least 16.
        channels = [in_chans, *(max(embed_dim >> (num_stages - 1 - stage), 16) for stage in range(num_stages))]
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(8, after), nn.GELU()]
        # A last 1×1 convolution takes the place of the patch product: features as they are, without an activation.
        self.stages = nn.Sequential(*layers, nn.Conv2d(channels[-1], embed_dim, 1))
        # Read by timm, which sizes the position embedding by them.
        self.grid_size = (img_size // patch_size, img_size // patch_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        self.patch_size = (patch_size, patch_size)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, S, C) patch tokens of (B, 3, H, W) pixels."""
        # (B, C, H / P, W / P) → (B, C, S) → (B, S, C)
        return self.stages(pixels).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]


class HybridStem(HybridEmbed):  # type: ignore[misc]
    """Patch embedding by the first stages of a convolutional network and a 1×1 convolution to the token width.

    Args:
        backbone: timm name of a network of five levels (strides 2 to 32), such as "tf_efficientnet_lite0".
        img_size: Input side, pixels.
        patch_size: Pixels per token along a side, the stride at which the network is cut: 8, 16 or 32.
        in_chans: Input channels.
        embed_dim: C.
        **_: What else timm passes to a patch embedding; of no meaning here.

    Attributes:
        trains_statistics: False keeps the batch statistics as they are, so that a film's features do not depend on
            its batch. Only a network that starts from random weights has to learn them.

    Raises:
        ValueError: The network has no stage of this stride, or the side is no multiple of it.

    Source: Dosovitskiy et al., An Image is Worth 16×16 Words, ICLR 2021, "Hybrid Architecture".
    """

    def __init__(
        self, backbone: str, img_size: int, patch_size: int, in_chans: int, embed_dim: int, **_: object
    ) -> None:
        # Each level halves the side.
        level = patch_size.bit_length() - 2  # stride 2 is level 0, stride 16 level 3
        if patch_size not in (8, 16, 32) or img_size % patch_size:
            raise ValueError(
                f"image_patch_size={patch_size} is not allowed with image_stem='hybrid': "
                f"8, 16 or 32, and a divisor of the input side {img_size}"
            )
        # "getter" drops the stages behind the one that is read.
        stages = timm.create_model(
            backbone, features_only=True, feature_cls="getter", out_indices=(level,), in_chans=in_chans
        )
        if stages.feature_info.reduction() != [patch_size]:
            raise ValueError(f"image_backbone={backbone!r} is not allowed: it has no five levels of strides 2 to 32")
        # The layout in which convolutions of few channels per group run faster, on a CPU 1.3 times in these stages.
        stages.to(memory_format=torch.channels_last)
        super().__init__(stages, img_size=img_size, patch_size=1, in_chans=in_chans, embed_dim=embed_dim)
        self.trains_statistics = False

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, S, C) patch tokens of (B, 3, H, W) pixels."""
        return super().forward(pixels.contiguous(memory_format=torch.channels_last))  # type: ignore[no-any-return]

    def load_stages(self, weights: Mapping[str, Tensor]) -> None:
        """Copy the tensors (…,) of a whole network into the stages that are used.

        Args:
            weights: By the network's own names; those of later stages are passed over.
        """
        # Only what is left after the later stages were dropped.
        own = self.backbone.model.state_dict()
        self.backbone.model.load_state_dict({name: weights[name] for name in own})

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation mode; pretrained batch statistics stay in evaluation mode."""
        super().train(mode)
        if not self.trains_statistics:
            for module in self.backbone.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self
