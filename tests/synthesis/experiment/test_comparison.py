"""Differences between arms by hand, arrows only where patients and seeds agree, and the table as papers print it."""

import re

import numpy as np
import pandas as pd
import pytest

from pedclip.evaluation.macro import with_trainings
from pedclip.evaluation.metrics.classification import auc
from pedclip.evaluation.metrics.interval import Interval
from pedclip.evaluation.result import Predictions, Result
from pedclip.synthesis.experiment import compare_arms, printed_cells
from pedclip.synthesis.experiment.comparison import fraction_words

NUMBER = 80
PATIENTS = np.array([f"p{row:03}" for row in range(NUMBER)])
LABELS = np.arange(NUMBER) % 2
KEY = ("classification", 1.0)


def result(skill: float, seed: int, task: str = "t") -> Result:
    """An AUC that rises with the skill."""
    output = skill * LABELS + np.random.default_rng(seed).normal(size=NUMBER)
    known = Predictions(auc, LABELS, output, PATIENTS)
    score = Interval(auc(LABELS, output), 0.0, 1.0, NUMBER, NUMBER)
    return Result(task=task, method="m", metric="AUC", score=score, baseline=0.5, baseline_name="", predictions=known)


def cell(*skills: float) -> dict[int, dict[tuple[str, float], list[Result]]]:
    return {seed: {KEY: [result(skill, seed), result(skill, 10 + seed, "u")]} for seed, skill in enumerate(skills)}


def row(table: pd.DataFrame, arm: str) -> "pd.Series[object]":
    return table[table["arm"] == arm].iloc[0]


def test_a_score_is_the_mean_over_tasks_and_seeds() -> None:
    table = compare_arms({("real", "clip"): cell(1.0, 2.0)}, PATIENTS, num_resamples=50)
    found = row(table, "real")
    by_seed = [np.mean([one.score.value for one in scores[KEY]]) for scores in cell(1.0, 2.0).values()]
    assert found["value"] == pytest.approx(np.mean(by_seed))
    assert (found["lowest"], found["highest"]) == pytest.approx((min(by_seed), max(by_seed)))
    assert (found["seeds"], found["num_tasks"], found["metric"]) == (2, 2, "AUC")
    assert found["low"] < found["value"] < found["high"]
    assert pd.isna(found["arrow"])


def test_arrows_need_patients_and_trainings() -> None:
    cells = {
        ("real", "clip"): cell(1.0, 1.0, 1.0),
        ("worse", "clip"): cell(0.0, 0.0, 0.0),
        ("better", "clip"): cell(4.0, 4.0, 4.0),
        # On average clearly better, but one of its trainings is not: another three may be none better.
        ("uneven", "clip"): cell(9.0, 9.0, 0.99),
        ("same", "clip"): cell(1.0, 1.0, 1.0),
    }
    table = compare_arms(cells, PATIENTS, num_resamples=200).set_index("arm")
    assert table["arrow"].dropna().to_dict() == {"worse": "▼", "better": "▲", "uneven": "–", "same": "–"}
    assert table.loc["worse", "difference"] == pytest.approx(table.loc["worse", "value"] - table.loc["real", "value"])
    assert table.loc["same", "difference"] == 0
    assert (table["shared_seeds"].dropna() == 3).all()


def test_one_training_gives_no_arrow() -> None:
    table = compare_arms({("real", "clip"): cell(1.0), ("better", "clip"): cell(9.0)}, PATIENTS, num_resamples=50)
    found = row(table, "better")
    assert found["difference_low"] > 0
    assert found["arrow"] == "–"


def test_the_interval_of_a_difference_holds_both_sources_of_chance() -> None:
    apart = Interval(0.1, 0.06, 0.13, 80, 80)
    # Three trainings, their deviation 0.01; t of two degrees of freedom is 4.3027.
    low, high = with_trainings(apart, [0.09, 0.1, 0.11])
    of_trainings = 4.3027 * 0.01 / np.sqrt(3)
    assert low == pytest.approx(0.1 - np.hypot(0.04, of_trainings), abs=1e-5)
    assert high == pytest.approx(0.1 + np.hypot(0.03, of_trainings), abs=1e-5)
    assert with_trainings(apart, [0.1]) == (0.06, 0.13)


def test_arrows_without_an_effect_are_few() -> None:
    rng, false = np.random.default_rng(0), 0
    for _ in range(1000):
        # Two equal arms: patients and trainings move their difference, and nothing else.
        of_patients, by_seed = rng.normal(0, 0.006), rng.normal(0, 0.01, 3)
        value = float(of_patients + by_seed.mean())
        ends = value - 1.96 * 0.006, value + 1.96 * 0.006
        low, high = with_trainings(Interval(value, *ends, 80, 80), (of_patients + by_seed).tolist())
        false += low > 0 or high < 0
    assert false / 1000 < 0.05


def test_a_difference_is_of_the_seeds_that_both_have() -> None:
    cells = {("real", "clip"): cell(1.0), ("drawn", "clip"): cell(2.0, 0.0)}
    found = row(compare_arms(cells, PATIENTS, num_resamples=20), "drawn")
    alone = compare_arms({("real", "clip"): cell(1.0), ("drawn", "clip"): cell(2.0)}, PATIENTS, num_resamples=20)
    assert found["difference"] == pytest.approx(row(alone, "drawn")["difference"])
    assert found["seeds"] == 2


def test_methods_are_compared_with_their_own_real_arm() -> None:
    cells = {("real", "clip"): cell(0.0), ("drawn", "gloria"): cell(1.0), ("thumbnail", "clip"): cell(1.0)}
    table = compare_arms(cells, PATIENTS, num_resamples=20).set_index(["arm", "method"])
    assert pd.isna(table.loc[("drawn", "gloria"), "arrow"])
    assert table.loc[("thumbnail", "clip"), "difference"] > 0


def test_the_printed_table_keeps_its_order() -> None:
    table = compare_arms(
        {("real", "b"): cell(1.0, 1.0, 1.0), ("a", "b"): cell(4.0, 4.0, 4.0)}, PATIENTS, num_resamples=50
    )
    shown = printed_cells(table)
    assert shown["arm"].tolist() == ["real", "a"]
    (head,) = [name for name in shown.columns if name not in ("arm", "method")]
    assert head == "classification, 100%"
    assert shown[head][0] == f"{row(table, 'real')['value']:.3f}"
    assert shown[head][1] == f"{row(table, 'a')['value']:.3f} ▲{row(table, 'a')['difference']:.3f}"


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(ValueError, match="no arm was scored"):
        compare_arms({}, PATIENTS)


def test_fractions_keep_their_digits() -> None:
    assert [fraction_words(one) for one in (0.0, 0.001, 0.005, 0.015, 0.1, 1.0)] == [
        "no labels", "0.1%", "0.5%", "1.5%", "10%", "100%",
    ]  # fmt: skip


def test_a_difference_that_is_not_clear_stands_in_brackets() -> None:
    shown = printed_cells(compare_arms({("real", "b"): cell(1.0), ("a", "b"): cell(0.0)}, PATIENTS, num_resamples=50))
    assert re.fullmatch(r"0\.\d{3} \(-0\.\d{3}\)", shown["classification, 100%"][1])
