import pytest

from pedclip.curation.report.headings import SECTIONS, addenda, corrected, section_of, terms
from pedclip.curation.report.sections import split_sections


@pytest.mark.parametrize(
    ("heading", "section"),
    [
        ("NDICATION", "indication"),
        ("Indciation", "indication"),
        ("REASON FOR EXAMIANTION", "indication"),
        ("CLINCAL HISTORY", "history"),
        ("Clinical Histroy", "history"),
        ("COMPARISION", "comparison"),
        ("Compairson", "comparison"),
        ("TECHNIQE", "technique"),
        ("FINDIGNS", "findings"),
        ("Fidnings", "findings"),
        ("IMPRESSSION", "impression"),
        ("Imrpession", "impression"),
        ("CONCLUSSION", "impression"),
        ("RECCOMENDATIONS", "recommendation"),
        ("Clinical history/Indication", "history"),
        ("HISTORY & TECHNIQUE", "history"),
        ("Relevant clinical information", "history"),
        ("Findings and impression", "findings"),
        ("Lungs", None),
        ("Medication", "history"),
        ("Dislocation", None),
        ("Impression of the pelvis", None),
        ("Osseous", None),
    ],
)
def test_section_that_a_heading_opens(heading: str, section: str | None) -> None:
    assert section_of(heading) == section
    assert corrected("dislocation") == "dislocation"  # not much like "indication"


def test_every_listed_heading_opens_its_own_section() -> None:
    assert set(terms().values()) == set(SECTIONS)
    assert all(section_of(term) == name for term, name in terms().items())


HEADS = [
    "ADDENDUM:",
    "Addendum:",
    "ADDENDUM\n",
    "ADDENDUM -",
    "***ADDENDUM***\n",
    "FINAL ADDENDUM\n",
    "ADDENDUM #1:",
    "Addendum 2:",
    "ADDENDUM by Dr. Smith at 14:03:",
    "ADDENDUM BY DR. ___ ON ___:",
    "Addendum by Ann Roe, MD on 5/2/2019 at 14:03\n",
    "Addendum (5/2/2019 14:03, J. Smith):",
    "ADDENDUM: 5/2/2019 14:03 Dr. Smith:",
    "Addendum on March 5, 2019 by Dr. Jane Roe:",
    "ADDENDUM 05/02/2019",
    "ADDENDUM TO THE ORIGINAL REPORT:",
    "ADDENDUM BEGINS",
    "AMENDED REPORT:",
    "Correction:",
    "SUPPLEMENTAL REPORT:",
    "Added report:",
    "Additional report (5/2/2019):",
    "AMENDED REPORT 5/2/2019 10:30:",
    "ADDENDUM",
]


@pytest.mark.parametrize("head", HEADS)
def test_heading_of_an_addendum_with_names_and_dates(head: str) -> None:
    text = f"No gap.\n\n{head} There is a gap."
    assert [text[body:end].strip() for _, body, end in addenda(text)] == ["There is a gap."]
    assert [(s.name, text[s.start : s.end]) for s in split_sections(text)][-1] == ("addendum", "There is a gap.")


@pytest.mark.parametrize(
    "head", ["ADDENDUM 5/2/2019 10:30:", "ADDENDUM by Dr. Smith 10:30:", "ADDENDUM 10:30", "Addendum:"]
)
def test_the_first_word_behind_the_time_is_text(head: str) -> None:
    text = f"No gap.\n{head} On further review there is a gap."
    assert [text[body:end] for _, body, end in addenda(text)] == ["On further review there is a gap."]


@pytest.mark.parametrize("line", ["Addenda: None.", "Addendum: None", "ADDENDUM: N/A", "ADDENDUM:\nNone."])
def test_an_addendum_that_is_none_is_no_text(line: str) -> None:
    report = f"FINDINGS: Clear.\n{line}\nIMPRESSION: Normal."
    sections = [(s.name, report[s.start : s.end]) for s in split_sections(report)]
    assert [one for one in sections if one[0] != "other"] == [("findings", "Clear."), ("impression", "Normal.")]


def test_a_report_called_final_leaves_the_word_to_its_heading() -> None:
    text = "EXAM: Wrist\nHISTORY: Fall.\nFINAL REPORT: No gap."
    assert [(s.name, text[s.start : s.end]) for s in split_sections(text)][1:] == [
        ("history", "Fall."),
        ("findings", "No gap."),
    ]


@pytest.mark.parametrize(
    "text", ["Addendum to follow.", "See addendum.", "Correction of the deformity by wires.", "ADDENDUM ENDS"]
)
def test_the_word_alone_is_no_heading(text: str) -> None:
    assert not list(addenda(f"No gap.\n{text}"))


def test_an_addendum_above_ends_at_the_title_of_the_report() -> None:
    text = (
        " FINAL ADDENDUM\n ADDENDUM: The tube is low.\n______________\n FINAL REPORT\n CHEST RADIOGRAPH\n\n "
        "FINDINGS: Clear."
    )
    assert [(s.name, text[s.start : s.end]) for s in split_sections(text)] == [
        ("addendum", "The tube is low."),
        ("exam", "CHEST RADIOGRAPH"),
        ("findings", "Clear."),
    ]
