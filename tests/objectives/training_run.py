"""A tiny training of an objective, once in one go and once interrupted."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from pedclip.objectives.trained import ObjectiveModel, open_model
from pedclip.training.loop import PretrainResult, pretrain
from pedclip.training.module import PretrainModule
from tests.training.tiny import tiny_arrays, tiny_config

EPOCHS = 6  # of 3 batches


class _Interrupted(Exception):
    pass


def train(run: Path, name: str, *, mobe_layers: tuple[int, ...], **options: object) -> PretrainResult:
    """A run of a few epochs."""
    config = tiny_config(
        {"mobe_layers": mobe_layers},
        objective=name,
        objective_options=options,
        epochs=EPOCHS,
        learning_rate=3e-3,
        lambda_end=1.0,  # of experts; a weight that falls would let any loss fall
    )
    return pretrain(tiny_arrays(27), tiny_arrays(9, 1), config=config, run=run)


def epoch_losses(result: PretrainResult) -> list[float]:
    """The mean loss of every epoch."""
    losses = [row["train/loss"] for row in result.history if "train/loss" in row]
    size = len(losses) // EPOCHS
    return [sum(losses[start : start + size]) / size for start in range(0, len(losses), size)]


def opened(run: Path) -> ObjectiveModel:
    """The exported model with its heads."""
    model = open_model(run / "checkpoint")
    assert isinstance(model, ObjectiveModel)
    return model


def check_equal_runs(first: Path, second: Path) -> None:
    """All that both runs would go on from is the same, heads included."""
    states = [torch.load(run / "resume" / "last.ckpt", weights_only=True)["state_dict"] for run in (first, second)]
    assert any(name.startswith("objective.") for name in states[0])
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def check_equal_scores(first: ObjectiveModel, second: ObjectiveModel) -> None:
    """Both score films and texts alike, and each score depends on its film and its text alone."""
    pixels = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    texts = ["Film 1 of the chest.", "Film", "...", "Film 2 of the pelvis. Film 3."]
    with torch.no_grad():
        scores = second.pair_scores(pixels, texts)
        assert torch.equal(first.pair_scores(pixels, texts), scores)
        for film in range(3):
            alone = [second.pair_scores(pixels[film : film + 1], [text])[0, 0] for text in texts]
            torch.testing.assert_close(torch.stack(alone), scores[film], rtol=1e-4, atol=1e-5)


def interrupt(monkeypatch: pytest.MonkeyPatch, run: Path, name: str, **options: object) -> None:
    """Train as ``train`` does, and be stopped in the fifth batch."""
    original, count = PretrainModule.training_step, 0

    def step(self: PretrainModule, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        nonlocal count
        count += 1
        if count == 5:
            raise _Interrupted
        return original(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(PretrainModule, "training_step", step)
        with pytest.raises(_Interrupted):
            train(run, name, **options)
