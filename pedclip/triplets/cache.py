"""Films decoded once into one memory-mapped file, so that training never waits for a JPEG.

A cache folder holds `films.bin` (N · size · size bytes, row by row) and `cache.json`. It is complete or absent; a
fingerprint of what the images contain tells whether it is stale, a checksum whether it was damaged. Reading needs
neither `datasets` nor `pydicom`.
"""

import hashlib
import json
import logging
import math
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.artefacts import atomic_folder, write_json
from pedclip.triplets.pixels.film_bounds import read_file
from pedclip.triplets.transforms import square

if TYPE_CHECKING:
    from datasets import Dataset

VERSION: Final = 2  # of decoding and padding together: raise it when either gives other pixels
_FILMS: Final = "films.bin"
_DESCRIPTION: Final = "cache.json"
_CHUNK: Final = 512  # films
_THREADS: Final = 8
_log = logging.getLogger(__name__)

Films = np.memmap[Any, np.dtype[np.uint8]]


class StaleCache(ValueError):
    """A folder that is no cache, or one of other images, another size or another version."""


def build_cache(dataset: "Dataset", folder: str | Path, *, size: int) -> Films:
    """The films of one split as squares: from the folder if it holds them already, else decoded into it.

    Call it from one process; the others open the finished cache with `open_cache`.

    Args:
        dataset: N triplets of one split.
        folder: The cache of this split and size; a stale one is replaced.
        size: Height and width of the squares, pixels.

    Returns:
        (N, size, size) uint8, memory-mapped, read-only. `films[rows]` with a list or array copies.

    Raises:
        ValueError: No triplets.
        FileExistsError: The folder holds something else than a cache; nothing was changed.
        BadImage: An image that `pedclip.data.load` would have left out.
    """
    if not len(dataset):
        raise ValueError("expected at least one triplet, got an empty split.")
    # Reading the files costs seconds, decoding them minutes.
    fingerprint = _fingerprint(dataset, size)
    try:
        films = open_cache(folder, size=size, fingerprint=fingerprint)
        _check_films(Path(folder), films)
        return films
    except FileNotFoundError:  # nobody need be told that the first run has no cache
        _log.info("decoding %d films", len(dataset))
    except StaleCache as reason:
        _log.info("decoding %d films: %s", len(dataset), reason)
    # A killed process leaves the old cache or none, never half of one.
    with atomic_folder(folder, holds=(_DESCRIPTION, _FILMS)) as partial:
        checksum = 0
        with (partial / _FILMS).open("wb") as file:
            for number, film in enumerate(_decoded(dataset, size), start=1):
                file.write(row := film.tobytes())
                checksum = zlib.crc32(row, checksum)
                # Ten lines or so for the largest public sets.
                if number % 5000 == 0:
                    _log.info("decoded %d of %d films", number, len(dataset))
        content = {"version": VERSION, "count": len(dataset), "size": size, "fingerprint": fingerprint}
        write_json(partial / _DESCRIPTION, {**content, "checksum": checksum})
    return open_cache(folder, size=size, fingerprint=fingerprint)


def open_cache(folder: str | Path, *, size: int, fingerprint: str | None = None) -> Films:
    """A finished cache.

    Args:
        folder: As given to `build_cache`.
        size: Height and width of the squares, pixels.
        fingerprint: Of the images it must hold; None takes what is there.

    Returns:
        (N, size, size) uint8, memory-mapped, read-only.

    Raises:
        FileNotFoundError: There is no cache in the folder.
        StaleCache: The cache is of other images, another size or version, or its files are damaged.
    """
    description = Path(folder) / _DESCRIPTION
    if not description.is_file():
        raise FileNotFoundError(f"{folder} holds no cache; make it with pedclip.triplets.cache.build_cache.")
    try:
        content = json.loads(description.read_text(encoding="utf-8"))
        # A missing key is as bad as a wrong one.
        found = {key: content[key] for key in ("version", "size", "count", "fingerprint")}
    except (ValueError, TypeError, KeyError):
        raise StaleCache(f"{description} is damaged; make the cache again.") from None
    expected = {"version": VERSION, "size": size} | ({} if fingerprint is None else {"fingerprint": fingerprint})
    for key, value in expected.items():
        if found[key] != value:
            raise StaleCache(f"{folder} has {key} {found[key]}, expected {value}; make the cache again.")
    films, shape = Path(folder) / _FILMS, (found["count"], size, size)
    # A copy that was cut short has the right description and too few bytes.
    num_bytes, expected_bytes = films.stat().st_size if films.is_file() else 0, math.prod(shape)
    if num_bytes != expected_bytes:
        raise StaleCache(f"{films} has {num_bytes} bytes, expected {expected_bytes}; make the cache again.")
    return np.memmap(films, dtype=np.uint8, mode="r", shape=shape)  # (N, size, size)


def _check_films(folder: Path, films: Films) -> None:
    """Bytes of a cache against the checksum of when it was made; seconds where decoding took minutes.

    Raises:
        StaleCache: Damaged since, by a disk or by hand, or made without a checksum.
    """
    checksum = 0
    for start in range(0, len(films), _CHUNK):
        checksum = zlib.crc32(films[start : start + _CHUNK].data, checksum)
    if json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8")).get("checksum") != checksum:
        raise StaleCache(f"{folder / _FILMS} is damaged (its checksum differs); make the cache again.")


def _fingerprint(dataset: "Dataset", size: int) -> str:
    digest = hashlib.sha256(f"{VERSION}\0{size}".encode())
    for content in stored_films(dataset):
        # The length too, so that two files cannot be told from one by moving a byte between them.
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.hexdigest()


def stored_films(dataset: "Dataset") -> Iterator[bytes]:
    """The image files of a split, undecoded and in order."""
    from datasets import Image

    # The files as stored: decoding is what the cache spares.
    images = dataset.select_columns(["image"]).cast_column("image", Image(decode=False))
    for batch in images.iter(_CHUNK):
        for image in batch["image"]:
            yield read_file(image["path"]) if image["bytes"] is None else image["bytes"]


def _decoded(dataset: "Dataset", size: int) -> Iterator[NDArray[np.uint8]]:
    from pedclip.triplets.decoding import decode

    contents = stored_films(dataset)
    with ThreadPoolExecutor(_THREADS) as pool:
        # A bounded number at a time, as `map` would start on all of them at once.
        while chunk := list(islice(contents, _CHUNK)):
            yield from pool.map(lambda content: square(decode(content), size), chunk)
