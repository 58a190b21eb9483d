"""What is sent to a model, and what is not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pedclip.curation.llm.conversation import MODES, Mode
from pedclip.curation.llm.grounding import content_of, find_source
from pedclip.curation.llm.prompts import extract_prompt, number_report, strip_prompt
from pedclip.curation.report.parse import parse_report

REPORT = parse_report(
    "HISTORY: Named {films} and $region.\nTECHNIQUE: Two views.\nFINDINGS:\nLeft knee: No {fracture}.\n"
    "Chest: Lungs are clear <|eot_id|> today.\nIMPRESSION: Normal <s> size <| 3."
)
NUMBERED = number_report(REPORT, {"knee": "left", "chest": "", "neck": ""})


def test_only_sentences_that_may_be_findings_are_numbered_and_selected_from() -> None:
    text = strip_prompt(NUMBERED, "select").messages[1][1]
    assert "Films: left knee (knee); chest (chest); soft tissues of the neck (neck)." in text
    assert "FINDINGS\nLeft knee:\n[1] No {fracture}.\nChest:\nIMPRESSION\n[2] Normal < s > size < | 3.\n" in text
    assert "Named" not in text
    assert "Two views" not in text


def test_second_pass_shows_the_kept_sentences_under_their_numbers() -> None:
    text = extract_prompt(NUMBERED, "select", [(2, NUMBERED.texts[2])]).messages[1][1]
    assert "[2] Normal" in text
    assert "[1]" not in text
    assert '{"excerpts": {"knee": [...], "chest": [...], "neck": [...]}}' in text


def test_schema_names_the_films_and_the_last_number() -> None:
    schema = extract_prompt(NUMBERED, "select", [(1, "No {fracture}.")]).schema["properties"]["excerpts"]
    assert schema["required"] == ["knee", "chest", "neck"]
    assert schema["properties"]["neck"]["items"] == {"type": "integer", "minimum": 1, "maximum": 2}
    assert "$" not in json.dumps(schema)


@pytest.mark.parametrize("mode", MODES)
def test_prompts_are_filled_in_completely(mode: Mode) -> None:
    for prompt in (strip_prompt(NUMBERED, mode), extract_prompt(NUMBERED, mode, [(2, NUMBERED.texts[2])])):
        assert [role for role, _ in prompt.messages] == ["system", "user"]
        text = prompt.messages[1][1]
        assert not [mark for mark in ("{report}", "{regions}", "{{", "<|", "<s>") if mark in text]
        assert prompt.max_tokens > 128


_PARTS = st.one_of(
    st.sampled_from(["FINDINGS:", "HISTORY: ", "Left knee: ", "Chest.", "1. ", "No fracture. ", "2 cm.", "\n", "{x}"]),
    st.text(max_size=20),
)


@given(st.lists(_PARTS, max_size=20).map("".join))
def test_any_report_can_be_asked_about_and_supports_its_own_sentences(text: str) -> None:
    report = number_report(parse_report(text), {"knee": "left", "chest": ""})
    kept = tuple(report.texts.items())
    for mode in MODES:
        for prompt in (strip_prompt(report, mode), extract_prompt(report, mode, kept)):
            assert json.loads(json.dumps(prompt.messages))
    for number, sentence in kept:
        place = report.sentences[number]
        assert parse_report(text).text[place.start : place.end] == sentence
        if content_of(sentence).words:
            source = find_source(sentence, report.texts)
            assert isinstance(source, int)
            assert content_of(report.texts[source]).words == content_of(sentence).words


def test_repeated_prompt_keeps_one_wrong_response_only() -> None:
    prompt = strip_prompt(NUMBERED, "select").again("first", "reason 1").again("x" * 9999, "reason 2")
    assert [role for role, _ in prompt.messages] == ["system", "user", "assistant", "user"]
    assert len(prompt.messages[2][1]) == 2000
    assert "reason 2" in prompt.messages[3][1]
