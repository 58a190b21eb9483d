"""JPEG files that hold fewer rows than their header says are refused; films that are grey below are not."""

import re
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import uid

from pedclip.triplets.decoding import BadImage, decode
from tests.triplets.films import dicom, encoded

COARSE = np.random.default_rng(0).integers(0, 255, (12, 12), dtype=np.uint8)
FILM = np.asarray(Image.fromarray(COARSE).resize((200, 160), Image.Resampling.BICUBIC))  # (160, 200)
GREY_BELOW = np.vstack([FILM, np.full((80, 200), 128, np.uint8)])  # as some pad their films
CODINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "optimized": {"optimize": True},
    "progressive": {"progressive": True},
    "a restart per row": {"restart_marker_rows": 1},
    "a restart per four blocks": {"restart_marker_blocks": 4},
    "a restart behind the picture": {"restart_marker_rows": 500},
}


def with_height(content: bytes, height: int) -> bytes:
    found = re.search(rb"\xff[\xc0-\xc2]", content)
    assert found is not None
    place = found.start() + 5
    return content[:place] + struct.pack(">H", height) + content[place + 2 :]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_header_with_more_rows_than_were_coded_is_refused(coding: str, channels: int) -> None:
    pixels = FILM if channels == 1 else np.dstack([FILM] * 3)
    content = encoded(pixels, "JPEG", **CODINGS[coding])
    assert decode(content).shape == (160, 200)
    for height in (200, 240, 2000):
        with pytest.raises(BadImage, match="coded pixels for fewer rows than the header says"):
            decode(with_height(content, height))


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_film_that_is_grey_below_is_read(coding: str, channels: int) -> None:
    pixels = GREY_BELOW if channels == 1 else np.dstack([GREY_BELOW] * 3)
    film = decode(encoded(pixels, "JPEG", quality=95, **CODINGS[coding]))
    assert film.shape == (240, 200)
    assert (film[-1] == 128).all()


def test_a_file_that_was_cut_and_closed_is_refused() -> None:
    content = encoded(FILM, "JPEG", quality=95)
    with pytest.raises(BadImage, match="coded pixels for fewer rows than the header says"):
        decode(content[: len(content) // 2] + b"\xff\xd9")


def test_the_same_in_a_dicom() -> None:
    taller = np.vstack([FILM, FILM])
    frame = with_height(encoded(FILM, "JPEG", quality=95), 320)
    with pytest.raises(BadImage, match="coded pixels for fewer rows than the header says"):
        decode(dicom(taller, bits=8, syntax=uid.JPEGBaseline8Bit, frame=frame))
    grey = encoded(GREY_BELOW, "JPEG", quality=95)
    assert decode(dicom(GREY_BELOW, bits=8, syntax=uid.JPEGBaseline8Bit, frame=grey)).shape == (240, 200)
