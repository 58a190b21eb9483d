"""One image as an adapter describes it, before the image is opened."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pedclip.data.label_terms import Labels
from pedclip.triplets.annotations import Box, clip_box
from pedclip.triplets.left_out import Reason, Unusable

# Official training part of a data set without an official validation part: a hash of the patient cuts that off.
DEVELOPMENT: Final = "development"

OF_PATIENT: Final = ("age_months", "sex", "view")  # fields of a DICOM header, where the tables lack them

Size = tuple[int, int]  # height, width in pixels
Mask = NDArray[np.bool_]  # (H, W)


class BadAnnotation(Unusable):
    """A box or mask that cannot be used; the message says why, for `left_out.csv`."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.BAD_ANNOTATION, detail)


@dataclass(frozen=True)
class LabeledBox:
    """A rectangle on an image.

    Args:
        x: Left edge, in pixels of the file, or as a fraction of its width.
        y: Top edge.
        width: Above 0.
        height: Above 0.
        label: In plain lower-case words.
        row: Line of the annotation file, for the list of what was left out.
        is_relative: True where the numbers are fractions of the image in [0, 1] (YOLO) instead of pixels.
    """

    x: float
    y: float
    width: float
    height: float
    label: str
    row: int = 0
    is_relative: bool = False

    def in_pixels(self, size: Size) -> "LabeledBox":
        """The same box in pixels of an image of (height, width)."""
        if not self.is_relative:  # pixels already
            return self
        height, width = size  # (H, W), as everywhere
        return LabeledBox(
            self.x * width, self.y * height, self.width * width, self.height * height, self.label, self.row
        )

    def clipped(self, size: Size) -> "LabeledBox | None":
        """The part of the box (in pixels) on an image of (height, width), None where there is none."""
        inside = clip_box(Box(self.x, self.y, self.width, self.height), size)
        return inside and LabeledBox(*inside, self.label, self.row)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """An image of a data set with the entries of its tables.

    Args:
        path: The image file; it may be absent.
        file: The same as the tables write it, for the list of what was left out.
        row: Line of the table, for the list of what was left out; 0 where there is no table.
        image_id: Unique within the data set.
        patient_id: As published; the image where the data set names no patients.
        region: One of the 23.
        split: "train", "validation" or "test" as published, `DEVELOPMENT`, or "" for a hash of the patient.
        study_id: "" stands for the image.
        laterality: "", "left", "right" or "both".
        view: As in the schema.
        age_months: Months, None where unknown.
        sex: "F", "M" or "".
        bone_age_months: Months, None where it was not measured.
        labels: None where nobody labelled the image.
        uncertain: Findings that may be there, in plain lower-case words; empty without labels.
        text: Text that came with the image, "" to make sentences of the labels.
        text_source: Where `text` is from, one of the schema's.
        boxes: May be empty.
        mask: Draws the mask (H, W) at a given (height, width) and may raise `BadAnnotation`; None where there is none.
        header: Fields that the DICOM header of the file has the last word on, of "patient_id", "age_months", "sex" and
            "view"; what it leaves blank stays.
    """

    path: Path
    file: str
    row: int
    image_id: str
    patient_id: str
    region: str
    split: str = ""
    study_id: str = ""
    laterality: str = ""
    view: str = ""
    age_months: float | None = None
    sex: str = ""
    bone_age_months: float | None = None
    labels: Labels | None = None
    uncertain: tuple[str, ...] = ()
    text: str = ""
    text_source: str = "caption"
    boxes: tuple[LabeledBox, ...] = ()
    mask: Callable[[Size], Mask] | None = None
    header: tuple[str, ...] = ()
