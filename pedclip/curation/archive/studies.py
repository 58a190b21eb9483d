"""What an archive holds before extraction: studies, their films, and every file that cannot be used."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from pedclip.curation.archive.report_location import ReportPlace

# Every reason for which a file, a row, a film or an excerpt becomes no triplet.
REASONS: Final = {
    "not-a-file": "a broken link, a device, or a link that leads out of the archive",
    "not-an-image": "neither a radiograph nor a report; such files are never opened further",
    "empty-file": "0 bytes",
    "too-large": "larger than a radiograph or a report can be",
    "corrupt": "truncated, or not what it says it is",
    "not-a-radiograph": "another modality, a DICOM object without pixels, colour, or several frames",
    "no-study": "nothing says which study the film belongs to",
    "no-patient": "nothing says whose it is, so that the split could leak",
    "several-patients": "one study under two patients",
    "no-report": "no report for the film",
    "no-film": "no film for the report",
    "empty-report": "a report without text",
    "several-reports": "two different reports for one study",
    "broken-row": "a row of the table that cannot be read as the header says",
    "region-unknown": "neither the film nor the report says which of the 23 regions it shows",
    "region-conflict": "the film and the report name different regions",
    "no-excerpt": "the report has no sentence about the region of the film",
    "useless-excerpt": "the sentences about the region say nothing by themselves",
    "bad-image": "the pixels cannot be used",
}


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file, row or film that is not used.

    Args:
        path: The file, relative to the archive, with the number of the row for a table ("reports.csv, row 7").
        reason: A key of `REASONS`.
        detail: More in words; never text of a report.
    """

    path: str
    reason: str
    detail: str = ""

    def __post_init__(self) -> None:
        """Refuse a reason that is not listed, as nobody could count it."""
        if self.reason not in REASONS:
            raise ValueError(f"reason {self.reason!r} is not one of {', '.join(REASONS)}.")


class RegionHint(NamedTuple):
    """Which region two independent sources name, "" where one is silent or names several."""

    tags: str = ""  # coded by the machine: Body Part Examined, Anatomic Region
    words: str = ""  # written by people: series, protocol or study description, column of the table, file name


SILENT: Final = RegionHint()


@dataclass(frozen=True, slots=True)
class Film:
    """One image file of a study.

    Args:
        path: The file.
        region_hint: What the film itself says.
        view: "AP", "PA", "lateral", "oblique", … or "".
        laterality: One of `pedclip.triplets.schema.LATERALITIES`.
        age_months: In [0, 1440] at the time of the study, None where unknown.
        sex: "F", "M" or "".
    """

    path: Path
    region_hint: RegionHint = SILENT
    view: str = ""
    laterality: str = ""
    age_months: float | None = None
    sex: str = ""


@dataclass(frozen=True, slots=True)
class Study:
    """One report with its films; the text stays in its file until it is asked for.

    Args:
        study_id: As in the archive; still an identifier of the hospital.
        patient_id: As in the archive; still an identifier of the hospital.
        place: Where the report is.
        images: At least one film.
    """

    study_id: str
    patient_id: str
    place: ReportPlace
    images: tuple[Film, ...]

    @property
    def report(self) -> str:
        """The whole report, read from its file.

        Raises:
            ReportChanged: The table was changed since the archive was read, or the file can no longer be read.
        """
        return self.place.read()


@dataclass(frozen=True)
class Archive:
    """All studies of a folder, sorted by identifier, and everything in it that is none.

    Args:
        root: The folder.
        studies: With unique identifiers.
        rejected: Files and rows that no study uses.
    """

    root: Path
    studies: tuple[Study, ...]
    rejected: tuple[Rejected, ...]


class ArchiveError(ValueError):
    """An archive or a table of reports that cannot be read at all; the message says what to pass instead."""
