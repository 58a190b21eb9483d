"""Bounds of what may be a film: size of its file, its sides, its decoded pixels; and the error of what is none."""

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pedclip.triplets.left_out import Reason, Unusable

MIN_SIZE: Final = 16  # pixels; one patch of the image encoder
MAX_PIXELS: Final = 80_000_000  # three times the largest stitched film; below the limit at which Pillow warns
MAX_BYTES: Final = 4 * MAX_PIXELS  # decoded: four 8-bit channels, or one of 32 bits, of the largest film
MAX_FILE_BYTES: Final = 400_000_000  # the decoded pixels of the largest film, and a header
TWO_LEVELS: Final = "two levels only (a mask or a scan of a text, not a film)"
PALETTE: Final = "palette image; save it as 8- or 16-bit grey"
_LARGE: Final = 64_000_000  # bytes decoded; a 16-bit film of 32 megapixels
_one_large = threading.Lock()


class BadImage(Unusable):
    """A file that holds no usable radiograph; the message says why, for `left_out.csv`."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.BAD_IMAGE, detail)


def read_file(path: str | Path) -> bytes:
    """Read a file that may be a film.

    Raises:
        BadImage: Absent, empty, too large, not allowed to be read, or no file but a folder, pipe or device.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            # A device has no end.
            if not stat.S_ISREG(status.st_mode):
                raise BadImage("a pipe, socket or device, not a file")
            if status.st_size > MAX_FILE_BYTES:
                raise BadImage(f"{status.st_size:,} bytes, more than a film can have ({MAX_FILE_BYTES:,})")
            # Not more than was allowed, if the file grows meanwhile.
            content = file.read(status.st_size)
    except BadImage:
        raise
    except FileNotFoundError:
        raise BadImage("no such file") from None
    except OSError as error:
        raise BadImage(f"cannot be opened ({error.strerror})") from error
    except ValueError:
        raise BadImage("no such file (its name holds a null character)") from None
    if not content:
        raise BadImage("empty file (0 bytes)")
    return content


def check_size(height: int, width: int, sample_bytes: int = 1) -> None:
    """Bounds on what a header promises, before a pixel is decoded.

    Args:
        height: Pixels.
        width: Pixels.
        sample_bytes: Bytes of one pixel, all its channels together.

    Raises:
        BadImage: Smaller than 16 pixels on a side, or too large.
    """
    if height * width > MAX_PIXELS:
        raise BadImage(f"decompression bomb: {width}×{height} is more than {MAX_PIXELS:,} pixels")
    if height * width * sample_bytes > MAX_BYTES:
        raise BadImage(
            f"decompression bomb: {width}×{height} pixels of {sample_bytes} bytes are more than {MAX_BYTES:,} bytes; "
            "save it as 8- or 16-bit grey"
        )
    if min(height, width) < MIN_SIZE:
        raise BadImage(f"{width}×{height} pixels, smaller than {MIN_SIZE} on a side")


@contextmanager
def bounded_memory(num_bytes: int) -> Iterator[None]:
    """Decoding of one large film at a time, so that eight readers need no more memory than one.

    Args:
        num_bytes: Of the decoded pixels; small films do not wait.
    """
    if num_bytes <= _LARGE:
        yield
        return
    with _one_large:
        yield


def _without_waiting(path: str, flags: int) -> int:
    # Opening a pipe would wait for its other end for ever; Windows has no such flag and no such pipes.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
