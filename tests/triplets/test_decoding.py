"""Every kind of file a hospital export holds: read to the right grey levels, or refused with the reason."""

import base64
import contextlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, RLELossless

from pedclip.triplets.decoding import BadImage, decode, read_film, read_mask
from tests.triplets.films import RAMP, dicom, encoded

# --- what is read ---


def test_grey_png_keeps_its_values_and_its_bytes() -> None:
    content = encoded(RAMP)
    assert np.array_equal(decode(content), RAMP)
    assert read_film(content) == (content, 24, 32)


def test_grey_jpeg_is_stored_untouched() -> None:
    content = encoded(RAMP, "JPEG", quality=95)
    assert read_film(content).content == content
    assert np.abs(decode(content).astype(int) - RAMP).max() <= 4  # quality 95


def _remarked(kind: str) -> bytes:
    """A film with remarks wherever its format has a place for them, and behind its end."""
    exif = Image.Exif()
    exif[0x010E] = "Quillfeather"
    words = PngInfo()
    words.add_text("Comment", "Quillfeather")
    words.add_itxt("Title", "Quillfeather", zip=False)
    own = {"pnginfo": words} if kind == "PNG" else {"comment": "Quillfeather", "progressive": kind == "progressive"}
    return encoded(RAMP, "PNG" if kind == "PNG" else "JPEG", exif=exif, **own) + encoded(RAMP, "JPEG") + b"Quillfeather"


@pytest.mark.parametrize("kind", ["PNG", "baseline", "progressive"])
def test_what_stands_beside_the_pixels_is_not_stored(kind: str) -> None:
    content = _remarked(kind)
    stored = read_film(content).content
    assert content.count(b"Quillfeather") >= 3
    assert b"Quillfeather" not in stored
    assert stored.endswith(b"IEND\xaeB`\x82" if kind == "PNG" else b"\xff\xd9")
    assert np.array_equal(decode(stored), decode(content))
    assert read_film(stored).content == stored
    assert len(stored) < len(content)


def test_bytes_between_the_segments_are_not_stored() -> None:
    content = encoded(RAMP, "JPEG")
    table = content.index(b"\xff\xdb")
    stored = read_film(content[:table] + b"Quillfeather" + content[table:]).content
    assert stored.startswith(b"\x89PNG")
    assert np.array_equal(decode(stored), decode(content))


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    (tmp_path / "film.dcm").write_bytes(encoded(RAMP))
    (tmp_path / "film.png").write_bytes(dicom(RAMP, bits=8))
    assert np.array_equal(decode(tmp_path / "film.dcm"), RAMP)
    assert decode(tmp_path / "film.png")[0, -1] == 255


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_scaled_by_the_range_of_the_film(kind: str) -> None:
    deep = (RAMP.astype(np.uint16) * 4 + 1000).astype(np.uint16)  # 1000..1992
    pixels = decode(encoded(deep, kind))
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert pixels[0, 16] == round(255 * 16 / 31)
    with Image.open(io.BytesIO(read_film(encoded(deep, kind)).content)) as stored:
        assert (stored.mode, stored.format) == ("L", "PNG")
        assert np.array_equal(np.asarray(stored), pixels)


def test_float_tiff_is_scaled_and_white_is_zero_tiff_is_inverted() -> None:
    assert decode(encoded(RAMP.astype(np.float32) / 7, "TIFF"))[0, -1] == 255
    deep = RAMP.astype(np.uint16) * 100
    assert decode(encoded(deep, "TIFF", tiffinfo={262: 0}))[0, 0] == 255


def test_rgb_with_grey_content_and_small_colored_marks_is_accepted() -> None:
    grey = np.repeat(RAMP[:, :, None], 3, axis=2)
    assert np.array_equal(decode(encoded(grey)), RAMP)
    marked = np.kron(grey, np.ones((8, 8, 1), dtype=np.uint8))
    marked[:4, :4] = (255, 0, 0)
    assert decode(encoded(marked)).shape == (192, 256)
    alpha = np.concatenate([grey, np.full((24, 32, 1), 7, np.uint8)], axis=2)
    assert np.array_equal(decode(encoded(alpha)), RAMP)


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    content = encoded(RAMP, exif=exif)
    assert np.array_equal(decode(content), RAMP[::-1, ::-1])
    assert read_film(content).content != content


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (12, np.uint16), (16, np.uint16), (16, np.int16)])
def test_dicom_of_every_depth_fills_the_range(bits: int, dtype: type) -> None:
    top = {8: 255, 12: 4095, 16: 32767}[bits]
    stored: NDArray[Any] = (np.linspace(0, top, 32)[None] * np.ones((24, 1))).astype(dtype)
    pixels = decode(dicom(stored, bits=bits))
    assert pixels[0].tolist() == pytest.approx(np.linspace(0, 255, 32), abs=1)


def test_monochrome1_is_inverted() -> None:
    plain, inverted = (decode(dicom(RAMP, bits=8, PhotometricInterpretation=f"MONOCHROME{kind}")) for kind in (2, 1))
    assert np.array_equal(inverted, 255 - plain)
    assert plain[0, 0] == 0


def test_rescale_comes_before_the_window() -> None:
    # Stored 0..248, rescaled to −100..148; the window shows −20..20 of it.
    pixels = decode(
        dicom(RAMP, bits=8, RescaleSlope=1, RescaleIntercept=-100, WindowCenter=0, WindowWidth=40, RescaleType="US")
    )
    assert pixels[0, :10].tolist() == [0] * 10  # stored 0..72, rescaled −100..−28
    assert pixels[0, 16:].tolist() == [255] * 16  # stored 128.., rescaled 28..
    assert 0 < pixels[0, 12] < pixels[0, 13] < 255


def test_negative_slope_turns_the_film() -> None:
    assert decode(dicom(RAMP, bits=8, RescaleSlope=-1, RescaleIntercept=0, RescaleType="US"))[0, 0] == 255


def test_voi_lut_is_applied() -> None:
    lut = Dataset()
    lut.LUTDescriptor = [256, 0, 16]
    lut.LUTData = [0] * 128 + [65535] * 128
    lut["LUTData"].VR, lut["LUTDescriptor"].VR = "US", "US"
    pixels = decode(dicom(RAMP, bits=8, VOILUTSequence=[lut]))
    assert sorted(set(pixels.ravel().tolist())) == [0, 255]
    assert (pixels[0] == 255).sum() == 16


def test_blank_window_is_ignored() -> None:
    assert np.array_equal(decode(dicom(RAMP, bits=8, WindowCenter="", WindowWidth="")), decode(dicom(RAMP, bits=8)))


def test_padding_is_black_and_outside_the_range() -> None:
    stored = RAMP.astype(np.int16) + 1000
    stored[:, :4] = -2000
    pixels = decode(dicom(stored, PixelPaddingValue=-2000, PhotometricInterpretation="MONOCHROME1"))
    assert (pixels[:, :4] == 0).all()
    assert (pixels[0, 4], pixels[0, -1]) == (255, 0)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_dicom_equals_the_uncompressed_one(syntax: str) -> None:
    stored = np.kron(RAMP, np.ones((4, 4))).astype(np.uint16) * 16
    assert np.array_equal(decode(dicom(stored, bits=12, syntax=syntax)), decode(dicom(stored, bits=12)))


@pytest.mark.parametrize(
    ("syntax", "kind", "options"),
    [
        (uid.JPEGBaseline8Bit, "JPEG", {"quality": 80}),
        (uid.JPEGExtended12Bit, "JPEG", {"quality": 80}),  # with the 8 bits that it may have too
        (uid.JPEG2000Lossless, "JPEG2000", {"no_jp2": True}),
        (uid.JPEG2000, "JPEG2000", {"no_jp2": True, "irreversible": True, "quality_layers": [20]}),
    ],
)
def test_picture_within_a_dicom_is_read_as_the_picture_is(syntax: str, kind: str, options: dict[str, Any]) -> None:
    stored = np.kron(RAMP, np.ones((4, 4), np.uint8))
    frame = encoded(stored, kind, **options)
    picture = np.asarray(Image.open(io.BytesIO(frame)))
    assert np.array_equal(decode(dicom(stored, bits=8, syntax=syntax, frame=frame)), decode(dicom(picture, bits=8)))


# 16×16 pixels of 16 bits, 256 times the column, coded by OpenJPH; nothing that we install writes this format.
HIGH_THROUGHPUT = base64.b85decode(
    "|4;u>04YEK0000G0000G00000000000000G0000G0000000000009pH0sl|{2mk^A000XAQUDA90ssL31q1{@0smY86Cj9?kdTm&kdTm&kdTmwh="
    "~7W02crOPjF>!N>E53R%LP^FfKASE;BCwkN^q*00000PXGb`lfVEb+x7(qbN~Rr022U4@&ku-0KfnffFAM40|ImazyK9Me)!>sAF6VKbpXHsEdc"
    ")h{{H^{{{H96dU|n!cmV&|"
)


@pytest.mark.parametrize("syntax", [uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K])
def test_high_throughput_jpeg_2000_is_read(syntax: str) -> None:
    ramp = np.tile(np.arange(16, dtype=np.uint16) * 256, (16, 1))
    assert np.array_equal(decode(dicom(ramp, syntax=syntax, frame=HIGH_THROUGHPUT)), decode(dicom(ramp)))


def test_deflated_dicom_is_read() -> None:
    content = dicom(RAMP, bits=8)
    header = pydicom.dcmread(io.BytesIO(content))
    header.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    file = io.BytesIO()
    header.save_as(file, enforce_file_format=True)
    assert np.array_equal(decode(file.getvalue()), decode(content))


# --- what is refused, and the reason that left_out.csv shows ---


def _bomb() -> bytes:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return start + struct.pack(">I", 1000) + b"IDAT"


def _nan() -> bytes:
    pixels = RAMP.astype(np.float32)
    pixels[3, 3] = np.nan
    return encoded(pixels, "TIFF")


def _noise() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)


REFUSED = {
    "zero bytes": (b"", "empty file"),
    "text": (b"<html>404 not found</html>", "not a PNG, JPEG, TIFF or DICOM"),
    "pickle": (b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07builtin", "not a PNG"),
    "npy": (b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False}", "not a PNG"),
    "gif": (encoded(RAMP, "GIF"), "not a PNG"),
    "truncated png": (encoded(_noise()[:, :, 0])[:-600], "truncated or corrupt"),
    "truncated jpeg": (encoded(_noise()[:, :, 0], "JPEG")[:-600], "truncated or corrupt"),
    "truncated tiff": (encoded(RAMP.astype(np.uint16), "TIFF")[:-900], "corrupt"),
    "header only": (encoded(RAMP)[:20], "corrupt"),
    "all black": (encoded(np.zeros((32, 32), np.uint8)), "all black"),
    "constant": (encoded(np.full((32, 32), 9, np.uint8)), "constant"),
    "constant 16 bits": (encoded(np.full((32, 32), 900, np.uint16)), "constant"),
    "nan": (_nan(), "NaN"),
    "1x1": (encoded(np.zeros((1, 1), np.uint8)), "1×1 pixels, smaller than 16"),
    "narrow": (encoded(np.ones((300, 15), np.uint8)), "15×300"),
    "cmyk": (encoded(Image.fromarray(_noise()).convert("CMYK"), "JPEG"), "CMYK"),
    "palette": (encoded(Image.fromarray(_noise()).convert("P")), "palette"),
    "two levels": (encoded(Image.fromarray(_noise()).convert("1")), "two levels"),
    "coloured": (encoded(_noise()), "coloured picture"),
    "frames": (
        encoded(Image.fromarray(RAMP), "TIFF", save_all=True, append_images=[Image.fromarray(RAMP)]),
        "2 frames",
    ),
    "bomb": (_bomb(), "decompression bomb"),
    "dicom without pixels": (dicom(RAMP, bits=8, PixelData=None), "without pixels"),
    "dicom truncated": (dicom(RAMP, bits=8)[:-300], "truncated or corrupt"),
    "dicom frames": (dicom(np.vstack([RAMP, RAMP]), bits=8, Rows=24, NumberOfFrames=2), "2 frames in one DICOM"),
    "dicom black": (dicom(RAMP * 0, bits=8), "constant"),
    "dicom 1x1": (dicom(RAMP[:1, :1], bits=8), "1×1"),
    "dicom bomb": (dicom(RAMP, bits=8, Rows=60_000, Columns=60_000), "bomb"),
    "dicom colour": (
        dicom(_noise(), bits=8, SamplesPerPixel=3, PlanarConfiguration=0, PhotometricInterpretation="RGB"),
        "coloured picture",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_unusable_file_is_refused_with_the_reason(name: str) -> None:
    content, reason = REFUSED[name]
    with pytest.raises(BadImage, match=reason):
        decode(content)
    with pytest.raises(BadImage, match=reason):
        read_film(content)


@pytest.mark.parametrize(
    "syntax",
    [uid.JPEGLossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEGLSNearLossless, uid.JPEGExtended12Bit],
)
def test_format_whose_decoder_is_under_the_gpl_is_refused_with_its_name(syntax: uid.UID) -> None:
    content = dicom(RAMP.astype(np.uint16), bits=12, syntax=syntax, frame=b"\xff\xd8" + bytes(100))
    with pytest.raises(BadImage, match=r"pip install pylibjpeg-libjpeg \(GPL-3, hence your own choice\)") as caught:
        read_film(content)
    assert str(caught.value).startswith(f"coded as {syntax.name}, for which no decoder is installed")


def test_film_is_left_to_the_decoder_that_a_user_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = pydicom.pixels.get_decoder(uid.JPEGLossless)
    monkeypatch.setitem(decoder._available, "pylibjpeg", lambda *_: bytearray(RAMP.tobytes()))
    content = dicom(RAMP, bits=8, syntax=uid.JPEGLossless, frame=b"\xff\xd8" + bytes(100))
    assert np.array_equal(decode(content), decode(dicom(RAMP, bits=8)))


def test_video_is_refused() -> None:
    with pytest.raises(BadImage, match=r"coded as MPEG2 .* which no decoder reads"):
        decode(dicom(RAMP, bits=8, syntax=uid.MPEG2MPML, frame=bytes(100)))


def _flipped(content: bytes, *places: int) -> bytes:
    damaged = bytearray(content)
    for place in places:
        damaged[place] ^= 0xFF
    return bytes(damaged)


def _odd_length() -> bytes:
    """Rows (0028,0010) of three bytes instead of two."""
    return dicom(RAMP, bits=8).replace(b"(\x00\x10\x00US\x02\x00", b"(\x00\x10\x00US\x03\x00\x00")


def _long_runs() -> bytes:
    """Runs of 128 pixels, more than the film has; the decoder is written in Rust and panics."""
    content = dicom(RAMP.astype(np.uint16), bits=12, syntax=RLELossless)
    start = content.index(struct.pack("<II", 2, 64)) + 64  # behind the header of two segments
    return content[:start] + b"\x81" * 48 + content[start + 48 :]


DAMAGED = {
    "length": (_odd_length(), r"required element Rows \(0028,0010\)"),
    "panic": (_long_runs(), "PanicException"),
    "no preamble": (b"\x02\x00" + bytes(60), "without pixels"),
}


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_dicom_is_refused_whatever_the_decoder_raises(name: str) -> None:
    content, reason = DAMAGED[name]
    with pytest.raises(BadImage, match=reason):
        decode(content)


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # on each value that is not allowed
@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(132, 700), min_size=1, max_size=4), st.integers(200, 1100))
def test_any_damage_to_a_dicom_header_gives_a_film_or_the_reason(places: list[int], length: int) -> None:
    content = dicom(RAMP, bits=8, WindowCenter=100, WindowWidth=200, RescaleSlope=1, RescaleIntercept=0)
    with contextlib.suppress(BadImage):
        assert len(np.unique(decode(_flipped(content, *places)[:length]))) > 1


def test_a_stopped_run_is_no_damaged_film(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pedclip.triplets.decoding.film_of_picture", stop)
    with pytest.raises(KeyboardInterrupt):
        decode(encoded(RAMP))


def test_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="no such file"):
        decode(tmp_path / "absent.png")


def test_mask_is_zero_or_255_and_as_large_as_its_film() -> None:
    inside = RAMP > 100
    for stored in (encoded(inside), encoded(inside.astype(np.uint8)), encoded(RAMP * inside)):
        with Image.open(io.BytesIO(read_mask(stored, size=(24, 32)))) as mask:
            assert np.array_equal(np.asarray(mask), inside * np.uint8(255))
    with pytest.raises(BadImage, match="mask of 32×24 pixels on a film of 16×16"):
        read_mask(encoded(inside), size=(16, 16))
