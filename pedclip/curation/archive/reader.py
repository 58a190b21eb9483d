"""From a folder of films and reports, in any layout, to studies.

Reports come from a table (CSV, JSON Lines, Parquet), from text files or from DICOM structured reports. A report and a
film belong together by the first of these that fits:

    1. the table names the file of the film
    2. Study Instance UID or accession number (for pictures: the file name, cut at its separators from the right, or
       the name of a folder above, is the study, accession or report identifier; the longest fit first)
    3. a text file of the same name lies beside the film; else the only text file of its folder
    4. the patient: one report and one study of this patient, no more
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pedclip.curation.archive.files import FilmFile, PictureFile, ReportFile, find_files
from pedclip.curation.archive.image_region import region_of_words, side_of_words, view_of
from pedclip.curation.archive.report_location import ReportLocation, read_structured, read_text
from pedclip.curation.archive.report_table import ReportRow, read_report_rows
from pedclip.curation.archive.studies import Archive, ArchiveError, Film, RegionHint, Study
from pedclip.triplets.left_out import LeftOut, Reason

_SEPARATORS: Final = re.compile(r"[ _.\-]+")


@dataclass
class _Report:
    """One report while studies are put together; several rows of a table may hold the same."""

    location: ReportLocation
    digest: bytes
    study_id: str
    patient: str
    keys: tuple[str, ...]  # what a film may know it by
    rows: list[Mapping[str, str]] = field(default_factory=list)  # cells of each
    cells: dict[str, Mapping[str, str]] = field(default_factory=dict)  # of each file that a row names
    films: list[Film] = field(default_factory=list)
    patients: set[str] = field(default_factory=set)
    is_ambiguous: bool = False


def read_archive(
    folder: str | Path, reports: str | Path | None = None, *, columns: Mapping[str, str] | None = None
) -> Archive:
    """All studies of a folder: each a report and at least one film of one patient.

    Only headers are read, and of the reports only where they are. Every file and row that no study uses is listed.

    Args:
        folder: DICOM files in any layout, or PNG, JPEG and TIFF; text files and structured reports may lie between.
        reports: A table with a report per row; None for reports in the folder only.
        columns: Role to name of the column ({"report": "note"}), for tables with other names.

    Raises:
        ArchiveError: No such folder or table, or not one study.
        TableError: A table that cannot be read, or without reports.
    """
    root = Path(folder).resolve()
    if not root.is_dir():
        raise ArchiveError(f"{folder} is no folder; expected one with radiographs.")
    table = Path(reports).resolve() if reports is not None else None
    if table is not None and not table.is_file():
        raise ArchiveError(f"{reports} is no file; expected a table of reports.")
    left_out: list[LeftOut] = []
    films: list[FilmFile] = []
    pictures: list[PictureFile] = []
    texts: list[ReportFile] = []
    for found in find_files(root, without=frozenset([table] if table else [])):
        match found:
            case LeftOut():
                left_out.append(found)
            case FilmFile():
                films.append(found)
            case PictureFile():
                pictures.append(found)
            case ReportFile():
                texts.append(found)
    known = _reports(root, table, columns, texts, left_out)
    _assign(root, known, films, pictures, left_out)
    studies = _studies(root, known, left_out)
    return Archive(root, studies, tuple(sorted(left_out, key=lambda item: (item.file, item.row, item.reason))))


def _reports(
    root: Path,
    table: Path | None,
    columns: Mapping[str, str] | None,
    texts: Iterable[ReportFile],
    left_out: list[LeftOut],
) -> list[_Report]:
    by_id: dict[str, _Report] = {}
    for row in read_report_rows(table, columns) if table else ():
        if isinstance(row, LeftOut):
            left_out.append(row)
            continue
        report = _from_row(row)
        before = by_id.setdefault(report.study_id, report)
        if before is not report:
            before.rows += report.rows
            before.cells.update(report.cells)
            before.keys = tuple(dict.fromkeys(before.keys + report.keys))
            before.is_ambiguous |= before.digest != report.digest or before.patient != report.patient
    folders = Counter(text.path.parent for text in texts)
    for text in texts:
        if (found := _from_file(root, text, is_alone=folders[text.path.parent] == 1, left_out=left_out)) is None:
            continue
        if found.study_id in by_id:
            left_out.append(found.location.left_out(root, Reason.SEVERAL_REPORTS, "another has the same identifier"))
        else:
            by_id[found.study_id] = found
    return _without_ambiguous(root, by_id.values(), left_out)


def _without_ambiguous(root: Path, reports: Collection[_Report], left_out: list[LeftOut]) -> list[_Report]:
    detail = "rows of one study differ in report or patient"
    ambiguous = (report for report in reports if report.is_ambiguous)
    left_out += (report.location.left_out(root, Reason.SEVERAL_REPORTS, detail) for report in ambiguous)
    return [report for report in reports if not report.is_ambiguous]


def _from_row(row: ReportRow) -> _Report:
    cells = row.cells
    names = [cells[role] for role in ("study_id", "accession") if role in cells]
    images: tuple[str, ...] = cells.get("image", ())
    study = names[0] if names else images[0] if images else row.location.name(row.location.path.parent)
    patient = cells.get("patient_id", "")
    keys = [*(f"id:{_key(name)}" for name in names), *([f"patient:{_key(patient)}"] if patient else [])]
    digest = hashlib.blake2b(row.text.encode("utf-8", "replace"), digest_size=16).digest()
    plain = {role: cell for role, cell in cells.items() if role != "image"}
    return _Report(row.location, digest, study, patient, tuple(keys), [plain], dict.fromkeys(images, plain))


def _from_file(root: Path, file: ReportFile, *, is_alone: bool, left_out: list[LeftOut]) -> _Report | None:
    name = file.path.relative_to(root).as_posix()
    try:
        text = read_structured(file.path) if file.is_structured else read_text(file.path)
    except (OSError, ValueError) as error:
        left_out.append(LeftOut(name, Reason.CORRUPT, f"report ({type(error).__name__})"))
        return None
    if not text:
        left_out.append(LeftOut(name, Reason.EMPTY_REPORT))
        return None
    ids = [value for value in (file.study, file.accession, "" if file.is_structured else file.path.stem) if value]
    keys = [f"id:{_key(value)}" for value in ids]
    keys.append(f"beside:{file.path.with_suffix('')}")
    if is_alone:
        keys.append(f"folder:{file.path.parent}")
    if file.patient:
        keys.append(f"patient:{_key(file.patient)}")
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
    # A stem such as "report" is in every folder: the path tells them apart.
    study = ids[0] if file.is_structured and ids else file.path.relative_to(root).with_suffix("").as_posix()
    location = ReportLocation(file.path, "sr" if file.is_structured else "text")
    return _Report(location, digest, study, file.patient, tuple(keys))


class _Finder:
    """Reports by what films know them by; a key of two reports leads to neither."""

    def __init__(self, root: Path, reports: Iterable[_Report], names: Iterable[Path]) -> None:
        self.by_key: dict[str, list[_Report]] = defaultdict(list)
        self.by_file: dict[str, list[_Report]] = defaultdict(list)
        self.unique = {name for name, count in Counter(path.name for path in names).items() if count == 1}
        self.root = root
        for report in reports:
            for key in report.keys:
                self.by_key[key].append(report)
            for file in report.cells:
                self.by_file[Path(file).as_posix().removeprefix("./")].append(report)

    def named(self, path: Path) -> tuple[list[_Report], str]:
        """Reports whose rows name a file, and how they write it."""
        inside = path.relative_to(self.root)
        tries = [inside.as_posix()]
        if path.name in self.unique:
            tries += [path.name, path.stem]
        for file in tries:
            if found := self.by_file.get(file):
                return found, file
        return [], ""

    def first(self, keys: Iterable[str]) -> _Report | None:
        """The report of the first key that leads to exactly one."""
        return next((found[0] for key in keys if len(found := self.by_key.get(key, [])) == 1), None)


def _assign(
    root: Path,
    reports: list[_Report],
    films: Iterable[FilmFile],
    pictures: Iterable[PictureFile],
    left_out: list[LeftOut],
) -> None:
    """Give every film to its report, or list it."""
    groups = _by_study(root, films, left_out)
    names = [item.film.path for item in pictures] + [item.film.path for group in groups.values() for item in group]
    finder = _Finder(root, reports, names)
    num_studies = Counter(patient for group in groups.values() for patient in {_key(item.patient) for item in group})
    for study, group in groups.items():
        for item in group:
            keys = [f"id:{_key(study)}", *_file_keys(item, num_studies)]
            _give(finder, item.film, keys, item.patient, left_out)
    for picture in pictures:
        _give(finder, picture.film, _picture_keys(picture.film.path, root), "", left_out)


def _by_study(root: Path, films: Iterable[FilmFile], left_out: list[LeftOut]) -> dict[str, list[FilmFile]]:
    """Films by Study Instance UID, else accession number, else the folder they lie in."""
    groups: dict[str, list[FilmFile]] = defaultdict(list)
    for item in films:
        inside = item.film.path.parent.relative_to(root).as_posix()
        if study := item.study or item.accession or inside.removeprefix("."):
            groups[study].append(item)
        else:
            left_out.append(LeftOut(item.film.path.name, Reason.NO_STUDY, "no Study Instance UID or accession number"))
    return groups


def _file_keys(item: FilmFile, num_studies: Mapping[str, int]) -> Iterator[str]:
    if item.accession:
        yield f"id:{_key(item.accession)}"
    yield f"beside:{item.film.path.with_suffix('')}"
    yield f"folder:{item.film.path.parent}"
    if item.patient and num_studies[_key(item.patient)] == 1:
        yield f"patient:{_key(item.patient)}"


def _picture_keys(path: Path, root: Path) -> Iterator[str]:
    yield f"beside:{path.with_suffix('')}"
    ends = [len(path.stem), *(match.start() for match in reversed([*_SEPARATORS.finditer(path.stem)]))]
    yield from (f"id:{_key(path.stem[:end])}" for end in ends if end)
    yield from (f"id:{_key(parent.name)}" for parent in path.relative_to(root).parents if parent.name)
    yield f"folder:{path.parent}"


def _give(finder: _Finder, film: Film, keys: Iterable[str], patient: str, left_out: list[LeftOut]) -> None:
    name, (named, file) = film.path.relative_to(finder.root).as_posix(), finder.named(film.path)
    if len(named) > 1:
        left_out.append(LeftOut(name, Reason.SEVERAL_REPORTS, f"{len(named)} reports name this file"))
        return
    report = named[0] if named else finder.first(keys)
    if report is None:
        left_out.append(LeftOut(name, Reason.NO_REPORT))
        return
    report.films.append(_with_cells(film, report.cells[file] if named else _agreed(report.rows)))
    if patient:
        report.patients.add(patient)


def _agreed(rows: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """What no two rows of a study contradict each other in: it holds of a film that none of them names."""
    cells = {item for row in rows for item in row.items()}
    counts = Counter(role for role, _ in cells)
    return {role: cell for role, cell in cells if counts[role] == 1}


def _with_cells(film: Film, cells: Mapping[str, str]) -> Film:
    """A film with what its row says; where the header is silent the row speaks."""
    from pedclip.triplets.values import read_age, read_sex

    words = region_of_words(cells.get("region", ""))
    age = read_age(cells) if film.age_months is None else film.age_months
    return replace(
        film,
        region_hint=RegionHint(film.region_hint.tags, words or film.region_hint.words),
        view=film.view or view_of(cells.get("view", "")),
        laterality=film.laterality or side_of_words(cells.get("laterality", ""), cells.get("region", "")),
        age_months=age,
        sex=film.sex or read_sex(cells.get("sex", "")),
    )


def _studies(root: Path, reports: Iterable[_Report], left_out: list[LeftOut]) -> tuple[Study, ...]:
    studies = []
    for report in reports:
        patients = report.patients or {report.patient}
        if not report.films:
            left_out.append(report.location.left_out(root, Reason.NO_FILM))
        elif len(patients) > 1 or not (patient := next(iter(patients))):
            reason = Reason.SEVERAL_PATIENTS if len(patients) > 1 else Reason.NO_PATIENT
            detail = "" if len(patients) > 1 else "columns={'patient_id': …} names another column of the table"
            names = (film.path.relative_to(root).as_posix() for film in report.films)
            left_out += [report.location.left_out(root, reason, detail), *(LeftOut(n, reason, detail) for n in names)]
        else:
            films = tuple(sorted(report.films, key=lambda film: film.path))
            studies.append(Study(report.study_id, patient, report.location, films))
    if not studies:
        counts = Counter(item.reason for item in left_out).most_common()
        reasons = ", ".join(f"{count} × {reason}" for reason, count in counts) or "the folder is empty"
        raise ArchiveError(f"{root}: not one report with a film ({reasons}).")
    return tuple(sorted(studies, key=lambda study: study.study_id))


def _key(identifier: str) -> str:
    return identifier.strip().casefold()
