"""Tiny trainings of an objective: opened again, and interrupted."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pedclip.objectives.tokens import Tokens
from pedclip.objectives.trained import ObjectiveModel, open_model
from pedclip.training.loop import PretrainResult, pretrain
from pedclip.training.module import PretrainModule
from tests.training.tiny import tiny_arrays, tiny_config


def tiny_run(
    folder: Path, name: str, layers: tuple[int, ...], *, second: tuple[str, ...] = (), **training: object
) -> PretrainResult:
    """24 films in batches of 8: 3 steps an epoch, the state saved after every step.

    Args:
        folder: Of the run.
        name: Of the objective.
        layers: With experts, whose loss keeps its weight: one that falls would let any loss fall.
        second: Sentences that follow the first one of a report in turn; () leaves it alone.
        **training: Settings.
    """
    options = {
        "learning_rate": 1e-3,
        "schedule": "constant",
        "seed": 1,
        "checkpoint_every": 1,
        "lambda_end": 1.0,
    } | training
    config = tiny_config({"mobe_layers": layers}, objective=name, **options | training)
    films = tiny_arrays(24)
    if second:
        films = replace(films, texts=[f"{text} {second[row % len(second)]}" for row, text in enumerate(films.texts)])
    return pretrain(films, tiny_arrays(9, 1), config=config, run=folder)


def opened_like(result: PretrainResult, folder: Path, layers: tuple[int, ...]) -> ObjectiveModel:
    """The checkpoint, whose heads are those of the last step and whose scores are those of its parts."""
    opened = open_model(result.checkpoint)
    assert isinstance(opened, ObjectiveModel)
    stored = torch.load(folder / "resume" / "last.ckpt", weights_only=True)["state_dict"]
    prefix = "objective.inner." if layers else "objective."
    heads = {key.removeprefix(prefix): value for key, value in stored.items() if key.startswith(prefix)}
    assert heads.keys() == opened.objective.state_dict().keys()
    assert all(torch.equal(value, heads[key]) for key, value in opened.objective.state_dict().items())
    pixels, texts = torch.randn(3, 3, 16, 16), ["Film 1 of the chest. It is old.", "Film."]
    with torch.no_grad():
        tokens = Tokens(**opened.tokenize(texts))
        text = result.model.encode_text(tokens.input_ids, tokens.attention_mask)
        expected = opened.objective.pair_scores(result.model.encode_image(pixels), text, tokens)
        torch.testing.assert_close(opened.pair_scores(pixels, texts), expected)
    assert expected.shape == (3, 2)
    return opened


def epoch_losses(result: PretrainResult) -> list[float]:
    """The mean loss of every epoch of three batches."""
    losses = [row["train/loss"] for row in result.history if "train/loss" in row]
    return [sum(losses[start : start + 3]) / 3 for start in range(0, len(losses), 3)]


def assert_resumes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, layers: tuple[int, ...], **training: object
) -> tuple[PretrainResult, PretrainResult]:
    """A run that stops in its fifth step goes on to the weights and heads of one that does not stop.

    Returns:
        The whole run, in the folder "whole", and the one that went on, in "stopped".
    """
    whole = tiny_run(folder / "whole", name, layers, **training)
    step, count = PretrainModule.training_step, 0

    def stopping(self: PretrainModule, batch: object, batch_idx: int) -> torch.Tensor:
        nonlocal count
        count += 1
        if count == 5:
            raise KeyError("stopped")
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(PretrainModule, "training_step", stopping)
        with pytest.raises(KeyError, match="stopped"):
            tiny_run(folder / "stopped", name, layers, **training)
    resumed = tiny_run(folder / "stopped", name, layers, **training)
    assert resumed.resumed_from == 4
    for file in ("model.safetensors", "heads.safetensors"):
        expected, found = (load_file(result.checkpoint / file) for result in (whole, resumed))
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected)
    return whole, resumed


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
