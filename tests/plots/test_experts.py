"""Charts of experts and of growing domains: what they refuse, and that their scales mean what the legend says."""

import numpy as np
import pandas as pd
import pytest

from pedclip import plots
from pedclip.evaluation.zero_shot import growing_accuracy

WORDS = {"title": "A finding", "subtitle": "data"}


def matrix(values: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"row": ["hip", "hip", "knee", "knee"], "column": ["a", "b"] * 2, "value": values})


def test_differences_are_symmetric_about_white() -> None:
    chart = plots.region_matrix(matrix([-0.2, 0.1, 0, 0]), columns="expert", value="change", **WORDS).to_dict()
    scale = chart["encoding"]["color"]["scale"]
    assert scale["domain"] == [-0.2, 0.2]
    assert len(scale["range"]) % 2 == 1
    assert scale["range"][len(scale["range"]) // 2] == "#FFFFFF"


def test_values_that_are_no_fraction_are_refused() -> None:
    with pytest.raises(ValueError, match=r"values lie in \[0, 1\]"):
        plots.region_matrix(matrix([0, 0.5, 1, 1.5]), columns="expert", value="CKA", diverging=False, **WORDS)


def test_the_band_spans_the_random_orders() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(40) % 4
    table = growing_accuracy(rng.normal(size=(40, 4)) + np.eye(4)[truth], truth, ["a", "b", "c", "d"], num_orders=9)
    chart = plots.growing_domains(table, **WORDS).to_dict()
    rows = next(data for data in chart["datasets"].values() if "low" in data[0])
    others = table[(table["order"] > 0) & (table["number"] == 3)]["accuracy"]
    assert (rows[0]["low"], rows[0]["high"]) == pytest.approx((others.min(), others.max()))
    with pytest.raises(ValueError, match=r"accuracies lie in \[0, 1\]"):
        plots.growing_domains(table.assign(accuracy=2.0), **WORDS)
