"""Images of a triplet folder: inside its shards, or files inside the folder, and nothing else.

The reader of `datasets` would follow a path anywhere: to a URL, to another folder, to a device without end. A shard is
often made by somebody else, so that its paths are looked at before anything is opened.
"""

import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from datasets import Dataset, Image

from pedclip.triplets.pixels.film_bounds import MAX_FILE_BYTES
from pedclip.triplets.schema import FEATURES

_COLUMNS: Final = tuple(name for name, feature in FEATURES.items() if isinstance(feature, Image))
_REQUIRED: Final = "image"  # masks and label images may be absent
_REMOTE: Final = re.compile(r"[A-Za-z][\w+.-]+:|::")  # a scheme of two letters or more; one is a drive


def check_images(shard: Path) -> tuple[str, bool]:
    """Every image of a shard that is not in it, looked at without opening it.

    Args:
        shard: A complete Parquet file with the columns of the schema.

    Returns:
        The first that must not be read, with its row and what is wrong with it ("" where there is none), and True
        where images are files beside the shard.
    """
    has_files = False
    for column, row, value in _not_embedded(shard):
        path = None if value is None else value["path"]
        if path is None:
            if column == _REQUIRED:
                return f"row {row} holds no image", has_files
            continue
        if problem := _problem(path, shard.parent):
            return f"row {row}: the {column} is {problem}", has_files
        has_files = True
    return "", has_files


def with_absolute_paths(dataset: Dataset, folder: Path) -> Dataset:
    """The same rows with images beside the shards found from wherever the program runs.

    Args:
        dataset: Of shards without a problem.
        folder: Of the shards.
    """
    names = [name for name in _COLUMNS if name in dataset.column_names]
    for name in names:
        dataset = dataset.cast_column(name, Image(decode=False))

    def absolute(row: dict[str, Any]) -> dict[str, Any]:
        for name in names:
            value = row[name]
            if value is not None and value["bytes"] is None and value["path"] is not None:
                row[name] = {"bytes": None, "path": str((folder / value["path"]).resolve())}
        return row

    dataset = dataset.map(absolute)
    for name in names:
        dataset = dataset.cast_column(name, FEATURES[name])
    return dataset


def _not_embedded(shard: Path) -> Iterator[tuple[str, int, dict[str, Any] | None]]:
    """Column, row (from 1 on) and value of images without bytes."""
    import pyarrow.parquet  # type: ignore[import-untyped]

    file = pyarrow.parquet.ParquetFile(shard)
    first = 1
    for group in range(file.num_row_groups):
        metadata = file.metadata.row_group(group)
        leaves = {
            metadata.column(number).path_in_schema: metadata.column(number)
            for number in range(file.metadata.num_columns)
        }
        for column in _COLUMNS:
            if f"{column}.bytes" not in leaves:
                continue
            statistics = leaves[f"{column}.bytes"].statistics
            # The count of empty values spares a look at the bytes, which are nearly all of a shard.
            if statistics is not None and statistics.has_null_count and statistics.null_count == 0:
                continue
            paths = file.read_row_group(group, columns=[f"{column}.path"])[column].to_pylist()
            if column != _REQUIRED and all(value is None or value["path"] is None for value in paths):
                continue
            values = file.read_row_group(group, columns=[column])[column]
            for number, value in enumerate(values, start=first):
                if not value.is_valid or not value["bytes"].is_valid:
                    yield column, number, value.as_py()
        first += metadata.num_rows
    file.close()


def _problem(path: str, folder: Path) -> str:
    """Reason for which an image is not read, "" for a file in the folder; a path may hold a name and is not told."""
    if _REMOTE.search(path):
        return "a URL; load_triplets reads no network: download it and save the set again"
    if Path(path).is_absolute() or path.startswith(("/", "\\", "~")) or re.match(r"[A-Za-z]:", path):
        return f"a file at an absolute path; only files inside {folder} are read"
    try:
        target = (folder / path).resolve(strict=True)
        status = target.stat()
    except FileNotFoundError:
        return f"a file that is not in {folder}"
    except (OSError, ValueError, RuntimeError) as error:
        return f"a file that cannot be opened ({type(error).__name__})"
    if not target.is_relative_to(folder.resolve()):
        return f"a path that leads out of {folder}"
    if not stat.S_ISREG(status.st_mode):
        return "a folder, pipe or device"
    return f"a file of {status.st_size:,} bytes, more than a film can have" if status.st_size > MAX_FILE_BYTES else ""
