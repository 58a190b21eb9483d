"""The benchmarks that need a GPU or take long keep working at toy size."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.downstream import main as measure_downstream
from benchmarks.gpu_all import main
from benchmarks.shipped_weights import card
from pedclip.evaluation.downstream.run import MEAN
from pedclip.objectives.registry import names as objective_names
from pedclip.training.config import RunConfig, load_config
from pedclip.training.loop import build_model
from pedclip.training.preparation import prepare
from pedclip.training.resume import claim_run
from pedclip.weights import SHIPPED, shipped_folder
from tests.training.data_source import write_source
from tests.training.tiny import tiny_config


def test_gpu_script_at_toy_size(tmp_path: Path) -> None:
    weights = ["--weights", str(tmp_path / "run"), "--epochs", "1", "--studies", "150"]
    assert main(["--toy", "--rounds", "1", "--json", str(tmp_path / "report.json"), *weights]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert len(report["correctness"]) == 32 + len(objective_names())
    assert all(row["ok"] for row in report["correctness"])
    assert {row["variant"] for row in report["training_step"]} >= {"plain ViT", "literal Eq. 2", "ours, gate"}
    assert {row["objective"] for row in report["objectives"]} == set(objective_names())
    assert report["weights"]["films"]["train"] > 100
    assert (tmp_path / "run" / "checkpoint" / "model.safetensors").exists()


def claimed(run: Path, config: RunConfig) -> Path:
    """The checkpoint of a run that has claimed its patients; its weights are those of "random" with seed 0."""
    prepared = prepare(config, run)
    claim_run(run, config, prepared.train, prepared.validation, resume=False)
    return build_model(config, prepared.train).untrained(0).save_pretrained(run / "checkpoint")


def measured(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    cache = ["--cache", str(tmp_path / "cache"), "--json", str(tmp_path / "report.json")]
    measure_downstream([*arguments, *cache])
    written = (tmp_path / "report.json").read_text()
    assert str(tmp_path) not in written
    report: dict[str, Any] = json.loads(written)
    return report


def test_downstream_leaves_out_whom_an_encoder_knows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    patients = [f"p{number}" for number in range(24)]
    source = write_source(tmp_path / "hands", patients, splits=["train", "train", "val", "test"] * 6, films=3)
    known = write_source(tmp_path / "trained" / "hands", ["p3", *patients[:2], "p2"], splits=["train"] * 3 + ["val"])
    checkpoint = claimed(tmp_path / "run", dataclasses.replace(tiny_config(), data=str(known)))
    common = ["--data", str(source), "--encoder", f"tiny={checkpoint}", "--shares", "0.5,1", "--random-seeds", "1"]
    report = measured(tmp_path, *common, "--draws", "2")
    # p3 was in training and is no longer in the test; p2 was in validation, which takes nobody out of validation.
    assert {split: count["films"] for split, count in report["films"].items()} == {
        "train": 36, "validation": 18, "test": 15,
    }  # fmt: skip
    assert report["films_left_out_as_seen_in_pretraining"] == {"train": 0, "validation": 0, "test": 3}
    assert report["encoders"]["tiny"] | {"weights_sha256": ""} == {"data": "packs", "epochs": 3, "weights_sha256": ""}
    (region,) = report["tasks"]
    assert (region["task"], region["counts"]["test"]) == ("body region", {"films": 15, "patients": 5})
    assert set(region["methods"]) == {"tiny", "random", "thumbnail"}
    tiny = region["methods"]["tiny"]
    assert {share: one["draws"] for share, one in tiny["shares"].items()} == {"0.5": 2, "1": 1}
    right = sum(tiny["classes"][name] * count for name, count in region["test_positives"].items() if count)
    assert right / 15 == pytest.approx(tiny["shares"]["1"]["value"])
    # The difference of an encoder to itself.
    assert [tiny["minus_random"][name] for name in ("value", "low", "high")] == [0, 0, 0]
    assert tiny["shares"] == region["methods"]["random"]["shares"]
    assert "minus_random" not in region["methods"]["random"]
    assert "body region: accuracy; 36 training films, 15 test films of 5 patients" in capsys.readouterr().out
    (tmp_path / "run" / "patients.json").unlink()
    with pytest.raises(FileNotFoundError, match="Keep the checkpoint in the folder of its training run"):
        measured(tmp_path, *common)


def test_downstream_on_the_phantom_with_heads(tmp_path: Path) -> None:
    small = {"image_size": 32, "image_patch_size": 16}
    config = dataclasses.replace(tiny_config(small), data="phantom", studies=20, phantom_size=36)
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, seed=1))
    checkpoint = claimed(tmp_path / "run", config)
    sizes = "--studies 150 --shares 1 --random-seeds 2 --heads --head-images 24 --head-epochs 1".split()
    report = measured(tmp_path, "--data", "phantom", "--encoder", f"tiny={checkpoint}", *sizes)
    assert report["encoders"]["tiny"]["studies"] == 20
    assert report["films_left_out_as_seen_in_pretraining"] == {"train": 0, "validation": 0, "test": 0}
    tasks = {task["task"]: task for task in report["tasks"]}
    assert {task["metric"] for task in tasks.values()} >= {"accuracy", "MAE", "Dice", "mAP"}
    age = tasks["age under 18 (phantom)"]["methods"]
    assert set(age) == {"tiny", "random", "thumbnail", MEAN}
    assert age["random"]["shares"]["1"]["lowest"] < age["random"]["shares"]["1"]["highest"]  # two seeds
    assert age[MEAN]["shares"]["1"]["value"] == tasks["age under 18 (phantom)"]["without_image"]["value"]
    lungs = tasks["lungs (phantom)"]
    assert lungs["counts"]["train"]["films"] == 24  # but all test films
    assert tasks["bones (phantom)"]["counts"]["test"]["films"] > 24 // 3
    # The first of the random encoders is the named one here, and heads use that one alone.
    assert lungs["methods"]["tiny"]["minus_random"]["value"] == 0
    assert set(lungs["methods"]) == {"tiny", "random"}


def test_downstream_refuses_names_that_are_taken_and_shares_without_all_patients(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="with a name other than random"):
        measure_downstream(["--data", str(tmp_path), "--encoder", f"random={tmp_path}"])
    with pytest.raises(SystemExit, match=r"no model\.safetensors there"):
        measure_downstream(["--data", str(tmp_path), "--encoder", f"mine={tmp_path}"])
    shipped = "pedclip-phantom-small"
    with pytest.raises(SystemExit, match="two of them have one name"):
        measure_downstream(["--data", "phantom", "--encoder", f"a={shipped}", "--encoder", f"a={shipped}"])
    with pytest.raises(SystemExit):
        measure_downstream(["--data", "phantom", "--encoder", f"a={shipped}", "--shares", "0.1"])
    assert "the largest of them 1" in capsys.readouterr().err


def test_the_card_of_the_shipped_weights_is_what_their_files_make() -> None:
    folder = shipped_folder(SHIPPED[0])
    metrics = json.loads((folder / "metrics.json").read_text())
    made = card(
        load_config(folder / "training.json"),
        metrics["training"],
        metrics["evaluation"],
        revision=metrics["git_revision"],
    )
    assert (folder / "README.md").read_text() == made
