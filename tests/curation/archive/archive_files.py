"""Invented archives for the tests: DICOM films of every kind, reports, and files that only look like one."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import compress
from pydicom.sequence import Sequence
from pydicom.uid import (
    BasicTextSRStorage,
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from pedclip.curation.archive.reader import read_archive
from pedclip.curation.archive.studies import Archive
from pedclip.triplets import load_triplets


def picture(seed: int, *, deep: bool = False, size: int = 48) -> NDArray[Any]:
    """A film unlike those of other seeds: smooth random blobs, 8 or 12 bits."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6), dtype=np.uint8)
    film = np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))
    return (film.astype(np.uint16) * 16) if deep else film


def save_picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed)).save(path)


def film(path: Path, seed: int, *, syntax: str = ExplicitVRLittleEndian, deep: bool = True, **elements: Any) -> None:
    """A computed radiograph; an element given as None is missing."""
    pixels = picture(seed, deep=deep)
    header = _header(ComputedRadiographyImageStorage)
    header.Modality, header.PatientID, header.PatientSex, header.PatientAge = "CR", f"MRN{seed:06d}", "F", "007Y"
    header.StudyInstanceUID = f"1.2.826.0.{seed}"
    header.Rows, header.Columns, header.SamplesPerPixel = *pixels.shape, 1
    header.PhotometricInterpretation, header.PixelRepresentation = "MONOCHROME2", 0
    header.BitsAllocated, header.BitsStored = (16, 12) if deep else (8, 8)
    header.HighBit = header.BitsStored - 1
    header.add_new("PixelData", "OW" if deep else "OB", pixels.tobytes())
    if syntax == JPEGBaseline8Bit:
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "JPEG", quality=95)
        header.PixelData = encapsulate([content.getvalue()])
        header["PixelData"].is_undefined_length = True
        header.file_meta.TransferSyntaxUID = syntax
    elif syntax != ExplicitVRLittleEndian:
        compress(header, syntax)
    for name, value in elements.items():
        if value is None:
            delattr(header, name)
        else:
            setattr(header, name, value)
    _save(header, path)


def structured_report(path: Path, sections: dict[str, str], **elements: Any) -> None:
    header = _header(BasicTextSRStorage)
    header.Modality = "SR"
    header.ContentSequence = Sequence([_container(name, text) for name, text in sections.items()])
    for name, value in elements.items():
        setattr(header, name, value)
    _save(header, path)


def _container(name: str, text: str) -> Dataset:
    item, code, words = Dataset(), Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99TEST", name
    words.ValueType, words.TextValue = "TEXT", text
    item.ValueType, item.ConceptNameCodeSequence, item.ContentSequence = (
        "CONTAINER",
        Sequence([code]),
        Sequence([words]),
    )
    return item


def _header(kind: str) -> Dataset:
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = kind
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = "1.2.3"
    return header


def _save(header: Dataset, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(path, enforce_file_format=True)


def report(region: str, *, side: str = "", finding: str = "No fracture or dislocation is seen.") -> str:
    """An invented report of one film."""
    name = f"{side} {region}".strip()
    return f"EXAM: XR {name}, 2 views.\nINDICATION: Fall.\nFINDINGS: {finding} The joint is well aligned."


PARTS = ("knee", "hand", "elbow", "foot", "ankle", "wrist")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def triplets_of(output: Path) -> list[dict[str, Any]]:
    return [row | {"split": name} for name, data in load_triplets(output / "triplets").items() for row in data]


def make_archive(root: Path, *, studies: int = 8, finding: str = "No fracture or dislocation is seen.") -> Archive:
    """One film and one text per study, a patient for each."""
    for number in range(studies):
        film(root / f"s{number:03d}/im", number, BodyPartExamined=PARTS[number % 6].upper())
        (root / f"s{number:03d}/report.txt").write_text(report(PARTS[number % 6], finding=finding))
    return read_archive(root)


def table(path: Path, rows: list[dict[str, Any]]) -> Path:
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def reasons(archive: Archive) -> dict[str, str]:
    return {item.name: item.reason for item in archive.left_out}
