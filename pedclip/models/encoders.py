"""The image encoder that a configuration describes."""

from pedclip.models.config import PedCLIPConfig
from pedclip.models.convolutional import ConvolutionalEncoder, build_resnet
from pedclip.models.image import ImageEncoder, build_vit
from pedclip.models.starting_points import RANDOM


def build_image_encoder(config: PedCLIPConfig, *, weights: str = RANDOM) -> ImageEncoder | ConvolutionalEncoder:
    """Vision transformer with its experts, or residual network.

    Args:
        config: Architecture.
        weights: Starting point; see ``image_starting_point``. Not those of this package, which hold experts, too.

    Raises:
        OSError: The weights cannot be reached.
        ValueError: They are damaged or of another architecture, or a layer of experts does not exist.
    """
    # The configuration has made sure that nothing of a ViT is asked of a residual network.
    if config.is_convolutional:
        network = build_resnet(config.image_architecture, weights=weights)
        return ConvolutionalEncoder(network, image_size=config.image_size)
    sizes = {
        "patch_size": config.image_patch_size,
        "embed_dim": config.image_width,
        "depth": config.image_depth,
        "num_heads": config.image_heads,
    }
    # What is 0 is left to the architecture's own value.
    given = {name: size for name, size in sizes.items() if size}
    vit = build_vit(
        config.image_architecture,
        image_size=config.image_size,
        weights=weights,
        stem=config.image_stem,
        backbone=config.image_backbone,
        **given,
    )
    return ImageEncoder(
        vit,
        mobe_layers=config.mobe_layers,
        num_experts=len(config.regions),
        gate_input=config.gate_input,
        expert_init=config.expert_init,
        expert_width=config.expert_width,
        implementation=config.mobe_implementation,
        threshold=config.gate_threshold,
        detach_gate=config.detach_gate,
    )
