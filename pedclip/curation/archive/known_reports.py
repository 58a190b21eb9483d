"""Reports of an archive before they have films: rows of a table joined by study, text files, structured reports."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pedclip.curation.archive.files import ReportFile
from pedclip.curation.archive.report_location import ReportLocation, read_structured, read_text
from pedclip.curation.archive.report_table import ReportRow, read_report_rows
from pedclip.curation.archive.studies import Film
from pedclip.triplets.film_paths import FilmPaths
from pedclip.triplets.left_out import LeftOut, Reason, Unusable
from pedclip.triplets.values import is_placeholder, names_nobody

NO_SUCH_FILE: Final = "no such file"


@dataclass
class KnownReport:
    """One report while studies are put together; several rows of a table may hold the same.

    Args:
        location: Where the text is, which is not held.
        digest: Of the text, to tell two reports apart.
        study_id: As the table or the file has it.
        patient: "" where unknown.
        keys: Every name by which a film may know it.
        rows: Cells of each row of the study.
        cells: Cells of each file that a row names.
        films: Filled while films find their report.
        patients: Of these films, as their headers say.
        is_ambiguous: True where two rows contradict each other.
        no_film: Each file that a row names and that is no film, with why; filled while films find their report.
        is_unnamed: True where its rows or films say that the patient's name was taken away.
    """

    location: ReportLocation
    digest: bytes
    study_id: str
    patient: str
    keys: tuple[str, ...]
    rows: list[Mapping[str, str]] = field(default_factory=list)
    cells: dict[str, Mapping[str, str]] = field(default_factory=dict)
    films: list[Film] = field(default_factory=list)
    patients: set[str] = field(default_factory=set)
    is_ambiguous: bool = False
    no_film: dict[str, str] = field(default_factory=dict)
    is_unnamed: bool = False


def known_reports(
    root: Path,
    table: Path | None,
    columns: Mapping[str, str] | None,
    texts: Iterable[ReportFile],
    left_out: list[LeftOut],
) -> list[KnownReport]:
    """Reports of a table and of files, one per study.

    Args:
        root: The archive.
        table: With a report per row; None for reports in files only.
        columns: Role to name of the column of the table.
        texts: Text files and structured reports below `root`.
        left_out: Gets the rows and files that are no report of their own.
    """
    by_id: dict[str, KnownReport] = {}
    for row in read_report_rows(table, columns) if table else ():
        if isinstance(row, LeftOut):
            left_out.append(row)
            continue
        report = _from_row(row)
        before = by_id.setdefault(report.study_id, report)
        # Tables often have a row per film, with the report of the study in each.
        if before is not report:
            before.rows += report.rows
            before.cells.update(report.cells)
            before.keys = tuple(dict.fromkeys(before.keys + report.keys))
            before.is_unnamed |= report.is_unnamed
            # Which of two texts is meant cannot be told, so that neither is used.
            before.is_ambiguous |= before.digest != report.digest or before.patient != report.patient
    # A text alone in its folder belongs to all films in it.
    folders = Counter(text.path.parent for text in texts)
    for text in texts:
        if (found := _from_file(root, text, is_alone=folders[text.path.parent] == 1, left_out=left_out)) is None:
            continue
        # The table goes before files, and the first file before the next.
        if found.study_id in by_id:
            left_out.append(found.location.left_out(root, Reason.SEVERAL_REPORTS, "another has the same identifier"))
        else:
            by_id[found.study_id] = found
    return _without_ambiguous(root, by_id.values(), left_out)


def _without_ambiguous(root: Path, reports: Collection[KnownReport], left_out: list[LeftOut]) -> list[KnownReport]:
    detail = "rows of one study differ in report or patient"
    ambiguous = (report for report in reports if report.is_ambiguous)
    left_out += (report.location.left_out(root, Reason.SEVERAL_REPORTS, detail) for report in ambiguous)
    return [report for report in reports if not report.is_ambiguous]


def _from_row(row: ReportRow) -> KnownReport:
    cells = row.cells
    names = [cells[role] for role in ("study_id", "accession") if role in cells]
    images: tuple[str, ...] = cells.get("image", ())
    # A row without a study is one by its film, else by itself.
    study = names[0] if names else images[0] if images else row.location.name(row.location.path.parent)
    patient, is_unnamed = _named(cells.get("patient_id", ""))
    # Kinds of keys are told apart, as a patient may have the number of a study.
    keys = [*(f"id:{match_key(name)}" for name in names), *([f"patient:{match_key(patient)}"] if patient else [])]
    # Of the text only 16 bytes stay in memory.
    digest = hashlib.blake2b(row.text.encode("utf-8", "replace"), digest_size=16).digest()
    # Shared by all files of the row, not copied.
    plain = {role: cell for role, cell in cells.items() if role != "image"}
    return KnownReport(
        row.location,
        digest,
        study,
        patient,
        tuple(keys),
        [plain],
        dict.fromkeys(images, plain),
        is_unnamed=is_unnamed,
    )


def _from_file(root: Path, file: ReportFile, *, is_alone: bool, left_out: list[LeftOut]) -> KnownReport | None:
    name = file.path.relative_to(root).as_posix()
    try:
        text = read_structured(file.path) if file.is_structured else read_text(file.path)
    # Of other errors the class alone: their message may quote the file.
    except (OSError, ValueError) as error:
        why = str(error) if type(error) is ValueError else type(error).__name__
        left_out.append(LeftOut(name, Reason.CORRUPT, f"report ({why})"))
        return None
    if is_placeholder(text):
        left_out.append(LeftOut(name, Reason.EMPTY_REPORT))
        return None
    # A text file is called after its study in many archives; a structured report says it itself.
    ids = [value for value in (file.study, file.accession, "" if file.is_structured else file.path.stem) if value]
    keys = [f"id:{match_key(value)}" for value in ids]
    # Same folder and stem as the film.
    keys += beside_keys(file.path)
    if is_alone:
        keys.append(f"folder:{file.path.parent}")
    patient, is_unnamed = _named(file.patient)
    if patient:
        keys.append(f"patient:{match_key(patient)}")
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
    # A stem such as "report" is in every folder: the path tells them apart.
    study = ids[0] if file.is_structured and ids else file.path.relative_to(root).with_suffix("").as_posix()
    location = ReportLocation(file.path, "sr" if file.is_structured else "text")
    return KnownReport(location, digest, study, patient, tuple(keys), is_unnamed=is_unnamed)


def forget_nobody(reports: Iterable[KnownReport], nobody: Collection[str]) -> None:
    """Take away patients that name nobody in the whole archive: they lead to no film and join nothing."""
    for report in reports:
        if report.patient in nobody and report.patient:
            key = f"patient:{match_key(report.patient)}"
            report.keys = tuple(name for name in report.keys if name != key)
            report.patient, report.is_unnamed = "", True


def _named(identifier: str) -> tuple[str, bool]:
    """A patient's identifier, "" where it names nobody, and True where something stands in its place."""
    return ("", bool(identifier)) if names_nobody(identifier) else (identifier, False)


def file_elsewhere(files: FilmPaths, written: str, report: KnownReport) -> Path | None:
    """The file that a row names as another machine calls it; None where there is none, which the report notes."""
    try:
        path = files.find(written)
        if path.is_file():
            return path
        why = NO_SUCH_FILE
    # Several could be meant: the row has no film, and says why.
    except Unusable as error:
        why = str(error)
    # No file can have such a name.
    except (OSError, ValueError):
        why = NO_SUCH_FILE
    report.no_film[written] = why
    return None


def absent_films(root: Path, report: KnownReport) -> Iterator[LeftOut]:
    """Files that a row names beside films that are there."""
    # Where not one is there, the column holds something else, and the films were found in another way.
    if len(report.no_film) == len(report.cells):
        return
    for written, why in report.no_film.items():
        # Without its folders: those of another machine may name a person.
        name = written.replace("\\", "/").rsplit("/", 1)[-1]
        yield report.location.left_out(root, Reason.NO_FILM, f"{name}: {why}")


def film_keys(path: Path) -> tuple[str, ...]:
    """Keys of a film for texts beside it: "a.png.txt" is of one film, "a.txt" of all called "a"."""
    return _beside(path) + beside_keys(path)


def beside_keys(path: Path) -> tuple[str, str]:
    """Keys of a file for others of its name in its folder: as it is written, then in any case."""
    return _beside(path.with_suffix(""))


def _beside(path: Path) -> tuple[str, str]:
    name = f"beside:{path}"
    return name, f"any case {match_key(name)}"


def match_key(identifier: str) -> str:
    """An identifier as it is compared: systems differ in case, in the form of accents, and pad with blanks."""
    return unicodedata.normalize("NFC", identifier.strip()).casefold()
