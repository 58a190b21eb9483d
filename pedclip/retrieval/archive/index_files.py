"""Files of an index: parts of half-precision rows, and one description that says which parts there are.

    index.json                      format, version, model, widths, and the parts with their sizes and checksums
    part-00000/similarity.f16       N · D half-precision numbers, row by row
    part-00000/confidence.f16       N · W of them
    part-00000/weight.f32           N single-precision numbers

A part is never changed once it is there; more items are another part, and the description is replaced last and as a
whole, so that a reader finds the old index or the new one. Both are written beside the index first; whoever moves them
into place holds the lock `.NAME.lock` beside the folder, for that moment only.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from pedclip.artefacts import atomic_folder, without_link, write_json
from pedclip.retrieval.archive.description import (
    DESCRIPTION,
    FILES,
    DamagedIndex,
    Description,
    OtherModel,
    PartDescription,
)
from pedclip.retrieval.vectors import TOLERANCE, Halves, PairVectors, Singles

# All that an index holds; the items are those of `build_index`.
_HELD: Final = (DESCRIPTION, "items.json", "part-*")
_WAIT: Final = 600  # seconds for another process that moves its part into the same index, which takes moments


class IndexInUse(TimeoutError):
    """An index that another process does not let go of."""


@dataclass(frozen=True, eq=False)
class Part:
    """An opened part; the first two are memory-mapped, so that an archive larger than the memory can be searched.

    Args:
        similarity: (n, D).
        confidence: (n, W).
        weight: (n,), in memory.
    """

    similarity: Halves
    confidence: Halves
    weight: Singles


def named_folder(folder: str | Path) -> Path:
    """Folder of an index, which has a name of its own.

    Args:
        folder: As whoever builds or opens an index gives it.

    Raises:
        ValueError: It is "", "." or the like, which has no name for the lock beside it.
    """
    if (root := Path(folder)).name in ("", ".."):
        raise ValueError(
            f"folder={str(folder)!r} is not allowed: an index is a folder with a name, such as index/hands"
        )
    return root


def part_name(number: int) -> str:
    """Name of the folder of a part; parts are counted from 0."""
    return f"part-{number:05d}"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Right to change which files an index consists of: one process at a time.

    Args:
        folder: Of the index.

    Raises:
        IndexInUse: Another process has had it for ten minutes.
    """
    # One lock for all names of a folder: a symbolic link is another name.
    real = without_link(folder)
    lock = FileLock(real.with_name(f".{real.name}.lock"))
    try:
        lock.acquire(timeout=_WAIT)
    except Timeout as error:
        raise IndexInUse(
            f"{folder} has been in the hands of another process for {_WAIT} s, and nothing was changed; look for a "
            "process that hangs, end it, and try again"
        ) from error
    # Where a holder is killed, the operating system gives it back.
    try:
        yield
    finally:
        lock.release()


@contextmanager
def new_index(folder: str | Path) -> Iterator[Path]:
    """Empty folder that takes the place of an index at the end of the block, unless that fails.

    Args:
        folder: Of the index, which may be there already.

    Yields:
        The folder to write into.

    Raises:
        ValueError: As for `named_folder`.
        IndexInUse: As for `locked`.
        FileExistsError: The folder holds something else than an index; nothing was changed.
    """
    named_folder(folder)
    with ExitStack() as held, atomic_folder(folder, holds=_HELD) as partial:
        yield partial
        # Let go of after the renames: whoever extends the old index would put its part into the new one.
        held.enter_context(locked(Path(folder)))


def write_index(folder: Path, batches: Iterable[PairVectors], *, model: str) -> None:
    """Files of an index of one part, written.

    Args:
        folder: Of the index, empty; nobody reads it yet.
        batches: Items in order.
        model: Fingerprint of the model that made the vectors.

    Raises:
        ValueError: No items, or no fingerprint.
        OtherModel: A batch of other widths than the first.
    """
    if not model:
        raise ValueError("model='' is not allowed: an index must say which model made its vectors")
    (part := folder / part_name(0)).mkdir()
    # The description goes in last: it holds the checksums of the rest.
    written = replace(write_part(part, batches, widths=None), model=model)
    write_json(folder / DESCRIPTION, written.to_dict())


def write_part(folder: Path, batches: Iterable[PairVectors], *, widths: tuple[int, int] | None) -> Description:
    """Files of a part, written a batch at a time.

    Args:
        folder: Of the part, empty.
        batches: Items in order.
        widths: (D, W) of the index; None takes those of the first batch.

    Returns:
        A description of this part alone, without a model.

    Raises:
        ValueError: No items.
        OtherModel: A batch of other widths.
    """
    count, digests = 0, {name: hashlib.sha256() for name in FILES}
    with ExitStack() as stack:
        files = {name: stack.enter_context((folder / name).open("xb")) for name in FILES}
        for batch in batches:
            found = (batch.similarity.shape[1], batch.confidence.shape[1])
            # The first batch of a new index says how wide the others must be.
            widths = found if widths is None else widths
            if found != widths:
                raise OtherModel(f"vectors of widths {found} do not fit an index of widths {widths}")
            columns = (batch.similarity, batch.confidence, batch.weight)
            for (name, kind), values in zip(FILES.items(), columns, strict=True):
                # Written and summed at once, as the whole part may not fit the memory.
                files[name].write(content := values.astype(kind).tobytes())
                digests[name].update(content)
            count += len(batch)
    if widths is None or not count:
        raise ValueError("an index needs at least one item, got none")
    checksums = {name: digest.hexdigest() for name, digest in digests.items()}
    return Description("", *widths, (PartDescription(folder.name, count, checksums),))


def open_part(folder: Path, part: PartDescription, *, dimension: int, width: int) -> Part:
    """A part, opened after a look at the sizes of its files and at its weights.

    Raises:
        DamagedIndex: A file is missing or has another size than its rows need, or a weight cannot be one; the message
            names it.
    """
    arrays: list[NDArray[Any]] = []
    for (name, kind), columns in zip(FILES.items(), (dimension, width, 1), strict=True):
        path, expected = folder / part.name / name, part.count * columns * np.dtype(kind).itemsize
        # A copy that was cut short has the right description and too few bytes.
        found = path.stat().st_size if path.is_file() else None
        if found != expected:
            state = "is missing" if found is None else f"has {found} bytes, expected {expected}"
            raise DamagedIndex(f"{path} {state}; build the index again, or copy it again from where it was built.")
        # "c": nothing is ever written to the file, and torch takes the array without a copy or a warning.
        arrays.append(np.memmap(path, dtype=kind, mode="c", shape=(part.count, columns)))
    weight = np.array(arrays[2][:, 0])  # (n, 1) -> (n,), read into memory
    # Scores are divided by them; NaN fails both comparisons.
    if not ((weight > 0) & (weight <= 1 + TOLERANCE)).all():
        raise DamagedIndex(f"{path} is damaged: a weight is not above 0 and at most 1. Build the index again.")
    return Part(np.asarray(arrays[0]), np.asarray(arrays[1]), weight)


def check_part(folder: Path, part: PartDescription) -> None:
    """Every byte of a part against its checksums.

    Raises:
        DamagedIndex: A file was changed since; the message names it.
    """
    for name, expected in part.checksums.items():
        path = folder / part.name / name
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                raise DamagedIndex(f"{path} is damaged: its checksum differs. Build the index again.")
