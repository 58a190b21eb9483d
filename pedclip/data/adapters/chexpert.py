"""CheXpert: a table per part whose paths name patient, study and view, and 14 labels that may be uncertain."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from pedclip.data.adapters.reader import Reader, Row, labels_of, one_of
from pedclip.data.adapters.sample import DEVELOPMENT, Sample
from pedclip.data.label_terms import Labels
from pedclip.triplets.left_out import Reason, Unusable
from pedclip.triplets.values import read_age, read_sex, read_view

NORMAL: Final = "No Finding"
_VALUES: Final = ("1", "1.0", "0", "0.0", "-1", "-1.0", "")
_VIEW: Final = "Frontal/Lateral"


def read_chexpert(reader: Reader) -> Iterator[Sample]:
    """Chest films; the official validation part is the test part unless there is a `test.csv`."""
    columns = ["Path", "Sex", "Age", _VIEW, "AP/PA", *reader.card.labels]
    has_test = reader.official("test.csv", columns=columns)
    parts = {"test": "test", "valid": "validation", "train": "train"}
    if not has_test:
        # The official test part was not published at first: then "valid" is what one tests on.
        parts = {"valid": "test", "train": DEVELOPMENT}
    for part, split in parts.items():
        rows = reader.rows(reader.table(f"{part}.csv", columns=columns), columns)
        yield from reader.samples(rows, partial(_build, reader, split), lambda row: row["Path"])


def _build(reader: Reader, split: str, number: int, row: Row) -> Sample:
    # "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg"
    file = row["Path"].replace("\\", "/")  # copies made on Windows
    parts = file.split("/")
    if len(parts) < 4 or not parts[-3].startswith("patient"):
        raise Unusable(Reason.BROKEN_ROW, f"Path of {len(parts)} parts; expected …/part/patient/study/image")
    labels = certain_labels(row, reader.card.labels)
    if labels is None:
        raise Unusable(Reason.NO_TEXT, "no label that is certain")
    view = "lateral" if row[_VIEW] == "Lateral" else read_view(row["AP/PA"]) or "frontal"
    return Sample(
        path=reader.file("/".join(parts[-4:]), file),
        file=file,
        row=number,
        image_id="/".join(parts[-3:]),
        patient_id=parts[-3],
        study_id=f"{parts[-3]}/{parts[-2]}",
        region="chest",
        split=split,
        view=view,
        age_months=read_age({"age": row["Age"]}) or None,  # 0 stands for unknown
        sex=read_sex(row["Sex"]),
        labels=labels,
        uncertain=uncertain_findings(row, reader.card.labels),
    )


def certain_labels(row: Row, names: Sequence[str]) -> Labels | None:
    """Labels of a row in CheXpert's code: 1 is present, 0 absent, -1 uncertain (not certain), blank unmentioned.

    Returns:
        The labels, None where none is certain.

    Raises:
        Unusable: Another value.
    """
    for name in names:
        if row[name] not in _VALUES:  # raises with the words of the other adapters
            one_of(row[name], ("1", "0", "-1", "blank"), f"label in {name}:")
    present = [name for name in names if row[name] in {"1", "1.0"}]
    absent = [name for name in names if row[name] in {"0", "0.0"} and name != NORMAL]
    if not present and not absent:
        return None
    # "No Finding" is no finding, and beside it nothing needs to be called absent.
    findings = [name for name in present if name != NORMAL]
    return labels_of(findings, [] if NORMAL in present else absent)


def uncertain_findings(row: Row, names: Sequence[str]) -> tuple[str, ...]:
    """Findings of a row that are -1, in the words of `certain_labels`."""
    return labels_of([name for name in names if row[name] in {"-1", "-1.0"} and name != NORMAL]).findings
