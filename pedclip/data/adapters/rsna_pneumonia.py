"""RSNA Pneumonia Detection Challenge: DICOM films, one row per box, and the class of every film."""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from pedclip.data.adapters.annotations import sized_box
from pedclip.data.adapters.reader import Reader, flag, labels_of, one_of
from pedclip.data.adapters.sample import OF_PATIENT, LabeledBox, Sample
from pedclip.data.label_terms import Labels
from pedclip.triplets.left_out import Reason, Unusable
from pedclip.triplets.tabular import TableError

_CLASSES: Final = {
    "Lung Opacity": ["lung opacity"],
    "No Lung Opacity / Not Normal": ["abnormality other than lung opacity"],
    "Normal": [],
}
_EDGES: Final = ("x", "y", "width", "height")
_MAPPING: Final = "pneumonia-challenge-dataset-mappings_2018.json"


def read_rsna_pneumonia(reader: Reader) -> Iterator[Sample]:
    """Chest films with boxes of opacity.

    The patient is the one of ChestX-ray14 where the published mapping lies in the folder, else the film.
    """
    # Both tables are held in memory: a film may have several rows in each.
    labels, first, boxes = _classes(reader), *_boxes(reader)
    patients = _patients(reader)

    def build(number: int, image: str) -> Sample:
        if image not in labels:
            raise Unusable(Reason.NO_TEXT, "no class in stage_2_detailed_class_info.csv")
        path = reader.root / "stage_2_train_images" / f"{image}.dcm"
        return Sample(
            path=path,
            file=path.name,
            row=number,
            image_id=image,
            # The challenge renamed the films, so patients are known by the mapping alone.
            patient_id=patients.get(image, image),
            region="chest",
            labels=labels[image],
            boxes=tuple(boxes[image]),
            header=OF_PATIENT,
        )

    yield from reader.samples(((first[image], image) for image in first), build, lambda image: f"{image}.dcm")


def _classes(reader: Reader) -> dict[str, Labels]:
    columns = ["patientId", "class"]
    path = reader.table("stage_2_detailed_class_info.csv", columns=columns)
    labels = {}
    for number, row in reader.rows(path, columns):
        try:
            labels[row["patientId"]] = labels_of(_CLASSES[one_of(row["class"], tuple(_CLASSES))])
        except Unusable as error:
            reader.leave_out(path.name, number, error)
    return labels


def _boxes(reader: Reader) -> tuple[dict[str, int], dict[str, list[LabeledBox]]]:
    """First line of every film of the table, and its boxes."""
    columns = ["patientId", *_EDGES, "Target"]
    path = reader.table("stage_2_train_labels.csv", columns=columns)
    first: dict[str, int] = {}
    boxes: dict[str, list[LabeledBox]] = defaultdict(list)
    for number, row in reader.rows(path, columns):
        first.setdefault(row["patientId"], number)  # a film is reported by its first line
        try:
            if flag(row, "Target"):  # a row without a target has blank coordinates
                boxes[row["patientId"]].append(sized_box([row[name] for name in _EDGES], "lung opacity", number))
        except Unusable as error:
            reader.leave_out(path.name, number, error)
    return first, boxes


def _patients(reader: Reader) -> dict[str, str]:
    path = reader.official(_MAPPING)
    if not path:
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {entry["subset_img_id"]: entry["img_id"].split("_")[0] for entry in entries}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TableError(
            f"{path} is not the published mapping ({type(error).__name__}); remove or replace it."
        ) from None
