import pytest

from pedclip.curation import numbered
from pedclip.curation.extract import extract_regions
from pedclip.curation.privacy.identifiers import find_identifiers
from pedclip.curation.report import parse
from pedclip.curation.report.filmed_regions import filmed_regions
from pedclip.curation.report.parse import ParsedReport, parse_report


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


SECTIONS = {"exam": "Left wrist; chest.", "history": "Seen on 3/14/2021.", "findings": "Lungs are clear. No fracture."}


def test_text_sections_and_a_parsed_report_give_the_same_everywhere() -> None:
    parsed = parse_report(SECTIONS)
    expected = extract_regions(parsed.text)
    assert expected["chest"].text == "Lungs are clear."
    for report in (SECTIONS, parsed.text, parsed):
        assert parse_report(report) == parsed
        assert extract_regions(report) == expected
        assert filmed_regions(report) == parsed.filmed_regions == {"wrist": "left", "chest": ""}
        assert numbered(report, ("wrist",)).texts == {1: "Lungs are clear.", 2: "No fracture."}


def test_what_was_found_in_a_report_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    report = parse_report(SECTIONS)
    found = report.sections, report.lines, report.filmed_regions, report.identifiers
    assert [report.text[one.start : one.end] for one in report.identifiers] == ["3/14/2021"]
    assert report.identifiers == find_identifiers(report.text)
    for name in ("split_sections", "split_sentences", "find_identifiers"):
        monkeypatch.delattr(parse, name)
    again = parse_report(report)
    assert again is report
    parts = again.sections, again.lines, again.filmed_regions, again.identifiers
    assert all(one is other for one, other in zip(parts, found, strict=True))


def test_nothing_is_parsed_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(parse, "split_sections")
    report = parse_report("EXAM: Left wrist.")
    with pytest.raises(NameError, match="split_sections"):
        _ = report.lines
    assert report == ParsedReport("EXAM: Left wrist.")
