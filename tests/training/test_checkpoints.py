"""Numbers that are not finite stop a run before they are stored; an export is that of the state beside it."""

import shutil
from pathlib import Path

import lightning as L
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pedclip.models.pedclip import PedCLIP
from pedclip.training import __main__ as shell
from pedclip.training import checkpoints
from pedclip.training.checkpoints import NotFiniteError
from pedclip.training.loop import PretrainResult, pretrain
from pedclip.training.module import PretrainModule
from pedclip.training.state import read_state
from tests.training.data_source import write_source
from tests.training.test_launcher import SETTINGS
from tests.training.tiny import tiny_arrays, tiny_config


def run(folder: Path, **training: object) -> PretrainResult:
    config = tiny_config(**{"epochs": 2, "checkpoint_every": 1} | training)
    return pretrain(tiny_arrays(27), tiny_arrays(9, 1), config=config, run=folder)


def spoil(monkeypatch: pytest.MonkeyPatch, number: int, value: float) -> list[list[int]]:
    """Make the loss of the ``number``-th batch ``value``; returns the rows of all batches."""
    original, rows = PretrainModule.training_step, []

    def step(self: PretrainModule, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        loss = original(self, batch, batch_idx)
        rows.append(batch["rows"].tolist())
        return loss * value if len(rows) == number else loss

    monkeypatch.setattr(PretrainModule, "training_step", step)
    return rows


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    with monkeypatch.context() as patch:
        rows = spoil(patch, 3, value)
        with pytest.raises(NotFiniteError) as caught:
            run(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"step 3, epoch 1: the loss is {value} for the films in rows {rows[2]} of the training")
    assert f"the last good checkpoint: {tmp_path / 'resume' / 'last.ckpt'} (step 2)" in message
    assert not (tmp_path / "checkpoint").exists()
    assert read_state(tmp_path / "resume", repair=False)["global_step"] == 2
    # With the films mended, it goes on from there.
    assert run(tmp_path).resumed_from == 2


def test_the_first_of_several_batches_of_a_step_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = spoil(monkeypatch, 3, torch.nan)
    with pytest.raises(NotFiniteError) as caught:
        run(tmp_path, batch_size=4, accumulate=2)
    assert f"rows {rows[2]} of" in str(caught.value)


def test_a_weight_that_is_not_finite_is_neither_stored_nor_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil_gradient(self: PretrainModule, optimizer: object) -> None:
        next(self.model.parameters()).grad.fill_(torch.nan)

    monkeypatch.setattr(PretrainModule, "on_before_optimizer_step", spoil_gradient)
    with pytest.raises(NotFiniteError, match=r"holds NaN or infinite values.*last good checkpoint: none"):
        run(tmp_path)
    assert read_state(tmp_path / "resume", repair=False) is None
    assert not (tmp_path / "checkpoint").exists()
    # At the end of an epoch the export would come before the state.
    with pytest.raises(NotFiniteError):
        pretrain(tiny_arrays(8), tiny_arrays(0), config=tiny_config(epochs=1), run=tmp_path / "one")
    assert not (tmp_path / "one" / "checkpoint").exists()


def test_the_shell_says_it_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(monkeypatch, 1, torch.nan)
    source = write_source(tmp_path / "source", [f"p{number}" for number in range(16)], splits=["train"] * 16)
    changes = SETTINGS["training"] | {"devices": 1}
    pairs = [f"model.{name}={value}" for name, value in SETTINGS["model"].items()]
    pairs += [f"training.{name}={value}" for name, value in changes.items()]
    arguments = [word for pair in pairs for word in ("--set", pair)]
    assert shell.main(["--data", str(source), "--output", str(tmp_path / "run"), *arguments]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert "step 1, epoch 1: the loss is nan" in line


def test_an_export_that_is_gone_or_of_an_earlier_epoch_is_written_again(tmp_path: Path) -> None:
    finished = run(tmp_path)
    weights = finished.checkpoint / "model.safetensors"
    expected = weights.read_bytes()
    for change in (
        lambda: shutil.rmtree(finished.checkpoint),
        lambda: finished.model.untrained(3).save_pretrained(finished.checkpoint),
        lambda: weights.write_bytes(expected[:1000]),
    ):
        change()
        again = run(tmp_path)
        assert again.resumed_from == 6
        assert weights.read_bytes() == expected
        assert torch.equal(next(again.model.parameters()), next(finished.model.parameters()))
    PedCLIP.from_pretrained(finished.checkpoint)


def test_an_export_with_other_heads_is_written_again(tmp_path: Path) -> None:
    finished = run(tmp_path, objective="gloria", epochs=1)
    heads = finished.checkpoint / "heads.safetensors"
    expected = heads.read_bytes()
    tensors = load_file(heads)
    for change in (
        lambda: save_file(tensors | {"local_head.weight": -tensors["local_head.weight"]}, heads),
        lambda: save_file({"global_head.bias": tensors["global_head.bias"]}, heads),
        lambda: heads.unlink(),
    ):
        change()
        assert run(tmp_path, objective="gloria", epochs=1).resumed_from == 3
        assert heads.read_bytes() == expected


def test_a_damaged_state_costs_a_step_and_changes_nothing(tmp_path: Path) -> None:
    straight = run(tmp_path / "straight")
    run(tmp_path / "damaged")
    last = tmp_path / "damaged" / "resume" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-1])
    again = run(tmp_path / "damaged")
    assert again.resumed_from == 5
    for first, second in zip(straight.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize(("batch", "is_inside"), [(0, False), (1, True)])
def test_a_run_goes_on_inside_an_epoch_or_begins_the_next_one(batch: int, is_inside: bool) -> None:
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    checkpoints._set_counters(trainer, 2, batch, batches=6 + batch, steps=6 + batch)
    # At the end of an epoch Lightning would look for what is left of it.
    assert trainer.fit_loop.restarting is is_inside
    assert (trainer.current_epoch, trainer.global_step) == (2, 6 + batch)
    assert trainer.fit_loop.epoch_progress.current.started == 2 + is_inside
