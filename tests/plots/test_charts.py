import base64
import io
import json
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pedclip import plots
from pedclip.plots.images import cividis
from pedclip.plots.theme import INK, MUTED, mime_bundle
from pedclip.plots.training import _spread

WORDS = {"title": "The finding", "subtitle": "40 patients"}
CURVES = pd.DataFrame(
    {"epoch": [0, 1, 0, 1], "term": ["a", "a", "b", "b"], "split": "train", "unit": ["nats"] * 2 + ["share"] * 2}
).assign(value=[3.0, 2.0, 0.1, 0.9])
GATES = pd.DataFrame({"region": ["hand", "hand"], "expert": ["hand", "foot"], "weight": [0.9, 0.1]})
RESULTS = pd.DataFrame({"row": ["fracture"], "method": ["PedCLIP"], "value": [0.8], "low": [0.7], "high": [0.9]})
CONFUSION = pd.DataFrame({"true": ["hand", "foot"], "predicted": ["hand", "hand"], "count": [5, 2]})
POINTS = pd.DataFrame({"x": [0.0, 1], "y": [0.0, 1], "region": ["hand", "foot"], "group": ["arm", "leg"]})
POINTS = POINTS.assign(modality=["image", "text"], image=["data:image/jpeg;base64,aGk=", None])
SCHEDULE = pd.DataFrame({"epoch": [0, 1], "lambda_gate": [1.0, 0.5], "teacher_forcing": [True, False]})
COSTS = pd.DataFrame({"method": ["a", "b"], "quantity": "ms per image", "value": [1.0, 1500.0]})
RATES = pd.DataFrame({"step": [0, 1], "learning_rate": [0.0, 1e-4]})
CHARTS: dict[str, Any] = {
    "training_curves": lambda: plots.training_curves(CURVES, **WORDS),
    "gate_weights": lambda: plots.gate_weights(GATES, **WORDS),
    "intervals": lambda: plots.intervals(RESULTS, metric="AUC", chance=0.5, **WORDS),
    "confusion": lambda: plots.confusion(CONFUSION, **WORDS),
    "embedding_map": lambda: plots.embedding_map(POINTS, **WORDS),
    "schedule": lambda: plots.schedule(SCHEDULE, **WORDS),
    "cost_bars": lambda: plots.cost_bars(COSTS, **WORDS),
    "learning_rate": lambda: plots.learning_rate(RATES, **WORDS),
}


@pytest.fixture(autouse=True)
def figures(tmp_path: Path) -> Path:
    plots.use(tmp_path)
    return tmp_path


def _find(spec: Any, key: str) -> list[Any]:
    if isinstance(spec, dict):
        here = [spec[key]] if key in spec else []
        return here + [found for value in spec.values() for found in _find(value, key)]
    return [found for value in spec for found in _find(value, key)] if isinstance(spec, list) else []


@pytest.mark.parametrize("name", CHARTS)
def test_a_shown_chart_is_stored_three_ways_and_saved(name: str, figures: Path) -> None:
    data, metadata = CHARTS[name]()._repr_mimebundle_(None, None)
    spec = data["application/vnd.vegalite.v5+json"]
    assert data["text/plain"] == f"chart: {name}"
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert picture.width == pytest.approx(1.5 * metadata["image/png"]["width"], abs=1)
    assert len(np.unique(np.asarray(picture.convert("L")))) > 10  # something is drawn
    assert spec["description"].startswith("The finding. 40 patients. ")
    assert metadata["image/png"]["alt"] == spec["description"]
    assert (figures / f"{name}.png").read_bytes() == base64.b64decode(data["image/png"])
    assert json.loads((figures / f"{name}.json").read_text()) == spec


@pytest.mark.parametrize("name", CHARTS)
def test_no_text_is_smaller_than_12_pixels(name: str) -> None:
    spec = CHARTS[name]().to_dict()
    keys = ("fontSize", "labelFontSize", "titleFontSize", "subtitleFontSize")
    assert min(size for key in keys for size in _find(spec, key)) == 12


def test_texts_have_a_contrast_of_4_5_to_1_on_white() -> None:
    for color in (INK, MUTED):
        linear = [((v + 0.055) / 1.055) ** 2.4 for v in (byte / 255 for byte in bytes.fromhex(color[1:]))]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        assert 1.05 / (luminance + 0.05) >= 4.5


def test_a_chart_without_a_name_is_not_saved(figures: Path) -> None:
    spec = CHARTS["learning_rate"]().to_dict()
    del spec["name"]
    data, _ = mime_bundle(spec, figures)
    assert data["text/plain"] == "chart: unnamed"
    assert list(figures.iterdir()) == []


def test_a_stored_chart_has_five_digits_and_the_file_beside_it_all(figures: Path) -> None:
    frame = RESULTS.assign(value=2 / 3, low=1 / 3, high=123456.789e-6 + 2 / 3)
    spec = plots.intervals(frame, metric="AUC", chance=None, **WORDS).to_dict()
    data, _ = mime_bundle(spec, figures)
    (stored,) = data["application/vnd.vegalite.v5+json"]["datasets"].values()
    assert (stored[0]["value"], stored[0]["low"], stored[0]["high"]) == (0.66667, 0.33333, 0.79012)
    (kept,) = json.loads((figures / f"{spec['name']}.json").read_text())["datasets"].values()
    assert kept[0]["value"] == 2 / 3
    # Whole numbers, texts and switches stay as they are, whatever their size.
    assert stored[0]["method"] == kept[0]["method"]
    assert data["application/vnd.vegalite.v5+json"]["config"] == spec["config"]


def test_scales_are_honest() -> None:
    bars = CHARTS["cost_bars"]().to_dict()
    assert bars["hconcat"][0]["layer"][0]["encoding"]["x"]["scale"]["domain"] == [0, 1875.0]
    encoding = CHARTS["intervals"]().to_dict()["layer"][1]["encoding"]
    assert encoding["x"]["scale"]["domain"] == [0.45, 0.95]  # the interval and the chance, to twentieths
    assert encoding["tooltip"][2]["title"] == "AUC"
    wide = plots.intervals(RESULTS.assign(low=0.0, high=1.0), metric="AUC", chance=None, **WORDS).to_dict()
    assert wide["layer"][0]["encoding"]["x"]["scale"]["domain"] == [0, 1]
    panels = CHARTS["training_curves"]().to_dict()["hconcat"]
    assert panels[1]["layer"][0]["encoding"]["y"]["scale"]["domain"] == [0, 1]
    schemes = [
        _find(CHARTS[name]().to_dict()["encoding" if name == "gate_weights" else "layer"], "scheme")
        for name in ("gate_weights", "confusion")
    ]
    assert schemes == [["viridis"], ["cividis"]]


def test_missing_pairs_of_a_confusion_count_zero_and_shares_add_up() -> None:
    rows = next(iter(CHARTS["confusion"]().to_dict()["datasets"].values()))
    found = {(row["true"], row["predicted"]): (row["count"], row["share"]) for row in rows}
    assert found == {
        ("hand", "hand"): (5, 1.0),
        ("foot", "hand"): (2, 1.0),
        ("hand", "foot"): (0, 0.0),
        ("foot", "foot"): (0, 0.0),
    }


def test_the_tooltip_of_the_map_draws_the_radiograph_and_the_rectangle_filters_the_bars() -> None:
    points, bars = CHARTS["embedding_map"]().to_dict()["hconcat"]
    assert points["encoding"]["tooltip"][0]["field"] == "image"
    assert bars["transform"] == [{"filter": {"param": "brush"}}]
    with pytest.raises(ValueError, match="data: URLs"):
        plots.embedding_map(POINTS.assign(image="https://example.org/a.png"), **WORDS)


def test_wrong_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="no column weight; it has region, expert"):
        plots.gate_weights(GATES.drop(columns="weight"), **WORDS)
    with pytest.raises(ValueError, match="1 to 5000 rows, not 5001"):
        plots.learning_rate(pd.DataFrame({"step": range(5001), "learning_rate": 0.1}), **WORDS)
    with pytest.raises(ValueError, match="1 to 5000 rows, not 0"):
        plots.learning_rate(RATES.iloc[:0], **WORDS)
    many = pd.concat([RESULTS.assign(method=f"m{index}") for index in range(8)])
    with pytest.raises(ValueError, match="8 kinds of method"):
        plots.intervals(many, metric="AUC", chance=None, **WORDS)
    with pytest.raises(ValueError, match=r"not 0\.95 in \[0\.7, 0\.9\] for fracture, PedCLIP"):
        plots.intervals(RESULTS.assign(value=0.95), metric="AUC", chance=None, **WORDS)
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        plots.gate_weights(GATES.assign(weight=2.0), **WORDS)
    with pytest.raises(ValueError, match="0 or more, not -1"):
        plots.confusion(CONFUSION.assign(count=-1), **WORDS)
    with pytest.raises(ValueError, match="0 or more, not -1"):
        plots.cost_bars(COSTS.assign(value=-1), **WORDS)
    with pytest.raises(ValueError, match="unit 'accuracy' is unknown"):
        plots.training_curves(CURVES.assign(unit="accuracy"), **WORDS)


def test_labels_at_the_line_ends_keep_their_order_and_distance() -> None:
    places = np.array(_spread(np.array([0.5, 0.51, 0.98, 1.0]), 0.1, 0.0, 1.0))
    assert (np.diff(places) >= 0.1 - 1e-12).all()
    assert places[0] == pytest.approx(0.5)
    assert places[-1] == pytest.approx(1.0)
    assert _spread(np.array([0.2, 0.8]), 0.1, 0.0, 1.0) == [0.2, 0.8]


def test_a_thumbnail_is_a_small_picture_of_the_same_shape() -> None:
    rng = np.random.default_rng(0)
    image = np.clip(np.linspace(0, 255, 224)[:, None] + rng.normal(0, 10, (224, 112)), 0, 255).astype(np.uint8)
    url = plots.thumbnail_url(image)
    assert len(url) < 1000
    picture = Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/webp;base64,"))))
    assert picture.size == (24, 48)
    levels = np.asarray(picture.convert("L"))
    assert levels[0].mean() < 30 < 225 < levels[-1].mean()
    with pytest.raises(ValueError, match=r"not \(4, 4\) of float64"):
        plots.thumbnail_url(np.zeros((4, 4)))


def test_an_overlay_is_40_percent_cividis_beside_the_untouched_image() -> None:
    image = np.full((4, 4), 100, np.uint8)
    both = plots.overlay(image, np.array([[0.0, 1.0]]))
    assert both.shape == (4, 8, 3)
    assert (both[:, :4] == 100).all()
    assert both[0, 4].tolist() == [60, 73, 92]  # 0.6 * 100 + 0.4 * (0, 32, 81)
    assert both[0, 7].tolist() == [161, 154, 88]  # 0.6 * 100 + 0.4 * (253, 234, 69)
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        plots.overlay(image, np.array([[0.0, 1.5]]))
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        plots.overlay(image, np.array([[0.0, np.nan]]))


def test_cividis_rises_in_lightness_and_agrees_with_its_polynomial() -> None:
    t = np.linspace(0, 1, 101)
    colors = cividis(t)
    assert (np.diff(colors @ [0.2126, 0.7152, 0.0722]) > 0).all()
    # The fit of d3-scale-chromatic (interpolateCividis), an independent source; the anchors are 8 levels away at most.
    red = -4.54 - t * (35.34 - t * (2381.73 - t * (6402.7 - t * (7024.72 - t * 2710.57))))
    green = 32.49 + t * (170.73 + t * (52.82 - t * (131.46 - t * (176.58 - t * 67.37))))
    blue = 81.24 + t * (442.36 - t * (2482.43 - t * (6167.24 - t * (6614.94 - t * 2475.67))))
    assert np.abs(colors - np.clip(np.stack([red, green, blue], axis=-1), 0, 255)).max() < 8


def test_a_contact_sheet_keeps_aspect_ratios_black_and_the_number_of_columns() -> None:
    wide, tall = np.zeros((50, 100), np.uint8), np.full((100, 50), 255, np.uint8)
    sheet = plots.contact_sheet([wide, tall, wide], ["a", "b", "c"], columns=2, size=60)
    assert sheet.mode == "L"
    assert sheet.width == 6 + 2 * (120 + 6)
    black = np.asarray(sheet)[23:83, 6:126]
    assert (black == 0).all()
    colored = plots.contact_sheet([wide, np.zeros((50, 100, 3), np.uint8)], ["a", "b"], size=60)
    assert colored.mode == "RGB"
    with pytest.raises(ValueError, match="2 images, 1 titles"):
        plots.contact_sheet([wide, wide], ["a"])
    with pytest.raises(ValueError, match="of uint8, not"):
        plots.contact_sheet([wide / 255], ["a"])


def test_a_long_title_is_broken_and_cut() -> None:
    image = np.zeros((60, 60), np.uint8)
    short = plots.contact_sheet([image], ["a"], size=60)
    title = "one two three four five six seven eight nine ten_of_them_without_space"
    long = plots.contact_sheet([image], [title], size=60)
    assert long.width == short.width
    assert long.height == short.height + 2 * 17  # two more lines of 13 px


def test_altair_is_of_the_version_that_notebooks_can_draw() -> None:
    assert alt.SCHEMA_VERSION.startswith("v5.")


def test_a_score_without_an_interval_is_a_dot_that_says_so() -> None:
    few = pd.concat([RESULTS, RESULTS.assign(row="effusion", low=np.nan, high=np.nan)])
    bars = pd.DataFrame(
        {"concept": few["row"], "method": few["method"]} | {n: few[n] for n in ("value", "low", "high")}
    )
    bins = pd.DataFrame({"task": "a", "predicted": [0.2, 0.4], "observed": [0.1, 0.5], "low": [0.05, np.nan]})
    bins = bins.assign(high=[0.2, np.nan], count=[20, 3])
    curve = bars.assign(task="a", metric="AUC", share=[0.1, 1.0], chance=0.5)
    for chart in (
        plots.intervals(few, metric="AUC", chance=None, **WORDS),
        plots.concept_bars(bars, **WORDS),
        plots.reliability(bins, **WORDS),
        plots.learning_curves(curve, **WORDS),
    ):
        spec = chart.to_dict()
        rows = [row for data in spec["datasets"].values() for row in data if "interval" in row]
        assert sorted(row["interval"] for row in rows)[-1] == "too few patients"
        tips = [tip for tip in _find(spec, "tooltip") if isinstance(tip, list)]
        assert all("interval" in {one["field"] for one in tip} for tip in tips)
