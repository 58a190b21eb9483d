"""Triplet directories: Parquet shards that `datasets.load_dataset` reads as well."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from datasets import Dataset, DatasetDict, Features, concatenate_datasets
from datasets.utils import logging as datasets_logging

from pedclip.anatomy import REGIONS
from pedclip.artefacts import atomic_folder
from pedclip.triplets.schema import FEATURES, OPTIONAL, with_optional
from pedclip.triplets.splits import SPLITS
from pedclip.triplets.stored_images import check_images, with_absolute_paths

_ROWS_PER_SHARD: Final = 4000
_BYTES_PER_SHARD: Final = 256 * 2**20  # one shard is in memory while it is written, and films are of any size
_ROWS_PER_PIECE: Final = 32  # read at a time, before their size is known
_SHARD: Final = re.compile(rf"({'|'.join(SPLITS)})-(\d{{5}})-of-(\d{{5}})\.parquet")
_HELD: Final = ("*-*-of-*.parquet",)  # names of shards, as a folder of triplets has no other mark


class TripletsError(ValueError):
    """A folder of Parquet files that is not a complete set of triplets; the message says what differs."""


def make_split(rows: Sequence[Mapping[str, Any]]) -> Dataset:
    """Rows of the schema as one split; no rows give an empty split with the same features.

    Args:
        rows: One mapping per triplet; images as {"bytes": …, "path": None}, the region as class number or name. The
            columns of `pedclip.triplets.schema.OPTIONAL` may be absent.
    """
    # In parts, because one Arrow array holds at most 2 GiB of image bytes.
    parts = [rows[start : start + 1000] for start in range(0, max(1, len(rows)), 1000)]
    return concatenate_datasets(
        [Dataset.from_dict({name: _column(part, name) for name in FEATURES}, FEATURES) for part in parts]
    )


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    return [row.get(name) if name in OPTIONAL else row[name] for row in rows]


def save_triplets(triplets: DatasetDict, path: str | Path) -> Path:
    """Write triplets as a folder that is complete or absent whenever the process is killed.

    A shard holds at most 4000 rows and about 256 MB of image files, so that sets of any size need little memory.

    Args:
        triplets: Splits "train", "validation" and "test" with the features of the schema; splits may be empty, and
            the columns of `pedclip.triplets.schema.OPTIONAL` may be absent.
        path: Destination; an existing folder of triplets there is replaced as a whole.

    Returns:
        The destination, which holds `<split>-00000-of-0000N.parquet` with the image files inside; an empty split has
        no file.

    Raises:
        TripletsError: A split is missing or not one of the three, all are empty, or a feature differs from the schema.
        FileExistsError: The folder holds something else than triplets; nothing was changed.
    """
    if not isinstance(triplets, Mapping):
        raise TripletsError(f"expected a DatasetDict of three splits, got {type(triplets).__name__}.")
    # All three by name: a forgotten test split shows when it is saved, not when it is needed.
    if set(triplets) != set(SPLITS):
        raise TripletsError(f"expected the splits {', '.join(SPLITS)}, got {', '.join(map(str, triplets)) or 'none'}.")
    for split in SPLITS:
        if not isinstance(triplets[split], Dataset):
            raise TripletsError(f"split {split!r} is a {type(triplets[split]).__name__}, expected a Dataset.")
        _check_features(triplets[split].features, f"split {split!r}")
    if not any(len(triplets[split]) for split in SPLITS):
        raise TripletsError("all splits are empty; there is nothing to save.")
    with atomic_folder(path, holds=_HELD) as folder:
        for split in SPLITS:
            _write_split(triplets[split], folder, split)
    return Path(path)


def _write_split(dataset: Dataset, folder: Path, split: str) -> None:
    import pyarrow.parquet  # type: ignore[import-untyped]

    files: list[Path] = []  # none for an empty split: `load_dataset` refuses such
    for pieces in _shards_of(_pieces(dataset)):
        files.append(folder / f"{split}-{len(files):05d}")
        # 100 rows a group: whoever reads one film does not read a thousand.
        pyarrow.parquet.write_table(pyarrow.concat_tables(pieces), files[-1], row_group_size=100)
    for number, file in enumerate(files):  # how many there are is known at the end only
        file.rename(folder / f"{split}-{number:05d}-of-{len(files):05d}.parquet")


def _pieces(dataset: Dataset) -> Iterator[Any]:
    """A few rows at a time as Arrow tables with the image files inside."""
    from datasets.table import embed_table_storage

    # Arrow, so that image files are copied as bytes and never decoded.
    rows: Any = with_optional(dataset).with_format("arrow")
    for start in range(0, len(rows), _ROWS_PER_PIECE):
        yield embed_table_storage(rows[start : start + _ROWS_PER_PIECE].cast(FEATURES.arrow_schema))


def _shards_of(pieces: Iterable[Any]) -> Iterator[list[Any]]:
    """Pieces that fill a shard, by rows or by bytes; the caller gets the only reference to them."""
    shard: list[Any] = []
    rows = size = 0
    for piece in pieces:
        if shard and (rows + len(piece) > _ROWS_PER_SHARD or size + piece.nbytes > _BYTES_PER_SHARD):
            # Cleared once the caller has written it: two full shards are never in memory.
            full, shard, rows, size = shard, [], 0, 0
            yield full
            full.clear()
        shard.append(piece)
        rows, size = rows + len(piece), size + piece.nbytes
    if shard:
        yield shard


def is_triplets(path: Path) -> bool:
    """True where a folder holds shards of triplets (complete or not)."""
    return path.is_dir() and any(_SHARD.fullmatch(file.name) for file in path.iterdir())


def load_triplets(path: str | Path) -> DatasetDict:
    """Triplets written by `save_triplets`, memory-mapped through the cache of `datasets` (`HF_HOME`).

    Sets made before a column of `pedclip.triplets.schema.OPTIONAL` existed get None in it. Images are read from the
    shards, or from files inside the folder that a shard names by relative path; never from elsewhere.

    Args:
        path: The folder.

    Raises:
        TripletsError: No triplets there, a shard is missing or unreadable, its schema differs, a region is none of the
            23, or an image is neither in it nor a file inside the folder.
    """
    shards = _shards(_folder(path))
    has_files = False
    for file in (file for files in shards.values() for file in files):
        # Every shard, before one is opened: an error then names the file.
        _check_features(_features(file), str(file))
        _check_regions(file)
        has_files = _check_images(file) or has_files
    with _without_progress_bars():
        triplets = {split: _read_split(files) if files else make_split([]) for split, files in shards.items()}
        if has_files:
            triplets = {split: with_absolute_paths(dataset, Path(path)) for split, dataset in triplets.items()}
    return DatasetDict(triplets)


def _folder(path: str | Path) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise TripletsError(f"expected the folder of a set of triplets, got {type(path).__name__}.")
    if not is_triplets(folder := Path(path)):
        raise TripletsError(f"{folder} holds no triplets: expected train-00000-of-0000N.parquet and the like.")
    return folder


def _check_regions(file: Path) -> None:
    """Refuse a shard with a region that is none of the 23: -1 would be read as the last one."""
    import pyarrow
    import pyarrow.parquet

    try:
        regions = pyarrow.parquet.read_table(file, columns=["region"])["region"].to_pylist()
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        raise TripletsError(f"{file} cannot be read ({error}); copy it again or make it again.") from error
    wrong = [(row, value) for row, value in enumerate(regions, start=1) if value not in range(len(REGIONS))]
    if wrong:
        listed = ", ".join(f"{row} ({value})" for row, value in wrong[:20]) + (", …" if len(wrong) > 20 else "")
        raise TripletsError(
            f"{file}: {len(wrong)} regions outside 0 to {len(REGIONS) - 1}, in rows {listed}; leave these rows out."
        )


def _check_images(file: Path) -> bool:
    import pyarrow

    try:
        problem, has_files = check_images(file)
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        raise TripletsError(f"{file} cannot be read ({error}); copy it again or make it again.") from error
    if problem:
        raise TripletsError(f"{file}, {problem}.")
    return has_files


def _read_split(files: Sequence[Path]) -> Dataset:
    # Shards of one split were written together, so that all have the columns of the first.
    present = _features(files[0])
    features = Features({name: feature for name, feature in FEATURES.items() if name in present})
    try:
        return with_optional(Dataset.from_parquet([str(file) for file in files], features=features))
    # What a column holds may differ from what the file says of it; `datasets` wraps whatever comes of that.
    except Exception as error:
        cause = error.__cause__ or error
        raise TripletsError(f"{files[0]} or a shard beside it is not what it says it is ({cause}).") from error


def _shards(path: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {split: [] for split in SPLITS}
    for file in sorted(path.iterdir()):
        if match := _SHARD.fullmatch(file.name):
            found[match[1]].append(file)
    for split, files in found.items():
        # The name of each shard says how many there are, so that a missing last one shows.
        total = int(files[0].stem[-5:]) if files else 0
        expected = [f"{split}-{number:05d}-of-{total:05d}.parquet" for number in range(total)]
        if missing := [name for name in expected if name not in {file.name for file in files}]:
            raise TripletsError(f"{path} is incomplete: {missing[0]} is missing; copy it again or make it again.")
        if extra := [file.name for file in files if file.name not in expected]:
            raise TripletsError(f"{path} holds shards of two sets: {extra[0]} and {files[0].name}; remove one set.")
    return found


def _features(file: Path) -> Features:
    import pyarrow
    import pyarrow.parquet

    try:
        schema = pyarrow.parquet.read_schema(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise TripletsError(f"{file} is no complete Parquet file ({error}); copy it again or make it again.") from None
    try:
        features = Features.from_arrow_schema(schema)
    # Types that no triplet has, or a description of them that is damaged: anything may come of it.
    except Exception as error:
        raise TripletsError(f"{file} has columns of unknown types ({type(error).__name__}: {error}).") from error
    return features


def _check_features(features: Features, where: str) -> None:
    # Optional columns may be absent, but not differ.
    missing = [name for name in FEATURES if name not in features and name not in OPTIONAL]
    extra = [name for name in features if name not in FEATURES]
    differing = [name for name in FEATURES if name in features and features[name] != FEATURES[name]]
    parts = [f"missing {', '.join(missing)}"] if missing else []
    parts += [f"unexpected {', '.join(extra)}"] if extra else []
    parts += [f"{name} is {_brief(features[name])}, expected {_brief(FEATURES[name])}" for name in differing]
    if parts:
        raise TripletsError(f"{where} differs from the triplet schema (pedclip.triplets.schema): {'; '.join(parts)}.")


def _brief(feature: Any) -> str:
    text = repr(feature)
    return text if len(text) < 200 else f"{text[:200]}…"


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    # For the others in this process the bars stay as they were.
    is_shown = datasets_logging.is_progress_bar_enabled()
    datasets_logging.disable_progress_bar()
    try:
        yield
    finally:
        if is_shown:
            datasets_logging.enable_progress_bar()
