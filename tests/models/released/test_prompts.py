"""Prompts in the wording of each method."""

from dataclasses import replace

import pytest

from pedclip.models.released.prompts import make_prompts
from pedclip.models.released.release import find_release, release_names


@pytest.mark.parametrize(
    ("name", "positive", "negative"),
    [
        ("chexzero", "pneumonia", "no pneumonia"),
        ("biomedclip", "this is a photo of pneumonia", "this is a photo of no pneumonia"),
        (
            "unimed-clip",
            "pneumonia is indicated in this chest X-ray image",
            "no pneumonia is indicated in this chest X-ray image",
        ),
        ("medsiglip", "chest radiograph with pneumonia", "chest radiograph with no pneumonia"),
    ],
)
def test_templates_of_one_sentence(name: str, positive: str, negative: str) -> None:
    assert make_prompts(find_release(name), "Pneumonia", "chest") == ([positive], [negative])


def test_without_a_region_its_words_go() -> None:
    prompts = make_prompts(find_release("unimed-clip"), "COVID-19")
    assert prompts.positive == ["COVID-19 is indicated in this X-ray image"]


@pytest.mark.parametrize(("name", "number"), [("gloria", 5), ("medclip", 10)])
def test_severity_subtype_and_location(name: str, number: int) -> None:
    release = find_release(name)
    prompts = make_prompts(release, "fracture", "wrist")
    assert len(prompts.positive) == len(set(prompts.positive)) == number
    everything = make_prompts(replace(release, num_prompts=0), "fracture", "wrist")
    # 4 severities, 2 names, and no place, the wrist, the left and the right one.
    assert len(everything.positive) == 4 * 2 * 4
    assert "moderate cortical break of the left wrist" in everything.positive
    assert set(prompts.positive) < set(everything.positive)
    assert len(everything.negative) == 2 * 4
    # There is one chest.
    assert not any("left" in text for text in make_prompts(release, "pneumonia", "chest").positive)


@pytest.mark.parametrize("name", [name for name in release_names() if name != "rad-dino"])
def test_no_method_leaves_a_gap(name: str) -> None:
    for region in (None, "elbow"):
        positive, negative = make_prompts(find_release(name), "joint_effusion", region)
        for text in (*positive, *negative):
            assert "effusion" in text
            assert text == " ".join(text.split())
            assert "{" not in text
        assert not {*positive} & {*negative}


def test_misuse() -> None:
    with pytest.raises(ValueError, match="expected the name of a finding"):
        make_prompts(find_release("chexzero"), " ")
    with pytest.raises(ValueError, match="RAD-DINO embeds films only"):
        make_prompts(find_release("rad-dino"), "fracture")
    with pytest.raises(ValueError, match="wirst"):
        make_prompts(find_release("gloria"), "fracture", "wirst")
