"""RadImageNet: slices of CT, MR and ultrasound, with lists of file and label. No radiographs: text says so."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from pedclip.anatomy import display_name
from pedclip.data.adapters.reader import Reader, Row, labels_of, one_of
from pedclip.data.adapters.sample import Sample
from pedclip.triplets.left_out import Reason, Unusable

_PARTS: Final = {"test": "test", "val": "validation", "train": "train"}
_MODALITIES: Final = {"CT": "CT slice", "MR": "MR slice", "US": "Ultrasound image"}
# Folder to region, where the 23 have one; "af" (ankle and foot), "spine" and "thyroid" have none.
_REGIONS: Final = {
    "abd": "abdomen",
    "brain": "skull",
    "hip": "hip",
    "knee": "knee",
    "lung": "chest",
    "shoulder": "shoulder",
}


def read_radimagenet(reader: Reader) -> Iterator[Sample]:
    """Slices with one label each; the text names the modality, the region and the label."""
    for part, split in _PARTS.items():
        columns = ["filename", "label"]
        rows = reader.rows(reader.table(f"RadiologyAI_{part}.csv", columns=columns), columns)
        yield from reader.samples(rows, partial(_build, reader, split), lambda row: row["filename"])


def _build(reader: Reader, split: str, number: int, row: Row) -> Sample:
    # "radiology_ai/MR/knee/<label>/<file>.png"
    file = row["filename"].replace("\\", "/")  # copies made on Windows
    parts = file.split("/")
    if len(parts) < 4:
        raise Unusable(Reason.BROKEN_ROW, f"path of {len(parts)} parts; expected …/modality/anatomy/label/file")
    modality = one_of(parts[-4], tuple(_MODALITIES), "modality")
    if parts[-3] not in _REGIONS:
        raise Unusable(Reason.REGION_UNKNOWN, f"anatomy {parts[-3][:20]!r} is none of the 23 regions")
    region, label = _REGIONS[parts[-3]], row["label"].replace("_", " ").replace("-", " ").strip().lower()
    if not label:
        raise Unusable(Reason.NO_TEXT, "label is blank")
    return Sample(
        path=reader.file(file, "/".join(parts[-4:])),
        file=file,
        row=number,
        # Names of files repeat between folders.
        image_id="/".join(parts[-4:]),
        # Patients were not published: every slice stands for one.
        patient_id="/".join(parts[-4:]),
        region=region,
        split=split,
        labels=labels_of([label]),
        text=f"{_MODALITIES[modality]} of the {display_name(region)}. {label.capitalize()}.",
        text_source="label-prompt",
    )
