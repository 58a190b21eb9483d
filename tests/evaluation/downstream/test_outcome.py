"""The tidy table: every number once, and the same after a round trip through Parquet and JSON."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from pedclip.artefacts import write_json
from pedclip.evaluation.downstream.outcome import ClassScore, Outcome, Scoring, downstream_table, write_table
from pedclip.evaluation.metrics.bootstrap import Interval
from pedclip.evaluation.metrics.classification import macro_auc
from pedclip.evaluation.tasks.patient_split import Part, PatientSplit


def outcome() -> Outcome:
    rng = np.random.default_rng(0)
    parts = [
        Part(np.zeros((20, 2)), rng.integers(0, 2, (20, 2)), np.array([f"{name}{i // 2}" for i in range(20)]))
        for name in ("train", "validation", "test")
    ]
    classes = [ClassScore("a", Interval(0.7, 0.6, 0.8, 20, 10), 9, 20), ClassScore("b", None, 0, 20)]
    split = PatientSplit(*parts).subsample(0.5, seed=4)
    return Scoring("findings", "linear probe", num_resamples=50).outcome(
        split,
        macro_auc,
        rng.random((20, 2)),
        name="AUC",
        classes=classes,
        baseline=(0.5, "chance"),
        settings={"C": [0.1, 0.0]},
    )


def test_one_row_per_number_and_a_round_trip(tmp_path: Path) -> None:
    done = outcome()
    table = downstream_table([done.result, done.result])
    assert table["class"].tolist() == ["", "a", "b"] * 2
    whole, first, second = (row for _, row in table.head(3).iterrows())
    assert (whole["value"], whole["baseline"], whole["patients"]) == (done.result.score.value, 0.5, 10)
    assert (whole["share"], whole["seed"], whole["train_patients"], whole["train"]) == (0.5, 4, 5, 10)
    assert (first["value"], first["low"], first["positives"]) == (0.7, 0.6, 9)
    assert np.isnan(second["value"])
    pd.testing.assert_frame_equal(pd.read_parquet(write_table(table, tmp_path / "scores.parquet")), table)


def test_result_is_plain_values(tmp_path: Path) -> None:
    done = outcome()
    read = json.loads(write_json(tmp_path / "metrics.json", done.to_dict()).read_text())
    assert read["classes"][0]["score"]["value"] == 0.7
    assert read["classes"][1]["score"] is None
    assert read["settings"] == {"C": [0.1, 0.0]}
    assert read["score"]["num_groups"] == 10
