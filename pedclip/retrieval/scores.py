"""Scores of queries against candidates, and the rankings that they make."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of B queries against N candidates.

    Attributes:
        initial: (B, N) cosine of the global embeddings, Eq. 3.
        confidence: (B, N) weighted mean of the prototypes' cosines, Eq. 6.
        final: (B, N) what the second ranking goes by, Eq. 7 or another reading; equal to `initial` without ARR.
        top_m: Candidates of the first ranking that are ranked again; None for all.
    """

    initial: Tensor
    confidence: Tensor
    final: Tensor
    top_m: int | None = None

    def t(self) -> "Scores":
        """The same with the candidates as queries: (N, B)."""
        return Scores(self.initial.t(), self.confidence.t(), self.final.t(), self.top_m)

    def ranking(self) -> Tensor:
        """Candidates of each query, best first: (B, N) indices; equal scores in the order of the candidates.

        Source: PECM, Eq. 5 and 8. Differs: `top_m` (decision E10): the printed second ranking takes all candidates, so
        that the first one has no effect.
        """
        if self.top_m is None:
            return self.final.argsort(dim=1, descending=True, stable=True)
        first = self.initial.argsort(dim=1, descending=True, stable=True)  # (B, N)
        # In the order of the candidates again, for a stable sort to break ties by it.
        head = first[:, : self.top_m].sort(dim=1).values  # (B, M)
        again = self.final.gather(1, head).argsort(dim=1, descending=True, stable=True)
        return torch.cat([head.gather(1, again), first[:, self.top_m :]], dim=1)
