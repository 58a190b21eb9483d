"""The command that trains a generator."""

from pathlib import Path

import numpy as np
import pytest

from pedclip.synthesis.flow.checkpoint import open_generator
from pedclip.synthesis.flow.config import load_flow_profile
from pedclip.synthesis.train import configure, main, parse

TINY = [
    *("--set", "model.image_size=16", "--set", "model.channels=[16]", "--set", "model.patch=4"),
    *("--set", "training.steps=2", "--set", "training.warmup_steps=0", "--set", "training.batch_size=2"),
    *("--set", "training.device=cpu", "--set", "studies=4", "--set", "phantom_size=32", "--set", "sampling.steps=1"),
]


def test_settings_change_profiles() -> None:
    config = configure(
        parse(
            [
                *TINY,
                "--profile",
                "large",
                "--set",
                "name=mine",
                "--set",
                "sampling.solver=heun",
                "--set",
                "model.attention_levels=1",
            ]
        )
    )
    large = load_flow_profile("large")
    assert (config.name, config.model.channels, config.sampling.solver) == ("mine", (16,), "heun")
    assert config.training.learning_rate == large.training.learning_rate


def test_generic_is_another_generator_of_the_same_code() -> None:
    config, plain = (configure(parse(arguments)) for arguments in (["--generic"], []))
    assert (config.name, config.data, config.films) == ("flow-generic", "generic", 20_000)
    assert (config.model, config.training, config.text_encoder) == (plain.model, plain.training, plain.text_encoder)
    assert configure(parse(["--generic", "--set", "films=7"])).films == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "training.steps"], "write training.NAME=VALUE or NAME=VALUE"),
        (["--set", "training.=3"], "is not understood"),
        (["--set", "training.stepz=3"], "unknown setting 'stepz' of FlowTraining; did you mean 'steps'"),
        (["--set", "trainning.steps=3"], "unknown setting 'trainning'"),
        (["--set", "model=3"], "model=3 is not allowed: an object of names and values"),
        (["--config", "nowhere/flow.json"], "nowhere"),
        (["--data", "/nowhere/at/all"], "nowhere"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--output", str(tmp_path / "run")]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert message in printed


def test_a_run_from_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main([*TINY, "--output", str(run)]) == 0
    assert f"generator: {run / 'checkpoint'}" in capsys.readouterr().out
    generator = open_generator(run / "checkpoint")
    assert generator.generate(["Normal left wrist."], seeds=[1]).shape == (1, 16, 16)
    # Its own configuration starts the same run, which is done already.
    assert main(["--config", str(run / "flow.json"), "--output", str(tmp_path / "again")]) == 0
    again = open_generator(tmp_path / "again" / "checkpoint")
    assert again.weights_sha256 == generator.weights_sha256
    assert main([*TINY, "--set", "training.seed=5", "--output", str(run)]) == 2
    assert "holds another run" in capsys.readouterr().err


def test_generic_from_the_shell(tmp_path: Path) -> None:
    assert main([*TINY, "--generic", "--set", "films=6", "--output", str(tmp_path / "run")]) == 0
    generator = open_generator(tmp_path / "run" / "checkpoint")
    assert generator.name == "flow-generic"
    assert np.ptp(generator.generate(["Fracture of the left wrist."], seeds=[3])) > 0
