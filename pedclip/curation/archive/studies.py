"""Content of an archive before extraction: studies, their films, and every file that cannot be used."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from pedclip.curation.archive.report_location import ReportLocation
from pedclip.curation.report.parse import ParsedReport, parse_report
from pedclip.triplets.left_out import LeftOut


class RegionHint(NamedTuple):
    """Region that two independent pieces of evidence name, "" where one is silent or names several."""

    tags: str = ""  # coded by the machine: Body Part Examined, Anatomic Region
    words: str = ""  # written by people: series, protocol or study description, column of the table, file name


# Of a film without tags and words, such as "1.png" in the root of the archive.
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
        location: Where the report is.
        images: At least one film.
    """

    study_id: str
    patient_id: str
    location: ReportLocation
    images: tuple[Film, ...]

    def read_report(self) -> ParsedReport:
        """The whole report, read from its file at every call and not kept; hold what is returned, it parses once.

        Raises:
            ReportChanged: The table was changed since the archive was read, or the file can no longer be read.
        """
        return parse_report(self.location.read())


@dataclass(frozen=True)
class Archive:
    """All studies of a folder, sorted by identifier, and everything in it that is none.

    Args:
        root: The folder.
        studies: With unique identifiers.
        left_out: Files and rows that no study uses.
        notes: On the patients, one line each, for whoever reads the archive.
    """

    root: Path
    studies: tuple[Study, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...] = ()


class ArchiveError(ValueError):
    """An archive that cannot be read at all; the message says what to pass instead."""
