"""The table of a folder of images: which file it is, and which column means what."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pedclip.data.label_terms import is_known
from pedclip.findings import finding_name, label_name
from pedclip.triplets.annotations import Box
from pedclip.triplets.cell_lists import file_names
from pedclip.triplets.columns import check_roles, find_roles, first_of, usual_names
from pedclip.triplets.encoding import cell_text
from pedclip.triplets.film_paths import FilmPaths
from pedclip.triplets.tabular import SUFFIXES, TableError, open_table
from pedclip.triplets.values import ids_of_nobody, is_blank, without_point

TABLE: Final = "metadata.csv"
BOXES: Final = "boxes.csv"
LABELS: Final = "labels.csv"
_OURS: Final = (BOXES, LABELS)
_TRUTH: Final = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "y", "t", "x"), True),
    **dict.fromkeys(("0", "0.0", "false", "no", "n", "f"), False),
}
_NUMBERS: Final = re.compile(r"Unnamed: \d+|index|level_\d|row(_?n(umber|o))?|nr\.?|no\.?|#", re.IGNORECASE)
_IDENTIFIERS: Final = frozenset({"patient_id", "study_id", "image_id"})
_FILE_ROLES: Final = ("image", "mask")
_UNCERTAIN: Final = ("-1", "-1.0")
_THOUSANDS: Final = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+")
_BOX_COLUMNS: Final = ("file", "x", "y", "w", "h")

_Rows = list[tuple[int, Mapping[str, Any]]]


@dataclass(frozen=True)
class Table:
    """Rows of a table, by the role of each column.

    Args:
        path: The file.
        columns: Role (a key of columns.json) to the name of its column in the file.
        rows: Row number (the header of a CSV file is row 1) and, for each role, the cell as text without outer blanks;
            missing values in any spelling are "".
        unused: Columns that have no role.
        own: Own labels of `labels.csv`, as `pedclip.data.label_terms.terms_of` takes them.
        further: Row number, role and name of the files that a cell lists after its first.
    """

    path: Path
    columns: Mapping[str, str]
    rows: Sequence[tuple[int, Mapping[str, str]]]
    unused: Sequence[str] = ()
    own: Mapping[str, str] = field(default_factory=dict)
    further: Sequence[tuple[int, str, str]] = ()

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
    files = (path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES)
    candidates = [path for path in files if path.name.lower() not in _OURS and not path.name.startswith(".")]
    tables = [table for path in candidates if (table := _read_if_images(path, columns or {})) is not None]
    if len(tables) > 1:
        names = " and ".join(table.path.name for table in tables)
        raise TableError(f"{folder}: {names} both list images; join them into one {TABLE}.")
    return tables[0] if tables else None


def read_table(path: Path, columns: Mapping[str, str] | None = None) -> Table:
    """Rows of a CSV, JSON Lines or Parquet file.

    Raises:
        TableError: Unreadable, without rows, without an image column, or without a column named in `columns`.
    """
    return _by_role(path, _read(path), columns or {})


def read_box_table(folder: Path) -> Iterator[tuple[int, str, Box, str]]:
    """Row number, image file, box in pixels and label of each row of `boxes.csv`, if there is one.

    Raises:
        TableError: A column is missing, a coordinate is not a number or may be two, or there are two such files; names
            file, row and column.
    """
    path = _own_table(folder, BOXES)
    if path is None:
        return
    for number, row in _read(path):
        missing = [name for name in _BOX_COLUMNS if name not in row]
        if missing:
            raise TableError(f"{path} has no column {', '.join(missing)}; expected file,x,y,w,h,label.")
        # A film without findings often has a row without a box.
        if all(is_blank(cell_text(row[name])) for name in _BOX_COLUMNS[1:]):
            continue
        numbers = []
        for name in _BOX_COLUMNS[1:]:
            try:
                numbers.append(_pixels(cell_text(row[name])))
            except ValueError as error:
                raise TableError(
                    f"{path}, row {number}, column {name!r}: expected a number of pixels{error}."
                ) from None
        yield number, cell_text(row["file"]), Box(*numbers), _cell(row.get("label"), "label")


def _pixels(cell: str) -> float:
    """A number with a point or a comma before its decimals.

    Raises:
        ValueError: Another cell; the message ends the sentence about it.
    """
    # 1,000 is one or a thousand; Python reads 1_0 as ten.
    if "_" in cell or _THOUSANDS.fullmatch(cell):
        raise ValueError(", without marks between its digits")
    try:
        return float(cell.replace(",", "."))
    except ValueError:
        raise ValueError("") from None


def _own_table(folder: Path, name: str) -> Path | None:
    """A table that a folder may have beside that of the images, by its name in any case.

    Raises:
        TableError: There are two.
    """
    found = [path for path in sorted(folder.iterdir()) if path.name.lower() == name and path.is_file()]
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise TableError(f"{folder}: {names} are both there; join them into one {name}.")
    return found[0] if found else None


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
    # Text throughout: whoever reads a cell decides what is a number.
    cells = [(number, {role: _cell(row.get(name), role) for role, name in roles.items()}) for number, row in rows]
    flags = {} if "finding" in roles or "label" in roles else _flag_columns(rows, [*present], set(roles.values()))
    if flags:
        roles = {**roles, "finding": ", ".join(flags)}
        cells = [
            (number, {**plain, "finding": _flagged(row, flags)})
            for (number, plain), (_, row) in zip(cells, rows, strict=True)
        ]
    nobody = ids_of_nobody(row.get("patient_id", "") for _, row in cells) - {""}
    cells = [
        (number, {**row, "patient_id": ""} if row.get("patient_id", "") in nobody else row) for number, row in cells
    ]
    named = [name for name in present if name not in roles.values() and name not in flags]
    unused = [name for name in named if not _is_running_number(name, rows)]
    further = [
        (number, role, file)
        for number, row in rows
        for role in _FILE_ROLES
        if role in roles
        for file in file_names(row.get(roles[role]))[1:]
    ]
    return Table(path, roles, cells, unused, _own_labels(path.parent), further)


def _is_running_number(name: str, rows: _Rows) -> bool:
    """True for the numbers of rows that a program wrote beside them: they say nothing, and no two are the same."""
    values = [cell_text(row.get(name)) for _, row in rows]
    return not name or (bool(_NUMBERS.fullmatch(name)) and len(set(values)) == len(values))


def _flag_columns(rows: _Rows, names: Sequence[str], taken: set[str]) -> dict[str, str]:
    """Columns that are called after a finding and say yes or no for each film, with the finding."""
    flags = {}
    for name in names:
        finding = label_name(name)
        if name in taken or not finding or not is_known(finding):
            continue
        values = {_cell(row.get(name), "finding").lower() for _, row in rows} - {""}
        if values and values <= {*_TRUTH, *_UNCERTAIN}:
            flags[name] = finding
    return flags


def _flagged(row: Mapping[str, Any], flags: Mapping[str, str]) -> str:
    """One cell for what the columns of findings say of a film; an uncertain finding is not said."""
    told = {finding: _TRUTH.get(_cell(row.get(name), "finding").lower()) for name, finding in flags.items()}
    found = [finding for finding, is_there in told.items() if is_there]
    return "; ".join(found or [f"no {finding}" for finding, is_there in told.items() if is_there is False])


def _own_labels(folder: Path) -> dict[str, str]:
    """Label to finding of `labels.csv`, if there is one; a blank finding says that the label is one."""
    path = _own_table(folder, LABELS)
    if path is None:
        return {}
    rows = _read(path)
    if missing := [name for name in ("label", "finding") if rows and name not in rows[0][1]]:
        raise TableError(f"{path} has no column {' and '.join(missing)}; expected label,finding.")
    return {finding_name(cell_text(row["label"])): cell_text(row["finding"]) for _, row in rows}


def _read_if_images(path: Path, columns: Mapping[str, str]) -> Table | None:
    present = open_table(path, is_strict=False).names
    usual = [name for name in present if first_of(usual_names("images")["image"], [name])]
    image = next((name for name in (columns.get("image", ""), *usual) if name in present), "")
    # The rows of a table of something else are no business of ours, whole or broken.
    if not image:
        return None
    rows = _read(path)
    files = [file for _, row in rows if (file := _cell(row.get(image), "image"))]
    paths = FilmPaths(path.parent)
    return _by_role(path, rows, columns) if any(map(paths.has, files)) else None


def _read(path: Path) -> _Rows:
    """Rows that can be read; the first that cannot is an error, as the table is the user's own to mend."""
    rows: _Rows = []
    table = open_table(path, is_strict=False)
    # The second would take the place of the first, and its cells would be lost.
    if twice := [name for name, count in Counter(table.names).items() if name and count > 1]:
        raise TableError(f"{path} has two columns named {twice[0]!r}; rename one, or take it away.")
    for row in table.rows():
        if row.cells is None or row.problem:
            hint = "; quote cells with commas" if row.cells else ""
            raise TableError(f"{path}, row {row.number}: {row.problem}{hint}.")
        rows.append((row.number, row.cells))
    return rows


def _names(rows: _Rows) -> list[str]:
    return list(dict.fromkeys(name for _, row in rows for name in row))


def _cell(value: Any, role: str) -> str:
    """A cell as text, "" for a missing value in any spelling; of a list of files the first."""
    # A study of several images is represented by its first.
    if role in _FILE_ROLES:
        value = next(iter(file_names(value)), None)
    text = cell_text(value)
    if role in _IDENTIFIERS:
        text = without_point(text)  # else one patient would be two
    return "" if is_blank(text) else text
