"""The one place where image files are read: any supported file to one 8-bit grey film.

Eight bits, because a radiograph on a screen has no more (256 grey levels after the window), JPEG sources never had
more, the encoders see 0..255 / 255 anyway, and it makes the caches half to a quarter as large.
"""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pedclip.triplets.dicom_codecs import missing_decoder
from pedclip.triplets.image_metadata import without_metadata
from pedclip.triplets.left_out import Reason, Unusable

MIN_SIZE: Final = 16  # pixels; one patch of the image encoder
MAX_PIXELS: Final = 80_000_000  # three times the largest stitched film; below the limit at which Pillow warns
_FORMATS: Final = ("PNG", "JPEG", "TIFF")
_COLOR_SPREAD: Final = 24  # grey levels between channels that JPEG's chroma may leave in a grey film
_COLOR_SHARE: Final = 0.01  # of the pixels: a coloured arrow or letter does not make a film a photograph
_ORIENTATION: Final = 0x0112  # the EXIF tag
_PHOTOMETRIC: Final = 262  # the TIFF tag; 0 means that small values are white
# What Pillow, pydicom and its plugins raise on files that lie about themselves; the last ones by name, since pydicom is
# read only for DICOM, and the panic of a decoder written in Rust is an exception of no module.
_DECODER_ERRORS: Final = (
    *(OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, SyntaxError, RuntimeError),
    *(EOFError, OverflowError, MemoryError, struct.error, zlib.error),
)
_DECODER_ERROR_NAMES: Final = frozenset({"BytesLengthException", "InvalidDicomError", "PanicException"})
_REFUSED: Final = {
    "1": "two levels only (a mask or a scan of a text, not a film)",
    "P": "palette image; save it as 8- or 16-bit grey",
    "PA": "palette image; save it as 8- or 16-bit grey",
    "CMYK": "CMYK image (made for print); save it as 8- or 16-bit grey",
}

Pixels = NDArray[np.uint8]
T = TypeVar("T")


class BadImage(Unusable):
    """A file that holds no usable radiograph; the message says why, for `left_out.csv`."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.BAD_IMAGE, detail)


class StoredFilm(NamedTuple):
    """An image file that was decoded once: what to store, and its size in pixels."""

    content: bytes
    height: int
    width: int


def decode(source: str | Path | bytes) -> Pixels:
    """An image file as one grey film, whatever it is called: the content decides.

    PNG and JPEG with 8 bits keep their values (an EXIF rotation is applied, transparency ignored; RGB is accepted
    when its channels are nearly equal). Deeper PNG and TIFF are scaled by the film's own range, minimum to 0 and
    maximum to 255. DICOM: decode → modality LUT or rescale → VOI LUT or window → own range to [0, 1] → MONOCHROME1
    inverted → 8 bits; pixels with the padding value become black.

    Args:
        source: Path of a file, or the content of one.

    Returns:
        (H, W) uint8, at least 16 pixels a side, not constant; 0 is black (air), 255 white (metal).

    Raises:
        BadImage: Empty, truncated or corrupt file, unknown format, constant or NaN pixels, a side below 16 pixels,
            colour, palette, CMYK, several frames, DICOM without pixels or with pixels in lossless JPEG, JPEG-LS or
            12-bit JPEG (unless a decoder for them is installed), or more than 80 million pixels.

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
    content = _content(source)
    pixels, is_plain = _decode(content)
    height, width = pixels.shape
    return StoredFilm((without_metadata(content) if is_plain else None) or _png(pixels), height, width)


def read_mask(source: str | Path | bytes, *, size: tuple[int, int]) -> bytes:
    """A mask that belongs to a film, as PNG in mode "L": 255 inside (any value but 0 in the file), 0 outside.

    Args:
        source: Path of a file, or the content of one.
        size: (height, width) of the film in pixels.

    Raises:
        BadImage: Unreadable, coloured, or of another size than its film.
    """
    image = _open(_content(source))
    if image.mode not in {"1", "L", "I;16", "I", "P"}:
        raise BadImage(f"mask of mode {image.mode}; save it as grey, 0 outside")
    mask = np.asarray(_guarded(lambda: _loaded(image)))
    # A mask of another size would have to be guessed into place.
    if mask.shape != size:
        raise BadImage(f"mask of {mask.shape[1]}×{mask.shape[0]} pixels on a film of {size[1]}×{size[0]}")
    return _png(np.where(mask != 0, 255, 0).astype(np.uint8))


def _content(source: str | Path | bytes) -> bytes:
    if isinstance(source, bytes):
        content = source
    else:
        try:
            content = Path(source).read_bytes()
        except FileNotFoundError:
            raise BadImage("no such file") from None
        except OSError as error:
            raise BadImage(f"cannot be opened ({error.strerror})") from error
    if not content:
        raise BadImage("empty file (0 bytes)")
    return content


def _decode(content: bytes) -> tuple[Pixels, bool]:
    """The film, and True where the file already is plain 8-bit grey."""
    # Some archives strip the preamble; such a file begins with an element of group 2 or 8.
    if content[128:132] == b"DICM" or content[:2] in {b"\x02\x00", b"\x08\x00"}:
        pixels, is_plain = _guarded(lambda: _from_dicom(content)), False
    else:
        image = _open(content)
        pixels, is_plain = _guarded(lambda: _from_picture(image))
    # A film of one value is an empty exposure, or a mask taken for a film.
    if pixels.min() == pixels.max():
        raise BadImage("all black" if pixels.max() == 0 else "constant: every pixel has the same value")
    return pixels, is_plain


def _guarded(step: Callable[[], T]) -> T:
    try:
        return step()
    except BadImage:
        raise
    except BaseException as error:  # a panic is no `Exception`
        if not isinstance(error, _DECODER_ERRORS) and type(error).__name__ not in _DECODER_ERROR_NAMES:
            raise
        raise BadImage(f"truncated or corrupt ({type(error).__name__}: {error})") from error


def _open(content: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content), formats=_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImage(f"decompression bomb: more than {MAX_PIXELS:,} pixels") from None
    except _DECODER_ERRORS:
        raise BadImage("not a PNG, JPEG, TIFF or DICOM file, or corrupt from its first bytes") from None
    # Before a pixel is decoded: the header alone can promise a thousand megapixels.
    _check_size(image.height, image.width)
    return image


def _loaded(image: Image.Image) -> Image.Image:
    image.load()
    return image


def _check_size(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise BadImage(f"decompression bomb: {width}×{height} is more than {MAX_PIXELS:,} pixels")
    if min(height, width) < MIN_SIZE:
        raise BadImage(f"{width}×{height} pixels, smaller than {MIN_SIZE} on a side")


def _from_picture(image: Image.Image) -> tuple[Pixels, bool]:
    if getattr(image, "n_frames", 1) > 1:
        raise BadImage(f"{image.n_frames} frames in one file; export one film per file")  # type: ignore[attr-defined]
    if image.mode in _REFUSED:
        raise BadImage(_REFUSED[image.mode])
    is_white_low = image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0  # type: ignore[attr-defined]
    # An orientation cannot be kept without its EXIF, so that the pixels are turned.
    is_turned = image.getexif().get(_ORIENTATION, 1) != 1
    mode, image_format = image.mode, image.format
    image = ImageOps.exif_transpose(_loaded(image))
    if mode == "L":
        return np.asarray(image), image_format != "TIFF" and not is_turned
    if mode in {"RGB", "RGBA", "LA"}:
        return _without_color(image), False
    if mode.startswith("I") or mode == "F":
        pixels = _to_bytes(np.asarray(image, dtype=np.float32))
        # Pillow inverts such 8-bit files itself, deeper ones not.
        return (np.uint8(255) - pixels if is_white_low else pixels), False
    raise BadImage(f"mode {mode} is not grey; save it as 8- or 16-bit grey")


def _without_color(image: Image.Image) -> Pixels:
    channels = np.asarray(image.convert("RGB"))  # (H, W, 3)
    spread = channels.max(axis=2) - channels.min(axis=2)  # (H, W)
    share = float((spread > _COLOR_SPREAD).mean())
    if share > _COLOR_SHARE:
        raise BadImage(f"coloured picture ({share:.0%} of the pixels), not a radiograph")
    return np.asarray(image.convert("RGB").convert("L"))


def _to_bytes(pixels: NDArray[np.floating[Any]], used: NDArray[np.bool_] | None = None) -> Pixels:
    """Scale by the own range of the film (of its `used` pixels) to 0..255."""
    if not np.isfinite(pixels).all():
        raise BadImage("NaN or infinite pixels")
    # Padding is not of the film: it would take up the range.
    inside = pixels if used is None else pixels[used]
    if inside.size == 0 or inside.min() == inside.max():
        raise BadImage("constant: every pixel has the same value")
    low, high = inside.min(), inside.max()
    levels: Pixels = np.rint((pixels - low).clip(0, high - low) * (255 / (high - low))).astype(np.uint8)
    return levels


def _from_dicom(content: bytes) -> Pixels:
    import pydicom
    from pydicom.pixels import apply_modality_lut, apply_voi_lut, pixel_array

    header = pydicom.dcmread(io.BytesIO(content), force=content[128:132] != b"DICM")
    _check_dicom(header)
    if reason := missing_decoder(header):
        raise BadImage(reason)
    stored = np.asarray(pixel_array(header))  # (H, W)
    values = np.asarray(apply_modality_lut(stored, header))
    # Without a window, the range of the film itself decides.
    if _has_window(header):
        values = np.asarray(apply_voi_lut(values, header))
    is_film = ~_padding(header, stored)
    pixels = _to_bytes(values.astype(np.float32), is_film)
    if header.PhotometricInterpretation == "MONOCHROME1":
        pixels = np.uint8(255) - pixels
    pixels[~is_film] = 0
    return pixels


def _check_dicom(header: Any) -> None:
    if not any(name in header for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise BadImage("DICOM without pixels (a report, a presentation state, or only the header)")
    if header.get("SamplesPerPixel", 1) != 1 or header.get("PhotometricInterpretation") not in {
        "MONOCHROME1",
        "MONOCHROME2",
    }:
        raise BadImage(f"colour DICOM ({header.get('PhotometricInterpretation', 'unknown')}), not a radiograph")
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise BadImage(f"{header.NumberOfFrames} frames in one DICOM; only single films are radiographs")
    _check_size(int(header.Rows), int(header.Columns))


def _has_window(header: Any) -> bool:
    """True where there is a VOI LUT, or a window that is more than two empty elements."""
    is_window = header.get("WindowCenter") not in (None, "") and header.get("WindowWidth") not in (None, "")
    return is_window or bool(header.get("VOILUTSequence"))


def _padding(header: Any, stored: NDArray[Any]) -> NDArray[np.bool_]:
    # One value, or with a limit a range whose ends may come in either order.
    first = header.get("PixelPaddingValue")
    if not isinstance(first, int):
        return np.zeros(stored.shape, dtype=bool)
    last = header.get("PixelPaddingRangeLimit", first)
    return np.asarray((stored >= min(first, last)) & (stored <= max(first, last)))


def _png(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    # Level 1: three times faster than the default for a few per cent of size.
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
