"""Pedi-CXR (VinDr-PCXR): DICOM films, one table of diagnoses and one of boxes for each official part."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pedclip.data.adapters.annotations import corner_box
from pedclip.data.adapters.reader import Reader, Row, flag, labels_of
from pedclip.data.adapters.sample import DEVELOPMENT, OF_PATIENT, BadAnnotation, LabeledBox, Sample

_PARTS: Final = {"test": "test", "train": DEVELOPMENT}
_NORMAL: Final = "No finding"
# As the tables misspell them, to what is meant.
_MEANT: Final = {
    "Brocho-pneumonia": "bronchopneumonia",
    "Bronchectasis": "bronchiectasis",
    "CPAM": "congenital pulmonary airway malformation",
    "Dextro cardia": "dextrocardia",
    "Diagphramatic hernia": "diaphragmatic hernia",
    "Diffuse aveolar opacity": "diffuse alveolar opacity",
    "Enlarged PA": "enlarged pulmonary artery",
    "Interstitial lung disease - ILD": "interstitial lung disease",
    "Paraveterbral mass": "paravertebral mass",
    "Pleuro-pneumonia": "pleuropneumonia",
}
_CORNERS: Final = ("x_min", "y_min", "x_max", "y_max")


def read_pedi_cxr(reader: Reader) -> Iterator[Sample]:
    """Chest films of children; findings are the diagnoses of the image, boxes the local findings."""
    for part in _PARTS:
        boxes = _read_boxes(reader, part)
        columns, name = ["image_id", *reader.card.labels], f"image_labels_{part}.csv"
        rows = reader.rows(reader.table(name, f"annotations/{name}", columns=columns), columns)
        folder = reader.root / part

        # Bound as defaults, so that the closure does not follow the loop.
        def build(number: int, row: Row, part: str = part, folder: Path = folder, boxes: _Boxes = boxes) -> Sample:
            image = row["image_id"]
            path = folder / f"{image}.dicom"
            found = [name for name in reader.card.labels if flag(row, name)]
            return Sample(
                path=path,
                file=f"{part}/{path.name}",
                row=number,
                image_id=image,
                patient_id=image,
                region="chest",
                split=_PARTS[part],
                labels=labels_of([_MEANT.get(name, name) for name in found]),
                boxes=tuple(boxes.get(image, ())),
                header=OF_PATIENT,
            )

        yield from reader.samples(rows, build, lambda row: row["image_id"])


_Boxes = dict[str, list[LabeledBox]]


def _read_boxes(reader: Reader, part: str) -> _Boxes:
    columns, table = ["image_id", "class_name", *_CORNERS], f"annotations_{part}.csv"
    path = reader.table(table, f"annotations/{table}", columns=columns)
    boxes: _Boxes = defaultdict(list)
    known = reader.card.box_labels
    for number, row in reader.rows(path, columns):
        name = row["class_name"]
        # A film without local findings has one blank row.
        if name == _NORMAL and not any(row[column] for column in _CORNERS):
            continue
        try:
            # A label that the card does not list may be a misspelling of one that it does.
            if name not in known:
                raise BadAnnotation(f"unknown label {name[:40]!r}; see box_labels of the card {reader.card.name}")
            label = _MEANT.get(name, name).lower()
            boxes[row["image_id"]].append(corner_box([row[column] for column in _CORNERS], label, number))
        except BadAnnotation as error:
            reader.leave_out(path.name, number, error)
    return boxes
