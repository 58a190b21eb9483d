"""GRAZPEDWRI-DX: `dataset.csv`, PNG films, and boxes as YOLO or Pascal VOC files beside them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import yaml

from pedclip.data.adapters.annotations import voc_boxes, yolo_boxes
from pedclip.data.adapters.reader import Reader, Row, flag, labels_of, one_of
from pedclip.data.adapters.sample import BadAnnotation, LabeledBox, Sample
from pedclip.triplets.values import read_age, read_sex

_WORDS: Final = {
    "boneanomaly": "bone anomaly",
    "bonelesion": "bone lesion",
    "foreignbody": "foreign body",
    "periostealreaction": "periosteal reaction",
    "pronatorsign": "pronator sign",
    "softtissue": "soft tissue swelling",
}
_COLUMNS: Final = {"fracture_visible": "fracture", "osteopenia": "osteopenia", "metal": "metal", "cast": "cast"}
_SIDES: Final = {"L": "left", "R": "right"}
_VIEWS: Final = {"1": "AP", "2": "lateral"}
_MARKER: Final = "text"  # the box around a side marker: no finding, and nothing to be detected


def read_graz(reader: Reader) -> Iterator[Sample]:
    """Wrist films with their boxes; findings are the table's flags and the names of the boxes."""
    films = reader.index("**/*.png")
    yolo, voc = reader.index("**/labels/**/*.txt"), reader.index("**/*.xml")
    table = reader.table("dataset.csv", columns=reader.card.files[0].columns)
    names = _class_names(reader)

    def build(number: int, row: Row) -> Sample:
        stem = row["filestem"]

        def refuse(line: int, error: BadAnnotation) -> None:
            # Named after the file that was read.
            reader.leave_out((yolo if stem in yolo else voc)[stem].name, line, error)

        boxes: tuple[LabeledBox, ...] = ()
        # Each box is published in both formats; one is enough.
        if stem in yolo:
            boxes = yolo_boxes(yolo[stem], names, refuse)
        elif stem in voc:
            boxes = voc_boxes(voc[stem], reader.card.box_labels, refuse)
        # A copy with other classes has some that the card does not know.
        unknown = [box for box in boxes if box.label not in reader.card.box_labels]
        for box in unknown:
            refuse(box.row, BadAnnotation(f"unknown label {box.label[:40]!r}"))
        boxes = tuple(box for box in boxes if box.label != _MARKER and box not in unknown)
        # Flags of the table and names of boxes overlap; each finding is named once.
        flagged = [word for name, word in _COLUMNS.items() if flag(row, name, no=("", "0", "0.0"))]
        drawn = [_WORDS.get(box.label, box.label) for box in boxes]
        return Sample(
            path=films.get(stem, reader.root / f"{stem}.png"),
            file=stem,
            row=number,
            image_id=stem,
            patient_id=row["patient_id"],
            study_id=f"{row['patient_id']}-{row['study_number']}",
            region="wrist",
            laterality=_SIDES[one_of(row["laterality"], tuple(_SIDES), "laterality")],
            view=_VIEWS.get(row["projection"], ""),
            age_months=read_age(row),
            sex=read_sex(row["gender"]),
            labels=labels_of(list(dict.fromkeys(flagged + drawn)), absent=["fracture"]),
            boxes=tuple(replace(box, label=_WORDS.get(box.label, box.label)) for box in boxes),
        )

    yield from reader.samples(reader.rows(table, reader.card.files[0].columns), build, lambda row: row["filestem"])


def _class_names(reader: Reader) -> Sequence[str]:
    """Labels by class number: as a `names` of a YAML file beside the YOLO files has them, else as the card does."""
    for path in sorted(reader.root.glob("**/*.yaml")):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        names = content.get("names") if isinstance(content, dict) else None
        if isinstance(names, dict):
            names = [names[number] for number in sorted(names)]
        if isinstance(names, list) and names:
            return [str(name) for name in names]
    return reader.card.box_labels
