"""Chart of differences: one symmetric range for all panels, and what is refused."""

import pandas as pd
import pytest

from pedclip.plots.differences import difference_forest

WORDS = {"reference": "real", "title": "Found", "subtitle": "Data"}


def frame(**changes):
    rows = [
        {"panel": panel, "row": row, "method": method, "value": 0.01, "low": -0.02, "high": 0.043}
        for panel in ("Dice", "AUC")
        for row in ("perfect", "generic")
        for method in ("mgca", "clip")
    ]
    return pd.DataFrame(rows).assign(**changes)


def test_zero_stands_in_the_middle_of_every_panel():
    table = frame()
    table.loc[table.panel == "AUC", "low"] = -0.117
    spec = difference_forest(table, **WORDS).to_dict()
    domains = [panel["layer"][1]["encoding"]["x"]["scale"]["domain"] for panel in spec["concat"]]
    assert domains == [pytest.approx([-0.13, 0.13])] * 2


def test_panels_arms_and_methods_keep_their_order():
    spec = difference_forest(frame(), **WORDS).to_dict()
    assert [panel["title"]["text"] for panel in spec["concat"]] == [["Dice"], ["AUC"]]
    first, second = (panel["layer"][1]["encoding"] for panel in spec["concat"])
    assert first["y"]["scale"]["domain"] == ["perfect", "generic"]
    assert first["color"]["scale"]["domain"] == ["mgca", "clip"]
    # Names of the arms once in a row of panels.
    assert (first["y"]["axis"]["labels"], second["y"]["axis"]["labels"]) == (True, False)


def test_too_few_patients_are_said():
    table = frame(low=float("nan"), high=float("nan"))
    spec = difference_forest(table, **WORDS).to_dict()
    (values,) = [rows for rows in spec["datasets"].values() if rows[0].get("panel") == "Dice"]
    assert {row["note"] for row in values} == {"too few patients"}
    assert len(spec["concat"][0]["layer"]) == 4


@pytest.mark.parametrize(("low", "high"), [(0.02, 0.043), (-0.02, 0.0), (-1.2, 0.043)])
def test_a_difference_outside_its_interval_is_refused(low, high):
    with pytest.raises(ValueError, match="-1 <= low <= value <= high <= 1 was expected"):
        difference_forest(frame(low=low, high=high), **WORDS)


def test_misuse_is_named():
    with pytest.raises(ValueError, match="no column method"):
        difference_forest(frame().drop(columns="method"), **WORDS)
    with pytest.raises(ValueError, match="columns must be at least 1"):
        difference_forest(frame(), columns=0, **WORDS)
