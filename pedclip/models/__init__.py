"""The networks: MoBE, both encoders, and PedCLIP, which is stored and loaded with its preprocessing.

Imports triplets.transforms and weights; beyond torch, timm and transformers nothing is needed.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.models import mobe as mobe
    from pedclip.models.config import PedCLIPConfig as PedCLIPConfig
    from pedclip.models.convolutional import ConvolutionalEncoder as ConvolutionalEncoder
    from pedclip.models.cost import EveryRow as EveryRow
    from pedclip.models.cost import count_gmac as count_gmac
    from pedclip.models.cost import count_parameters as count_parameters
    from pedclip.models.image import ImageEncoder as ImageEncoder
    from pedclip.models.image import build_vit as build_vit
    from pedclip.models.mobe import MixtureOfBodyExperts as MixtureOfBodyExperts
    from pedclip.models.mobe import mobe_reference as mobe_reference
    from pedclip.models.pedclip import PedCLIP as PedCLIP

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "mobe": "",
        "PedCLIPConfig": "config",
        "ConvolutionalEncoder": "convolutional",
        "EveryRow": "cost",
        "count_gmac": "cost",
        "count_parameters": "cost",
        "ImageEncoder": "image",
        "build_vit": "image",
        "MixtureOfBodyExperts": "mobe",
        "mobe_reference": "mobe",
        "PedCLIP": "pedclip",
    },
)
