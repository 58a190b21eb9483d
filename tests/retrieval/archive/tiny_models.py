"""A tiny PedCLIP of 4 × 4 patches, a PECM of its five prototypes, films and reports."""

import numpy as np
import torch
from numpy.typing import NDArray

from pedclip.models.pedclip import PedCLIP
from pedclip.retrieval.config import PECMConfig
from pedclip.retrieval.pecm import PECM
from tests.objectives.tiny_features import tiny_model

# One to nine sentences; two reports are equal.
_SENTENCES = ["No fracture.", "Film of the chest.", "Effusion of the knee.", "Film 3.", "The hand is normal."]
REPORTS = [" ".join((_SENTENCES * 2)[start : start + count]) for start in range(3) for count in (1, 2, 4, 7)]
REPORTS[5] = REPORTS[2]


def tiny_clip() -> PedCLIP:
    """The same weights each time."""
    return tiny_model(image_size=32)


def tiny_pecm(**switches: object) -> PECM:
    """Weights of seed 0; 2 × 2 regions and as many groups, and the global prototype."""
    config = PECMConfig(**({"image_width": 32, "text_width": 32, "proj_dim": 24} | switches))  # type: ignore[arg-type]
    return PECM(5, config=config, generator=torch.Generator().manual_seed(0)).eval()


def films(count: int) -> NDArray[np.uint8]:
    """Noise, (N, 37, 37)."""
    return np.random.default_rng(0).integers(0, 256, (count, 37, 37), dtype=np.uint8)
