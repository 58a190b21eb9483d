import pytest

from pedclip.curation.excerpts import Excerpt
from pedclip.curation.report.sentences import Sentence
from pedclip.evaluation.extraction import Agreement, f1_interval, score_report, summarize

GOLD = {
    "excerpts": {"knee": ["No fracture.", "No effusion."], "chest": ["Clear lungs."]},
    "left_out": ["1.", "FINDINGS:", "Left knee:", "Dr. X was called."],
    "sections": {"indication": "Fell from a tree. Limp.", "technique": "Two views."},
}


def excerpt(*texts: str) -> Excerpt:
    return Excerpt(" ".join(texts), tuple(Sentence(text, 0, len(text)) for text in texts), "rules")


def test_figures_by_hand() -> None:
    found = {
        "knee": excerpt("No fracture", "No effusion!", "He fell from a tree, limp."),
        "hand": excerpt("Dr. X was called."),
    }
    summary = summarize([score_report(GOLD, found)])
    assert (summary["sentences"]["precision"], summary["sentences"]["recall"]) == (
        pytest.approx(2 / 4),
        pytest.approx(2 / 3),
    )
    assert summary["sentences"]["f1"] == pytest.approx(4 / 7)
    assert summary["sentences_by_region"]["knee"]["precision"] == pytest.approx(2 / 3)
    assert summary["words"]["predicted"] == 4 + 6 + 4
    assert (summary["regions"]["precision"], summary["regions"]["recall"]) == (0.5, 0.5)
    assert summary["reports_with_false_region"] == 1.0
    assert summary["leaked_left_out"] == {"leaked": 1, "of": 1, "share": 1.0}
    assert summary["leaked_indication"] == {"leaked": 1, "of": 2, "share": 0.5}
    assert summary["leaked_technique"]["leaked"] == 0


def test_perfect_and_empty() -> None:
    found = {region: excerpt(*texts) for region, texts in GOLD["excerpts"].items()}
    assert summarize([score_report(GOLD, found)])["sentences"]["f1"] == 1.0
    nothing = summarize([score_report(GOLD, {})])
    assert (nothing["sentences"]["f1"], nothing["sentences"]["precision"]) == (0.0, 1.0)
    assert nothing["reports_with_false_region"] == 0.0


def test_a_repeated_sentence_counts_as_often_as_it_is_said() -> None:
    gold = {"excerpts": {"knee": ["Normal.", "Normal."]}, "left_out": []}
    assert summarize([score_report(gold, {"knee": excerpt("Normal.")})])["sentences"]["recall"] == 0.5


def test_the_interval_of_f1_is_over_reports() -> None:
    counts = [Agreement(both=4, predicted=4, gold=4)] * 2 + [Agreement(both=0, predicted=1, gold=1)] * 2
    found = f1_interval(counts, num_resamples=2000, seed=0)
    assert (found.value, found.num_items) == (pytest.approx(16 / 20), 4)
    assert 0 < found.low < 0.2  # two right and two wrong reports say next to nothing
    assert 0.9 < found.high < 1
    steady = f1_interval(counts[:1] * 20, num_resamples=10, seed=0)
    assert (steady.value, steady.high) == (1.0, 1.0)
    assert steady.low == pytest.approx(20 / (20 + 2.093024**2))  # n / (n + t²) where none of n reports is wrong
    assert not f1_interval(counts[:2], num_resamples=10, seed=0).is_known
    with pytest.raises(ValueError, match="at least"):
        f1_interval(counts[:1], num_resamples=10, seed=0)
