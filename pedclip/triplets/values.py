"""Cells of a table read as view, sex and age."""

import math
import re
from collections.abc import Mapping
from typing import Final

_VIEWS: Final = {
    **dict.fromkeys(("l", "ll", "rl", "lat", "lateral"), "lateral"),
    **dict.fromkeys(("obl", "oblique"), "oblique"),
    "ap": "AP",
    "pa": "PA",
    "frontal": "frontal",
}


_UNKNOWN_VIEWS: Final = {"", "unknown", "n/a", "na", "nan", "none", "other"}


_SEXES: Final = {
    **dict.fromkeys(("f", "female", "woman", "girl"), "F"),
    **dict.fromkeys(("m", "male", "man", "boy"), "M"),
}


_MONTHS: Final = {"D": 12 / 365.25, "W": 12 * 7 / 365.25, "M": 1.0, "Y": 12.0}


_OLDEST: Final = 120 * 12  # months


_OLDEST_BONES: Final = 20 * 12  # months


def read_view(cell: str) -> str:
    """View in the words of the schema: "AP Supine" is "AP", "L" is "lateral"; unknown words stay, in lower case.

    Example:
        >>> read_view("AP (weight-bearing)"), read_view("L"), read_view("frog leg"), read_view("?")
        ('AP', 'lateral', 'frog leg', '')
    """
    # What stands in brackets describes the view and does not name it.
    plain = " ".join(re.sub(r"\([^)]*\)", "", cell).lower().split())
    first = re.split(r"\W", plain, maxsplit=1)[0]
    if plain in _UNKNOWN_VIEWS or not re.search(r"[a-z]", plain):
        return ""
    return _VIEWS.get(first, plain)


def read_sex(cell: str) -> str:
    """Sex as "F" or "M", "" where the cell says neither."""
    return _SEXES.get(cell.lower(), "")


def read_age(row: Mapping[str, str]) -> float | None:
    """Age in months from `age_months`, else from `age` in years or as DICOM writes it ("018M").

    Returns:
        Months in [0, 1440], None where it is blank, not a number or out of range.

    Example:
        >>> read_age({"age": "2"}), read_age({"age": "018M"}), read_age({"age": "adult"})
        (24.0, 18.0, None)
    """
    if cell := row.get("age_months", ""):
        months = _number(cell)
    # DICOM's age string: three digits and a unit (PS3.5, VR AS).
    elif match := re.fullmatch(r"(\d{1,3})([DWMY])", row.get("age", "").upper()):
        months = int(match[1]) * _MONTHS[match[2]]
    else:
        months = 12 * _number(row.get("age", ""))
    # Out of range is unknown: 999 stands for "not given" in many tables.
    return months if 0 <= months <= _OLDEST else None


def read_bone_age(row: Mapping[str, str]) -> float | None:
    """Bone age in months, from 0 to 20 years, None where it is not given."""
    months = _number(row.get("bone_age_months", ""))
    return months if 0 <= months <= _OLDEST_BONES else None


def _number(cell: str) -> float:
    """The number in a cell, NaN (which is in no range) where there is none."""
    try:
        return float(cell)
    except ValueError:
        return math.nan
