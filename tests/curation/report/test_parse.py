import pytest

from pedclip.curation.report.parse import parse_report


def findings(text: str) -> list[str]:
    return [line.sentence.text for line in parse_report(text).lines if line.sentence_type == "finding"]


@pytest.mark.parametrize(
    "history",
    [
        "Kicked by a horse.",
        "Swelling, exclude fracture.",
        "Healed right femur fracture.",
        "Bruise over the hand, not imaged.",
        "Known epilepsy.",
        "Knee films last Sunday were negative.",
        "None.",
    ],
)
def test_without_a_heading_what_precedes_the_findings_is_the_history(history: str) -> None:
    assert findings(f"Left wrist, 2 views. {history}\nNo fracture. Known cyst.") == ["No fracture.", "Known cyst."]
    assert findings(f"Left wrist. {history}")  # nothing else is said


@pytest.mark.parametrize(
    "finding", ["Old fracture of the distal radius.", "No acute injury.", "Suspected fracture.", "Normal."]
)
def test_a_finding_that_comes_first_stays(finding: str) -> None:
    assert findings(f"Left wrist, 2 views. {finding} No effusion.") == [finding, "No effusion."]


def test_a_sentence_keeps_its_place_and_the_type_that_its_section_gives_it() -> None:
    text = "TECHNIQUE: The left knee is flexed. FINDINGS: The left knee is flexed. IMPRESSION: The left knee is flexed."
    lines = parse_report(text).lines
    assert [line.sentence_type for line in lines] == ["technique", "finding", "finding"]
    assert [line.sentence.start for line in lines] == [11, 46, 83]
    assert {line.sentence.text for line in lines} == {"The left knee is flexed."}
    assert all(text[line.sentence.start : line.sentence.end] == line.sentence.text for line in lines)
    assert {mention.laterality for line in lines for mention in line.mentions} == {"left"}
