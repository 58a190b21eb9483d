"""Films and reports of drawn studies, as the frozen prototypes that training takes."""

import torch

from pedclip.retrieval.prototypes import Prototypes
from pedclip.retrieval.train import RetrievalPairs


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pairs(seed: int = 0, films: int = 24, reports: int = 20, prefix: str = "p") -> RetrievalPairs:
    """Prototypes of both modalities by different linear maps of what the study shows."""
    maps = seeded(99)
    to_image, to_text = torch.randn(6, 10, generator=maps), torch.randn(6, 8, generator=maps)
    generator = seeded(seed)
    shown = torch.randn(reports, 4, 6, generator=generator)
    report = torch.arange(films) % reports
    mask = torch.rand(reports, 4, generator=generator) < 0.7
    mask[:, -1] = True
    image = shown[report] @ to_image + 0.1 * torch.randn(films, 4, 10, generator=generator)
    text = Prototypes(shown @ to_text * mask[..., None], mask, mask)
    return RetrievalPairs(image, text, report, [f"{prefix}{number}" for number in report.tolist()])
