"""Patch embedding for small vision transformers without pretrained weights."""

from itertools import pairwise

from torch import Tensor, nn


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
