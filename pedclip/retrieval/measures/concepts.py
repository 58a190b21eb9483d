"""Concepts (CUIs) that what was found shares with what was looked for, by three readings of "CUI@K"."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pedclip.evaluation.metrics.bootstrap import Floats
from pedclip.evaluation.metrics.retrieval import query_interval, top
from pedclip.evaluation.result import Result
from pedclip.retrieval.measures.protocols import Direction, Protocol, with_protocol

Variant = Literal["coverage", "hit", "jaccard"]

ROCO_AT: Final = (5, 10, 50)  # of Table 3
_QUERIES_AT_ONCE: Final = 256  # whose tables of the whole gallery are held


def concept_overlap(
    similarity: ArrayLike,
    queries: Sequence[Collection[str]],
    gallery: Sequence[Collection[str]],
    *,
    variant: Variant = "coverage",
    ks: Sequence[int] = ROCO_AT,
    own: Sequence[int] | None = None,
    patients: Sequence[str] | None = None,
    direction: Direction = "image to text",
    unique_texts: int | None = None,
    section: str = "caption",
    method: str = "PECM",
    num_resamples: int = 1000,
    seed: int = 0,
) -> list[Result]:
    """Concepts (CUIs) that the first K items share with the query, by one of three readings of "CUI@K".

    "coverage" is the fraction of the query's concepts that some item among the first K has; "hit" is 1 where any such
    item has any of them; "jaccard" is the mean over the first K of |shared| / |in either|. A query without a concept is
    left out and counted; one whose concepts nobody in the gallery has counts as 0.

    Args:
        similarity: (Q, N) of each query to each item, such as `order_scores`; equal values rank by number.
        queries: Q sets of concepts, as codes.
        gallery: N sets of concepts.
        variant: Which reading. The printed values rise with K, which rules out a precision.
        ks: The K, each at least 1.
        own: (Q,) number of each query's own item, which is then no answer; None leaves it in the gallery.
        patients: (Q,) patient, or publication, of each query; None resamples queries.
        direction: From query to answer.
        unique_texts: Different texts in the gallery, for the protocol.
        section: Which words stand for an item, for the protocol.
        method: Name in the results.
        num_resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        One result per K with its `Protocol`; the metric's name has the variant. The baseline is a random ranking.

    Raises:
        ValueError: Another variant, a K below 1, lengths that do not fit, similarities that are not finite, concepts
            that are no set, own items that are no whole numbers, or no query with a concept.

    Source: PECM, Table 3, which defines no CUI@K; all three readings are ours, and none is compared with its numbers.
    """
    scores = np.asarray(similarity)
    _check(scores, queries, gallery, variant, ks)
    _check_owners(own, patients, len(queries), len(gallery))
    asked = np.array([row for row, concepts in enumerate(queries) if len(concepts)], dtype=np.intp)
    owners = None if own is None else np.asarray(own)[asked]
    tables = _Concepts.of([queries[row] for row in asked], gallery, owners)
    # A resample is of patients, or where nobody knows them of queries.
    groups = np.arange(len(asked)) if patients is None else np.asarray(patients)[asked]
    protocol = Protocol(
        direction=direction,
        num_queries=len(asked),
        gallery=len(gallery),
        unique_texts=unique_texts,
        section=section,
        num_patients=len(np.unique(groups)),
        is_self_included=own is None,
        num_left_out=len(queries) - len(asked),
        note=f"CUI@K read as {variant}" + ("" if patients is not None else ", queries resampled for patients"),
    )
    results = []
    for k in ks:
        values = tables.values(scores[asked], variant, k)  # (Q,)
        score = query_interval(values, groups, num_resamples=num_resamples, seed=seed)
        result = Result(
            task=direction,
            method=method,
            metric=f"CUI ({variant})",
            score=score,
            baseline=tables.chance(variant, k),
            baseline_name="random ranking",
            settings={"k": k},
        )
        results.append(with_protocol(result, protocol))
    return results


def _check(
    scores: NDArray[Any],
    queries: Sequence[Collection[str]],
    gallery: Sequence[Collection[str]],
    variant: str,
    ks: Sequence[int],
) -> None:
    if variant not in get_args(Variant):
        raise ValueError(f"variant={variant!r} is not allowed: one of {get_args(Variant)}")
    if scores.shape != (len(queries), len(gallery)) or 0 in scores.shape:
        raise ValueError(
            f"similarity {scores.shape} must be (queries, gallery) = ({len(queries)}, {len(gallery)}), at least 1 each"
        )
    if not np.isfinite(scores).all():
        raise ValueError("similarity must be finite; look for embeddings of length zero or NaN")
    if not ks or min(ks) < 1:
        raise ValueError(f"ks={tuple(ks)} is not allowed: each at least 1, and at least one")
    # A text is a collection of letters, each of which would be a concept.
    if any(isinstance(concepts, str | bytes) for concepts in (*queries, *gallery)):
        raise ValueError("concepts must be a set of codes for each item, not one text; split it first")
    # None may say that nobody looked, and then the film is no example of one without concepts.
    if wrong := sum(not isinstance(concepts, Collection) for concepts in (*queries, *gallery)):
        raise ValueError(f"{wrong} items have no set of concepts; leave them out, or give set() if there are none")
    if not any(len(concepts) for concepts in queries):
        raise ValueError(f"none of {len(queries)} queries has a concept")


def _check_owners(own: Sequence[int] | None, patients: Sequence[str] | None, num_queries: int, num_items: int) -> None:
    # A text is a sequence of letters.
    if patients is not None and (isinstance(patients, str) or len(patients) != num_queries):
        given = "one text" if isinstance(patients, str) else f"{len(patients)} patients"
        raise ValueError(f"{given} for {num_queries} queries: patients must name one for each")
    if own is None:
        return
    owners = np.asarray(own)
    # Booleans would choose items 0 and 1, and fractions none.
    is_right = owners.shape == (num_queries,) and owners.dtype.kind in "iu"
    if not is_right or owners.min() < 0 or owners.max() >= num_items:
        raise ValueError(f"own must name an item 0…{num_items - 1} for each of {num_queries} queries, as whole numbers")
    if num_items < 2:
        raise ValueError("the gallery holds nothing but the query's own item")


@dataclass(frozen=True, eq=False)
class _Concepts:
    """Concepts of queries (Q, C) and items (N, C) as sparse tables of 0 and 1, and the own item of each query."""

    asked: Any
    held: Any
    own: NDArray[Any] | None

    @classmethod
    def of(
        cls, queries: Sequence[Collection[str]], gallery: Sequence[Collection[str]], own: NDArray[Any] | None
    ) -> "_Concepts":
        from scipy.sparse import csr_array  # type: ignore[import-untyped]

        sets = [sorted(set(concepts)) for concepts in (*queries, *gallery)]
        columns = {code: column for column, code in enumerate(sorted({code for one in sets for code in one}))}
        ends = np.cumsum([0, *map(len, sets)])
        where = np.array([columns[code] for one in sets for code in one], dtype=np.int64)
        # Doubles: products of the tables are divided at once.
        table = csr_array((np.ones(len(where)), where, ends), shape=(len(sets), len(columns)))
        return cls(table[: len(queries)], table[len(queries) :], own)

    def values(self, scores: NDArray[Any], variant: Variant, k: int) -> Floats:
        """(Q,) overlap of each query with its first K by scores (Q, N)."""
        from scipy.sparse import csr_array

        found = []
        for rows, shared, is_allowed in self._blocks():
            # What is not allowed comes last, and is not there where K reaches that far.
            is_top = top(np.where(is_allowed, scores[rows], -np.inf), k) & is_allowed  # (B, N)
            if variant == "hit":
                found.append(((shared > 0) & is_top).any(axis=1).astype(np.float64))
            elif variant == "jaccard":
                found.append((self._jaccard(rows, shared) * is_top).sum(axis=1) / is_top.sum(axis=1))
            else:
                # Concepts that any of the first K has, then those among them that were asked for: (B, C).
                covered = (csr_array(is_top.astype(np.float64)) @ self.held) > 0
                found.append(self.asked[rows].multiply(covered).sum(axis=1) / self.asked[rows].sum(axis=1))
        return np.concatenate(found)

    def chance(self, variant: Variant, k: int) -> float:
        """Mean overlap over all rankings, each as likely as any other."""
        found = []
        num_items = self.held.shape[0] - (self.own is not None)
        for rows, shared, is_allowed in self._blocks():
            if variant == "jaccard":
                found.append((self._jaccard(rows, shared) * is_allowed).sum(axis=1) / num_items)
            elif variant == "hit":
                found.append(1 - _missed(((shared > 0) & is_allowed).sum(axis=1), num_items, k))
            else:
                # Of each concept the items that have it, without the query's own: (B, C).
                have = self.held.sum(axis=0)[None] - (0 if self.own is None else self.held[self.own[rows]].toarray())
                asked = self.asked[rows].toarray()
                found.append(((1 - _missed(have, num_items, k)) * asked).sum(axis=1) / asked.sum(axis=1))
        return float(np.concatenate(found).mean())

    def _blocks(self) -> Iterator[tuple[slice, Floats, NDArray[np.bool_]]]:
        """Rows of a few queries, the concepts they share with each item (B, N), and which items may be found."""
        for start in range(0, self.asked.shape[0], _QUERIES_AT_ONCE):
            rows = slice(start, min(start + _QUERIES_AT_ONCE, self.asked.shape[0]))
            shared = (self.asked[rows] @ self.held.T).toarray()  # (B, N)
            is_allowed = np.ones(shared.shape, dtype=np.bool_)
            if self.own is not None:
                is_allowed[np.arange(len(shared)), self.own[rows]] = False
            yield rows, shared, is_allowed

    def _jaccard(self, rows: slice, shared: Floats) -> Floats:
        # |A ∪ B| = |A| + |B| − |A ∩ B|, at least 1, as every query has a concept: (B, N).
        either = self.asked[rows].sum(axis=1)[:, None] + self.held.sum(axis=1)[None] - shared
        overlap: Floats = shared / either
        return overlap


def _missed(counts: NDArray[Any], num_items: int, k: int) -> Floats:
    """Chance (…,) that none of the first K of a random ranking is one of so many items (…,)."""
    # Few different counts, and binomials of whole numbers are exact.
    different, where = np.unique(counts.astype(np.int64), return_inverse=True)
    drawn = min(k, num_items)
    chances = [comb(num_items - int(count), drawn) / comb(num_items, drawn) for count in different]
    return np.array(chances)[where].reshape(counts.shape)
