"""NIH ChestX-ray14: one table, films in twelve folders, official lists of files, a few boxes."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from pedclip.data.adapters.annotations import sized_box
from pedclip.data.adapters.reader import Reader, Row, labels_of, one_of
from pedclip.data.adapters.sample import DEVELOPMENT, BadAnnotation, LabeledBox, Sample
from pedclip.triplets.values import read_age, read_sex, read_view

_TABLES: Final = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
_NORMAL: Final = "No Finding"
_MEANT: Final = {"Infiltrate": "Infiltration", "Pleural_Thickening": "Pleural Thickening"}
_BOX: Final = ("Bbox [x", "y", "w", "h]")  # the header of the file has commas inside the brackets


def read_nih(reader: Reader) -> Iterator[Sample]:
    """Chest films with 14 labels; test as listed, validation cut from the listed training part."""
    # The twelve archives unpack into images_001 to images_012, or into one folder.
    films = reader.index("**/*.png")
    official = _official(reader)
    boxes = _boxes(reader)

    def build(number: int, row: Row) -> Sample:
        image = row["Image Index"]
        terms = [one_of(term, reader.card.labels) for term in row["Finding Labels"].split("|")]
        return Sample(
            path=films.get(image.removesuffix(".png"), reader.root / "images" / image),
            file=image,
            row=number,
            image_id=image,
            patient_id=row["Patient ID"],
            region="chest",
            split=official.get(image, ""),  # "": by the hash of the patient
            view=read_view(row["View Position"]),
            age_months=read_age({"age": row["Patient Age"]}),
            sex=read_sex(row["Patient Gender"]),
            labels=labels_of([_MEANT.get(term, term) for term in terms if term != _NORMAL]),
            boxes=tuple(boxes.get(image, ())),
        )

    # Test first: whoever is in it is refused in training.
    for is_test in (True, False):
        columns = reader.card.files[0].columns
        rows = reader.rows(reader.table(*_TABLES, columns=columns), columns)
        chosen = ((line, row) for line, row in rows if (official.get(row["Image Index"]) == "test") == is_test)
        yield from reader.samples(chosen, build, lambda row: row["Image Index"])


def _official(reader: Reader) -> dict[str, str]:
    official: dict[str, str] = {}
    for name, split in (("train_val_list.txt", DEVELOPMENT), ("test_list.txt", "test")):
        if path := reader.official(name):
            official |= {cells[0]: split for _, cells in reader.lines(path)}
    return official


def _boxes(reader: Reader) -> dict[str, list[LabeledBox]]:
    columns = ["Image Index", "Finding Label", *_BOX]
    path = reader.official("BBox_List_2017.csv", columns=columns)
    boxes: dict[str, list[LabeledBox]] = defaultdict(list)  # by file name
    if not path:
        return boxes
    for number, row in reader.rows(path, columns):
        try:
            name = _MEANT.get(row["Finding Label"], row["Finding Label"])
            if name not in reader.card.labels and name not in _MEANT.values():
                raise BadAnnotation(f"unknown label {name[:40]!r}; expected one of {', '.join(reader.card.labels)}")
            boxes[row["Image Index"]].append(sized_box([row[column] for column in _BOX], name.lower(), number))
        except BadAnnotation as error:
            reader.leave_out(path.name, number, error)
    return boxes
