"""The list of what became no triplet: one set of reasons and one file, `left_out.csv`, for archives and data sets."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from pedclip.artefacts import write_csv

LEFT_OUT_FILE: Final = "left_out.csv"
COLUMNS: Final = ("source", "file", "row", "reason", "detail")


class Reason(StrEnum):
    """Every reason for which a file, a row, a film, an excerpt or an annotation is not used, with its meaning."""

    NOT_A_FILE = "not-a-file", "a broken link, a device, or a link that leads out of the archive"
    NOT_AN_IMAGE = "not-an-image", "neither a radiograph nor a report; such files are never opened further"
    EMPTY_FILE = "empty-file", "0 bytes"
    TOO_LARGE = "too-large", "larger than a radiograph or a report can be"
    CORRUPT = "corrupt", "truncated, or not what it says it is"
    NOT_A_RADIOGRAPH = (
        *("not-a-radiograph", "another modality, a DICOM object without pixels, colour, or several frames"),
    )
    BAD_IMAGE = "bad-image", "there are no pixels, or they cannot be used"
    NO_STUDY = "no-study", "nothing says which study the film belongs to"
    NO_PATIENT = "no-patient", "nothing says whose it is, so that the split could leak"
    SEVERAL_PATIENTS = "several-patients", "one study under two patients"
    SEVERAL_SPLITS = "several-splits", "a patient who is in another part of the published split too"
    NO_REPORT = "no-report", "no report for the film"
    NO_FILM = "no-film", "no film for the report or the row"
    SAME_FILM = "same-film", "an image that was listed before"
    EMPTY_REPORT = "empty-report", "a report without text"
    SEVERAL_REPORTS = "several-reports", "two different reports for one study"
    BROKEN_ROW = "broken-row", "a row of the table that cannot be read as the header says"
    TABLE_NOT_READ = "table-not-read", "a table that may be an official one, without its columns or one of several"
    UNKNOWN_VALUE = "unknown-value", "a cell that holds none of the values that were published"
    REGION_UNKNOWN = "region-unknown", "nothing says which of the 23 regions the film shows, or it shows none of them"
    REGION_CONFLICT = "region-conflict", "the film and the report name different regions"
    NO_EXCERPT = "no-excerpt", "the report has no sentence about the region of the film"
    USELESS_EXCERPT = "useless-excerpt", "the sentences about the region say nothing by themselves"
    OTHER_LANGUAGE = "other-language", "a report that is not in English, which the rules cannot read"
    NO_TEXT = "no-text", "neither a text nor a label to make one of"
    BAD_ANNOTATION = "bad-annotation", "a box or mask that cannot be used; its film is kept"

    meaning: str

    def __new__(cls, code: str, meaning: str) -> "Reason":
        """A reason that is its code; the meaning is for people."""
        # A text is compared, sorted and written as its code.
        reason = str.__new__(cls, code)
        reason._value_, reason.meaning = code, meaning
        return reason


class Unusable(ValueError):
    """Something that cannot be used; the message is the detail in the list of what was left out."""

    def __init__(self, reason: Reason, detail: str) -> None:
        # The message stays the detail alone: it is what people read.
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True, order=True)
class LeftOut:
    """A file, row, film or annotation that is not used.

    Args:
        file: The file as the archive or the table writes it.
        reason: Why.
        detail: More in words; never text of a report.
        row: Row of the table, 0 for a whole file.
        source: Name of the data set, "" where the writer of the list knows it.
    """

    file: str
    reason: Reason
    detail: str = ""
    row: int = 0
    source: str = ""

    @property
    def name(self) -> str:
        """The place in words: "reports.csv, row 7"."""
        return f"{self.file}, row {self.row}" if self.row else self.file

    @property
    def words(self) -> str:
        """The detail, or where there is none the meaning of the reason."""
        return self.detail or self.reason.meaning


def reason_counts(items: Iterable[LeftOut]) -> Iterator[str]:
    """Counts of each reason, with its detail, the most frequent first; of a reason with several details its meaning.

    Args:
        items: May be empty.

    Example:
        >>> [*reason_counts([LeftOut("a", Reason.NO_REPORT), LeftOut("b", Reason.NO_REPORT)])]
        ['2 × no-report (no report for the film)']
    """
    counts: Counter[Reason] = Counter()
    details: dict[Reason, set[str]] = {}
    for item in items:
        counts[item.reason] += 1
        details.setdefault(item.reason, set()).add(item.words)
    for reason, count in counts.most_common():
        words = details[reason].pop() if len(details[reason]) == 1 else reason.meaning
        yield f"{count} × {reason} ({words})"


def write_left_out(path: str | Path, items: Iterable[LeftOut]) -> Path:
    """Write the list, sorted by source, file and row, whole or not at all; the file is there even if it has no rows.

    Args:
        path: The file, `left_out.csv` by custom.
        items: May be empty.
    """
    # Sorted, so that two runs of the same data can be compared line by line.
    rows = sorted((item.source, item.file, item.row, item.reason, item.detail) for item in items)
    return write_csv(path, COLUMNS, ((source, file, row or "", *rest) for source, file, row, *rest in rows))
