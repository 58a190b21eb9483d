"""Films of a copy while it is being made: PNG files in a work folder, and a journal of those that are complete."""

import hashlib
import io
import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from PIL import Image

from pedclip.artefacts import clear_partial_files, first_difference, read_json, write_bytes, write_json
from pedclip.synthesis.generator import Generator, draw_films
from pedclip.synthesis.planning import CopyPlan, PlannedFilm

_BEGUN: Final = "begun.json"
_JOURNAL: Final = "journal.jsonl"
# What a work folder holds: those two, folders of films, and hidden files of the lock and of killed processes.
_OWN: Final = re.compile(r"begun\.json|journal\.jsonl|\d{6}|\..*")
_FILMS_PER_FOLDER: Final = 1000
_NEWS: Final = 10  # lines of a log, at most
_log = logging.getLogger(__name__)

CONSTANT: Final = ""  # in the journal, in the place of a hash: a film of one grey level, which is not kept


class OtherCopy(ValueError):
    """A folder in which another copy was made or begun; the message says what differs."""


def begin(work: Path, plan: CopyPlan) -> None:
    """Take up a work folder, or begin one.

    Args:
        work: The folder; made if absent.
        plan: What will be drawn.

    Raises:
        OtherCopy: Another copy was begun there.
        FileExistsError: It holds something else, which would be deleted with it.
    """
    if strange := sorted(path.name for path in work.iterdir() if not _OWN.fullmatch(path.name)):
        raise FileExistsError(f"{work} is where films are drawn, but holds {strange[0]}; move it away first")
    file = work / _BEGUN
    # Without a film nothing is lost, as after a first batch that failed or came out black.
    if not file.exists() or not any(work.glob("*/*.png")):
        (work / _JOURNAL).unlink(missing_ok=True)
        write_json(file, plan.identity)
        return
    if words := first_difference(read_json(file), plan.identity):
        raise OtherCopy(
            f"a copy was begun in {work} that differs: {words}. Go on with the same options and generator, give "
            "another output folder, or delete that folder."
        )
    # The lock is ours, so that nobody else's half is deleted.
    for folder in sorted({file.parent for file in work.glob("*/.*.partial")}):
        clear_partial_files(folder)


def draw_missing(work: Path, plan: CopyPlan, generator: Generator, *, batch_size: int) -> dict[int, str]:
    """Draw every film that is not complete yet.

    Batches are cut the same way in every run, and one of which any film is missing is drawn again as a whole: a film
    then equals that of an unbroken run even if its generator lets the batch decide the last digit.

    Args:
        work: Folder as `begin` left it.
        plan: What to draw.
        generator: Draws.
        batch_size: Films at a time.

    Returns:
        SHA-256 of the PNG file of each film by its number in the plan, `CONSTANT` for one that was not kept.
    """
    done = _complete(work)
    starts = range(0, len(plan.films), batch_size)
    for number, start in enumerate(starts, start=1):
        batch = range(start, min(start + batch_size, len(plan.films)))
        if not done.keys() >= set(batch):
            done |= _draw(work, batch, [plan.films[one] for one in batch], generator)
        # A tenth of the way each: a log of a million films is as short as that of ten.
        if number * _NEWS // len(starts) > (number - 1) * _NEWS // len(starts):
            _log.info("drew %d of %d films", batch.stop, len(plan.films))
    return done


def film_path(work: Path, number: int) -> Path:
    """PNG file of a film in the work folder."""
    return work / f"{number // _FILMS_PER_FOLDER:06d}" / f"{number:09d}.png"


def _draw(work: Path, numbers: Sequence[int], planned: Sequence[PlannedFilm], generator: Generator) -> dict[int, str]:
    films = draw_films(generator, [one.prompt for one in planned], seeds=[one.seed for one in planned])  # (B, H, W)
    drawn = {}
    for number, film in zip(numbers, films, strict=True):
        # Black films are what overflow in half precision leaves; `decode` would refuse them in every training.
        if film.min() == film.max():
            drawn[number] = CONSTANT
            continue
        content = _png(film)
        write_bytes(film_path(work, number), content)
        drawn[number] = hashlib.sha256(content).hexdigest()
    # After the files: what the journal names is on disk. A kill in between costs one batch.
    with (work / _JOURNAL).open("a", encoding="utf-8") as file:
        file.writelines(json.dumps([number, digest]) + "\n" for number, digest in drawn.items())
        file.flush()
        os.fsync(file.fileno())
    return drawn


def _complete(work: Path) -> dict[int, str]:
    """Films that the journal names and whose files are what it says."""
    found = dict(_entries(work / _JOURNAL))  # of a film that was drawn twice the later line
    return {number: digest for number, digest in found.items() if digest == CONSTANT or _is_whole(work, number, digest)}


def _entries(journal: Path) -> Iterator[tuple[int, str]]:
    content = journal.read_bytes() if journal.exists() else b""
    for line in content.splitlines():
        try:
            number, digest = json.loads(line)
            yield int(number), str(digest)
        except (ValueError, TypeError):
            continue  # half a line, and the one behind it, cost their films, which are drawn again


def _is_whole(work: Path, number: int, digest: str) -> bool:
    path = film_path(work, number)
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def _png(film: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(film).save(file, "PNG", compress_level=1)  # noise hardly compresses
    return file.getvalue()
