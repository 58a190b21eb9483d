"""DICOM pixels as they are: in every transfer syntax, with whatever stands beside them and whatever the header says."""

import io
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import compress

from pedclip.triplets.decoding import BadImage, decode
from tests.triplets.films import RAMP, dicom, encoded

DEEP = np.vstack([RAMP, RAMP]).astype(np.uint16) * 16  # (48, 32), 0..3968, 12 bits; JPEG 2000 takes no less than 32
PLAIN = decode(dicom(DEEP, bits=12))
NATIVE = (uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.DeflatedExplicitVRLittleEndian)
CODED = (uid.RLELossless, uid.JPEG2000Lossless)


def changed(content: bytes, **elements: Any) -> bytes:
    header = pydicom.dcmread(io.BytesIO(content))
    for name, value in elements.items():
        setattr(header, name, value)
    file = io.BytesIO()
    header.save_as(file, enforce_file_format=True)
    return file.getvalue()


def in_syntax(content: bytes, syntax: uid.UID) -> bytes:
    """The same film, uncompressed, with its header and pixels written as a syntax says."""
    header = pydicom.dcmread(io.BytesIO(content))
    if not syntax.is_little_endian:
        header.PixelData = np.frombuffer(header.PixelData, "<u2").byteswap().tobytes()
    header.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    pydicom.dcmwrite(
        file, header, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian, enforce_file_format=True
    )
    return file.getvalue()


def coded(words: NDArray[Any], syntax: uid.UID, *, bits: int = 16) -> bytes:
    """The one frame of a coded film."""
    header = pydicom.dcmread(io.BytesIO(dicom(words, bits=bits)))
    compress(header, syntax)
    return next(generate_frames(header.PixelData, number_of_frames=1))


# --- several pages ---


@pytest.mark.parametrize("claim", [{}, {"NumberOfFrames": 1}, {"NumberOfFrames": 0}, {"NumberOfFrames": ""}])
@pytest.mark.parametrize("num_frames", [2, 3, 10])
def test_more_pages_than_the_header_says_are_refused(num_frames: int, claim: dict[str, Any]) -> None:
    content = dicom(np.vstack([DEEP] * num_frames), Rows=48, **claim)
    with pytest.raises(BadImage, match=rf"{num_frames} frames in one DICOM \(its header says one\)"):
        decode(content)


@pytest.mark.parametrize("has_table", [True, False])
@pytest.mark.parametrize("syntax", CODED)
def test_coded_pages_are_counted_before_they_are_decoded(syntax: uid.UID, has_table: bool) -> None:
    content = dicom(DEEP, syntax=syntax)
    frames = encapsulate([coded(DEEP, syntax), coded(DEEP[:, ::-1], syntax)], has_bot=has_table)
    with pytest.raises(BadImage, match="2 frames in one DICOM"):
        decode(changed(content, PixelData=frames))


def test_one_page_in_several_fragments_is_one_film() -> None:
    content = dicom(DEEP, bits=12, syntax=uid.JPEG2000Lossless)
    frame = coded(DEEP, uid.JPEG2000Lossless, bits=12)
    assert np.array_equal(decode(changed(content, PixelData=encapsulate([frame], fragments_per_frame=3))), PLAIN)


@pytest.mark.parametrize("excess", [2, 30, 64])
def test_padding_behind_the_pixels_is_not_of_the_film(excess: int) -> None:
    assert np.array_equal(decode(changed(dicom(DEEP, bits=12), PixelData=DEEP.tobytes() + bytes(excess))), PLAIN)


def test_rows_that_the_header_does_not_count_are_no_padding() -> None:
    with pytest.raises(BadImage, match="768 bytes more than its rows and columns need"):
        decode(changed(dicom(DEEP), PixelData=DEEP.tobytes() + bytes(768)))


@pytest.mark.parametrize(
    "tail", [b"\0" * 9, b"Quillfeather" * 20, dicom(DEEP), b"\xfc\xff\xfc\xffOB\0\0\x04\0\0\0abcd"]
)
def test_what_is_appended_to_a_file_is_not_read(tail: bytes) -> None:
    assert np.array_equal(decode(dicom(DEEP, bits=12) + tail), PLAIN)


# --- transfer syntaxes, and bits that are no pixels ---


@pytest.mark.parametrize("syntax", NATIVE)
def test_header_and_pixels_may_be_written_in_any_way(syntax: uid.UID) -> None:
    assert np.array_equal(decode(in_syntax(dicom(DEEP, bits=12), syntax)), PLAIN)


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian])
def test_without_transfer_syntax_the_header_tells_the_order_of_bytes(syntax: uid.UID) -> None:
    content = in_syntax(dicom(DEEP, bits=12), syntax)
    start = content.index(b"\x08\x00\x16\x00" if syntax.is_little_endian else b"\x00\x08\x00\x16")
    if syntax.is_little_endian:
        assert np.array_equal(decode(content[start:]), PLAIN)
    else:
        with pytest.raises(BadImage, match="not a PNG"):
            decode(content[start:])


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, *NATIVE, *CODED])
@pytest.mark.parametrize("junk", [0x8000, 0x3000, 0xF000])
def test_bits_above_those_stored_do_not_count(syntax: uid.UID, junk: int) -> None:
    words = DEEP.copy()
    words[3:9, ::2] |= junk
    content = dicom(words, syntax=syntax) if syntax in CODED else in_syntax(dicom(words), syntax)
    assert np.array_equal(decode(changed(content, BitsStored=12, HighBit=11)), PLAIN)


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, *CODED])
@pytest.mark.parametrize("junk", [0, 0x8000, 0xF000])
def test_sign_of_twelve_bits_is_the_twelfth(syntax: uid.UID, junk: int) -> None:
    words = ((DEEP.astype(np.int16) - 2000).view(np.uint16) & 0x0FFF) | np.uint16(junk)
    content = changed(dicom(words, syntax=syntax), BitsStored=12, HighBit=11, PixelRepresentation=1)
    assert np.array_equal(decode(content), PLAIN)


def test_high_bit_says_where_the_stored_bits_are_if_anything_is_set_there() -> None:
    up = DEEP << 4 | 3
    assert np.array_equal(decode(changed(dicom(up), BitsStored=12, HighBit=15)), PLAIN)
    assert np.array_equal(decode(changed(dicom(DEEP), BitsStored=12, HighBit=15)), PLAIN)


# --- grey in three channels ---


def in_color(space: str, *, planar: int = 0, syntax: str = uid.ExplicitVRLittleEndian) -> bytes:
    grey = RAMP[..., None]
    values = np.repeat(grey, 3, 2) if space == "RGB" else np.concatenate([grey, grey * 0 + 128, grey * 0 + 128], 2)
    if space == "YBR_FULL_422":
        pairs = RAMP.reshape(24, 16, 2)
        values = np.concatenate([pairs, np.full_like(pairs, 128)], 2)
    stored = np.moveaxis(values, 2, 0).copy() if planar else values
    return dicom(
        stored,
        bits=8,
        syntax=syntax,
        Rows=24,
        Columns=32,
        SamplesPerPixel=3,
        PlanarConfiguration=planar,
        PhotometricInterpretation=space,
    )


@pytest.mark.parametrize(
    ("space", "planar"), [("RGB", 0), ("RGB", 1), ("YBR_FULL", 0), ("YBR_FULL", 1), ("YBR_FULL_422", 0)]
)
def test_grey_film_in_three_channels_is_read_as_the_picture_is(space: str, planar: int) -> None:
    assert np.array_equal(decode(in_color(space, planar=planar)), RAMP)


@pytest.mark.parametrize("space", ["RGB", "YBR_FULL_422"])
@pytest.mark.parametrize("is_rgb", [True, False])
def test_jpeg_tells_its_colour_space_itself(space: str, is_rgb: bool) -> None:
    channels = np.repeat(RAMP[..., None], 3, 2)
    frame = encoded(channels, "JPEG", quality=95, keep_rgb=is_rgb)
    header = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": space}
    pixels = decode(dicom(channels, bits=8, syntax=uid.JPEGBaseline8Bit, frame=frame, **header))
    assert np.abs(pixels.astype(int) - np.asarray(Image.open(io.BytesIO(frame)).convert("L"))).max() <= 1  # rounding


def test_deep_channels_keep_their_levels() -> None:
    header = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "RGB"}
    assert np.array_equal(decode(dicom(np.repeat(DEEP[..., None], 3, 2), bits=12, **header)), PLAIN)


# --- headers that contradict themselves ---


@pytest.mark.parametrize(
    ("photometric", "shape", "is_inverse"),
    [
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", True),
        ("MONOCHROME1", "", True),
        ("monochrome1", "inverse", True),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME2", "", False),
        ("monochrome2 ", "LOG", False),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_one_of_two_inverse_marks_inverts_once(photometric: str, shape: str, is_inverse: bool) -> None:
    content = dicom(DEEP, bits=12, PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    assert np.array_equal(decode(content), 255 - PLAIN if is_inverse else PLAIN)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "one bit stored": ({"BitsStored": 1, "HighBit": 0}, "two levels only"),
    "bits": ({"BitsStored": 20}, "contradictory header: 20 bits stored of 16 allocated"),
    "bits allocated": ({"BitsAllocated": 12}, "12 bits allocated to a pixel"),
    "grey of three": ({"SamplesPerPixel": 3, "PlanarConfiguration": 0}, "MONOCHROME2 with 3 samples per pixel"),
    "colour of one": ({"PhotometricInterpretation": "RGB"}, "contradictory header: RGB with 1 samples per pixel"),
    "palette": ({"PhotometricInterpretation": "PALETTE COLOR"}, "palette image"),
    "rows": ({"Rows": 90}, "truncated or corrupt"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_contradiction_is_refused_in_words(name: str) -> None:
    elements, reason = REFUSED[name]
    with pytest.raises(BadImage, match=reason):
        decode(dicom(DEEP, **{"bits": 12, **elements} if "BitsStored" not in elements else elements))


@pytest.mark.parametrize("is_empty", [True, False])
@pytest.mark.parametrize(
    ("element", "words"),
    [
        ("Rows", r"Rows \(0028,0010\)"),
        ("Columns", r"Columns \(0028,0011\)"),
        ("SamplesPerPixel", r"Samples per Pixel \(0028,0002\)"),
        ("PhotometricInterpretation", r"Photometric Interpretation \(0028,0004\)"),
        ("BitsAllocated", r"Bits Allocated \(0028,0100\)"),
        ("BitsStored", r"Bits Stored \(0028,0101\)"),
        ("PixelRepresentation", r"Pixel Representation \(0028,0103\)"),
    ],
)
def test_missing_required_element_is_named(element: str, words: str, is_empty: bool) -> None:
    header = pydicom.dcmread(io.BytesIO(dicom(DEEP)))
    if is_empty:
        setattr(header, element, None)
    else:
        delattr(header, element)
    file = io.BytesIO()
    header.save_as(file, enforce_file_format=True)
    with pytest.raises(BadImage, match=f"without the required element {words}"):
        decode(file.getvalue())


def test_size_within_the_pixels_is_that_of_the_header() -> None:
    large = np.kron(DEEP, np.ones((20, 20), np.uint16))
    for syntax, frame in (
        (uid.JPEG2000Lossless, coded(large, uid.JPEG2000Lossless)),
        (uid.JPEGBaseline8Bit, encoded((large >> 4).astype(np.uint8), "JPEG")),
    ):
        pixels = DEEP if syntax == uid.JPEG2000Lossless else RAMP
        with pytest.raises(BadImage, match="a film of 640×960 pixels in a DICOM of 32×"):
            decode(dicom(pixels, bits=8 * pixels.itemsize, syntax=syntax, frame=frame))


# --- padding ---


@pytest.mark.parametrize(
    ("value", "limit", "is_signed"), [(0, None, 0), (0, 63, 0), (63, 0, 0), (-2000, None, 1), (63536, None, 1)]
)
def test_padding_is_found_with_or_without_sign(value: int, limit: int | None, is_signed: int) -> None:
    stored = DEEP.astype(np.int16) + 100
    stored[:5] = -2000 if is_signed else 0
    content = dicom(stored if is_signed else stored.astype(np.uint16))
    header = pydicom.dcmread(io.BytesIO(content))
    header.add_new("PixelPaddingValue", "SS" if value < 0 else "US", value)
    if limit is not None:
        header.add_new("PixelPaddingRangeLimit", "US", limit)
    file = io.BytesIO()
    header.save_as(file, enforce_file_format=True)
    pixels = decode(file.getvalue())
    assert (pixels[:5] == 0).all()
    assert np.array_equal(pixels[5:], PLAIN[5:])


def test_padding_with_more_bits_than_the_film_has() -> None:
    stored = DEEP.copy()
    stored[:5] = 0xF000
    header = pydicom.dcmread(io.BytesIO(changed(dicom(stored), BitsStored=12, HighBit=11)))
    header.add_new("PixelPaddingValue", "US", 0xF000)
    file = io.BytesIO()
    header.save_as(file, enforce_file_format=True)
    pixels = decode(file.getvalue())
    assert (pixels[:5] == 0).all()
    assert np.array_equal(pixels[5:], PLAIN[5:])


def test_padding_that_would_be_the_whole_film_is_none() -> None:
    assert np.array_equal(decode(dicom(DEEP, bits=12, PixelPaddingValue=0, PixelPaddingRangeLimit=4095)), PLAIN)
