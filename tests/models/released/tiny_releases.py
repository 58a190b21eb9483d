"""A tiny checkpoint in the layout of each release, and its embeddings by a path that shares nothing with the door.

Weights are random and fixed. Films are prepared with Pillow, torchvision or open_clip, networks are those of open_clip,
transformers, torchvision and timm, and each text is embedded alone, so that no padding or mask can be wrong.
"""

from collections.abc import Callable
from pathlib import Path

from tests.models.released.tiny_folders import rad_dino, transformers_clip, transformers_siglip
from tests.models.released.tiny_networks import Tiny
from tests.models.released.tiny_towers import (
    biomedclip,
    chexficient,
    chexzero,
    convirt,
    cxr_clip,
    gloria,
    medclip,
    medclip_resnet50,
    mgca,
    unimed_clip,
)

MAKERS: dict[str, Callable[[Path], Tiny]] = {
    "biomedclip": biomedclip,
    "chexzero": chexzero,
    "medclip": medclip,
    "medclip-resnet50": medclip_resnet50,
    "gloria": gloria,
    "mgca": mgca,
    "mgca-resnet50": lambda folder: mgca(folder, is_resnet=True),
    "convirt": convirt,
    "cxr-clip": cxr_clip,
    "cxr-clip-resnet50": lambda folder: cxr_clip(folder, is_resnet=True),
    "unimed-clip": unimed_clip,
    "xrayclip": lambda folder: transformers_clip(folder, patch_size=16),
    "xraysiglip": lambda folder: transformers_siglip(folder, image_size=512, patch_size=16, by_tensorflow=False),
    "chexficient": chexficient,
    "medsiglip": lambda folder: transformers_siglip(folder, image_size=448, patch_size=14, by_tensorflow=True),
    "rad-dino": rad_dino,
    "pubmedclip": transformers_clip,
}
