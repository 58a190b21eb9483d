"""Printed rows and ours side by side: by hand for a model with all answers, one with some, and one without a run."""

import numpy as np
import pandas as pd
import pytest

from pedclip.evaluation.metrics.classification import auc
from pedclip.evaluation.metrics.interval import Interval
from pedclip.evaluation.metrics.per_image import mae
from pedclip.evaluation.printed_tables import live_table, own_scores, questions_of
from pedclip.evaluation.result import Predictions, Result
from pedclip.evaluation.tasks.task import Task
from pedclip.models.released.release import find_release, release_names

ALL = {"CHD": 0.9, "Pedi-CXR": 0.8, "Arthritis": 0.7, "GRAZPEDWRI-DX": 0.6, "average": 0.75}


def score(value: float) -> Interval:
    return Interval(value, value - 0.1, value + 0.1, 40, 20)


def row_of(table: pd.DataFrame, group: str, model: str) -> "pd.Series[object]":
    return table[(table["group"] == group) & (table["model"] == model)].iloc[0]


def task(name: str, paper: str) -> Task:
    return Task(name, "multi-label", (name,), {}, {}, paper=paper)


def result(name: str, labels: list[int], outputs: list[float], method: str = "ours") -> Result:
    """An AUC of four patients."""
    known = Predictions(auc, np.array(labels), np.array(outputs), np.array(["a", "b", "c", "d"]))
    own = Interval(auc(known.truth, known.output), 0.0, 1.0, 4, 4)
    return Result(
        task=name, method=method, metric="AUC", score=own, baseline=0.5, baseline_name="chance", predictions=known
    )


def test_a_model_with_all_answers_has_its_average_and_one_with_some_has_none() -> None:
    own = {
        "zero-shot": {question: score(value) for question, value in ALL.items()},
        "run gloria": {"CHD": score(0.55), "average": score(0.99)},  # an average of one question would mislead
    }
    table = live_table("Table 1", own, fills={"zero-shot": "pedclip", "run gloria": "gloria"})
    assert table.columns.tolist()[:4] == ["model", "group", "CHD, printed", "CHD, here"]
    assert table.columns.tolist()[-3:] == ["average, printed", "average, here", "run here"]
    assert len(table) == 14
    ours = row_of(table, "pediatric", "PedCLIP")
    assert (ours["CHD, printed"], ours["CHD, here"]) == (0.639, score(0.9))
    assert (ours["average, printed"], ours["average, here"]) == (0.632, score(0.75))
    assert ours["run here"] == "zero-shot"
    rival = row_of(table, "pediatric", "GLoRIA")
    assert (rival["CHD, printed"], rival["CHD, here"]) == (0.509, score(0.55))
    assert (rival["Arthritis, printed"], rival["Arthritis, here"], rival["average, here"]) == (0.491, None, None)
    # The adult row of the same name is of other weights.
    adult = row_of(table, "adult", "GLoRIA")
    assert adult["CHD, here"] is None
    assert adult["run here"].startswith("not run: ")


def test_rows_without_a_run_say_why_and_the_words_are_the_callers() -> None:
    table = live_table("Table 1", {}, fills={})
    reasons = {(row["group"], row["model"]): row["run here"] for _, row in table.iterrows()}
    assert reasons["pediatric", "MGCA"] == "not run: no model trained with objective='mgca' was given"
    assert (
        "its authors' weights were not given: open_clip_model.safetensors (licence: MIT)"
        in reasons["generalist", "BioMedCLIP"]
    )
    assert "PRIOR have no door" in reasons["adult", "Prior"]
    worded = live_table("Table 1", {}, fills={}, reason=lambda model: f"do {model.way}")
    assert row_of(worded, "adult", "MGCA")["run here"] == "not run: do released mgca"


def test_two_runs_of_one_kind_have_a_row_each_and_controls_follow_at_the_end() -> None:
    own = {name: {"CHD": score(0.6)} for name in ("run a", "run b", "untrained")}
    table = live_table("Table 1", own, fills={"run a": "carzero", "run b": "carzero"})
    rows = table[(table["model"] == "CARZero") & (table["group"] == "pediatric")]
    assert rows["run here"].tolist() == ["run a", "run b"]
    assert rows["CHD, printed"].tolist() == [0.511] * 2
    last = table.iloc[-1]
    assert (last["model"], last["group"], last["CHD, here"]) == ("untrained", "only here", score(0.6))
    assert pd.isna(last["CHD, printed"])
    assert len(table) == 14 + 2


def test_table_2_averages_its_aucs_alone_and_names_its_units() -> None:
    table = live_table("Table 2", {}, fills={})
    assert len(table) == 11
    assert "RSNA-BoneAge MAE, printed" in table.columns
    ours = row_of(table, "pediatric", "PedCLIP")
    assert ours["average AUC, printed"] == pytest.approx((0.911 + 0.782 + 0.934 + 0.970) / 4)
    some = live_table("Table 2", {}, fills={}, questions=["GRAZPEDWRI-DX segmentation"])
    assert some.columns.tolist() == [
        "model",
        "group",
        "GRAZPEDWRI-DX segmentation, printed",
        "GRAZPEDWRI-DX segmentation, here",
        "run here",
    ]


def test_per_cents_of_a_figure_stand_beside_shares() -> None:
    table = live_table("Figure 5", {"run clip": {"chest (CHD)": score(0.5)}}, fills={"run clip": "clip"})
    first = table.iloc[0]
    assert (first["model"], first["run here"]) == ("MLP", "run clip")
    assert (first["chest (CHD), printed"], first["chest (CHD), here"]) == (0.502, score(0.5))


def test_several_tasks_of_one_question_are_averaged_and_all_questions_too() -> None:
    tasks = [
        task("heart", "CHD"),
        task("effusion", "Pedi-CXR"),
        task("nodule", "Pedi-CXR"),
        task("joints", "Arthritis"),
        task("wrist", "GRAZPEDWRI-DX"),
        task("region", ""),
    ]
    answers = {"heart": [4.0, 3, 2, 1], "effusion": [4.0, 3, 2, 1], "nodule": [1.0, 2, 3, 4], "joints": [4.0, 2, 3, 1]}
    # Patients a and b are positive: AUCs 1, 1, 0, 3/4 and 1.
    results = [result(name, [1, 1, 0, 0], values) for name, values in (answers | {"wrist": [9.0, 8, 1, 0]}).items()]
    scores = own_scores("Table 1", tasks, [*results, result("region", [1, 1, 0, 0], [1, 2, 3, 4])], num_resamples=50)
    assert list(scores) == ["CHD", "Pedi-CXR", "Arthritis", "GRAZPEDWRI-DX", "average"]
    assert scores["CHD"] == results[0].score
    assert scores["Pedi-CXR"].value == pytest.approx(0.5)
    assert scores["average"].value == pytest.approx((1 + 0.5 + 0.75 + 1) / 4)
    assert scores["average"].num_groups == 4
    # Two positive patients are too few for an interval of any of the tasks, and of their mean.
    assert np.isnan(scores["average"].low)
    assert "average" not in own_scores("Table 1", tasks[1:], results, num_resamples=50)


def test_months_are_averaged_on_their_own_scale_and_another_metric_is_no_answer() -> None:
    months = Predictions(mae, np.array([10.0, 20, 30, 40]), np.array([50.0, 60, 70, 80]), np.arange(4))
    ages = [
        Result(
            task=name,
            method="ours",
            metric="MAE",
            score=Interval(40.0, 30.0, 50.0, 4, 4),
            baseline=60.0,
            baseline_name="mean",
            predictions=months,
        )
        for name in ("hands", "more hands")
    ]
    tasks = [task("hands", "RSNA-BoneAge"), task("more hands", "RSNA-BoneAge"), task("wrist", "RSNA-BoneAge")]
    scores = own_scores("Table 2", tasks, [*ages, result("wrist", [1, 1, 0, 0], [4, 3, 2, 1])], num_resamples=50)
    assert list(scores) == ["RSNA-BoneAge"]
    assert scores["RSNA-BoneAge"].value == 40.0


def test_misuse_raises() -> None:
    two = [result("heart", [1, 1, 0, 0], [4, 3, 2, 1], method) for method in ("a", "b")]
    with pytest.raises(ValueError, match="expected the results of one method, got those of a, b"):
        own_scores("Table 1", [task("heart", "CHD")], two)
    with pytest.raises(ValueError, match="Table 1 does not ask 'MURA'; it asks CHD, Pedi-CXR"):
        live_table("Table 1", {}, fills={}, questions=["MURA"])
    with pytest.raises(ValueError, match="'Figure 1' are not mapped"):
        questions_of("Figure 1")


def test_a_model_that_knows_the_films_of_a_question_is_marked() -> None:
    own = {
        "released chexficient": {"Pedi-CXR": score(0.9)},
        "zero-shot": {question: score(value) for question, value in ALL.items()},
    }
    fills = {"zero-shot": "pedclip"}
    seen = {"released chexficient": ["Pedi-CXR"], "zero-shot": ()}
    table = live_table("Table 1", own, fills=fills, seen=seen).set_index("run here")
    marks = table["trained on films of"]
    assert marks[marks != ""].to_dict() == {"released chexficient": "Pedi-CXR"}
    # Nothing to mark: no column, as when nobody has seen anything.
    for others in ({"questions": ["CHD"], "seen": seen}, {"seen": {"zero-shot": ()}}, {}):
        assert live_table("Table 1", own, fills=fills, **others).columns[-1] == "run here"
    with pytest.raises(ValueError, match="Table 1 does not ask 'PediCXR'"):
        live_table("Table 1", own, fills=fills, seen={"zero-shot": ["PediCXR"]})


def test_what_a_record_has_seen_are_questions_of_both_tables() -> None:
    seen = {name: find_release(name).seen for name in release_names() if find_release(name).seen}
    assert seen == {"chexficient": ("Pedi-CXR",)}
    for table in ("Table 1", "Table 2"):
        assert {question for names in seen.values() for question in names} <= questions_of(table).keys()
