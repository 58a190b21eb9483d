import pytest

from pedclip.curation.report.parse import parse_report

CASES = {
    "finding": [
        "No change in the angulation of the radius.",
        "Stable cardiac silhouette.",
        "Rotation limits the view of the apices, which look clear.",
        "Two views of the ankle show a joint effusion.",
        "Thickened bronchial walls, consistent with a history of asthma.",
        "New opacity in the lingula; follow-up is advised.",
        "Follow-up film shows a healed fracture.",
        "Small density over the spine on the lateral view.",
        "Fracture as described above.",
        "Mild rotation of the distal fragment.",
        "The bones suggest rickets.",
        "No cortical break on these views.",
        "The nodule seen on the prior film is no longer present.",
        "New opacity which was not seen on prior studies.",
        "PICC tip in the SVC; retraction may be helpful.",
        "Allowing for patient rotation, the mediastinum is unchanged.",
    ],
    "history": [
        "This 4-year-old girl presented with a limp.",
        "The patient has a history of rickets.",
        "Fever and dry cough.",
    ],
    "comparison": [
        "Unchanged.",
        "No significant interval change since the previous examination.",
        "Compared with the chest CT of last May.",
        "The heart and lungs are unchanged since the prior film.",
        "There are no prior studies.",
        "None available.",
        "Outside films of the pelvis, March 2019.",
        "Ultrasound of June 2016.",
        "Healing fractures were seen on earlier films in our file.",
        "A nodule was noted on the prior study.",
        "There are older radiographs of the chest in our records.",
    ],
    "technique": [
        "Three views of the left foot were obtained.",
        "A total of 2 images.",
        "Evaluation is limited by patient motion.",
        "The patient is rotated to the left.",
        "Slight motion artifact is noted.",
        "Image quality is good.",
    ],
    "recommendation": [
        "Clinical correlation is advised.",
        "If a fracture is suspected, repeat radiographs are recommended.",
        "Consider ultrasound of the hips.",
        "MRI may be helpful.",
        "Suggest views of the foot if it hurts there.",
        "Suggest repeat films in a month.",
        "If outside films exist, comparison would help.",
        "If symptoms persist, views of the hip could be taken.",
        "Should pain persist, another film can be taken.",
        "When available, prior films should be sent.",
    ],
    "administrative": [
        "The ward was informed by telephone.",
        "Dr. X was notified.",
        "XXXX, XXXX.",
        "Electronically signed.",
        "Findings as described above.",
        "See above.",
    ],
    "heading": [
        "Left knee.",
        "Two-view chest:",
        "Bones:",
        "Right:",
        "Alignment:",
        "ST:",
        "Regarding the left foot:",
        "Right hip shows the following:",
    ],
}


def types_of(section: str, text: str) -> list[tuple[str, str]]:
    """Type and text of each sentence under a heading; a history stands before it, so that none is looked for."""
    lines = parse_report(f"INDICATION: Fall.\n{section}: {text}").lines
    return [(line.sentence_type, line.sentence.text) for line in lines if line.section.name != "indication"]


@pytest.mark.parametrize(("sentence_type", "text"), [(name, text) for name, texts in CASES.items() for text in texts])
def test_type_in_the_findings(sentence_type: str, text: str) -> None:
    assert types_of("FINDINGS", text) == [(sentence_type, text)]


@pytest.mark.parametrize(
    ("section", "sentence_type"),
    [
        ("HISTORY", "history"),
        ("COMPARISON", "comparison"),
        ("TECHNIQUE", "technique"),
        ("RECOMMENDATION", "recommendation"),
        ("SIGNED", "administrative"),
    ],
)
def test_section_decides_before_the_words(section: str, sentence_type: str) -> None:
    assert types_of(section, "No fracture.") == [(sentence_type, "No fracture.")]
