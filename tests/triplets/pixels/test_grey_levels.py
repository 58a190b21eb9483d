"""Grey levels of DICOM films: what an optional element does, and that an empty or meaningless one does nothing."""

import io
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from pedclip.triplets.decoding import BadImage, decode
from tests.triplets.films import RAMP, dicom

DEEP = RAMP.astype(np.uint16) * 16  # (24, 32), 0..3968 in steps of 128
PLAIN = decode(dicom(DEEP, bits=12))
MEANINGLESS = (b"", b"  ", b"\0\0", b"nan ", b"inf ", b"1,5 ", b"abc ", b"\xff\xfe", b"\\", b"\\\\")
TEXTS = {
    "WindowCenter": (0x00281050, "DS", {"WindowWidth": 500}),
    "WindowWidth": (0x00281051, "DS", {"WindowCenter": 500}),
    "RescaleSlope": (0x00281053, "DS", {"RescaleIntercept": -100}),
    "RescaleIntercept": (0x00281052, "DS", {"RescaleSlope": 2}),
    "VOILUTFunction": (0x00281056, "CS", {}),
    "NumberOfFrames": (0x00280008, "IS", {}),
    "PresentationLUTShape": (0x20500020, "CS", {}),
}


def with_raw(tag: int, kind: str, value: bytes, **elements: Any) -> bytes:
    """A film with an element of which only the bytes are given, as no library would write them."""
    header = pydicom.dcmread(io.BytesIO(dicom(DEEP, bits=12, **elements)))
    header[Tag(tag)] = RawDataElement(Tag(tag), kind, len(value), value, 0, False, True)
    file = io.BytesIO()
    header.save_as(file, enforce_file_format=True)
    return file.getvalue()


def with_table(name: str, data: list[int] | None, descriptor: list[int] | None, **elements: Any) -> bytes:
    item = Dataset()
    if descriptor is not None:
        item.LUTDescriptor = descriptor
        item["LUTDescriptor"].VR = "US"
    if data is not None:
        item.LUTData = data
        item["LUTData"].VR = "US"
    return dicom(DEEP, bits=12, **{name: [item]}, **elements)


def scaled(values: np.ndarray) -> list[int]:
    return [round(float(255 * (value - values.min()) / (values.max() - values.min()))) for value in values]


# pydicom warns of each value that the tests write.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


@pytest.mark.parametrize("value", MEANINGLESS)
@pytest.mark.parametrize("name", TEXTS)
def test_empty_or_meaningless_optional_element_counts_as_absent(name: str, value: bytes) -> None:
    tag, kind, others = TEXTS[name]
    assert np.array_equal(decode(with_raw(tag, kind, value, **others)), PLAIN)


@pytest.mark.parametrize("width", [0, -1, 0.5])
def test_width_of_no_window_is_none(width: float) -> None:
    assert np.array_equal(decode(dicom(DEEP, bits=12, WindowCenter=1000, WindowWidth=width)), PLAIN)


@pytest.mark.parametrize(
    "elements",
    [
        {"RescaleSlope": 0, "RescaleIntercept": 0},
        {"RescaleSlope": 0, "RescaleIntercept": -1024},
        {"RescaleSlope": "1e-300", "RescaleIntercept": 0},
        {"RescaleIntercept": "1e12"},
        {"WindowCenter": "1e9", "WindowWidth": "1e12"},  # nothing of the film is left in 32 bits
    ],
)
def test_scale_that_leaves_one_value_is_none(elements: dict[str, Any]) -> None:
    assert np.array_equal(decode(dicom(DEEP, bits=12, **elements)), PLAIN)


def test_table_of_one_value_is_no_scale_and_the_window_stays() -> None:
    window = {"WindowCenter": 1000, "WindowWidth": 500}
    film = with_table("ModalityLUTSequence", [7] * 4096, [4096, 0, 16], **window)
    assert np.array_equal(decode(film), decode(dicom(DEEP, bits=12, **window)))


@pytest.mark.parametrize("center", [-9000, 60000])
def test_window_beside_all_pixels_is_none(center: int) -> None:
    assert np.array_equal(decode(dicom(DEEP, bits=12, WindowCenter=center, WindowWidth=100)), PLAIN)


@pytest.mark.parametrize(
    ("centers", "widths"),
    [([1000], [1001]), ([1000, 3000], [1001, 100]), ([0, 1000], [0, 1001]), ([1000, 3000], [1001]), (1000, 1001)],
)
@pytest.mark.parametrize("function", [None, "", "LINEAR", "linear", "LOG"])
def test_first_usable_window_is_linear_unless_it_says_otherwise(
    centers: list[int], widths: list[int], function: str | None
) -> None:
    elements = {} if function is None else {"VOILUTFunction": function}
    pixels = decode(dicom(DEEP, bits=12, WindowCenter=centers, WindowWidth=widths, **elements))
    # DICOM PS3.3, C.11.2.1.2: from 1000 − 500.5 to 1000 + 499.5.
    assert pixels[0].tolist() == scaled(((DEEP[0] - 999.5) / 1000 + 0.5).clip(0, 1))


def test_sigmoid_and_exact_windows_in_any_case() -> None:
    window = {"WindowCenter": 2000, "WindowWidth": 1000}
    for name in ("SIGMOID", "sigmoid"):
        curve = 1 / (1 + np.exp(-4 * (DEEP[0] - 2000.0) / 1000))
        assert decode(dicom(DEEP, bits=12, VOILUTFunction=name, **window))[0].tolist() == scaled(curve)
    for name in ("LINEAR_EXACT", "linear_exact"):
        line = ((DEEP[0] - 2000.0) / 1000 + 0.5).clip(0, 1)
        assert decode(dicom(DEEP, bits=12, VOILUTFunction=name, **window))[0].tolist() == scaled(line)


def test_window_after_a_negative_slope_shows_the_film_turned() -> None:
    pixels = decode(dicom(DEEP, bits=12, RescaleSlope=-1, RescaleIntercept=4000, WindowCenter=1000, WindowWidth=1001))
    assert pixels[0].tolist() == scaled(((4000.0 - DEEP[0] - 999.5) / 1000 + 0.5).clip(0, 1))


@pytest.mark.parametrize("name", ["ModalityLUTSequence", "VOILUTSequence"])
@pytest.mark.parametrize(
    ("data", "descriptor"),
    [
        (None, [4096, 0, 16]),
        ([1] * 4096, None),
        (list(range(100)), [4096, 0, 16]),
        (list(range(4096)), [4096, 0]),
        (None, None),
    ],
)
def test_table_without_its_entries_counts_as_absent(
    name: str, data: list[int] | None, descriptor: list[int] | None
) -> None:
    assert np.array_equal(decode(with_table(name, data, descriptor)), PLAIN)
    assert np.array_equal(decode(dicom(DEEP, bits=12, **{name: []})), PLAIN)


@pytest.mark.parametrize("name", ["ModalityLUTSequence", "VOILUTSequence"])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_table_is_looked_up_from_its_first_value_on(name: str, bits: int) -> None:
    table = (np.linspace(0, 1, 2000) ** 2 * (2**bits - 1)).astype(int)
    pixels = decode(with_table(name, table.tolist(), [2000, 500, bits]))
    assert pixels[0].tolist() == scaled(table[(DEEP[0].astype(int) - 500).clip(0, 1999)])


def test_second_table_is_used_where_the_first_is_none() -> None:
    empty, whole = Dataset(), Dataset()
    empty.LUTDescriptor, whole.LUTDescriptor = [4096, 0, 16], [4096, 0, 16]
    whole.LUTData = list(range(4095, -1, -1))
    for item in (empty, whole):
        item["LUTDescriptor"].VR = "US"
    whole["LUTData"].VR = "US"
    assert np.array_equal(decode(dicom(DEEP, bits=12, VOILUTSequence=[empty, whole])), 255 - PLAIN)


def test_table_that_shows_one_value_leaves_the_window() -> None:
    content = with_table("VOILUTSequence", [7] * 4096, [4096, 0, 16], WindowCenter=1000, WindowWidth=1001)
    assert np.array_equal(decode(content), decode(dicom(DEEP, bits=12, WindowCenter=1000, WindowWidth=1001)))


def test_levels_of_32_bits_and_of_floats_are_scaled_alike() -> None:
    wide = DEEP.astype(np.uint32) * 1000
    assert np.array_equal(decode(dicom(wide, bits=32)), PLAIN)
    floats = dicom(DEEP.astype(np.uint32), bits=32, PixelData=None, FloatPixelData=DEEP.astype("<f4").tobytes())
    assert np.array_equal(decode(floats), PLAIN)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_refused(value: float) -> None:
    pixels = DEEP.astype("<f4")
    pixels[3, 3] = value
    with pytest.raises(BadImage, match="NaN or infinite"):
        decode(dicom(DEEP.astype(np.uint32), bits=32, PixelData=None, FloatPixelData=pixels.tobytes()))
