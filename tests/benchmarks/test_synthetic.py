"""Cells of the experiment on drawn films: finished ones stay, failed ones keep their error, scores survive the disk."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import DatasetDict

from benchmarks import synthetic_cells, synthetic_vlp
from benchmarks.synthetic_results import load_scores, save_scores
from pedclip.evaluation.metrics.classification import macro_auc
from pedclip.evaluation.metrics.detection import Boxes, mean_average_precision
from pedclip.evaluation.metrics.interval import Interval
from pedclip.evaluation.metrics.per_image import accuracy, dice
from pedclip.evaluation.result import Predictions, Result
from pedclip.triplets.storage import TripletsError, make_split, save_triplets
from tests.benchmarks.failing_processes import failing_processes
from tests.triplets.triplet_rows import triplet


def options(tmp_path: Path, *more: str) -> Any:
    small = ["--studies", "60", "--epochs", "2", "--seeds", "0,1", "--methods", "convirt", "--runs", str(tmp_path)]
    return synthetic_vlp._parse([*small, "--arms", "real,shuffled", "--baselines", "untrained", *more])


def copied(asked: Any, **changes: Any) -> None:
    """A head of a copy of the domain generator."""
    folder = synthetic_cells.copy_folder(asked, "domain")
    folder.mkdir(parents=True, exist_ok=True)
    head = {"generator": {"kind": "noise"}, "options": {"seed": 0}, "reports": "1", "versions": {}} | changes
    (folder / "synthetic.json").write_text(json.dumps(head))


def finish(asked: Any, cell: tuple[str, str, int]) -> None:
    folder = synthetic_cells.folder_of(asked, cell)
    folder.mkdir(parents=True)
    (folder / "cell.json").write_text(json.dumps({"identity": synthetic_cells.identity(asked, cell)}))


def test_cells_are_every_arm_and_baseline_of_every_method_and_seed(tmp_path: Path) -> None:
    asked = options(tmp_path, "--methods", "convirt,pedclip", "--baselines", "thumbnail,untrained")
    cells = synthetic_vlp.cells_of(asked)
    assert cells[:4] == [
        ("thumbnail", "", 0),
        ("untrained", "convirt", 0),
        ("real", "convirt", 0),
        ("shuffled", "convirt", 0),
    ]
    assert len(cells) == len(set(cells)) == 1 + 2 * 2 * 3


def test_finished_cells_stay_and_failed_ones_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = failing_processes(monkeypatch)
    asked = options(tmp_path)
    copied(asked)
    finish(asked, ("shuffled", "convirt", 0))
    synthetic_vlp.run_cells(asked)
    parsed = [synthetic_vlp._parse(command[3:]) for command in started]
    assert [(one.cell, one.methods, one.seeds) for one in parsed] == [
        ("untrained", ["convirt"], [0]),
        ("real", ["convirt"], [0]),
        ("untrained", ["convirt"], [1]),
        ("real", ["convirt"], [1]),
        ("shuffled", ["convirt"], [1]),
    ]
    # A cell knows all that decides it.
    cell = ("real", "convirt", 1)
    assert synthetic_cells.identity(parsed[3], cell) == synthetic_cells.identity(asked, cell)
    assert capsys.readouterr().out.count("FAILED") == 5


@pytest.mark.parametrize(
    ("more", "differs"),
    [(["--epochs", "4"], "config"), (["--subsamples", "2"], "downstream"), ([], "copies")],
)
def test_a_cell_of_other_options_is_refused(tmp_path: Path, more: list[str], differs: str) -> None:
    asked = options(tmp_path)
    copied(asked)
    finish(asked, ("shuffled", "convirt", 0))
    # Versions of whoever drew the films decide nothing; the films do.
    copied(asked, versions={"torch": "9"}, reports="1" if more else "2")
    with pytest.raises(SystemExit, match=rf"was made with other options \({differs}\); use another --label"):
        synthetic_vlp.run_cells(options(tmp_path, *more))


def test_an_error_is_kept_and_gone_after_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, cell = options(tmp_path), ("real", "convirt", 0)
    folder = synthetic_cells.folder_of(asked, cell)
    with pytest.raises(TripletsError):
        synthetic_cells.run_cell(asked, cell)  # no films were prepared
    assert "triplets" in synthetic_cells.failure(asked, cell)
    monkeypatch.setattr(synthetic_cells, "_run_cell", lambda *_: None)
    synthetic_cells.run_cell(asked, cell)
    assert synthetic_cells.failure(asked, cell) == ""
    assert not (folder / "error.txt").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--methods", "clap"], "error: "),
        (["--epochs", "3"], "an even number"),
        (["--fractions", "0,1"], "each in"),
    ],
)
def test_wrong_options_are_one_line(tmp_path: Path, more: list[str], words: str) -> None:
    with pytest.raises(SystemExit, match=words):
        synthetic_vlp.main(["--runs", str(tmp_path), *more])


@pytest.mark.parametrize(
    "more",
    [
        ["--arms", "reel"],
        ["--baselines", "chance"],
        ["--label", "../x"],
        ["--label", ".."],
        ["--parallel", "0"],
        ["--threads", "0"],
        ["--seeds", "abc"],
    ],
)
def test_wrong_names_and_numbers_are_refused(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        synthetic_vlp._parse(more)
    assert repr(more[1]) in capsys.readouterr().err


def test_a_cell_that_is_named_twice_is_one() -> None:
    asked = synthetic_vlp._parse(["--seeds", "0,0", "--arms", "real,real", "--methods", "clip,clip"])
    assert (asked.seeds, asked.arms, asked.methods) == ([0], ["real"], ["clip"])


def boxes(rng: np.random.Generator, *, scored: bool) -> list[Boxes]:
    found = []
    for count in (2, 0, 1):
        corner = rng.uniform(0, 0.5, (count, 2))
        corners = np.concatenate([corner, corner + 0.3], axis=1)
        found.append(Boxes(corners, np.arange(count), rng.random(count) if scored else None))
    return found


def test_scores_survive_the_disk(tmp_path: Path) -> None:
    rng, patients = np.random.default_rng(0), np.array(["a", "b", "b"])
    labels = np.array([[1.0, 0], [0, 1], [np.nan, 0]])
    known = {
        ("findings", 0.1): Predictions(macro_auc, labels, rng.normal(size=(3, 2)), patients),
        ("classes", 1.0): Predictions(accuracy, np.array([1, 2, 3]), np.array([1, 2, 2]), patients),
        ("retrieval", 0.0): Predictions(accuracy, np.array([1, 1, 1]), np.array([1, 0, 1]), patients),
        ("segmentation", 1.0): Predictions(dice, rng.random((3, 5, 7)) > 0.5, rng.random((3, 5, 7)) > 0.5, patients),
        ("detection", 1.0): Predictions(
            mean_average_precision, boxes(rng, scored=False), boxes(rng, scored=True), patients
        ),
    }
    names = {"findings": "AUC", "classes": "accuracy", "retrieval": "Recall@5"}
    names |= {"segmentation": "Dice", "detection": "mAP"}
    scores = {
        key: [
            Result(
                task=f"task of {key[0]}",
                method="real",
                metric=names[key[0]],
                score=Interval(one.metric(one.truth, one.output), 0.0, 1.0, 3, 2),
                baseline=0.5,
                baseline_name="chance",
                predictions=one,
            )
        ]
        for key, one in known.items()
    }
    save_scores(tmp_path, scores)
    found = load_scores(tmp_path)
    assert found.keys() == scores.keys()
    counts = np.array([[1.0, 1, 1], [2, 0, 1], [0, 3, 3]])
    for key, (result,) in found.items():
        loaded, original = result.require_predictions(), known[key]
        assert loaded.patients.tolist() == patients.tolist()
        assert result.score.value == pytest.approx(scores[key][0].score.value)
        resampled = [one.metric.resampler(one.truth, one.output)(counts) for one in (loaded, original)]
        assert np.array_equal(*resampled, equal_nan=True), key


def hits(method: str, right: list[int]) -> Any:
    """A retrieval whose films of six patients are right or wrong."""
    patients = np.array([f"made/p{row}" for row in range(len(right))])
    known = Predictions(accuracy, np.ones(len(right), int), np.array(right), patients)
    value = Interval(float(np.mean(right)), 0.0, 1.0, len(right), len(right))
    result = Result(
        task="film to text",
        method=method,
        metric="Recall@5",
        score=value,
        baseline=0.5,
        baseline_name="random",
        predictions=known,
    )
    return {("retrieval", 0.0): [result]}


def test_the_report_compares_with_real_and_with_shuffled_films(tmp_path: Path) -> None:
    asked = options(tmp_path, "--baselines", "thumbnail", "--num-resamples", "50")
    copied(asked, num_films=1, num_cut=0, num_left_out=0)
    test = [triplet(row, patient_id=f"p{row}", source="made") for row in range(6)]
    parts = {"train": [triplet(7)], "validation": [triplet(8)], "test": test}
    found = DatasetDict({split: make_split(rows) for split, rows in parts.items()})
    save_triplets(found, synthetic_cells.films_folder(asked) / "triplets")
    scored = {("thumbnail", "", 0): [0, 0, 0, 0, 0, 1]}
    scored |= {("real", "convirt", seed): [1, 1, 1, 1, 1, 0] for seed in (0, 1)}
    # One of two shuffled cells is missing.
    scored |= {("shuffled", "convirt", 0): [0, 0, 0, 0, 1, 1]}
    for cell, right in scored.items():
        finish(asked, cell)
        save_scores(synthetic_cells.folder_of(asked, cell), hits(cell[0], right))
    report = synthetic_vlp.summarize(asked)
    rows = {row["arm"]: row for row in report["rows"]}
    assert set(report["not_done"]) == {"shuffled-convirt-1"}
    assert {name: row["seeds"] for name, row in rows.items()} == {"thumbnail": 2, "real": 2, "shuffled": 1}
    assert rows["real"]["difference"] is None
    # The thumbnail, of no method and seed, stands beside every training.
    assert rows["thumbnail"]["difference"] == pytest.approx(1 / 6 - 5 / 6)
    over = {row["arm"]: row["difference"] for row in report["over_shuffled"]}
    assert (over["real"], over["shuffled"]) == (pytest.approx(5 / 6 - 2 / 6), None)
    text = synthetic_vlp.table(report["rows"], report["not_done"])
    assert "not done: shuffled-convirt-1 (not started)" in text


def test_the_perfect_arm_is_left_out_where_nobody_knows_the_reports() -> None:
    assert "perfect" in synthetic_vlp._parse([]).arms
    assert "perfect" not in synthetic_vlp._parse(["--data", "/films"]).arms
    assert "perfect" in synthetic_vlp._parse(["--data", "/films", "--perfect", "/generator"]).arms


@pytest.mark.parametrize("name", ["start", "untrained"])
def test_an_encoder_without_training_is_scored(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = options(tmp_path, "--image-size", "32", "--arms", "real", "--head-subsamples", "0", "--subsamples", "1")
    synthetic_cells.prepare(asked, synthetic_vlp._arms(asked))
    scored: list[Any] = []

    class Scorer:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def score(self, model: Any, method: str) -> Any:
            scored.append(model.state_dict())
            return hits(method, [1, 0])

    monkeypatch.setattr(synthetic_cells, "DownstreamScorer", Scorer)
    for seed in (0, 1):
        synthetic_cells.run_cell(asked, (name, "convirt", seed))
        assert synthetic_cells.finished(asked, (name, "convirt", seed)) is not None
    # The stages of ImageNet are the same for all seeds of a start, and nothing is of random weights.
    stem = [key for key in scored[0] if "backbone" in key and key.endswith("weight") and scored[0][key].ndim == 4]
    assert stem
    assert all(bool((scored[0][key] == scored[1][key]).all()) == (name == "start") for key in stem)
