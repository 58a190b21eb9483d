"""Fine-tuning learns what the frozen features may not hold, leaves the model alone, and is scored as the probe."""

import numpy as np
import pytest
import torch

from pedclip.evaluation.fine_tune import Classifier, fine_tune
from pedclip.evaluation.fitting import Schedule, fit_best
from pedclip.evaluation.outcome import Report
from pedclip.evaluation.sides import Side, Sides
from pedclip.models.pedclip import PedCLIP
from pedclip.training.pretrain import build_model

from ..training.tiny import tiny_arrays, tiny_config

REPORT = Report("column", "fine-tuning", num_resamples=20)
QUICK = Schedule(epochs=8, learning_rate=3e-3, batch_size=8)


@pytest.fixture(scope="module")
def model() -> PedCLIP:
    return build_model(tiny_config(), tiny_arrays(8))


def task(*, multi_label: bool) -> Sides:
    parts = []
    for seed, name in enumerate(("train", "validation", "test")):
        arrays = tiny_arrays(36, seed)
        truth = np.eye(3)[arrays.regions] if multi_label else arrays.regions
        if multi_label:
            truth[::5, 1] = np.nan
        parts.append(Side(arrays.images, truth, np.array([f"{name}{i}" for i in range(36)])))
    return Sides(*parts)


@pytest.mark.parametrize("multi_label", [False, True])
def test_learns_and_leaves_the_model_alone(model: PedCLIP, *, multi_label: bool) -> None:
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    kind = "multi-label" if multi_label else "multi-class"
    done = fine_tune(model, task(multi_label=multi_label), "abc", kind=kind, report=REPORT, schedule=QUICK)  # type: ignore[arg-type]
    assert done.result.score.value > 0.95
    assert done.result.metric == ("AUC" if multi_label else "accuracy")
    assert 1 <= done.result.settings["epoch"] <= 8
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_encoder_moves_with_the_head(model: PedCLIP) -> None:
    classifier = Classifier(model, 2)
    films = torch.from_numpy(tiny_arrays(4).images)
    classifier(films).square().sum().backward()
    assert all(weight.grad is not None for weight in classifier.model.image_encoder.vit.patch_embed.parameters())
    with pytest.raises(TypeError, match="torch module"):
        Classifier("model", 2)  # type: ignore[arg-type]


def test_loop_keeps_the_best_epoch_and_stops() -> None:
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(module.weight, 0.0)
    seen: list[float] = []

    def loss_of(side: str, rows: np.ndarray) -> torch.Tensor:
        if side == "train":
            return (module.weight - 1).square().sum()
        seen.append(module.weight.item())
        return (module.weight - 0.25).square().sum()  # best on the way to 1, not at it

    epoch = fit_best(
        module,
        Schedule(epochs=50, learning_rate=0.1, weight_decay=0.0, batch_size=4, patience=3),
        loss_of,
        train="train",  # five letters make one batch, because a last batch of one joins it
        validation="v",
    )
    assert len(seen) == epoch + 3
    assert module.weight.item() == pytest.approx(min(seen, key=lambda weight: abs(weight - 0.25)))
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        fit_best(
            module,
            Schedule(epochs=1),
            lambda side, rows: module.weight.sum() * np.nan,
            train="ab",
            validation="",
        )
    with pytest.raises(ValueError, match="at least 1"):
        Schedule(epochs=0)
