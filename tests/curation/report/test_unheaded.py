"""Findings that stand under the heading of something else."""

import pytest

from tests.curation.report.test_sections import named


@pytest.mark.parametrize(
    ("report", "sections"),
    [
        ("EXAMINATION: Chest x-ray: bilateral infiltrates.", ["Chest x-ray:", "bilateral infiltrates."]),
        ("EXAM: XR WRIST - buckle fracture of the radius.", ["XR WRIST -", "buckle fracture of the radius."]),
        ("EXAM: XR WRIST - fracture follow up.", ["XR WRIST - fracture follow up."]),
        ("EXAM: XR WRIST - rule out fracture of the radius.", ["XR WRIST - rule out fracture of the radius."]),
        ("EXAM: XR WRIST - fracture\nIMPRESSION: Healed.", ["XR WRIST - fracture", "Healed."]),
        ("EXAM: WRIST - radius fracture.\nNormal wrist.", ["WRIST - radius fracture.", "Normal wrist."]),
    ],
)
def test_findings_on_the_line_of_the_exam(report: str, sections: list[str]) -> None:
    assert [text for _, text in named(report)] == sections


def test_findings_behind_no_comparison() -> None:
    assert named("EXAM: CHEST\nCOMPARISON: None; right pneumothorax is present.")[1:] == [
        ("comparison", "None;"),
        ("findings", "right pneumothorax is present."),
    ]
    kept = "COMPARISON: None; films on file.\nFINDINGS: Clear."
    assert named(kept) == [("comparison", "None; films on file."), ("findings", "Clear.")]
