import pytest

from pedclip.curation.extract import extract_regions
from pedclip.curation.report.parse import parse_report
from pedclip.curation.rules import film_named_in


@pytest.mark.parametrize(
    ("sentence", "film"),
    [
        ("On the rt ankle views, no spur.", "ankle"),
        ("In the left foot, a small cyst.", "foot"),
        ("Normal right foot radiographs.", "foot"),
        ("The ankle appears intact.", "ankle"),
        ("No bony change in the left ankle.", "ankle"),
        ("Small cyst of the ankle.", None),
        ("In the knee, a small cyst.", None),
    ],
)
def test_film_that_a_sentence_is_about(sentence: str, film: str | None) -> None:
    line = parse_report(f"FINDINGS: {sentence}").lines[0]
    assert film_named_in(line, ("foot", "ankle")) == film


def texts(report: str) -> dict[str, str]:
    return {region: excerpt.text for region, excerpt in extract_regions(report).items()}


def test_a_named_film_wins_over_the_heading_and_holds_for_what_follows() -> None:
    report = (
        "EXAM: Left ankle; left foot. FINDINGS: Ankle: Intact malleoli. In the left foot, no gap. Smooth cortex near "
        "the distal tibia. IMPRESSION: 1. Left ankle: Normal. 2. Sprain. Soft tissues are normal at both sites."
    )
    assert texts(report) == {
        "ankle": "Intact malleoli. Normal. Sprain. Soft tissues are normal at both sites.",
        "foot": "In the left foot, no gap. Smooth cortex near the distal tibia. Sprain. "
        "Soft tissues are normal at both sites.",
    }


def test_what_a_film_cannot_show_ends_its_topic() -> None:
    report = (
        "EXAM: Left hand; left wrist. FINDINGS: Hand: No gap. No gap in the wrist. No effusion. Little finger cyst."
    )
    assert texts(report) == {"hand": "No gap. Little finger cyst.", "wrist": "No gap in the wrist. No effusion."}


def test_a_heading_in_a_numbered_list_of_findings_holds_until_the_next() -> None:
    report = "EXAM: Elbow; hand. FINDINGS: 1. Elbow: Effusion. 2. Normal alignment. 3. Hand: No gap. 4. Intact cortex."
    assert texts(report) == {"elbow": "Effusion. Normal alignment.", "hand": "No gap. Intact cortex."}


def test_a_neighbour_named_under_a_heading_stays_there() -> None:
    report = "EXAM: Right shoulder; right clavicle. FINDINGS: Right shoulder: Fracture of the clavicle. Clavicle: Gap."
    assert texts(report) == {"shoulder": "Fracture of the clavicle.", "clavicle": "Gap."}
