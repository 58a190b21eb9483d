"""The one place where image files are read: any supported file to one 8-bit grey film.

Eight bits, because a radiograph on a screen has no more (256 grey levels after the window), JPEG sources never had
more, the encoders see 0..255 / 255 anyway, and it makes the caches half to a quarter as large.
"""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image

from pedclip.triplets.pixels.dicom_header import is_dicom
from pedclip.triplets.pixels.film_bounds import MAX_FILE_BYTES as MAX_FILE_BYTES
from pedclip.triplets.pixels.film_bounds import MAX_PIXELS as MAX_PIXELS
from pedclip.triplets.pixels.film_bounds import MIN_SIZE as MIN_SIZE
from pedclip.triplets.pixels.film_bounds import BadImage as BadImage
from pedclip.triplets.pixels.film_bounds import read_file
from pedclip.triplets.pixels.grey_levels import Pixels as Pixels
from pedclip.triplets.pixels.image_metadata import without_metadata
from pedclip.triplets.pixels.picture_film import film_of_picture, open_picture

T = TypeVar("T")


class StoredFilm(NamedTuple):
    """An image file that was decoded once: what to store, and its size in pixels."""

    content: bytes
    height: int
    width: int


def decode(source: str | Path | bytes) -> Pixels:
    """An image file as one grey film, whatever it is called: the content decides.

    PNG and JPEG with 8 bits keep their values (an EXIF rotation is applied, transparency ignored). Deeper PNG and TIFF
    are scaled by the film's own range, minimum to 0 and maximum to 255. RGB is accepted when its channels are nearly
    equal, with 8 bits or 16, in a picture or a DICOM.

    DICOM: decode → modality LUT or rescale → VOI LUT or window → own range to [0, 1] → MONOCHROME1 inverted → 8 bits;
    pixels with the padding value become black. The array is checked, not the header that describes it. Where headers
    are incomplete or contradict themselves, these rules hold:

        optional element    empty or meaningless is absent; see `pedclip.triplets.pixels.grey_levels`
        required element    missing or empty: refused, with its name
        inverse             MONOCHROME1 or Presentation LUT Shape INVERSE, whichever is there; both invert once
        bits                only those that Bits Stored counts; where High Bit is not the highest of them, those below
                            High Bit, unless nothing is set up there
        padding             a value or a range, with or without sign; none where it would be the whole film
        frames              more pixels than one frame are several films: refused, whatever Number of Frames says
        size                pixels coded in another size, rows too many, or fewer rows of JPEG than stated: refused
        colour space        what a JPEG says of itself outweighs Photometric Interpretation
        samples per pixel   one with a colour, three with MONOCHROME1 or MONOCHROME2: refused
        transfer syntax     absent: uncompressed, in the order of bytes in which the header is written

    Args:
        source: Path of a file, or the content of one.

    Returns:
        (H, W) uint8, at least 16 pixels a side, not constant; 0 is black (air), 255 white (metal).

    Raises:
        BadImage: Empty, truncated or corrupt file, unknown format, constant or NaN pixels, a side below 16 pixels,
            colour, palette, CMYK, two levels, several frames, DICOM without pixels or with pixels in lossless JPEG,
            JPEG-LS or 12-bit JPEG (unless a decoder for them is installed), more than 80 million pixels or 320 million
            bytes of pixels; no file but a folder, pipe or device.

    Example:
        >>> file = io.BytesIO()
        >>> Image.linear_gradient("L").save(file, "PNG")
        >>> decode(file.getvalue()).shape
        (256, 256)
    """
    # Whether the file is plain matters only to who stores it.
    return _decode(_content(source))[0]


def read_film(source: str | Path | bytes) -> StoredFilm:
    """A file as it is stored in a triplet: grey 8-bit PNG and JPEG as coded, everything else as a grey PNG.

    Nothing that stands beside the pixels is kept: EXIF, text and comments may name a patient.

    Args:
        source: Path of a file, or the content of one.

    Returns:
        The bytes of a PNG or JPEG in mode "L", and the size.

    Raises:
        BadImage: As in `decode`; the pixels are decoded once to find out.
    """
    return read_film_and_pixels(source)[0]


def read_film_and_pixels(source: str | Path | bytes) -> tuple[StoredFilm, Pixels]:
    """A file as `read_film` stores it, and its pixels (H, W), decoded once.

    Raises:
        BadImage: As in `decode`.
    """
    content = _content(source)
    pixels, is_plain = _decode(content)
    height, width = pixels.shape
    return StoredFilm((without_metadata(content) if is_plain else None) or _png(pixels), height, width), pixels


def read_mask(source: str | Path | bytes, *, size: tuple[int, int]) -> bytes:
    """A mask that belongs to a film, as PNG in mode "L": 255 inside (any value but 0 in the file), 0 outside.

    Args:
        source: Path of a file, or the content of one.
        size: (height, width) of the film in pixels.

    Raises:
        BadImage: Unreadable, coloured, or of another size than its film.
    """
    image = open_picture(_content(source))
    if image.mode not in {"1", "L", "I;16", "I", "P"}:
        raise BadImage(f"mask of mode {image.mode}; save it as grey, 0 outside")
    mask = _guarded(lambda: np.asarray(image))
    # A mask of another size would have to be guessed into place.
    if mask.shape != size:
        raise BadImage(f"mask of {mask.shape[1]}×{mask.shape[0]} pixels on a film of {size[1]}×{size[0]}")
    return _png(np.where(mask != 0, 255, 0).astype(np.uint8))


def _content(source: str | Path | bytes) -> bytes:
    if not isinstance(source, str | os.PathLike | bytes | bytearray | memoryview):
        # A number would be taken for an open file.
        raise BadImage(f"expected the path or the bytes of an image file, got {type(source).__name__}")
    content = read_file(source) if isinstance(source, str | os.PathLike) else bytes(source)
    if not content:
        raise BadImage("empty file (0 bytes)")
    return content


def _decode(content: bytes) -> tuple[Pixels, bool]:
    """The film, and True where the file already is plain 8-bit grey."""
    if is_dicom(content):
        # Not before the first DICOM: its reader takes a while to load.
        from pedclip.triplets.pixels.dicom_film import film_of_dicom

        pixels, is_plain = _guarded(lambda: film_of_dicom(content)), False
    else:
        pixels, is_plain = _guarded(lambda: film_of_picture(content))
    # A film of one value is an empty exposure, or a mask taken for a film.
    if pixels.min() == pixels.max():
        raise BadImage("all black" if pixels.max() == 0 else "constant: every pixel has the same value")
    return pixels, is_plain


def _guarded(step: Callable[[], T]) -> T:
    """Result of a step, whose every failure is one of its file: one bad film never stops a run."""
    try:
        return step()
    except BadImage:
        raise
    except BaseException as error:
        # Readers raise what they like on files that lie about themselves; the panic of one written in Rust is no
        # `Exception`, and a stopped run is no damaged film.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise BadImage(f"truncated or corrupt ({type(error).__name__}: {error})") from error


def _png(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    # Level 1: three times faster than the default for a few per cent of size.
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
