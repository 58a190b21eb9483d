"""Features that somebody else's encoders make, in the form in which PedCLIP gives its own."""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

# Plain tensors rather than the outputs of three libraries, so that an evaluation reads one form.


@dataclass(frozen=True)
class ReleasedImage:
    """Features of a batch of films.

    Attributes:
        embedding: (B, D) unit vectors.
        dense: (B, 1+S, C) image token or pooled feature, then patches or the places of the last map, row by row;
            None where an architecture shows neither.
        regions: (B, S', D) local features in the joint space, as GLoRIA compares them with words; None elsewhere.
        gate_logits: Empty: nobody else has experts.
    """

    embedding: Tensor
    dense: Tensor | None = None
    regions: Tensor | None = None
    gate_logits: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class ReleasedText:
    """Features of a batch of texts.

    Attributes:
        embedding: (B, D) unit vectors.
        tokens: (B, T, C) token features that were pooled; None where an architecture hides them.
        words: (B, W, C) sums of the pieces of each word, [CLS] first; None where no score asks for them.
        word_mask: (B, W) True where there is a word.
    """

    embedding: Tensor
    tokens: Tensor | None = None
    words: Tensor | None = None
    word_mask: Tensor | None = None


def unit(embedding: Tensor) -> Tensor:
    """Vectors (…, D) at unit length (…, D), in float32 or better."""
    # In half precision a cosine moves in steps of 0.0005.
    return F.normalize(embedding.to(torch.promote_types(embedding.dtype, torch.float32)), dim=-1)
