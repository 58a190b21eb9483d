"""Fine-tuning learns what the frozen features may not hold, leaves the model alone, and is scored as the probe."""

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from pedclip.evaluation.downstream.fine_tune import Classifier, _loss, fine_tune, fine_tune_age
from pedclip.evaluation.downstream.fit import Schedule, fit_best
from pedclip.evaluation.downstream.run import DownstreamSettings, run_fine_tuning
from pedclip.evaluation.metrics.per_image import accuracy, mae
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


def test_a_finding_that_nobody_labelled_is_not_taken_as_absent(model: PedCLIP) -> None:
    split = task(multi_label=True)
    # Somebody asked for the second label on every fourth film of each region, and each time it was there.
    parts = []
    for part in (split.train, split.validation):
        truth = np.nan_to_num(part.truth)
        truth[:, 1] = np.where(np.arange(36) % 12 < 3, 1.0, np.nan)
        parts.append(Part(part.inputs, truth, part.patients))
    done = fine_tune(
        model, PatientSplit(*parts, split.test), "abc", kind="multi-label", scoring=SCORING, schedule=QUICK
    )
    assert (done.require_predictions().output[:, 1] > 0).all()  # likelier than not on every film


def test_loss_is_the_mean_over_the_labels_that_were_given() -> None:
    logits = torch.tensor([[0.0, 3.0], [2.0, -1.0]], requires_grad=True)
    loss = _loss(logits, np.array([[1.0, np.nan], [0.0, np.nan]]), "multi-label")
    loss.backward()
    assert loss.item() == pytest.approx((np.log(2) + np.log(1 + np.exp(2))) / 2, rel=1e-6)
    assert logits.grad is not None
    assert logits.grad[:, 1].tolist() == [0, 0]
    assert _loss(logits, np.full((2, 2), np.nan), "multi-label").item() == 0


@pytest.mark.parametrize("validation", ["v" * 3, ""])
def test_loop_trains_in_training_mode_and_scores_in_evaluation_mode(validation: str) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.BatchNorm1d(1))
    modes: list[tuple[str, bool]] = []

    def loss_of(part: str, rows: np.ndarray) -> torch.Tensor:
        modes.append((part[0], module.training))
        return module(torch.arange(4.0)[:, None]).square().mean()

    fit_best(module, Schedule(epochs=3, batch_size=2, patience=9), loss_of, train="tttt", validation=validation)
    assert set(modes) == {("t", True), *({("v", False)} if validation else set())}
    assert modes[:2] == modes[-4 if validation else -2 :][:2] == [("t", True)] * 2
    assert not any(part.training for part in module.modules())


def test_the_model_is_fine_tuned_with_its_dropout_and_scored_without(model: PedCLIP) -> None:
    class Noisy(torch.nn.Module):
        """A model that is another one in training mode."""

        def __init__(self) -> None:
            super().__init__()
            self.preprocess, self.inner = model.preprocess, copy.deepcopy(model)

        def encode_image(self, pixels: torch.Tensor) -> Any:
            encoded = self.inner.encode_image(pixels)
            return dataclasses.replace(encoded, embedding=-encoded.embedding) if self.training else encoded

    split = task(multi_label=False)
    short = Schedule(epochs=1, learning_rate=1e-9, batch_size=8)
    plain, noisy = (
        fine_tune(one, split, "abc", kind="multi-class", scoring=SCORING, schedule=short)  # type: ignore[arg-type]
        for one in (model, Noisy())
    )
    np.testing.assert_array_equal(plain.require_predictions().output, noisy.require_predictions().output)


def test_fine_tuning_is_scored_over_patients(model: PedCLIP) -> None:
    split = task(multi_label=False)
    patients = np.array([f"test{i // 4}" for i in range(36)])
    split = PatientSplit(split.train, split.validation, Part(split.test.inputs, split.test.truth, patients))
    short = Schedule(epochs=1, learning_rate=1e-3, batch_size=8)
    done = fine_tune(model, split, "abc", kind="multi-class", scoring=SCORING, schedule=short)
    expected = accuracy.bootstrap(split.test.truth, done.require_predictions().output, patients, num_resamples=20)
    assert done.score == expected
    ages = age_task(0)
    ages = PatientSplit(
        ages.train, ages.validation, Part(ages.test.inputs, ages.test.truth, np.repeat(patients, 2)[:48])
    )
    aged = fine_tune_age(model, ages, scoring=SCORING, schedule=short)
    predicted = aged.require_predictions().output
    assert aged.score == mae.bootstrap(ages.test.truth, predicted, ages.test.patients, num_resamples=20)
    assert aged.score.num_groups == 6


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
    with pytest.raises(FloatingPointError, match="validation loss is not finite in any of 3 epochs"):
        fit_best(
            module,
            Schedule(epochs=50, patience=3),
            lambda part, rows: module.weight.sum() * (1.0 if part == "ab" else np.nan),
            train="ab",
            validation="v",
        )
    with pytest.raises(ValueError, match="at least 1"):
        Schedule(epochs=0)
