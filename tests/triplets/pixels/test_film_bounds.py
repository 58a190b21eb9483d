"""Bounds: what is no file of a film's size is refused before it is read, and what is no film before it is decoded."""

import io
import os
import struct
import threading
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate

from pedclip.triplets.decoding import BadImage, decode, read_film
from pedclip.triplets.pixels import film_bounds
from pedclip.triplets.pixels.codestreams import coded_size
from pedclip.triplets.pixels.dicom_header import inflated
from pedclip.triplets.pixels.film_bounds import MAX_FILE_BYTES, bounded_memory, read_file
from tests.triplets.films import RAMP, dicom, encoded

MEBIBYTE = 2**20


def deflated(num_mebibytes: int, *, rows: int = 24, columns: int = 32) -> bytes:
    """A deflated film whose pixels are so many bytes, whatever its header says."""
    header = pydicom.dcmread(io.BytesIO(dicom(RAMP.astype(np.uint16), Rows=rows, Columns=columns, PixelData=None)))
    header.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    file = io.BytesIO()
    header.save_as(file, enforce_file_format=True)
    content = file.getvalue()
    # Where the deflated part begins: the group of the transfer syntax says how long it is.
    start = 144 + struct.unpack_from("<I", content, 140)[0]
    plain = zlib.decompress(content[start:], -zlib.MAX_WBITS)
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    parts = [packer.compress(plain + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, num_mebibytes * MEBIBYTE))]
    block = np.repeat(np.arange(512, dtype="<u2"), 1024).tobytes()  # steps, a thousandth of their size when deflated
    parts += [packer.compress(block) for _ in range(num_mebibytes)]
    return content[:start] + b"".join([*parts, packer.flush()])


@pytest.mark.parametrize(("rows", "columns"), [(24, 32), (1000, 1000), (4000, 3000)])
def test_deflated_file_is_inflated_as_far_as_its_header_says(rows: int, columns: int) -> None:
    content = deflated(80, rows=rows, columns=columns)
    tracemalloc.start()
    with pytest.raises(BadImage, match="holds more than its header says"):
        decode(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * (16 * MEBIBYTE + rows * columns * 2) + 8 * MEBIBYTE


@pytest.mark.parametrize(("rows", "columns"), [(60_000, 60_000), (20_000, 20_000)])
def test_deflated_file_of_an_impossible_film_is_not_inflated(rows: int, columns: int) -> None:
    with pytest.raises(BadImage, match="decompression bomb"):
        decode(deflated(40, rows=rows, columns=columns))


def test_deflated_film_larger_than_the_first_look_is_read() -> None:
    pixels = decode(deflated(20, rows=5 * 1024, columns=2 * 1024))  # 20 MiB of 16 bits
    assert pixels.shape == (5120, 2048)
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_deflated_file_that_ends_early_is_truncated() -> None:
    with pytest.raises(BadImage, match="truncated or corrupt"):
        decode(deflated(20, rows=5 * 1024, columns=2 * 1024)[:-500])


def test_file_that_only_mentions_deflation_is_left_as_it_is() -> None:
    content = dicom(RAMP, bits=8, ImageComments="1.2.840.10008.1.2.1.99")
    assert inflated(content) is content
    assert inflated(deflated(1)).count(b"1.2.840.10008.1.2.1.99") == 0
    assert np.array_equal(decode(content), decode(dicom(RAMP, bits=8)))


def test_pipe_device_folder_and_absent_file_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "film.png").write_bytes(b"x")
    for path, reason in (
        (tmp_path / "pipe", "a pipe, socket or device"),
        (Path("/dev/zero"), "a pipe, socket or device"),
        (tmp_path / "folder.png", r"a pipe, socket or device|Is a directory"),
        (tmp_path / "absent.png", "no such file"),
        (tmp_path / "film.png" / "x.png", "Not a directory"),
        (tmp_path / ("x" * 300), "cannot be opened"),
        ("a\0b.png", "no such file"),
    ):
        with pytest.raises(BadImage, match=reason):
            decode(path)


def test_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    # The tests may run as somebody who may read everything.
    monkeypatch.setattr(film_bounds, "_without_waiting", refuse)
    with pytest.raises(BadImage, match=r"cannot be opened \(Permission denied\)"):
        read_file(tmp_path / "film.png")


def test_file_larger_than_any_film_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "film.png").open("wb") as file:
        file.write(encoded(RAMP))
        file.truncate(MAX_FILE_BYTES + 1)  # sparse: it takes no room
    with pytest.raises(BadImage, match="more than a film can have"):
        read_film(tmp_path / "film.png")


@pytest.mark.parametrize("source", [None, 7, 0, RAMP, ["film.png"]])
def test_what_is_neither_path_nor_bytes_is_refused(source: object) -> None:
    with pytest.raises(BadImage, match="expected the path or the bytes of an image file, got"):
        decode(source)  # type: ignore[arg-type]


def test_bytes_of_any_kind_are_a_file() -> None:
    for kind in (bytes, bytearray, memoryview):
        assert np.array_equal(decode(kind(encoded(RAMP))), RAMP)  # type: ignore[arg-type]


def png_header(width: int, height: int, color: int, *, bits: int = 16) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return start + struct.pack(">I", 1000) + b"IDAT" + bytes(100)


@pytest.mark.parametrize(("color", "side"), [(6, 8888), (2, 8888), (4, 8888), (0, 9500)])
def test_deep_channels_count_before_they_are_decoded(color: int, side: int) -> None:
    started = time.perf_counter()
    with pytest.raises(BadImage, match="decompression bomb"):
        decode(png_header(side, side, color))
    assert time.perf_counter() - started < 5  # seconds; decoding took 20


def test_jpeg_of_too_many_passes_is_refused() -> None:
    content = encoded(RAMP, "JPEG", progressive=True)
    scan = content.index(b"\xff\xda")
    header = content[scan : scan + 10]
    forged = content[:scan] + header * 150 + content[scan:]
    assert coded_size(forged).scans > 100  # type: ignore[union-attr]
    with pytest.raises(BadImage, match=r"passes over the pixels|corrupt"):
        decode(forged)


def test_large_picture_in_a_small_dicom_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pydicom.pixels.get_decoder", lambda _: pytest.fail("decoded"))
    large = encoded(np.zeros((3000, 3000, 3), np.uint8), "JPEG")
    content = dicom(np.repeat(RAMP[..., None], 3, 2), bits=8, SamplesPerPixel=3, PlanarConfiguration=0)
    header = pydicom.dcmread(io.BytesIO(content))
    header.PhotometricInterpretation, header.file_meta.TransferSyntaxUID = "YBR_FULL_422", uid.JPEGBaseline8Bit
    header.PixelData = encapsulate([large])
    header["PixelData"].VR = "OB"
    file = io.BytesIO()
    header.save_as(file, enforce_file_format=True)
    monkeypatch.setattr("pedclip.triplets.pixels.dicom_film.missing_decoder", lambda _: "")
    with pytest.raises(BadImage, match="a film of 3000×3000 pixels in a DICOM of 32×24"):
        decode(file.getvalue())


def test_one_large_film_is_decoded_at_a_time() -> None:
    inside, most = 0, 0
    lock = threading.Lock()

    def work(num_bytes: int) -> None:
        nonlocal inside, most
        with bounded_memory(num_bytes):
            with lock:
                inside += 1
                most = max(most, inside)
            # Long enough for the other threads to come in.
            threading.Event().wait(0.02)
            with lock:
                inside -= 1

    for num_bytes, expected in ((200_000_000, {1}), (1000, {2, 3, 4})):
        inside = most = 0
        threads = [threading.Thread(target=work, args=(num_bytes,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most in expected
