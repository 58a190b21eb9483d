"""Files below a folder by the names of a table: Windows paths, other case, other Unicode form, no suffix."""

import os
import re
import unicodedata
from collections import defaultdict
from functools import cached_property
from pathlib import Path
from typing import Final

from pedclip.triplets.left_out import Reason, Unusable
from pedclip.triplets.pixels.dicom_header import is_dicom

_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom", ".bmp", ".webp", ".gif")
_ABSOLUTE: Final = re.compile(r"^(?:[a-z]:)?/|^[a-z]:", re.IGNORECASE)
_IGNORED: Final = ("__macosx",)


def path_key(written: str) -> str:
    r"""A path as it is compared: slashes, no leading "./", one Unicode form, no case.

    Example:
        >>> path_key("IMG\\Film 1.PNG"), path_key("./a.png")
        ('img/film 1.png', 'a.png')
    """
    slashed = re.sub(r"/+", "/", written.strip().replace("\\", "/"))
    return unicodedata.normalize("NFC", re.sub(r"^(?:\./)+", "", slashed)).casefold()


class FilmPaths:
    """The files of one folder, found by the names that a table writes.

    Args:
        folder: Names are relative to it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, written: str) -> Path:
        r"""The file that a cell means; where there is none, the path as it is written.

        A path with folders must fit as a whole, one from another machine ("C:\data\a.png") by as many of its last
        parts as there are, and a bare name may lie in any folder. A name without the suffix of an image may have any.

        Raises:
            Unusable: Several files could be meant.
        """
        direct = self.folder / written
        try:
            if direct.is_file():
                return direct
        except (OSError, ValueError):  # a name that no file can have, such as one of 300 characters
            return direct
        # Only where the name does not fit as it is: walking a folder of many films takes seconds.
        key = path_key(written)
        found = self._matches(key, self._by_name)
        if not found and not key.endswith(_SUFFIXES):
            found = self._matches(key, self._by_stem)
        # Never a guess: the wrong film under a text is worse than none.
        if len(found) > 1:
            raise Unusable(Reason.NO_FILM, f"{len(found)} files of this name could be meant; write the path of one")
        return self.folder / found[0] if found else direct

    def has(self, written: str) -> bool:
        """True where a file can be found for a cell."""
        try:
            return self.find(written).is_file()
        except (Unusable, OSError, ValueError):
            return False

    def films(self) -> list[str]:
        """Every film: a file with the suffix of an image, or DICOM under any name; hidden files are none."""
        files = sorted(file for paths in self._by_name.values() for _, file in paths)
        return [file for file in files if path_key(file).endswith(_SUFFIXES) or self._is_dicom(self.folder / file)]

    @staticmethod
    def _is_dicom(path: Path) -> bool:
        try:
            # Opening a pipe would wait for ever.
            if not path.is_file():
                return False
            with path.open("rb") as file:
                return is_dicom(file.read(132))
        except OSError:
            return False

    def _matches(self, key: str, names: dict[str, list[tuple[str, str]]]) -> list[str]:
        """Files whose last part is that of the key, and whose folders fit."""
        candidates = names.get(key.rsplit("/", 1)[-1], [])
        is_absolute = _ABSOLUTE.match(key) is not None
        parts = [part for part in _ABSOLUTE.sub("", key).split("/") if part]
        if len(parts) == 1 and not is_absolute:
            # A file beside the table is meant before one of the same name further below.
            return [file for own, file in candidates if own == key] or [file for _, file in candidates]
        # The folder's own name may stand first.
        starts = range(len(parts)) if is_absolute else range(2 if parts[:1] == [path_key(self.folder.name)] else 1)
        for start in starts:
            tail = "/".join(parts[start:])
            found = [file for own, file in candidates if own == tail or (is_absolute and own.endswith(f"/{tail}"))]
            if found:
                return found
        return []

    @cached_property
    def _by_name(self) -> dict[str, list[tuple[str, str]]]:
        """Path as it is compared and as it is, by the name of the file; read once, when first a name does not fit."""
        names: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for folder, folders, files in os.walk(self.folder):
            # What a Mac adds to an archive looks like films and holds none.
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name.lower() not in _IGNORED)
            for name in sorted(files):
                if not name.startswith("."):
                    path = Path(folder, name).relative_to(self.folder).as_posix()
                    names[path_key(name)].append((path_key(path), path))
        return names

    @cached_property
    def _by_stem(self) -> dict[str, list[tuple[str, str]]]:
        stems: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for name, paths in self._by_name.items():
            # Any other ending, as in "1.2.840.7", is part of the name.
            for suffix in _SUFFIXES:
                if name.endswith(suffix):
                    cut = -len(suffix)
                    stems[name[:cut]] += [(own[:cut], file) for own, file in paths]
        return stems
