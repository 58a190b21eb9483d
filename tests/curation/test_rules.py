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


def test_the_name_of_a_film_counts_more_than_a_word_that_hints_at_another() -> None:
    assert texts("EXAM: Chest; knee. FINDINGS: Pneumonia of the knee.") == {
        "chest": "",
        "knee": "Pneumonia of the knee.",
    }


def test_a_finding_of_bone_stays_with_the_bones_that_were_spoken_of() -> None:
    # Behind the lungs it would belong to every bone that was filmed.
    report = "EXAM: Chest; knee; ankle; hip. FINDINGS: The knee and ankle are swollen. No fracture is seen."
    both = "The knee and ankle are swollen. No fracture is seen."
    assert texts(report) == {"chest": "", "knee": both, "ankle": both, "hip": ""}
    assert texts("EXAM: Chest; knee; ankle. FINDINGS: Lungs are clear. No fracture is seen.") == {
        "chest": "Lungs are clear.",
        "knee": "No fracture is seen.",
        "ankle": "No fracture is seen.",
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


TWO_EXAMS = [
    "EXAM: XR LEFT WRIST\nFINDINGS: {}\n\nEXAM: XR RIGHT ANKLE\nFINDINGS: {}",
    "EXAMINATION: LEFT WRIST 3 VIEWS\nHISTORY: Fall.\nFINDINGS: {}\nEXAMINATION: RIGHT ANKLE 3 VIEWS\nHISTORY: "
    "Fall.\nFINDINGS: {}",
    "PROCEDURE: Left wrist\nIMPRESSION: {}\nPROCEDURE: Right ankle\nIMPRESSION: {}",
    "STUDY: Left wrist. FINDINGS: {} STUDY: Right ankle. FINDINGS: {}",
    "1. LEFT WRIST\nFINDINGS: {}\n2. RIGHT ANKLE\nFINDINGS: {}",
    "1) XR WRIST LEFT\nFINDINGS: {}\n2) XR ANKLE RIGHT\nFINDINGS: {}\n",
    "- Left wrist\nFindings: {}\n- Right ankle\nFindings: {}",
    "EXAM 1: LEFT WRIST\nFINDINGS: {}\nEXAM 2: RIGHT ANKLE\nFINDINGS: {}",
    "Exam #1: LEFT WRIST\nFINDINGS: {}\nExam #2: RIGHT ANKLE\nFINDINGS: {}",
    "LEFT WRIST\nFINDINGS: {}\n\nRIGHT ANKLE\nFINDINGS: {}",
    "LEFT WRIST 3 VIEWS: {} RIGHT ANKLE 3 VIEWS: {}",
    "XR LEFT WRIST. {} XR RIGHT ANKLE. {}",
    "PROCEDURE: XR WRIST LEFT\n{}\n\nPROCEDURE: XR ANKLE RIGHT\n{}",
    "EXAM: XR WRIST LEFT; XR ANKLE RIGHT\nLEFT WRIST FINDINGS: {}\nRIGHT ANKLE FINDINGS: {}",
    "EXAM: XR WRIST LEFT; XR ANKLE RIGHT\nFINDINGS WRIST: {}\nFINDINGS ANKLE: {}",
    "EXAM: XR WRIST LEFT; XR ANKLE RIGHT\nFINDINGS (LEFT WRIST): {}\nFINDINGS (RIGHT ANKLE): {}",
    "EXAM: XR WRIST LEFT; XR ANKLE RIGHT\nLEFT WRIST: {}\nRIGHT ANKLE: {}",
    "EXAM: LEFT WRIST\nFINDINGS: {}\n------\nEXAM: RIGHT ANKLE\nFINDINGS: {}",
    "FINDINGS: Left wrist {} Right ankle {}",
]


@pytest.mark.parametrize("form", TWO_EXAMS)
def test_each_exam_of_a_report_has_its_own_findings(form: str) -> None:
    report = form.format("There is a buckle fracture.", "There is no fracture.")
    assert texts(report) == {"wrist": "There is a buckle fracture.", "ankle": "There is no fracture."}


def test_one_impression_behind_several_exams_is_of_all() -> None:
    report = (
        "EXAM: Left wrist\nFINDINGS: A gap.\nEXAM: Right ankle\nFINDINGS: No gap.\n"
        "IMPRESSION: 1. Gap of the left wrist. 2. Normal right ankle. 3. No dislocation."
    )
    assert texts(report) == {
        "wrist": "A gap. Gap of the left wrist. No dislocation.",
        "ankle": "No gap. Normal right ankle. No dislocation.",
    }


def test_sentences_that_begin_with_a_film_open_it() -> None:
    report = (
        "EXAM: Left wrist, right ankle.\nFINDINGS: Two views of the left wrist show a buckle. Alignment is normal. "
        "Three views of the right ankle show no gap. The mortise is intact."
    )
    assert texts(report) == {
        "wrist": "Two views of the left wrist show a buckle. Alignment is normal.",
        "ankle": "Three views of the right ankle show no gap. The mortise is intact.",
    }


@pytest.mark.parametrize(
    "start", ["There is a slip of the left hip.", "No gap of the left hip.", "The left hip is normal."]
)
@pytest.mark.parametrize("name", ["Pelvis and left hip", "PELVIS AND LEFT HIP", "Pelvis and left hip."])
def test_a_name_that_runs_into_a_sentence_is_a_heading(name: str, start: str) -> None:
    assert texts(f"FINDINGS: {name} {start} The ilium is intact.") == {"pelvis": "The ilium is intact.", "hip": start}


def test_a_heading_of_two_films_gives_each_its_own_and_general_ones_to_both() -> None:
    report = (
        "EXAM: Shoulder and clavicle.\nFINDINGS: Shoulder and clavicle. The humeral head is located. Clavicle is "
        "bowed. "
        "No fractures or dislocations. Soft tissues are normal."
    )
    general = "No fractures or dislocations. Soft tissues are normal."
    assert texts(report) == {
        "shoulder": f"The humeral head is located. {general}",
        "clavicle": f"Clavicle is bowed. {general}",
    }


def test_what_another_film_shows_too_belongs_to_both() -> None:
    report = "EXAM: Pelvis; left hip.\nFINDINGS: Pelvis. Hip joint spaces are symmetric. The ilium is intact. {}No gap."
    both = "Hip joint spaces are symmetric."
    for heading in ("Left hip. ", "Left hip: "):
        assert texts(report.format(heading)) == {"pelvis": f"{both} The ilium is intact.", "hip": f"{both} No gap."}
    without = texts("EXAM: Foot; ankle.\nFINDINGS: Foot: No gap. Talus and distal fibula are intact.")
    assert without == {
        "foot": "No gap. Talus and distal fibula are intact.",
        "ankle": "Talus and distal fibula are intact.",
    }


SURVEY = "SKELETAL SURVEY\nFINDINGS:\nSkull: No gap.\nRibs: Healing fractures.\n{}: Metaphyseal gap.\nPelvis: No gap.\n"


@pytest.mark.parametrize(
    ("label", "films"),
    [
        ("Spine", ["thoracic_spine", "lumbar_spine"]),
        ("Long bones", ["femur", "tibia_fibula"]),
        ("Extremities", ["femur", "humerus"]),
        ("Lower extremities", ["femur", "tibia_fibula"]),
        ("Upper extremities", ["humerus", "forearm"]),
        ("Right lower extremity", ["femur"]),
        ("Appendicular skeleton", ["hand"]),
        ("Hands and feet", ["hand", "foot"]),
        ("Upper limbs", ["elbow"]),
        ("Vertebral column", ["cervical_spine"]),
    ],
)
def test_groups_of_a_survey_leave_the_film_above(label: str, films: list[str]) -> None:
    found = extract_regions(SURVEY.format(label), ["skull", "chest", "pelvis", *films])
    above = {"skull": "No gap.", "chest": "Healing fractures.", "pelvis": "No gap."}
    assert {name: excerpt.text for name, excerpt in found.items()} == above | dict.fromkeys(films, "Metaphyseal gap.")


def test_a_survey_names_its_films_by_what_it_describes() -> None:
    survey = (
        "SKELETAL SURVEY\nFINDINGS:\nRibs: Intact.\nLong bones: Corner fracture of the distal tibia.\nSpine: Normal."
    )
    assert texts(survey) == {
        "chest": "Intact.",
        "tibia_fibula": "Corner fracture of the distal tibia.",
        "thoracic_spine": "Spine: Normal.",
    }
    assert texts("EXAM: Chest.\nFINDINGS: Spine: Normal.") == {"chest": "Spine: Normal."}


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        ("Alignment: Normal.", "Alignment: Normal."),
        ("Lungs: Clear.", "Lungs: Clear."),
        ("Heart: Normal size.", "Heart: Normal size."),
        ("Fracture: None.", "Fracture: None."),
        ("Soft tissues: Swollen.", "Soft tissues: Swollen."),
        ("Pleural line: Not displaced.", "Pleural line: Not displaced."),
        ("Lungs: The lungs are clear.", "The lungs are clear."),
        ("Alignment: Anatomic alignment.", "Anatomic alignment."),
        ("Bones: No fracture.", "No fracture."),
        ("Chest: Clear.", "Clear."),
        ("Pneumothorax: No\nEffusion: Small left", "Pneumothorax: No. Effusion: Small left"),
    ],
)
def test_a_value_keeps_its_label_where_it_says_nothing_alone(lines: str, kept: str) -> None:
    assert texts(f"CHEST\nFINDINGS:\n{lines}\n") == {"chest": kept}


def test_a_denial_of_anything_under_a_joint_heading_is_of_all_its_films() -> None:
    found = texts("FINDINGS: Forearm and elbow. The radial head is dislocated. No foreign body.")
    assert found == {"forearm": "No foreign body.", "elbow": "The radial head is dislocated. No foreign body."}


def test_films_of_others_and_shields_are_no_findings() -> None:
    text = (
        "ANKLE. FINDINGS: No gap. Outside films from 2012 became available for comparison. Gonadal shielding was used."
    )
    assert texts(text) == {"ankle": "No gap."}


def test_a_disease_of_one_part_is_a_finding_and_no_heading() -> None:
    assert texts("ABDOMEN. IMPRESSION: Pneumatosis of the right colon.") == {
        "abdomen": "Pneumatosis of the right colon."
    }
    assert texts("ABDOMEN. IMPRESSION: Portal venous gas.") == {"abdomen": "Portal venous gas."}


@pytest.mark.parametrize("mark", [";", " |"])
def test_films_of_one_line_each_get_their_own_sentence(mark: str) -> None:
    found = texts(f"Chest: Clear lungs{mark} Left wrist: radial fracture{mark} Elbow: no effusion.")
    assert found == {"chest": "Clear lungs", "wrist": "radial fracture", "elbow": "no effusion."}


def test_a_semicolon_between_the_names_of_a_heading_keeps_both() -> None:
    found = texts("FINDINGS: Chest; left wrist: No fracture.")
    assert found == {"chest": "No fracture.", "wrist": "No fracture."}
    assert texts("FINDINGS: Chest: Clear lungs; Heart: normal.") == {"chest": "Clear lungs; Heart: normal."}
