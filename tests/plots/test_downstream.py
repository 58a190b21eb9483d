"""Charts of downstream tasks and the gallery: stored forms, honest scales, pages, refusals."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pedclip import plots
from pedclip.evaluation.metrics.calibration import reliability_table

WORDS = {"title": "The finding", "subtitle": "40 patients"}
SHARES = [0.01, 0.1, 1.0]


def curve(task: str, metric: str, method: str, values: list[float], chance: float) -> pd.DataFrame:
    rows = pd.DataFrame({"share": SHARES, "value": values, "chance": chance})
    rows = rows.assign(task=task, metric=metric, method=method)
    return rows.assign(low=rows["value"] - 0.05, high=rows["value"] + 0.05)


def film(level: int) -> str:
    return plots.thumbnail_url(np.full((24, 16), level, np.uint8), size=24)


CURVES = pd.concat(
    [
        curve("fracture", "AUC", "PedCLIP", [0.7, 0.8, 0.9], 0.5),
        curve("fracture", "AUC", "random", [0.5, 0.6, 0.6], 0.5),
        curve("effusion", "AUC", "PedCLIP", [0.6, 0.6, 0.65], 0.5),
        curve("age", "MAE, months", "PedCLIP", [40, 20, 10], 42.0),
        curve("bones", "Dice", "PedCLIP", [0.6, 0.7, 0.8], np.nan),
    ]
)
AGES = pd.DataFrame({"truth": [3.0, 100.0, 190.0], "predicted": [20.0, 95.0, 205.0], "region": "hand"})
AGES = AGES.assign(image=[film(0), film(100), film(200)])
CONCEPTS = pd.DataFrame({"concept": ["erosion"] * 2, "method": ["a", "b"], "value": [0.8, 0.4]})
CONCEPTS = CONCEPTS.assign(low=CONCEPTS["value"] - 0.1, high=CONCEPTS["value"] + 0.1)
BINS = reliability_table(np.arange(40) % 3 == 0, np.arange(40) / 40, np.arange(40), bins=4, num_resamples=50)
ERRORS = pd.DataFrame({"task": ["age"] * 3 + ["fracture"] * 10, "error": [1.0, 3.0, 2.0, *range(10)]})
ERRORS = ERRORS.assign(image=[film(10 * number) for number in range(13)], truth="yes", predicted="no")
ERRORS = ERRORS.assign(half=["too old", "too young", "too old"] + ["misses"] * 5 + ["false alarms"] * 5)
CHARTS: dict[str, Any] = {
    "learning_curves": lambda: plots.learning_curves(CURVES, **WORDS),
    "predicted_age": lambda: plots.predicted_age(AGES, **WORDS),
    "concepts": lambda: plots.concept_bars(CONCEPTS, **WORDS),
    "reliability": lambda: plots.reliability(BINS.assign(task="fracture"), **WORDS),
    "errors": lambda: plots.error_gallery(ERRORS, **WORDS),
}


@pytest.fixture(autouse=True)
def figures(tmp_path: Path) -> Path:
    plots.use(tmp_path)
    return tmp_path


def rows_of(spec: dict[str, Any], field: str) -> list[dict[str, Any]]:
    """Rows of the data set of a specification that has a field."""
    return next(rows for rows in spec["datasets"].values() if field in rows[0])


def picture(chart: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    data, metadata = chart._repr_mimebundle_(None, None)
    drawn = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    return np.asarray(drawn.convert("L")), metadata["image/png"], data["application/vnd.vegalite.v5+json"]


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_stored_with_picture_and_alternative_text_and_fits_a_page(name: str, figures: Path) -> None:
    pixels, metadata, spec = picture(CHARTS[name]())
    assert len(np.unique(pixels)) > 10  # something is drawn
    assert metadata["width"] <= 700
    assert metadata["alt"] == spec["description"]
    assert spec["description"].startswith("The finding. 40 patients. ")
    assert {path.name for path in figures.iterdir()} == {f"{name}.png", f"{name}.json"}


def test_panels_of_one_metric_share_their_range_and_only_shares_that_occur_are_labelled() -> None:
    spec = plots.learning_curves(CURVES[CURVES["share"] > 0.01], columns=2, **WORDS).to_dict()
    points = [panel["layer"][-1]["encoding"] for panel in spec["concat"]]
    ranges = [encoding["y"]["scale"]["domain"] for encoding in points]
    assert ranges[0] == ranges[1] == pytest.approx([0.482, 0.95])  # 4 % below the chance of 0.5
    assert ranges[2] == pytest.approx([9.95 - 0.04 * 32.05, 42.0])
    assert [encoding["x"]["axis"]["values"] for encoding in points] == [[0.1, 1.0]] * 4
    assert [panel["title"]["subtitle"] for panel in spec["concat"]] == ["AUC", "AUC", "MAE, months", "Dice"]
    dashed = ["strokeDash" in panel["layer"][0]["encoding"] for panel in spec["concat"]]
    assert dashed == [True, True, True, False]  # no line where chance is not a number


def test_methods_stand_five_pixels_apart_around_the_true_share() -> None:
    spec = CHARTS["learning_curves"]().to_dict()
    panel = spec["concat"][0]
    rows = spec["datasets"][panel["layer"][-1]["data"]["name"]]
    places = np.log10([row["at"] for row in rows]).reshape(2, 3)  # by method and share
    assert places.mean(axis=0) == pytest.approx(np.log10(SHARES), abs=1e-12)
    assert places[1] - places[0] == pytest.approx(5 * 2 / panel["width"], abs=1e-12)  # 2 decades span the panel


def test_ages_have_equal_axes_and_the_rectangle_chooses_the_errors() -> None:
    spec = CHARTS["predicted_age"]().to_dict()
    scatter, histogram = spec["hconcat"]
    assert scatter["width"] == scatter["height"]
    points = scatter["layer"][-1]["encoding"]
    assert points["x"]["scale"]["domain"] == points["y"]["scale"]["domain"] == [0, 216]
    assert points["tooltip"][0]["field"] == "image"
    assert [tip.get("title", "")[-8:] for tip in points["tooltip"][2:]] == ["(months)"] * 3
    assert scatter["title"]["text"][0].startswith("Drag a rectangle")
    every, bars = histogram["layer"][:2]
    assert "transform" not in every
    assert bars["transform"] == [{"filter": {"param": "brush"}}]
    # Whatever is chosen, and if it is nothing, the bars keep their bins and their height.
    assert bars["encoding"]["y"]["scale"]["domain"] == every["encoding"]["y"]["scale"]["domain"] == [0, 1]
    assert bars["encoding"]["x"]["bin"] == {"extent": [-18, 18], "step": 2}
    assert [row["error"] for row in rows_of(spec, "error")] == [17.0, -5.0, 15.0]
    assert sum("image" in rows[0] for rows in spec["datasets"].values()) == 1  # pictures are stored once
    years = AGES.assign(truth=AGES["truth"] / 12, predicted=AGES["predicted"] / 12 - 2)
    points = plots.predicted_age(years, unit="years", **WORDS).to_dict()["hconcat"][0]["layer"][-1]["encoding"]
    assert points["y"]["scale"]["domain"] == [-3, 18]  # a prediction below 0 is not cut off


def test_bars_and_probabilities_go_from_0_to_1() -> None:
    concepts = CHARTS["concepts"]().to_dict()
    assert concepts["layer"][0]["encoding"]["x"]["scale"] == {"domain": [0, 1], "nice": False}
    assert rows_of(concepts, "chance") == [{"chance": 0.5}]
    panel = CHARTS["reliability"]().to_dict()["concat"][0]
    dots = panel["layer"][-1]["encoding"]
    assert dots["x"]["scale"]["domain"] == dots["y"]["scale"]["domain"] == [0, 1]
    assert dots["size"]["scale"]["domain"] == [0, 10]  # 40 films in 4 bins


def test_tasks_before_and_after_scaling_stand_in_pairs_and_points_count_films_and_labels() -> None:
    names = ["a, as fitted", "a, rescaled", "b, as fitted", "b, rescaled"]
    four = plots.reliability(pd.concat([BINS.assign(task=name) for name in names]), **WORDS).to_dict()
    assert four["columns"] == 2
    assert [panel["title"]["text"] for panel in four["concat"]] == [[name] for name in names]
    axes = [panel["layer"][-1]["encoding"]["y"].get("title") for panel in four["concat"]]
    assert axes == ["observed share", None] * 2
    dots = four["concat"][0]["layer"][-1]["encoding"]
    assert dots["size"]["title"] == dots["tooltip"][-1]["title"] == "pairs of film and label"
    three = plots.reliability(pd.concat([BINS.assign(task=name) for name in names[:3]]), **WORDS)
    assert three.to_dict()["columns"] == 3
    for chart in (three, plots.reliability(pd.concat([BINS.assign(task=name) for name in names]), **WORDS)):
        assert picture(chart)[1]["width"] <= 700


def test_the_gallery_puts_the_worst_of_each_half_first_in_rows_of_four() -> None:
    spec = CHARTS["errors"]().to_dict()
    rows = rows_of(spec, "image")
    assert len(rows) == 13
    assert len(spec["datasets"]) == 1  # pictures are stored once
    fracture = [row for row in rows if row["task"] == "fracture"]
    assert [row["error"] for row in fracture] == [4, 3, 2, 1, 0, 9, 8, 7, 6, 5]
    assert [row["column"] for row in fracture] == [0, 1, 2, 3, 0] * 2
    assert [row["heading"] for row in fracture] == ["misses", *[""] * 4, "false alarms", *[""] * 4]
    tops = [row["top"] for row in fracture]
    height = tops[4] - tops[0]  # of a row, with two lines of words
    assert height > 130 + 2 * 12
    assert [top - tops[0] for top in tops] == [0] * 4 + [height] + [2 * height + 22] * 4 + [3 * height + 22]
    age = [row for row in rows if row["task"] == "age"]
    assert [(row["error"], row["top"] - tops[0]) for row in age] == [(2, 0), (1, 0), (3, height + 22)]
    assert spec["height"] == fracture[-1]["top"] + height  # nothing is cut off, whatever task is chosen
    (task,) = spec["params"]  # and no page to go back from
    assert task["value"] == "age"
    assert task["bind"]["options"] == ["age", "fracture"]
    one = plots.error_gallery(ERRORS.iloc[:3], **WORDS).to_dict()
    assert "bind" not in one["params"][0]  # a list of one task chooses nothing


def test_the_picture_of_the_gallery_shows_the_chosen_films() -> None:
    """Films of one gray level are found again in the picture, and those of the other task are not."""
    pixels, _, _ = picture(CHARTS["errors"]())
    levels, counts = np.unique(pixels, return_counts=True)
    for level in (0, 10, 20):  # task "age"
        assert counts[np.abs(levels.astype(int) - level) <= 2].sum() > 10_000
    assert (
        counts[(levels >= 45) & (levels <= 125)].sum() < 5_000
    )  # the worst fractures; one film has about 25 000 pixels


def test_wrong_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="no column chance"):
        plots.learning_curves(CURVES.drop(columns="chance"), **WORDS)
    with pytest.raises(ValueError, match=r"in \(0, 1\], not 1\.0 to 100\.0"):
        plots.learning_curves(CURVES.assign(share=CURVES["share"] * 100), **WORDS)
    with pytest.raises(ValueError, match="one metric, but age has 2"):
        plots.learning_curves(CURVES.assign(metric=np.where(CURVES["share"] < 1, "AUC", "F1")), **WORDS)
    with pytest.raises(ValueError, match=r"not 2\.0 in .* for fracture, PedCLIP"):
        plots.learning_curves(CURVES.assign(value=2.0), **WORDS)
    with pytest.raises(ValueError, match="unit 'days' is unknown"):
        plots.predicted_age(AGES, unit="days", **WORDS)
    with pytest.raises(ValueError, match="ages are numbers"):
        plots.predicted_age(AGES.assign(predicted=np.nan), **WORDS)
    with pytest.raises(ValueError, match="0 <= low <= value <= high <= 1 was expected"):
        plots.concept_bars(CONCEPTS.assign(high=1.2), **WORDS)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        plots.reliability(BINS.assign(task="fracture", count=0), **WORDS)
    with pytest.raises(ValueError, match="low <= observed <= high"):
        plots.reliability(BINS.assign(task="fracture", low=1.0), **WORDS)
    with pytest.raises(ValueError, match="data: URLs"):
        plots.error_gallery(ERRORS.assign(image="https://example.org/a.png"), **WORDS)
    with pytest.raises(ValueError, match="an error is a number"):
        plots.error_gallery(ERRORS.assign(error=np.nan), **WORDS)
    with pytest.raises(ValueError, match="no column half"):
        plots.error_gallery(ERRORS.drop(columns="half"), **WORDS)
