"""Where one report is: a row of a table, a text file, or a DICOM structured report; read only when needed.

An archive has hundreds of thousands of reports. What stays in memory is the place of each, about 100 bytes.
"""

import csv
import json
import struct
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

MAX_REPORT_BYTES: Final = 2_000_000  # a text file or structured report; the longest radiology reports have 20,000
_SR_DEPTH: Final = 16
# What pydicom raises on files that lie about themselves, beside OSError and ValueError.
_DAMAGED: Final = (
    *(AttributeError, TypeError, LookupError, RuntimeError, EOFError, OverflowError, MemoryError, struct.error),
)

Kind = Literal["csv", "jsonl", "parquet", "text", "sr"]


class ReportChanged(ValueError):
    """A file of reports that changed while it was in use."""


@dataclass(frozen=True, slots=True)
class TableFormat:
    """What the rows of one table have in common.

    Args:
        path: The file.
        kind: "csv", "jsonl" or "parquet".
        columns: Heading to write before the text ("" for a whole report) and name of the column, in reading order.
        state: Size and time of change (see `state_of`) when the rows were found.
        header: Names of the columns of a CSV file.
        delimiter: Between the cells of a CSV file.
    """

    path: Path
    kind: Kind
    columns: tuple[tuple[str, str], ...]
    state: tuple[int, int]
    header: tuple[str, ...] = ()
    delimiter: str = ","


@dataclass(frozen=True, slots=True)
class ReportPlace:
    """The place of one report.

    Args:
        path: The file.
        kind: What the file is.
        position: Byte at which the row starts (CSV, JSON Lines) or its number from 0 (Parquet).
        row: Number for people: the header of a CSV file is row 1, the first row of the others; 0 for a whole file.
        table: Format of the table, None for a whole file.
    """

    path: Path
    kind: Kind
    position: int = 0
    row: int = 0
    table: TableFormat | None = None

    def read(self) -> str:
        """The text of the report, sections with their headings.

        Raises:
            ReportChanged: The table was changed, or the file moved or truncated, since the place was found.
        """
        try:
            if self.kind == "text":
                return read_text(self.path)
            return read_structured(self.path) if self.kind == "sr" else joined(self._cells(), _format(self))
        except (OSError, ValueError, LookupError, StopIteration, AttributeError, csv.Error) as error:
            where = f"{self.path.name}, row {self.row}" if self.row else self.path.name
            message = (
                f"{where} cannot be read any more ({type(error).__name__}); leave the archive as it is and restart."
            )
            raise ReportChanged(message) from error

    def name(self, root: Path) -> str:
        """The place in words: "reports.csv, row 7"; relative to `root` where it lies inside."""
        path = self.path.relative_to(root) if self.path.is_relative_to(root) else Path(self.path.name)
        return f"{path.as_posix()}, row {self.row}" if self.row else path.as_posix()

    def _cells(self) -> Mapping[str, Any]:
        table = _format(self)
        if state_of(self.path) != table.state:  # another report may now stand at the same place
            raise ValueError("the table was changed")
        if self.kind == "parquet":
            group, index = _group_of(table, self.position)
            return {name: _column(table, group, name)[index] for _, name in table.columns}
        with self.path.open("rb") as file:
            file.seek(self.position)
            if self.kind == "jsonl":
                return dict(json.loads(file.readline()))
            lines = (line.decode() for line in file)  # one at a time: later rows may be broken
            return dict(zip(table.header, next(csv.reader(lines, delimiter=table.delimiter, strict=True)), strict=True))


def joined(cells: Mapping[str, Any], table: TableFormat) -> str:
    """The report in the text columns of a row: each filled one under its heading."""
    parts = ((heading, cell_text(cells.get(name))) for heading, name in table.columns)
    return "\n".join(f"{heading}: {text}" if heading else text for heading, text in parts if text)


def cell_text(value: Any) -> str:
    """A cell as text without outer blanks; "" for what is missing."""
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # identifiers that a spreadsheet made into numbers
    return str(value).strip()


def state_of(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change in nanoseconds: what tells one version of a file from the next."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def read_text(path: Path) -> str:
    """A UTF-8 text file.

    Raises:
        ValueError: Larger than `MAX_REPORT_BYTES`, or not UTF-8.
    """
    with path.open("rb") as file:
        content = file.read(MAX_REPORT_BYTES + 1)
    if len(content) > MAX_REPORT_BYTES:
        raise ValueError(f"larger than {MAX_REPORT_BYTES:,} bytes")
    return content.decode("utf-8-sig").strip()


def read_structured(path: Path) -> str:
    """The text items of a DICOM structured report, each under the name of its concept.

    Raises:
        ValueError: Larger than `MAX_REPORT_BYTES`, or nested deeper than any report.
    """
    import pydicom

    if path.stat().st_size > MAX_REPORT_BYTES:
        raise ValueError(f"larger than {MAX_REPORT_BYTES:,} bytes")
    try:
        with warnings.catch_warnings(), pydicom.config.disable_value_validation():
            warnings.simplefilter("ignore")
            return "\n".join(_text_items(pydicom.dcmread(path).get("ContentSequence") or [], 0)).strip()
    except (pydicom.errors.InvalidDicomError, pydicom.errors.BytesLengthException, *_DAMAGED) as error:
        raise ValueError(f"damaged structured report ({type(error).__name__})") from error


def _text_items(items: Iterable[Any], depth: int, heading: str = "") -> Iterable[str]:
    if depth > _SR_DEPTH:
        raise ValueError(f"a structured report of more than {_SR_DEPTH} levels")
    for item in items:
        concept = item.get("ConceptNameCodeSequence") or []
        name = str(concept[0].get("CodeMeaning", "")).strip() if concept else ""
        if item.get("ValueType") == "TEXT" and (text := str(item.get("TextValue", "")).strip()):
            # The container says "Findings", the item only "Finding": one heading is enough.
            yield f"{heading or name}: {text}" if heading or name else text
        is_container = item.get("ValueType") == "CONTAINER"
        yield from _text_items(item.get("ContentSequence") or [], depth + 1, name if is_container else heading)


def _format(place: ReportPlace) -> TableFormat:
    if place.table is None:
        raise ValueError("a row without the format of its table")
    return place.table


@lru_cache(maxsize=8)  # by the state of the file as well, so that a table that was changed is read anew
def _group_starts(table: TableFormat) -> tuple[int, ...]:
    import pyarrow.parquet  # type: ignore[import-untyped]

    with pyarrow.parquet.ParquetFile(table.path) as file:
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
    return tuple(sum(sizes[:number]) for number in range(len(sizes) + 1))


def _group_of(table: TableFormat, position: int) -> tuple[int, int]:
    starts = _group_starts(table)
    group = next(number for number in range(len(starts) - 1) if starts[number] <= position < starts[number + 1])
    return group, position - starts[group]


@lru_cache(maxsize=32)  # studies come nearly in the order of the table, so that a row group is read about once
def _column(table: TableFormat, group: int, name: str) -> list[Any]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(table.path) as file:
        return list(file.read_row_group(group, columns=[name]).column(name).to_pylist())
