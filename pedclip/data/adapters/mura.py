"""MURA: films of the upper limb in folders per region, patient and study, and lists without a header."""

from collections.abc import Iterator
from typing import Final

from pedclip.anatomy import UnknownRegion, UnmappableRegion, find_region
from pedclip.data.adapters.reader import Reader, labels_of, one_of
from pedclip.data.adapters.sample import DEVELOPMENT, Sample
from pedclip.triplets.left_out import Reason, Unusable

_PARTS: Final = {"valid": "test", "train": DEVELOPMENT}  # the official test part was never published
_ABNORMAL: Final = {"1": ["abnormality"], "0": []}


def read_mura(reader: Reader) -> Iterator[Sample]:
    """Films of seven regions, each with the label of its study; the published validation part is the test part."""
    for part, split in _PARTS.items():
        table = reader.table(f"{part}_labeled_studies.csv")
        studies = {}
        for number, cells in reader.lines(table):
            if len(cells) == 2:
                # The list ends folders with a slash, paths of films do not.
                folder, label = cells
                studies[folder.replace("\\", "/").strip("/")] = label
            else:
                error = Unusable(Reason.BROKEN_ROW, f"{len(cells)} cells; expected study and label")
                reader.leave_out(table.name, number, error)

        def build(number: int, cells: list[str], split: str = split, studies: dict[str, str] = studies) -> Sample:
            return _sample(reader, split, studies, number, cells[0])

        rows = reader.lines(reader.table(f"{part}_image_paths.csv"))
        yield from reader.samples(rows, build, lambda cells: cells[0])


def _sample(reader: Reader, split: str, studies: dict[str, str], number: int, file: str) -> Sample:
    # "MURA-v1.1/train/XR_SHOULDER/patient00001/study1_positive/image1.png"
    file = file.replace("\\", "/")  # copies made on Windows
    parts = file.split("/")
    if len(parts) < 5:
        raise Unusable(Reason.BROKEN_ROW, f"path of {len(parts)} parts; expected …/region/patient/study/image")
    study = "/".join(parts[:-1])
    if study not in studies:
        raise Unusable(Reason.NO_TEXT, "its study is not in the list of labels")
    try:
        region = find_region(parts[-4])
    except (UnknownRegion, UnmappableRegion) as error:
        raise Unusable(Reason.REGION_UNKNOWN, f"region: {error}") from error
    return Sample(
        path=reader.file("/".join(parts[-5:]), file),
        file=file,
        row=number,
        image_id="/".join(parts[-5:]),
        patient_id=parts[-3],
        study_id="/".join(parts[-4:-1]),
        region=region,
        split=split,
        # The negative label is a statement too.
        labels=labels_of(_ABNORMAL[one_of(studies[study], tuple(_ABNORMAL))], absent=["abnormality"]),
    )
