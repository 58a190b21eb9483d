"""The table of a folder of images: which file it is, and which column means what."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

TABLE: Final = "metadata.csv"
BOXES: Final = "boxes.csv"
_SUFFIXES: Final = (".csv", ".jsonl", ".parquet")
_BOX_COLUMNS: Final = ("file", "x", "y", "w", "h")


class TableError(ValueError):
    """A table that cannot be read as meant; the message names file, row and column, never what a report says."""


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
    check_roles(columns or {})
    if (folder / TABLE).is_file():
        return read_table(folder / TABLE, columns)
    candidates = [path for path in sorted(folder.iterdir()) if path.suffix in _SUFFIXES and path.name != BOXES]
    tables = [table for path in candidates if (table := _read_if_images(path, columns)) is not None]
    if len(tables) > 1:
        names = " and ".join(table.path.name for table in tables)
        raise TableError(f"{folder}: {names} both list images; join them into one {TABLE}.")
    return tables[0] if tables else None


def read_table(path: Path, columns: Mapping[str, str] | None = None) -> Table:
    """Rows of a CSV (UTF-8, commas), JSON Lines or Parquet file.

    Raises:
        TableError: Unreadable, without rows, without an image column, or without a column named in `columns`.
    """
    numbered = _read(path)
    if not numbered:
        raise TableError(f"{path} has no rows; expected one per image.")
    present = list(dict.fromkeys(name for _, row in numbered for name in row))
    roles = _roles(path, present, columns or {})
    if "image" not in roles:
        raise TableError(
            f"{path} has no image column; its columns are {', '.join(present)}. "
            "Name the one that holds the file names, e.g. columns={'image': 'x'}; known names are in columns.json."
        )
    rows = [(number, {role: _cell(row.get(name), role) for role, name in roles.items()}) for number, row in numbered]
    return Table(path, roles, rows)


def read_boxes(folder: Path) -> Iterator[tuple[int, str, tuple[float, float, float, float], str]]:
    """Row number, image file, (x, y, width, height) in pixels and label of each row of `boxes.csv`, if there is one.

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
        x, y, width, height = numbers
        yield number, _cell(row["file"]), (x, y, width, height), _cell(row.get("label"))


def check_roles(columns: Mapping[str, str]) -> None:
    """Refuse a `columns` argument that names a role which no table has.

    Raises:
        TableError: With the close spelling and all roles.
    """
    for role in columns:
        if role not in _aliases():
            raise TableError(f"columns={{{role!r}: …}}:{_hint(role, list(_aliases()))} roles: {', '.join(_aliases())}.")


@cache
def _aliases() -> dict[str, list[str]]:
    content = json.loads((files("pedclip.data") / "columns.json").read_text(encoding="utf-8"))
    return {role: names for role, names in content.items() if role != "about"}


def _roles(path: Path, present: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    for role, name in columns.items():
        if name not in present:
            hint = _hint(name, list(present))
            raise TableError(f"{path} has no column {name!r} (for {role!r});{hint} its columns: {', '.join(present)}.")
    by_key = {_key(name): name for name in reversed(present)}
    known = {
        role: by_key[alias]
        for role, names in _aliases().items()
        for alias in reversed(names)  # so that the first name wins
        if alias in by_key
    }
    return {**known, **columns}


def _hint(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f" did you mean {close[0]!r}?" if close else ""


def _key(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _read_if_images(path: Path, columns: Mapping[str, str] | None) -> Table | None:
    numbered = _read(path)
    present = dict.fromkeys(name for _, row in numbered for name in row)
    names = [(columns or {}).get("image", "")] + [name for name in present if _key(name) in _aliases()["image"]]
    image = next((name for name in names if name in present), None)
    cells = [cell for _, row in numbered if image is not None and (cell := _cell(row.get(image)))]
    if not any((path.parent / cell).is_file() for cell in cells):
        return None
    return read_table(path, columns)


def _read(path: Path) -> list[tuple[int, dict[str, Any]]]:
    try:
        if path.suffix == ".jsonl":
            return _read_json_lines(path)
        return _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
    except TableError:
        raise
    except (OSError, ValueError, csv.Error) as error:  # pyarrow's own errors are ValueErrors
        reason = str(error).splitlines()[0][:200]
        raise TableError(f"{path} cannot be read ({reason}); expected UTF-8 with one header and commas.") from error


def _read_csv(path: Path) -> list[tuple[int, dict[str, Any]]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(enumerate(csv.DictReader(file, restkey="", restval=""), start=2))
    too_long = next((number for number, row in rows if "" in row and isinstance(row[""], list)), None)
    if too_long is not None:
        raise TableError(f"{path}, row {too_long}: more cells than the header has names; quote cells with commas.")
    return rows


def _read_parquet(path: Path) -> list[tuple[int, dict[str, Any]]]:
    import pyarrow.parquet  # type: ignore[import-untyped]

    return list(enumerate(pyarrow.parquet.read_table(path).to_pylist(), start=1))


def _read_json_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise TableError(f"{path}, row {number}: not JSON ({error.msg}).") from None
        if not isinstance(row, dict):
            raise TableError(f"{path}, row {number}: expected a JSON object, got {type(row).__name__}.")
        rows.append((number, row))
    return rows


def _cell(value: Any, role: str = "image") -> str:
    """A cell as text; of a list of files the first, of a list of terms all."""
    if isinstance(value, list | tuple):
        filled = [str(item) for item in value if item]
        return "; ".join(filled[:1] if role in {"image", "mask"} else filled).strip()
    if value is None or value != value:  # NaN
        return ""
    return str(value).strip()
