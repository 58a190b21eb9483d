import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pedclip.anatomy import UnknownRegion
from pedclip.curation.extract import Excerpt, extract_regions
from pedclip.curation.report.filmed_regions import filmed_regions
from pedclip.curation.report.parse import ParsedReport, parse_report
from pedclip.curation.report.sentences import Sentence
from pedclip.evaluation.extraction import score_report, summarize

INVENTED = Path(__file__).with_name("invented_reports.jsonl")
GOLD = Path(__file__).resolve().parents[2] / "../shared/data/extraction-gold/gold.jsonl"
WORDS = [
    "EXAM: chest; left knee.", "FINDINGS:", "IMPRESSION:", "Left knee:", "Chest.", "1.", "2.", "XXXX", "Clear.", "\n",
    "No fracture.", "CT HEAD:", "LEFT KNEE\n", "Left and right XXXX.", "Stable.", "\0", "Dr. X was called.",
]  # fmt: skip


LATIN = st.characters(max_codepoint=0x24F)  # a report in another script is refused


def records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def texts(report: str | Mapping[str, str], regions: list[str] | None = None) -> dict[str, str]:
    return {region: excerpt.text for region, excerpt in extract_regions(report, regions).items()}


@settings(deadline=None)
@given(st.one_of(st.text(LATIN), st.lists(st.sampled_from(WORDS)).map(" ".join)), st.booleans())
def test_any_text_gives_exact_spans_of_findings(report: str, is_asked: bool) -> None:
    found = extract_regions(report, ["knee", "skull"] if is_asked else None)
    assert list(found) == (["knee", "skull"] if is_asked else list(filmed_regions(report)))
    for excerpt in found.values():
        starts = [sentence.start for sentence in excerpt.sentences]
        assert starts == sorted(set(starts))
        assert all(
            parse_report(report).text[sentence.start : sentence.end] == sentence.text for sentence in excerpt.sentences
        )
        assert "Dr. X" not in excerpt.text


PIECES = [
    "x 1) ",
    "Chest: ",
    "Left and right XXXX. ",
    "KNEE\nFINDINGS:\n",
    ":",
    "No fracture of the wrist. ",
    "\0",
    "é",
]


@pytest.mark.parametrize("piece", PIECES)
def test_a_very_long_report_gives_no_more_than_it_holds(piece: str) -> None:
    report = piece * (100_000 // len(piece))
    assert all(len(excerpt.text) <= len(report) for excerpt in extract_regions(report).values())


def test_headings_lists_and_mentions_decide_the_film() -> None:
    report = """EXAM: Chest; left knee; abdomen.
HISTORY: Knee pain.
FINDINGS: Chest. Clear lungs. No acute bone lesion. Left knee. Effusion. Distended bowel loops near the patella.
IMPRESSION: 1. Chest. Normal. 2. Distal femoral fracture. Slight angulation. 3. No other injury."""
    assert texts(report) == {
        "chest": "Clear lungs. No acute bone lesion. Normal. No other injury.",
        "knee": "Effusion. Distended bowel loops near the patella. Distal femoral fracture. Slight angulation. "
        "No other injury.",
        "abdomen": "No other injury.",
    }


def test_heading_over_sections_holds_until_the_next() -> None:
    first = "EXAM: Spine.\nCERVICAL SPINE\nFINDINGS: Straight.\nIMPRESSION: Spasm.\n"
    report = f"{first}LUMBAR SPINE\nFINDINGS: Intact.\nIMPRESSION: Normal."
    assert texts(report) == {"cervical_spine": "Straight. Spasm.", "lumbar_spine": "Intact. Normal."}


def test_findings_that_name_no_film_go_to_the_likely_one_or_to_all() -> None:
    report = (
        "EXAM: Chest; right ankle. FINDINGS: No effusion. Lungs clear. No fracture. IMPRESSION: 1. Normal. 2. Sprain."
    )
    assert texts(report) == {
        "chest": "No effusion. Lungs clear. Normal. Sprain.",
        "ankle": "No effusion. No fracture. Normal. Sprain.",
    }


def test_parts_that_are_no_films_are_left_out() -> None:
    report = "EXAM: Left wrist radiographs. CT head.\nFINDINGS: Left wrist: No fracture. CT head: No bleeding."
    assert texts(report) == {"wrist": "No fracture."}


def test_asked_regions_are_returned_and_others_do_not_leak_into_them() -> None:
    report = "FINDINGS: Chest: Clear lungs. Right hand: No fracture."
    assert texts(report, ["hand", "foot"]) == {"hand": "No fracture.", "foot": ""}
    assert texts("FINDINGS: Normal for age.", ["hand"]) == {"hand": "Normal for age."}


def test_report_given_by_sections() -> None:
    sections = {"exam": "Right ankle", "history": "Fall.", "findings": "No fracture.", "impression": ""}
    assert texts(sections) == {"ankle": "No fracture."}
    found = extract_regions(sections)["ankle"].sentences[0]
    assert parse_report(sections).text[found.start : found.end] == "No fracture."


class _Broken:
    def __init__(self, excerpt: Excerpt) -> None:
        self.excerpt = excerpt

    def extract(self, report: ParsedReport, regions: tuple[str, ...] | None) -> dict[str, Excerpt]:
        return {"hand": self.excerpt}


def test_misuse_is_refused() -> None:
    with pytest.raises(UnknownRegion, match="got 'arm'"):
        extract_regions("Normal.", ["arm"])
    with pytest.raises(ValueError, match=r"needs a model.*LLMExtractor\(load_model\(folder\)\).*ServerBackend"):
        extract_regions("Clear lungs.", extractor="llm")
    with pytest.raises(ValueError, match="no extractor 'rule'; there are rules"):
        extract_regions("Normal.", extractor="rule")
    with pytest.raises(TypeError, match="not int"):
        extract_regions(7)
    with pytest.raises(ValueError, match="at least one of exam, indication"):
        extract_regions({"Text": "Normal."})
    with pytest.raises(TypeError, match="section 'findings' must be a text"):
        extract_regions({"findings": None})


def test_what_an_extractor_returns_is_checked() -> None:
    invented = Excerpt("No tumor.", (Sentence("No tumor.", 0, 9),), "llm-select")
    with pytest.raises(ValueError, match="llm-select is not in the report"):
        extract_regions("Normal hand.", extractor=_Broken(invented))
    altered = Excerpt("A normal hand.", (Sentence("Normal hand.", 0, 12),), "llm-select")
    with pytest.raises(ValueError, match="not made of its sentences"):
        extract_regions("Normal hand.", extractor=_Broken(altered))
    rewritten = Excerpt("A normal hand.", (Sentence("Normal hand.", 0, 12),), "llm-rewrite")
    assert extract_regions("Normal hand.", extractor=_Broken(rewritten))["hand"] is rewritten


def check_quality(path: Path) -> None:
    gold = records(path)
    summary = summarize([score_report(record, extract_regions(str(record["report_text"]))) for record in gold])
    assert summary["sentences"]["f1"] >= 0.90
    assert summary["regions"]["precision"] >= 0.95
    assert summary["leaked_left_out"]["share"] <= 0.02
    assert summary["leaked_indication"]["share"] <= 0.02
    for record in gold:
        sides = {region: side for region, side in filmed_regions(str(record["report_text"])).items() if side}
        assert sides == record["laterality"], record["report_id"]


def test_quality_on_invented_reports() -> None:
    check_quality(INVENTED)


@pytest.mark.skipif(not GOLD.is_file(), reason="the annotated real reports are not beside the checkout")
def test_quality_on_real_reports() -> None:
    check_quality(GOLD)
