"""MIMIC-CXR: JPEG films and reports in folders per patient and study; tables of metadata, split and labels."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pedclip.curation.extract import extract_regions
from pedclip.curation.report.language import OtherLanguage
from pedclip.data.adapters.chexpert import certain_labels, uncertain_findings
from pedclip.data.adapters.reader import Reader, Row, one_of
from pedclip.data.adapters.sample import Sample
from pedclip.data.label_terms import Labels
from pedclip.triplets.left_out import Reason, Unusable
from pedclip.triplets.values import read_view

_SPLITS: Final = {"test": "test", "validate": "validation", "train": "train"}
_VERSION: Final = "mimic-cxr-2.0.0"
_VIEWS: Final = {"LL": "lateral", "LATERAL": "lateral", "AP": "AP", "PA": "PA"}


def read_mimic(reader: Reader) -> Iterator[Sample]:
    """Chest films with the sentences of their report about the chest; without reports, with sentences of the labels.

    The table of splits is held in memory, so that test comes first: about 220 MB for the whole data set.
    """
    views = {row["dicom_id"]: row["ViewPosition"] for _, row in _rows(reader, "metadata", ["dicom_id", "ViewPosition"])}
    labels = _labels(reader)

    def build(number: int, row: Row) -> Sample:
        subject, study, image = row["subject_id"], row["study_id"], row["dicom_id"]
        # The layout of PhysioNet: the first two digits group the patients.
        folder = Path("files", f"p{subject[:2]}", f"p{subject}", f"s{study}")
        try:
            text = _report(reader.root / folder.with_suffix(".txt"))
        except OtherLanguage as error:
            if study not in labels:
                raise Unusable(Reason.OTHER_LANGUAGE, str(error)) from None
            text = ""
        view = views.get(image, "")
        certain, uncertain = labels.get(study, (None, ()))
        if not text and study not in labels:
            raise Unusable(Reason.NO_TEXT, "neither a report nor a certain label")
        return Sample(
            path=reader.root / folder / f"{image}.jpg",
            file=f"{folder.as_posix()}/{image}.jpg",
            row=number,
            image_id=image,
            patient_id=subject,
            study_id=study,
            region="chest",
            split=_SPLITS[one_of(row["split"], tuple(_SPLITS), "split")],
            view=_VIEWS.get(view, read_view(view)),  # other positions are read as words
            labels=certain,
            uncertain=uncertain,
            text=text,
            text_source="rules",  # the report was cut by `curation.extract`
        )

    order = {name: place for place, name in enumerate(_SPLITS)}
    rows = _rows(reader, "split", ["dicom_id", "study_id", "subject_id", "split"])
    # A value that is no split comes last, and `build` refuses it.
    in_order = sorted(rows, key=lambda line: order.get(line[1]["split"], len(order)))
    yield from reader.samples(in_order, build, lambda row: row["dicom_id"])


def _rows(reader: Reader, table: str, columns: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    name = f"{_VERSION}-{table}.csv"
    # As downloaded, or unpacked.
    return reader.rows(reader.table(f"{name}.gz", name, columns=columns), columns)


def _labels(reader: Reader) -> dict[str, tuple[Labels, tuple[str, ...]]]:
    """Certain and uncertain labels of each study that has a certain one."""
    labels = {}
    for number, row in _rows(reader, "chexpert", ["study_id", *reader.card.labels]):
        try:
            found = certain_labels(row, reader.card.labels)
        except Unusable as error:
            reader.leave_out(f"{_VERSION}-chexpert.csv", number, error)
            continue
        if found is not None:
            labels[row["study_id"]] = found, uncertain_findings(row, reader.card.labels)
    return labels


def _report(path: Path) -> str:
    """Sentences of a report about the chest, "" where there is no report or nothing in it about the chest."""
    try:
        report = path.read_text(encoding="utf-8", errors="replace")  # a broken byte must not cost a report
    except OSError:
        return ""
    return extract_regions(report, ["chest"])["chest"].text
