"""Tables as rows of cells: CSV (also TSV), JSON Lines and Parquet; a broken row costs only itself.

Neither pandas nor `pyarrow.csv` says at which byte a row starts, and both give up the rows behind an open quote.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

from pedclip.triplets.csv_rows import MAX_CELL, MAX_LINE_BYTES, header_line, lenient_header, lenient_records
from pedclip.triplets.encoding import UTF16, decoded, delimiter_of, drop_blank_end, unique_keys

TableFormat = Literal["csv", "jsonl", "parquet"]

_KINDS: Final[dict[str, TableFormat]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
SUFFIXES: Final = tuple(_KINDS)
_NAMED_BY: Final = 1000  # rows of a JSON Lines file that say which columns it has


class TableError(ValueError):
    """A table that cannot be read as meant; the message names file, row and column, never what a report says."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row.

    Args:
        position: Byte at which it starts (CSV, JSON Lines) or its number from 0 (Parquet).
        number: Number for people: the header of a CSV file is row 1, the first row of the others.
        cells: Cell by name of its column, None where the row cannot be read.
        problem: Why not, or what is odd about the cells; never text of a cell.
    """

    position: int
    number: int
    cells: Mapping[str, Any] | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class TableFile:
    """A table, in the state in which it was opened.

    Args:
        path: The file.
        kind: "csv", "jsonl" or "parquet".
        names: Names of the columns, in order.
        state: As from `state_of`.
        delimiter: Between the cells of a CSV file.
        is_strict: False where cells of a CSV file may follow blanks, be absent at the end of a row, or be too many.
        header: Row of a CSV file in which the names stand, counted from 1.
    """

    path: Path
    kind: TableFormat
    names: tuple[str, ...]
    state: tuple[int, int]
    delimiter: str = ","
    is_strict: bool = True
    header: int = 1

    def rows(self) -> Iterator[TableRow]:
        """All rows, one at a time; a broken one costs only itself.

        Raises:
            TableError: The file cannot be read on.
        """
        try:
            yield from self._rows_from(0)
        except (OSError, ValueError, EOFError, csv.Error) as error:  # pyarrow's own errors are ValueErrors
            raise unreadable(self.path, error) from error

    def read_again(self, position: int, names: Sequence[str]) -> Mapping[str, Any]:
        """Cells of some columns of the row at a position that `rows` gave.

        Raises:
            ValueError: The file was changed since it was opened, as another row may now stand there.
            OSError: It cannot be opened any more.
        """
        # Another report may now stand at the same byte.
        if state_of(self.path) != self.state:
            raise ValueError("the table was changed")
        if self.kind == "parquet":
            group, index = _group_of(self, position)
            return {name: _column(self, group, name)[index] for name in names}
        cells = next(self._rows_from(position)).cells
        if cells is None:
            raise ValueError("the row is broken")
        return {name: cells.get(name) for name in names}

    def _rows_from(self, position: int) -> Iterator[TableRow]:
        match self.kind:
            case "csv":
                return _strict_rows(self, position) if self.is_strict else _lenient_rows(self)
            case "jsonl":
                return _json_rows(self.path, position)
            case "parquet":
                return _parquet_rows(self.path)


def open_table(path: Path, *, is_strict: bool = True) -> TableFile:
    """A table by the ending of its name: .csv and .tsv, .jsonl and .ndjson, or .parquet, in any case.

    Args:
        path: The file.
        is_strict: True where every row must have as many cells as the header; False for rows of any length, UTF-16 and
            .gz. Either way cells stand between the most frequent of comma, semicolon, tab and bar.

    Raises:
        TableError: Another ending, unreadable as a whole, or a first line that does not name every column once.
    """
    stem = path.with_suffix("") if path.suffix.lower() == ".gz" and not is_strict else path
    kind = _KINDS.get(stem.suffix.lower())
    if kind is None:
        raise TableError(f"{path} is no table that can be read; save it as one of {', '.join(SUFFIXES)}.")
    try:
        delimiter, header = ",", 1
        match kind:
            case "csv" if is_strict:
                names, delimiter = _strict_header(path)
            case "csv":
                names, delimiter, header = lenient_header(path)
            case "jsonl":
                names = _json_names(path)
            case "parquet":
                with _parquet_file(path) as file:
                    names = file.schema_arrow.names
        return TableFile(path, kind, tuple(names), state_of(path), delimiter, is_strict, header)
    except TableError:
        raise
    except (OSError, ValueError, EOFError, csv.Error) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> TableError:
    """The error for a file that cannot be read as a whole."""
    why = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return TableError(f"{path} cannot be read ({why}); it is damaged, or no text in UTF-8, UTF-16 or Windows-1252.")


def state_of(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change in nanoseconds: what tells one version of a file from the next."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _strict_header(path: Path) -> tuple[list[str], str]:
    """Names in the first line of a CSV file, and its delimiter."""
    with path.open("rb") as file:
        line = header_line(file)
    # Rows are found by their byte, which needs one byte per line end.
    if line[:2] in UTF16:
        raise TableError(f"{path} is saved as UTF-16 (Excel's 'Unicode text'); save it as 'CSV UTF-8'.")
    text = decoded(line)
    delimiter = delimiter_of(text)
    names = [name.strip() for name in next(csv.reader([text], delimiter=delimiter), [])]
    if not any(names) or len(set(names)) < len(names):
        raise TableError(f"{path}: the first line must name every column once.")
    return names, delimiter


def _strict_rows(table: TableFile, position: int) -> Iterator[TableRow]:
    """Rows from a byte on, 0 for the first; after a broken one, reading goes on at the next line.

    An open quote would swallow the rows behind it. It shows as a quote in the wrong place, a wrong number of cells, or
    a cell beyond the limit of the csv module; then only the line where the row starts is given up.
    """
    with table.path.open("rb") as file:
        header_line(file)
        position, number = position or file.tell(), table.header + 1
        while True:
            file.seek(position)
            lines: list[int] = []  # lengths in bytes of the lines of this row
            problem, cells = "", []
            try:
                # A new reader for each row, which sees nothing of a broken one before it.
                cells = next(csv.reader(_decoded(file, lines), delimiter=table.delimiter, strict=True))
            except StopIteration:
                return
            except (csv.Error, UnicodeDecodeError) as error:
                problem = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "a quote that does not close"
            drop_blank_end(cells, len(table.names))
            if cells and len(cells) != len(table.names):
                problem = f"{len(cells)} cells under {len(table.names)} names; is a quote open, or a comma not quoted?"
            if problem:
                yield TableRow(position, number, None, problem)
            elif cells:
                yield TableRow(position, number, dict(zip(table.names, cells, strict=True)))
            position, number = position + sum(lines[:1] if problem else lines), number + 1


def _decoded(file: BinaryIO, lines: list[int]) -> Iterator[str]:
    """Lines of a file as text; `lines` gets the length of each in bytes."""
    while line := file.readline(MAX_LINE_BYTES):
        lines.append(len(line))
        yield line.decode("utf-8", errors="cp1252")


def _lenient_rows(table: TableFile) -> Iterator[TableRow]:
    """Rows of any length: absent cells are "", and what is too much is a problem of a row that can be read."""
    for number, cells, problem in lenient_records(table.path, table.delimiter, table.header):
        if problem:
            yield TableRow(0, number, None, problem)
            continue
        drop_blank_end(cells, len(table.names))
        problem = "more cells than the header has names" if len(cells) > len(table.names) else ""
        if cells:
            padded = cells + [""] * (len(table.names) - len(cells))
            yield TableRow(0, number, dict(zip(table.names, padded, strict=False)), problem)


def _json_names(path: Path) -> list[str]:
    names: dict[str, None] = {}  # keys may differ from row to row
    for row in _json_rows(path, 0):
        names.update(dict.fromkeys(row.cells or ()))
        if row.number > _NAMED_BY:
            break
    return [*names]


def _json_rows(path: Path, position: int) -> Iterator[TableRow]:
    number = 0
    with path.open("rb") as file:
        file.seek(position)
        while line := file.readline(MAX_LINE_BYTES):
            number += 1
            if line.strip():
                yield _json_row(line, position, number)
            position += len(line)


def _json_row(line: bytes, position: int, number: int) -> TableRow:
    try:
        cells = json.loads(line.decode("utf-8-sig"), object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        return TableRow(position, number, None, f"not JSON ({type(error).__name__})")
    if not isinstance(cells, dict):
        return TableRow(position, number, None, f"expected a JSON object, got {type(cells).__name__}")
    return _of_size(TableRow(position, number, cells))


def _of_size(row: TableRow) -> TableRow:
    """The row, broken where a cell is longer than one of a CSV file may be: no report is, and it would stop the run."""
    longest = max((len(cell) for cell in (row.cells or {}).values() if isinstance(cell, str)), default=0)
    return (
        row
        if longest <= MAX_CELL
        else TableRow(
            row.position, row.number, None, f"a cell of {longest:,} characters; at most {MAX_CELL:,} are read"
        )
    )


def _parquet_file(path: Path) -> Any:
    import pyarrow.parquet  # type: ignore[import-untyped]

    return pyarrow.parquet.ParquetFile(path)


def _parquet_rows(path: Path) -> Iterator[TableRow]:
    with _parquet_file(path) as file:
        rows = (cells for batch in file.iter_batches(batch_size=1000) for cells in batch.to_pylist())
        yield from (_of_size(TableRow(position, position + 1, cells)) for position, cells in enumerate(rows))


@lru_cache(maxsize=8)  # by the state of the file as well, so that a table that was changed is read anew
def _group_starts(table: TableFile) -> tuple[int, ...]:
    with _parquet_file(table.path) as file:
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
    return tuple(sum(sizes[:number]) for number in range(len(sizes) + 1))


def _group_of(table: TableFile, position: int) -> tuple[int, int]:
    starts = _group_starts(table)
    group = next(number for number in range(len(starts) - 1) if starts[number] <= position < starts[number + 1])
    return group, position - starts[group]


@lru_cache(maxsize=32)  # studies come nearly in the order of the table, so that a row group is read about once
def _column(table: TableFile, group: int, name: str) -> list[Any]:
    with _parquet_file(table.path) as file:
        return list(file.read_row_group(group, columns=[name]).column(name).to_pylist())
