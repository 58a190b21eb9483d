"""Films of a folder that become no triplet as no row of its table names them, or only behind another film."""

import os
from pathlib import Path
from typing import Final

from pedclip.data.table import Table
from pedclip.triplets.film_paths import FilmPaths
from pedclip.triplets.left_out import LeftOut, Reason, Unusable

_NAMED: Final = 3  # in one note
_BEHIND: Final = {
    "image": (Reason.NO_TEXT, "the row lists several films; its words go with the first alone"),
    "mask": (Reason.BAD_ANNOTATION, "the row lists several masks; the first alone is read"),
}


def unnamed_films(table: Table, paths: FilmPaths) -> tuple[list[LeftOut], list[str]]:
    """Films and masks that a row lists behind another, and films that no row names; with a note on the latter.

    Args:
        table: All its rows, also those that repeat another.
        paths: Of the folder.
    """
    source = table.path.parent.resolve().name
    named = {_identity(paths, row[role]) for _, row in table.rows for role in _BEHIND if row.get(role)}
    # A film of a list may have a row of its own.
    behind = [item for item in table.further if _identity(paths, item[2]) not in named]
    left_out = [LeftOut(file, *_BEHIND[role], number, source) for number, role, file in behind]
    named.update(_identity(paths, file) for _, _, file in behind)
    without = [file for file in paths.films() if _identity(paths, file) not in named]
    left_out += [
        LeftOut(file, Reason.NO_TEXT, "no row of the table names this film", source=source) for file in without
    ]
    first = ", ".join(without[:_NAMED]) + (", …" if len(without) > _NAMED else "")
    return left_out, [f"{len(without)} films that no row of the table names ({first})"] if without else []


def _identity(paths: FilmPaths, file: str) -> tuple[int, int] | Path:
    """Identity of a file, however it is written; the path where there is no file."""
    path = paths.folder / file
    try:
        path = paths.find(file)
        status = os.stat(path)
    except (Unusable, OSError, ValueError):
        return path
    return status.st_dev, status.st_ino
