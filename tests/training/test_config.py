"""Profiles, overrides and their errors."""

import json
from pathlib import Path

import pytest

from pedclip.training.__main__ import configure as configure_shell
from pedclip.training.__main__ import main, parse
from pedclip.training.config import RunConfig, TrainingConfig, load_config
from pedclip.training.profiles import configure, load_profile
from pedclip.weights import SHIPPED, shipped_folder


def test_stored_configuration_reads_back(tmp_path: Path) -> None:
    config = configure("demo", {"epochs": 3, "mobe_layers": [0, 1], "regions": ["hand"], "seed": 4})
    (tmp_path / "training.json").write_text(json.dumps(config.to_dict()))
    assert load_config(tmp_path / "training.json") == config
    assert (config.training.epochs, config.model.mobe_layers, config.training.seed) == (3, (0, 1), 4)


def test_random_weights_of_older_files_are_understood() -> None:
    values = load_profile("demo").to_dict()
    values["training"] |= {"image_weights": "", "text_weights": ""}
    assert RunConfig.from_dict(values).training.image_weights == "random"


def test_batch_is_shared_by_the_devices() -> None:
    assert TrainingConfig(batch_size=256, devices=2).local_batch_size == 128
    with pytest.raises(ValueError, match="batch_size=5 is not allowed: a multiple of 2"):
        TrainingConfig(batch_size=5, devices=2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 0}, "epochs=0 is not allowed: at least 1"),
        ({"learning_rate": float("nan")}, "learning_rate=nan is not allowed: above 0"),
        ({"teacher_epochs": 51}, r"teacher_epochs=51 is not allowed: -1, or in \[0, 50\]"),
        ({"schedule": "linear"}, "schedule='linear' is not allowed: one of"),
        ({"warmup_fraction": 1.0}, "warmup_fraction=1.0"),
        ({"objective": "glorias"}, r"objective='glorias' is not allowed: one of \('pedclip', 'clip', "),
        ({"batch_size": 1}, "batch_size=1 is not allowed: at least 2 per device"),
        ({"optimizer": "sgd"}, r"optimizer='sgd' is not allowed: one of \('adamw', 'adam'\)"),
        ({"beta1": 1.0}, r"beta1=1.0 is not allowed: in \[0, 1\)"),
    ],
)
def test_wrong_values_raise(changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TrainingConfig(**changes)


def test_a_stored_configuration_without_an_objective_means_pedclip(tmp_path: Path) -> None:
    content = json.loads((shipped_folder(SHIPPED[0]) / "training.json").read_text())
    del content["training"]["objective"]  # as written before objectives had names
    (tmp_path / "training.json").write_text(json.dumps(content))
    assert load_config(tmp_path / "training.json").training.objective == "pedclip"


def test_a_stored_configuration_of_before_there_was_a_choice_means_adamw() -> None:
    values = load_profile("demo").to_dict()
    del values["training"]["optimizer"], values["training"]["beta1"]
    assert RunConfig.from_dict(values) == load_profile("demo")


def test_unknown_names_are_corrected() -> None:
    with pytest.raises(ValueError, match="unknown setting 'epoch' of TrainingConfig; did you mean 'epochs'"):
        RunConfig.from_dict({"training": {"epoch": 3}})
    with pytest.raises(ValueError, match="unknown entry 'date'"):
        RunConfig.from_dict({"date": "x"})
    with pytest.raises(ValueError, match="profile='papr' is not allowed"):
        load_profile("papr")


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--set", "training.epochs=2", "--set", "model.mobe_layers=[0,2]", "--set", "training.schedule=constant"]
    config = configure_shell(parse([*options, "--data", "phantom"]))
    assert (config.training.epochs, config.model.mobe_layers, config.training.schedule) == (2, (0, 2), "constant")
    for arguments, words in (
        (["--set", "epochs=2"], "--set 'epochs=2' is not understood"),
        (["--set", "training.epochz=2"], "did you mean 'epochs'"),
        (["--config", str(tmp_path / "absent.json")], "absent.json"),
    ):
        assert main(arguments) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", ["{", "", "[1]", "7", '{"training": 3}', '{"training": {"epochs": ""}}', '{"x": 1}']
)
def test_a_broken_file_is_named(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "training.json").write_text(content)
    with pytest.raises(ValueError, match=r"training\.json"):
        load_config(tmp_path / "training.json")
    assert main(["--config", str(tmp_path / "training.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "values",
    [
        {"training": {"epochs": 2.5}},
        {"training": {"epochs": None}},
        {"training": {"batch_size": True}},
        {"training": {"learning_rate": "1e-4"}},
        {"training": {"augment": ["none"]}},
        {"training": {"mask_equal_texts": "yes"}},
        {"model": {"image_size": "224"}},
        {"model": []},
        {"studies": "600"},
        {"data": 7},
    ],
)
def test_values_of_a_wrong_type_are_the_documented_error(values: dict) -> None:
    with pytest.raises(ValueError, match=r"is not allowed|is an object"):
        RunConfig.from_dict(values)
