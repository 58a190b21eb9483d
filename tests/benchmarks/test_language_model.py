"""The benchmark of a chat model counts what was said, and keeps no text of a report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks import language_model
from benchmarks.language_model import kind_of, main, measure
from pedclip.curation.llm.client import Response
from pedclip.curation.llm.prompts import Prompt
from pedclip.curation.llm.responses import Rejection, read_cleaned, read_kept, read_rewritten, read_selected
from tests.curation.llm.tiny_llama import save_tiny_llama

GOLD = [
    {
        "report_text": "EXAM: Chest. HISTORY: Cough. FINDINGS: Nodule of 3 mm. Lungs are clear.",
        "excerpts": {"chest": ["Nodule of 3 mm.", "Lungs are clear."]},
        "left_out": ["Cough."],
    },
    {
        "report_text": "EXAM: Left knee. FINDINGS: Small effusion. No fracture.",
        "excerpts": {"knee": ["Small effusion.", "No fracture."]},
        "left_out": [],
    },
    {"report_text": "HISTORY: Cough.", "excerpts": {}, "left_out": ["Cough."]},
]


class Scripted:
    """Model that keeps one sentence of a chest report at its second attempt, and never understands another."""

    identity: Mapping[str, Any] = {"model": "scripted"}

    async def complete(self, prompt: Prompt) -> Response:
        is_again = len(prompt.messages) > 2
        text = '{"keep": [1]}' if is_again and "Nodule" in prompt.messages[1][1] else '{"keep": [9]}'
        return Response(text, prompt_tokens=100, answer_tokens=10)

    def count_tokens(self, text: str) -> None:
        return None

    async def close(self) -> None:
        pass


def test_each_response_is_counted_and_each_report_scored() -> None:
    figures = measure(GOLD, Scripted(), "select")
    counts = {name: figures[name] for name in ("reports", "asked", "accepted", "fell_back", "responses")}
    assert counts == {"reports": 3, "asked": 2, "accepted": 1, "fell_back": 1, "responses": 5}
    assert figures["refusals"] == {"a sentence that is not there": 4}
    assert figures["accepted_share"]["value"] == 0.5
    # One of two sentences, and none too many: 2 * 1 / (1 + 2).
    assert {by: one["value"] for by, one in figures["sentence_f1_accepted"].items()} == {
        "model": pytest.approx(2 / 3), "rules": 1.0, "no_extraction": 1.0,
    }  # fmt: skip
    assert figures["sentence_f1_all"]["model"]["value"] == pytest.approx(2 * 3 / (3 + 4))
    # The third prompt on the knee is the second once more, and its answer is known.
    assert figures["per_report"]["requests"] == pytest.approx(4 / 3)
    assert figures["per_report"]["prompt_tokens"] == pytest.approx(400 / 3)


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (read_kept("no", {1: "a"}), "no JSON object"),
        (read_kept("{} {}", {1: "a"}), "several JSON objects"),
        (read_kept('{"keep": 1}', {1: "a"}), "another form of JSON"),
        (read_kept('{"keep": []}', {1: "a"}), "nothing kept"),
        (read_selected('{"excerpts": {"hip": []}}', {1: "a"}, ["knee"]), "other films than asked"),
        (read_selected('{"excerpts": {}}', {1: "a"}, ["knee"]), "other films than asked"),
        (read_selected('{"excerpts": {"knee": []}}', {1: "a"}, ["knee"]), "nothing kept"),
        (read_cleaned('{"text": "A mass."}', {1: "No rib."}), "words that the report does not hold"),
        (read_cleaned('{"text": "Effusion."}', {1: "No effusion."}), "a sentence changed"),
        (read_rewritten('{"excerpts": {"knee": "The."}}', {1: "a"}, ["knee"]), "words that the report does not hold"),
        (
            Rejection("it was cut off before its end; write nothing but the JSON object"),
            "cut off at the longest length",
        ),
    ],
)
def test_every_reason_has_a_kind(found: object, kind: str) -> None:
    assert isinstance(found, Rejection)
    assert kind_of(found.reason) == kind


def test_an_unknown_reason_is_an_error_that_quotes_nothing() -> None:
    with pytest.raises(ValueError, match="no known kind") as error:
        kind_of("secret of a report")
    assert "secret" not in str(error.value)


def test_a_run_writes_figures_and_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "extraction-gold").mkdir()
    lines = "".join(json.dumps(record) + "\n" for record in GOLD)
    (tmp_path / "extraction-gold/gold.jsonl").write_text(lines)
    monkeypatch.setattr(language_model, "PHANTOM_REPORTS", 5)
    model = save_tiny_llama(tmp_path / "llama")
    main(["--data", str(tmp_path), "--model", str(model), "--reports", "2", "--json", str(tmp_path / "report.json")])
    written = (tmp_path / "report.json").read_text()
    report = json.loads(written)
    assert {"select, real", "select, drawn", "rewrite, real", "rewrite, drawn"} <= set(report)
    assert report["select, drawn"]["accepted"] == 0  # its weights are random
    assert report["select, drawn"]["sentence_f1_accepted"]["model"] is None
    assert str(tmp_path) not in written
    assert "Nodule" not in written
