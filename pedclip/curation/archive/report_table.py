"""Rows of a table of reports (CSV, JSON Lines, Parquet), one at a time; a broken row costs only itself."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from pedclip.curation.archive.report_location import (
    MAX_REPORT_BYTES,
    Kind,
    ReportPlace,
    TableFormat,
    cell_text,
    joined,
    state_of,
)
from pedclip.curation.archive.studies import ArchiveError, Rejected

_KINDS: Final[dict[str, Kind]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
SUFFIXES: Final = tuple(_KINDS)
_DELIMITERS: Final = ",;\t|"


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A row with a report.

    Args:
        place: Where it is.
        cells: Text by role (study_id, image, …), only filled ones.
        text: The report.
    """

    place: ReportPlace
    cells: Mapping[str, Any]
    text: str


@dataclass(frozen=True)
class _Row:
    position: int
    number: int
    cells: Mapping[str, Any] | None  # None: cannot be read
    problem: str = ""


def read_rows(path: Path, columns: Mapping[str, str] | None = None) -> Iterator[ReportRow | Rejected]:
    """All rows of a table of reports, those that cannot be used as `Rejected`.

    Args:
        path: CSV (UTF-8; commas, semicolons, tabs or bars), JSON Lines or Parquet, by its suffix in any case.
        columns: Role to name of the column, before what report_columns.json knows.

    Raises:
        ArchiveError: Another suffix, unreadable as a whole, no column with a report, an unknown role, or an absent
            column.
    """
    kind = _kind_of(path)
    state = state_of(path)
    rows, names, delimiter = _open(path, kind)
    roles = _roles(path, names, columns or {})
    text_columns = (("", roles["report"]),) if "report" in roles else _sections(path, names)
    table = TableFormat(path, kind, text_columns, state, tuple(names) if kind == "csv" else (), delimiter)
    for row in rows:
        place = ReportPlace(path, kind, row.position, row.number, table)
        if row.cells is None:
            yield Rejected(place.name(path.parent), "broken-row", row.problem)
            continue
        text = joined(row.cells, table)
        if not text:
            yield Rejected(place.name(path.parent), "empty-report")
            continue
        cells = {role: _cell(row.cells.get(name), role) for role, name in roles.items() if role != "report"}
        yield ReportRow(place, {role: cell for role, cell in cells.items() if cell}, text)


def _kind_of(path: Path) -> Kind:
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise ArchiveError(f"{path} is no table that can be read; save it as one of {', '.join(SUFFIXES)}.")
    return kind


def _open(path: Path, kind: Kind) -> tuple[Iterator[_Row], Sequence[str], str]:
    """Rows, names of the columns and, of a CSV file, the delimiter."""
    try:
        if kind == "csv":
            header, delimiter, start = _csv_header(path)
            return _csv_rows(path, header, delimiter, start), header, delimiter
        if kind == "parquet":
            return _parquet_rows(path), _parquet_names(path), ","
        rows = _json_rows(path)
        return rows, _json_names(path), ","
    except ArchiveError:
        raise
    except (OSError, ValueError, csv.Error) as error:  # pyarrow's own errors are ValueErrors
        raise ArchiveError(
            f"{path} cannot be read as {kind} ({type(error).__name__}); it is damaged, or no text in UTF-8."
        ) from error


def _csv_header(path: Path) -> tuple[list[str], str, int]:
    with path.open("rb") as file:
        line = file.readline(MAX_REPORT_BYTES)
    text = line.decode("utf-8-sig")
    delimiter = max(_DELIMITERS, key=text.count)
    header = [name.strip() for name in next(csv.reader([text], delimiter=delimiter), [])]
    if not any(header) or len(set(header)) < len(header):
        raise ArchiveError(f"{path}: the first line must name every column once.")
    return header, delimiter, len(line)


def _csv_rows(path: Path, header: Sequence[str], delimiter: str, start: int) -> Iterator[_Row]:
    """Rows with the byte where each starts; after a broken one, reading goes on at the next line.

    An open quote would swallow the rows behind it. It shows as a quote in the wrong place, a wrong number of cells, or
    a cell beyond the limit of the csv module; then only the line where the row starts is given up.
    """
    with path.open("rb") as file:
        position, number = start, 2
        while True:
            file.seek(position)
            lines: list[int] = []  # lengths in bytes of the lines of this row

            def source(lines: list[int] = lines) -> Iterator[str]:
                while line := file.readline(MAX_REPORT_BYTES):
                    lines.append(len(line))
                    yield line.decode("utf-8")

            problem = ""
            cells: list[str] = []
            try:
                cells = next(csv.reader(source(), delimiter=delimiter, strict=True))
            except StopIteration:
                return
            except (csv.Error, UnicodeDecodeError) as error:
                problem = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "a quote that does not close"
            if not problem and cells and len(cells) != len(header):
                problem = f"{len(cells)} cells under {len(header)} names; is a quote open, or a comma not quoted?"
            if cells or problem:
                yield _Row(position, number, None if problem else dict(zip(header, cells, strict=True)), problem)
            used = lines[:1] if problem else lines
            position, number = position + sum(used), number + 1


def _json_rows(path: Path) -> Iterator[_Row]:
    with path.open("rb") as file:
        position, number = 0, 0
        while line := file.readline(MAX_REPORT_BYTES):
            number += 1
            if line.strip():
                yield _json_row(line, position, number)
            position += len(line)


def _json_row(line: bytes, position: int, number: int) -> _Row:
    try:
        cells = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return _Row(position, number, None, f"not JSON ({type(error).__name__})")
    if not isinstance(cells, dict):
        return _Row(position, number, None, f"expected a JSON object, got {type(cells).__name__}")
    return _Row(position, number, cells)


def _json_names(path: Path) -> list[str]:
    names: dict[str, None] = {}
    for row in _json_rows(path):
        names.update(dict.fromkeys(row.cells or ()))
        if row.number > 1000:
            break
    return list(names)


def _parquet_names(path: Path) -> list[str]:
    import pyarrow.parquet  # type: ignore[import-untyped]

    return list(pyarrow.parquet.read_schema(path).names)


def _parquet_rows(path: Path) -> Iterator[_Row]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        position = 0
        for batch in file.iter_batches(batch_size=1000):
            for cells in batch.to_pylist():
                yield _Row(position, position + 1, cells)
                position += 1


@cache
def _aliases() -> dict[str, dict[str, list[str]]]:
    content = json.loads((files(__package__) / "report_columns.json").read_text(encoding="utf-8"))
    return {"roles": content["roles"], "sections": content["sections"]}


def _roles(path: Path, names: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    known = _aliases()["roles"]
    for role, name in columns.items():
        if role not in known:
            raise ArchiveError(f"columns={{{role!r}: …}}: unknown role; expected one of {', '.join(known)}.")
        if name not in names:
            close = get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise ArchiveError(f"{path} has no column {name!r} (for {role!r}); {hint}its columns: {', '.join(names)}.")
    found = {role: name for role, aliases in known.items() if (name := _first(aliases, names))}
    return {**found, **columns}


def _first(aliases: Sequence[str], names: Sequence[str]) -> str:
    by_key = {name.strip().lower().replace(" ", "_").replace("-", "_"): name for name in reversed(names)}
    return next((by_key[alias] for alias in aliases if alias in by_key), "")


def _sections(path: Path, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    found = [(heading, _first(aliases, names)) for heading, aliases in _aliases()["sections"].items()]
    found = [(heading, name) for heading, name in found if name]
    if not {"FINDINGS", "IMPRESSION"} & {heading for heading, _ in found}:
        raise ArchiveError(
            f"{path} has no column with a report; its columns are {', '.join(names)}. Name the one that holds the "
            "text, e.g. columns={'report': 'note'}; known names are in report_columns.json."
        )
    return tuple(found)


def _cell(value: Any, role: str) -> Any:
    """A cell as text; of a column of images the tuple of files."""
    if role != "image":
        return cell_text(value)
    items = value if isinstance(value, list | tuple) else cell_text(value).replace("|", ";").split(";")
    return tuple(text for item in items if (text := cell_text(item)))
