"""Search of an archive: all items, or a first stage by similarity and an exact second one.

Every search gives the same numbers for the same items. Candidates are found in single precision, in which the last
digits depend on library and block size; whoever could be among the first K within the rounding is then scored again in
double precision, one row at a time, and equal scores rank by the number of the item.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from pedclip.retrieval.archive.checks import check_search, is_whole
from pedclip.retrieval.archive.index import ArchiveIndex, OtherIndex, Rows
from pedclip.retrieval.reranking import Rerank, final_score, rounding
from pedclip.retrieval.vectors import PairVectors, Singles

Doubles = NDArray[np.float64]

_QUERIES_AT_ONCE: Final = 64  # their scores of all items are held: 256 MB for a million items
_ARITHMETIC: Final = 1e-6  # of the few operations after the inner products, in single precision
_RUN: Final = 512  # products added up in one run
_ROWS_AT_ONCE: Final = 64  # scored again together, 7 MB in double precision


@dataclass(frozen=True, eq=False)
class Found:
    """The best items of each query, best first.

    Args:
        rows: (Q, K) numbers of items; equal scores by number.
        scores: (Q, K) final scores.
        similarity: (Q, K) cosines of the global vectors.
        confidence: (Q, K) weighted mean cosines of the prototypes.
        num_scored: (Q,) items whose confidence was computed.
    """

    rows: Rows
    scores: Doubles
    similarity: Doubles
    confidence: Doubles
    num_scored: Rows


class FirstStage(Protocol):
    """A search by similarity alone; `pedclip.retrieval.archive.first_stage` makes one."""

    @property
    def num_items(self) -> int:
        """Items that it was built of."""

    @property
    def checksums(self) -> tuple[str, ...]:
        """`ArchiveIndex.checksums` of these items."""

    def top(self, query: Singles, count: int) -> Rows:
        """(D,) query -> (M,) items of the highest similarity, M at most `count`."""


def search_all(index: ArchiveIndex, queries: PairVectors, *, k: int = 10, rerank: Rerank = "as_intended") -> Found:
    """Search of all items, block by block; many queries share the reading.

    Args:
        index: N items.
        queries: Q of them.
        k: Results wanted, at least 1; N where there are fewer items.
        rerank: As for `final_score`.

    Returns:
        The K best of each query.

    Raises:
        ValueError: k below 1, or another rerank.
        OtherModel: Queries of other widths than the index.
        DamagedIndex: A score is not finite.
    """
    check_search(index, queries, k=k, rerank=rerank)
    found = []
    for first in range(0, len(queries), _QUERIES_AT_ONCE):
        several = [query_of(queries, row) for row in range(first, min(first + _QUERIES_AT_ONCE, len(queries)))]
        # Queries as columns, so that a block is read once for all of them.
        similarity_vectors, confidence_vectors = (
            np.stack([getattr(query, name) for query in several], axis=1) for name in ("similarity", "confidence")
        )  # (D, Q) and (W, Q)
        scores = np.empty((len(several), len(index)), np.float32)  # (Q, N)
        for start, similarity, confidence in index.blocks():
            rows = np.arange(start, start + len(similarity))
            # (Q, B) each
            products = product(similarity, similarity_vectors).T, product(confidence, confidence_vectors).T
            index.check_finite(*products)
            for number, query in enumerate(several):
                divided = products[1][number] / query.divisor(index, rows)
                scores[number, rows] = final_score(products[0][number], divided, rerank)
        # The order is found only now, as the K-th best is not known before the last block.
        everything = np.arange(len(index))
        found += [
            best(index, query, everything, row, k=k, rerank=rerank) for query, row in zip(several, scores, strict=True)
        ]
    return joined(found)


def search_two_stage(
    index: ArchiveIndex,
    stage: FirstStage,
    queries: PairVectors,
    *,
    k: int = 10,
    num_candidates: int = 500,
    rerank: Rerank = "as_intended",
) -> Found:
    """Approximate search: the M items of the highest similarity, all of them scored, and the K best of these.

    Items beyond the first M are never looked at, however sure their confidence is; the score ranks all M **before**
    they are cut to K, or it could only change their order.

    Args:
        index: N items.
        stage: First stage over the same items.
        queries: Q of them.
        k: Results wanted, at least 1; N where there are fewer items.
        num_candidates: M, at least k.
        rerank: As for `final_score`.

    Returns:
        The K best of the candidates of each query.

    Raises:
        ValueError: k below 1, fewer candidates than results, a first stage that found fewer than k, another rerank, or
            a number that is not whole.
        OtherIndex: The first stage is of another index, or of fewer items.
        OtherModel: Queries of other widths than the index.
        DamagedIndex: A score is not finite.
    """
    check_search(index, queries, k=k, rerank=rerank)
    if not is_whole(num_candidates) or num_candidates < k:
        raise ValueError(
            f"num_candidates={num_candidates!r} is not allowed: {k} results need a whole number, at least {k}"
        )
    # A stage that was built before the index was extended would never find what is new.
    if stage.num_items != len(index):
        raise OtherIndex(
            f"the first stage is of {stage.num_items} items, {index.folder} has {len(index)}; build it again"
        )
    # Numbers of the items of another index would be taken for numbers of this one.
    if stage.checksums != index.checksums:
        raise OtherIndex(f"the first stage was built of another index than {index.folder}; build one of this index")
    found = []
    for number in range(len(queries)):
        query = query_of(queries, number)
        # In the order of the file, which is read faster so.
        rows = np.sort(stage.top(query.similarity, min(num_candidates, len(index))))
        if len(rows) < min(k, len(index)):
            raise ValueError(f"the first stage found {len(rows)} items for {k} results; let it look at more lists")
        found.append(best(index, query, rows, query.scores(index, rows, rerank), k=k, rerank=rerank))
    return joined(found)


@dataclass(frozen=True, eq=False)
class Query:
    """One query.

    Args:
        similarity: (D,).
        confidence: (W,).
        weight: Of the blocks that it has.
    """

    similarity: Singles
    confidence: Singles
    weight: np.float32

    def divisor(self, index: ArchiveIndex, rows: Rows) -> Singles:
        """(n,) weight of the blocks that query and item both have, where those of one are among the other's."""
        return np.minimum(index.weight[rows], self.weight)

    def scores(self, index: ArchiveIndex, rows: Rows, rerank: Rerank) -> Singles:
        """(n,) final scores of some items in single precision."""
        similarity, confidence = index.take(rows)  # (n, D), (n, W)
        # Rescaled to the blocks that both have, as if the others did not exist.
        products = product(similarity, self.similarity), product(confidence, self.confidence)  # (n,) each
        # Before the final score, which may make something finite of them.
        index.check_finite(*products)
        scores = final_score(products[0], products[1] / self.divisor(index, rows), rerank)
        return np.asarray(scores, dtype=np.float32)

    def errors(self, index: ArchiveIndex, rows: Rows) -> Singles:
        """(n,) largest rounding of `scores`: that of both inner products, carried into the final score."""
        # |C| and its error grow with the lengths of both vectors over the divisor, which short reports make small.
        growth = np.sqrt(index.weight[rows] * self.weight) / self.divisor(index, rows)
        both = rounding(num_sums(index.dimension)) * np.maximum(growth, 1) + rounding(num_sums(index.width)) * growth
        # A twentieth more, since vectors may be longer than their weight by the tolerance of PairVectors.
        return np.asarray(1.05 * both + _ARITHMETIC, dtype=np.float32)


def product(rows: Singles, vectors: Singles) -> Singles:
    """Inner products in single precision, summed in short runs.

    Args:
        rows: (n, W).
        vectors: (W,) or (W, Q).

    Returns:
        (n,) or (n, Q), with an error of at most `rounding(num_sums(W))` times both lengths.
    """
    # The error grows with the longest chain of additions: 26 runs of 512 have one of 538, not of 13,312.
    total: Singles = _product(rows[:, :_RUN], vectors[:_RUN])
    for start in range(_RUN, rows.shape[1], _RUN):
        total += _product(rows[:, start : start + _RUN], vectors[start : start + _RUN])
    return total


def _product(rows: Singles, vectors: Singles) -> Singles:
    if vectors.ndim == 1:
        # What is not finite is refused by whoever asked, with the name of the index.
        with np.errstate(invalid="ignore", over="ignore"):
            return rows @ vectors
    # Whole blocks by torch, which has just converted them: its threads and those of numpy would wait for each other,
    # seven times as long as the product takes where blocks are narrow.
    return (torch.from_numpy(rows) @ torch.from_numpy(np.ascontiguousarray(vectors))).numpy()


def num_sums(width: int) -> int:
    """Longest chain of additions in `product`."""
    return min(width, _RUN) + -(-width // _RUN)


def query_of(queries: PairVectors, row: int) -> Query:
    """One of several queries."""
    return Query(queries.similarity[row], queries.confidence[row], queries.weight[row])


def best(index: ArchiveIndex, query: Query, rows: Rows, scores: Singles, *, k: int, rerank: Rerank) -> Found:
    """The K best of items that were scored in single precision, in the order of their scores in double precision.

    Args:
        index: N items.
        query: One query.
        rows: (n,) items.
        scores: (n,) of `Query.scores`.
        k: Results wanted; n where there are fewer items.
        rerank: As for `final_score`.

    Returns:
        One row of results.
    """
    k = min(k, len(rows))
    errors = query.errors(index, rows)
    # Whoever could reach the K-th lowest certain score stays.
    certain = np.partition(scores - errors, len(rows) - k)[len(rows) - k]
    rows_left = rows[scores + errors >= certain]
    similarity, confidence = _exactly(index, query, rows_left)
    final = final_score(similarity, confidence, rerank)
    # By score, and equal scores by number: the last key counts first.
    order = np.lexsort((rows_left, -final))[:k]
    # One row of K results each: (K,) -> (1, K).
    scores_of_best = np.asarray(final[order], dtype=np.float64)[None]
    cosines = similarity[order][None], confidence[order][None]
    return Found(rows_left[order][None], scores_of_best, *cosines, np.array([len(rows)]))


def _exactly(index: ArchiveIndex, query: Query, rows: Rows) -> tuple[Doubles, Doubles]:
    """Similarity (n,) and confidence (n,) in double precision, each from its own row alone."""
    similarity, confidence = np.empty(len(rows)), np.empty(len(rows))  # (n,) each
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        # Not a matrix product: there the sum of a row depends on how many rows there are.
        for out, vectors, one in zip(
            (similarity, confidence), index.take(rows[part]), (query.similarity, query.confidence), strict=True
        ):
            out[part] = (vectors.astype(np.float64) * one).sum(axis=1)
    return similarity, confidence / query.divisor(index, rows)


def joined(found: Sequence[Found]) -> Found:
    """Results of single queries, one row each."""

    def column(name: str) -> Any:
        return np.concatenate([getattr(one, name) for one in found])

    return Found(*map(column, ("rows", "scores", "similarity", "confidence", "num_scored")))
