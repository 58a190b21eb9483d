"""What an evaluation needs to know of each triplet, read once and without decoding an image."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pedclip.anatomy import REGIONS

COLUMNS: Final = ("findings", "region", "source", "patient_id")


@dataclass(frozen=True)
class Row:
    """The labels of one triplet.

    Args:
        findings: Normalized names; None where nobody labelled the image, empty where nothing was found.
        region: Name of the region.
        source: Name of the data set.
        patient: Unique over data sets.
    """

    findings: frozenset[str] | None
    region: str
    source: str
    patient: str


def read_rows(rows: Iterable[Row | Mapping[str, Any]]) -> list[Row]:
    """The labels of triplets.

    Args:
        rows: N rows of the triplet schema (a `datasets.Dataset`, or mappings; the region by name or class number),
            or rows read before.

    Returns:
        N rows in the same order.

    Raises:
        ValueError: A column is missing, or a region is not one of the 23.
    """
    if hasattr(rows, "select_columns"):
        rows = rows.select_columns(list(COLUMNS))  # an image column would be decoded row by row
    return [row if isinstance(row, Row) else _read_row(row, position) for position, row in enumerate(rows)]


def finding_name(finding: str) -> str:
    """A finding as it is compared: lower case, words separated by one space.

    Example:
        >>> finding_name("Pleural_Thickening ")
        'pleural thickening'
    """
    return " ".join(finding.replace("_", " ").split()).casefold()


def _read_row(row: Mapping[str, Any], position: int) -> Row:
    missing = [column for column in COLUMNS if column not in row]
    if missing:
        raise ValueError(f"row {position} has no column {', '.join(missing)}; an evaluation needs {', '.join(COLUMNS)}")
    region = row["region"]
    if isinstance(region, int | np.integer) and 0 <= region < len(REGIONS):
        region = REGIONS[int(region)]
    if region not in REGIONS:
        raise ValueError(
            f"row {position} has region {region!r}; expected a name or class number of pedclip.anatomy.REGIONS"
        )
    findings = row["findings"]
    return Row(
        findings=None if findings is None else frozenset(finding_name(finding) for finding in findings),
        region=region,
        source=row["source"],
        patient=f"{row['source']}/{row['patient_id']}",
    )
