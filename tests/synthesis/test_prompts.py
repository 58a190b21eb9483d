"""The words that a generator is told."""

import pytest

from pedclip.synthesis.prompts import prompt_of

REPORT = """EXAM: Left knee.
INDICATION: Fall.
FINDINGS: There is a joint effusion. No fracture.
IMPRESSION: Effusion."""


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("excerpt", REPORT),
        ("impression", "Effusion."),
        ("findings", "There is a joint effusion. No fracture."),
        ("both", "There is a joint effusion. No fracture. Effusion."),
    ],
)
def test_sections_of_a_report(prompt: str, expected: str) -> None:
    assert prompt_of(f"\n{REPORT} ", prompt=prompt) == expected  # type: ignore[arg-type]


def test_a_text_without_headings_is_findings_and_has_no_impression() -> None:
    text = "The bones are intact. No fracture."
    assert prompt_of(text, prompt="findings") == prompt_of(text, prompt="both") == text
    assert prompt_of(text, prompt="impression") == ""


@pytest.mark.parametrize(
    ("region", "laterality", "expected"),
    [
        ("knee", "left", "Left knee radiograph. No fracture."),
        ("hand", "both", "Bilateral hand radiograph. No fracture."),
        ("cervical_spine", "", "Cervical spine radiograph. No fracture."),
    ],
)
def test_a_named_prompt_begins_with_side_and_region(region: str, laterality: str, expected: str) -> None:
    assert prompt_of(" No fracture.", prompt="named", region=region, laterality=laterality) == expected


def test_nothing_stays_nothing() -> None:
    for prompt in ("excerpt", "named", "impression", "findings", "both"):
        assert prompt_of(" \n", prompt=prompt, region="knee") == ""  # type: ignore[arg-type]


def test_an_unknown_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="prompt='report' is not allowed: one of"):
        prompt_of("x", prompt="report")  # type: ignore[arg-type]
