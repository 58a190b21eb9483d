"""The velocity field: a U-Net of diffusers over squares of pixels, told the time and the words."""

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pedclip.synthesis.flow.config import NORM_GROUPS, FlowConfig

_TIME_SCALE: Final = 1000.0  # the library's sines are laid out for times of 0 to 1000


class FlowNetwork(nn.Module):
    """Velocity of noisy films that become films of a text.

    Args:
        config: Sizes.
        text_width: C of the text encoder.
        seed: Of the first weights; torch's own random state is left as it was.

    Raises:
        ModuleNotFoundError: diffusers is not installed.
    """

    def __init__(self, config: FlowConfig, *, text_width: int, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        # The library draws from the global generator.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.unet = _unet(config, text_width)
        # The first velocity is 0, not a pattern that would have to be unlearned.
        nn.init.zeros_(self.unet.conv_out.weight)
        nn.init.zeros_(self.unet.conv_out.bias)

    def forward(self, films: Tensor, times: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Velocity at a point of the way from noise to film.

        Args:
            films: (B, 1, H, W) noise and film mixed.
            times: (B,) in [0, 1], 0 for pure noise.
            tokens: (B, L, C) last hidden states of the text encoder; row 0 is [CLS].
            mask: (B, L), 1 on text and 0 on padding.

        Returns:
            (B, 1, H, W).
        """
        # Less to compute than in pixels, and nothing is lost: noise stays noise.
        squares = F.pixel_unshuffle(films, self.config.patch)  # (B, p·p, H/p, W/p)
        velocity: Tensor = self.unet(
            squares,
            times * _TIME_SCALE,
            encoder_hidden_states=tokens,
            encoder_attention_mask=mask,
            # The whole text beside the time, at every resolution: attention alone finds the body part late.
            class_labels=tokens[:, 0],
        ).sample
        return F.pixel_shuffle(velocity, self.config.patch)


def _unet(config: FlowConfig, text_width: int) -> Any:
    # Imported here: seconds that only a generator costs.
    try:
        from diffusers import UNet2DConditionModel
    except ImportError as error:
        raise ModuleNotFoundError(
            "the flow generator is a U-Net of diffusers, which is not installed: pip install 'pedclip[synthesis]'"
        ) from error
    plain = len(config.channels) - config.attention_levels  # resolutions without attention, the finest
    down = ["DownBlock2D"] * plain + ["CrossAttnDownBlock2D"] * config.attention_levels
    up = ["CrossAttnUpBlock2D"] * config.attention_levels + ["UpBlock2D"] * plain
    return UNet2DConditionModel(  # type: ignore[no-untyped-call]
        sample_size=config.image_size // config.patch,
        in_channels=config.patch**2,
        out_channels=config.patch**2,
        block_out_channels=config.channels,
        layers_per_block=config.blocks,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        cross_attention_dim=text_width,
        # The library's name is wrong: this is the number of heads, and the right name raises an error.
        attention_head_dim=config.heads,
        norm_num_groups=NORM_GROUPS,
        class_embed_type="projection",
        projection_class_embeddings_input_dim=text_width,
    )
