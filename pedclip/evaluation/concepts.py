"""Concept alignment: whether features hold the six findings of inflammatory arthritis, one independent probe each."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from pedclip.data.phantom.findings import CONCEPTS, FINDINGS
from pedclip.evaluation.intervals import Floats
from pedclip.evaluation.outcome import Outcome, Report
from pedclip.evaluation.probe import linear_probe
from pedclip.evaluation.rows import Row, finding_name, read_rows
from pedclip.evaluation.sides import Sides

CONCEPT_NAMES: Final = tuple(CONCEPTS)


def concept_labels(
    rows: Iterable[Row | Mapping[str, Any]],
    *,
    concepts: Mapping[str, str] = CONCEPTS,
    regions: Mapping[str, Sequence[str]] = FINDINGS,
) -> Floats:
    """Which concepts each image shows.

    Args:
        rows: N rows of the triplet schema.
        concepts: Concept to the finding that stands for it.
        regions: Finding to the regions in which it can be seen; an image of another region answers nothing, because
            telling a chest from a wrist is no knowledge of effusion. A finding that is not listed is asked everywhere.

    Returns:
        (N, L) 1, 0, or NaN where nobody labelled the image or the region cannot show it.
    """
    read = read_rows(rows)
    labels = np.full((len(read), len(concepts)), np.nan)
    for column, finding in enumerate(concepts.values()):
        for position, row in enumerate(read):
            if row.findings is not None and row.region in regions.get(finding, (row.region,)):
                labels[position, column] = finding_name(finding) in row.findings
    return labels


def concept_alignment(
    sides: Sides, concepts: Sequence[str] = CONCEPT_NAMES, *, report: Report, device: str = "cpu"
) -> Outcome:
    """One linear probe per concept, each with its own penalty.

    Args:
        sides: Features (N, C) and labels (N, L) as from `concept_labels`.
        concepts: (L,) names.
        report: Names and bootstrap.
        device: Where to compute.

    Returns:
        The outcome: mean AUC, and the AUC of each concept.

    Source: PedCLIP, Fig. 4 right (decision P27). Differs: nothing is printed about penalty or split.
    """
    return linear_probe(sides, concepts, kind="multi-label", report=report, device=device)
