import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pedclip.curation.report.sections import SECTIONS, split_sections

WORDS = [
    "HISTORY:",
    "Findings:",
    "IMPRESSION",
    "left knee",
    "LEFT KNEE:",
    "Chest.",
    "1.",
    "\n",
    "\n\n",
    " - ",
    "fall",
    "(",
    ":",
]
ANY_REPORT = st.one_of(st.text(), st.lists(st.sampled_from(WORDS)).map(" ".join))


def named(report: str) -> list[tuple[str, str]]:
    return [(section.name, report[section.start : section.end]) for section in split_sections(report)]


@settings(deadline=None)  # the first call reads the word lists
@given(ANY_REPORT)
def test_sections_are_in_order_and_hold_no_blank_edges(report: str) -> None:
    last = 0
    for section in split_sections(report):
        body = report[section.start : section.end]
        assert section.name in SECTIONS
        assert last <= section.start < section.end <= len(report)
        assert body == body.strip()
        last = section.end


def test_headings_of_many_spellings_on_one_line_or_many() -> None:
    assert named(
        "Reason for exam: limp. COMPARISON STUDIES (none): none. Interpretation: Normal. CONCLUSION: Normal hip."
    ) == [
        ("indication", "limp."),
        ("comparison", "none."),
        ("findings", "Normal."),
        ("impression", "Normal hip."),
    ]
    assert named("Clinical history\nCough.\n\nREPORT\nLungs clear.\nImpression - Normal.") == [
        ("history", "Cough."),
        ("findings", "Lungs clear."),
        ("impression", "Normal."),
    ]


def test_listed_words_inside_a_sentence_are_no_headings() -> None:
    assert named("FINDINGS: In comparison: less callus, and these findings: none.") == [
        ("findings", "In comparison: less callus, and these findings: none.")
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Healing buckle fracture (MRN: 00482913). The ulna is intact.",
        "Healing buckle fracture [on the\nleft, MRN: 00482913]. The ulna is intact.",
        "Callus of the radius, Age: 5 weeks, is dense. The ulna is intact.",
        "The gap is wider than in the\nprior: 3 mm. The ulna is intact.",
        "Buckle fracture of the History: type. The ulna is intact.",
        "No fracture (INDICATION: fall). The ulna is intact.",
    ],
)
def test_listed_words_in_brackets_or_within_a_clause_are_no_headings(text: str) -> None:
    assert named(f"EXAM: Left wrist. FINDINGS: {text}") == [("exam", "Left wrist."), ("findings", text)]


def test_headings_that_only_look_like_parts_of_a_clause() -> None:
    assert named("XR left wrist, Indication: fall from\nFINDINGS: Normal (Salter I)\nIMPRESSION: Normal.") == [
        ("exam", "XR left wrist,"),
        ("indication", "fall from"),
        ("findings", "Normal (Salter I)"),
        ("impression", "Normal."),
    ]
    assert named("EXAM: Left wrist\n(Comparison: none.) No fracture.")[-1] == ("findings", "No fracture.")


def test_text_without_headings_is_findings_and_a_first_label_is_the_exam_line() -> None:
    assert named("No fracture of the toe.") == [("findings", "No fracture of the toe.")]
    assert named("XR LEFT TOE, 2 VIEWS\nHx: stubbed.")[0] == ("exam", "XR LEFT TOE, 2 VIEWS")
    assert named("Seen by the night team. FINDINGS: Normal.")[0] == ("other", "Seen by the night team.")


def test_name_of_a_film_ends_the_history() -> None:
    assert named("HISTORY: Fell.\nLEFT ELBOW\nFINDINGS: Effusion.\nIMPRESSION: Occult fracture.") == [
        ("history", "Fell."),
        ("findings", "LEFT ELBOW"),
        ("findings", "Effusion."),
        ("impression", "Occult fracture."),
    ]
    assert named("Technique: AP.\nKnee: no fracture.")[1] == ("findings", "Knee: no fracture.")
    assert named("INDICATION: Left knee pain.") == [("indication", "Left knee pain.")]


def test_what_follows_a_technique_is_a_finding_where_nothing_else_can_be_one() -> None:
    assert named("TECHNIQUE: Two views. Contrast was given.\nIMPRESSION: Normal.") == [
        ("technique", "Two views. Contrast was given."),
        ("impression", "Normal."),
    ]
    assert named("TECHNIQUE: Two views. Contrast was given.")[-1] == ("findings", "Contrast was given.")


def test_findings_may_stand_behind_a_comparison_but_not_a_history() -> None:
    assert named("Right wrist. Comparison: May 3. Callus has formed. Cast removed.")[-1] == (
        "findings",
        "Callus has formed. Cast removed.",
    )
    assert named("Technique: AP. Normal alignment.")[-1] == ("findings", "Normal alignment.")
    assert named("Hx: fell. Limps since.") == [("history", "fell. Limps since.")]


FOUND = "Buckle fracture of the distal radius. Alignment is normal."


@pytest.mark.parametrize(
    "before",
    [
        "CLINICAL HISTORY: Fall.\n\n",
        "Indication: Fell from a swing.\n",
        "REASON FOR EXAM: Pain after football.\n\nTECHNIQUE: Two views.\n\n",
        "History: 4 year old boy.\nPain for days.\n\n",
        "CLINICAL INFORMATION: Swelling, exclude fracture.\n\n",
        "COMPARISON: None.\n\n",
        "Comparison: May 3. ",
        "Clinical question: fracture?\n",
        "INDICATON: Fall.\n",
    ],
)
def test_findings_without_a_heading_follow_what_leads_up_to_them(before: str) -> None:
    sections = named(f"LEFT WRIST, TWO VIEWS\n\n{before}{FOUND}")
    assert sections[-1] == ("findings", FOUND)
    impression = named(f"LEFT WRIST, TWO VIEWS\n\n{before}There is a gap. {FOUND}\n\nIMPRESSION: Fracture.")
    assert impression[-2:] == [("findings", f"There is a gap. {FOUND}"), ("impression", "Fracture.")]


def test_behind_a_blank_line_what_names_a_part_or_a_device_begins_the_findings() -> None:
    report = "PORTABLE CHEST\n\nINDICATION: Line placement.\n\n{}\n\nIMPRESSION: Normal."
    tube = "A right PICC ends in the mid SVC. The other ends there too."
    assert named(report.format(tube))[-2] == ("findings", tube)
    assert named(f"LEFT WRIST\nINDICATION: Fall.\n\nCast obscures detail. {FOUND}")[-1] == ("findings", FOUND)
    assert named(report.format("Known lung disease."))[1] == ("indication", "Line placement.\n\nKnown lung disease.")


def test_findings_on_the_line_of_the_exam_or_a_history() -> None:
    assert named("EXAM: Left wrist, two views. There is a gap. No effusion.")[-1] == (
        "findings",
        "There is a gap. No effusion.",
    )
    assert named("HISTORY: Fall. The radius is intact.")[-1] == ("findings", "The radius is intact.")


@pytest.mark.parametrize(
    "history",
    [
        "Fall.\nRule out fracture.",
        "Cough and\nfever.",
        "Known\nfracture.",
        "Pain.\n\nEvaluate for fracture.",
        "Fall. Pain.",
        "Fracture of\nRight radius.",
    ],
)
def test_a_history_of_several_lines_stays_whole(history: str) -> None:
    assert named(f"EXAM: Left wrist.\nHISTORY: {history}\nFINDINGS: Normal.")[1] == ("history", history)
    assert named(f"EXAM: Left wrist.\nHISTORY: {history}\nIMPRESSION: Normal.")[1] == ("history", history)


@pytest.mark.parametrize("between", [" ", ". ", "; ", " = ", ">> "])
def test_headings_in_capitals_run_into_their_sentence(between: str) -> None:
    report = f"EXAM: Left wrist\nHISTORY{between}Fall. FINDINGS{between}There is a gap.\nIMPRESSION{between}A gap."
    assert named(report) == [
        ("exam", "Left wrist"),
        ("history", "Fall."),
        ("findings", "There is a gap."),
        ("impression", "A gap."),
    ]


@pytest.mark.parametrize(
    "text", ["FINDINGS ARE THOSE OF A GAP.", "The FINDINGS There are.", "FINDINGS of a gap.", "No FINDINGS Today."]
)
def test_words_in_capitals_within_a_sentence_are_no_headings(text: str) -> None:
    assert named(text) == [("findings", text)]


@pytest.mark.parametrize("heading", ["EXAM", "PROCEDURE", "TECHNIQUE"])
@pytest.mark.parametrize("sentence", ["Two views of the left wrist demonstrate a gap.", "Lateral film shows a gap."])
def test_what_films_show_is_a_finding_under_any_heading(heading: str, sentence: str) -> None:
    assert named(f"{heading}: {sentence}") == [("findings", sentence)]


def test_what_films_are_to_show_is_no_finding() -> None:
    assert named("EXAM: Two views to demonstrate the gap.") == [("exam", "Two views to demonstrate the gap.")]


def test_a_joined_heading_begins_with_a_listed_word() -> None:
    text = "CHIEF COMPLAINT: Cough.\nX-RAY AND LABORATORY DATA: Sodium was 140.\nASSESSMENT AND PLAN: Observe.\n"
    sections = [(section.name, text[section.start : section.end]) for section in split_sections(text)]
    assert [name for name, content in sections if "Sodium" in content] == ["history"]
