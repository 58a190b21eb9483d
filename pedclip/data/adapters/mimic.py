"""MIMIC-CXR: JPEG films and reports in folders per patient and study; tables of metadata, split and labels."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pedclip.curation.extract import extract_regions
from pedclip.data.adapters.chexpert import certain_labels
from pedclip.data.adapters.reader import Reader, Row, one_of
from pedclip.data.adapters.sample import Sample
from pedclip.data.fields import LeftOut, read_view
from pedclip.data.prompts import Labels

_SPLITS: Final = {"test": "test", "validate": "validation", "train": "train"}
_VERSION: Final = "mimic-cxr-2.0.0"
_VIEWS: Final = {"LL": "lateral", "LATERAL": "lateral", "AP": "AP", "PA": "PA"}


def read_mimic(reader: Reader) -> Iterator[Sample]:
    """Chest films with what their report says of the chest; without reports, with sentences of the labels.

    The table of splits is read once per split, so that test comes first without holding it in memory.
    """
    views = {row["dicom_id"]: row["ViewPosition"] for _, row in _rows(reader, "metadata", ["dicom_id", "ViewPosition"])}
    labels = _labels(reader)

    def build(number: int, row: Row) -> Sample:
        subject, study, image = row["subject_id"], row["study_id"], row["dicom_id"]
        folder = Path("files", f"p{subject[:2]}", f"p{subject}", f"s{study}")
        text = _report(reader.root / folder.with_suffix(".txt"))
        view = views.get(image, "")
        if not text and study not in labels:
            raise LeftOut("neither a report nor a certain label")
        return Sample(
            path=reader.root / folder / f"{image}.jpg",
            file=f"{folder.as_posix()}/{image}.jpg",
            row=number,
            image_id=image,
            patient_id=subject,
            study_id=study,
            region="chest",
            split=_SPLITS[one_of(row["split"], tuple(_SPLITS), "split")],
            view=_VIEWS.get(view, read_view(view)),
            labels=labels.get(study),
            text=text,
            text_source="rules",
        )

    for part in (*_SPLITS, ""):  # "" is every value that is no split: `build` refuses it
        rows = _rows(reader, "split", ["dicom_id", "study_id", "subject_id", "split"])
        chosen = ((line, row) for line, row in rows if (row["split"] if row["split"] in _SPLITS else "") == part)
        yield from reader.samples(chosen, build, lambda row: row["dicom_id"])


def _rows(reader: Reader, table: str, columns: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    name = f"{_VERSION}-{table}.csv"
    return reader.rows(reader.file(f"{name}.gz", name), columns)


def _labels(reader: Reader) -> dict[str, Labels]:
    labels = {}
    for number, row in _rows(reader, "chexpert", ["study_id", *reader.card.labels]):
        try:
            labels[row["study_id"]] = certain_labels(row, reader.card.labels)
        except LeftOut as error:
            if "unknown" in str(error):
                reader.reject(f"{_VERSION}-chexpert.csv", number, str(error))
    return labels


def _report(path: Path) -> str:
    """What a report says of the chest, "" where there is no report or nothing in it about the chest."""
    try:
        report = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return extract_regions(report, ["chest"])["chest"].text
