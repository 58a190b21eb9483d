"""PECM's scores: similarity of weighted sums of prototypes, confidence by index-paired prototypes, and their product.

Where prototypes are paired by index under fixed weights, the confidence of all pairs is one matrix product: with
√(w_k/K)·ẑ^k of all k side by side, the dot product of a film and a report is (1/K)·Σ_k w_k·cos(z_i^k, z_r^k).
`PECM.image_vectors` and `PECM.text_vectors` make such vectors for an index; `pedclip.retrieval.reference` holds the
literal sums, `pedclip.retrieval.matching` the other pairings.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pedclip.retrieval.config import LOWEST_TEMPERATURE
from pedclip.retrieval.config import PECMConfig as PECMConfig
from pedclip.retrieval.matching import matched_confidence, unit, wide
from pedclip.retrieval.reranking import Rerank, final_score
from pedclip.retrieval.scores import Scores as Scores
from pedclip.retrieval.vectors import PairVectors


class PECM(nn.Module):
    """Projections and weights of Prototype-Enhanced Confidence Modeling, and the scores that they give.

    Args:
        num_prototypes: K, at least 1; the last one is global.
        rerank: Final score, "as_intended" or "as_printed" or another value of the configuration's field, which it
            replaces; None keeps it.
        config: Everything else; None for the defaults.
        generator: Of the first projections; None takes torch's own.

    Raises:
        ValueError: Fewer than one prototype, or no such final score.

    Source: PECM, sections 2.2 and 2.3. Differs: see `PECMConfig`.

    Example:
        >>> pecm = PECM(26, rerank="as_printed")
        >>> scores = pecm.scores(torch.ones(2, 26, 8), torch.ones(3, 26, 8))
        >>> scores.final.shape, round(float(scores.final[0, 0].detach()), 4)
        (torch.Size([2, 3]), 1.0)
    """

    def __init__(
        self,
        num_prototypes: int = 26,
        *,
        rerank: Rerank | None = None,
        config: PECMConfig | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if num_prototypes < 1:
            raise ValueError(f"num_prototypes={num_prototypes} is not allowed: at least 1")
        config = config or PECMConfig()
        self.config = config if rerank is None else replace(config, rerank=rerank)
        self.num_prototypes = num_prototypes
        # All prototypes count alike at first: w = 1 (or 1/K) under every norm.
        start = torch.ones if self.config.w_norm == "free" else torch.zeros
        self.theta = nn.Parameter(start(num_prototypes))
        # β = 0: at first every pair has the static weights. Without it, folders of older versions load as they are.
        if self.config.w_mode == "per_pair":
            self.beta = nn.Parameter(torch.zeros(()))
        # The logarithm: τ stays positive whatever the optimizer does.
        self.log_temperature = nn.Parameter(torch.tensor(math.log(self.config.temperature)))
        self.image_projection = self._projection(self.config.image_width, generator)
        self.text_projection = self._projection(self.config.text_width, generator)
        same_width = self.config.image_width == self.config.text_width
        if self.config.proj_init == "shared" and same_width and isinstance(self.text_projection, nn.Linear):
            self.text_projection.load_state_dict(self.image_projection.state_dict())

    def _projection(self, width: int, generator: torch.Generator | None) -> nn.Module:
        if not self.config.proj_dim:
            return nn.Identity()
        layer = nn.Linear(width, self.config.proj_dim, bias=False)
        # Semi-orthogonal: where D >= C, every cosine of the prototypes is what it was.
        nn.init.orthogonal_(layer.weight, generator=generator)
        return layer

    @property
    def weights(self) -> Tensor:
        """(K,) w as used in Eq. 2 and 4; uniform without DSCE. Weights per pair move away from these in Eq. 6 only."""
        # Equal θ of any value are uniform weights; free ones are 1, as at the start.
        theta = self.theta if self.config.dsce else torch.ones_like(self.theta)
        if self.config.w_norm == "free":
            return theta
        # K·softmax makes C a mean of cosines; softmax with the printed 1/K bounds it by 1/K (decision E5).
        scale = self.num_prototypes if self.config.w_norm == "K_softmax" else 1
        return scale * theta.softmax(0)

    @property
    def entropy(self) -> Tensor:
        """() entropy of the normalized weights in nats, log K at most: 0 where one prototype decides alone."""
        # Absolute values: free weights may be negative.
        fractions = self.weights.abs() / self.weights.abs().sum()
        entropy: Tensor = torch.special.entr(fractions).sum()
        return entropy

    @property
    def temperature(self) -> Tensor:
        """() divisor of the cosines in the similarity loss, at least 0.01."""
        return self.log_temperature.exp().clamp(min=LOWEST_TEMPERATURE)

    def project(self, image_prototypes: Tensor, text_prototypes: Tensor) -> tuple[Tensor, Tensor]:
        """Prototypes of both modalities in the joint space.

        Args:
            image_prototypes: (B, K, C) with C the image width.
            text_prototypes: (N, K, C) with C the text width.

        Returns:
            (B, K, D) and (N, K, D).

        Raises:
            ValueError: A width is not that of the configuration.
        """
        # Without projections the prototypes may have any one width.
        widths = image_prototypes.shape[-1], text_prototypes.shape[-1]
        expected = self.config.image_width, self.config.text_width
        if widths != expected and self.config.proj_dim:
            raise ValueError(
                f"prototypes of widths {widths} (image, text) do not fit image_width, text_width={expected}"
            )
        return self.image_projection(image_prototypes), self.text_projection(text_prototypes)

    def forward(self, image_prototypes: Tensor, text_prototypes: Tensor, text_mask: Tensor | None = None) -> Scores:
        """Scores of unprojected prototypes (B, K, C) and (N, K, C), both of their own width; see `scores`."""
        return self.scores(*self.project(image_prototypes, text_prototypes), text_mask=text_mask)

    def scores(self, image_prototypes: Tensor, text_prototypes: Tensor, *, text_mask: Tensor | None = None) -> Scores:
        """Initial, confidence and final score of every film with every report.

        Absent prototypes leave both sums, and the weights of the others grow to the same total (decision E12).

        Args:
            image_prototypes: (B, K, D) in the joint space, of any length.
            text_prototypes: (N, K, D) likewise.
            text_mask: (N, K) True where present; None for all.

        Returns:
            Three (B, N) scores.

        Raises:
            ValueError: Shapes do not fit, or a report has no prototype that is used.

        Source: PECM, Eq. 1, 3, 4, 6 and 7. Differs: what `PECMConfig` says.
        """
        mask = self.checked_mask(image_prototypes, text_prototypes, text_mask)
        image, text = unit(image_prototypes), unit(text_prototypes) * mask[..., None]
        initial = self._global(image_prototypes) @ self._global(text_prototypes, mask).t()  # (B, N)
        confidence = self._confidence(image, text, mask)
        return Scores(initial, confidence, self.final(initial, confidence), self.config.top_m)

    def final(self, initial: Tensor, confidence: Tensor) -> Tensor:
        """Score of the second ranking from those of Eq. 3 and 6, of any one shape (…,): `final_score`.

        Source: PECM, Eq. 7. Differs: without ARR it is the initial score (decision E18).
        """
        return final_score(initial, confidence, self.config.rerank) if self.config.arr else initial

    def image_vectors(self, image_prototypes: Tensor) -> PairVectors:
        """Films as an index takes them; searched with the configuration's `rerank`, it ranks by `scores(…).final`.

        Without ARR the final score is the initial one, which the first stage of a search ranks by.

        Args:
            image_prototypes: (B, K, D) in the joint space.

        Returns:
            (B, D) similarity, (B, K·D) confidence and weights (B,) of 1, outside of the graph.

        Raises:
            ValueError: As for `text_vectors`.
        """
        # A film lacks nothing; its own first row stands in for a report in the check of shapes.
        mask = self.checked_mask(image_prototypes, image_prototypes[:1], None)
        return self._vectors(image_prototypes, mask.expand(len(image_prototypes), -1))

    def text_vectors(self, text_prototypes: Tensor, *, text_mask: Tensor | None = None) -> PairVectors:
        """Reports as an index takes them.

        Blocks are √(w_k/K)·ẑ^k, and the weight is the fraction of Σw that is present. With w = K·softmax(θ) these are
        the blocks √softmax(θ)_k·ẑ^k whose squares add up to 1. With w = softmax(θ) they add up to 1/K, which the
        printed 1/K of Eq. 6 asks for: confidences stay as small as they are in `scores`.

        Args:
            text_prototypes: (N, K, D) in the joint space.
            text_mask: (N, K) True where present; None for all.

        Returns:
            (N, D) similarity, (N, K·D) confidence with zeros where absent, and weights (N,), outside of the graph.

        Raises:
            ValueError: Shapes do not fit; prototypes are matched by more than their index or weighted per pair, which
                is no inner product; or weights are free, so that confidences have no bound for a search to rely on.
        """
        mask = self.checked_mask(text_prototypes[:1], text_prototypes, text_mask)
        return self._vectors(text_prototypes, mask)

    def factors(self, cosines: Tensor, mask: Tensor) -> Tensor:
        """Factor of each cosine in the sum of Eq. 6, with the printed 1/K and the growth for absent prototypes.

        Args:
            cosines: (B, N, K) of prototypes with what they meet.
            mask: (N, K) True where present.

        Returns:
            (N, K), or (B, N, K) under weights per pair; 0 where absent.
        """
        if not self._has_pair_weights:
            return self.weights.to(cosines.dtype) * mask * self._scale(mask)[:, None]
        # Decision E6: softmax(θ_k + β·s_k) over what is present, so that absent ones need no other scale.
        fractions = (self.theta + self.beta * cosines).masked_fill(~mask, -torch.inf).softmax(2)
        return fractions * self.weights.sum() / self.num_prototypes

    def checked_mask(self, image: Tensor, text: Tensor, mask: Tensor | None) -> Tensor:
        """(N, K) mask of reports where they are, all of it where None is given; raises ValueError as `scores`."""
        shapes = tuple(image.shape), tuple(text.shape)
        fits = len(shapes[0]) == len(shapes[1]) == 3 and shapes[0][1:] == shapes[1][1:]
        if not fits or shapes[0][1] != self.num_prototypes:
            raise ValueError(f"prototypes {shapes[0]} and {shapes[1]} must be (B, {self.num_prototypes}, D) and (N, …)")
        if mask is None:
            return torch.ones(text.shape[:2], dtype=torch.bool, device=text.device)
        if mask.shape != text.shape[:2] or mask.dtype != torch.bool:
            raise ValueError(f"text_mask {mask.dtype} {tuple(mask.shape)} must be booleans {tuple(text.shape[:2])}")
        # A report of nothing would divide by zero.
        used = mask.any(1) if self.config.per else mask[:, -1]
        if not bool(used.all()):
            raise ValueError(f"text_mask leaves {int((~used).sum())} of {len(used)} reports without a prototype to use")
        # Masks are stored on the CPU, whatever computed the prototypes.
        return mask.to(text.device)

    @torch.no_grad()
    def _vectors(self, prototypes: Tensor, mask: Tensor) -> PairVectors:
        if self.config.match != "index":
            raise ValueError(f"match={self.config.match!r} has no inner-product form; use scores, or match='index'")
        if self._has_pair_weights:
            raise ValueError("w_mode='per_pair' has no inner-product form; use scores, or w_mode='static'")
        # Without DSCE all of them are 1.
        if self.config.w_norm == "free" and self.config.dsce:
            raise ValueError("w_norm='free' has no form for an index, whose confidences lie in [-1, 1]; use scores")
        fraction = self.weights / self.weights.sum()  # (K,), adds up to 1
        blocks = unit(prototypes) * ((self.weights / self.num_prototypes).sqrt() * mask)[..., None]  # (N, K, D)
        arrays = self._global(prototypes, mask), blocks.flatten(1), (fraction * mask).sum(1)
        return PairVectors(*(array.float().cpu().numpy() for array in arrays))

    def _global(self, prototypes: Tensor, mask: Tensor | None = None) -> Tensor:
        # Unit h of Eq. 4: (N, D), so that Eq. 3 is a dot product.
        if not self.config.per:
            return unit(prototypes[:, -1])
        parts = unit(prototypes) if self.config.norm_z else wide(prototypes)
        weights = self.weights.to(parts.dtype) if mask is None else self.weights.to(parts.dtype) * mask
        return F.normalize((parts * weights[..., None]).sum(1), dim=-1)

    def _scale(self, mask: Tensor) -> Tensor:
        # (N,) factor of Σ_k m_k·w_k·s_k. All present, it is the printed 1/K.
        if self.config.w_norm == "free":
            # Free weights may sum to nothing: the mean is over what is present instead.
            return 1 / mask.sum(1).to(self.weights.dtype)
        return self.weights.sum() / (self.num_prototypes * (mask * self.weights).sum(1))

    @property
    def _has_pair_weights(self) -> bool:
        # Uniform weights, which are those without DSCE, are the same for all pairs.
        return self.config.w_mode == "per_pair" and self.config.dsce

    def _confidence(self, image: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        config = self.config
        if config.match != "index" or self._has_pair_weights:
            return matched_confidence(
                image, text, mask, match=config.match, temperature=config.match_temperature, weigh=self._weigh
            )
        # Σ_k w_k·(ẑ_i^k · ẑ_r^k) for all pairs. w stands on one side: √w has no gradient at 0.
        weighted = image * self.weights.to(image.dtype)[:, None]
        return weighted.flatten(1) @ text.flatten(1).t() * self._scale(mask)  # (B, N)

    def _weigh(self, cosines: Tensor, mask: Tensor) -> Tensor:
        # (B, N, K) cosines of which (N, K) are present -> (B, N).
        return (cosines * self.factors(cosines, mask)).sum(2)
