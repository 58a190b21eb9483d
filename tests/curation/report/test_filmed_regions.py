import pytest

from pedclip.anatomy import REGIONS, UnknownRegion
from pedclip.curation.report.filmed_regions import filmed_regions
from pedclip.curation.report.lexicon import NECK, scan, word_lists


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("EXAM: Left hip with pelvis; right knee, 2 views", {"hip": "left", "pelvis": "", "knee": "right"}),
        ("EXAM: 1. AP right knee. 2. AP left knee. FINDINGS: Normal.", {"knee": "both"}),
        ("EXAM: Chest. COMPARISON: Abdomen film. FINDINGS: Clear lungs.", {"chest": ""}),
        ("EXAM: Chest, comparison CT abdomen. FINDINGS: Clear lungs.", {"chest": ""}),
        ("INDICATION: Knee pain. FINDINGS: Three views of the left ankle show no fracture.", {"ankle": "left"}),
        ("EXAM: Chest. FINDINGS: Lungs clear. Right foot: no fracture.", {"chest": "", "foot": "right"}),
        ("EXAM: CT of the chest. FINDINGS: Clear lungs.", {}),
        ("IMPRESSION: Normal renal ultrasound with free fluid in the pelvis.", {}),
        ("IMPRESSION: Pneumonia of the left lower lobe. Wedged thoracic vertebra.", {"chest": ""}),
        ("IMPRESSION: Steeple sign with subglottic narrowing.", {NECK: ""}),
        ("IMPRESSION: Clear lungs. Fluid in the maxillary sinuses.", {"chest": "", "facial_bones": ""}),
        ("EXAM: Left and right XXXX. FINDINGS: Both patellae are high.", {"knee": "both"}),
        ("EXAM: AP and frog-leg hips. FINDINGS: The right hip is normal.", {"hip": "both"}),
        ("EXAM: Chest. FINDINGS: Lungs: Clear. Upper abdomen: Normal. Ribs: Intact.", {"chest": ""}),
        ("CHEST, TWO VIEWS:\nClear.\n\nKUB:\nStool.\n\nIMPRESSION: Normal.", {"chest": "", "abdomen": ""}),
        ("IMPRESSION: Femoral fracture.", {"femur": ""}),
        ("No abnormality.", {}),
        ("", {}),
    ],
)
def test_filmed_regions(report: str, expected: dict[str, str]) -> None:
    assert filmed_regions(report) == expected


def test_findings_mostly_of_other_modalities_name_no_film() -> None:
    assert filmed_regions("CT of the chest shows a nodule. MRI of the head shows edema. The lungs are clear.") == {}
    assert filmed_regions("CT of the chest shows a nodule. The lungs are clear. No effusion.") == {"chest": ""}


def test_given_regions_are_kept_and_first() -> None:
    assert filmed_regions("EXAM: Left wrist.", given=["elbow"]) == {"elbow": "", "wrist": "left"}
    with pytest.raises(UnknownRegion, match="got 'arm'"):
        filmed_regions("EXAM: Left wrist.", given=["arm"])


def test_word_lists_speak_of_the_same_regions_as_anatomy() -> None:
    known = {*REGIONS, NECK}
    assert set(word_lists()["seen_on"]) == known
    assert {region for shown in word_lists()["seen_on"].values() for region in shown} <= known
    assert set(word_lists()["regions"]) <= known


def test_every_listed_term_is_found_in_a_sentence() -> None:
    for group in ("cues", "finding"):
        for name, terms in word_lists()[group].items():
            for term in terms:
                found = scan(f"Zz {term.replace('*', '')} zz.")
                assert any(f":{name}" in "".join(hit.tags) for hit in found), term


@pytest.mark.parametrize(
    "text",
    [
        "FINDINGS: The labrum of the hip is torn. There is marrow edema of the femoral head.",
        "Low attenuation lesion of the neck with mild rim enhancement. The epiglottis is normal.",
        "The kidneys are normal in echotexture, no hydronephrosis. Color flow in the femoral vein.",
        "Ejection fraction is 60%. The mitral valve opens well. No pericardial effusion, heart size is normal.",
        "Increased tracer uptake over the skull. Radionuclide activity of the ribs is normal.",
    ],
)
def test_findings_of_what_no_film_shows_are_of_no_film(text: str) -> None:
    assert filmed_regions(text) == {}
    assert filmed_regions("EXAM: Chest x-ray.\n" + text).keys() == {"chest"}


def test_one_remark_on_what_no_film_shows_leaves_the_film() -> None:
    assert filmed_regions("Two views of the shoulder. No fracture. The rotator cuff is not seen.").keys() == {
        "shoulder"
    }
