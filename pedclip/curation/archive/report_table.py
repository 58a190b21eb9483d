"""Rows of a table of reports (CSV, JSON Lines, Parquet), one at a time; a broken row costs only itself."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pedclip.curation.archive.report_location import ReportLocation, ReportTable
from pedclip.triplets.cell_lists import file_names
from pedclip.triplets.columns import find_roles, first_of, usual_names
from pedclip.triplets.encoding import cell_text
from pedclip.triplets.left_out import LeftOut, Reason
from pedclip.triplets.tabular import TableError, open_table
from pedclip.triplets.values import is_blank, without_point


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A row with a report.

    Args:
        location: Where it is.
        cells: Text by role (study_id, image, …), only filled ones.
        text: The report.
    """

    location: ReportLocation
    cells: Mapping[str, Any]
    text: str


def read_report_rows(path: Path, columns: Mapping[str, str] | None = None) -> Iterator[ReportRow | LeftOut]:
    """All rows of a table of reports, with those that cannot be used.

    Args:
        path: CSV (UTF-8; commas, semicolons, tabs or bars), JSON Lines or Parquet, by its suffix in any case.
        columns: Role to name of the column, before what columns.json knows.

    Raises:
        TableError: Another suffix, unreadable as a whole, no column with a report, an unknown role, or an absent
            column.
    """
    file = open_table(path)
    # Columns told by the user may be any; the usual names fill in the rest.
    roles = find_roles(path, file.names, columns or {}, "reports")
    # A column for the whole report is read alone, so that no sentence comes twice.
    texts = (("", roles.pop("report")),) if "report" in roles else _sections(path, file.names)
    table = ReportTable(file, texts)
    for row in file.rows():
        location = ReportLocation(path, table, row.position, row.number)
        if row.cells is None:
            # Named relative to its folder, as the table may lie outside the archive.
            yield location.left_out(path.parent, Reason.BROKEN_ROW, row.problem)
        elif text := table.text(row.cells):
            cells = {role: _cell(row.cells.get(name), role) for role, name in roles.items()}
            yield ReportRow(location, {role: cell for role, cell in cells.items() if cell}, text)
        else:
            yield location.left_out(path.parent, Reason.EMPTY_REPORT)


def _sections(path: Path, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    found = [(heading, first_of(aliases, names)) for heading, aliases in usual_names("sections").items()]
    found = [(heading, name) for heading, name in found if name]
    # Without either there is nothing to excerpt, whatever else the table tells.
    if not {"FINDINGS", "IMPRESSION"} & {heading for heading, _ in found}:
        raise TableError(
            f"{path} has no column with a report; its columns are {', '.join(names)}. Name the one that holds the "
            "text, e.g. columns={'report': 'note'}; known names are in columns.json."
        )
    return tuple(found)


def _cell(value: Any, role: str) -> Any:
    """A cell as text, "" for a missing value in any spelling; of a column of images the tuple of files."""
    if role != "image":
        text = cell_text(value)
        # Else one patient would be two, and no film would have the number. An identifier of a study may end in ".0".
        text = without_point(text) if role in {"patient_id", "accession"} else text
        # Else every row that spells it out would be of one patient, or of one study.
        return "" if is_blank(text) else text
    return file_names(value)
