"""Object-CXR: foreign objects on chest films as rectangles, ellipses and polygons in one cell per film."""

from collections.abc import Iterator
from functools import partial

from pedclip.data.adapters.annotations import bounds, parse_shapes, shapes_mask
from pedclip.data.adapters.reader import Reader, Row, labels_of
from pedclip.data.adapters.sample import DEVELOPMENT, LabeledBox, Sample

_LABEL = "foreign object"
_COLUMNS = ("image_name|image_path", "annotation")


def read_object_cxr(reader: Reader) -> Iterator[Sample]:
    """Chest films with a box around each foreign object, and the filled shapes as the mask."""
    parts = {"dev": "test", "train": DEVELOPMENT}
    # Without the test part, "dev" is the part to test on.
    if reader.official("test.csv", columns=_COLUMNS):
        parts = {"test": "test", "dev": "validation", "train": "train"}
    for part, split in parts.items():
        rows = reader.rows(reader.table(f"{part}.csv", columns=_COLUMNS), _COLUMNS)
        yield from reader.samples(rows, partial(_build, reader, part, split), lambda row: row["image_name"])


def _build(reader: Reader, part: str, split: str, number: int, row: Row) -> Sample:
    file = row["image_name"].replace("\\", "/").rsplit("/", 1)[-1]  # some tables write the folder too
    shapes = parse_shapes(row["annotation"], partial(reader.leave_out, file, number))
    return Sample(
        path=reader.root / part / file,
        file=file,
        row=number,
        image_id=f"{part}/{file}",
        patient_id=f"{part}/{file}",
        region="chest",
        split=split,
        labels=labels_of([_LABEL] if row["annotation"] else [], absent=[_LABEL]),
        # Also around ellipses and polygons.
        boxes=tuple(LabeledBox(*bounds(values), _LABEL, number) for _, values in shapes),
        mask=partial(shapes_mask, shapes) if shapes else None,
    )
