"""The table of a folder of images: which file it is, and which column means what."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pedclip.triplets.annotations import Box
from pedclip.triplets.columns import check_roles, find_roles, first_of, usual_names
from pedclip.triplets.tabular import TableError, cell_text, open_table

TABLE: Final = "metadata.csv"
BOXES: Final = "boxes.csv"
_SUFFIXES: Final = (".csv", ".jsonl", ".parquet")
_BOX_COLUMNS: Final = ("file", "x", "y", "w", "h")

_Rows = list[tuple[int, Mapping[str, Any]]]


@dataclass(frozen=True)
class Table:
    """Rows of a table, by the role of each column.

    Args:
        path: The file.
        columns: Role (a key of columns.json) to the name of its column in the file.
        rows: Row number (the header of a CSV file is row 1) and, for each role, the cell as text without outer blanks.
    """

    path: Path
    columns: Mapping[str, str]
    rows: Sequence[tuple[int, Mapping[str, str]]]

    def error(self, role: str, rows: Sequence[int], message: str) -> TableError:
        """An error about cells of one column."""
        numbers = " and ".join(str(row) for row in rows)
        column = self.columns.get(role, role)
        return TableError(f"{self.path}, row {numbers}, column {column!r}: {message}")


def find_table(folder: Path, columns: Mapping[str, str] | None = None) -> Table | None:
    """The table of the images in a folder: `metadata.csv`, else the one file whose rows point at image files.

    Args:
        folder: A folder; only its own files count, not those of subfolders.
        columns: Role to column name, before what columns.json knows.

    Returns:
        The table, or None where no file of the folder points at images (`boxes.csv` is not a table of images).

    Raises:
        TableError: Unreadable file, no image column in `metadata.csv`, a column of `columns` that is absent, or two
            tables to choose from.
    """
    check_roles(columns or {}, "images")
    if (folder / TABLE).is_file():
        return read_table(folder / TABLE, columns)
    # A folder may hold other tables, such as word lists; only files that point at images count.
    candidates = [path for path in sorted(folder.iterdir()) if path.suffix in _SUFFIXES and path.name != BOXES]
    tables = [table for path in candidates if (table := _read_if_images(path, columns or {})) is not None]
    if len(tables) > 1:
        names = " and ".join(table.path.name for table in tables)
        raise TableError(f"{folder}: {names} both list images; join them into one {TABLE}.")
    return tables[0] if tables else None


def read_table(path: Path, columns: Mapping[str, str] | None = None) -> Table:
    """Rows of a CSV (UTF-8, commas), JSON Lines or Parquet file.

    Raises:
        TableError: Unreadable, without rows, without an image column, or without a column named in `columns`.
    """
    return _by_role(path, _read(path), columns or {})


def read_box_table(folder: Path) -> Iterator[tuple[int, str, Box, str]]:
    """Row number, image file, box in pixels and label of each row of `boxes.csv`, if there is one.

    Raises:
        TableError: A column is missing, or a coordinate is not a number; names file, row and column.
    """
    path = folder / BOXES
    if not path.is_file():
        return
    for number, row in _read(path):
        missing = [name for name in _BOX_COLUMNS if name not in row]
        if missing:
            raise TableError(f"{path} has no column {', '.join(missing)}; expected file,x,y,w,h,label.")
        numbers = []
        for name in _BOX_COLUMNS[1:]:
            try:
                numbers.append(float(row[name]))
            except ValueError:
                raise TableError(f"{path}, row {number}, column {name!r}: expected a number of pixels.") from None
        yield number, cell_text(row["file"]), Box(*numbers), cell_text(row.get("label"))


def _by_role(path: Path, rows: _Rows, columns: Mapping[str, str]) -> Table:
    if not rows:
        raise TableError(f"{path} has no rows; expected one per image.")
    present = _names(rows)
    roles = find_roles(path, present, columns, "images")
    if "image" not in roles:
        raise TableError(
            f"{path} has no image column; its columns are {', '.join(present)}. "
            "Name the one that holds the file names, e.g. columns={'image': 'x'}; known names are in columns.json."
        )
    cells = [(number, {role: _cell(row.get(name), role) for role, name in roles.items()}) for number, row in rows]
    # Text throughout: whoever reads a cell decides what is a number.
    return Table(path, roles, cells)


def _read_if_images(path: Path, columns: Mapping[str, str]) -> Table | None:
    rows = _read(path)
    present = _names(rows)
    usual = [name for name in present if first_of(usual_names("images")["image"], [name])]
    image = next((name for name in (columns.get("image", ""), *usual) if name in present), "")
    files = (_cell(row.get(image), "image") for _, row in rows)
    return _by_role(path, rows, columns) if any(file and (path.parent / file).is_file() for file in files) else None


def _read(path: Path) -> _Rows:
    """Rows that can be read; the first that cannot is an error, as the table is the user's own to mend."""
    rows: _Rows = []
    for row in open_table(path, is_strict=False).rows():
        if row.cells is None or row.problem:
            hint = "; quote cells with commas" if row.cells else ""
            raise TableError(f"{path}, row {row.number}: {row.problem}{hint}.")
        rows.append((row.number, row.cells))
    return rows


def _names(rows: _Rows) -> list[str]:
    return list(dict.fromkeys(name for _, row in rows for name in row))


def _cell(value: Any, role: str) -> str:
    """A cell as text; of a list of files the first."""
    # A study of several images is represented by its first.
    is_files = role in {"image", "mask"} and isinstance(value, list | tuple)
    return cell_text(next(filter(None, value), None) if is_files else value)
