"""Tables and films of an archive for a first look: kinds of files, decodable films, decisions on regions."""

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import pandas as pd

from pedclip.anatomy import REGIONS
from pedclip.curation.archive.image_region import Undecided, decisions_of
from pedclip.curation.archive.reader import read_archive
from pedclip.curation.archive.studies import Archive, ArchiveError, Film
from pedclip.triplets.decoding import BadImage, Pixels, decode
from pedclip.triplets.tabular import SUFFIXES

# Endings that are shown as they are.
_ENDINGS: Final = frozenset({*SUFFIXES, ".dcm", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".txt", ".pdf"})


def open_archive(folder: str, reports: str, columns: Mapping[str, str]) -> Archive:
    """`read_archive` for parameters, "" standing for nothing.

    Raises:
        ArchiveError: As there; where no table was named but one lies in the folder, the message says what to pass.
    """
    try:
        return read_archive(folder, reports or None, columns=columns)
    except ArchiveError as error:
        # A table inside the archive is read only when it is named: another may be of something else.
        tables = [path for path in sorted(Path(folder).glob("*")) if path.suffix.lower() in SUFFIXES]
        if reports or not tables:
            raise
        hint = f"If {tables[0].name} is the table of reports, pass reports={str(tables[0])!r}."
        raise ArchiveError(f"{error} {hint}") from error


def file_kinds(archive: Archive) -> pd.DataFrame:
    """Number of files by ending; unknown endings are not told apart, as a name may hide in one."""
    suffixes = (path.suffix.lower() for path in archive.root.rglob("*") if path.is_file())
    # An ending such as ".smith" could be a name.
    counts = Counter(suffix if suffix in _ENDINGS else "other or none" for suffix in suffixes)
    return pd.DataFrame(counts.most_common(), columns=["ending", "files"])


def open_films(films: Iterable[Film], count: int) -> list[tuple[Film, Pixels]]:
    """The first films that can be decoded, with their pixels: (H, W) uint8 each."""
    opened: list[tuple[Film, Pixels]] = []
    for film in films:
        # Decoding stops with the last film that is shown.
        if len(opened) == count:
            break
        # A first look shows what can be shown; the reasons come with the run.
        with suppress(BadImage):
            opened.append((film, decode(film.path)))
    return opened


def region_decisions(archive: Archive, truth: Mapping[str, str]) -> pd.DataFrame:
    """Every film of an archive with its evidence and what the rule of `film_regions` makes of them.

    Args:
        archive: As from `pedclip.curation.archive.reader.read_archive`.
        truth: Region by path relative to the archive; may be empty.

    Returns:
        Columns `film`, `tags`, `words`, `report` (regions that it says were filmed, with commas), `decision` ("" where
        there is none), `note` (who was overruled, or why nothing was decided) and `truth` ("" where unknown).
    """
    rows = []
    for study in archive.studies:
        # "neck" is known to the reports and is none of the 23.
        filmed = [region for region in study.read_report().filmed_regions if region in REGIONS]
        for film, found in decisions_of(study.images, filmed):
            decision, note = ("", f"{found.reason}: {found}") if isinstance(found, Undecided) else found
            # Relative, as the folder above may name a person.
            path = film.path.relative_to(archive.root).as_posix()
            tags, words = film.region_hint
            rows.append((path, tags, words, ", ".join(filmed), decision, note, truth.get(path, "")))
    return pd.DataFrame(rows, columns=["film", "tags", "words", "report", "decision", "note", "truth"])
