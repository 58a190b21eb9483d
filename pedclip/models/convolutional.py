"""Residual network (timm) as image encoder: the backbone of ConVIRT, GLoRIA, MGCA and PRIOR."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import timm
import torch
from timm.models.resnet import ResNet
from torch import Tensor, channels_last, nn
from torch.func import functional_call

from pedclip.models.starting_points import RANDOM, image_starting_point, read_weights

_FAMILIES: Final = {"resnet"}  # timm's module of ResNet, ResNeXt, Wide ResNet and their variants


def is_resnet(architecture: str) -> bool:
    """True for timm's name of a residual network, with or without the tag of its weights.

    Example:
        >>> is_resnet("resnet50.tv_in1k"), is_resnet("vit_base_patch16_224")
        (True, False)
    """
    return bool(timm.models.is_model_in_modules(architecture.split(".")[0], _FAMILIES))


class ConvolutionalEncoder(nn.Module):
    """timm ResNet with the interface of ``ImageEncoder``: pooled features where a ViT has its image token.

    Batch normalization is ordinary: statistics of the batch in training (of several devices each takes its own part),
    learned ones in evaluation. In training a film's features therefore depend on its batch.

    Args:
        network: A timm ResNet, made without a classifier.
        image_size: Input side, pixels.

    Attributes:
        grid: Rows and columns of the fourth stage.
        local_grid: Of the third, whose places are ``ImageFeatures.patches``.
        stem: None; a ``HybridStem`` is a part of a ViT.

    Raises:
        ValueError: The network is no timm ResNet, or still classifies, or cannot take films of this side.

    Source: He et al., Deep Residual Learning for Image Recognition, CVPR 2016; its third and fourth stage as local and
        global features: GLoRIA (ICCV 2021), MGCA (NeurIPS 2022). Differs: films of the configured side go in as they
        are, where GLoRIA and MGCA enlarge them to 299 pixels.
    """

    stem: None = None

    def __init__(self, network: ResNet, *, image_size: int) -> None:
        super().__init__()
        if not isinstance(network, ResNet) or network.num_classes != 0:
            raise ValueError(
                f"expected a timm ResNet without classifier, got {type(network).__name__}: "
                "make it with build_resnet('resnet50'), or take ImageEncoder for a ViT"
            )
        # The layout in which convolutions run faster; values stay the same.
        self.network = network.to(memory_format=channels_last)
        self.local_info, self.global_info = network.feature_info[-2:]
        self.grid, self.local_grid = self._grids(image_size)

    def _grids(self, image_size: int) -> tuple[tuple[int, int], tuple[int, int]]:
        # On shapes alone: such a pass costs nothing, and no rule about rounding covers every variant.
        empty = {name: value.to("meta") for name, value in self.state_dict().items()}
        films = torch.empty(2, 3, image_size, image_size, device="meta")  # two, for the statistics of a batch
        try:
            _, _, dense, _, _, local = functional_call(self, empty, films)  # (2, 1+S, C), and later (2, S', C')
        except RuntimeError as error:
            raise ValueError(
                f"image_size={image_size} does not fit this residual network, whose branches come out unequal: take a "
                "multiple of 32"
            ) from error
        side, local_side = math.isqrt(dense.shape[1] - 1), math.isqrt(local().shape[1])
        return (side, side), (local_side, local_side)

    @property
    def width(self) -> int:
        """C, the width of the fourth stage: 2048 in ResNet-50."""
        return int(self.global_info["num_chs"])

    @property
    def local_width(self) -> int:
        """C', the width of ``ImageFeatures.patches``, which is that of the third stage: 1024 in ResNet-50."""
        return int(self.local_info["num_chs"])

    @property
    def pretrained_cfg(self) -> Mapping[str, Any]:
        """Facts about the published weights of the architecture, such as the mean that they expect."""
        return self.network.pretrained_cfg  # type: ignore[no-any-return]

    def forward(
        self, pixels: Tensor, region: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor], Tensor, Callable[[], Tensor], None, Callable[[], Tensor]]:
        """Encode a batch of radiographs.

        Args:
            pixels: (B, 3, H, W) normalized pixels.
            region: (B,) region labels; of no meaning here, as there are no experts.

        Returns:
            (B, C) pooled fourth stage, no gate logits, (B, 1+S, C) the pooled row and every place of the fourth stage,
            a function that returns the same, None for attention, and a function that returns (B, S', C'), every place
            of the third stage in rows.
        """
        network = self.network
        pixels = pixels.contiguous(memory_format=channels_last)
        # Stage by stage as timm's forward_features, which keeps the last one only.
        maps = network.maxpool(network.act1(network.bn1(network.conv1(pixels))))  # (B, 64, H / 4, W / 4)
        local = network.layer3(network.layer2(network.layer1(maps)))  # (B, C', H / 16, W / 16)
        last = network.layer4(local)  # (B, C, H / 32, W / 32)
        pooled = network.forward_head(last)  # (B, C)
        # (B, C, h, w) → (B, S, C), behind the pooled row, where a ViT has its image token.
        dense = torch.cat([pooled[:, None], _places(last)], dim=1)
        # The local map is there in any case; rows of it are made where an objective reads them.
        return pooled, [], dense, lambda: dense, None, lambda: _places(local)

    def normalize(self, dense: Tensor) -> Tensor:
        """The same (B, …, C) features: a residual network has no normalization behind its last stage."""
        return dense


def build_resnet(architecture: str, *, weights: str = RANDOM) -> ResNet:
    """Timm residual network without classifier.

    Args:
        architecture: timm name, such as "resnet50", or "resnet50.tv_in1k" for other weights than timm's first choice.
        weights: Starting point; see ``image_starting_point``.

    Raises:
        OSError: The weights cannot be reached; the message says which file to fetch and what to pass.
        ValueError: They are damaged or not of this architecture.
    """
    # Nothing is fetched here: the starting point says where weights come from.
    network = timm.create_model(architecture, num_classes=0)
    start = image_starting_point(weights, architecture)
    if not start.is_random:
        # Strictly: batch statistics included, without which the weights are worth nothing.
        network.load_state_dict(read_weights(start, architecture))
    return network


def _places(maps: Tensor) -> Tensor:
    return maps.flatten(2).transpose(1, 2)  # (B, C, h, w) → (B, h · w, C), row by row
