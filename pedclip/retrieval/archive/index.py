"""Index of an archive: the vectors of all items in half precision, memory-mapped, saved, opened and extended."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from pedclip.artefacts import partial_folder, write_json
from pedclip.retrieval.archive.description import DESCRIPTION, Description, PartDescription, read_description
from pedclip.retrieval.archive.description import DamagedIndex as DamagedIndex
from pedclip.retrieval.archive.description import OtherIndex as OtherIndex
from pedclip.retrieval.archive.description import OtherModel as OtherModel
from pedclip.retrieval.archive.index_files import IndexInUse as IndexInUse
from pedclip.retrieval.archive.index_files import (
    Part,
    check_part,
    locked,
    named_folder,
    new_index,
    open_part,
    part_name,
    write_index,
    write_part,
)
from pedclip.retrieval.vectors import Halves, PairVectors, Singles

Rows = NDArray[np.int64]

BLOCK_ELEMENTS: Final = 4_000_000  # numbers of a block in single precision: 16 MB, about the size of a cache


@dataclass(frozen=True, eq=False)
class ArchiveIndex:
    """The N items of an archive, opened for search; made by `create` or `open`.

    Args:
        folder: Where its files are.
        description: What they hold.
        parts: The opened files.

    Example:
        >>> import tempfile
        >>> rows = PairVectors(np.eye(3, 4), np.eye(3, 8))
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     index = ArchiveIndex.create(Path(parent) / "index", [rows], model="abc")
        ...     longer = index.extend([rows])
        ...     len(index), len(longer), longer.width
        (3, 6, 8)
    """

    folder: Path
    description: Description
    parts: tuple[Part, ...]

    @classmethod
    def create(cls, folder: str | Path, batches: Iterable[PairVectors], *, model: str) -> "ArchiveIndex":
        """An index of items, written whole or not at all.

        Args:
            folder: Destination; an index that is there is replaced, together with what others add to it meanwhile.
            batches: Items in order, in pieces that fit the memory.
            model: Fingerprint of the model that made the vectors, such as the checksum of its weights.

        Returns:
            The index, opened.

        Raises:
            ValueError: No items, no fingerprint, or a folder without a name.
            IndexInUse: Another process has been moving files of the old index for ten minutes.
            FileExistsError: The folder holds something else than an index; nothing was changed.
        """
        # Nobody sees the folder before all of it is there.
        with new_index(folder) as partial:
            write_index(partial, batches, model=model)
        return cls.open(folder, model=model)

    @classmethod
    def open(cls, folder: str | Path, *, model: str | None = None) -> "ArchiveIndex":
        """An index that was made before; nothing but the weights is read.

        Args:
            folder: As given to `create`.
            model: Fingerprint of the model that makes the queries; None takes an index of any model.

        Raises:
            ValueError: A folder without a name, such as "" or ".".
            FileNotFoundError: There is no index in the folder.
            OtherModel: It was made with another model: its vectors have nothing to do with the queries.
            DamagedIndex: Its description is unreadable, or a file is missing, cut short or of weights
                that cannot be; the message names it.
        """
        root = named_folder(folder)
        description = read_description(root)
        if model is not None and description.model != model:
            raise OtherModel(
                f"{root} is an index of model {description.model}, and the queries are of model {model}; "
                "build an index with this model, or load the other one."
            )
        # Sizes are compared, contents are not: that takes minutes, and is what `check_contents` is for.
        widths = {"dimension": description.dimension, "width": description.width}
        return cls(root, description, tuple(open_part(root, part, **widths) for part in description.parts))

    def extend(
        self, batches: Iterable[PairVectors], *, before_joining: Callable[[int], object] = lambda _: None
    ) -> "ArchiveIndex":
        """The same index with more items behind those that it has; these are not written again.

        Several processes may extend one index at once: each writes its part beside it, and parts join in the order in
        which they are complete. Where a new index takes the place of this one meanwhile, the items join that one if it
        is of the same model and widths.

        Args:
            batches: Items in order, made with the same model.
            before_joining: Called with the number of parts before the new one, when that one is complete and does not
                belong to the index yet; no other process changes the index until it does.

        Returns:
            The longer index; this one still reads what it read before.

        Raises:
            ValueError: No items.
            OtherModel: Vectors of other widths, or the folder holds an index of another model or width by now.
            IndexInUse: Another process has been moving its part into the index for ten minutes.
        """
        # Beside the index and without its lock, since encoding takes hours.
        with partial_folder(self.folder) as partial:
            written = write_part(partial, batches, widths=(self.dimension, self.width))
            # One at a time from here: two would give their parts the same name.
            with locked(self.folder):
                self._join(partial, written.parts[0], before_joining)
        return ArchiveIndex.open(self.folder, model=self.model)

    def _join(self, partial: Path, part: PartDescription, before_joining: Callable[[int], object]) -> None:
        # As the index is by now, not as it was opened.
        now = ArchiveIndex.open(self.folder, model=self.model).description
        widths = [(one.dimension, one.width) for one in (self.description, now)]
        if widths[0] != widths[1]:
            raise OtherModel(f"vectors of widths {widths[0]} do not fit {self.folder}, by now of widths {widths[1]}")
        before_joining(len(now.parts))
        path = self.folder / part_name(len(now.parts))
        # A part that no description names is what a killed process left, and is replaced.
        if path.exists():
            shutil.rmtree(path)
        partial.rename(path)
        # From this replacement on, the part belongs to the index.
        parts = (*now.parts, replace(part, name=path.name))
        write_json(self.folder / DESCRIPTION, replace(now, parts=parts).to_dict())

    def check_contents(self) -> None:
        """Every byte against the checksums of when it was written; minutes for a large archive.

        Raises:
            DamagedIndex: A file was changed since; the message names it.
        """
        for part in self.description.parts:
            check_part(self.folder, part)

    def __len__(self) -> int:
        return sum(part.count for part in self.description.parts)

    @property
    def model(self) -> str:
        """Fingerprint of the model that made the vectors."""
        return self.description.model

    @property
    def dimension(self) -> int:
        """D, width of a similarity vector."""
        return self.description.dimension

    @property
    def width(self) -> int:
        """W, width of a confidence vector."""
        return self.description.width

    @property
    def checksums(self) -> tuple[str, ...]:
        """One text per part that tells it from every other; those of a longer index begin with those of a shorter."""
        return tuple("".join(part.checksums.values()) for part in self.description.parts)

    @cached_property
    def weight(self) -> Singles:
        """(N,) weight of the blocks that each item has."""
        return np.concatenate([part.weight for part in self.parts])

    @cached_property
    def similarity(self) -> Singles:
        """(N, D) similarity vectors in single precision, in memory: 2 GB for a million items of 512.

        Raises:
            DamagedIndex: A number is not finite.
        """
        rows = np.empty((len(self), self.dimension), dtype=np.float32)
        first = 0  # row of the archive at which the part begins
        for part in self.parts:
            to_single(part.similarity, rows[first : first + len(part.weight)])
            first += len(part.weight)
        # Whatever is found by similarity would leave these items out without a word.
        self.check_finite(rows)
        return rows

    def check_finite(self, *values: NDArray[Any]) -> None:
        """Refusal of numbers that were read from the index, or computed of such, unless all are finite.

        Raises:
            DamagedIndex: One is not.
        """
        if not all(np.isfinite(numbers).all() for numbers in values):
            raise DamagedIndex(
                f"{self.folder} is damaged: it holds numbers that are not finite, which no index was written with; "
                "check_contents() names the file. Build the index again."
            )

    def blocks(self, *, start: int = 0) -> Iterator[tuple[int, Singles, Singles]]:
        """All items in order, from one on, a few at a time.

        Args:
            start: First item wanted.

        Yields:
            The number of the first row, and (B, D) similarity and (B, W) confidence in single precision; both arrays
            are filled again for the next block.
        """
        size = max(1, BLOCK_ELEMENTS // (self.width + self.dimension))
        similarity, confidence = (np.empty((size, columns), np.float32) for columns in (self.dimension, self.width))
        first = 0
        for part in self.parts:
            count = len(part.weight)
            # Parts before the start have an empty range.
            for begin in range(max(0, start - first), count, size):
                rows = slice(begin, min(begin + size, count))
                length = rows.stop - rows.start  # B, less at the end of a part
                yield (
                    first + begin,
                    to_single(part.similarity[rows], similarity[:length]),
                    to_single(part.confidence[rows], confidence[:length]),
                )
            first += count

    def take(self, rows: Rows) -> tuple[Singles, Singles]:
        """Some items, copied.

        Args:
            rows: (n,) numbers of items, 0 to N − 1, in any order.

        Returns:
            (n, D) similarity and (n, W) confidence, in single precision.
        """
        if len(self.parts) == 1:
            # The usual case, and the time of a search: one copy less.
            return to_single(self.parts[0].similarity[rows]), to_single(self.parts[0].confidence[rows])
        similarity = np.empty((len(rows), self.dimension), np.float16)
        confidence = np.empty((len(rows), self.width), np.float16)
        ends = np.cumsum([len(part.weight) for part in self.parts])
        owner = np.searchsorted(ends, rows, side="right")  # (n,) part of each row
        for number, part in enumerate(self.parts):
            mine = np.flatnonzero(owner == number)
            # Counted from the first row of the part.
            local = rows[mine] - (ends[number] - len(part.weight))
            similarity[mine], confidence[mine] = part.similarity[local], part.confidence[local]
        return to_single(similarity), to_single(confidence)


def to_single(halves: Halves, out: Singles | None = None) -> Singles:
    """Half-precision numbers in single precision.

    Args:
        halves: (n, …), of which nothing is lost.
        out: (n, …) array to fill; None makes one.

    Returns:
        (n, …), `out` where it was given.
    """
    filled = np.empty(halves.shape, np.float32) if out is None else out
    # torch converts with the instructions that processors have for it, four times as fast as numpy.
    torch.from_numpy(filled).copy_(torch.from_numpy(halves))
    return filled
