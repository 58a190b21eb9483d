"""One vocabulary: names are in normal form, and everything that names a finding finds it there."""

import json
from importlib.resources import files

import pytest

from pedclip.data.phantom.findings.registry import FINDINGS
from pedclip.evaluation.tasks.concepts import CONCEPTS
from pedclip.findings import Wording, finding_name, label_name, wording

VOCABULARY = json.loads((files("pedclip") / "findings.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", VOCABULARY["findings"])
def test_every_entry_is_in_normal_form_and_has_words(name: str) -> None:
    assert name == finding_name(name)
    words = wording(name)
    assert words.synonyms
    assert len(set(words.synonyms)) == len(words.synonyms)
    assert all(sentence.endswith(".") for sentence in words.sentences)


def test_abbreviations_lead_to_a_name_that_is_no_abbreviation() -> None:
    for short, name in VOCABULARY["abbreviations"].items():
        assert short == finding_name(short) != name
        assert name not in VOCABULARY["abbreviations"]
        assert label_name(name) == name


def test_a_name_is_found_in_any_spelling() -> None:
    assert wording(" Joint_Effusion") == wording("joint effusion") != Wording()
    assert wording("ufo") == Wording()
    assert (label_name("COVID19"), label_name(" N/A "), label_name("Ufo_sign")) == ("covid-19", "", "ufo sign")


def test_the_concepts_of_the_paper_are_findings_of_the_phantom() -> None:
    assert len(CONCEPTS) == 6
    assert set(CONCEPTS.values()) <= set(FINDINGS)
    assert all(name == finding_name(name) for name in (*CONCEPTS.values(), *FINDINGS))
