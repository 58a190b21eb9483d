"""Vectors of drawn items with the structure of an archive: clusters of low rank, noise, and short reports."""

import numpy as np

from pedclip.retrieval.vectors import PairVectors

BLOCKS, BLOCK_WIDTH, DIMENSION = 6, 8, 16
WEIGHTS = np.array([0.4, 0.2, 0.1, 0.1, 0.1, 0.1])


def drawn(rng, num_items, *, rank=3, noise=0.3, clusters=None, is_short=False):
    """Items as `PairVectors`, and prototypes (N, 6, 8), masks (N, 6) and global vectors (N, 16) they are made of."""
    fixed = np.random.default_rng(99)  # the same directions whatever the items
    mixing, projection = (
        fixed.normal(size=(rank, BLOCKS * BLOCK_WIDTH)), fixed.normal(size=(BLOCK_WIDTH * BLOCKS, DIMENSION)),
    )  # fmt: skip
    latent = rng.normal(size=(num_items, rank))
    if clusters is not None:
        latent = rng.normal(size=(clusters, rank))[rng.integers(clusters, size=num_items)] + 0.05 * latent
    flat = latent @ mixing + noise * rng.normal(size=(num_items, BLOCKS * BLOCK_WIDTH))
    prototypes = flat.reshape(num_items, BLOCKS, BLOCK_WIDTH)
    present = np.ones((num_items, BLOCKS), dtype=bool)
    if is_short:
        present = np.arange(BLOCKS) < rng.integers(1, BLOCKS + 1, size=num_items)[:, None]
    similarity = flat @ projection
    similarity /= np.linalg.norm(similarity, axis=1, keepdims=True)
    return PairVectors(similarity, concatenated(prototypes, present)), prototypes, present, similarity


def concatenated(prototypes, present):
    """Confidence vectors (N, 48): the unit prototypes times the roots of their weights, absent ones zero."""
    units = prototypes / np.linalg.norm(prototypes, axis=2, keepdims=True)
    return (np.sqrt(WEIGHTS)[:, None] * units * present[..., None]).reshape(len(units), -1)
