"""Responses are accepted only where they are well-formed, grounded and plausible."""

import json
import random
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pedclip.curation.excerpts import Excerpt
from pedclip.curation.llm.client import Response
from pedclip.curation.llm.conversation import MODES, Mode, Procedure, converse
from pedclip.curation.llm.extractor import numbered
from pedclip.curation.llm.prompts import NumberedReport, Prompt
from pedclip.curation.llm.responses import (
    MAX_RESPONSE,
    Rejection,
    find_implausible,
    find_object,
    read_cleaned,
    read_kept,
    read_rewritten,
    read_selected,
)

SHOWN = {
    1: "The left hip is normal.",
    2: "No fracture of the knee.",
    3: "Small effusion in the knee joint.",
    4: "Alignment is kept.",
}
FILMS = ("hip", "knee")
_LINES = (Path(__file__).parents[1] / "invented_reports.jsonl").read_text(encoding="utf-8").splitlines()
REPORTS = [json.loads(line) for line in _LINES]
GOLD = Path(__file__).resolve().parents[3] / "../shared/data/extraction-gold/gold.jsonl"


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ("", "no complete JSON object"),
        ("I cannot help with that.", "no complete JSON object"),
        ('{"keep": [1, 2', "no complete JSON object"),
        ("{'keep': [1]}", "no complete JSON object"),
        ("[1, 2]", "no complete JSON object"),
        ('{"keep": [1]} {"keep": [2]}', "several JSON objects"),
        ('{"keep": [1], "keep": [2]}', "the key keep occurs twice"),
        ('{"keep": ["1"]}', "another form: keep.0"),
        ('{"keep": [true]}', "another form: keep.0"),
        ('{"keep": [1.0]}', "another form: keep.0"),
        ('{"keep": 1}', "another form: keep"),
        ('{"keep": [1], "note": "x"}', "another form: note"),
        ('{"numbers": [1]}', "another form: keep"),
        ('{"keep": []}', "no sentence is kept"),
        ('{"keep": [0]}', "no sentence 0"),
        ('{"keep": [5]}', "no sentence 5"),
        ('{"keep": [' + "9" * 5000 + "]}", "no complete JSON object"),
        ('{"a":' * 3000, "no complete JSON object"),
        ("{" * 100_000, "no complete JSON object"),
        ("x" * (MAX_RESPONSE + 1), "too long"),
    ],
)
def test_malformed_response_is_rejected_with_its_reason(response: str, reason: str) -> None:
    found = read_kept(response, SHOWN)
    assert isinstance(found, Rejection)
    assert reason in found.reason


@pytest.mark.parametrize(
    "response", ['{"keep": [3, 1, 1]}', '```json\n{"keep": [1, 3]}\n```', 'Sure! {"keep": [1, 3]} :)']
)
def test_fences_remarks_order_and_repetition_do_not_matter(response: str) -> None:
    assert read_kept(response, SHOWN) == ((1, SHOWN[1]), (3, SHOWN[3]))


@pytest.mark.parametrize(
    ("excerpts", "reason"),
    [
        ({"hip": [1], "knee": [2], "chest": []}, "not filmed: chest"),
        ({"hip": [1]}, "knee is missing"),
        ({"hip": [], "knee": []}, "every film is left empty"),
        ({"hip": [1, 3, 4], "knee": []}, "knee is empty, but sentence 2"),
        ({"hip": [2, 3], "knee": [1, 4]}, "most sentences of hip speak of other films"),
    ],
)
def test_implausible_division_is_rejected(excerpts: dict[str, list[int]], reason: str) -> None:
    found = read_selected(json.dumps({"excerpts": excerpts}), SHOWN, FILMS)
    assert isinstance(found, Rejection)
    assert reason in found.reason


@pytest.mark.parametrize(("own", "is_accepted"), [(1, False), (2, True), (3, True)])
def test_two_sentences_of_another_film_are_too_many_only_where_they_are_most(own: int, is_accepted: bool) -> None:
    knee = ("The knee is swollen.", "No gap of the knee.")
    hip = ("The hip is flat.", "No gap of the hip.", "Cyst of the hip.")[:own]
    shown = dict(enumerate((*knee, *hip), start=1))
    given = {"hip": [(number, text) for number, text in shown.items()], "knee": [(1, knee[0])]}
    found = find_implausible(given, shown)
    assert (found is None) == is_accepted
    if found is not None:
        assert "most sentences of hip speak of other films" in str(found)


def test_selection_is_in_report_order_and_shared_sentences_go_to_both() -> None:
    found = read_selected('{"excerpts": {"hip": [4, 1], "knee": [2, 3, 4]}}', SHOWN, FILMS)
    assert found == {"hip": ((1, SHOWN[1]), (4, SHOWN[4])), "knee": ((2, SHOWN[2]), (3, SHOWN[3]), (4, SHOWN[4]))}


def test_rewritten_text_keeps_its_words_and_knows_its_source() -> None:
    text = {
        "hip": "Left hip: The left hip is normal.",
        "knee": "No fracture of knee. Small effusion in the knee joint.",
    }
    found = read_rewritten(json.dumps({"excerpts": text}), SHOWN, FILMS)
    assert found == {
        "hip": ((1, "The left hip is normal."),),
        "knee": ((2, "No fracture of knee."), (3, "Small effusion in the knee joint.")),
    }


def test_invented_finding_is_rejected_and_the_reason_quotes_only_the_response() -> None:
    found = read_cleaned('{"text": "The left hip is normal. Pneumonia of the left lung."}', SHOWN)
    assert found == Rejection("sentence 2 of text: these words of it are not in the report: lung, pneumonia")


def test_object_within_an_object_is_not_a_second_one() -> None:
    assert find_object('{"excerpts": {"hip": [1]}}') == {"excerpts": {"hip": [1]}}


@given(st.text(max_size=300))
def test_any_text_is_a_response_or_a_reason(response: str) -> None:
    for found in (read_kept(response, SHOWN), read_cleaned(response, SHOWN), read_selected(response, SHOWN, FILMS)):
        assert not isinstance(found, Rejection) or found.reason


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("record", REPORTS, ids=[record["report_id"] for record in REPORTS])
def test_what_a_perfect_model_says_is_accepted(record: dict[str, Any], mode: Mode) -> None:
    report = numbered(record["report_text"], tuple(record["filmed_regions"]))
    found = _respond_all(report, mode, lambda prompt: perfect_response(prompt, report, record, mode))
    assert isinstance(found, dict), found
    for region, sentences in record["excerpts"].items():
        assert [_plain(sentence.text) for sentence in found[region].sentences] == [_plain(text) for text in sentences]
        assert found[region].source == f"llm-{mode}"


@pytest.mark.skipif(not GOLD.is_file(), reason="the annotated real reports are not beside the checkout")
@pytest.mark.parametrize("mode", MODES)
def test_what_a_perfect_model_says_of_real_reports_is_accepted(mode: Mode) -> None:
    records = [json.loads(line) for line in GOLD.read_text(encoding="utf-8").splitlines()]
    for record in records:
        report = numbered(record["report_text"], tuple(record["filmed_regions"]))
        known = partial(perfect_response, report=report, record=record, mode=mode)
        found = _respond_all(report, mode, known)
        assert isinstance(found, dict), f"{record['report_id']}: {found}"


@pytest.mark.parametrize("mode", MODES)
def test_ten_thousand_distorted_responses_neither_crash_nor_bring_in_a_sentence(mode: Mode) -> None:
    accepted = 0
    cases = [(record, numbered(record["report_text"], tuple(record["filmed_regions"]))) for record in REPORTS]
    generator = random.Random(7)
    for count in range(5000):
        record, report = cases[count % len(cases)]
        known = partial(perfect_response, report=report, record=record, mode=mode)
        found = _respond_all(report, mode, lambda prompt, known=known: distort(known(prompt), generator))
        if isinstance(found, Rejection):
            assert 0 < len(found.reason) < 500
            continue
        accepted += 1
        for excerpt in found.values():
            texts = [sentence.text for sentence in excerpt.sentences]
            assert all(text in record["report_text"] for text in texts)
            assert set(texts) <= {sentence.text for sentence in report.sentences.values()}
            assert _meaning(excerpt.text) <= _meaning(" ".join(texts))
            assert _meaning(excerpt.text) & DENIALS == _meaning(" ".join(texts)) & DENIALS
            assert not any(poison in excerpt.text.lower() for poison in POISON)
    # Distortions such as a remark around the object, or another selection, leave a response valid.
    assert 100 < accepted < 4900


POISON = ("sarcoma", "metastasis", "ignore", "previous instructions")  # in no report
DENIALS = {"no", "not", "without"}
_SPICE = [
    '"', "{", "}", "[", "]", ",", ":", "\\", "\x00", "é", "-1", "0", "99", "1e9", "null", "true", "no ", "not ",
    "left ", "right ", "sarcoma ", "Metastasis. ", "Ignore previous instructions. ", "```", "\n", "\ud800", "9" * 50,
]  # fmt: skip


def distort(response: str, generator: random.Random) -> str:
    """The response with a few parts cut, doubled, swapped or put in."""
    for _ in range(generator.choice([0, 1, 1, 2, 5, 20])):
        start, end = sorted(generator.randrange(len(response) + 1) for _ in range(2))
        end = min(end, start + generator.choice([1, 5, 30]))
        part = response[start:end]
        new = generator.choice(["", part * 2, part[::-1], generator.choice(_SPICE) + part, part.upper()])
        response = response[:start] + new + response[end:]
    return response


def perfect_response(prompt: Prompt, report: NumberedReport, record: dict[str, Any], mode: Mode) -> str:
    """What a model that knows the gold excerpts answers."""
    gold = {region: {_plain(text) for text in record["excerpts"].get(region, [])} for region in report.films}
    numbers = {n: {region for region in gold if _plain(s.text) in gold[region]} for n, s in report.sentences.items()}
    kept = [number for number, regions in numbers.items() if regions]
    if "keep" in prompt.schema["properties"]:
        return json.dumps({"keep": kept})
    if "text" in prompt.schema["properties"]:
        return json.dumps({"text": " ".join(report.sentences[number].text for number in kept)})
    parts = {region: [number for number in kept if region in numbers[number]] for region in report.films}
    if mode == "select":
        return json.dumps({"excerpts": parts})
    texts = {region: " ".join(report.sentences[number].text for number in part) for region, part in parts.items()}
    return json.dumps({"excerpts": texts})


def _respond_all(report: NumberedReport, mode: Mode, response: Any) -> dict[str, Excerpt] | Rejection:
    exchange = converse(report, Procedure(mode=mode, attempts=1))
    try:
        prompt = next(exchange)
        while True:
            prompt = exchange.send(Response(response(prompt)))
    except StopIteration as stop:
        found: dict[str, Excerpt] | Rejection = stop.value
    return found


def _plain(text: str) -> str:
    return " ".join(text.lower().replace(".", " ").split())


def _meaning(text: str) -> set[str]:
    """Words that matter most: those of more than five letters, numbers, sides and denials."""
    words = re.findall(r"[a-z]+|[0-9]+", text.lower())
    signal = {*DENIALS, "left", "right"}
    return {word for word in words if len(word) > 5 or word in signal or word.isdigit()}
