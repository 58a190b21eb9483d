import pytest

from pedclip.curation.extract import extract_regions
from pedclip.curation.report.notes import is_note

NOTE = (
    "CHIEF COMPLAINT: Cough.\nHISTORY OF PRESENT ILLNESS: {}\nPHYSICAL EXAM: Chest: Clear to auscultation. "
    "Abdomen: Soft."
)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            "Coughs for days. Chest x-ray showed a left effusion. No pneumothorax. Was given oxygen.",
            {"chest": "Chest x-ray showed a left effusion. No pneumothorax."},
        ),
        ("CXR was negative. Fever since.", {"chest": "CXR was negative."}),
        (
            "Fell. Radiographs of the left wrist demonstrated a buckle fracture. Cast.",
            {"wrist": "Radiographs of the left wrist demonstrated a buckle fracture."},
        ),
        ("Chest x-ray was ordered. CT of the head was normal.", {}),
        (
            "The chest and pelvis x-rays were negative. Cast.",
            dict.fromkeys(["chest", "pelvis"], "The chest and pelvis x-rays were negative."),
        ),
        (
            "X-ray of the cervical and lumbar spine showed stenosis.",
            dict.fromkeys(
                ["cervical_spine", "lumbar_spine"], "X-ray of the cervical and lumbar spine showed stenosis."
            ),
        ),
        (
            "Two views of the left foot demonstrate a spur. No acute fracture. The patient went for foot repair.",
            {"foot": "Two views of the left foot demonstrate a spur. No acute fracture."},
        ),
        (
            "Films of the knee were reviewed. They demonstrate narrowing. The wound of the knee was irrigated.",
            {"knee": "They demonstrate narrowing."},
        ),
        ("Limps on the left ankle. An x-ray showed pneumonia.", {"chest": "An x-ray showed pneumonia."}),
        ("X-rays and MRIs of his joints were unremarkable.", {}),
        ("X-rays of the knee were taken to check screw length. Needle counts of the hip confirmed by x-ray.", {}),
        ("Chest x-ray to rule out pneumothorax.", {}),
    ],
)
def test_of_a_note_only_the_results_of_films_are_findings(told: str, expected: dict[str, str]) -> None:
    found = {region: excerpt.text for region, excerpt in extract_regions(NOTE.format(told)).items()}
    assert found == expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            "RADIOGRAPHIC EXAMINATION: Left hip: Normal. Left knee: Mild narrowing.\nPLAN: Knee brace, no fracture.",
            {"knee"},
        ),
        ("TEST & X-RAY RESULTS: Hb: 12 g/dl, elevated.", set()),
        ("X-RAYS: CT of the hip shows a fracture. The hip is normal.", set()),
        ("LABS: EKG: normal axis\nCXR: Heart normal in size.", {"chest"}),
    ],
)
def test_only_what_is_of_films_counts_under_their_heading(part: str, expected: set[str]) -> None:
    found = extract_regions(NOTE.format("Limps.") + "\n" + part)
    assert expected <= set(found)
    assert not any(
        "CT" in one.text or "Hb" in one.text or "brace" in one.text or "EKG" in one.text for one in found.values()
    )


@pytest.mark.parametrize(
    "text",
    [
        "The unembalmed body shows rigor mortis. The heart weighs 300 grams. The cut surfaces of the lungs are red.",
        "The neck was prepped and draped. Lidocaine was given. An incision was made over the clavicle, no fracture.",
        "Wedge biopsy showing adenocarcinoma of the right lower lobe with free resection margin. No stain for CK.",
    ],
)
def test_texts_on_operations_and_the_dead_are_notes_without_a_heading(text: str) -> None:
    assert extract_regions(text) == {}
    assert extract_regions("EXAM: Chest.\nFINDINGS: " + text).keys() == {"chest"}  # a film is named


def test_a_report_is_no_note() -> None:
    assert is_note(NOTE)
    assert not is_note("EXAM: Chest.\nHISTORY: Cough.\nFINDINGS: Clear.\nIMPRESSION: Normal.")
