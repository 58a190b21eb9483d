"""From a folder of films and reports, in any layout, to studies.

Reports come from a table (CSV, JSON Lines, Parquet), from text files or from DICOM structured reports. A report and a
film belong together by the first of these that fits:

    1. the table names the file of the film
    2. Study Instance UID or accession number (for pictures: the file name, cut at its separators from the right, or
       the name of a folder above, is the study, accession or report identifier; the longest fit first)
    3. a text file of its name, with or without its suffix, lies beside the film; else the only one of the folder
    4. the patient: one report and one study of this patient, no more

Where a Patient ID names nobody ("ANONYMOUS", zeros in every header, or blank in every header) each study counts as its
own patient, and the archive says so.
"""

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pedclip.curation.archive.files import FilmFile, PictureFile, ReportFile, find_files
from pedclip.curation.archive.image_region import region_of_words, side_of_words, view_of
from pedclip.curation.archive.known_reports import (
    NO_SUCH_FILE,
    KnownReport,
    absent_films,
    file_elsewhere,
    film_keys,
    forget_nobody,
    known_reports,
    match_key,
)
from pedclip.curation.archive.studies import Archive, ArchiveError, Film, RegionHint, Study
from pedclip.triplets.film_paths import FilmPaths
from pedclip.triplets.left_out import LeftOut, Reason, reason_counts
from pedclip.triplets.values import ids_of_nobody

_SEPARATORS: Final = re.compile(r"[ _.\-]+")
# By True for a row of a table.
_NO_PATIENT: Final = {
    True: "columns={'patient_id': …} names another column of the table",
    False: "neither a text file nor a picture says whose it is; list the reports with their patients in a table",
}
_log = logging.getLogger(__name__)


def read_archive(
    folder: str | Path, reports: str | Path | None = None, *, columns: Mapping[str, str] | None = None
) -> Archive:
    """All studies of a folder: each a report and at least one film of one patient.

    Only headers are read, and of the reports only where they are. Every file and row that no study uses is listed. What
    is to be known about the patients is noted, and logged as a warning.

    Args:
        folder: DICOM files in any layout, or PNG, JPEG and TIFF; text files and structured reports may lie between.
        reports: A table with a report per row; None for reports in the folder only.
        columns: Role to name of the column ({"report": "note"}), for tables with other names.

    Raises:
        ArchiveError: No such folder or table, or not one study.
        TableError: A table that cannot be read, or without reports.
    """
    # Links in the path are followed once, so that everything below compares by its real path.
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
    # Reports first: films then look theirs up by key.
    known = known_reports(root, table, columns, texts, left_out)
    _assign(root, known, _without_nobody(known, films), pictures, left_out)
    studies = _studies(root, known, left_out)
    notes = tuple(_notes(studies, known))
    for note in notes:
        _log.warning("%s: %s", folder, note)
    return Archive(root, studies, tuple(sorted(left_out, key=lambda item: (item.file, item.row, item.reason))), notes)


def _without_nobody(reports: list[KnownReport], films: Iterable[FilmFile]) -> list[FilmFile]:
    """Films without Patient IDs that name nobody; these are taken from the reports too."""
    items = [*films]
    ids = {item.patient for item in items} | {report.patient for report in reports}
    nobody = ids_of_nobody(ids)
    forget_nobody(reports, nobody)
    # A blank beside names is a gap; where nobody has a name, they were all taken away.
    is_gap = not ids <= nobody
    return [
        replace(item, patient="", is_unnamed=bool(item.patient) or not is_gap)
        if item.patient in nobody | {""}
        else item
        for item in items
    ]


def _notes(studies: Sequence[Study], reports: Iterable[KnownReport]) -> Iterator[str]:
    unnamed = {_own_patient(report) for report in reports if report.is_unnamed}
    if num_unnamed := sum(study.patient_id in unnamed for study in studies):
        what = "whose patient is blank or a placeholder such as ANONYMOUS"
        yield f"{num_unnamed} of {len(studies)} studies {what}: each counts as its own patient"
    elif len(studies) > 1 and len({study.patient_id for study in studies}) == 1:
        yield f"all {len(studies)} studies are of one patient, and so in one part"


def _own_patient(report: KnownReport) -> str:
    # Marked, as a patient may have the number of a study.
    return f"study {report.study_id}"


class _Finder:
    """Reports by what films know them by; a key of two reports leads to neither."""

    def __init__(self, root: Path, reports: Iterable[KnownReport], names: Iterable[Path]) -> None:
        self.by_key: dict[str, list[KnownReport]] = defaultdict(list)
        self.by_file: dict[str, list[tuple[KnownReport, str]]] = defaultdict(list)  # and how its row writes it
        paths = [*names]
        # A bare file name is enough only where no other film has it, and one without its suffix likewise.
        self.unique = {name for name, count in Counter(path.name for path in paths).items() if count == 1}
        self.unique_stems = {name for name, count in Counter(path.stem for path in paths).items() if count == 1}
        self.root = root
        self.by_path: dict[Path, list[tuple[KnownReport, str]]] = defaultdict(list)
        known = {name for path in paths for name in self._names(path)}
        files = FilmPaths(root)
        for report in reports:
            for key in report.keys:
                self.by_key[key].append(report)
            for file in report.cells:
                written = Path(file).as_posix().removeprefix("./")
                self.by_file[written].append((report, file))
                # Written on another machine: with backslashes, a drive, another case or other accents.
                if written not in known and (path := file_elsewhere(files, file, report)):
                    self.by_path[path].append((report, file))

    def named(self, path: Path) -> tuple[list[KnownReport], str]:
        """Reports whose rows name a file, and how they write it."""
        exact = (self.by_file.get(name) for name in self._names(path))
        found = next(filter(None, exact), None) or self.by_path.get(path, [])
        return [report for report, _ in found], found[0][1] if found else ""

    def _names(self, path: Path) -> list[str]:
        """Names of a file in a row: its path; its bare name, or its stem, only where that is unique."""
        names = [path.relative_to(self.root).as_posix()]
        names += [path.name] if path.name in self.unique else []
        return names + ([path.stem] if path.stem in self.unique_stems else [])

    def first(self, keys: Iterable[str]) -> KnownReport | None:
        """The report of the first key that leads to exactly one."""
        return next((found[0] for key in keys if len(found := self.by_key.get(key, [])) == 1), None)


def _assign(
    root: Path,
    reports: list[KnownReport],
    films: Iterable[FilmFile],
    pictures: Iterable[PictureFile],
    left_out: list[LeftOut],
) -> None:
    """Give every film to its report, or list it."""
    groups = _by_study(root, films, left_out)
    names = [item.film.path for item in pictures] + [item.film.path for group in groups.values() for item in group]
    finder = _Finder(root, reports, names)
    # A patient with two studies has two reports, and nothing says which is of which.
    num_studies = Counter(
        patient for group in groups.values() for patient in {match_key(item.patient) for item in group}
    )
    for study, group in groups.items():
        for item in group:
            keys = [f"id:{match_key(study)}", *_file_keys(item, num_studies)]
            _give(finder, item.film, keys, left_out, patient=item.patient, is_unnamed=item.is_unnamed)
    for picture in pictures:
        _give(finder, picture.film, _picture_keys(picture.film.path, root), left_out)


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
        yield f"id:{match_key(item.accession)}"
    yield from film_keys(item.film.path)
    yield f"folder:{item.film.path.parent}"
    if item.patient and num_studies[match_key(item.patient)] == 1:
        yield f"patient:{match_key(item.patient)}"


def _picture_keys(path: Path, root: Path) -> Iterator[str]:
    yield from film_keys(path)
    # "S1_0_lat" is tried as itself, then "S1_0", then "S1".
    ends = [len(path.stem), *(match.start() for match in reversed([*_SEPARATORS.finditer(path.stem)]))]
    yield from (f"id:{match_key(path.stem[:end])}" for end in ends if end)
    yield from (f"id:{match_key(parent.name)}" for parent in path.relative_to(root).parents if parent.name)
    yield f"folder:{path.parent}"


def _give(
    finder: _Finder,
    film: Film,
    keys: Iterable[str],
    left_out: list[LeftOut],
    *,
    patient: str = "",
    is_unnamed: bool = False,
) -> None:
    # What a row names outweighs every key.
    name, (named, file) = film.path.relative_to(finder.root).as_posix(), finder.named(film.path)
    # Two reports that name one file: no rule could choose.
    if len(named) > 1:
        left_out.append(LeftOut(name, Reason.SEVERAL_REPORTS, f"{len(named)} reports name this file"))
        return
    report = named[0] if named else finder.first(keys)
    if report is None:
        left_out.append(LeftOut(name, Reason.NO_REPORT))
        return
    # A film that no row names has only what all rows of its study agree on.
    report.films.append(_with_cells(film, report.cells[file] if named else _agreed(report.rows)))
    # Collected from headers, to be compared with each other and with the table.
    if patient:
        report.patients.add(patient)
    report.is_unnamed |= is_unnamed


def _agreed(rows: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Cells that no two rows of a study contradict each other in: they hold of a film that none of the rows names."""
    # Pairs of role and cell: a role that comes twice has two different cells.
    cells = {item for row in rows for item in row.items()}
    counts = Counter(role for role, _ in cells)
    return {role: cell for role, cell in cells if counts[role] == 1}


def _with_cells(film: Film, cells: Mapping[str, str]) -> Film:
    """A film with what its row says; where the header is silent the row speaks."""
    from pedclip.triplets.values import read_age, read_sex

    # The column is written by people; the tags of the film stay a second source.
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


def _studies(root: Path, reports: Iterable[KnownReport], left_out: list[LeftOut]) -> tuple[Study, ...]:
    studies = []
    for report in reports:
        # Headers know the patient better than a table typed beside them.
        known = report.patients or {report.patient} - {""}
        patients = known or {_own_patient(report) if report.is_unnamed else ""}
        if not report.films:
            details = {*report.no_film.values()} - {NO_SUCH_FILE}
            left_out.append(report.location.left_out(root, Reason.NO_FILM, next(iter(details), "")))
        elif len(patients) > 1 or not (patient := next(iter(patients))):
            reason = Reason.SEVERAL_PATIENTS if len(patients) > 1 else Reason.NO_PATIENT
            detail = "" if len(patients) > 1 else _NO_PATIENT[bool(report.location.row)]
            # Each film too, so that every file of the archive is accounted for.
            names = (film.path.relative_to(root).as_posix() for film in report.films)
            left_out += [report.location.left_out(root, reason, detail), *(LeftOut(n, reason, detail) for n in names)]
        else:
            films = tuple(sorted(report.films, key=lambda film: film.path))
            studies.append(Study(report.study_id, patient, report.location, films))
            left_out += absent_films(root, report)
    # Not a single study: the paths or the columns are wrong, and the counts say which.
    if not studies:
        reasons = "; ".join(reason_counts(left_out)) or "the folder is empty"
        raise ArchiveError(f"{root}: not one report with a film ({reasons}).")
    # In an order that does not depend on the file system.
    return tuple(sorted(studies, key=lambda study: study.study_id))
