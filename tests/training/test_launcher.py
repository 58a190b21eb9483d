"""Two processes on the CPU from a shell; what a notebook starts; wrong arguments."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pedclip.models.pedclip import PedCLIP
from pedclip.training.__main__ import configure, main, parse
from pedclip.training.config import load_config
from pedclip.training.launcher import launch
from pedclip.training.loop import build_model
from pedclip.training.preparation import PreparedData
from tests.training.data_source import write_source
from tests.training.tiny import tiny_arrays, tiny_config

SETTINGS = {
    "model": {
        "image_size": 16,
        "image_patch_size": 8,
        "image_width": 32,
        "image_depth": 2,
        "image_heads": 2,
        "text_width": 32,
        "text_depth": 1,
        "text_heads": 2,
        "vocab_size": 120,
        "max_text_tokens": 16,
        "mobe_layers": [0, 1],
    },
    "training": {"epochs": 1, "batch_size": 8, "devices": 2, "accelerator": "cpu", "schedule": "constant"},
}


def set_arguments() -> list[str]:
    pairs = [f"{section}.{name}={value}" for section, values in SETTINGS.items() for name, value in values.items()]
    return [argument for pair in pairs for argument in ("--set", pair)]


def test_two_processes_write_a_checkpoint(tmp_path: Path) -> None:
    splits = ["train"] * 16 + ["dev"] * 4
    source = write_source(tmp_path / "source", [f"p{number}" for number in range(20)], splits=splits)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    arguments = ["--data", str(source), "--output", str(tmp_path / "run"), *set_arguments()]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*torchrun, "-m", "pedclip.training", *arguments], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count(f"checkpoint: {tmp_path / 'run' / 'checkpoint'}") == 1  # rank 0 speaks for both
    assert done.stderr.count("triplets: train 16, validation 4") == 1

    config = load_config(tmp_path / "run" / "training.json")
    assert (config.training.devices, config.model.mobe_layers, config.data) == (2, (0, 1), str(source))
    assert torch.load(tmp_path / "run/resume/last.ckpt", weights_only=True)["global_step"] == 2  # 16 films by 8
    model = PedCLIP.from_pretrained(tmp_path / "run" / "checkpoint")
    with torch.no_grad():
        image = model.encode_image(torch.zeros(2, 3, 16, 16)).embedding
    torch.testing.assert_close(image.norm(dim=-1), torch.ones(2))


def prepared() -> PreparedData:
    return PreparedData({}, (), tiny_arrays(16), tiny_arrays(4))


def test_one_device_trains_in_this_process_with_all_that_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr("pedclip.training.launcher.pretrain", lambda *given, **named: calls.append((given, named)))
    data, config = prepared(), tiny_config()
    launch(data, config, tmp_path, resume=False, card="A card.\n")
    expected = {"config": config, "run": tmp_path, "resume": False, "card": "A card.\n"}
    assert calls == [((data.train, data.validation), expected)]


def test_several_devices_become_one_torchrun_with_the_same_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, commands, asked = tiny_config(devices=2, accelerator="cpu"), [], []
    model = build_model(config, tiny_arrays(16))

    def train(command: list[str], **options: Any) -> None:
        commands.append((command, options))
        asked.append(configure(parse(command[7:])))
        model.save_pretrained(tmp_path / "checkpoint")

    monkeypatch.setattr(subprocess, "run", train)
    result = launch(prepared(), config, tmp_path, resume=False, card="A card.\n")
    ((command, options),) = commands
    assert command[:5] == [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    assert command[5:7] == ["-m", "pedclip.training"]
    assert asked == [config]
    assert parse(command[7:]).output == tmp_path
    assert parse(command[7:]).no_resume
    assert options == {"check": True}
    assert (result.checkpoint / "README.md").read_text() == "A card.\n"
    torch.testing.assert_close(result.model.state_dict(), model.state_dict(), rtol=0, atol=0)
    assert result.resumed_from == 0


def test_several_machines_cannot_be_started_from_here(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"num_nodes above 1 starts from a shell on every machine: torchrun"):
        launch(prepared(), tiny_config(num_nodes=2), tmp_path)


def test_settings_of_the_shell(tmp_path: Path) -> None:
    config = configure(parse(["--data", "films", *set_arguments()]))
    values = json.loads(json.dumps(config.to_dict()))
    for section, expected in SETTINGS.items():
        assert {name: values[section][name] for name in expected} == expected
    assert config.data == "films"
    stored = dataclasses.replace(config, data="stored")
    (tmp_path / "training.json").write_text(json.dumps(stored.to_dict()))
    assert configure(parse(["--config", str(tmp_path / "training.json")])) == stored
    # As an unset variable of a script makes it: it must not become the demo profile.
    with pytest.raises((OSError, ValueError)):
        configure(parse(["--config", ""]))


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("epochs=2", "write training.NAME=VALUE or model.NAME=VALUE"),
        ("training.epochs", "write training.NAME=VALUE or model.NAME=VALUE"),
        ("data.studies=2", "write training.NAME=VALUE or model.NAME=VALUE"),
        ("training.epoch=2", "did you mean 'epochs'"),
        ("training.epochs=0", "epochs=0 is not allowed: at least 1"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(argument: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--set", argument]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert words in error
    assert error.count("\n") == 1


def test_a_process_of_a_later_rank_that_is_alone_waits_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise ValueError("the data are read")

    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr("pedclip.training.__main__.prepare", stop)
    assert main(["--output", str(tmp_path)]) == 2
    assert "error: the data are read" in capsys.readouterr().err
