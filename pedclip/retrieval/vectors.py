"""Vectors of which the scores of a query and an item are inner products."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Halves = NDArray[np.float16]
Singles = NDArray[np.float32]

TOLERANCE: Final = 0.01  # of lengths: half precision rounds them by about 0.0005


@dataclass(frozen=True, eq=False)
class PairVectors:
    """Items or queries, films or reports, as the two vectors that their scores are made of.

    The similarity of two is the inner product of their similarity vectors; their confidence is that of their confidence
    vectors, divided by the smaller of the two weights. A confidence vector is √w_k ẑ_k for all prototypes k, one block
    after the other, with Σ w_k = 1; a block that a short report does not have is zero, and its w_k is missing from the
    weight. Where the blocks of one of the two are among those of the other, as with groups filled from the first on,
    the confidence is exactly the mean cosine of the blocks that both have, weighted by w. `PECM.image_vectors` and
    `PECM.text_vectors` make such vectors.

    Args:
        similarity: (N, D) of unit length, finite.
        confidence: (N, W), finite, W the width of all blocks together.
        weight: (N,) sum of the w_k of the blocks that are there, in (0, 1]; left away, it is measured: the squared
            length of the confidence vector.

    Raises:
        ValueError: Shapes that do not fit, a number that is not finite, an item with nothing in it, a similarity vector
            not of unit length, or a weight that is smaller than its vector or larger than 1.
    """

    similarity: Singles
    confidence: Singles
    weight: Singles = field(default_factory=lambda: np.zeros(0, np.float32))

    def __post_init__(self) -> None:
        similarity, confidence = (_matrix(getattr(self, name), name) for name in ("similarity", "confidence"))
        if len(similarity) != len(confidence):
            raise ValueError(
                f"similarity and confidence need a row per item: got {len(similarity)} and {len(confidence)}"
            )
        # Row by row without a copy of the squares.
        lengths = [np.sqrt(np.einsum("nd,nd->n", rows, rows)) for rows in (similarity, confidence)]  # (N,) each
        for name, length in zip(("similarity", "confidence"), lengths, strict=True):
            # Nothing to compare, and a division by zero later on.
            if len(empty := np.flatnonzero(length == 0)):
                raise ValueError(
                    f"{len(empty)} of {len(length)} items have a {name} vector of zeros, the first at row {empty[0]}: "
                    "a film or text with nothing in it cannot be compared; leave it out and count it"
                )
        # A wrong scale would change every ranking without a word.
        if len(off := np.flatnonzero(np.abs(lengths[0] - 1) > TOLERANCE)):
            raise ValueError(
                f"similarity vectors must have length 1; row {off[0]} has {lengths[0][off[0]]:.3g}. Normalize them"
            )
        squared = lengths[1] ** 2  # (N,)
        weight = np.asarray(self.weight, dtype=np.float32)
        weight = squared if weight.size == 0 else weight
        _check_weight(weight, squared)
        # Frozen for everybody else; here the checked arrays take the place of what was given.
        for name, value in (("similarity", similarity), ("confidence", confidence), ("weight", weight)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.similarity)


def _matrix(values: Any, name: str) -> Singles:
    rows = np.ascontiguousarray(values, dtype=np.float32)
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"{name} must be (N, width) with at least one row, got {rows.shape}")
    # One sum instead of a mask of all elements: archives are built of batches of 100 MB.
    if not np.isfinite(rows.sum(dtype=np.float64)):
        raise ValueError(f"{name} vectors must be finite; look for embeddings that are NaN")
    return rows


def _check_weight(weight: Singles, squared: Singles) -> None:
    """Refusal of weights (N,) that do not belong to confidence vectors of these squared lengths (N,)."""
    if weight.shape != squared.shape:
        raise ValueError(f"weight needs a number per item: expected {squared.shape}, got {weight.shape}")
    # Blocks of unit length add up to the weight; shorter ones are allowed, longer ones make cosines above 1.
    is_wrong = ~((weight > 0) & (weight <= 1 + TOLERANCE) & (squared <= weight * (1 + 2 * TOLERANCE)))
    if len(wrong := np.flatnonzero(is_wrong)):
        row = wrong[0]
        raise ValueError(
            f"weight={weight[row]:.3g} at row {row} is not allowed: it is above 0, at most 1, and at least the squared "
            f"length of the confidence vector, {squared[row]:.3g}; the weights w of all blocks add up to 1"
        )
