"""RSNA Bone Age: left hands, one table per official part with the bone age in months and the sex."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pedclip.data.adapters.reader import Reader, Row, one_of
from pedclip.data.adapters.sample import Sample
from pedclip.triplets.left_out import Reason, Unusable
from pedclip.triplets.values import read_bone_age


@dataclass(frozen=True)
class _Part:
    """Files and column names of one official part."""

    split: str
    table: str
    images: str
    image: str
    months: str
    sex: str


_PARTS: Final = (
    _Part("test", "Bone age ground truth.csv", "*test*/**/*.png", "Case ID", "Ground truth bone age (months)", "Sex"),
    _Part("validation", "Validation Dataset.csv", "*validation*/**/*.png", "Image ID", "Bone Age (months)", "male"),
    _Part("train", "boneage-training-dataset.csv", "*training*/**/*.png", "id", "boneage", "male"),
)
_SEXES: Final = {"true": "M", "m": "M", "false": "F", "f": "F"}


def read_hands(reader: Reader) -> Iterator[Sample]:
    """Hands with bone age; nobody labelled findings, so that the text names the bone age alone.

    The official split is used where more than the training part is in the folder; the training part alone is split by
    hash.
    """
    tables = {part: reader.official(part.table, columns=[part.image, part.months, part.sex]) for part in _PARTS}
    found = {part: table for part, table in tables.items() if table}
    for part, table in found.items():
        yield from _read_part(reader, part, table, part.split if len(found) > 1 else "")


def _read_part(reader: Reader, part: _Part, table: Path, split: str) -> Iterator[Sample]:
    # Archives unpack into folders of different names, so films are found by their stem.
    # The film's own folder may be spelt with capitals.
    films = reader.index("**/*.png") if table.parent != reader.root else reader.index(part.images)

    def build(number: int, row: Row) -> Sample:
        image = row[part.image]
        # Read by the common rules for ages, so 0 to 240 months.
        months = read_bone_age({"bone_age_months": row[part.months]})
        if months is None:
            detail = f"{part.months}: expected 0 to 240 months, got {row[part.months][:20]!r}"
            raise Unusable(Reason.UNKNOWN_VALUE, detail)
        return Sample(
            path=films.get(image, Path(reader.root, f"{image}.png")),
            file=f"{image}.png",
            row=number,
            image_id=image,
            patient_id=image,
            region="hand",
            laterality="left",  # the atlas of Greulich and Pyle is one of left hands
            split=split,
            sex=_SEXES[one_of(row[part.sex].lower(), tuple(_SEXES), part.sex)],
            bone_age_months=months,
            text=f"Radiograph of the left hand. Bone age {_in_words(months)}.",
            text_source="label-prompt",
        )

    rows = reader.rows(table, [part.image, part.months, part.sex])
    yield from reader.samples(rows, build, lambda row: f"{row[part.image]}.png")


def _in_words(months: float) -> str:
    """Months as "5 years 6 months"."""
    years, rest = divmod(round(months), 12)  # whole months are enough for a sentence
    words = [f"{number} {unit}{'' if number == 1 else 's'}" for number, unit in ((years, "year"), (rest, "month"))]
    return " ".join(word for word in words if not word.startswith("0 ")) or "0 months"
