"""Pixels of a PNG, JPEG or TIFF file: the one 8-bit grey film that it holds."""

import io
import re
import sys
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pedclip.triplets.pixels.codestreams import check_scans, coded_size
from pedclip.triplets.pixels.film_bounds import MAX_PIXELS, PALETTE, TWO_LEVELS, BadImage, bounded_memory, check_size
from pedclip.triplets.pixels.grey_levels import Pixels, to_bytes
from pedclip.triplets.pixels.jpeg_end import check_end

_FORMATS: Final = ("PNG", "JPEG", "TIFF")
_COLOR_SPREAD: Final = 24  # grey levels between channels that JPEG's chroma may leave in a grey film
_COLOR_SHARE: Final = 0.01  # of the pixels: a coloured arrow or letter does not make a film a photograph
_ROWS: Final = 256  # looked at together, so that a large picture needs little more memory than its pixels
_ORIENTATION: Final = 0x0112  # the EXIF tag
_PHOTOMETRIC: Final = 262  # the TIFF tag; 0 means that small values are white
_PLANAR: Final = 284  # the TIFF tag; 2 means one channel behind the other
_BITS: Final = 258  # the TIFF tag
_SAMPLE_FORMAT: Final = 339  # the TIFF tag; 1 means whole numbers without a sign, 2 with one
# Whole numbers that Pillow reads with the other sign, by its mode and the tag.
_OTHER_SIGN: Final = {("L", 2): "i1", ("I", 1): "u4"}
_REFUSED: Final = {
    "1": TWO_LEVELS,
    "P": PALETTE,
    "PA": PALETTE,
    "CMYK": "CMYK image (made for print); save it as 8- or 16-bit grey",
}
_SAMPLE_BYTES: Final = {"L": 1, "LA": 4, "RGB": 4, "RGBA": 4, "I;16": 2, "I;16B": 2, "I;16L": 2, "I": 4, "F": 4}
_DEEP: Final = re.compile(r"(RGB|RGBX|RGBA);16([BLN])")


def open_picture(content: bytes) -> Image.Image:
    """A picture of which only the header was read.

    Raises:
        BadImage: No PNG, JPEG or TIFF, or larger than a film can be.
    """
    try:
        image = Image.open(io.BytesIO(content), formats=_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImage(f"decompression bomb: more than {MAX_PIXELS:,} pixels") from None
    except Exception:  # the readers of three formats raise what they like
        if (coded := coded_size(content)) and coded.bits > 8:
            raise BadImage(f"JPEG of {coded.bits} bits, which no decoder here reads; save it as PNG") from None
        raise BadImage("not a PNG, JPEG, TIFF or DICOM file, or corrupt from its first bytes") from None
    # Before a pixel is decoded: the header alone can promise a thousand megapixels.
    check_size(image.height, image.width, _sample_bytes(image))
    if image.format == "JPEG" and (coded := coded_size(content)):
        if (coded.height, coded.width) != (image.height, image.width):
            raise BadImage("contradictory header: a JPEG of two sizes")
        check_scans(coded)
    return image


def film_of_picture(content: bytes) -> tuple[Pixels, bool]:
    """The film in a PNG, JPEG or TIFF file.

    Returns:
        (H, W) film, and True where the file already is plain 8-bit grey.

    Raises:
        BadImage: No single grey film.
    """
    image = open_picture(content)
    if getattr(image, "n_frames", 1) > 1:
        raise BadImage(f"{image.n_frames} frames in one file; export one film per file")  # type: ignore[attr-defined]
    if image.mode in _REFUSED:
        raise BadImage(_REFUSED[image.mode])
    with bounded_memory(image.height * image.width * _sample_bytes(image)):
        # Asked first, as reading the EXIF of a PNG decodes it.
        if _is_deep(image):
            return _turned(grey_of_channels(_deep_channels(content, image)), image), False
        return _film(image, content)


def _film(image: Image.Image, content: bytes) -> tuple[Pixels, bool]:
    is_white_low = image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0  # type: ignore[attr-defined]
    mode, image_format, other_sign = image.mode, image.format, _other_sign(image)
    # An orientation cannot be kept without its EXIF, so that the pixels are turned.
    is_turned = image.getexif().get(_ORIENTATION, 1) != 1
    image.load()
    if image_format == "JPEG":
        check_end(content, np.asarray(image.crop((0, image.height - 1, image.width, image.height)))[0])
    image = ImageOps.exif_transpose(image)
    if other_sign:
        return to_bytes(np.asarray(image).view(other_sign).astype(np.float32)), False
    if mode == "L":
        return np.asarray(image), image_format != "TIFF" and not is_turned
    if mode == "LA":
        return np.asarray(image.getchannel("L")), False
    if mode in {"RGB", "RGBA"}:
        return grey_of_channels(np.asarray(image if mode == "RGB" else image.convert("RGB"))), False
    if mode.startswith("I") or mode == "F":
        pixels = to_bytes(np.asarray(image, dtype=np.float32))
        # Pillow inverts such 8-bit files itself, deeper ones not.
        return (np.uint8(255) - pixels if is_white_low else pixels), False
    raise BadImage(f"mode {mode} is not grey; save it as 8- or 16-bit grey")


def _other_sign(image: Image.Image) -> str:
    """The type of a TIFF's numbers where Pillow takes signed ones for unsigned, or the other way round; else ""."""
    if image.format != "TIFF":
        return ""
    tags = image.tag_v2  # type: ignore[attr-defined]
    formats, bits = tags.get(_SAMPLE_FORMAT, (1,)), tags.get(_BITS, (1,))
    found = _OTHER_SIGN.get((image.mode, formats[0]), "")
    return found if found and bits[0] == 8 * np.dtype(found).itemsize else ""


def grey_of_channels(channels: NDArray[Any]) -> Pixels:
    """A film of which three channels were stored, unless they differ.

    Args:
        channels: (H, W, 3) 8 bits, kept as they are, or 16 bits, scaled by their own range.

    Raises:
        BadImage: Coloured.
    """
    is_deep = channels.dtype.itemsize > 1
    # Of deep channels one level is a 255th of what the film uses.
    level = max(1.0, (int(channels.max()) - int(channels.min())) / 255) if is_deep else 1.0
    num_colored, is_equal = 0, True
    for start in range(0, len(channels), _ROWS):
        red, green, blue = np.moveaxis(channels[start : start + _ROWS], 2, 0)
        spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)  # (rows, W)
        num_colored += int((spread > _COLOR_SPREAD * level).sum())
        is_equal = is_equal and not spread.any()
    share = num_colored / (channels.shape[0] * channels.shape[1])
    if share > _COLOR_SHARE:
        raise BadImage(f"coloured picture ({share:.0%} of the pixels), not a radiograph")
    if not is_deep:
        return np.ascontiguousarray(channels[..., 0]) if is_equal else _luminance(channels)
    grey = channels[..., 0] if is_equal else channels @ np.array([0.299, 0.587, 0.114], np.float32)
    return to_bytes(grey.astype(np.float32))


def _luminance(channels: NDArray[np.uint8]) -> Pixels:
    return np.asarray(Image.fromarray(np.ascontiguousarray(channels)).convert("L"))


def _is_deep(image: Image.Image) -> bool:
    """True for several channels of 16 bits, of which Pillow gives 8."""
    if image.mode not in {"RGB", "RGBA", "LA"}:
        return False
    if image.format == "TIFF":
        return bool(max(image.tag_v2.get(_BITS, (8,))) > 8)  # type: ignore[attr-defined]
    return image.format == "PNG" and any(";16" in str(tile.args) for tile in image.tile)  # type: ignore[attr-defined]


def _sample_bytes(image: Image.Image) -> int:
    """Bytes of a decoded pixel with all its channels."""
    return 8 if _is_deep(image) else _SAMPLE_BYTES.get(image.mode, 4)


def _deep_channels(content: bytes, image: Image.Image) -> NDArray[np.uint16]:
    """(H, W, 3) of a picture with several channels of 16 bits, without its transparency."""
    tiles = list(image.tile)  # type: ignore[attr-defined]
    if image.format == "PNG" and tiles[0].args == "LA;16B":
        # Four bytes a pixel: both of grey, both of transparency.
        both = _unpacked(content, "RGBA", "RGBA")
        grey = both[..., 0].astype(np.uint16) << 8 | both[..., 1]
        return np.repeat(grey[..., None], 3, axis=2)
    layout = {tile.args if isinstance(tile.args, str) else tile.args[0] for tile in tiles}
    found = _DEEP.fullmatch(layout.pop()) if len(layout) == 1 else None
    is_apart = image.format == "TIFF" and image.tag_v2.get(_PLANAR, 1) != 1  # type: ignore[attr-defined]
    if found is None or is_apart:
        raise BadImage("several channels of more than 8 bits; save it as 8- or 16-bit grey")
    mode, order = found[1].replace("X", ""), found[2]
    native = "L" if sys.byteorder == "little" else "B"
    # Pillow keeps the high byte of each pair; told the other order it keeps the low one.
    swapped = {"B": "L", "L": "B"}[native if order == "N" else order]
    channels = _unpacked(content, mode, f"{found[1]};16{order}")[..., :3].astype(np.uint16)  # (H, W, 3)
    channels <<= 8
    channels |= _unpacked(content, mode, f"{found[1]};16{swapped}")[..., :3]
    return channels


def _unpacked(content: bytes, mode: str, layout: str) -> NDArray[np.uint8]:
    """Pixels as Pillow gives them if it is told how they are laid out."""
    image: Any = Image.open(io.BytesIO(content), formats=_FORMATS)
    image.tile = [
        tile._replace(args=layout if isinstance(tile.args, str) else (layout, *tile.args[1:])) for tile in image.tile
    ]
    image._mode = mode
    image.load()
    return np.asarray(image)  # (H, W, channels)


def _turned(pixels: Pixels, source: Image.Image) -> Pixels:
    """Pixels turned as the EXIF of their source says."""
    image = Image.fromarray(pixels)
    image.getexif()[_ORIENTATION] = source.getexif().get(_ORIENTATION, 1)
    return np.asarray(ImageOps.exif_transpose(image))
