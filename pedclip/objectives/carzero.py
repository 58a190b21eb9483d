"""CARZero: a score that a decoder reads off film and sentence together, in place of a cosine."""

from itertools import pairwise
from typing import Final, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pedclip.models.image import ImageFeatures
from pedclip.models.pedclip import PedCLIP
from pedclip.models.text import TextFeatures
from pedclip.objectives.base import FeatureBatch, Objective
from pedclip.objectives.text_units import random_sentence
from pedclip.objectives.tokens import Tokens

Projection = Literal["mlp", "linear"]
PROJECTIONS: Final = get_args(Projection)

_HIDDEN: Final = 1024  # of the decoder's feed-forward layers and of the first layer behind it
_MLP: Final = (_HIDDEN, 512, 256)  # widths on the way from a similarity representation to its score
_SPREAD: Final = 0.02  # of the initial weights
_PUBLISHED_WIDTH: Final = 768
_LARGEST: Final = 2**24  # numbers held at once while archives are scored: 64 MiB in single precision


class CrossAttentionLayer(nn.Module):
    """Pre-norm decoder layer without self-attention: each query reads the memory, and no query another one.

    Args:
        width: D, a multiple of ``heads``.
        heads: Attention heads.
        dropout: Within attention and feed-forward layer and behind both, in [0, 1).
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.query_norm, self.hidden_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.expand, self.contract = nn.Linear(width, _HIDDEN), nn.Linear(_HIDDEN, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, memory: Tensor, padding: Tensor | None) -> Tensor:
        """Queries that have read a memory.

        Args:
            queries: (M, N, D), N for each memory.
            memory: (M, S, D).
            padding: (M, S) True where there is nothing to read; None reads everything.

        Returns:
            (M, N, D).
        """
        # Keys and values are made once per memory, (M, S, D), however many queries read it.
        read, _ = self.attention(self.query_norm(queries), memory, memory, key_padding_mask=padding, need_weights=False)
        queries = queries + self.dropout(read)
        hidden = self.dropout(self.expand(self.hidden_norm(queries)).relu())  # (M, N, 1024)
        fused: Tensor = queries + self.dropout(self.contract(hidden))
        return fused


class Fusion(nn.Module):
    """Decoder that turns a query and a memory into one number.

    Args:
        width: D of queries and memories.
        depth: Decoder layers.
        heads: Attention heads of each.
        dropout: In [0, 1).
        projection: "mlp" or "linear", from the similarity representation (D) to the score.

    Source: CARZero, cross-attention alignment and its similarity representation; sizes as released.
    """

    def __init__(self, width: int, *, depth: int, heads: int, dropout: float, projection: Projection) -> None:
        super().__init__()
        self.heads = heads
        # One normalization for queries, for memories and behind the last layer, as released.
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(CrossAttentionLayer(width, heads, dropout) for _ in range(depth))
        self.dropout = nn.Dropout(dropout)
        sizes = (width, *(_MLP if projection == "mlp" else ()))
        parts: list[nn.Module] = []
        for inner, outer in pairwise(sizes):
            parts += [nn.Linear(inner, outer), nn.ReLU(), nn.Dropout(dropout)]
        self.hidden = nn.Sequential(*parts)
        self.score = nn.Linear(sizes[-1], 1)
        for parameter in self.parameters():
            if parameter.dim() == 2:  # biases keep what their layer gives them
                # 0.02 is of width 768. What sums over fewer entries starts larger, or scores of small models vanish.
                is_wide = parameter.shape[1] == width
                nn.init.normal_(parameter, std=_SPREAD * (_PUBLISHED_WIDTH / width) ** 0.5 if is_wide else _SPREAD)

    def forward(self, queries: Tensor, memories: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Score of every query in every memory.

        Args:
            queries: (N, D).
            memories: (M, S, D).
            mask: (M, S) True on what may be read, at least once in a row; None reads everything.

        Returns:
            (M, N), in single precision under autocast, of any size: there is no temperature.
        """
        memories = self.norm(memories)
        fused = self.norm(queries).expand(len(memories), -1, -1)  # (N, D) → (M, N, D)
        for layer in self.layers:
            fused = layer(fused, memories, None if mask is None else ~mask)
        hidden = self.hidden(self.dropout(self.norm(fused)))  # (M, N, 256)
        # The logits of a softmax, which half precision would round.
        with torch.autocast(hidden.device.type, enabled=False):
            hidden = hidden.to(torch.promote_types(hidden.dtype, self.score.weight.dtype))
            scores: Tensor = self.score(hidden)[..., 0]
        return scores


class CARZeroObjective(Objective):
    """Contrastive loss of fused scores: each sentence asks each film, each film asks each sentence.

    With fuse(q; m) the score of query q in memory m, one decoder for both directions:
    a_ij = fuse(t_j; [v_i, patches of i]), b_ji = fuse(v_i; [t_j, words of j]). The loss is the symmetric cross-entropy
    of a plus that of b; the score of a pair is (a_ij + b_ji) / 2.

    Args:
        model: The dual encoder; the decoder is as wide as its text tokens.
        projection: Of the similarity representation to a score: "mlp" 1024-512-256-1 as released, "linear" in the words
            of the abstract.
        depth: Decoder layers, at least 1.
        heads: Attention heads of each; a divisor of the width.
        dropout: In [0, 1).

    Raises:
        ValueError: An option is out of its range.

    Source: Lai et al., CARZero, CVPR 2024 (arXiv 2402.17417), and its released configuration with global and local
        memory and MLP.

    Differs: padding of texts is masked, which the released code leaves open to the films' attention. The sentence's
        feature is [CLS] as it leaves the last block (decision P9), not a pooling layer behind it, so [CLS] stands once
        in a text's memory. Encoders are this project's; a film or patch of another width passes a linear map first; the
        views are the project's crop, without flip, affine maps and jitter; no language model rewrites the reports.
        Negatives are those of one rank. The decoder lacks the parameters that the released layers hold unused, and its
        initial weights are scaled for widths other than 768. The joint space of ``embed_image`` and ``embed_text`` is
        the encoders' own and gets no training here, since the method has no cosine: rank by ``pair_scores``, as
        ``has_cosine`` tells, and expect no cosines of a validation split among what a training logs.
    """

    has_cosine = False

    def __init__(
        self,
        model: PedCLIP,
        *,
        projection: Projection = "mlp",
        depth: int = 4,
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(model)
        width = model.text_encoder.width
        if projection not in PROJECTIONS:
            raise ValueError(f"projection={projection!r} is not allowed: one of {PROJECTIONS}")
        if depth < 1:
            raise ValueError(f"depth={depth} is not allowed: at least 1 decoder layer")
        if heads < 1 or width % heads:
            raise ValueError(f"heads={heads} does not divide the text width {width}; choose a divisor, such as 1")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout} is not allowed: in [0, 1)")
        self.film = _adapter(model.image_encoder.width, width)
        self.patch = _adapter(model.image_encoder.local_width, width)
        self.fusion = Fusion(width, depth=depth, heads=heads, dropout=dropout, projection=projection)

    def text_view(self, tokens: Tokens, *, generator: torch.Generator) -> Tokens:
        """(B, T') one random sentence of each excerpt."""
        return random_sentence(tokens, generator=generator)

    def forward(self, features: FeatureBatch) -> dict[str, Tensor]:
        """``image_to_text`` (films as memory) and ``text_to_image`` (sentences as memory), () each, and their sum.

        Raises:
            ValueError: B < 2: a single pair has no negative.
        """
        if len(features.tokens) < 2:
            raise ValueError("B=1 is not allowed: a single pair has no negative; use a batch of at least 2")
        films, queries = self._film_memory(features.image)
        words, mask = features.text.tokens, features.tokens.attention_mask.bool()
        image_to_text = _cross_entropy(self.fusion(words[:, 0], films))  # (B, B), a row per film
        text_to_image = _cross_entropy(self.fusion(queries, words, mask=mask))  # (B, B), a row per sentence
        return {
            "image_to_text": image_to_text,
            "text_to_image": text_to_image,
            "loss": image_to_text + text_to_image,
        }

    def pair_scores(self, image: ImageFeatures, text: TextFeatures, tokens: Tokens) -> Tensor:
        """(B, N) mean of both directions, of any size; nothing is normalized over films or texts."""
        films, queries = self._film_memory(image)
        words, mask = text.tokens, tokens.attention_mask.bool()
        longest = self.fusion.heads * max(films.shape[1], words.shape[1])
        # So many texts at a time that neither a feed-forward layer nor the attention of all heads outgrows the bound.
        step = max(1, _LARGEST // (len(films) * max(_HIDDEN, words.shape[2], longest)))
        parts = []
        for start in range(0, len(words), step):
            some = slice(start, start + step)
            asked = self.fusion(queries, words[some], mask=mask[some])  # (n, B)
            parts.append((self.fusion(words[some, 0], films) + asked.t()) / 2)  # (B, n)
        return torch.cat(parts, 1)

    def _film_memory(self, image: ImageFeatures) -> tuple[Tensor, Tensor]:
        """(B, 1+S, D) memories, the whole film in front, and these (B, D) as queries."""
        films = self.film(image.pooled)
        return torch.cat([films[:, None], self.patch(image.patches)], 1), films


def _adapter(width: int, target: int) -> nn.Module:
    # As released: features of the right width go in as they are, those of a convolutional network are mapped.
    return nn.Identity() if width == target else nn.Linear(width, target)


def _cross_entropy(scores: Tensor) -> Tensor:
    """() mean of both directions of (B, B) scores whose diagonal holds the pairs."""
    targets = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, targets) + F.cross_entropy(scores.t(), targets)) / 2
