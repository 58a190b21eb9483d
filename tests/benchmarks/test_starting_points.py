"""Comparison of starting points: differences have the sign they say, and the gate is scored region by region."""

import numpy as np

from benchmarks.starting_points import compared, gate
from pedclip.evaluation.embeddings import Embeddings
from pedclip.evaluation.result import Scoring
from pedclip.evaluation.tasks.labels import Row
from pedclip.evaluation.zero_shot.results import region_result

REGIONS = ["wrist", "chest"]
ROWS = [Row(region=REGIONS[i % 2], source="a", patient=f"p{i // 2}", findings=None) for i in range(40)]


def test_gate_is_right_where_its_largest_weight_is_on_the_region() -> None:
    weights = np.tile([[0.9, 0.1]], (40, 1)).astype(np.float32)  # always the wrist
    empty = np.zeros((40, 1), np.float32)
    found = gate(Embeddings(empty, empty, weights), REGIONS, ROWS)
    assert {name: (entry["value"], entry["num_items"]) for name, entry in found.items()} == {
        "all": (0.5, 40),
        "chest": (0.0, 20),
        "wrist": (1.0, 20),
    }


def test_difference_is_the_method_minus_the_base() -> None:
    truth, patients = [row.region for row in ROWS], [row.patient for row in ROWS]
    answers = {"right": truth, "wrong": ["chest"] * 40}
    found = {
        ("body region", name): region_result(truth, answer, REGIONS, patients, Scoring("body region", name, 200, 0))
        for name, answer in answers.items()
    }
    (entry,) = compared(found, ["wrong"])
    assert entry["methods"]["right"]["minus wrong"]["value"] == 0.5
    assert "minus wrong" not in entry["methods"]["wrong"]
    assert (entry["films"], entry["patients"]) == (40, 20)
