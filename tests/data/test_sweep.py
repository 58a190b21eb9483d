"""Two hundred small films, every file type with every fault, on every route: the run ends, good films are kept with
the pixels that they have alone, and every other file is listed with its reason."""

import contextlib
import csv
import io
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
import pytest
from datasets import DatasetDict
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate

from pedclip.curation.__main__ import main
from pedclip.data import load
from pedclip.triplets.decoding import BadImage, decode
from pedclip.triplets.left_out import Reason
from tests.triplets.films import dicom, encoded

SIZE: Final = 48  # pixels
# pydicom warns of what the tests write, and of what it reads of a damaged header.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
]


def pixels(seed: int, *, deep: bool = False) -> NDArray[Any]:
    """A film unlike those of other seeds."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6), dtype=np.uint8)
    film = np.asarray(Image.fromarray(coarse).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    return film.astype(np.uint16) * 16 if deep else film


def header(seed: int) -> dict[str, Any]:
    return {
        "Modality": "DX",
        "PatientID": f"MRN{seed:05d}",
        "StudyInstanceUID": f"1.2.826.{seed}",
        "AccessionNumber": f"A{seed}",
        "BodyPartExamined": "WRIST",
    }


def in_dicom(seed: int, **options: Any) -> bytes:
    return dicom(pixels(seed, deep=True), bits=12, **header(seed), **options)


def deflated(seed: int) -> bytes:
    data = pydicom.dcmread(io.BytesIO(in_dicom(seed)))
    data.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    return saved(data)


def jpeg_in_dicom(seed: int) -> bytes:
    frame = encoded(pixels(seed), "JPEG", quality=95)
    return dicom(pixels(seed), bits=8, syntax=uid.JPEGBaseline8Bit, frame=frame, **header(seed))


def rgb_in_dicom(seed: int) -> bytes:
    color = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "RGB"}
    return dicom(np.repeat(pixels(seed)[..., None], 3, 2), bits=8, **header(seed), **color)


def saved(data: pydicom.Dataset) -> bytes:
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


def picture(kind: str, mode: str, **options: Any) -> Callable[[int], bytes]:
    return lambda seed: encoded(Image.fromarray(pixels(seed)).convert(mode), kind, **options)


def deep_picture(kind: str) -> Callable[[int], bytes]:
    return lambda seed: encoded(pixels(seed, deep=True), kind)


TYPES: Final[dict[str, Callable[[int], bytes]]] = {
    "png": picture("PNG", "L"),
    "rgb.png": picture("PNG", "RGB"),
    "rgba.png": picture("PNG", "RGBA"),
    "la.png": picture("PNG", "LA"),
    "deep.png": deep_picture("PNG"),
    "jpg": picture("JPEG", "L", quality=95),
    "rgb.jpg": picture("JPEG", "RGB", quality=95),
    "progressive.jpg": picture("JPEG", "L", quality=95, progressive=True),
    "tif": picture("TIFF", "L"),
    "deep.tif": deep_picture("TIFF"),
    "deflated.tif": picture("TIFF", "L", compression="tiff_adobe_deflate"),
    "native.dcm": in_dicom,
    "rle.dcm": lambda seed: in_dicom(seed, syntax=uid.RLELossless),
    "j2k.dcm": lambda seed: in_dicom(seed, syntax=uid.JPEG2000Lossless),
    "jpeg.dcm": jpeg_in_dicom,
    "deflated.dcm": deflated,
    "rgb.dcm": rgb_in_dicom,
}
# Faults of bytes, which every file type can have. A flipped bit may leave a film a film, with other pixels.
FAULTS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "truncated": lambda content: content[: len(content) // 2],
    "beginning": lambda content: content[:40],
    "empty": lambda content: b"",
    "zeros": lambda content: bytes(len(content)),
    "beginning lost": lambda content: content[1:],
    "end lost": lambda content: content[: -len(content) // 4],
    "middle overwritten": lambda content: content[: len(content) // 3] + bytes(len(content) - len(content) // 3),
    "text before": lambda content: b"<html>" + content,
    "apple double": lambda content: b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + content[:100],
}
FLIPPED: Final = 2  # damaged at random per type: a film or a reason, as the decoder alone says


def elements(seed: int, **values: Any) -> bytes:
    """A film with elements set, or (None) deleted."""
    data = pydicom.dcmread(io.BytesIO(in_dicom(seed)))
    for name, value in values.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    return saved(data)


def pages(seed: int) -> bytes:
    data = pydicom.dcmread(io.BytesIO(in_dicom(seed)))
    data.PixelData = data.PixelData * 3
    return saved(data)


def coded_pages(seed: int) -> bytes:
    data = pydicom.dcmread(io.BytesIO(in_dicom(seed, syntax=uid.RLELossless)))
    frame = next(pydicom.encaps.generate_frames(data.PixelData, number_of_frames=1))
    data.PixelData = encapsulate([frame, frame])
    return saved(data)


def two_pages(seed: int) -> bytes:
    first, second = (Image.fromarray(pixels(seed + step)) for step in (0, 1))
    return encoded(first, "TIFF", save_all=True, append_images=[second])


def claimed(seed: int, width: int) -> bytes:
    """A PNG whose header lies about its width."""
    content = TYPES["png"](seed)
    return content[:16] + struct.pack(">I", width) + content[20:]


NAMED: Final[dict[str, Callable[[int], bytes]]] = {
    "palette.png": picture("PNG", "P"),
    "two levels.png": picture("PNG", "1"),
    "two levels.tif": picture("TIFF", "1"),
    "cmyk.jpg": picture("JPEG", "CMYK"),
    "cmyk.tif": picture("TIFF", "CMYK"),
    "gif.png": lambda seed: encoded(pixels(seed), "GIF"),
    "webp.jpg": lambda seed: encoded(pixels(seed), "WEBP"),
    "colour.png": lambda seed: encoded(np.random.default_rng(seed).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)),
    "constant.png": lambda seed: encoded(np.full((SIZE, SIZE), 9, np.uint8)),
    "small.png": lambda seed: encoded(pixels(seed)[:8, :8]),
    "pages.tif": two_pages,
    "pages.dcm": pages,
    "coded pages.dcm": coded_pages,
    "wide.png": lambda seed: claimed(seed, 90_000),
    "narrow.png": lambda seed: claimed(seed, SIZE // 2),
    "rows.dcm": lambda seed: elements(seed, Rows=SIZE * 2),
    "few rows.dcm": lambda seed: elements(seed, Rows=SIZE // 2),
    "huge.dcm": lambda seed: elements(seed, Rows=60_000, Columns=60_000),
    "frames.dcm": lambda seed: elements(seed, NumberOfFrames=4),
    "one bit.dcm": lambda seed: elements(seed, BitsStored=1, HighBit=0),
    "contradiction.dcm": lambda seed: elements(seed, SamplesPerPixel=3, PlanarConfiguration=0),
    "colour space.dcm": lambda seed: elements(seed, PhotometricInterpretation="PALETTE COLOR"),
    "no pixels.dcm": lambda seed: elements(seed, PixelData=None),
    **{
        f"no {name}.dcm": (lambda seed, name=name: elements(seed, **{name: None}))
        for name in ("Rows", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation")
    },
}
# Unusual, and films all the same.
UNUSUAL: Final[dict[str, Callable[[int], bytes]]] = {
    "empty elements.dcm": lambda seed: elements(
        seed,
        WindowCenter="",
        WindowWidth="",
        RescaleSlope="",
        RescaleIntercept="",
        NumberOfFrames="",
        VOILUTFunction="",
    ),
    "no sequence.dcm": lambda seed: elements(seed, VOILUTSequence=[], ModalityLUTSequence=[]),
    "width 0.dcm": lambda seed: elements(seed, WindowCenter=100, WindowWidth=0),
    "inverse.dcm": lambda seed: elements(seed, PresentationLUTShape="INVERSE"),
    "lower case.dcm": lambda seed: elements(seed, PhotometricInterpretation="monochrome1"),
    "dicom.png": in_dicom,
    "picture.dcm": TYPES["png"],
    "without a suffix": in_dicom,
}


def make_films(root: Path) -> dict[str, bytes]:
    """Content by file of one folder of about 200 films, written there; the files carry what is wrong in their names."""
    files: dict[str, bytes] = {}
    for place, (kind, make) in enumerate(TYPES.items()):
        seed = 1000 + 100 * place
        files[f"good {kind}"], files[f"again good {kind}"] = make(seed), make(seed + 1)
        files[f"garbage behind {kind}"] = make(seed + 2) + b"Quillfeather" * 30
        for number, (fault, damage) in enumerate(FAULTS.items()):
            files[f"{fault} {kind}"] = damage(make(seed + 10 + number))
        for number in range(FLIPPED):
            rng, content = np.random.default_rng(seed + number), bytearray(make(seed + 30 + number))
            for position in rng.integers(len(content) // 4, len(content), 3):
                content[position] ^= 1 << int(rng.integers(8))
            files[f"flipped {number} {kind}"] = bytes(content)
    for number, (name, make) in enumerate({**NAMED, **UNUSUAL}.items()):
        files[name] = make(9000 + number)
    root.mkdir(parents=True)
    for name, content in files.items():
        (root / name).write_bytes(content)
    return files


def place_what_is_no_file(root: Path) -> list[str]:
    """Things with a film's name that cannot be read."""
    (root / "folder.png").mkdir()
    (root / "link.png").symlink_to(root / "nowhere.png")
    os.mkfifo(root / "pipe.png")
    (root / "locked.png").write_bytes(TYPES["png"](1))
    (root / "locked.png").chmod(0)
    # Whoever may read everything may read this one too.
    is_readable = os.access(root / "locked.png", os.R_OK)
    return ["folder.png", "link.png", "pipe.png", *([] if is_readable else ["locked.png"])]


def alone(files: Mapping[str, bytes]) -> dict[str, NDArray[np.uint8]]:
    """Pixels of every file that is a film by itself."""
    films = {}
    for name, content in files.items():
        with contextlib.suppress(BadImage):
            films[name] = decode(content)
    return films


def left_out(path: Path) -> dict[str, tuple[str, str]]:
    with path.open(newline="") as file:
        return {row["file"]: (row["reason"], row["detail"]) for row in csv.DictReader(file)}


def check(
    triplets: DatasetDict, listed: dict[str, tuple[str, str]], files: dict[str, bytes], others: list[str]
) -> None:
    films = alone(files)
    got = {row["image_id"]: np.asarray(row["image"]) for split in triplets.values() for row in split}
    assert set(got) == set(films)
    for name, expected in films.items():
        assert np.array_equal(got[name], expected), name
    assert set(listed) == (set(files) - set(films)) | set(others)
    assert {reason for reason, _ in listed.values()} <= {reason.value for reason in Reason}


def test_what_must_be_a_film_is_one_and_what_must_not_is_none(tmp_path: Path) -> None:
    files = make_films(tmp_path / "films")
    films = alone(files)
    assert len(files) >= 200
    for kind in TYPES:
        for name in (f"good {kind}", f"again good {kind}", f"garbage behind {kind}"):
            assert films[name].shape == (SIZE, SIZE), name
        for fault in FAULTS:
            if fault not in {"end lost", "middle overwritten", "truncated"}:
                assert f"{fault} {kind}" not in films
    assert set(UNUSUAL) <= set(films)
    assert not set(NAMED) & set(films)
    # Half of a file is half of a film, whatever its format: no format may fill up the rest.
    assert not {name for name in films if name.startswith(("truncated", "end lost"))}


def test_folder_with_every_fault_is_read(tmp_path: Path) -> None:
    root = tmp_path / "films"
    files = make_films(root)
    others = [*place_what_is_no_file(root), "absent.png"]
    rows = [f'"{name}",wrist,No fracture number {number}.' for number, name in enumerate([*files, *others])]
    if "locked.png" not in others:
        (root / "locked.png").unlink()
    (root / "metadata.csv").write_text("\n".join(["file,region,text", *rows]) + "\n")
    triplets = load(root, left_out=tmp_path / "left_out.csv")
    check(triplets, left_out(tmp_path / "left_out.csv"), files, others)


def test_data_card_with_every_fault_is_read(tmp_path: Path) -> None:
    files = make_films(tmp_path / "chd" / "asd")
    place_what_is_no_file(tmp_path / "chd" / "asd")
    (tmp_path / "chd" / "asd" / "locked.png").unlink()
    (tmp_path / "chd" / "normal").mkdir()
    (tmp_path / "chd" / "normal" / "1.png").write_bytes(TYPES["png"](1))
    triplets = load("chd-cxr", root=tmp_path / "chd", left_out=tmp_path / "left_out.csv")
    # The card knows the endings of its films.
    known = {f"asd/{name}": content for name, content in files.items() if not name.endswith(".tif")}
    check(triplets, left_out(tmp_path / "left_out.csv"), {**known, "normal/1.png": TYPES["png"](1)}, [])


def test_archive_with_every_fault_is_curated(tmp_path: Path) -> None:
    root, output = tmp_path / "archive", tmp_path / "out"
    files = make_films(root)
    others = place_what_is_no_file(root)
    (root / "locked.png").unlink()
    others = [name for name in others if name not in {"locked.png", "folder.png"}]  # an empty folder holds no film
    rows = [
        f'"{name}",P{number},S{number},"EXAM: XR wrist. FINDINGS: No fracture or dislocation of the wrist is seen."'
        for number, name in enumerate(files)
    ]
    (tmp_path / "reports.csv").write_text("\n".join(["image,patient_id,study_id,report", *rows]) + "\n")
    main(
        [
            *("--archive", str(root), "--reports", str(tmp_path / "reports.csv"), "--output", str(output)),
            "--acknowledge-identifiers",
        ]
    )
    films, listed = alone(files), left_out(output / "left_out.csv")
    triplets = load(output / "triplets")
    got = [np.asarray(row["image"]) for split in triplets.values() for row in split]
    # The names became pseudonyms: the films are found by their pixels.
    expected = sorted(film.tobytes() for film in films.values())
    assert sorted(film.tobytes() for film in got) == expected
    assert set(listed) >= (set(files) - set(films)) | set(others)
