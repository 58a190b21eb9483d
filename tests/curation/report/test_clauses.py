import pytest

from pedclip.curation.extract import extract_regions
from pedclip.curation.report.clauses import finding_clause, is_superseded
from pedclip.curation.report.lexicon import scan


@pytest.mark.parametrize(
    ("sentence", "finding"),
    [
        ("There is a large right tension pneumothorax, discussed with Dr. ___ at 3:40 pm.", "There is a large "
            "right tension pneumothorax"),
        ("Malpositioned tube in the right main bronchus; the team was notified.", "Malpositioned tube in the "
            "right main bronchus"),
        ("Displaced supracondylar fracture; orthopedics was paged.", "Displaced supracondylar fracture"),
        ("Large pneumothorax was discussed with Dr. X.", "Large pneumothorax"),
        ("Buckle fracture - Dr. X informed by phone.", "Buckle fracture"),
        ("Buckle fracture (discussed with Dr. X at 14:03).", "Buckle fracture"),
        ("There is free air, and the surgeon was called to the reading room.", "There is free air"),
        ("Dr. X was notified; there is a small effusion.", "there is a small effusion."),
        ("New consolidation, which was communicated to the ward.", "New consolidation"),
        ("Free intraperitoneal air is present and the ward was informed by phone.", "Free "
            "intraperitoneal air is present"),
        ("Widened joint space; this was conveyed verbally to Dr. X.", "Widened joint space"),
        ("Right lower lobe collapse, and a message was left.", "Right lower lobe collapse"),
        ("Dr. X was notified at 10:20 of a misplaced tube in the bronchus.", "a misplaced tube in the bronchus."),
    ],
)  # fmt: skip
def test_the_finding_of_a_notification_is_kept(sentence: str, finding: str) -> None:
    start, end = finding_clause(sentence, scan(sentence)) or (0, 0)
    assert sentence[start:end] == finding
    excerpt = extract_regions(f"CHEST\nFINDINGS: {sentence} Heart is normal.", ["chest"])["chest"]
    assert excerpt.text == f"{finding.rstrip('.')}. Heart is normal."


@pytest.mark.parametrize(
    "sentence",
    ["The results were discussed with Dr. X.", "Dr. X was notified at 3 pm.", "These findings were called to the "
        "ward, at 14:03.", "Thank you.", "Please see the separate report of the abdomen.",
        "Dr. X was notified of the effusion.",
        "Orthopedics aware.", "I called the result to the nurse."],
)  # fmt: skip
def test_a_notification_alone_leaves(sentence: str) -> None:
    assert finding_clause(sentence, scan(sentence)) is None
    assert extract_regions(f"CHEST\nFINDINGS: {sentence} Heart is normal.")["chest"].text == "Heart is normal."


@pytest.mark.parametrize(
    ("sentence", "addendum", "is_taken_back"),
    [
        ("No fracture.", "There is a subtle buckle fracture.", True),
        ("No fracture or dislocation.", "Buckle fracture of the radius.", True),
        ("Normal wrist.", "There is a buckle fracture.", True),
        ("The tube is in good position.", "The tip of the tube is in the right main bronchus.", True),
        ("Small pneumothorax.", "There is no pneumothorax; the line was a fold of skin.", True),
        ("Fracture of the left radius.", "The fracture is on the right, not the left.", True),
        ("No effusion.", "There is a fracture.", False),
        ("Normal.", "There is a gap in the cortex.", True),
        ("Normal.", "The physes are open.", False),
        ("No left effusion.", "Small right effusion.", False),
        ("Small effusion.", "The effusion is moderate.", False),
        ("No fracture.", "Compared with the outside film, no change of the fracture.", False),
        ("Lungs are clear.", "There is a rib fracture.", False),
    ],
)
def test_what_an_addendum_takes_back(sentence: str, addendum: str, is_taken_back: bool) -> None:
    assert is_superseded(sentence, scan(sentence), addendum, scan(addendum)) is is_taken_back


@pytest.mark.parametrize(
    "head",
    [
        "ADDENDUM: ",
        "ADDENDUM\n",
        "Addendum #1 by Dr. Smith at 14:03: ",
        "ADDENDUM BY DR. ___ ON ___: ",
        "-----ADDENDUM-----\n",
    ],
)
def test_the_correction_is_kept_and_the_corrected_is_not(head: str) -> None:
    new = "There is a subtle buckle fracture."
    below = f"LEFT WRIST\nFINDINGS: No fracture. No effusion.\n\n{head}{new}"
    above = f"{head}{new}\n\nLEFT WRIST\nFINDINGS: No fracture. No effusion."
    assert extract_regions(below)["wrist"].text == f"No effusion. {new}"
    assert extract_regions(above)["wrist"].text == f"{new} No effusion."


def test_a_correction_of_the_side_in_another_sentence_of_the_addendum() -> None:
    report = "LEFT FOOT\nFINDINGS: Fracture of the right fifth metatarsal. No swelling.\nADDENDUM: {} {}"
    new = "Fracture of the left fifth metatarsal."
    corrected = extract_regions(report.format("The side was wrong.", new), ["foot"])["foot"].text
    assert corrected == f"No swelling. {new}"
    assert "right" in extract_regions(report.format("Seen again.", new), ["foot"])["foot"].text
