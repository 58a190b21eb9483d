"""The phantom as a hospital would hand it over: DICOM and PNG films, a table of reports, and what is wrong with them.

Notebook 01 writes this folder and then curates it like anyone's. A fixed fraction of the films has a wrong tag or none,
and a few files are of the kinds that every real archive holds: broken, blank, copied, without a report.
"""

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from pedclip.anatomy import display_name
from pedclip.artefacts import write_bytes, write_text

TAG_WRONG: Final = 0.15  # fraction of DICOM films with another body part; measured in a hospital by Gueld et al. (2002)
TAG_BLANK: Final = 0.2  # fraction without one
WORDS_SILENT: Final = 0.3  # fraction of films whose description or file name names no region
SIZE: Final = 192  # height and width of a film, pixels
# Invented: nobody of this name is known to us.
IDENTIFYING: Final = "Callus has formed since the fracture of 3/14/2021. Discussed with Dr. Quillfeather."
_COLUMNS: Final = ("study_id", "accession", "patient_id", "report", "sex", "age_months")
_UID: Final = "1.2.826.0.1.3680043.10.1"  # root of the identifiers of studies and films


@dataclass(frozen=True)
class PhantomArchive:
    """A folder as a hospital would send it, and what only the phantom can tell.

    Args:
        root: The folder.
        reports: The table of reports in it.
        salt: Key of the pseudonyms, made from the seed so that the split is the same on every machine; a drawn patient
            has nothing to hide.
        truth: Region that was drawn, by POSIX path of the film relative to the folder.
    """

    root: Path
    reports: Path
    salt: Path
    truth: Mapping[str, str]


def write_phantom_archive(folder: str | Path, *, studies: int, seed: int) -> PhantomArchive:
    """Write the folder anew: `dicom/`, `png/`, `misc/` and `reports.csv`; beside it the salt.

    Args:
        folder: Where; what lies there is replaced, if it was written by this function.
        studies: At least 20; every second one is DICOM, the others are PNG.
        seed: Of the films, the reports and of which tags are wrong.

    Raises:
        FileExistsError: The folder holds something else.
    """
    from pedclip.data.phantom.stream import generate_reports
    from pedclip.data.phantom.study import draw_studies

    root = Path(folder)
    salt, truth = root.with_name(f"{root.name}.salt"), {}
    if root.exists():
        # Both are written last: only a folder of this function has them.
        if not (salt.is_file() and (root / "reports.csv").is_file()):
            raise FileExistsError(f"{root} is no archive of the phantom; move it away, or give the run another name.")
        shutil.rmtree(root)
    reports = generate_reports(studies, seed)
    rng = np.random.default_rng([seed, studies])
    table = []
    for number, rows in enumerate(draw_studies(range(studies), seed=seed, size=SIZE)):
        record = reports[number]
        for order, row in enumerate(rows):
            write = _write_dicom if number % 2 == 0 else _write_png
            path = write(root, row, record["filmed_regions"], number=number, order=order, rng=rng)
            truth[path.relative_to(root).as_posix()] = row["region"]
        age = f"{rows[0]['age_months']:.1f}"  # as a table has it: text, one decimal
        study, patient = record["report_id"], rows[0]["patient_id"]
        table.append([study, _accession(number), patient, record["report_text"], rows[0]["sex"], age])
    single = [number for number in range(1, studies, 2) if len(reports[number]["filmed_regions"]) == 1]
    _add_trouble(root, table, [reports[number]["report_id"] for number in single])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_COLUMNS, *table])
    write_text(root / "reports.csv", text.getvalue())
    write_text(salt, hashlib.sha256(f"phantom {seed}".encode()).hexdigest())
    return PhantomArchive(root, root / "reports.csv", salt, truth)


def _accession(number: int) -> str:
    return f"A{number:06d}"


def _words(row: dict[str, Any], rng: np.random.Generator) -> str:
    """Words that people wrote about the film: "XR left wrist lateral", or a view alone."""
    name = f"{row['laterality']} {display_name(row['region'])}".strip()
    return str(row["view"]) if rng.random() < WORDS_SILENT else f"XR {name} {row['view']}"


def _write_png(
    root: Path, row: dict[str, Any], _: Sequence[str], *, number: int, order: int, rng: np.random.Generator
) -> Path:
    words = _words(row, rng).replace(" ", "_")
    path = root / "png" / f"{row['study_id']}_{order}_{words}.png"
    write_bytes(path, row["image"]["bytes"])
    return path


def _write_dicom(
    root: Path, row: dict[str, Any], filmed: Sequence[str], *, number: int, order: int, rng: np.random.Generator
) -> Path:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

    pixels = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))
    # Both polarities occur in archives; the reader must undo MONOCHROME1.
    is_inverted = bool(rng.random() < 0.25)
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = ComputedRadiographyImageStorage
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = f"{_UID}.{number + 1}.{order + 1}"
    header.StudyInstanceUID, header.AccessionNumber = f"{_UID}.{number + 1}", _accession(number)
    header.Modality, header.PatientID, header.PatientSex = "CR", row["patient_id"], row["sex"]
    header.PatientAge = f"{int(row['age_months']):03d}M"
    # Drawn in this order: tag, then words.
    header.BodyPartExamined, header.SeriesDescription = _tag(row["region"], filmed, rng), _words(row, rng)
    header.ImageLaterality = {"left": "L", "right": "R"}.get(row["laterality"], "")
    header.Rows, header.Columns, header.SamplesPerPixel = *pixels.shape, 1
    header.PhotometricInterpretation = "MONOCHROME1" if is_inverted else "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 8, 8, 7, 0
    header.add_new("PixelData", "OB", (255 - pixels if is_inverted else pixels).tobytes())
    path: Path = root / "dicom" / row["study_id"] / f"{order}.dcm"
    path.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(path, enforce_file_format=True)
    return path


def _tag(region: str, filmed: Sequence[str], rng: np.random.Generator) -> str:
    """Body Part Examined: right, of a region that was not filmed, or blank."""
    terms = json.loads((files("pedclip") / "anatomy.json").read_text(encoding="utf-8"))["regions"]
    ticket, others = rng.random(), [name for name in terms if name not in filmed]
    if ticket < TAG_BLANK:
        return ""
    # A wrong tag names a region that the study does not show, or it might be right by chance.
    if ticket < TAG_BLANK + TAG_WRONG:
        region = others[int(rng.integers(len(others)))]
    return str(terms[region]["dicom"][0])


def _add_trouble(root: Path, table: list[list[str]], single: Sequence[str]) -> None:
    """Add the broken and stray files that every archive holds; `single` are studies of one region with PNG films."""
    # Sorted: the order of a folder is the file system's.
    films = sorted((root / "png").glob("*.png"))
    first = sorted((root / "dicom").glob("*/0.dcm"))[0]
    write_bytes(root / "misc/consent.pdf", b"%PDF-1.7\nnot a film\n")
    write_bytes(root / "misc/empty.dcm", b"")
    write_bytes(root / "misc/truncated.dcm", first.read_bytes()[:4000])  # header and some pixels
    blank = io.BytesIO()
    Image.new("L", (SIZE, SIZE), 255).save(blank, "PNG")
    write_bytes(root / "png" / f"{single[0]}_8.png", blank.getvalue())
    write_bytes(root / "png/unknown-study_0.png", films[-1].read_bytes())  # a film without a report
    # One film twice, under two patients: one of the identities is wrong, and a split by patient alone would leak.
    owner = next(name for name in reversed(single) if not films[0].name.startswith(f"{name}_"))
    write_bytes(root / "png" / f"{owner}_9.png", films[0].read_bytes())
    # A report without a film.
    table.append(["report-without-film", "", "nobody", "EXAM: Left knee. FINDINGS: No fracture.", "F", "60"])
    for row in table:
        if row[0] == single[1]:
            row[3] = f"{row[3]}\n{IDENTIFYING}"
