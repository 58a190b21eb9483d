"""Columns of a table by what they mean: the usual names of each role, as data in columns.json."""

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal, get_args

from pedclip.triplets.tabular import TableError

Roles = Literal["images", "reports"]
Patients = Literal["column", "independent"]  # ways to tell patients apart
PATIENTS: Final[tuple[Patients, ...]] = get_args(Patients)


def find_roles(path: Path, names: Sequence[str], columns: Mapping[str, str], table: Roles) -> dict[str, str]:
    """Role to name of the column: as told, else the first of the usual names (columns.json) that the table has.

    Args:
        path: The file, for the words of an error.
        names: Names of its columns. Case does not matter, and a space or "-" counts as "_".
        columns: Role to name, before the usual names.
        table: Whose roles.

    Raises:
        TableError: An unknown role, or a column that is absent; with the close spelling.
    """
    # The role before the name: a misspelt role is no matter of the file.
    check_roles(columns, table)
    for role, name in columns.items():
        if name not in names:
            known = ", ".join(names)
            raise TableError(f"{path} has no column {name!r} (for {role!r});{_hint(name, names)} its columns: {known}.")
    # A column that was told to be one thing is no other by its name.
    free = [name for name in names if name not in columns.values()]
    # The most telling alias first, whatever the order of the columns.
    found = {role: name for role, aliases in usual_names(table).items() if (name := first_of(aliases, free))}
    return {**found, **columns}


def check_roles(columns: Mapping[str, str], table: Roles) -> None:
    """Refuse a `columns` argument with a role that no such table has.

    Raises:
        TableError: With the close spelling and all roles.
    """
    known = usual_names(table)
    for role in columns:
        if role not in known:
            hint = _hint(role, [*known])
            raise TableError(f"columns={{{role!r}: …}}: unknown role;{hint} expected one of {', '.join(known)}.")


@cache
def usual_names(table: Roles | Literal["sections"]) -> Mapping[str, Sequence[str]]:
    """Names by role (of reports also by heading of a section), the most telling first."""
    content = json.loads((files(__package__) / "columns.json").read_text(encoding="utf-8"))
    names: dict[str, Sequence[str]] = content[table]
    # What both tables have is listed once.
    return names if table == "sections" else {**names, **content["both"]}


def first_of(aliases: Sequence[str], names: Sequence[str]) -> str:
    """The first alias that a table has, as it writes it; "" where it has none."""
    # The first of two names that read alike wins, as a person reads a header from the left.
    by_key = {name.strip().lower().replace(" ", "_").replace("-", "_"): name for name in reversed(names)}
    return next((by_key[alias] for alias in aliases if alias in by_key), "")


def _hint(name: str, known: Sequence[str]) -> str:
    # One suggestion: a list of them would have to be read.
    close = get_close_matches(name, known, n=1)
    return f" did you mean {close[0]!r}?" if close else ""
