"""A second training begins with the weights, tokenizer and heads of the first, and with nothing else."""

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pedclip.objectives.trained import open_model
from pedclip.training.loop import pretrain
from pedclip.training.module import PretrainModule
from tests.training.tiny import tiny_arrays, tiny_config

TRAIN, VALIDATION = tiny_arrays(24), tiny_arrays(9, 1)
STILL = {"learning_rate": 1e-30, "weight_decay": 0.0}  # a training that changes nothing


def run(folder: Path, *, start: Path | None = None, films=TRAIN, **training: object) -> Path:
    model = training.pop("model", None)
    config = tiny_config(model, **({"epochs": 1} | training))
    return pretrain(films, VALIDATION, config=config, run=folder, start=start).checkpoint


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("first") / "run", learning_rate=3e-3)


def same(one: Path, other: Path, name: str = "model.safetensors") -> bool:
    found, expected = load_file(one / name), load_file(other / name)
    return found.keys() == expected.keys() and all(torch.allclose(found[key], expected[key]) for key in found)


def test_it_begins_with_the_weights_of_the_first(first: Path, tmp_path: Path) -> None:
    # Other words in another order: a tokenizer of its own would have other numbers for them.
    films = dataclasses.replace(TRAIN, texts=[f"{text} Second reading." for text in TRAIN.texts])
    second = run(tmp_path / "second", start=first, films=films, seed=5, **STILL)
    assert same(first, second)
    assert open_model(second).tokenizer.get_vocab() == open_model(first).tokenizer.get_vocab()
    assert not same(first, run(tmp_path / "alone", seed=5, **STILL))


def test_heads_of_a_rival_go_on_too(tmp_path: Path) -> None:
    rival = {"objective": "gloria", "model": {"mobe_layers": ()}}
    first = run(tmp_path / "first", **rival)
    second = run(tmp_path / "second", start=first, **rival, **STILL)
    assert same(first, second, "heads.safetensors")
    assert not same(first, run(tmp_path / "trained", start=first, **rival, learning_rate=3e-3), "heads.safetensors")


def test_a_stopped_second_stage_goes_on_where_it_was(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(tmp_path / "whole", start=first, epochs=2, checkpoint_every=1)
    step = PretrainModule.training_step

    def stops(module: PretrainModule, batch, batch_idx: int) -> torch.Tensor:
        if module.trainer.global_step == 4:
            raise InterruptedError
        return step(module, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(PretrainModule, "training_step", stops)
        with pytest.raises(InterruptedError):
            run(tmp_path / "stopped", start=first, epochs=2, checkpoint_every=1)
    stopped = run(tmp_path / "stopped", start=first, epochs=2, checkpoint_every=1)
    assert (stopped / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    # The same folder with another beginning is another run.
    with pytest.raises(ValueError, match=r"holds another run .start was"):
        run(tmp_path / "whole", epochs=2, checkpoint_every=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "convirt", "model": {"mobe_layers": ()}}, "another model"),
        ({"objective": "clip"}, "another objective"),
        ({"films": tiny_arrays(20)}, "has seen 4 patients that are not among these films"),
    ],
)
def test_a_start_of_another_kind_is_refused(first: Path, tmp_path: Path, changes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(tmp_path / "second", start=first, **changes)
    assert not (tmp_path / "second").exists()


def test_a_start_without_its_run_is_refused(first: Path, tmp_path: Path) -> None:
    shutil.copytree(first, tmp_path / "moved" / "checkpoint")
    with pytest.raises(FileNotFoundError, match=r"lacks training\.json or patients\.json"):
        run(tmp_path / "second", start=tmp_path / "moved" / "checkpoint")
    with pytest.raises(FileNotFoundError, match="not a PedCLIP checkpoint"):
        run(tmp_path / "second", start=tmp_path / "nothing")
