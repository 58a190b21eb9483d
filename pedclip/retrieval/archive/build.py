"""From films or reports to an index on disk, in pieces that fit the memory, with the numbers of the items given.

Texts without a sentence have no place in an index, so that row and number differ. `items.json` lies in the folder of
the index and says for each part how many items were given and which of them were left out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pedclip.models.pedclip import PedCLIP
from pedclip.retrieval.archive.encoding import (
    ITEMS_AT_ONCE,
    Encoded,
    Omission,
    encode_usable_reports,
    film_vectors,
    fingerprint,
)
from pedclip.retrieval.archive.index import ArchiveIndex, DamagedIndex, Rows
from pedclip.retrieval.archive.index_files import new_index, write_index
from pedclip.retrieval.archive.items import ITEMS, GivenItems, Items, check_items, read_items, write_items
from pedclip.retrieval.pecm import PECM
from pedclip.retrieval.prototypes import PatchLayer
from pedclip.retrieval.vectors import PairVectors
from pedclip.triplets.left_out import LeftOut, reason_counts


@dataclass(frozen=True, eq=False)
class BuiltIndex:
    """An index with the numbers of the items that it was built of; made by the functions here, or by `open`.

    Args:
        index: N items, to be searched.
        given: Items given for each part.
        items: "films" or "reports"; None where whoever built it did not say.

    Example:
        After `found = search_all(built.index, queries)`, the texts found are at `built.numbers[found.rows]` (Q, K).
    """

    index: ArchiveIndex
    given: tuple[GivenItems, ...]
    items: Items | None = None

    @classmethod
    def open(cls, folder: str | Path, *, model: str | None = None) -> "BuiltIndex":
        """An index that was built before.

        Args:
            folder: As it was built in.
            model: As for `ArchiveIndex.open`.

        Raises:
            FileNotFoundError: There is no index, or none with numbers.
            OtherModel: As for `ArchiveIndex.open`.
            DamagedIndex: As for `ArchiveIndex.open`, or the numbers are not those of the index.
        """
        index = ArchiveIndex.open(folder, model=model)
        items, given = read_items(index.folder)
        # More than the parts that there are: of a process that was killed before it had added its own.
        given = given[: len(index.parts)]
        counts = [one.count - len(one.omitted) for one in given]
        if counts != (expected := [part.count for part in index.description.parts]):
            raise DamagedIndex(
                f"{index.folder / ITEMS} tells of parts of {counts} items, the index has {expected}; build it again, "
                "and extend it with extend=True only"
            )
        # Whether these are the numbers of these very rows, equal counts cannot say; both are written together.
        return cls(index, given, items)

    @property
    def num_given(self) -> int:
        """Items given altogether, those that were left out included."""
        return sum(one.count for one in self.given)

    @cached_property
    def numbers(self) -> Rows:
        """(N,) number of the given item in each row, from 0 on; those of an extension go on from there."""
        is_indexed = np.ones(self.num_given, dtype=bool)
        is_indexed[[number for number, _ in self._omitted]] = False
        return np.flatnonzero(is_indexed)

    @cached_property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Items given that are not in the index, in order, each as "item 7" with the reason."""
        return tuple(LeftOut(f"item {number}", one.reason, one.detail) for number, one in self._omitted)

    @property
    def _omitted(self) -> Iterator[tuple[int, Omission]]:
        """Numbers over all parts, with what is known of each."""
        first = 0  # number of the first item of the part
        for part in self.given:
            yield from ((first + one.number, one) for one in part.omitted)
            first += part.count


def build_report_index(
    folder: str | Path,
    model: PedCLIP,
    pecm: PECM,
    texts: Iterable[str | None],
    *,
    layer: PatchLayer = "final",
    batch_size: int = 1,
    device: str = "cpu",
    extend: bool = False,
) -> BuiltIndex:
    """An index of reports, to be searched by films or reports.

    Built at once, in pieces or extended, it holds the same bits if the batch size is 1 and the machine of one kind.

    Args:
        folder: Of the index; one that is there is replaced, unless it is extended.
        model: As for `report_vectors`.
        pecm: As for `report_vectors`.
        texts: Reports, read a few at a time. Equal ones are different items. None where a table has a gap.
        layer: Of the films that will be queries: part of the fingerprint, which both share.
        batch_size: As for `report_vectors`.
        device: As for `report_vectors`.
        extend: Add the texts to the index in the folder; their numbers go on from those given before.

    Returns:
        The index with its numbers, and what was left out: empty texts, and texts without a sentence.

    Raises:
        FileNotFoundError: There is nothing to extend.
        OtherModel: The index to extend is of another model.
        ValueError: No text that can be indexed, the index to extend is of films, or as for `report_vectors`.
        FileExistsError: As for `build_index`.
        TypeError: Something that is no text.
    """
    # One text is a sequence of texts, too: its letters.
    if isinstance(texts, str):
        raise TypeError("texts is a single text; pass a list of one")
    remaining = iter(texts)
    # Read in pieces, since a million reports need not fit the memory.
    pieces = iter(lambda: list(islice(remaining, ITEMS_AT_ONCE)), [])
    encoded = (encode_usable_reports(model, pecm, piece, batch_size=batch_size, device=device) for piece in pieces)
    return build_index(folder, encoded, model=fingerprint(model, pecm, layer=layer), items="reports", extend=extend)


def build_film_index(
    folder: str | Path,
    model: PedCLIP,
    pecm: PECM,
    films: NDArray[np.uint8],
    *,
    layer: PatchLayer = "final",
    batch_size: int = 1,
    device: str = "cpu",
    extend: bool = False,
) -> BuiltIndex:
    """An index of films, to be searched by reports or films; as `build_report_index`, and no film is left out.

    Args:
        folder: Of the index; one that is there is replaced, unless it is extended.
        model: As for `film_vectors`.
        pecm: As for `film_vectors`.
        films: (N, R, R) uint8, such as the memory-mapped cache of decoded images.
        layer: As for `film_vectors`.
        batch_size: As for `film_vectors`.
        device: As for `film_vectors`.
        extend: Add the films to the index in the folder.

    Returns:
        The index with its numbers.

    Raises:
        FileNotFoundError: There is nothing to extend.
        OtherModel: The index to extend is of another model.
        ValueError: As for `film_vectors`, or the index to extend is of reports.
        FileExistsError: As for `build_index`.
    """
    # Slices of a memory map: only those of one piece are read at a time.
    pieces = (films[start : start + ITEMS_AT_ONCE] for start in range(0, len(films), ITEMS_AT_ONCE))
    settings: dict[str, Any] = {"layer": layer, "batch_size": batch_size, "device": device}
    encoded = (Encoded(len(piece), film_vectors(model, pecm, piece, **settings)) for piece in pieces)
    return build_index(folder, encoded, model=fingerprint(model, pecm, layer=layer), items="films", extend=extend)


def build_index(
    folder: str | Path, encoded: Iterable[Encoded], *, model: str, items: Items | None = None, extend: bool = False
) -> BuiltIndex:
    """An index of items that were encoded, here or by other machines (`encoded_in_order`).

    Several processes may extend one index at once; their items follow each other in the order in which they are done.

    Args:
        folder: Of the index; one that is there is replaced, unless it is extended.
        encoded: Items in order, in pieces that fit the memory.
        model: `fingerprint` of the models that made the vectors.
        items: "films" or "reports", of which one index holds one; None does not say, and is not compared.
        extend: Add the items to the index in the folder.

    Raises:
        FileNotFoundError: There is nothing to extend.
        OtherModel: The index to extend is of another model.
        ValueError: No item that can be indexed, neither films nor reports, or the index to extend is of the others.
        IndexInUse: Another process has been moving files of the index for ten minutes.
        FileExistsError: The folder holds something else than an index; nothing was changed.
    """
    root = Path(folder)
    check_items(root, None, items)
    told: list[GivenItems] = []
    vectors = _vectors(encoded, told)
    if extend:
        # Refused now, not after hours of encoding.
        built = BuiltIndex.open(root, model=model)
        check_items(root, built.items, items)

        def add_numbers(parts: int) -> None:
            # Another index may be there by now.
            stored, given = read_items(root)
            check_items(root, stored, items)
            write_items(root, (*given[:parts], *told), items=stored)

        # Written before the part belongs to the index: a process killed in between leaves a line that no part has.
        built.index.extend(vectors, before_joining=add_numbers)
    else:
        # Index and numbers in one folder, which appears with both or not at all.
        with new_index(root) as partial:
            write_index(partial, vectors, model=model)
            write_items(partial, told, items=items)
    return BuiltIndex.open(root, model=model)


def _vectors(encoded: Iterable[Encoded], told: list[GivenItems]) -> Iterator[PairVectors]:
    """Vectors for the index; the items given are told when the last vectors have been taken."""
    count, num_indexed = 0, 0
    omitted: list[Omission] = []
    for piece in encoded:
        # Numbered within the piece until here, since other machines do not know what came before.
        omitted += [Omission(count + one.number, one.reason, one.detail) for one in piece.omitted]
        count += piece.num_given
        if piece.vectors is not None:
            num_indexed += len(piece.vectors)
            yield piece.vectors
    # The index would only say that nothing came.
    if omitted and not num_indexed:
        reasons = "; ".join(reason_counts(LeftOut("", one.reason, one.detail) for one in omitted))
        raise ValueError(f"none of {count} items can be indexed, and an index needs one: {reasons}")
    told.append(GivenItems(count, tuple(omitted)))
