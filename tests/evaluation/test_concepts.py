"""Which images answer which concept, and that the probes are independent."""

from typing import Any

import numpy as np
import pytest

from pedclip.evaluation.concepts import CONCEPT_NAMES, concept_alignment, concept_labels
from pedclip.evaluation.outcome import Report
from pedclip.evaluation.sides import Side, Sides


def row(findings: list[str] | None, region: str) -> dict[str, Any]:
    return {"findings": findings, "region": region, "source": "s", "patient_id": "p"}


def test_labels_by_hand() -> None:
    rows = [
        row(["Joint_Effusion", "erosion"], "knee"),
        row([], "knee"),
        row(None, "knee"),
        row(["consolidation"], "chest"),  # a chest cannot show any of them
        row(["soft tissue swelling"], "femur"),  # swelling only
    ]
    expected = np.full((5, 6), np.nan)
    expected[:2] = 0
    expected[0, [CONCEPT_NAMES.index("effusion"), CONCEPT_NAMES.index("erosion")]] = 1
    expected[4, CONCEPT_NAMES.index("soft tissue swelling")] = 1
    np.testing.assert_array_equal(concept_labels(rows), expected)
    assert concept_labels(rows[3:4], concepts={"opacity": "consolidation"}).tolist() == [[1.0]]


def test_probes_are_independent() -> None:
    rng = np.random.default_rng(0)
    parts = []
    for name in ("train", "validation", "test"):
        features = rng.normal(size=(120, 8))
        labels = (features[:, :6] + rng.normal(size=(120, 6)) > 0).astype(float)
        parts.append(Side(features, labels, np.array([f"{name}{i}" for i in range(120)])))
    report = Report("arthritis", "concept probes", num_resamples=20)
    six = concept_alignment(Sides(*parts), report=report)
    third = [Side(part.inputs, part.truth[:, [2]], part.patients) for part in parts]
    alone = concept_alignment(Sides(*third), [CONCEPT_NAMES[2]], report=report)
    assert [one.name for one in six.result.classes] == list(CONCEPT_NAMES)
    assert alone.result.settings["C"][0] == six.result.settings["C"][2]
    assert alone.output[:, 0] == pytest.approx(six.output[:, 2], abs=5e-2)  # as near as the solver's tolerance
    assert six.result.score.value == pytest.approx(
        np.mean([one.score.value for one in six.result.classes if one.score])
    )
