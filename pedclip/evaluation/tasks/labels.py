"""Labels of triplets as an evaluation needs them, read once and without decoding an image."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pedclip.anatomy import REGIONS
from pedclip.evaluation.tasks.protocols import protocol_of
from pedclip.findings import finding_name
from pedclip.triplets.arrays import qualified_patient

COLUMNS: Final = ("findings", "region", "source", "patient_id")
_OPTIONAL: Final = ("uncertain",)


@dataclass(frozen=True)
class Row:
    """The labels of one triplet.

    Args:
        findings: Normalized names; None where nobody labelled the image, empty where nothing was found.
        region: Name of the region.
        source: Name of the data set.
        patient: Unique over data sets.
        uncertain: Normalized names of findings that may be there and on which the protocol of the source does not
            decide.
    """

    findings: frozenset[str] | None
    region: str
    source: str
    patient: str
    uncertain: frozenset[str] = frozenset()

    @property
    def is_normal(self) -> bool:
        """Labelled, nothing found, and nothing left open."""
        return self.findings == frozenset() and not self.uncertain

    def shows(self, names: Iterable[str]) -> bool | None:
        """True where the image shows any of some findings; None where nobody labelled it or they are uncertain."""
        if self.findings is None:
            return None
        # One finding that is there decides, however uncertain the others are.
        if not self.findings.isdisjoint(names := frozenset(names)):
            return True
        return False if self.uncertain.isdisjoint(names) else None


def read_labels(rows: Iterable[Row | Mapping[str, Any]]) -> list[Row]:
    """The labels of triplets.

    Args:
        rows: N rows of the triplet schema (a `datasets.Dataset`, or mappings; the region by name or class number),
            or rows read before.

    Returns:
        N rows in the same order.

    Raises:
        ValueError: A column is missing, or a region is not one of the 23.
    """
    if hasattr(rows, "select_columns"):  # an image column would be decoded row by row
        dataset: Any = rows
        rows = dataset.select_columns([*COLUMNS, *(name for name in _OPTIONAL if name in dataset.column_names)])
    # Reading twice is free, so every function may be given rows or triplets.
    return [row if isinstance(row, Row) else _read_row(row, position) for position, row in enumerate(rows)]


def _read_row(row: Mapping[str, Any], position: int) -> Row:
    # A mapping may come from anywhere; a data set was checked on loading.
    missing = [column for column in COLUMNS if column not in row]
    if missing:
        raise ValueError(f"row {position} has no column {', '.join(missing)}; an evaluation needs {', '.join(COLUMNS)}")
    region = row["region"]
    # A data set stores the region as a class number, a mapping may give its name.
    if isinstance(region, int | np.integer) and 0 <= region < len(REGIONS):
        region = REGIONS[int(region)]
    if region not in REGIONS:
        raise ValueError(
            f"row {position} has region {region!r}; expected a name or class number of pedclip.anatomy.REGIONS"
        )
    findings, uncertain = _settle(row)
    return Row(
        findings=findings,
        region=region,
        source=row["source"],
        # Two data sets may both have a patient 1.
        patient=qualified_patient(row["source"], str(row["patient_id"])),
        uncertain=uncertain,
    )


def _settle(row: Mapping[str, Any]) -> tuple[frozenset[str] | None, frozenset[str]]:
    """Findings, and those that stay uncertain after the protocol of the source has decided on some."""
    # Unlabelled: what is uncertain says nothing either.
    if row["findings"] is None:
        return None, frozenset()
    findings = frozenset(finding_name(finding) for finding in row["findings"])
    uncertain = frozenset(finding_name(finding) for finding in row.get("uncertain") or ())
    decided = protocol_of(row["source"]).uncertain
    # "absent" needs no line of its own: the finding leaves the uncertain ones below and is not among the findings.
    findings |= {finding for finding in uncertain if decided.get(finding) == "present"}
    return findings, uncertain - findings - decided.keys()
