"""`pedclip.data.load`: from a name, a data card or paths to triplets."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NamedTuple

from datasets import DatasetDict

from pedclip.data.folder import FolderReading, NothingUsable, read_folder, table_missing
from pedclip.data.table import find_table
from pedclip.data.union import join
from pedclip.triplets.columns import PATIENTS, check_roles
from pedclip.triplets.left_out import LeftOut, write_left_out
from pedclip.triplets.splits import SPLITS
from pedclip.triplets.storage import is_triplets, load_triplets

__all__ = ["load", "read_folder", "read_source", "summary"]

PHANTOM: Final = "phantom"
FOLDER: Final = "folder"  # loader of cards whose data are a folder with a table
MODES: Final = ("auto", "given", "hash")
_log = logging.getLogger(__name__)


class _Options(NamedTuple):
    """Options of folders: `columns`, `split` and `patients` of `load`."""

    columns: Mapping[str, str] | None
    split: str
    patients: str


def load(
    name_or_path: str | Path | Sequence[str | Path],
    *,
    root: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    split: str = "auto",
    patients: str = "column",
    left_out: str | Path | None = None,
    **phantom: Any,
) -> DatasetDict:
    """Triplets by name or from disk: those of `read_source`, which also gives what was left out and noted.

    Args:
        name_or_path: As in `read_source`, as are the others.
        root: Of a data card.
        columns: Role to column name.
        split: "auto", "given" or "hash".
        patients: "column" or "independent".
        left_out: File for the list of rows left out.
        **phantom: Arguments of `pedclip.data.phantom.generate`.

    Returns:
        Splits "train", "validation" and "test" with the features of the schema; a split may be empty.

    Raises:
        FileNotFoundError: As in `read_source`, as are the others.
        CardError: No such card.
        FolderDiffers: Not the folder of the card.
        TableError: A table that cannot be read as meant.
        TripletsError: A triplet directory that is incomplete.
        NothingUsable: Not one usable row.
        ValueError: Unknown mode, or arguments that do not go together.
    """
    reading = read_source(
        name_or_path, root=root, columns=columns, split=split, patients=patients, left_out=left_out, **phantom
    )
    return reading.triplets


def read_source(
    name_or_path: str | Path | Sequence[str | Path],
    *,
    root: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    split: str = "auto",
    patients: str = "column",
    left_out: str | Path | None = None,
    **phantom: Any,
) -> FolderReading:
    """Triplets by name or from disk, with the rows left out and what else a reader should know.

    Several sources, or a folder whose subfolders are sources, are joined: identifiers get the prefix "<folder>/", so
    that they cannot collide, and a film that is in two of them is in one part. What each folder held, and how many rows
    were left out, is logged.

    Args:
        name_or_path: "phantom"; a triplet directory; a folder of images with a table; a folder of such folders;
            several of them, as a list or as one text with commas; or, with `root`, the name of one data card.
        root: Folder into which the data set of the card was unpacked, for example "grazpedwri-dx" with
            root="/data/graz". It is checked against the card before anything is read.
        columns: Role (text, region, patient_id, … as in columns.json) to column name, for tables with other names.
        split: "auto" takes the given split where it has training rows, else a hash of the patient; "given" and "hash"
            decide it. Phantom and triplet directories keep theirs; a data card says which split it has.
        patients: "column", or "independent" to state that no two films of a folder are of one patient. Without a
            column of patients, a table with columns that nobody recognizes is refused unless this is stated.
        left_out: File for the list of rows left out, with the reasons; written even if there is none.
        **phantom: Arguments of `pedclip.data.phantom.generate`.

    Returns:
        The triplets, what was left out, and notes: unread ages and sexes, unused columns, where the split is from.

    Raises:
        FileNotFoundError: No such path, nothing in it that is a source, or a data card without `root`.
        CardError: `root` with a name that no data card has.
        FolderDiffers: `root` lacks a file or a column that the data card requires; with the table of both.
        TableError: See `pedclip.data.folder.read_folder`.
        TripletsError: A triplet directory is incomplete or differs from the schema.
        NothingUsable: A single folder of which every row was left out.
        ValueError: Unknown mode, two sources with the same folder name, or phantom arguments without "phantom".
    """
    for name, value, modes in (("split", split, MODES), ("patients", patients, PATIENTS)):
        if value not in modes:
            raise ValueError(f"{name}: expected one of {', '.join(modes)}, got {value!r}.")
    # At once, before minutes of reading end in a misspelt role.
    check_roles(columns or {}, "images")
    options = _Options(columns, split, patients)
    if root is not None:
        return _finish(lambda: _read_card(name_or_path, root, options, phantom), left_out)
    sources = _sources(name_or_path, columns or {})
    if phantom and PHANTOM not in sources:
        raise ValueError(f"{', '.join(phantom)}: only 'phantom' takes such arguments, and it is not among the data.")
    return _finish(lambda: _read_all(sources, options, phantom), left_out)


def _finish(read: Callable[[], FolderReading], path: str | Path | None) -> FolderReading:
    """Read, write the list of what was left out (also where that is all), and log the counts."""
    try:
        reading = read()
    except NothingUsable as error:
        _write_list(path, error.left_out)
        raise
    _write_list(path, reading.left_out)
    for line in summary(reading):
        _log.info("%s", line)
    return reading


def summary(reading: FolderReading) -> Iterator[str]:
    """Lines on a reading: its notes, the triplets of each split, and what was left out, by reason."""
    yield from reading.notes
    counts = ", ".join(f"{split} {len(reading.triplets[split])}" for split in SPLITS)
    yield f"triplets: {counts}; {len(reading.left_out)} rows left out"
    for (source, reason), count in Counter((item.source, item.reason) for item in reading.left_out).most_common():
        yield f"left out of {source}: {count} × {reason} ({reason.meaning})"


def _read_card(name: object, root: str | Path, options: _Options, phantom: Mapping[str, Any]) -> FolderReading:
    from pedclip.data.cards import read_card, require_folder

    if phantom:
        raise ValueError(f"{', '.join(phantom)}: only 'phantom' takes such arguments, and it is not among the data.")
    card = read_card(str(name))
    if card.loader == PHANTOM:
        raise ValueError(f"{name} is drawn, not read: leave root out.")
    if card.loader == FOLDER:
        require_folder(card, root)
        return _read_all(_sources(Path(root), options.columns or {}), options, {})
    if options.columns:
        raise ValueError(f"columns: {name} has the columns of its data card; leave the argument out.")
    from pedclip.data.adapters.build import read_card_folder

    return read_card_folder(card, root, split=options.split)


def _sources(name_or_path: str | Path | Sequence[str | Path], columns: Mapping[str, str]) -> list[str | Path]:
    """The single sources: "phantom", or folders that are data sources."""
    if isinstance(name_or_path, str | Path):
        # A folder may have a comma in its name; a path that exists is one path.
        is_list = "," in str(name_or_path) and not Path(name_or_path).exists()
        parts: list[str | Path] = [*str(name_or_path).split(",")] if is_list else [name_or_path]
    else:
        parts = list(name_or_path)
    stripped = [part.strip() if isinstance(part, str) else part for part in parts]
    found = [source for part in stripped if str(part) for source in _expand(part, columns)]
    if not found:
        raise ValueError("no data given; expected 'phantom', a folder, or several with commas between.")
    # The name marks the images of the union.
    names = Counter(_name(source) for source in found)
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(f"two sources are both named {twice[0]!r}; rename a folder, as its name marks its images.")
    return found


def _expand(source: str | Path, columns: Mapping[str, str]) -> list[str | Path]:
    if source == PHANTOM:
        return [PHANTOM]
    path = Path(source)
    if not path.is_dir():
        names = [PHANTOM, *(name for name in _card_names() if name != PHANTOM)]
        if str(source) in names:
            raise FileNotFoundError(_root_missing(str(source)))
        # A misspelt name of a card looks like a path that does not exist.
        close = get_close_matches(str(source), names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        what = "is a file, not a folder" if path.exists() else "does not exist"
        cards = f"the name of a data card with its root ({', '.join(names[1:])}), " if names[1:] else ""
        raise FileNotFoundError(
            f"{path} {what}; expected '{PHANTOM}', {cards}or a folder: "
            "a triplet directory, or images with a table."
            f"{hint}"
        )
    if _is_source(path, columns):
        return [path]
    folders = [item for item in sorted(path.iterdir()) if item.is_dir() and not item.name.startswith(".")]
    found = [folder for folder in folders if _is_source(folder, columns)]
    if not found:
        raise table_missing(path)
    # Said, because a folder without its table looks like one without images.
    if skipped := [folder.name for folder in folders if folder not in found]:
        _log.info("%s: no table of images in %s; skipped", path, ", ".join(skipped))
    return [*found]


def _card_names() -> list[str]:
    """Names of the data cards; none where the cards are not installed."""
    from pedclip.data.cards import CardError, card_names

    try:
        return card_names()
    except CardError:
        return []


def _root_missing(name: str) -> str:
    from pedclip.data.cards import access_words, read_card

    return (
        f"{name} is a data card; say where its files are, and pass root='/folder/of/it': "
        f"pedclip.data.load({name!r}, root='/folder/of/it').\n"
        f"{access_words(read_card(name))}"
    )


def _is_source(path: Path, columns: Mapping[str, str]) -> bool:
    return is_triplets(path) or find_table(path, columns) is not None


def _name(source: str | Path) -> str:
    return PHANTOM if source == PHANTOM else Path(source).resolve().name


def _read_all(sources: Sequence[str | Path], options: _Options, phantom: Mapping[str, Any]) -> FolderReading:
    if len(sources) == 1:
        return _read(sources[0], options, phantom)
    readings, notes, left_out = {}, [], []
    for source in sources:
        name = _name(source)
        try:
            readings[name] = _read(source, options, phantom)
        except NothingUsable as error:
            left_out += error.left_out
            notes.append(f"{name}: no row can be used")
    if not readings:
        raise NothingUsable(Path(sources[0]).parent, left_out)
    joined = join(readings)
    return FolderReading(joined.triplets, [*left_out, *joined.left_out], [*notes, *joined.notes])


def _read(source: str | Path, options: _Options, phantom: Mapping[str, Any]) -> FolderReading:
    if source == PHANTOM:
        from pedclip.data.phantom import generate

        return FolderReading(generate(**phantom), [], [])
    if is_triplets(Path(source)):
        return FolderReading(load_triplets(source), [], [])
    return read_folder(source, columns=options.columns, split=options.split, patients=options.patients)


def _write_list(path: str | Path | None, left_out: Sequence[LeftOut]) -> None:
    if path is not None:
        write_left_out(path, left_out)
