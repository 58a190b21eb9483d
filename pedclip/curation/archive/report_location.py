"""Location of one report: a row of a table, a text file, or a DICOM structured report; read only when needed.

An archive has hundreds of thousands of reports. What stays in memory is the location of each, about 100 bytes.
"""

import io
import struct
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pedclip.triplets.encoding import cell_text, decoded, without_control
from pedclip.triplets.left_out import LeftOut, Reason
from pedclip.triplets.pixels.dicom_header import inflated
from pedclip.triplets.tabular import TableFile
from pedclip.triplets.values import is_blank, is_placeholder

MAX_REPORT_BYTES: Final = 2_000_000  # a text file or structured report; the longest radiology reports have 20,000
_RESULTS: Final = ("", "FINDINGS", "IMPRESSION")  # a history may say "see note"
_SR_DEPTH: Final = 16
# What pydicom raises on files that lie about themselves, beside OSError and ValueError.
_DAMAGED: Final = (
    *(AttributeError, TypeError, LookupError, RuntimeError, EOFError, OverflowError, MemoryError, struct.error),
)


class ReportChanged(ValueError):
    """A file of reports that changed while it was in use."""


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table of reports, and which of its columns hold the text.

    Args:
        file: The table.
        columns: Heading to write before the text ("" for a whole report) and name of the column, in reading order.
    """

    file: TableFile
    columns: tuple[tuple[str, str], ...]

    def text(self, cells: Mapping[str, Any]) -> str:
        """The report in the text columns of a row: each filled one under its heading."""
        parts = ((heading, cell_text(cells.get(name))) for heading, name in self.columns)
        filled = [
            (heading, text)
            for heading, text in parts
            if not (is_placeholder(text) if heading in _RESULTS else is_blank(text))
        ]
        return "\n".join(f"{heading}: {text}" if heading else text for heading, text in filled)


@dataclass(frozen=True, slots=True)
class ReportLocation:
    """Location of one report.

    Args:
        path: The file.
        source: The table it is a row of, "text" or "sr" for a whole file.
        position: Of the row, as `TableFile.read_again` takes it.
        row: Number for people, as in `TableRow`; 0 for a whole file.
    """

    path: Path
    source: ReportTable | Literal["text", "sr"]
    position: int = 0
    row: int = 0

    def read(self) -> str:
        """The text of the report, sections with their headings.

        Raises:
            ReportChanged: The table was changed, or the file moved or truncated, since the location was found.
        """
        try:
            match self.source:
                case "text":
                    return read_text(self.path)
                case "sr":
                    return read_structured(self.path)
                case ReportTable() as table:
                    names = [name for _, name in table.columns]
                    return table.text(table.file.read_again(self.position, names))
        # However a changed file shows, the run has to stop: its excerpts would be of other patients.
        except (OSError, ValueError, LookupError, StopIteration) as error:
            where = f"{self.path.name}, row {self.row}" if self.row else self.path.name
            message = (
                f"{where} cannot be read any more ({type(error).__name__}); leave the archive as it is and restart."
            )
            raise ReportChanged(message) from error

    def name(self, root: Path) -> str:
        """The location in words: "reports.csv, row 7"; relative to `root` where it lies inside."""
        return f"{self._file(root)}, row {self.row}" if self.row else self._file(root)

    def left_out(self, root: Path, reason: Reason, detail: str = "") -> LeftOut:
        """The report as one that is not used."""
        return LeftOut(self._file(root), reason, detail, self.row)

    def _file(self, root: Path) -> str:
        # Never a path outside the archive: it may name a person or a server.
        path = self.path.relative_to(root) if self.path.is_relative_to(root) else Path(self.path.name)
        return path.as_posix()


def read_text(path: Path) -> str:
    """A text file in UTF-8, UTF-16 or Windows-1252, without control characters.

    Raises:
        ValueError: Larger than `MAX_REPORT_BYTES`, or in none of these encodings.
    """
    with path.open("rb") as file:
        # One byte more tells a file that is too large from one that just fits.
        content = file.read(MAX_REPORT_BYTES + 1)
    if len(content) > MAX_REPORT_BYTES:
        raise ValueError(f"larger than {MAX_REPORT_BYTES:,} bytes")
    try:
        text = decoded(content)
    except UnicodeDecodeError:
        raise ValueError("text that is neither UTF-8, UTF-16 nor Windows-1252") from None
    # Line ends as Python reads them: Windows writes two characters for one.
    return without_control(text.replace("\r\n", "\n")).strip()


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
            # A deflated one can grow a thousandfold.
            content = io.BytesIO(inflated(path.read_bytes()))
            items = pydicom.dcmread(content).get("ContentSequence") or []
            return without_control("\n".join(_text_items(items, 0))).strip()
    except (pydicom.errors.InvalidDicomError, pydicom.errors.BytesLengthException, *_DAMAGED) as error:
        raise ValueError(f"damaged structured report ({type(error).__name__})") from error


def _text_items(items: Iterable[Any], depth: int, heading: str = "") -> Iterable[str]:
    # A sequence can be nested until Python's stack overflows.
    if depth > _SR_DEPTH:
        raise ValueError(f"a structured report of more than {_SR_DEPTH} levels")
    for item in items:
        concept = item.get("ConceptNameCodeSequence") or []
        name = str(concept[0].get("CodeMeaning", "")).strip() if concept else ""
        if item.get("ValueType") == "TEXT" and (text := str(item.get("TextValue", "")).strip()):
            # The container says "Findings", the item only "Finding": one heading is enough.
            yield f"{heading or name}: {text}" if heading or name else text
        # Only a container passes its name on: the name of a value is no heading.
        is_container = item.get("ValueType") == "CONTAINER"
        yield from _text_items(item.get("ContentSequence") or [], depth + 1, name if is_container else heading)
