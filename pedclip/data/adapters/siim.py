"""SIIM-ACR Pneumothorax: DICOM films in nested folders and one row of run lengths per mask."""

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Final

from pedclip.data.adapters.annotations import runs_mask
from pedclip.data.adapters.reader import Reader, labels_of
from pedclip.data.adapters.sample import OF_PATIENT, BadAnnotation, Sample
from pedclip.triplets.left_out import Reason, Unusable

_TABLES: Final = ("stage_2_train.csv", "train-rle.csv")
_EMPTY: Final = "-1"


def read_siim(reader: Reader) -> Iterator[Sample]:
    """Chest films with the joined mask of their pneumothoraces."""
    # Films lie in folders of their study and series, and are found by their stem.
    films = reader.index("**/*.dcm")
    columns = ["ImageId", "EncodedPixels"]
    masks: dict[str, list[str]] = defaultdict(list)
    first: dict[str, int] = {}
    for number, row in reader.rows(reader.table(*_TABLES, columns=columns), columns):
        image, runs = row["ImageId"], row["EncodedPixels"]
        first.setdefault(image, number)
        if runs and runs in masks[image]:
            reader.leave_out(f"{image}.dcm", number, BadAnnotation("the same mask a second time"))
        else:
            masks[image].append(runs)  # one row per mask, several per film

    def build(number: int, image: str) -> Sample:
        film = films.get(image, reader.root / f"{image}.dcm")
        runs = [text for text in masks[image] if text != _EMPTY]
        if not all(masks[image]):
            detail = "EncodedPixels is blank; expected run lengths, or -1 for no pneumothorax"
            raise Unusable(Reason.UNKNOWN_VALUE, detail)
        return Sample(
            path=film,
            file=f"{image}.dcm",
            row=number,
            image_id=image,
            patient_id=image,
            region="chest",
            # The data set is about this one finding.
            labels=labels_of(["pneumothorax"] if runs else [], absent=["pneumothorax"]),
            mask=partial(runs_mask, runs) if runs else None,  # drawn when the size of the image is known
            header=("patient_id", *OF_PATIENT),
        )

    yield from reader.samples(((first[image], image) for image in masks), build, lambda image: f"{image}.dcm")
