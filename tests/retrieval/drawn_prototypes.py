"""Drawn prototypes in double precision, and a PECM whose weights differ."""

from dataclasses import replace

import torch
from torch import Tensor

from pedclip.retrieval.config import PECMConfig
from pedclip.retrieval.pecm import PECM

TINY = PECMConfig(proj_dim=0)


def draw(
    seed: int, films: int = 3, reports: int = 4, prototypes: int = 5, width: int = 6
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(films, prototypes, width, generator=generator, dtype=torch.float64)
    text = torch.randn(reports, prototypes, width, generator=generator, dtype=torch.float64)
    mask = torch.rand(reports, prototypes, generator=generator) < 0.6
    mask[:, -1] = True  # the global prototype is always there
    return image, text, mask


def build(seed: int, prototypes: int = 5, **switches: object) -> PECM:
    pecm = PECM(prototypes, config=replace(TINY, **switches)).double()  # type: ignore[arg-type]
    # Weights that differ, negative ones among the free.
    with torch.no_grad():
        pecm.theta.copy_(torch.randn(prototypes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
        if pecm.config.w_mode == "per_pair":
            pecm.beta.fill_(1.5)
    return pecm
