"""Cells of the comparison: trained once, kept when they fail, joined over seeds."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import rivals, rivals_cells
from benchmarks.rivals_cells import Method
from pedclip.evaluation.embeddings import embed
from pedclip.evaluation.macro import Measure, mean_of
from tests.benchmarks.failing_processes import failing_processes
from tests.training.tiny import tiny_arrays


def options(tmp_path: Path, *more: str) -> Any:
    small = ["--studies", "60", "--epochs", "1", "--seeds", "0,1", "--runs", str(tmp_path)]
    return rivals._parse([*small, *more])


def test_experts_are_there_where_the_name_says_so(tmp_path: Path) -> None:
    asked = options(tmp_path)
    found = {
        method: (config.training.objective, config.model.mobe_layers, config.training.region_head)
        for method in ("clip", "clip+experts", "clip+labels", "pedclip")
        for config in [rivals.configuration(asked, method, 4)]
    }
    assert found == {
        "clip": ("clip", (), False),
        "clip+experts": ("clip", (-1,), False),
        "clip+labels": ("clip", (), True),
        "pedclip": ("pedclip", (-1,), False),
    }
    assert rivals.configuration(asked, "clip", 4).training.seed == 4
    rates = [rivals.configuration(asked, method, 0).training.learning_rate for method in ("clip", "clip+labels@3e-4")]
    assert rates == [1e-3, 3e-4]


def test_equal_films_whatever_the_seed_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        rivals_cells, "prepare", lambda config, run: seen.append((config.training.seed, config.data, run))
    )
    rivals.open_films(options(tmp_path, "--label", "x"))
    assert seen == [(0, "phantom", tmp_path / "x" / "films")]


def test_finished_cells_stay_and_failed_ones_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = failing_processes(monkeypatch)
    arrays = tiny_arrays(4)
    monkeypatch.setattr(rivals, "open_films", lambda asked: SimpleNamespace(train=arrays, validation=arrays))
    asked = options(tmp_path, "--methods", "clip,pedclip")
    done = rivals.folder_of(asked, "clip", 0)
    done.mkdir(parents=True)
    (done / "cell.json").write_text(json.dumps({"config": rivals.configuration(asked, "clip", 0).to_dict()}))
    rivals.run_cells(asked)
    cells = [(command[command.index("--cell") + 1], command[command.index("--seeds") + 1]) for command in started]
    assert cells == [("pedclip", "0"), ("clip", "1"), ("pedclip", "1")]
    assert capsys.readouterr().out.count("FAILED") == 3
    (rivals.folder_of(asked, "pedclip", 0) / "log.txt").write_text("Traceback\nMemoryError: no room\n")
    assert rivals.failure(asked, "pedclip", 0) == "MemoryError: no room"
    assert rivals.failure(asked, "clip", 5) == ""
    with pytest.raises(SystemExit, match=r"was made with other options .* use another --label"):
        rivals.run_cells(options(tmp_path, "--methods", "clip", "--studies", "61"))


def test_stored_films_are_the_same(tmp_path: Path) -> None:
    arrays = dataclasses.replace(tiny_arrays(4), findings=[(), ("gap", "old fracture"), (), ("gap",)])
    rivals_cells.store_arrays(tmp_path / "x", arrays)
    found = rivals_cells.stored_arrays(tmp_path / "x")
    assert np.array_equal(found.images, arrays.images)
    assert np.array_equal(found.regions, arrays.regions)
    assert (found.texts, found.patients, found.digests) == (list(arrays.texts), list(arrays.patients), [])
    assert found.findings == list(arrays.findings)


@pytest.mark.parametrize(
    "name", ["clap", "pedclip+experts", "clip@fast", "clip@1e", "gloria:variant", "gloria:{varaint: code}"]
)
def test_a_wrong_method_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SystemExit, match="--methods: "):
        rivals.main(["--runs", str(tmp_path), "--methods", f"clip,{name}"])


def test_data_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"--data .*nowhere is no folder"):
        rivals.main(["--runs", str(tmp_path), "--data", str(tmp_path / "nowhere")])


def test_names_say_everything() -> None:
    options = rivals._parse(["--methods", "clip,prior@1e-4:{stages: [1, 1]},medclip+labels"])
    asked = [Method.parse(name) for name in options.methods]
    assert [(one.objective, one.plus, one.rate, one.options) for one in asked] == [
        ("clip", "", 0, {}),
        ("prior", "", 1e-4, {"stages": [1, 1]}),
        ("medclip", "+labels", 0, {}),
    ]
    assert Method.parse("gloria+experts@1e-4").plain == "gloria@1e-4"
    reads = {
        name: Method.parse(name).reads for name in ("clip", "clip+experts", "gloria+experts", "pedclip", "medclip")
    }
    labels = "region labels"
    assert reads == {
        "clip": "",
        "clip+experts": "",
        "gloria+experts": labels,
        "pedclip": labels,
        "medclip": "region and finding labels",
    }


def test_seeds_are_averaged_and_differences_are_of_the_mean() -> None:
    patients = 30
    rng = np.random.default_rng(0)
    values = {name: rng.random((2, patients)) for name in ("clip", "gloria", "gloria+experts")}
    cells = {
        name: [
            {"AUC": Measure(lambda counts, one=one: counts @ one / counts.sum(axis=1), (np.ones(patients, bool),))}
            for one in rows
        ]
        for name, rows in values.items()
    }
    joined = {name: rivals.joined_seeds(found) for name, found in cells.items()}
    entry = rivals.entry(joined, "gloria+experts", "AUC", patients, cells["gloria+experts"])
    assert entry["seeds"] == pytest.approx([row.mean() for row in values["gloria+experts"]])
    assert entry["score"]["value"] == pytest.approx(values["gloria+experts"].mean())
    for base in ("clip", "gloria"):
        apart = values["gloria+experts"].mean() - values[base].mean()
        assert entry[f"minus {base}"]["value"] == pytest.approx(apart)
    assert mean_of([cells["clip"][0]["AUC"]])(np.ones((1, patients)))[0] == pytest.approx(values["clip"][0].mean())


def test_a_cell_is_trained_and_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = options(tmp_path, "--methods", "clip", "--seeds", "1", "--cell", "clip")
    films = rivals.open_films(asked)
    for split, arrays in (("train", films.train), ("validation", films.validation)):
        rivals_cells.store_arrays(rivals_cells.cell_arrays(asked, split), arrays)
    rivals.run_cell(asked, "clip", 1)
    folder = rivals.folder_of(asked, "clip", 1)
    cell = json.loads((folder / "cell.json").read_text())
    assert (cell["method"], cell["seed"], cell["config"]["model"]["mobe_layers"]) == ("clip", 1, [])
    assert cell["peak_memory_gib"] > 0.1
    scorer = rivals.Scorer(films, asked)
    measures = scorer.measure(rivals.open_model(folder / "checkpoint"))
    everyone = np.ones((1, len(scorer.patients)))
    assert {"region accuracy", "Recall@5, image to text"} <= measures.keys()
    # By hand: the films whose own text is among the five nearest, of all.
    found = embed(rivals.open_model(folder / "checkpoint"), scorer.arrays["test"].images, scorer.arrays["test"].texts)
    hits = []
    for row, text in enumerate(scorer.arrays["test"].texts):
        order = np.argsort(-(found.text[scorer.first] @ found.image[row]), kind="stable")[:5]
        hits.append(text in [scorer.arrays["test"].texts[scorer.first[one]] for one in order])
    assert measures["Recall@5, image to text"](everyone)[0] == pytest.approx(np.mean(hits))
