"""Trainings of arms: passes of each stage, the second from the first, and equal steps."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pedclip.synthesis.experiment import ARMS, arm_config, train_arm
from pedclip.synthesis.experiment.arms import Arm, Stage
from pedclip.synthesis.experiment.train import stage_config
from pedclip.training.config import load_config
from pedclip.training.loop import pretrain
from tests.training.tiny import tiny_arrays, tiny_config

FILMS = {"real": tiny_arrays(24), "domain": tiny_arrays(24, 5)}
VALIDATION = tiny_arrays(6, 1)


def test_the_second_stage_begins_where_the_first_ended(tmp_path: Path) -> None:
    config = tiny_config(epochs=2)
    run = train_arm(ARMS["then-real"], FILMS, VALIDATION, config=config, run=tmp_path / "arm")
    assert (run.steps, run.films, len(run.losses)) == ((3, 3), (24, 24), 6)
    # By hand: two runs of one pass each.
    half = tiny_config(epochs=1)
    first = pretrain(FILMS["domain"], VALIDATION, config=half, run=tmp_path / "first").checkpoint
    second = pretrain(FILMS["real"], VALIDATION, config=half, run=tmp_path / "second", start=first).checkpoint
    found, expected = (load_file(one / "model.safetensors") for one in (run.checkpoint, second))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_an_arm_of_one_stage_is_a_plain_training_and_is_not_repeated(tmp_path: Path) -> None:
    config = tiny_config(epochs=2)
    run = train_arm(ARMS["real"], FILMS, VALIDATION, config=config, run=tmp_path / "arm")
    assert run.steps == (6,)
    assert load_config(tmp_path / "arm" / "training.json") == config
    before = (run.checkpoint / "model.safetensors").stat().st_mtime_ns
    again = train_arm(ARMS["real"], FILMS, VALIDATION, config=config, run=tmp_path / "arm")
    assert (again.checkpoint / "model.safetensors").stat().st_mtime_ns == before
    assert again.losses == run.losses


def test_a_share_of_the_passes_must_be_whole() -> None:
    assert stage_config(tiny_config(epochs=4), Stage("real", 0.5)).training.epochs == 2
    with pytest.raises(ValueError, match=r"0\.5 of 3 passes is no whole number"):
        stage_config(tiny_config(epochs=3), Stage("real", 0.5))
    with pytest.raises(KeyError, match="mixed"):
        train_arm(Arm("x", "", (Stage("mixed"),)), FILMS, VALIDATION, config=tiny_config(epochs=2), run=Path("unused"))


def test_configurations_differ_in_the_method_alone() -> None:
    rival, ours = (arm_config("demo", method, epochs=6, seed=3) for method in ("gloria", "pedclip"))
    assert (rival.training.objective, rival.training.epochs, rival.training.seed) == ("gloria", 6, 3)
    assert rival.model.mobe_layers == ()
    assert ours.model.mobe_layers != ()
    assert (rival.training.learning_rate, rival.studies) == (ours.training.learning_rate, ours.studies)
    with pytest.raises(ValueError, match="epochs=5 is not allowed: an even number"):
        arm_config("demo", "gloria", epochs=5, seed=0)
