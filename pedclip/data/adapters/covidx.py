"""COVIDx CXR: one line per film with patient, file, class and the collection it was taken from."""

from collections.abc import Iterator
from typing import Final

from pedclip.data.adapters.reader import Reader, labels_of, one_of
from pedclip.data.adapters.sample import DEVELOPMENT, Sample
from pedclip.triplets.left_out import Reason, Unusable

_CLASSES: Final = {
    "normal": [],
    "pneumonia": ["pneumonia"],
    "COVID-19": ["covid-19"],
    "positive": ["covid-19"],
    "negative": [],
}


def read_covidx(reader: Reader) -> Iterator[Sample]:
    """Chest films of three or two classes; the patient is the patient of its collection."""
    has_validation = (reader.root / "val.txt").is_file()
    parts = {"test": "test", "train": DEVELOPMENT}
    # Later releases have a validation list.
    if has_validation:
        parts = {"test": "test", "val": "validation", "train": "train"}

    def build(number: int, row: tuple[str, list[str]]) -> Sample:
        part, cells = row
        if len(cells) != 4:
            detail = f"line of {len(cells)} words; expected patient, file, class and collection"
            raise Unusable(Reason.BROKEN_ROW, detail)
        patient, file, label, collection = cells
        terms = _CLASSES[one_of(label, tuple(_CLASSES))]
        return Sample(
            path=reader.root / part / file,
            file=f"{part}/{file}",
            row=number,
            image_id=f"{part}/{file}",
            # Collections number their patients independently.
            patient_id=f"{collection}/{patient}",
            region="chest",
            split=parts[part],
            # "negative" denies COVID-19 and nothing else.
            labels=labels_of(terms, absent=["covid-19"] if label == "negative" else []),
        )

    for part in parts:
        lines = reader.lines(reader.root / f"{part}.txt", separator=None)
        named = ((number, (part, cells)) for number, cells in lines)
        yield from reader.samples(named, build, lambda row: f"{row[0]}/{row[1][1] if len(row[1]) > 1 else ''}")
