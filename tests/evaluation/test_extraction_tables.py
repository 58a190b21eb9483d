import json
from pathlib import Path

import pytest

from pedclip.curation.extract import extract_regions
from pedclip.curation.llm.batch import plan_extraction
from pedclip.curation.llm.extractor import language_model, verdict
from pedclip.curation.llm.local_model import TransformersBackend
from pedclip.evaluation.extraction import (
    ALL_REGIONS,
    GoldError,
    WholeReport,
    f1_table,
    gold_standards,
    read_gold,
    score_report,
    summary_table,
    worst_reports,
)
from tests.curation.llm.tiny_llama import save_tiny_llama

REPORT = "EXAM: Left hip; left knee.\nFINDINGS: Left hip: No effusion is seen. Left knee: The patella is intact."
GOLD = {
    "report_text": REPORT,
    "excerpts": {"hip": ["No effusion is seen."], "knee": ["The patella is intact."]},
    "left_out": [],
}


def test_no_extraction_finds_everything_and_is_half_wrong_on_two_films() -> None:
    rules = score_report(GOLD, extract_regions(REPORT))
    whole = score_report(GOLD, extract_regions(REPORT, extractor=WholeReport()))
    table = f1_table({"rules": [rules] * 10, "whole": [whole] * 10}, num_resamples=100, seed=0)
    every = table[table["row"] == ALL_REGIONS].set_index("method")
    assert every.loc["rules", ["value", "high"]].tolist() == [1.0, 1.0]
    assert 0.6 < every.loc["rules", "low"] < 0.8  # ten reports without an error
    assert every.loc["whole", ["precision", "recall"]].tolist() == [0.5, 1.0]
    assert every.loc["whole", "value"] == pytest.approx(2 / 3)
    assert set(table["row"]) == {ALL_REGIONS, "hip", "knee"}
    assert summary_table({"whole": [whole]}).loc[0, "precision"] == 0.5
    assert worst_reports([rules, whole], 5) == [1]


def test_regions_of_few_reports_get_no_row() -> None:
    score = score_report(GOLD, extract_regions(REPORT))
    assert f1_table({"rules": [score] * 9}, num_resamples=10, seed=0).row.tolist() == [ALL_REGIONS]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no"),
        ("", "holds no record"),
        ("[1]\n", "line 1: no JSON object"),
        ("{\n", "line 1: no JSON object"),
        (json.dumps({"report_text": "x", "left_out": []}), "line 1: without excerpts"),
    ],
)
def test_a_gold_standard_that_is_none_says_why(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "gold.jsonl").write_text(content)
    with pytest.raises(GoldError, match=words):
        read_gold(tmp_path)


def test_the_own_gold_standard_stands_beside_the_phantom(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/gold.jsonl").write_text(json.dumps(GOLD) + "\n")
    golds = gold_standards(str(tmp_path / "mine"), reports=3, seed=0)
    assert {name: len(records) for name, records in golds.items()} == {"phantom": 3, "mine": 1}


@pytest.mark.parametrize(
    ("knee", "expected"),
    [
        ("The patella is intact.", "accepted"),
        ("The patella is broken.", "refused: sentence 1 of knee: these words of it are not in the report: broken"),
    ],
)
def test_an_answer_is_accepted_only_in_the_words_of_the_report(knee: str, expected: str) -> None:
    answer = json.dumps({"excerpts": {"hip": "No effusion is seen.", "knee": knee}})
    assert verdict(answer, REPORT, ("hip", "knee")) == expected


def test_a_model_is_planned_with_a_key_that_is_never_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PEDCLIP_API_KEY", "secret-of-the-server")
    model = language_model("", "some-model", "select", responses=tmp_path / "answers.sqlite")
    plan = plan_extraction([(REPORT, None)], model)
    assert (plan.requests, model.usage.requests) == (2, 0)
    assert model.backend.api_key == "secret-of-the-server"  # type: ignore[attr-defined]
    assert "secret" not in repr(model.backend)


def test_a_model_in_this_process_is_its_folder(tmp_path: Path) -> None:
    model = language_model("", str(save_tiny_llama(tmp_path)), "select", in_process=True)
    assert isinstance(model.backend, TransformersBackend)
    assert plan_extraction([(REPORT, None)], model).requests == 2
    with pytest.raises(ValueError, match="an endpoint or this process"):
        language_model("http://localhost:8000/v1", str(tmp_path), "select", in_process=True)
