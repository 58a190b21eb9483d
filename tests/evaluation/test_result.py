"""Results: plain values, the tidy table through Parquet and JSON, predictions kept in memory, confusion by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pedclip.artefacts import write_json
from pedclip.evaluation.downstream.summary import downstream_table, write_table
from pedclip.evaluation.metrics.bootstrap import Interval
from pedclip.evaluation.metrics.classification import macro_auc
from pedclip.evaluation.result import ClassScore, Confusion, Result, Scoring
from pedclip.evaluation.tasks.patient_split import Part, PatientSplit


def result() -> Result:
    rng = np.random.default_rng(0)
    parts = [
        Part(np.zeros((20, 2)), rng.integers(0, 2, (20, 2)), np.array([f"{name}{i // 2}" for i in range(20)]))
        for name in ("train", "validation", "test")
    ]
    classes = [ClassScore("a", Interval(0.7, 0.6, 0.8, 20, 10), 9, 20), ClassScore("b", None, 0, 20)]
    split = PatientSplit(*parts).subsample(0.5, seed=4)
    return Scoring("findings", "linear probe", num_resamples=50).result(
        split,
        macro_auc,
        rng.random((20, 2)),
        name="AUC",
        classes=classes,
        baseline=(0.5, "chance"),
        settings={"C": [0.1, 0.0]},
    )


def test_one_row_per_number_and_a_round_trip(tmp_path: Path) -> None:
    done = result()
    table = downstream_table([done, done])
    assert table["class"].tolist() == ["", "a", "b"] * 2
    whole, first, second = (row for _, row in table.head(3).iterrows())
    assert (whole["value"], whole["baseline"], whole["patients"]) == (done.score.value, 0.5, 10)
    assert (whole["share"], whole["seed"], whole["train_patients"], whole["train"]) == (0.5, 4, 5, 10)
    assert (first["value"], first["low"], first["positives"]) == (0.7, 0.6, 9)
    assert np.isnan(second["value"])
    pd.testing.assert_frame_equal(pd.read_parquet(write_table(table, tmp_path / "scores.parquet")), table)


def test_result_is_plain_values(tmp_path: Path) -> None:
    done = result()
    read = json.loads(write_json(tmp_path / "metrics.json", done.to_dict()).read_text())
    assert read["classes"][0]["score"]["value"] == 0.7
    assert read["classes"][1]["score"] is None
    assert read["settings"] == {"C": [0.1, 0.0]}
    assert read["score"]["num_groups"] == 10
    assert read["share"] == 0.5
    assert not {"predictions", "confusion", "source", "fraction"} & set(read)


def test_predictions_are_asked_for_only_where_they_were_kept() -> None:
    done = result()
    assert macro_auc(done.require_predictions().truth, done.require_predictions().output) == done.score.value
    bare = replace(done, predictions=None)
    assert bare == done  # they are no part of what is compared
    with pytest.raises(ValueError, match="findings, linear probe: the predictions were not kept"):
        bare.require_predictions()


def test_confusion_by_hand() -> None:
    confusion = Confusion(("hip", "ankle"), ("knee", "hip"), ((1, 3), (2, 0)))
    assert confusion.macro_accuracy == (3 / 4 + 0) / 2  # nobody could answer "ankle"
    assert (confusion.chance_majority, confusion.chance_uniform) == (4 / 6, 1 / 2)
    read = replace(result(), confusion=confusion, source="pack").to_dict()
    assert (read["source"], read["confusion"]["counts"]) == ("pack", ((1, 3), (2, 0)))
