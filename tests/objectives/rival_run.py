"""A rival trained end to end on a tiny run: it learns, it can be opened, and it goes on where it was stopped."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pedclip.objectives.trained import ObjectiveModel, open_model
from pedclip.training.loop import PretrainResult, pretrain, read_history
from pedclip.training.module import PretrainModule
from tests.training.tiny import tiny_arrays, tiny_config

TEXTS = ["Film 1 of the chest.", "Film", "...", "Film 2 of the pelvis. Film 3."]


def check_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, name: str, mobe_layers: tuple[int, ...], options: dict[str, Any]
) -> ObjectiveModel:
    """Trains 43 films for 6 epochs of 5 batches, twice: straight, and stopped in the 12th batch."""
    config = tiny_config(
        {"mobe_layers": mobe_layers},
        objective=name,
        objective_options=options,
        epochs=6,
        learning_rate=3e-3,
    )

    def run(place: str) -> PretrainResult:
        return pretrain(tiny_arrays(43), tiny_arrays(9, 1), config=config, run=folder / place)

    straight = run("straight")
    losses = [row["train/loss"] for row in read_history(folder / "straight") if "train/loss" in row]
    assert sum(losses[-5:]) < sum(losses[:5])
    opened = open_model(straight.checkpoint)
    assert isinstance(opened, ObjectiveModel)
    assert (opened.name, opened.options.items() >= options.items()) == (name, True)
    with monkeypatch.context() as patch:
        original, calls = PretrainModule.training_step, []

        def step(self: PretrainModule, batch: Any, batch_idx: int) -> torch.Tensor:
            calls.append(batch_idx)
            if len(calls) == 12:
                raise KeyError("stopped")
            return original(self, batch, batch_idx)

        patch.setattr(PretrainModule, "training_step", step)
        with pytest.raises(KeyError, match="stopped"):
            run("stopped")
    resumed = run("stopped")
    assert 0 < resumed.resumed_from < 12
    for file in ("model.safetensors", "heads.safetensors"):
        first, second = (load_file(result.checkpoint / file) for result in (straight, resumed))
        assert first.keys() == second.keys()
        assert not [key for key in first if not torch.equal(first[key], second[key])]
    pixels = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        scores = opened.pair_scores(pixels, TEXTS)
        assert torch.equal(open_model(resumed.checkpoint).pair_scores(pixels, TEXTS), scores)
        # A score depends on its film and its text alone.
        for film in range(3):
            for number, text in enumerate(TEXTS):
                alone = opened.pair_scores(pixels[film : film + 1], [text])
                torch.testing.assert_close(alone[0, 0], scores[film, number], rtol=1e-4, atol=1e-5)
    return opened
