"""Official tables of a data set where people keep them: in another folder, in another case, as a copy, nearly named."""

import os
import re
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Final

from pedclip.triplets.film_paths import path_key
from pedclip.triplets.tabular import TableError, open_table

_SUFFIXES: Final = {".csv", ".tsv", ".txt", ".json", ".jsonl", ".parquet", ".xls", ".xlsx", ".ods"}
_MAX_DEPTH: Final = 4  # folders
_MANY: Final = 300  # subfolders: those of patients, which hold films
_NEAR: Final = 0.8  # of `difflib`, 1 for equal names
_COPY: Final = re.compile(r"\s*\(\d+\)$|[ _-]+(copy|kopie)$")


class OfficialTables:
    """Tables below a folder, found by their official names.

    Args:
        root: The folder.
        names: All official names of the data set, so that a table is never taken for another of them.
    """

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self.root = root
        self.keys = {_key(name) for name in names}

    def find(self, *names: str, columns: Sequence[str] = ()) -> tuple[Path | None, list[tuple[str, str]]]:
        """A table by any of its names: where it belongs, else below; of a near name only with all the columns.

        Args:
            names: Paths below the root.
            columns: What it must have; "a|b" means either.

        Returns:
            The table, None where there is none, or several that differ; and tables that may be meant and are not read,
            relative to the root, with why.
        """
        if here := next((path for name in names if (path := self.root / name).is_file()), None):
            return here, []
        wanted = {_key(name) for name in names}
        same = [path for path in self._tables if any(self._is(path, name) for name in names)]
        near = [] if same else [path for path in self._tables if self._closest(path) in wanted]
        lacking = {path: missing_columns(path, columns) for path in same or near}
        fitting = [path for path, missing in lacking.items() if not missing and (same or columns)]
        # Copies of one table are one.
        if len(fitting) > 1 and len({path.read_bytes() for path in fitting}) > 1:
            fitting = []
        others = [(path, missing) for path, missing in lacking.items() if path not in fitting]
        return (fitting[0] if fitting else None), [self._problem(path, names[0], missing) for path, missing in others]

    def _is(self, path: Path, name: str) -> bool:
        """True where a file has an official name, in any case, with other separators, or as a copy."""
        # Names with folders, such as data/train/captions.txt, are told apart by them.
        if "/" in name:
            return f"/{path_key(path.relative_to(self.root).as_posix())}".endswith(f"/{path_key(name)}")
        return _key(path.name) == _key(name) and _suffix(path.name) == _suffix(name)

    def _closest(self, path: Path) -> str:
        close = get_close_matches(_key(path.name), self.keys, n=1, cutoff=_NEAR)
        return close[0] if close and _key(path.name) not in self.keys else ""

    def _problem(self, path: Path, name: str, missing: str) -> tuple[str, str]:
        why = f"it has no column {missing}" if missing else "which is meant cannot be told"
        return path.relative_to(self.root).as_posix(), f"a table like {name}, not read: {why}"

    @cached_property
    def _tables(self) -> list[Path]:
        """Files that may be tables, but for those in folders of patients; walked once, when a table is not in place."""
        found = []
        for folder, folders, files in os.walk(self.root):
            found += [Path(folder, name) for name in files if _suffix(name) in _SUFFIXES]
            is_deep = len(Path(folder).relative_to(self.root).parts) >= _MAX_DEPTH
            folders[:] = [] if is_deep or len(folders) > _MANY else sorted(folders)
        return sorted(found)


def missing_columns(path: Path, columns: Sequence[str]) -> str:
    """Columns that a table lacks, with commas; all of them where it cannot be read."""
    if not columns:
        return ""
    try:
        names = open_table(path, is_strict=False).names
    except TableError:
        names = ()
    return ", ".join(column for column in columns if not any(name in names for name in column.split("|")))


def _suffix(name: str) -> str:
    return Path(name.lower().removesuffix(".gz")).suffix


def _key(name: str) -> str:
    """A name as it is compared: without ending, case, separators and the mark of a copy."""
    stem = Path(path_key(name).removesuffix(".gz")).stem
    return re.sub(r"[\W_]+", "", _COPY.sub("", stem))
