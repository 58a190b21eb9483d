"""Files and folders that are either complete or absent, whenever the process is killed.

Everything is written beside its destination under a hidden name and renamed into place, because a rename within one
file system is the only step that the operating system makes indivisible.
"""

import csv
import io
import json
import os
import re
import shutil
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO, Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # beginnings of what a spreadsheet runs
_OF_THE_DESKTOP: Final = (".DS_Store", "Thumbs.db", "desktop.ini")  # what looking into a folder leaves there


def write_file(
    path: str | Path, fill: Callable[[BinaryIO], Any], *, before_rename: Callable[[], Any] = lambda: None
) -> Path:
    """Write a file so that a reader sees the old content or the new one, never a part.

    Args:
        path: Destination; missing parent folders are made, an existing file is replaced.
        fill: Writes the content into the open file.
        before_rename: Called when the new file is complete and has not yet taken the place of the old one.

    Returns:
        The destination.

    Raises:
        IsADirectoryError: The destination is a folder.
    """
    destination = Path(path)
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = _sibling(destination, "partial")
    try:
        # Exclusive: no other process may be writing the same file.
        with partial.open("xb") as file:
            fill(file)
            file.flush()
            # On disk before the rename, or a power cut could leave an empty file under the final name.
            os.fsync(file.fileno())
        # Whatever must be so when the old file goes, now that nothing can fail but the rename.
        before_rename()
        partial.replace(destination)  # the one indivisible step
    finally:
        partial.unlink(missing_ok=True)  # gone after the rename; left by an error
    return destination


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write a file with `write_file`.

    Args:
        path: Destination.
        content: The whole file.

    Returns:
        The destination.

    Raises:
        IsADirectoryError: The destination is a folder.
    """
    return write_file(path, lambda file: file.write(content))


def write_text(path: str | Path, text: str) -> Path:
    """Write a UTF-8 file with `write_bytes`."""
    return write_bytes(path, text.encode())


def write_json(path: str | Path, content: Any) -> Path:
    """Write indented UTF-8 JSON with `write_bytes`; `Path`s become text, key order is kept.

    Raises:
        ValueError: A number is NaN or infinite: JSON has neither, and most readers reject the file.
        TypeError: A value is of a kind that JSON does not know.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_json(Path(folder) / "metrics.json", {"auc": 0.75}).read_text().split()
        ['{', '"auc":', '0.75', '}']
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=_encode)
    return write_text(path, text + "\n")  # as text files end


def read_json(path: str | Path) -> Any:
    """Content of a UTF-8 JSON file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no JSON; the message names the file.
    """
    try:
        # RecursionError: brackets nested a thousand deep.
        return json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not readable JSON: {error}") from error


def first_difference(old: Any, new: Any, name: str = "") -> str:
    """The first value in which two descriptions differ, in words; "" where they are equal.

    Args:
        old: Plain values, as JSON has them.
        new: The same of today, whose order decides which difference is the first.
        name: Of both, dotted, for the values of an object.

    Example:
        >>> first_difference({"training": {"seed": 0}}, {"training": {"seed": 5}})
        'training.seed was 0, is 5'
    """
    # Down to the value, since two digests would tell a reader nothing.
    if isinstance(old, dict) and isinstance(new, dict):
        # A key on one side only counts as None on the other.
        keys = [*new, *(key for key in old if key not in new)]
        found = (first_difference(old.get(key), new.get(key), f"{name}.{key}".lstrip(".")) for key in keys)
        return next((words for words in found if words), "")
    return "" if old == new else f"{name} was {old!r}, is {new!r}"


def write_csv(path: str | Path, header: Sequence[str], rows: Iterable[Iterable[Any]]) -> Path:
    """Write a CSV file, whole or not at all; cells that a spreadsheet would run as a formula get an apostrophe."""
    return write_text(path, "".join(_csv_line([_inert(cell) for cell in row]) for row in (header, *rows)))


def _csv_line(cells: Sequence[Any]) -> str:
    line = io.StringIO(newline="")
    # Not with the terminator "\n": a lone "\r" in a cell would stay unquoted, and a reader would end the row there.
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().removesuffix("\r\n") + "\n"


def _inert(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


@contextmanager
def atomic_folder(path: str | Path, *, holds: Sequence[str] = ("*",)) -> Iterator[Path]:
    """Fill a new folder that appears at `path` only once the block has ended without an error.

    An existing folder at `path` stays readable until then, and is replaced as a whole. A killed process leaves the
    old folder (in the instant between the two renames: a hidden `.old` copy, which the next call restores) and a
    hidden `.partial` one, which the next call on the same machine deletes.

    Args:
        path: Destination folder; missing parents are made. Of a symbolic link, the folder that it leads to.
        holds: Names (`fnmatch` patterns) of all that such a folder holds, first the one by which it is known. A folder
            without that one, or with anything else, is somebody else's and is not replaced unless it is empty.

    Yields:
        The empty folder to write into, on the same file system.

    Raises:
        NotADirectoryError: The destination exists and is a file.
        FileExistsError: It is a folder of something else, before the block or at its end; nothing was changed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     with atomic_folder(Path(parent) / "checkpoint") as folder:
        ...         _ = (folder / "config.json").write_text("{}")
        ...         early = (Path(parent) / "checkpoint").exists()
        ...     early, (Path(parent) / "checkpoint" / "config.json").exists()
        (False, True)
    """
    destination = without_link(Path(path))
    if destination.exists() and not destination.is_dir():
        raise NotADirectoryError(f"{destination} is a file; a folder was to be written there. Move it away first.")
    with partial_folder(destination) as partial:
        old = _sibling(destination, "old")
        try:
            check_replaceable(destination, holds)  # now, not after hours of filling
            yield partial
            check_replaceable(destination, holds)  # and again, since hours have passed
            if destination.exists():
                # A folder with content cannot be replaced in one step, so the old one is put aside first.
                destination.rename(old)
            partial.rename(destination)
        finally:
            if old.exists() and not destination.exists():
                # The second rename failed: back to the old state.
                old.rename(destination)
    shutil.rmtree(old, ignore_errors=True)  # only once the new folder is in place


def without_link(path: Path) -> Path:
    """Path that a symbolic link leads to, or the path itself where it is none."""
    # A link to a large disk stays one: a rename would put a real folder in its place, on the small disk.
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def check_replaceable(destination: Path, holds: Sequence[str]) -> None:
    """Refusal of a folder that somebody keeps other things in; one that is absent or empty passes.

    Raises:
        FileExistsError: It is none of those that hold such names; the message tells what it holds.
    """
    entries = destination.iterdir() if destination.exists() else ()
    names = sorted(entry.name for entry in entries if entry.name not in _OF_THE_DESKTOP)
    others = [name for name in names if not any(fnmatchcase(name, pattern) for pattern in holds)]
    if not names or not (others or not any(fnmatchcase(name, holds[0]) for name in names)):
        return
    listed = ", ".join((others or names)[:5]) + (", …" if len(others or names) > 5 else "")
    reason = "" if others else f" and no {holds[0]}"
    raise FileExistsError(
        f"{destination} is not replaced, because it holds {listed}{reason}, and only a folder of nothing but "
        f"{', '.join(holds)} is. Give a new folder as the destination, or move what is there away first."
    )


@contextmanager
def partial_folder(path: str | Path) -> Iterator[Path]:
    """A new hidden folder beside a destination, to be renamed to where it belongs once it is complete.

    What is still under the hidden name at the end is deleted; what a killed process leaves there, the next call for the
    same destination on the same machine deletes.

    Args:
        path: The destination, which is not touched; missing parents are made.

    Yields:
        The empty folder, on the same file system.
    """
    destination = without_link(Path(path))
    destination.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(destination)
    partial = _sibling(destination, "partial")
    partial.mkdir()
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _sibling(destination: Path, kind: str) -> Path:
    """A new hidden name beside the destination that tells which process made it."""
    # Host and process, so that leftovers can be told from work in progress; random, for threads.
    owner = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return destination.with_name(f".{destination.name}.{owner}.{kind}")


def clear_partial_files(folder: Path) -> None:
    """Delete the hidden halves of files that killed processes left in a folder.

    Those of other machines too: call it where nobody else writes.
    """
    for leftover in folder.glob(".*.partial"):
        # Work in progress of this machine stays; of another one nobody can tell, so the caller vouches.
        own = re.search(rf"\.{re.escape(socket.gethostname())}-(\d+)-[0-9a-f]+\.partial$", leftover.name)
        if leftover.is_file() and not (own and is_alive(int(own[1]))):
            leftover.unlink(missing_ok=True)


def _clear_leftovers(destination: Path) -> None:
    """Restore or delete what processes of this machine that are no longer alive left beside the destination."""
    prefix = f".{destination.name}.{socket.gethostname()}-"
    for leftover in destination.parent.iterdir():
        if not leftover.name.startswith(prefix) or leftover.suffix not in {".old", ".partial"}:
            continue
        # Of this machine alone: a process number of another one says nothing here.
        pid, _, _ = leftover.name.removeprefix(prefix).partition("-")
        if not pid.isdigit() or is_alive(int(pid)) or not leftover.is_dir():
            continue
        if leftover.suffix == ".old" and not destination.exists():
            # Killed between the two renames: the old folder comes back.
            leftover.rename(destination)
        else:
            shutil.rmtree(leftover, ignore_errors=True)


def is_alive(pid: int) -> bool:
    """True where a process of this machine has this number (another user's included)."""
    try:
        # Signal 0 is not sent: it only asks.
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's process, so alive
        return True
    return True


def _encode(value: Any) -> Any:
    """The JSON form of a path, or of a NumPy or torch scalar."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if callable(item := getattr(value, "item", None)):
        return item()
    raise TypeError(f"JSON cannot hold a {type(value).__name__}; convert it to numbers, text, lists or dicts first.")
