"""The printed tables: averages and differences re-computed, with the papers' own slips named."""

import pandas as pd
import pytest

from pedclip.anatomy import REGIONS
from pedclip.evaluation.published import MODEL_TABLES, PAPERS, PrintedModel, models_of, printed, recomputed_changes
from pedclip.models.released.release import find_release
from pedclip.objectives.registry import names


def wide(paper: str, table: str) -> pd.DataFrame:
    numbers = printed(paper)
    return numbers[numbers["table"] == table].pivot(index=["group", "row"], columns="column", values="value")


def test_averages_of_table_1_re_compute() -> None:
    table = wide("pedclip", "Table 1")
    assert len(table) == 14
    mean = table.drop(columns="average").mean(axis=1)
    # Three printed digits; 0.5015 and 0.5345 may round either way.
    assert (mean - table["average"]).abs().max() <= 0.0005 + 1e-9


def test_means_of_table_2_are_those_that_the_comparison_rests_on() -> None:
    # The paper prints none; of the four AUCs PedCLIP has the best mean, then the best model of children, of adults.
    mean = wide("pedclip", "Table 2")[["CHD", "Pedi-CXR", "Arthritis", "GRAZPEDWRI-DX"]].mean(axis=1)
    assert mean["pediatric", "PedCLIP"] == pytest.approx((0.911 + 0.782 + 0.934 + 0.970) / 4)
    assert mean["pediatric"].drop("PedCLIP").idxmax() == "MGCA"
    assert mean["adult"].idxmax() == "Prior"
    assert mean["pediatric"].drop("PedCLIP").max() == pytest.approx(0.8665)
    assert mean["adult"].max() == pytest.approx(0.8445)


@pytest.mark.parametrize("table", MODEL_TABLES)
def test_every_printed_row_is_mapped_to_one_way_of_running_it(table: str) -> None:
    rows = list(wide("pedclip", table).index)
    models = models_of(table)
    assert sorted((model.group, model.row) for model in models) == rows  # `pivot` sorts
    for model in models:
        assert bool(model.way) != bool(model.missing), model
        assert model.reason
    # A way fills one row of a table, or a model would stand in two.
    ways = [model.way for model in models if model.way]
    assert len(set(ways)) == len(ways)


def test_children_are_trained_here_and_adults_need_weights_of_others() -> None:
    for model in models_of("Table 1"):
        assert bool(model.objective) == (model.group == "pediatric"), model
    ways = {(model.group, model.row): model.way for model in models_of("Table 1")}
    assert ways["pediatric", "GLoRIA"] == "gloria"
    assert ways["adult", "GLoRIA"] == "released gloria"
    assert ways["adult", "CARZero"] == ""


def test_every_way_is_one_that_the_package_knows() -> None:
    models = [model for table in MODEL_TABLES for model in models_of(table)]
    assert {model.objective for model in models if model.objective} <= set(names())
    for model in models:
        assert not model.released or find_release(model.released).has_text, model


def test_a_row_has_one_way_and_other_tables_have_no_models() -> None:
    with pytest.raises(ValueError, match=r"adult X: expected one of objective, released and missing, got \['a', 'b'\]"):
        PrintedModel("adult", "X", "a", "b", "")
    with pytest.raises(ValueError, match=r"'Section 2\.1' are not mapped to models; expected one of Table 1"):
        models_of("Section 2.1")


def test_figures_repeat_table_1() -> None:
    numbers = printed("pedclip")
    ours = numbers[(numbers["row"] == "PedCLIP") & (numbers["table"] == "Table 1")].set_index("column")["value"]
    for table, row in (("Figure 1", "PedCLIP"), ("Figure 4 left", "MoBE in layer 11")):
        drawn = numbers[(numbers["table"] == table) & (numbers["row"] == row)].set_index("column")["value"]
        assert (drawn / 100 - ours[drawn.index]).abs().max() < 0.0011, table  # one is 75.9 for 0.760
    figure = wide("pedclip", "Figure 5").droplevel("group")
    changes = numbers[numbers["change"].notna() & (numbers["table"] == "Figure 5")]
    for _, one in changes.iterrows():
        assert figure.loc[one["row"], one["column"]] - figure.loc["MLP-target", one["column"]] == pytest.approx(
            one["change"], abs=0.051
        )


def test_counts_of_pexr_fit_each_other_and_our_regions() -> None:
    numbers = printed("pedclip")
    counts = numbers[numbers["table"] == "Section 2.1"].set_index("column")["value"]
    # Consolidated reports are the paper's point: more films than studies, and patients who come more than once.
    assert counts["films"] > counts["studies"] > counts["patients"] == 94_543
    assert counts["films"] / counts["studies"] == pytest.approx(1.541, abs=0.0005)
    assert counts["regions"] == len(REGIONS)


def test_changes_of_the_synthetic_paper_re_compute_but_for_five() -> None:
    changes = recomputed_changes("synthetic", reference="real images")
    assert len(changes) == 126 - 6  # a dash has no change
    slips = changes[changes["is_slip"]]
    # By hand from the printed values, such as 89.9 - 88.0.
    found = {
        (one["group"].split()[0], one["row"], one["column"]): (one["change"], one["expected"])
        for _, one in slips.iterrows()
    }
    assert found == {
        ("RoentGen", "GLoRIA", "CheXpert 100%"): (0.9, 1.9),
        ("RoentGen", "GLoRIA", "COVIDx 10%"): (1.0, 0.5),
        ("SD", "GLoRIA", "RSNA 1%"): (-4.8, -5.8),
        ("SD", "MGCA", "RSNA 1%"): (-5.0, -3.9),
        ("SD", "MGCA", "Object-CXR 10%"): (-2.1, -4.1),
    }
    rest = changes[~changes["is_slip"]]
    assert (rest["expected"] - rest["change"]).abs().max() < 0.051
    with pytest.raises(ValueError, match="synthetic has no group 'photographs'; it has no pre-training, real images"):
        recomputed_changes("synthetic", reference="photographs")


def test_gain_that_pecm_claims_re_computes() -> None:
    table = wide("pecm", "Table 1").droplevel("group")
    gain = table.loc["PECM (Ours)"] - table.loc["MCR + MbA"]
    assert gain["image to report Recall@5"] == pytest.approx(6.363, abs=1e-9)
    components = wide("pecm", "Table 4").droplevel("group")
    assert components.loc["PER+DSCE+ARR", "image to report Recall@5"] == 58.644


@pytest.mark.parametrize("paper", PAPERS)
def test_every_number_has_one_place_and_a_range(paper: str) -> None:
    numbers = printed(paper)
    assert not numbers.duplicated(["table", "group", "row", "column"]).any()
    shares = numbers[numbers["unit"].isin(["AUC", "Dice", "share"])]["value"]
    assert shares.between(0, 1).all()
    assert numbers[numbers["unit"].str.endswith("%")]["value"].dropna().between(0, 100).all()
    assert numbers["value"].isna().sum() == (11 if paper == "synthetic" else 0)  # mAP below 1 % is a dash


def test_another_name_and_a_callers_own_copy() -> None:
    with pytest.raises(ValueError, match="no paper 'mgca'"):
        printed("mgca")
    changed = printed("survey")
    changed["value"] = 0.0
    assert printed("survey")["value"].max() == 100
