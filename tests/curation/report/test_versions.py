"""Reports that hold an older version of themselves: the newer one counts."""

import pytest

from pedclip.curation.extract import extract_regions
from pedclip.curation.report.parse import parse_report
from pedclip.curation.report.versions import versions_in

OLD, NEW = "Fracture of the right radius.", "Fracture of the left radius."
BANNERS = [
    ("ORIGINAL REPORT:", "AMENDED REPORT:"),
    ("PREVIOUS REPORT", "CORRECTED REPORT"),
    ("*** Original Report ***", "*** Revised Report ***"),
    ("PRELIMINARY REPORT:", "FINAL REPORT:"),
    ("Preliminary read by Dr. Ann Roe at 10:30:", "Final read by Dr. Jane Poe at 14:03:"),
    ("RESIDENT READ:", "ATTENDING READ:"),
    ("Resident's interpretation:", "Attending radiologist's interpretation:"),
    ("WET READ:", "FINAL REPORT:"),
    ("PRELIMINARY REPORT (5/2/2019 10:30):", "AMENDED REPORT (5/2/2019 14:03):"),
]


@pytest.mark.parametrize(("older", "newer"), BANNERS)
@pytest.mark.parametrize("heading", ["", "FINDINGS: "])
@pytest.mark.parametrize("is_newer_first", [True, False])
def test_the_newer_version_counts_and_no_banner_is_text(
    older: str, newer: str, heading: str, is_newer_first: bool
) -> None:
    parts = [f"{newer}\n{heading}{NEW}", f"{older}\n{heading}{OLD}"]
    text = "\n".join(parts if is_newer_first else parts[::-1])
    assert extract_regions(f"EXAM: XR forearm\n{text}")["forearm"].text == NEW
    assert extract_regions(text)["forearm"].text == NEW


def test_versions_on_one_line() -> None:
    assert extract_regions(f"AMENDED REPORT: {NEW} ORIGINAL REPORT: {OLD}")["forearm"].text == NEW


def test_the_exam_of_the_newer_version_counts_and_else_that_of_the_older() -> None:
    old = f"ORIGINAL REPORT:\nEXAM: Right forearm\nFINDINGS: {OLD}"
    new = f"AMENDED REPORT:\nEXAM: Left forearm\nFINDINGS: {NEW}"
    assert dict(parse_report(f"{new}\n{old}").filmed_regions) == {"forearm": "left"}
    bare = parse_report(f"AMENDED REPORT:\nFINDINGS: Normal.\nORIGINAL REPORT:\nEXAM: Right forearm\nFINDINGS: {OLD}")
    assert dict(bare.filmed_regions) == {"forearm": "right"}
    assert extract_regions(bare)["forearm"].text == "Normal."


@pytest.mark.parametrize(
    "newer", ["FINAL REPORT", "ATTENDING READ: I agree with the above.", "Attending read: Agree with resident."]
)
def test_without_a_text_of_its_own_nothing_is_superseded(newer: str) -> None:
    text = f"{newer}\nPRELIMINARY REPORT:\nFINDINGS: {OLD}"
    assert extract_regions(text)["forearm"].text == OLD
    below = f"RESIDENT READ: {OLD}\n{newer}"
    assert extract_regions(below)["forearm"].text == OLD


@pytest.mark.parametrize(
    "text",
    [
        "FINAL REPORT\nFINDINGS: No fracture.",
        "FINDINGS: Compared with the previous report, the amended report says less.",
        "ADDENDUM: The tube is low.\nORIGINAL REPORT:\nFINDINGS: Clear.",
        "FINDINGS: No gap.\nAMENDED REPORT: There is a gap.",
    ],
)
def test_one_version_alone_supersedes_nothing(text: str) -> None:
    assert versions_in(text) == ()
