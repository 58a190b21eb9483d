"""Cost of an image encoder, counted and not estimated."""

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pedclip.models.image import ImageEncoder
from pedclip.models.mobe_block import MoBEBlock


class EveryRow(nn.Module):
    """The literal reading of Eq. 2: all rows of every block, the last one included.

    Args:
        encoder: Its layers are used, not copied.

    Raises:
        ValueError: The encoder has no blocks, as a residual network; its rows are counted as they are.
    """

    def __init__(self, encoder: ImageEncoder) -> None:
        super().__init__()
        if not isinstance(encoder, ImageEncoder):
            raise ValueError(
                f"expected an ImageEncoder, got {type(encoder).__name__}, which has no blocks; give it to count_gmac "
                "as it is"
            )
        self.encoder = encoder

    def forward(self, pixels: Tensor, region: Tensor | None = None) -> Tensor:
        """Image token (B, C) of (B, 3, H, W) pixels, the long way."""
        vit = self.encoder.vit
        # The steps of ImageEncoder.forward without its shortcut in the last block.
        tokens = vit.norm_pre(vit.patch_drop(vit._pos_embed(vit.patch_embed(pixels))))
        for block in vit.blocks:
            tokens = block(tokens, region)[0] if isinstance(block, MoBEBlock) else block(tokens)
        image_token: Tensor = vit.norm(tokens)[:, 0]  # (B, 1+S, C) → (B, C), only now
        return image_token


def count_gmac(model: nn.Module, pixels: Tensor) -> float:
    """Multiply-accumulate operations of one forward pass, in units of 10⁹.

    Args:
        model: Called with ``pixels`` alone.
        pixels: (B, 3, H, W).
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(pixels)
    # The counter takes a multiplication and an addition as two operations.
    return float(counter.get_total_flops()) / 2e9


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
