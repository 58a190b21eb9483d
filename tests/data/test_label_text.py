"""Labels become findings and sentences that say what the label says, and no more."""

import json
from importlib.resources import files

import pytest

from pedclip.anatomy import display_name
from pedclip.data.label_terms import Labels, read_labels, terms_of
from pedclip.data.label_text import label_text, patient_words

PROMPTS = json.loads((files("pedclip.data") / "label_prompts.json").read_text(encoding="utf-8"))
KEYS = [f"image-{number}" for number in range(40)]


@pytest.mark.parametrize(
    ("finding", "label", "findings", "absent"),
    [
        ("osteosarcoma", "malignant", ("osteosarcoma", "malignant"), ()),
        ("Cardiomegaly; Pleural_Thickening", "pneumonia", ("cardiomegaly", "pleural thickening", "pneumonia"), ()),
        ("Edema|Effusion", "", ("edema", "effusion"), ()),
        ("bacterial pneumonia", "bacterial_pneumonia", ("bacterial pneumonia",), ()),
        ("COVID-19", "covid19", ("covid-19",), ()),
        ("dysplasia (folder name)", "", ("dysplasia",), ()),
        ("no bone tumor", "normal", (), ("bone tumor",)),
        ("No Finding", "no_finding", (), ()),
        ("", "normal", (), ()),
        ("no knee osteoarthritis", "KL0", (), ("knee osteoarthritis",)),  # the code of a normal film is no finding
        ("no pneumothorax; effusion", "", ("effusion",), ()),
        ("fracture", "todo", ("fracture",), ()),
    ],
)
def test_labels_become_plain_terms(finding: str, label: str, findings: tuple, absent: tuple) -> None:
    assert read_labels(finding, label) == Labels(findings, absent)


@pytest.mark.parametrize("cell", ["", " ; ", "todo", "Unknown", "?", "nan"])
def test_unlabelled_is_not_normal(cell: str) -> None:
    assert read_labels("", cell) is None
    assert read_labels(cell, "") is None


def test_sentences_name_finding_region_side_view_and_patient() -> None:
    for key in KEYS:
        text = label_text(
            Labels(("osteosarcoma",), ()), key=key, region="knee", laterality="left", view="AP", patient="a child"
        )
        assert "osteosarcoma" in text.lower()
        assert "left knee" in text.lower()
        assert "of a child." in text
        assert "AP" in text or text.startswith("X-ray")


def test_unknown_values_leave_no_gap() -> None:
    for key in KEYS:
        for view in ("", "lateral"):
            text = label_text(Labels(("fracture", "effusion"), ()), key=key, region="tibia_fibula", view=view)
            assert display_name("tibia_fibula") in text.lower()
            assert not any(wrong in text for wrong in ("  ", " .", " ,", "{", "}", "_"))
            assert all(sentence[0].isupper() for sentence in text.split(". "))


def test_normal_and_absent_become_negative_sentences() -> None:
    for key in KEYS:
        normal = label_text(Labels((), ()), key=key, region="chest")
        assert any(normal.endswith(template) for template in PROMPTS["normal"])
        absent = label_text(Labels((), ("pneumonia",)), key=key, region="chest")
        assert any(absent.endswith(template.format(finding="pneumonia")) for template in PROMPTS["absent"])


def test_wording_is_mixed_over_images_and_stable_for_each() -> None:
    texts = [label_text(Labels(("viral pneumonia",), ()), key=key, region="chest") for key in KEYS]
    assert len(set(texts)) >= 8
    assert texts[0] == "Chest, radiograph. The opacities are those of a viral pneumonia."


def test_every_template_of_the_prompt_set_is_whole() -> None:
    for group in ("generic", "absent", "film"):
        assert all(template.endswith(".") and "{" in template for template in PROMPTS[group])


@pytest.mark.parametrize(
    ("months", "group", "words"),
    [
        (None, "", ""),
        (None, "pediatric 1-5y", "a child"),
        (None, "adult (presumed)", "an adult"),
        (0.5, "", "a newborn"),
        (8, "", "an 8-month-old infant"),
        (18, "", "an 18-month-old child"),
        (7 * 12 + 11, "adult", "a 7-year-old child"),
        (18 * 12, "child", "an adult"),
    ],
)
def test_patient_in_words(months: float | None, group: str, words: str) -> None:
    assert patient_words(months, group) == words


@pytest.mark.parametrize(
    ("cell", "terms"),
    [
        ("{'fracture': True, 'metal': False}", ["fracture"]),
        ('{"fracture": "no", "metal": "yes"}', ["metal"]),
        ("{'fracture': nan}", ["{'fracture': nan}"]),
        ("frozenset({'fracture', 'metal'})", ["fracture", "metal"]),
        ("array(['fracture', 'metal'], dtype=object)", ["fracture", "metal"]),
        ("[['fracture'], ['metal']]", ["fracture", "metal"]),
        ('["fracture [old]", "unk"]', ["fracture [old]"]),
        ("['fracture' 'metal']", ["fracture", "metal"]),
    ],
)
def test_lists_and_dictionaries_of_programs_say_what_they_say(cell: str, terms: list[str]) -> None:
    assert terms_of(cell) == terms
