import json
from importlib.resources import files

import pytest

from pedclip.anatomy import REGIONS
from pedclip.evaluation.tasks.prompts import PromptPair, prompt_pair, region_prompts
from pedclip.findings import finding_name

VOCABULARY = json.loads((files("pedclip") / "findings.json").read_text(encoding="utf-8"))


def test_an_unknown_finding_gets_the_general_sentences():
    pair = prompt_pair("Slipped_Epiphysis", "hip")
    assert pair == PromptPair(
        positive=(
            "Slipped epiphysis.",
            "There is slipped epiphysis.",
            "The film shows slipped epiphysis.",
            "Slipped epiphysis of the hip.",
        ),
        negative=(
            "No slipped epiphysis.",
            "There is no slipped epiphysis.",
            "No slipped epiphysis is seen.",
            "No slipped epiphysis of the hip.",
        ),
    )


def test_synonyms_fill_every_template():
    pair = prompt_pair("Buckle Fracture", "tibia_fibula")
    assert "Torus fracture of the tibia and fibula." in pair.positive
    assert "No torus fracture." in pair.negative
    assert prompt_pair("buckle_fracture", "tibia_fibula") == pair


def test_a_finding_that_says_where_it_is_takes_no_region():
    assert prompt_pair("scoliosis", "thoracic_spine") == prompt_pair("scoliosis")


def test_acronyms_keep_their_case():
    assert prompt_pair("COVID-19").negative[0] == "No COVID-19."
    assert prompt_pair("ABC lesion").positive[0] == "ABC lesion."


@pytest.mark.parametrize("finding", VOCABULARY["findings"])
def test_every_known_finding_has_a_sentence_of_its_own_on_both_sides(finding):
    assert finding == finding_name(finding)
    pair = prompt_pair(finding, "knee")
    for sentence in (*pair.positive, *pair.negative):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert "{" not in sentence
    assert all(sentence.startswith(("No ", "There is no ")) for sentence in pair.negative)
    assert not set(pair.positive) & set(pair.negative)
    assert len(set(pair.positive)) == len(pair.positive) == len(pair.negative)


def test_no_sentence_means_two_regions():
    sentences = [sentence for region in REGIONS for sentence in region_prompts(region)]
    assert len(set(sentences)) == len(sentences) >= len(REGIONS)
    assert region_prompts("cervical_spine")[:2] == ("Radiograph of the cervical spine.", "Cervical spine radiograph.")


@pytest.mark.parametrize("ask", [region_prompts, lambda region: prompt_pair("fracture", region)])
def test_an_unknown_region_is_an_error(ask):
    with pytest.raises(ValueError, match="wristt"):
        ask("wristt")


def test_an_empty_finding_or_pair_is_an_error():
    with pytest.raises(ValueError, match="name of a finding"):
        prompt_pair(" _ ")
    with pytest.raises(ValueError, match="at least one negative"):
        PromptPair(("Fracture.",), ())
