"""Text of files and cells: UTF-8, UTF-16 or Windows-1252, without control characters."""

import codecs
import gzip
import io
import re
from pathlib import Path
from typing import Any, Final, TextIO

UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # first bytes of a file
_DELIMITERS: Final = ",;\t|"
_CONTROL: Final = dict.fromkeys([*range(9), 11, 12, *range(14, 32), *range(127, 160)])  # all but tab and line ends


class RepeatedKey(ValueError):
    """A JSON object that says two things under one key."""


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object of keys and values, for `object_pairs_hook`.

    Raises:
        RepeatedKey: A key occurs twice; JSON's own reader would take the last of the two values.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise RepeatedKey("a key occurs twice")
    return found


def open_text(path: Path) -> TextIO:
    """A text table for reading, unpacked on the way where its name ends in .gz; as `csv` wants it.

    UTF-8 or, with their marks, UTF-16; a line that is not UTF-8 is read as Windows-1252, as older Excel writes it.
    """
    file: Any = gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")
    encoding = "utf-16" if file.read(2) in UTF16 else "utf-8-sig"
    # The mark is read again with the text, which drops it.
    file.seek(0)
    return io.TextIOWrapper(file, encoding=encoding, errors="cp1252", newline="")


def decoded(content: bytes) -> str:
    """Text of bytes in UTF-8, else in Windows-1252, else in UTF-16 where they begin with its mark.

    Raises:
        UnicodeDecodeError: None of them.
    """
    return content.decode("utf-16" if content[:2] in UTF16 else "utf-8-sig", errors="cp1252")


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    # Bytes that Windows-1252 does not define are damage: the error goes on.
    if not isinstance(error, UnicodeDecodeError) or not error.encoding.startswith("utf-8"):
        raise error
    return error.object[error.start : error.end].decode("cp1252"), error.end


codecs.register_error("cp1252", _as_windows)


def cell_text(value: Any) -> str:
    """A cell as text without outer blanks: "" for what is missing, the filled items of a list with "; " between."""
    if isinstance(value, list | tuple):
        return "; ".join(text for item in value if (text := cell_text(item)))
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # identifiers that a spreadsheet made into numbers
    return without_control(str(value)).strip()


def without_control(text: str) -> str:
    """A text without control characters; tabs and line ends stay."""
    return text if text.isprintable() else text.translate(_CONTROL)


def delimiter_of(header: str) -> str:
    """The most frequent of the usual delimiters outside quotes; a comma where there is none."""
    # A quoted name may hold commas of its own.
    plain = re.sub(r'"[^"]*"', "", header)
    return max(_DELIMITERS, key=plain.count)


def drop_blank_end(cells: list[str], width: int) -> None:
    """Remove blank cells behind the last column: a comma too many at the end of a line is no further cell."""
    while len(cells) > width and not cells[-1].strip():
        cells.pop()
