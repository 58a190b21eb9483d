"""Pictures of many bits and several channels: all levels kept, or refused."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from pedclip.triplets.decoding import BadImage, decode
from tests.triplets.films import RAMP, encoded

DEEP = (RAMP.astype(np.uint16) * 16 + np.arange(24, dtype=np.uint16)[:, None]).astype(np.uint16)  # low bits differ
PLAIN = decode(encoded(DEEP))
_COLORS = {1: 0, 2: 4, 3: 2, 4: 6}  # channels to the colour type of PNG


def png(pixels: NDArray[np.uint16], *, exif: bytes = b"") -> bytes:
    """A PNG of 16 bits, which Pillow cannot write with several channels."""
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 16, _COLORS[channels], 0, 0, 0)
    extra = chunk(b"eXIf", exif) if exif else b""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def stacked(grey: NDArray[np.uint16], channels: int) -> NDArray[np.uint16]:
    alpha = np.full_like(grey, 40_000)
    planes = {1: [grey], 2: [grey, alpha], 3: [grey] * 3, 4: [grey] * 3 + [alpha]}[channels]
    return np.stack(planes, 2)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_deep_png_keeps_its_levels_whatever_its_channels(channels: int) -> None:
    assert np.array_equal(decode(png(stacked(DEEP, channels))), PLAIN)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_deep_png_is_turned_as_its_exif_says(channels: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    content = png(stacked(DEEP, channels), exif=exif.tobytes().removeprefix(b"Exif\0\0"))
    assert np.array_equal(decode(content), np.rot90(PLAIN, -1))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_deep_tiff_keeps_its_levels_in_either_order_of_bytes(
    channels: int, compression: str | None, order: Any
) -> None:
    pixels = stacked(DEEP, channels)
    file = io.BytesIO()
    options = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    tifffile.imwrite(
        file,
        pixels if channels > 1 else pixels[..., 0],
        photometric="minisblack" if channels == 1 else "rgb",
        compression=compression,
        byteorder=order,
        **options,
    )
    assert np.array_equal(decode(file.getvalue()), PLAIN)


def test_tiff_of_8_bits_with_sign_is_no_film_without() -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, (RAMP.astype(np.int16) - 128).astype(np.int8), photometric="minisblack")
    assert np.array_equal(decode(file.getvalue()), decode(encoded(RAMP.astype(np.uint16))))


@pytest.mark.parametrize("factor", [1, 1_000_000])  # half of the larger values have the highest bit
@pytest.mark.parametrize("kind", ["u4", "i4"])
def test_tiff_of_32_bits_has_the_sign_that_it_says(kind: str, factor: int) -> None:
    pixels = DEEP.astype(np.int64) * factor
    pixels = pixels - (pixels.max() // 2 if kind == "i4" else 0)
    file = io.BytesIO()
    tifffile.imwrite(file, pixels.astype(kind), photometric="minisblack")
    assert np.abs(decode(file.getvalue()).astype(int) - PLAIN).max() <= 1


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_deep_tiff_with_channels_apart_is_refused_or_read(compression: str | None) -> None:
    file = io.BytesIO()
    planes = np.moveaxis(stacked(DEEP, 3), 2, 0).copy()
    tifffile.imwrite(file, planes, photometric="rgb", planarconfig="separate", compression=compression)
    with pytest.raises(BadImage, match="several channels of more than 8 bits"):
        decode(file.getvalue())


def test_nearly_equal_deep_channels_are_grey_and_others_are_not() -> None:
    near, far = stacked(DEEP, 3), stacked(DEEP, 3)
    near[..., 1] += 64  # four levels of what the film uses
    assert np.abs(decode(png(near)).astype(int) - PLAIN).max() <= 4
    far[..., 2] //= 2
    with pytest.raises(BadImage, match="coloured picture"):
        decode(png(far))


def test_grey_with_transparency_keeps_its_values() -> None:
    both = np.stack([RAMP, np.full_like(RAMP, 9)], 2)
    assert np.array_equal(decode(encoded(Image.fromarray(both, "LA"))), RAMP)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (encoded(RAMP, "WEBP"), "not a PNG, JPEG, TIFF or DICOM file"),
        (encoded(RAMP, "JPEG2000"), "not a PNG, JPEG, TIFF or DICOM file"),
        (encoded(RAMP, "BMP"), "not a PNG, JPEG, TIFF or DICOM file"),
        (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(200), "not a PNG, JPEG, TIFF or DICOM file"),
        (encoded(RAMP, "JPEG").replace(b"\xff\xc0\x00\x0b\x08", b"\xff\xc1\x00\x0b\x0c"), "JPEG of 12 bits"),
    ],
)
def test_other_formats_are_refused_with_those_that_are_read(content: bytes, reason: str) -> None:
    with pytest.raises(BadImage, match=reason):
        decode(content)
