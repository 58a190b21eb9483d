"""A convolutional network with its ImageNet weights as a frozen image encoder: what pre-training is compared with."""

from dataclasses import dataclass
from typing import Final

import timm
import torch
from torch import Tensor, nn

from pedclip.models.pedclip import default_preprocess
from pedclip.models.starting_points import INSTALLED, image_starting_point, read_weights

IMAGENET: Final = "tf_efficientnet_lite0"


@dataclass(frozen=True)
class NetworkFeatures:
    """Features of a batch of films.

    Attributes:
        embedding: (B, D) pooled features of the last stage.
        dense: (B, 1+S, D) the pooled features, then every place of the last stage.
    """

    embedding: Tensor
    dense: Tensor


class ImageNetEncoder(nn.Module):
    """Convolutional network without its classifier, as `extract_features` takes it.

    Args:
        architecture: timm name.
        weights: Starting point; see ``image_starting_point``.
        image_size: Input side, pixels.

    Raises:
        OSError: The weights are not there; the message says what to install or fetch.
        ValueError: They are damaged or of another architecture.
    """

    def __init__(self, architecture: str = IMAGENET, *, weights: str = INSTALLED, image_size: int = 224) -> None:
        super().__init__()
        self.config = (architecture, image_size)
        self.network = timm.create_model(architecture, num_classes=0)
        start = image_starting_point(weights, architecture)
        if not start.is_random:
            self.network.load_state_dict(read_weights(start, architecture))
        self.preprocess = default_preprocess(image_size, self.network.pretrained_cfg)

    def encode_image(self, pixels: Tensor) -> NetworkFeatures:
        """Features of (B, 3, H, W) pixels as made by ``preprocess``."""
        places = self.network.forward_features(pixels)  # (B, D, h, w)
        pooled = self.network.forward_head(places)  # (B, D)
        # (B, D, h, w) → (B, S, D), with the pooled row in front, where a transformer has its image token.
        return NetworkFeatures(pooled, torch.cat([pooled[:, None], places.flatten(2).transpose(1, 2)], dim=1))
