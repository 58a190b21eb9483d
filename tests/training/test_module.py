"""A rival with heads and views of its own needs nothing but a line in the registry."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pedclip.models.pedclip import PedCLIP
from pedclip.objectives import registry
from pedclip.objectives.base import FeatureBatch, Objective
from pedclip.training.loop import pretrain, read_history
from pedclip.training.module import build_objective
from tests.training.tiny import tiny_arrays, tiny_config


class Rival(Objective):
    """Squared distance of two projections; sees white films and the first two tokens."""

    def __init__(self, model: PedCLIP, *, seed: int = 9, strength: float = 2.0) -> None:
        super().__init__(model)
        self.head = nn.Linear(model.image_encoder.width, 4)
        self.seed, self.strength = seed, strength
        self.seen: list[tuple[float, float, int]] = []

    def image_view(self, films: Tensor, preprocess: object, *, generator: torch.Generator) -> Tensor:
        return torch.ones(len(films), 3, preprocess.size, preprocess.size)

    def text_view(self, input_ids: Tensor, attention_mask: Tensor, *, generator: object) -> tuple[Tensor, Tensor]:
        return input_ids[:, :2], attention_mask[:, :2]

    def forward(self, features: FeatureBatch) -> dict[str, Tensor]:
        spread = float(features.image.embedding.detach().std(0).max())
        self.seen.append((features.epoch, spread, features.text.tokens.shape[1]))
        apart = self.head(features.image.embedding) - self.head(features.text.embedding)
        return {"distance": apart.norm(), "loss": self.strength * apart.square().sum(1).mean()}


@pytest.fixture
def _with_rival(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "OBJECTIVES", registry.OBJECTIVES | {"rival": Rival})


@pytest.mark.usefixtures("_with_rival")
def test_heads_are_trained_and_kept_for_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Rival] = []
    initial: list[Tensor] = []
    initialize = Rival.__init__

    def remember(self: Rival, *arguments: object, **options: object) -> None:
        initialize(self, *arguments, **options)
        made.append(self)
        initial.append(self.head.weight.detach().clone())

    # Keeps the signature, from which the options are read.
    remember.__signature__ = __import__("inspect").signature(initialize)
    monkeypatch.setattr(Rival, "__init__", remember)
    config = tiny_config(objective="rival", epochs=2, seed=3)
    pretrain(tiny_arrays(16), tiny_arrays(9), config=config, run=tmp_path)
    (rival,) = made
    assert (rival.seed, rival.strength) == (3, 2.0)  # an option of a field's name takes its value
    assert not torch.equal(rival.head.weight, initial[0])
    stored = torch.load(tmp_path / "resume" / "last.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(stored["objective.head.weight"], rival.head.weight)
    # White films cannot be told apart, the excerpts have two tokens, and time passes in steps of half an epoch.
    assert [(epoch, tokens) for epoch, _, tokens in rival.seen] == [(0.0, 2), (0.5, 2), (1.0, 2), (1.5, 2)]
    assert max(spread for _, spread, _ in rival.seen) < 1e-6
    logged = {name for row in read_history(tmp_path) for name in row if name.startswith("train/")}
    assert logged == {"train/distance", "train/loss"}


def test_the_schedule_of_the_configuration_reaches_the_objective() -> None:
    model = nn.Module()  # PedCLIP's own objective has no heads and reads nothing of it
    objective = build_objective(tiny_config(epochs=10, teacher_epochs=4, lambda_end=0.5).training, model)
    assert [objective.schedule(epoch) for epoch in (3.9, 4, 7, 10)] == [
        (1.0, True),
        (1.0, False),
        (0.75, False),
        (0.5, False),
    ]
    assert objective.mask_equal_texts  # as in the demo profile
    assert build_objective(tiny_config(teacher_epochs=-1, epochs=10).training, model).schedule(2.1)[1] is False


def test_contrastive_objective_logs_no_gate(tmp_path: Path) -> None:
    result = pretrain(tiny_arrays(16), tiny_arrays(9), config=tiny_config(objective="clip", epochs=1), run=tmp_path)
    logged = {name for row in result.history for name in row if name.startswith("train/")}
    assert logged == {"train/contrastive", "train/loss"}
    assert any("val/gate_accuracy" in row for row in result.history)  # the model has experts all the same
