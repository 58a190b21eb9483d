"""COVIDx CXR: one line per film with patient, file, class and the collection it was taken from."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pedclip.data.adapters.reader import Reader, labels_of, one_of
from pedclip.data.adapters.sample import DEVELOPMENT, Sample
from pedclip.triplets.left_out import Reason, Unusable
from pedclip.triplets.values import is_blank

_CLASSES: Final = {
    "normal": [],
    "pneumonia": ["pneumonia"],
    "COVID-19": ["covid-19"],
    "positive": ["covid-19"],
    "negative": [],
}
_PICTURES: Final = (".png", ".jpg", ".jpeg")


def read_covidx(reader: Reader) -> Iterator[Sample]:
    """Chest films of three or two classes; the patient is the patient of its collection."""
    has_validation = reader.official("val.txt")
    parts = {"test": "test", "train": DEVELOPMENT}
    # Later releases have a validation list.
    if has_validation:
        parts = {"test": "test", "val": "validation", "train": "train"}

    def build(number: int, row: tuple[str, str]) -> Sample:
        part, line = row
        patient, file, label, collection = _fields(line, reader.root / part)
        return Sample(
            path=reader.root / part / file,
            file=f"{part}/{file}",
            row=number,
            image_id=f"{part}/{file}",
            # Collections number their patients independently.
            patient_id=f"{collection}/{patient}" if patient else f"{part}/{file}",
            region="chest",
            split=parts[part],
            # "negative" denies COVID-19 and nothing else.
            labels=labels_of(_CLASSES[label], absent=["covid-19"] if label == "negative" else []),
        )

    for part in parts:
        lines = reader.lines(reader.table(f"{part}.txt"), separator="\n")
        named = ((number, (part, cells[0])) for number, cells in lines)
        yield from reader.samples(named, build, lambda row: f"{row[0]}/{_named_file(row[1])}")


def _named_file(line: str) -> str:
    """The word of a line that is a picture's name, else the line, shortened."""
    return next((word for word in line.split() if word.lower().endswith(_PICTURES)), line[:80])


def _fields(line: str, folder: Path) -> tuple[str, str, str, str]:
    """Patient, file, class and collection of a line; patient and file may hold blanks, the first lists no collection.

    Raises:
        Unusable: No class where it should stand, an unknown one, or no file.
    """
    words = [*re.finditer(r"\S+", line)]
    labels = [place for place in (-2, -1) if len(words) >= 2 and words[place][0] in _CLASSES]
    if not labels and len(words) >= 4:
        labels = [-2]
    if not labels or len(words) + labels[0] < 1:
        detail = f"line of {len(words)} words; expected patient, file, class and collection"
        raise Unusable(Reason.BROKEN_ROW, detail)
    one_of(words[labels[0]][0], tuple(_CLASSES))
    label, collection = words[labels[0]][0], words[-1][0] if labels[0] == -2 else ""
    front = line[: words[labels[0]].start()].rstrip()
    starts = [word.start() for word in words if word.start() < len(front)]
    # Where a blank may be of either, the file that is there decides; else a name has none.
    start = next((start for start in starts[1:] if (folder / front[start:]).is_file()), starts[-1])
    if start == starts[-1] and not (folder / front[start:]).is_file() and (folder / front).is_file():
        start = 0
    patient = front[:start].strip()
    return "" if is_blank(patient) else patient, front[start:], label, collection
