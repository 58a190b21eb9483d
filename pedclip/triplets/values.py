"""Cells of a table read as view, sex and age; missing values spelt out are blank."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

_VIEWS: Final = {
    **dict.fromkeys(("l", "ll", "rl", "lat", "lateral"), "lateral"),
    **dict.fromkeys(("obl", "oblique"), "oblique"),
    "ap": "AP",
    "pa": "PA",
    "frontal": "frontal",
}
# As tables and the programs that write them spell a missing value, without marks around it.
_BLANKS: Final = frozenset(
    {
        *("", "nan", "none", "null", "nil", "n/a", "na", "n.a", "nat", "nd", "n.d", "n/d", "pd.na", "np.nan"),
        *(
            "unknown",
            "unk",
            "not known",
            "undefined",
            "unspecified",
            "not specified",
            "missing",
            "empty",
            "blank",
            "void",
        ),
        *(
            "not available",
            "not applicable",
            "not given",
            "none given",
            "not recorded",
            "not reported",
            "no data",
            "tbd",
        ),
    }
)
_SPREADSHEET_ERROR: Final = re.compile(r"#[a-z/0]+[!?]|-?1\.#\w+")  # "#REF!", "#DIV/0!", "1.#QNAN"
_MARKS: Final = " \t\r\n\xa0\ufeff-–—_/\\|.,;:*#?!\"'`[](){}<>"  # around "[]", "(null)", "['nan']"
# What programs that take names away leave in their place.
_NOBODY: Final = frozenset(
    {
        *("anonymous", "anonymized", "anonymised", "anonym", "anon", "anonymous patient", "deidentified"),
        *("de-identified", "redacted", "removed", "withheld", "confidential"),
        *("anonymized patient", "anonymised patient", "no id", "noid", "no name", "noname", "dummy", "id removed"),
        *("test", "test patient", "testpatient", "unnamed", "unnamed patient", "unknown patient"),
        *("k.a", "k. a", "unbekannt", "inconnu", "inconnue", "desconocido", "desconocida", "sconosciuto"),
    }
)
_NOT_GIVEN: Final = re.compile(r"-(1|9+)(\.0+)?")
_COVERED: Final = re.compile(r"x+")  # a name with a letter in the place of each
_WITH_POINT: Final = re.compile(r"^(\d+)\.0+$")
_ZEROS: Final = re.compile(r"[\W_]*0[0\W_]*")  # "0000", "000-00-0000"
_LONGEST_BLANK: Final = 24  # characters
_LONGEST_PLACEHOLDER: Final = 80  # characters, with its marks
_WORD: Final = re.compile(r"\w+")
_HEADING: Final = re.compile(r"^\W*(?:report|findings|impression|result)s?[ \t]*:\s*", re.IGNORECASE)
_UNKNOWN_VIEWS: Final = {"", "other"}
_SEXES: Final = {
    **dict.fromkeys(("f", "female", "woman", "girl"), "F"),
    **dict.fromkeys(("m", "male", "man", "boy"), "M"),
}
_MONTHS: Final = {
    **dict.fromkeys(("d", "day", "days"), 12 / 365.25),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), 12 * 7 / 365.25),
    **dict.fromkeys(("m", "mo", "mos", "mon", "mth", "mths", "month", "months"), 1.0),
    **dict.fromkeys(("y", "yr", "yrs", "yo", "year", "years"), 12.0),
}
_AGE_PART: Final = re.compile(r"(\d+(?:[.,]\d+)?)\s*([a-z]+)\.?")
_OLDEST: Final = 120 * 12  # months
_OLDEST_BONES: Final = 20 * 12  # months


def is_blank(cell: str) -> bool:
    """True where a cell says that its value is missing, in whichever of the usual spellings; marks alone say nothing.

    Example:
        >>> is_blank(" NaN "), is_blank("(null)"), is_blank("#REF!"), is_blank("nano"), is_blank("-1")
        (True, True, True, False, False)
    """
    # All of them are short, and most cells of a table are not.
    if len(cell) > _LONGEST_BLANK:
        return not cell.strip()
    return cell.strip(_MARKS).lower() in _BLANKS or (
        "#" in cell and _SPREADSHEET_ERROR.fullmatch(cell.strip().lower()) is not None
    )


def is_placeholder(text: str) -> bool:
    """True where a text only says that there is no report, or none yet (`placeholders.json`).

    Example:
        >>> is_placeholder("No report available."), is_placeholder("[object Object]"), is_placeholder("None seen.")
        (True, True, False)
    """
    text = text.strip()
    if len(text) > _LONGEST_PLACEHOLDER:
        return False
    # The words alone, as each is written with and without brackets, a stop, or the heading of a report.
    words = " ".join(_WORD.findall(_HEADING.sub("", text.lower())))
    return is_blank(_HEADING.sub("", text)) or words in _placeholders()


@cache
def _placeholders() -> frozenset[str]:
    listed = json.loads(Path(__file__).with_name("placeholders.json").read_text(encoding="utf-8"))["no_report"]
    return frozenset(listed)


def without_point(identifier: str) -> str:
    """A number that a program wrote with a point, as the number that it was.

    Example:
        >>> without_point("1234.0"), without_point("1.2.0"), without_point("007")
        ('1234', '1.2.0', '007')
    """
    return _WITH_POINT.sub(r"\1", identifier)


def names_nobody(cell: str) -> bool:
    """True where a cell for a patient is blank, or holds what is written over all names of an archive alike.

    Example:
        >>> names_nobody("ANONYMOUS"), names_nobody("n/a"), names_nobody("anon-17"), names_nobody("0")
        (True, True, False, False)
        >>> names_nobody("-999"), names_nobody("TEST"), names_nobody("TEST1"), names_nobody("-12")
        (True, True, False, False)
    """
    # DICOM parts a name by carets.
    words = re.sub(r"[\s^_]+", " ", cell.strip(f"{_MARKS}^")).lower()
    if is_blank(cell) or words in _NOBODY or _NOT_GIVEN.fullmatch(cell.strip()):
        return True
    return all(word in _NOBODY or _COVERED.fullmatch(word) for word in words.split())


def ids_of_nobody(ids: Iterable[str]) -> frozenset[str]:
    """Those of all identifiers of patients in a set that name nobody: as `names_nobody`, and zeros without any other.

    Zeros beside other identifiers are the first of a numbering.

    Example:
        >>> sorted(ids_of_nobody(["0000", "ANON"])), sorted(ids_of_nobody(["0000", "0001"]))
        (['0000', 'ANON'], [])
    """
    present = frozenset(ids)
    nobody = frozenset(filter(names_nobody, present))
    others = present - nobody
    return present if all(map(_ZEROS.fullmatch, others)) else nobody


def read_view(cell: str) -> str:
    """View in the words of the schema: "AP Supine" is "AP", "L" is "lateral"; unknown words stay, in lower case.

    Example:
        >>> read_view("AP (weight-bearing)"), read_view("L"), read_view("frog leg"), read_view("?")
        ('AP', 'lateral', 'frog leg', '')
    """
    # What stands in brackets describes the view and does not name it.
    plain = " ".join(re.sub(r"\([^)]*\)", "", cell).lower().split())
    first = re.split(r"\W", plain, maxsplit=1)[0]
    if plain in _UNKNOWN_VIEWS or is_blank(plain) or not re.search(r"[a-z]", plain):
        return ""
    return _VIEWS.get(first, plain)


def read_sex(cell: str) -> str:
    """Sex as "F" or "M", "" where the cell says neither."""
    return _SEXES.get(cell.lower(), "")


def read_age(row: Mapping[str, str]) -> float | None:
    """Age in months from `age_months`, else from `age` in years, with its unit, or as DICOM writes it ("018M").

    Returns:
        Months in [0, 1440], None where it is blank, not a number or out of range.

    Example:
        >>> read_age({"age": "2"}), read_age({"age": "018M"}), read_age({"age": "3y6m"}), read_age({"age": "adult"})
        (24.0, 18.0, 42.0, None)
    """
    cell = row.get("age_months", "")
    months = _months(row.get("age", ""), 12.0) if is_blank(cell) else _months(cell, 1.0)
    # Out of range is unknown: 999 stands for "not given" in many tables.
    return months if 0 <= months <= _OLDEST else None


def _months(cell: str, unit: float) -> float:
    """The sum of the numbers in a cell, each times its own unit or the one given; NaN where it is not understood."""
    # "5-year-old", "5 years old", "2 years and 3 months", "5 Y/O"
    plain = re.sub(r"[-\s]+(old|of age)$", "", cell.strip().lower())
    plain = re.sub(r"(?<=\d)-(?=[a-z])|,?\s+and\s+|,\s+|(?<=y)/(?=o)", " ", plain)
    if not re.search(r"[a-z]", plain):
        return unit * _number(plain)
    # Every word must be a unit: "5 years or so" is not 5 years.
    if _AGE_PART.sub("", plain).strip() or any(word not in _MONTHS for _, word in _AGE_PART.findall(plain)):
        return math.nan
    return sum(_number(number) * _MONTHS[word] for number, word in _AGE_PART.findall(plain))


def read_bone_age(row: Mapping[str, str]) -> float | None:
    """Bone age in months, from 0 to 20 years, None where it is not given."""
    months = _months(row.get("bone_age_months", ""), 1.0)
    return months if 0 <= months <= _OLDEST_BONES else None


def _number(cell: str) -> float:
    """The number in a cell, NaN (which is in no range) where there is none."""
    try:
        return float(cell.replace(",", ".") if "." not in cell else cell)  # many languages write a decimal comma
    except ValueError:
        return math.nan
