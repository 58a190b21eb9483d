"""Fine-tuning learns what the frozen features may not hold, leaves the model alone, and is scored as the probe."""

import numpy as np
import pytest
import torch

from pedclip.evaluation.downstream.fine_tune import Classifier, fine_tune, fine_tune_age
from pedclip.evaluation.downstream.fit import Schedule, fit_best
from pedclip.evaluation.downstream.run import DownstreamSettings, run_fine_tuning
from pedclip.evaluation.result import Scoring
from pedclip.evaluation.tasks.patient_split import Part, PatientSplit
from pedclip.evaluation.tasks.task import Task
from pedclip.models.pedclip import PedCLIP
from pedclip.training.loop import build_model
from tests.training.tiny import tiny_arrays, tiny_config

SCORING = Scoring("column", "fine-tuning", num_resamples=20)
QUICK = Schedule(epochs=8, learning_rate=3e-3, batch_size=8)


@pytest.fixture(scope="module")
def model() -> PedCLIP:
    return build_model(tiny_config(), tiny_arrays(8))


def task(*, multi_label: bool) -> PatientSplit:
    parts = []
    for seed, name in enumerate(("train", "validation", "test")):
        arrays = tiny_arrays(36, seed)
        truth = np.eye(3)[arrays.regions] if multi_label else arrays.regions
        if multi_label:
            truth[::5, 1] = np.nan
        parts.append(Part(arrays.images, truth, np.array([f"{name}{i}" for i in range(36)])))
    return PatientSplit(*parts)


@pytest.mark.parametrize("multi_label", [False, True])
def test_learns_and_leaves_the_model_alone(model: PedCLIP, *, multi_label: bool) -> None:
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    kind = "multi-label" if multi_label else "multi-class"
    done = fine_tune(model, task(multi_label=multi_label), "abc", kind=kind, scoring=SCORING, schedule=QUICK)  # type: ignore[arg-type]
    assert done.score.value > 0.95
    assert done.metric == ("AUC" if multi_label else "accuracy")
    assert 1 <= done.settings["epoch"] <= 8
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def age_task(seed: int, *, tells: bool = True) -> PatientSplit:
    """Films whose brightness tells the age, in another range than a fresh head would guess; or noise."""
    parts = []
    for offset, name in enumerate(("train", "validation", "test")):
        rng = np.random.default_rng(seed + offset)
        level = rng.integers(20, 230, 48)
        films = ((level[:, None, None] if tells else 100) + rng.integers(-15, 15, (48, 18, 18))).astype(np.uint8)
        parts.append(Part(films, 120 + 0.4 * level, np.array([f"{name}{i}" for i in range(48)])))
    return PatientSplit(*parts)


def test_ages_are_learned_from_the_films(model: PedCLIP) -> None:
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    split = age_task(0)
    result = fine_tune_age(model, split, scoring=SCORING, schedule=QUICK)
    assert (result.metric, result.unit, result.baseline_name) == ("MAE", "months", "mean of training")
    assert result.baseline > 15
    assert result.score.value < 0.5 * result.baseline
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    control = fine_tune_age(model, age_task(0, tells=False), scoring=SCORING, schedule=QUICK)
    assert control.score.value > 0.8 * control.baseline


def test_ages_must_be_finite(model: PedCLIP) -> None:
    split = age_task(0)
    truth = np.where(np.arange(48) == 3, np.nan, split.train.truth)
    broken = PatientSplit(Part(split.train.inputs, truth, split.train.patients), split.validation, split.test)
    with pytest.raises(ValueError, match="finite targets"):
        fine_tune_age(model, broken, scoring=SCORING, schedule=QUICK)


def test_every_task_of_labels_and_ages_is_fine_tuned(model: PedCLIP) -> None:
    split = age_task(0)
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    rows = {split: np.arange(48) for split in parts}
    ages = {split: part.truth for split, part in parts.items()}
    old = {split: (values > 180).astype(float)[:, None] for split, values in ages.items()}
    tasks = [
        Task("bone age", "regression", (), rows, ages),
        Task("old", "multi-label", ("old",), rows, old),
        Task("lungs", "masks", (), rows, {}, "structures"),
    ]
    films = {split: part.inputs for split, part in parts.items()}
    patients = {split: part.patients for split, part in parts.items()}
    found = run_fine_tuning(tasks, model, films, patients, DownstreamSettings(num_resamples=20), schedule=QUICK)
    assert {name: result.metric for (name, _), result in found.items()} == {"bone age": "MAE", "old": "AUC"}


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

    def loss_of(part: str, rows: np.ndarray) -> torch.Tensor:
        if part == "train":
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
            lambda part, rows: module.weight.sum() * np.nan,
            train="ab",
            validation="",
        )
    with pytest.raises(ValueError, match="at least 1"):
        Schedule(epochs=0)
