from pathlib import Path

import pandas as pd
import pytest

from pedclip import plots
from pedclip.curation.datasheet import data_sheet
from pedclip.plots.datasheet import data_sheet_bars, data_sheet_table, left_out_table

ROW = {"text": "No fracture seen.", "region": 5, "age_months": 30.0, "sex": "F", "laterality": "", "view": "AP"}
ROW |= {"patient_id": "a", "study_id": "b", "text_source": "rules"}
SHEET = data_sheet(
    [("train", ROW), ("train", ROW)],
    source="invented",
    left_out=["no-report", "no-film", "no-report"],
    identifiers={},
    duplicates={},
)


def test_bars_show_every_class_also_empty_ones(tmp_path: Path) -> None:
    plots.use(tmp_path)
    table = data_sheet_table(SHEET)
    regions = table[table["panel"] == "region"].set_index("value")["triplets"]
    assert (regions["knee"], regions["tibia and fibula"], len(regions)) == (2, 0, 23)
    data, _ = data_sheet_bars(table, title="All knees", subtitle="1 patient")._repr_mimebundle_(None, None)
    spec = data["application/vnd.vegalite.v5+json"]
    assert spec["description"].startswith(
        "All knees. 1 patient. Bars from zero of the number of triplets by Body region,"
    )
    assert (tmp_path / "data_sheet.png").stat().st_size > 5000


def test_reasons_come_in_order_of_their_number() -> None:
    assert left_out_table(SHEET).to_numpy().tolist() == [["left out", "no-report", 2], ["left out", "no-film", 1]]


def test_negative_counts_are_refused() -> None:
    table = pd.DataFrame({"panel": ["sex"], "value": ["F"], "triplets": [-1]})
    with pytest.raises(ValueError, match="0 or more"):
        data_sheet_bars(table, title="t", subtitle="s")
