"""Exact search that scores a few hundred items of an archive: those whose best possible score is high enough.

The similarity of every item is cheap, the confidence is not: W is 13,312 where D is 512. Of each confidence vector u
the bound keeps its m coordinates a along fixed directions V and the length r of what these leave over, so that

    u_q · u_i = a_q · a_i + (u_q − V a_q) · (u_i − V a_i)   lies within   a_q · a_i ± r_q r_i   (Cauchy–Schwarz).

With the exact similarity this limits the final score from above. Items are visited in the order of that ceiling until
the K-th best score is above every ceiling that remains. The answer does not depend on how good the directions are; how
many items must be scored does.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.artefacts import write_bytes
from pedclip.retrieval.archive.checks import check_search
from pedclip.retrieval.archive.index import ArchiveIndex, DamagedIndex, OtherIndex
from pedclip.retrieval.archive.search import Found, Query, best, joined, query_of
from pedclip.retrieval.reranking import Rerank, rounding, score_ceiling
from pedclip.retrieval.vectors import PairVectors, Singles

_FORMAT: Final = "pedclip confidence bound, version 2"
_ARRAYS: Final = {"directions": np.float64, "reduced": np.float32, "residual": np.float32}
_OVERSAMPLED: Final = 8  # directions beyond those wanted, for the accuracy of the last ones
_PASSES: Final = 2  # over the sample, which sharpen the directions
_CHUNK: Final = 128  # items scored together: fewer would waste the matrix product, more would score needless ones
_ROUNDED: Final = 1e-6  # of a ceiling in single precision


class _NoBound(ValueError):
    """Content of a file that cannot be a bound."""


@dataclass(frozen=True, eq=False)
class ConfidenceBound:
    """Short forms of all confidence vectors of an index; made by `fit`, `extended` or `load`.

    Args:
        directions: (W, m) orthonormal, in double precision.
        reduced: (N, m) coordinates of each item.
        residual: (N,) length of what the directions leave over, rounded up.
        checksums: `ArchiveIndex.checksums` of the items.
    """

    directions: NDArray[np.float64]
    reduced: Singles
    residual: Singles
    checksums: tuple[str, ...]

    @classmethod
    def fit(
        cls, index: ArchiveIndex, *, num_components: int = 256, num_sampled: int = 4096, seed: int = 0
    ) -> "ConfidenceBound":
        """Directions of a sample, and the coordinates of all items along them; one pass over the index.

        Args:
            index: N items.
            num_components: m, at least 1; at most W and the size of the sample are used.
            num_sampled: Items that the directions are found on, at least 1.
            seed: Of the sample and of the first guess at the directions.

        Returns:
            The bound.

        Raises:
            ValueError: Fewer than one component or sampled item.
            DamagedIndex: A number of the index is not finite.

        Source: Halko, Martinsson & Tropp, SIAM Review 53 (2011) 217-288, algorithm 4.4. Differs: about the origin, not
            the mean, since inner products are.
        """
        if num_components < 1 or num_sampled < 1:
            raise ValueError(f"num_components={num_components}, num_sampled={num_sampled}: both must be at least 1")
        rng = np.random.default_rng(seed)
        chosen = np.sort(rng.choice(len(index), size=min(num_sampled, len(index)), replace=False))
        sample = index.take(chosen)[1]  # (S, W)
        index.check_finite(sample)
        size = min(num_components, *sample.shape)
        # Random combinations of the sample already lie near its leading directions.
        guess = rng.normal(size=(len(sample), min(size + _OVERSAMPLED, *sample.shape))).astype(np.float32)
        span = np.linalg.qr(sample.T @ guess)[0]  # (W, m + 8)
        for _ in range(_PASSES):
            span = np.linalg.qr(sample.T @ (sample @ span))[0]
        # Within the span, the directions of the largest second moment; eigenvalues come in rising order.
        moments = (sample @ span).T.astype(np.float64) @ (sample @ span)
        largest = np.linalg.eigh(moments)[1][:, ::-1][:, :size]
        # Orthonormal in double precision: the bound relies on it, not on which directions they are.
        directions = np.linalg.qr(span.astype(np.float64) @ largest)[0]  # (W, m)
        # One place fills the coordinates, whether of all items or of new ones.
        empty = np.zeros((0, directions.shape[1]), np.float32)
        return cls(directions, empty, empty[:, 0], ()).extended(index)

    def extended(self, index: ArchiveIndex) -> "ConfidenceBound":
        """The bound of a longer index: the same directions, and the coordinates of the items that are new.

        Args:
            index: That which this bound was made of, with items behind.

        Raises:
            OtherIndex: It begins with other items, or is of another width.
            DamagedIndex: A number of the index is not finite.
        """
        if index.checksums[: len(self.checksums)] != self.checksums:
            raise OtherIndex(f"the bound was made of another index than {index.folder}; fit it again")
        known = sum(part.count for part in index.description.parts[: len(self.checksums)])
        _check_sizes(self, index, known)
        reduced = np.empty((len(index), self.directions.shape[1]), np.float32)  # (N, m)
        residual = np.empty(len(index), np.float32)
        reduced[:known], residual[:known] = self.reduced, self.residual
        for start, _, confidence in index.blocks(start=known):
            rows = slice(start, start + len(confidence))
            # In double precision, as the small rest of a long vector is a difference of two large numbers.
            vectors = confidence.astype(np.float64)  # (B, W)
            index.check_finite(vectors)
            reduced[rows], residual[rows] = _parts(vectors, self.directions)
        return ConfidenceBound(self.directions, reduced, residual, index.checksums)

    def ceiling(self, index: ArchiveIndex, query: Query, rerank: Rerank) -> Singles:
        """(N,) highest final score that each item can have, for every rerank of `final_score`."""
        reduced, residual = _parts(query.confidence[None].astype(np.float64), self.directions)
        # What single precision may have lost of a_q · a_i, in units of both lengths.
        lost = 1.05 * rounding(self.directions.shape[1] + 8) * np.sqrt(index.weight * query.weight)
        middle, spread = self.reduced @ reduced[0], residual[0] * self.residual + lost  # (N,) each
        divisor = query.divisor(index, np.arange(len(index)))
        similarity = index.similarity @ query.similarity  # (N,)
        # Both limits: as printed, the lower one counts where the similarity is negative.
        limits = (middle - spread) / divisor, (middle + spread) / divisor
        ceiling = score_ceiling(similarity, *limits, slack=1.05 * rounding(index.dimension), rerank=rerank)
        return np.asarray(ceiling + _ROUNDED, dtype=np.float32)

    def save(self, path: str | Path) -> Path:
        """One safetensors file of the bound, written whole or not at all."""
        from safetensors.numpy import save

        # In double precision the directions stay orthonormal.
        arrays = {name: np.ascontiguousarray(getattr(self, name), dtype=kind) for name, kind in _ARRAYS.items()}
        metadata = {"format": _FORMAT, "checksums": json.dumps(self.checksums)}
        # A changed number would give another answer without a word.
        metadata["content"] = _digest(metadata["checksums"], list(arrays.values()))
        return write_bytes(path, save(arrays, metadata=metadata))

    @classmethod
    def load(cls, path: str | Path) -> "ConfidenceBound":
        """A bound that was saved; `search_exact` sees whether it belongs to an index.

        Raises:
            FileNotFoundError: There is no such file.
            DamagedIndex: It is cut short, was changed since, or is no bound.
        """
        from safetensors import SafetensorError, safe_open

        if not Path(path).is_file():
            raise FileNotFoundError(f"{path} is no file; save a bound there with ConfidenceBound.save.")
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != _FORMAT:
                    raise DamagedIndex(f"{path} is no {_FORMAT!r}; fit the bound again.")
                arrays = [file.get_tensor(name) for name in _ARRAYS]
            checksums = _checked(metadata, arrays)
        # TypeError: numbers of a kind that numpy does not have.
        except (SafetensorError, TypeError, _NoBound, json.JSONDecodeError) as error:
            raise DamagedIndex(f"{path} is damaged ({error}); fit the bound again.") from error
        return cls(arrays[0], arrays[1], arrays[2], checksums)


def _digest(checksums: str, arrays: Sequence[NDArray[Any]]) -> str:
    """SHA-256 of what a bound consists of: the checksums as they are written, and the arrays with their kinds."""
    digest = hashlib.sha256(checksums.encode())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _checked(metadata: dict[str, str], arrays: Sequence[NDArray[Any]]) -> tuple[str, ...]:
    """Checksums of the index, after a look at all that a file holds."""
    directions, reduced, residual = arrays
    # Files that others wrote may have these names too.
    is_fitting = directions.ndim == 2 and residual.ndim == 1 and reduced.shape == (len(residual), directions.shape[1])
    if not is_fitting or [array.dtype for array in arrays] != list(_ARRAYS.values()):
        raise _NoBound("arrays whose shapes or kinds do not fit each other")
    if not all(np.isfinite(array).all() for array in arrays):
        raise _NoBound("numbers that are not finite")
    checksums = json.loads(text := metadata.get("checksums", "null"))
    if not isinstance(checksums, list) or not all(isinstance(one, str) for one in checksums):
        raise _NoBound("checksums that are no list of texts")
    if metadata.get("content") != _digest(text, arrays):
        raise _NoBound("its checksum differs")
    return tuple(checksums)


def _check_sizes(bound: ConfidenceBound, index: ArchiveIndex, count: int) -> None:
    """Refusal of a bound that does not have the width of an index and this many items, whatever its checksums say."""
    found = len(bound.directions), len(bound.reduced), len(bound.residual)
    if found != (index.width, count, count):
        raise OtherIndex(
            f"the bound is of width {found[0]} with {found[1]} coordinates and {found[2]} residuals; {index.folder} "
            f"has width {index.width} and {count} items for it; fit a bound of this index"
        )


def search_exact(
    index: ArchiveIndex, bound: ConfidenceBound, queries: PairVectors, *, k: int = 10, rerank: Rerank = "as_intended"
) -> Found:
    """The same results as `search_all`, to the last digit, with few items scored.

    The ceiling is valid for every rerank. It is the tighter, the lower the rank of the archive; on vectors without any
    structure nearly all items are scored, and `search_all` is faster.

    Args:
        index: N items.
        bound: Of this index.
        queries: Q of them.
        k: Results wanted, at least 1; N where there are fewer items.
        rerank: As for `final_score`.

    Returns:
        The K best of each query, and how many items were scored for it.

    Raises:
        ValueError: k below 1, or another rerank.
        OtherIndex: The bound is of another index, or of fewer items.
        OtherModel: Queries of other widths than the index.
        DamagedIndex: A score is not finite.
    """
    check_search(index, queries, k=k, rerank=rerank)
    if bound.checksums != index.checksums:
        # An index that was extended begins as it did.
        is_shorter = index.checksums[: len(bound.checksums)] == bound.checksums
        step = "use bound.extended(index)" if is_shorter else "fit a bound of this index"
        raise OtherIndex(f"the bound is of {len(bound.residual)} items, {index.folder} has {len(index)}; {step}")
    _check_sizes(bound, index, len(index))
    found = [_search_one(index, bound, query_of(queries, row), k, rerank) for row in range(len(queries))]
    return joined(found)


def _search_one(index: ArchiveIndex, bound: ConfidenceBound, query: Query, k: int, rerank: Rerank) -> Found:
    """One row of results."""
    ceiling = bound.ceiling(index, query, rerank)
    k, size = min(k, len(index)), min(max(_CHUNK, 2 * k), len(index))
    # The most promising first, without sorting the whole archive.
    batch = np.argpartition(-ceiling, size - 1)[:size]
    visited, scores, certain = [batch], [query.scores(index, batch, rerank)], np.zeros(0, np.float32)
    # Scores are certain up to their rounding, so that much less counts.
    certain = _highest(certain, scores[-1] - query.errors(index, batch), k)
    # What cannot reach the K-th best is left before anything is sorted.
    is_open = ceiling >= certain.min()
    is_open[batch] = False
    waiting = np.flatnonzero(is_open)
    waiting = waiting[np.argsort(-ceiling[waiting], kind="stable")]
    for start in range(0, len(waiting), _CHUNK):
        batch = waiting[start : start + _CHUNK]
        # At the limit too: an item that ties with the K-th may have the lower number.
        batch = batch[ceiling[batch] >= certain.min()]
        # Sorted by ceiling: all that follow are lower still.
        if not len(batch):
            break
        visited.append(batch)
        scores.append(query.scores(index, batch, rerank))
        certain = _highest(certain, scores[-1] - query.errors(index, batch), k)
    return best(index, query, np.concatenate(visited), np.concatenate(scores), k=k, rerank=rerank)


def _highest(kept: Singles, new: Singles, k: int) -> Singles:
    """The k highest of certain scores so far (k,) and new ones (n,)."""
    both = np.concatenate([kept, new])
    return np.partition(both, len(both) - k)[len(both) - k :]


def _parts(vectors: NDArray[np.float64], directions: NDArray[np.float64]) -> tuple[Singles, Singles]:
    """Coordinates (B, m) of vectors (B, W), and the length (B,) of the rest, rounded up."""
    coordinates = vectors @ directions  # (B, W) -> (B, m)
    # Pythagoras, as the directions are orthonormal.
    squared = np.einsum("bw,bw->b", vectors, vectors) - np.einsum("bm,bm->b", coordinates, coordinates)
    # Rounding may leave a little less than nothing.
    rest = np.sqrt(np.maximum(squared, 0))
    # A residual that is too long loosens the bound a little, one too short would break it.
    return coordinates.astype(np.float32), (rest * (1 + 1e-6) + 1e-6).astype(np.float32)
