"""Charts of retrieval: what a curve keeps when it is thinned, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from pedclip.evaluation.metrics.selective import risk_coverage_table
from pedclip.plots.retrieval import risk_coverage, search_times

WORDS = {"title": "Found", "subtitle": "Data"}


def curve(method, number=400):
    rng = np.random.default_rng(0)
    sure = rng.uniform(size=number)
    return risk_coverage_table(rng.uniform(size=number) > sure, sure).assign(method=method)


def test_a_thinned_curve_ends_with_all_answers():
    table = curve("cosine")
    spec = risk_coverage(table, risk=float(table.risk.iloc[-1]), **WORDS).to_dict()
    (rows,) = [rows for rows in spec["datasets"].values() if len(rows) > 1]
    assert len(rows) == 60
    assert max(row["coverage"] for row in rows) == pytest.approx(1)
    # Below a twentieth the risk is that of a handful.
    assert min(row["coverage"] for row in rows) >= 0.05


def test_the_methods_keep_their_order_of_appearance():
    spec = risk_coverage(pd.concat([curve("b"), curve("a")]), risk=0.5, **WORDS).to_dict()
    assert spec["layer"][1]["encoding"]["color"]["scale"]["domain"] == ["b", "a"]
    assert "b, a" in spec["description"]


@pytest.mark.parametrize("column", ["coverage", "risk"])
def test_shares_outside_their_range_are_refused(column):
    table = curve("cosine").assign(**{column: 1.5})
    with pytest.raises(ValueError, match=f"{column} lies in"):
        risk_coverage(table, risk=0.5, **WORDS)


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="no column method"):
        risk_coverage(curve("cosine").drop(columns="method"), risk=0.5, **WORDS)


def test_search_times_have_a_tick_for_every_size():
    table = pd.DataFrame(
        {"method": ["all", "all", "exact"], "items": [100, 1000, 100], "milliseconds": [1.0, 9.0, 0.5]}
    )
    spec = search_times(table, **WORDS).to_dict()
    assert spec["layer"][0]["encoding"]["x"]["axis"]["values"] == [100, 1000]


def test_times_of_zero_have_no_place_on_the_axis():
    table = pd.DataFrame({"method": ["all"], "items": [10], "milliseconds": [0.0]})
    with pytest.raises(ValueError, match="above 0"):
        search_times(table, **WORDS)
