"""CSV files as people save them: names behind a first line of a spreadsheet, rows of any length, quotes left open."""

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from pedclip.triplets.encoding import delimiter_of, open_text

MAX_LINE_BYTES: Final = 2_000_000  # a longer line is no row of a table
MAX_CELL: Final = 131_072  # characters, as Python's `csv` has it; the longest reports have 20,000
_OPEN_QUOTE: Final = "a quote that does not close"
_SEP: Final = re.compile(r"(?:\ufeff)?\"?sep=.\"?\s*", re.IGNORECASE)


def header_line(file: BinaryIO) -> bytes:
    """The line with the names; a spreadsheet may have written its delimiter before it."""
    line = file.readline(MAX_LINE_BYTES)
    return file.readline(MAX_LINE_BYTES) if _SEP.fullmatch(line.decode("latin-1").removeprefix("ï»¿")) else line


def lenient_header(path: Path) -> tuple[list[str], str, int]:
    """Names of the columns, the delimiter, and the row in which the names stand."""
    number = 0
    with open_text(path) as file:
        while line := file.readline(MAX_LINE_BYTES):
            number += 1
            # Spreadsheets write their delimiter, or nothing, before the names.
            if line.strip() and not _SEP.fullmatch(line):
                break
    delimiter = delimiter_of(line)
    with open_text(path) as file:
        reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
        return [name.strip() for name in next(islice(reader, max(0, number - 1), None), [])], delimiter, number


def lenient_records(path: Path, delimiter: str, header: int) -> Iterator[tuple[int, list[str], str]]:
    """Number, cells and problem of every row behind the names; a row with a problem has no cells.

    Args:
        path: The file.
        delimiter: Between the cells.
        header: Row with the names, counted from 1.
    """
    with open_text(path) as file:
        lines = _Lines(file)
        # Not strict: published tables have stray quotes within cells.
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        for number in count(1):
            lines.row.clear()
            try:
                cells, is_whole = next(reader), True
            except StopIteration:
                return
            except csv.Error:  # a cell beyond the limit of the module
                cells, is_whole = [], False
            if number <= header:
                continue
            if is_whole and (len(lines.row) == 1 or _closes(lines.row, delimiter)):
                yield number, cells, ""
                continue
            # An open quote would swallow the rows behind it.
            is_long = len(lines.row) == 1
            lines.give_back()
            yield number, [], f"a cell of more than {MAX_CELL:,} characters" if is_long else _OPEN_QUOTE


class _Lines:
    """Lines of a file for a reader of rows, which can be given back all but the first.

    Args:
        file: The file.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._back: deque[str] = deque()
        self.row: list[str] = []  # lines that were taken

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else next(self._file)
        self.row.append(line)
        return line

    def give_back(self) -> None:
        """Read all lines but the first once more."""
        self._back.extendleft(reversed(self.row[1:]))


def _closes(lines: Sequence[str], delimiter: str) -> bool:
    """True where the quotes in the lines of a row stand where they belong."""
    try:
        return len([*csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)]) == 1
    except csv.Error:
        return False
