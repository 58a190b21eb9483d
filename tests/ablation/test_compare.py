"""Scores of arms and their comparison, against numbers that follow from how the scores were made."""

import numpy as np
import pandas as pd
import pytest

from pedclip.ablation import compare_cells
from pedclip.ablation.scores import FINDING, OWN_TEXT, REGION, own_text_ranks


def cell(shift: float, seed: int, regions: tuple[str, ...] = ("hip", "knee"), mixture: str = "gate") -> pd.DataFrame:
    """Scores of 40 patients with two films in each region."""
    rng = np.random.default_rng(seed)
    rows = []
    for region in regions:
        for film in range(80):
            common = {"mixture": mixture, "region": region, "patient": f"p{film // 2:02}", "film": film}
            rows.append({**common, "question": OWN_TEXT, "task": "", "truth": 1, "value": 0.5 + shift})
            truth = film % 2
            score = truth * 10 * shift + rng.normal()
            rows.append({**common, "question": FINDING, "task": "fracture", "truth": truth, "value": score})
    return pd.DataFrame(rows)


def test_differences_have_the_size_that_they_were_made_with() -> None:
    scores = {(arm, seed): cell(shift, seed) for arm, shift in (("a", 0.1), ("b", 0.3)) for seed in (0, 1, 2)}
    table = compare_cells(scores, "a", questions=[OWN_TEXT], by_region=True).set_index(["arm", "region"])
    assert table.loc[("b", "all"), "value"] == pytest.approx(0.8)
    for region in ("all", "hip", "knee"):
        assert table.loc[("b", region), "difference"] == pytest.approx(0.2)
        assert table.loc[("b", region), "is_clear"] is True or bool(table.loc[("b", region), "is_clear"])
    assert np.isnan(table.loc[("a", "all"), "difference"])
    assert table.loc[("a", "all"), "seeds"] == 3


def test_an_area_is_of_each_region_and_an_equal_arm_is_not_clear() -> None:
    scores = {(arm, seed): cell(shift, seed) for arm, shift in (("a", 0.1), ("b", 0.3)) for seed in (0, 1, 2)}
    scores |= {("same", seed): cell(0.1, seed + 10) for seed in (0, 1, 2)}
    table = compare_cells(scores, "a", questions=[FINDING]).set_index("arm")
    # Φ(d / √2) of two normal distributions d apart: 0.760 for 1, 0.983 for 3.
    assert table.loc["a", "value"] == pytest.approx(0.76, abs=0.04)
    assert table.loc["b", "value"] == pytest.approx(0.983, abs=0.02)
    assert table.loc["b", "is_clear"]
    assert not table.loc["same", "is_clear"]


def test_arms_are_compared_where_both_were_scored() -> None:
    scores = {("all", 0): cell(0.1, 0), ("knee only", 0): cell(0.2, 0, regions=("knee",))}
    table = compare_cells(scores, "knee only", questions=[OWN_TEXT, REGION], by_region=True)
    assert set(table[table["arm"] == "all"]["region"]) == {"all", "knee"}
    assert table[(table["arm"] == "all") & (table["region"] == "all")]["difference"].item() == pytest.approx(-0.1)


def test_a_model_without_experts_answers_under_its_only_name() -> None:
    mobe = pd.concat([cell(0.2, 0), cell(0.4, 0, mixture="top-1")])
    table = compare_cells({("mobe", 0): mobe, ("mlp", 0): cell(0.1, 0)}, "mlp", questions=[OWN_TEXT], mixture="top-1")
    assert table.set_index("arm")["value"].to_dict() == pytest.approx({"mobe": 0.9, "mlp": 0.6})


def test_a_reference_without_cells_is_refused() -> None:
    with pytest.raises(ValueError, match="no cell of the reference 'x' is finished"):
        compare_cells({("a", 0): cell(0.1, 0)}, "x")


def test_ranks_count_each_text_once_and_ties_half() -> None:
    texts = np.array([[1.0, 0], [0, 1], [0, 1], [-1, 0], [1, 0]])
    image = np.array([[1.0, 0.1], [1, 0.1], [0.1, 1], [0, 1], [1, 0]])
    regions, sentences = ["hip"] * 4 + ["knee"], ["a", "b", "b", "c", "a"]
    found = own_text_ranks(image, texts, regions, sentences)
    # Film 0 beats b and c, film 1 beats c only, film 2 beats both; film 3 is tied with a and below b.
    assert found == pytest.approx({0: 1.0, 1: 0.5, 2: 1.0, 3: 0.25})  # the knee has one text alone
