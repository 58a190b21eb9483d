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
    ],
)
def test_of_a_note_only_the_results_of_films_are_findings(told: str, expected: dict[str, str]) -> None:
    found = {region: excerpt.text for region, excerpt in extract_regions(NOTE.format(told)).items()}
    assert found == expected


def test_a_report_is_no_note() -> None:
    assert is_note(NOTE)
    assert not is_note("EXAM: Chest.\nHISTORY: Cough.\nFINDINGS: Clear.\nIMPRESSION: Normal.")
