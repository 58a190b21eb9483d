"""Tools of every adapter: the card, the folder, tables line by line, and the list of what was left out."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pedclip.data.adapters.sample import Sample
from pedclip.data.cards import Card, pick, table_names
from pedclip.data.label_terms import Labels, labels_from
from pedclip.data.official_tables import OfficialTables
from pedclip.findings import label_name
from pedclip.triplets.encoding import open_text, without_control
from pedclip.triplets.left_out import LeftOut, Reason, Unusable
from pedclip.triplets.pixels.dicom_header import inflated
from pedclip.triplets.tabular import TableError, open_table, unreadable
from pedclip.triplets.values import is_blank, names_nobody, read_age, read_sex, read_view

Row = Mapping[str, str]
_HEADER_TAGS: Final = ["PatientID", "PatientAge", "PatientSex", "ViewPosition"]


@dataclass(frozen=True)
class Reader:
    """A folder that is read as its card says.

    Args:
        card: The card.
        root: The folder.
        left_out: Filled by `leave_out`.
        not_read: Tables that may have been meant, filled by `official`.
        nobody: Films without a patient.
    """

    card: Card
    root: Path
    left_out: list[LeftOut] = field(default_factory=list)
    not_read: set[str] = field(default_factory=set)
    nobody: list[str] = field(default_factory=list)

    def leave_out(self, file: str, row: int, error: Unusable) -> None:
        """Note that something was left out, and why."""
        self.left_out.append(LeftOut(file, error.reason, str(error), row, self.card.source))

    def file(self, *names: str) -> Path:
        """The first of some files that exists, else where the first would be."""
        return next((self.root / name for name in names if (self.root / name).is_file()), self.root / names[0])

    def table(self, *names: str, columns: Sequence[str] = ()) -> Path:
        """A table that must be there: `official`, else where it would be."""
        return self.official(*names, columns=columns) or self.root / names[0]

    def official(self, *names: str, columns: Sequence[str] = ()) -> Path | None:
        """A table of the data set, as `OfficialTables.find` finds it; what may be meant and is not read is listed."""
        path, not_read = self.tables.find(*names, columns=columns)
        for file, why in not_read:
            # Asked for in two parts of an adapter, listed once.
            if file not in self.not_read:
                self.not_read.add(file)
                self.leave_out(file, 0, Unusable(Reason.TABLE_NOT_READ, why))
        return path

    @cached_property
    def tables(self) -> OfficialTables:
        """The tables of the folder; read once, when first one is asked for."""
        return OfficialTables(self.root, table_names(self.card))

    def rows(self, path: Path, columns: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
        """Rows of a CSV file (also .gz), one at a time, with their number; the header is row 1.

        Args:
            path: The file.
            columns: What must be there; "a|b" means either, and the row then has the key "a".

        Raises:
            TableError: Unreadable, or without one of the columns.
        """
        table = open_table(path, is_strict=False)
        either = {column.split("|")[0]: pick(table.names, column) for column in columns}
        if missing := [name for name, found in either.items() if not found]:
            raise TableError(f"{path} has no column {', '.join(missing)}; its columns: {', '.join(table.names)}.")
        for row in table.rows():
            if row.cells is None:
                self.leave_out(path.name, row.number, Unusable(Reason.BROKEN_ROW, row.problem))
                continue
            # Published tables pad their cells with blanks, and copies of them spell missing values out.
            clean = {name: without_control(cell) for name, cell in row.cells.items()}
            cells = {name: "" if is_blank(cell) else cell.strip() for name, cell in clean.items()}
            yield row.number, cells | {name: cells[found] for name, found in either.items()}

    def lines(self, path: Path, separator: str | None = ",") -> Iterator[tuple[int, list[str]]]:
        """Lines of a table without a header, split at a separator (None: at white space); blank lines are skipped.

        Raises:
            TableError: Unreadable.
        """
        try:
            with open_text(path) as file:
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        yield number, [cell.strip() for cell in without_control(line).rstrip("\n").split(separator)]
        except (OSError, UnicodeDecodeError, EOFError) as error:
            raise unreadable(path, error) from error

    def samples(
        self, rows: Iterable[tuple[int, Any]], build: Callable[[int, Any], Sample], name: Callable[[Any], str]
    ) -> Iterator[Sample]:
        """One sample per row; a row of which `build` makes none is listed under `name(row)`."""
        for number, row in rows:
            try:
                yield build(number, row)
            except Unusable as error:
                self.leave_out(name(row), number, error)

    def index(self, *patterns: str) -> dict[str, Path]:
        """Files below the root by their name without its ending."""
        return {path.stem: path for pattern in patterns for path in sorted(self.root.glob(pattern))}


def one_of(value: str, known: Sequence[str], what: str = "label") -> str:
    """The value, if it is known.

    Raises:
        Unusable: It is not; names what was expected.
    """
    if value not in known:
        shown = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
        raise Unusable(Reason.UNKNOWN_VALUE, f"unknown {what} {value[:40]!r}; expected one of {shown}")
    return value


def labels_of(terms: Sequence[str], absent: Sequence[str] = ()) -> Labels:
    """Labels from plain words; a list that is empty or says normal has no findings.

    Args:
        terms: What is present, such as "Pleural effusion".
        absent: What is said to be absent; kept only where nothing is present.
    """
    # In the words of free tables, so that "No finding" and the like mean the same everywhere; never split.
    names = [name for term in terms if (name := label_name(term))]
    findings = labels_from(names, []).findings
    return Labels(findings, () if findings else tuple(term.lower() for term in absent))


def flag(row: Row, column: str, yes: Sequence[str] = ("1", "1.0"), no: Sequence[str] = ("0", "0.0")) -> bool:
    """A cell that says yes or no.

    Raises:
        Unusable: It says neither.
    """
    if row[column] not in {*yes, *no}:
        detail = f"{column}: unknown label {row[column][:40]!r}; expected {yes[0]} or {no[0]}"
        raise Unusable(Reason.UNKNOWN_VALUE, detail)
    return row[column] in yes


def dicom_facts(content: bytes) -> dict[str, Any]:
    """Age in months, sex, view and patient of a DICOM header, without its pixels.

    Args:
        content: Of the file.

    Returns:
        Those of the keys "age_months", "sex", "view" and "patient_id" that are known, as a `Sample` takes them. A file
        that cannot be read says nothing here: its pixels will be refused with the reason.
    """
    import pydicom

    try:
        plain = io.BytesIO(inflated(content))
        header = pydicom.dcmread(plain, stop_before_pixels=True, specific_tags=[*_HEADER_TAGS])
    # Broken headers, whatever they raise, are no news: the decoder will say what is wrong with the file.
    except Exception:
        header = pydicom.Dataset()
    patient, age, sex, view = (_raw(header, name) for name in _HEADER_TAGS)
    facts = {
        "age_months": read_age({"age": age}),
        "sex": read_sex(sex),
        "view": read_view(view),
        # A name that a whole archive was given would put all its films into one part.
        "patient_id": "" if names_nobody(patient) else patient,
    }
    # What the header leaves blank must not overwrite what the tables say.
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _raw(header: Any, name: str) -> str:
    """Characters of an element, unconverted: public films hold ages such as "51" that pydicom warns of."""
    value = header.get_item(name).value if name in header else b""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    return text.strip(" \0")
