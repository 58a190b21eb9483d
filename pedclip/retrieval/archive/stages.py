"""First stage of a two-stage search: the items of the highest similarity, with faiss where it is installed."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final, Literal, get_args

import numpy as np

from pedclip.retrieval.archive.checks import is_whole
from pedclip.retrieval.archive.index import ArchiveIndex, Rows, to_single
from pedclip.retrieval.archive.search import FirstStage
from pedclip.retrieval.vectors import Singles

Kind = Literal["auto", "numpy", "flat", "ivf"]

_PER_LIST: Final = 39  # items that faiss wants for each list that it learns, or it complains on the console
_ROWS_AT_ONCE: Final = 65_536


@dataclass(frozen=True, eq=False)
class NumpyStage:
    """All similarities, by one matrix product.

    Args:
        similarity: (N, D) of the items.
        checksums: `ArchiveIndex.checksums` of the items.
    """

    similarity: Singles
    checksums: tuple[str, ...]

    @property
    def num_items(self) -> int:
        """N."""
        return len(self.similarity)

    def top(self, query: Singles, count: int) -> Rows:
        """(D,) query -> (M,) items of the highest similarity; ties at the border go to the lower numbers."""
        scores = self.similarity @ query  # (N,)
        count = min(count, len(scores))
        last = np.partition(scores, len(scores) - count)[len(scores) - count]  # the M-th highest
        # Ties fill what room is left, from the lowest number on.
        above, tied = np.flatnonzero(scores > last), np.flatnonzero(scores == last)
        return np.concatenate([above, tied[: count - len(above)]])


@dataclass(frozen=True, eq=False)
class FaissStage:
    """Similarities by faiss; which of several equal ones at the border are found is up to it.

    Args:
        searcher: A faiss index of the items.
        checksums: `ArchiveIndex.checksums` of the items.
    """

    searcher: Any
    checksums: tuple[str, ...]

    @property
    def num_items(self) -> int:
        """N."""
        return int(self.searcher.ntotal)

    def top(self, query: Singles, count: int) -> Rows:
        """(D,) query -> (M,) items of the highest similarity among the lists looked at, fewer where these are short."""
        _, rows = self.searcher.search(np.ascontiguousarray(query[None]), count)  # (1, M)
        # −1 stands for nothing found.
        return np.asarray(rows[0][rows[0] >= 0], dtype=np.int64)


def first_stage(
    index: ArchiveIndex,
    kind: Kind = "auto",
    *,
    num_lists: int | None = None,
    num_probes: int | None = None,
    seed: int = 0,
) -> FirstStage:
    """First stage over the items of an index, built in memory.

    Args:
        index: N items.
        kind: "numpy" and "flat" look at all items, the second with faiss; "ivf" looks at the lists nearest to the
            query, and may miss items; "auto" is "flat" where faiss is installed, else "numpy".
        num_lists: Of "ivf", 1 to N; None takes 4 √N, or fewer where there are few items.
        num_probes: Lists looked at, at least 1; None takes a quarter of them, at least 8. Films and reports lie apart,
            so that a query of the one kind needs more lists of the other than is usual within one kind.
        seed: Of the items that the lists are learnt on.

    Returns:
        The stage.

    Raises:
        ValueError: Another kind, fewer than one list or probe, or more lists than items.
        DamagedIndex: A similarity vector is not finite.
        ModuleNotFoundError: "flat" or "ivf" without faiss; the message says how to install it.

    Source: Jégou, Douze & Schmid, IEEE TPAMI 33 (2011) 117-128 (inverted lists); Douze et al., arXiv 2401.08281.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"kind={kind!r} is not allowed: choose from {', '.join(get_args(Kind))}")
    if kind == "auto":
        # Looked for and not imported: who asks for "numpy" does not pay for faiss.
        kind = "numpy" if find_spec("faiss") is None else "flat"
    if kind == "numpy":
        return NumpyStage(index.similarity, index.checksums)
    faiss = _faiss()
    if kind == "flat":
        flat = faiss.IndexFlatIP(index.dimension)
        _fill(flat, index)
        return FaissStage(flat, index.checksums)
    # 4 √N balances the comparison with the lists and that within them.
    lists = num_lists if num_lists is not None else max(1, min(int(4 * len(index) ** 0.5), len(index) // _PER_LIST))
    probes = num_probes if num_probes is not None else max(8, lists // 4)
    if not (is_whole(lists) and is_whole(probes)) or lists < 1 or probes < 1:
        raise ValueError(f"num_lists={lists}, num_probes={probes}: both must be at least 1, and whole numbers")
    # Each list is learnt on items of its own.
    if lists > len(index):
        raise ValueError(f"num_lists={lists} is not allowed: {index.folder} has {len(index)} items")
    return _inverted_lists(faiss, index, lists, probes, seed)


def _inverted_lists(faiss: Any, index: ArchiveIndex, lists: int, probes: int, seed: int) -> FaissStage:
    # Half precision, as in the index: what is stored loses nothing.
    quantizer, half = faiss.IndexFlatIP(index.dimension), faiss.ScalarQuantizer.QT_fp16
    inverted = faiss.IndexIVFScalarQuantizer(quantizer, index.dimension, lists, half, faiss.METRIC_INNER_PRODUCT)
    # A few times as many as faiss asks for: more would take longer and move the lists little.
    number = min(len(index), 4 * _PER_LIST * lists)
    chosen = np.sort(np.random.default_rng(seed).choice(len(index), size=number, replace=False))
    inverted.train(index.similarity[chosen])
    inverted.nprobe = min(probes, lists)
    _fill(inverted, index)
    return FaissStage(inverted, index.checksums)


def _fill(searcher: Any, index: ArchiveIndex) -> None:
    """Items into a faiss index, a few at a time, so that no second copy in single precision is held."""
    for part in index.parts:
        for start in range(0, len(part.weight), _ROWS_AT_ONCE):
            index.check_finite(rows := to_single(part.similarity[start : start + _ROWS_AT_ONCE]))
            searcher.add(rows)


def _faiss() -> Any:
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "inverted lists and flat search need faiss: pip install 'pedclip[archive]'"
        ) from error
    return faiss
