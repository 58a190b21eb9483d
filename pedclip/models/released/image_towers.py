"""Image towers whose sizes are read from their weights: ViT and ResNet-50 of timm, and Swin of transformers.

Each makes of pixels (B, 3, H, W) a pooled feature (B, C) and dense ones (B, 1+S, C), of which row 0 is the pooled one.
"""

import math
from collections.abc import Mapping

import timm
import torch
from torch import Tensor, nn
from transformers import SwinConfig, SwinModel

from pedclip.models.released.fitting import Fit, fit_module, fit_transformers
from pedclip.models.released.openai_clip import OpenAIImage, count_blocks

_HEAD_WIDTH = 64  # of every ViT here


class TimmViT(nn.Module):
    """A vision transformer of timm, pooled at its image token after the last normalization.

    The original DINOv2 without registers has the same names, and its branches are scaled.

    Args:
        weights: Tensors (…,) by timm's names.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        width, _, patch, _ = weights["patch_embed.proj.weight"].shape
        num_places = weights["pos_embed"].shape[1] - 1  # the image token has a position, too
        # Named after one size, and built with those of the weights.
        self.network = timm.create_model(
            "vit_base_patch16_224",
            num_classes=0,
            embed_dim=width,
            depth=count_blocks(weights, "blocks."),
            num_heads=max(1, width // _HEAD_WIDTH),
            mlp_ratio=weights["blocks.0.mlp.fc1.weight"].shape[0] / width,
            patch_size=patch,
            img_size=patch * math.isqrt(num_places),
            # DINOv2 scales each branch; the value is overwritten by the weights.
            init_values=1.0 if "blocks.0.ls1.gamma" in weights else None,
        )

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (B, 3, H, W) to pooled (B, C) and dense (B, 1+S, C)."""
        # After the last normalization; row 0 is the image token.
        tokens = self.network.forward_features(pixels)
        return tokens[:, 0], tokens


class ResNet50(nn.Module):
    """The bottleneck network of torchvision and timm, pooled over the places of its last map.

    Args:
        weights: Tensors (…,) by torchvision's names, without the classifier.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        stages = range(1, 5)
        # Blocks per stage, and the width of the narrow layer in each of them.
        self.network = timm.create_model(
            "resnet50",
            num_classes=0,
            layers=tuple(count_blocks(weights, f"layer{stage}.") for stage in stages),
            channels=tuple(weights[f"layer{stage}.0.conv1.weight"].shape[0] for stage in stages),
        )

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels (B, 3, H, W) to pooled (B, C), dense (B, 1+S, C), and the map before the last stage (B, C/2, h, w)."""
        network = self.network
        # Stage by stage, as GLoRIA reads the third one.
        values = network.maxpool(network.act1(network.bn1(network.conv1(pixels))))
        third = network.layer3(network.layer2(network.layer1(values)))  # (B, C/2, h, w)
        last = network.layer4(third).flatten(2).transpose(1, 2)  # (B, S, C)
        pooled = last.mean(dim=1)
        return pooled, torch.cat([pooled[:, None], last], dim=1), third


class Swin(nn.Module):
    """Swin of transformers.

    Args:
        network: The model.
        is_first_place: True pools the first place of the last map, at the top left, which CXR-CLIP reads as if it were
            an image token; False the mean of all places.
    """

    def __init__(self, network: nn.Module, *, is_first_place: bool) -> None:
        super().__init__()
        self.network = network
        self.is_first_place = is_first_place

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (B, 3, H, W) to pooled (B, C) and dense (B, 1+S, C)."""
        output = self.network(pixel_values=pixels)
        # A Swin has no image token: its map (B, S, C) is normalized and begins with a place.
        places = output.last_hidden_state
        pooled = places[:, 0] if self.is_first_place else output.pooler_output
        return pooled, torch.cat([pooled[:, None], places], dim=1)


def build_image_tower(
    kind: str, weights: Mapping[str, Tensor], *, prefix: str, image_size: int
) -> tuple[nn.Module, Fit]:
    """An image tower with its weights.

    Args:
        kind: One of ``release.IMAGE_TOWERS``.
        weights: Published tensors (…,) of the tower, without the prefix.
        prefix: For the report.
        image_size: Height and width of the pixels, which the weights of a Swin do not tell.

    Returns:
        The tower, and what does not fit.

    Raises:
        KeyError: A tensor that tells a size is missing.
    """
    if kind == "openai":
        tower = OpenAIImage(weights)
        return tower, fit_module(tower, weights, prefix)
    # The library translates names of older versions; our own modules have the published ones.
    if kind.startswith("swin"):
        network, fit = fit_transformers(SwinModel, swin_sizes(weights, image_size), weights, prefix)
        return Swin(network, is_first_place=kind == "swin, first place"), fit
    timm_tower: TimmViT | ResNet50 = TimmViT(weights) if kind == "timm vit" else ResNet50(weights)
    return timm_tower, fit_module(timm_tower.network, weights, prefix)


def swin_sizes(weights: Mapping[str, Tensor], image_size: int) -> SwinConfig:
    """Sizes of a Swin from its tensors (…,) by the names of transformers."""
    width, _, patch, _ = weights["embeddings.patch_embeddings.projection.weight"].shape
    stages = range(count_blocks(weights, "encoder.layers."))
    # Its columns are the heads, and its rows tell the window.
    tables = [f"encoder.layers.{stage}.blocks.0.attention.self.relative_position_bias_table" for stage in stages]
    return SwinConfig(
        image_size=image_size,
        patch_size=patch,
        embed_dim=width,
        depths=[count_blocks(weights, f"encoder.layers.{stage}.blocks.") for stage in stages],
        num_heads=[weights[table].shape[1] for table in tables],
        # A row for each offset within a window of w: (2w − 1)² of them.
        window_size=(math.isqrt(weights[tables[0]].shape[0]) + 1) // 2,
    )
