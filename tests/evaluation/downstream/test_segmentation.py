"""The decoder learns squares, Dice and its baseline are right, the U-Net runs, empty masks are handled."""

import builtins
from typing import Any

import numpy as np
import pytest
import torch

from pedclip.evaluation.downstream.fit import Schedule, fit_best
from pedclip.evaluation.downstream.segmentation import LightDecoder, UNet, predict_masks, segment, segmentation_loss
from pedclip.evaluation.metrics.per_image import dice
from pedclip.evaluation.result import Scoring
from pedclip.evaluation.tasks.patient_split import Part, PatientSplit
from tests.evaluation.tiny_tasks import squares

SCORING = Scoring("squares", "light decoder", num_resamples=50)
QUICK = Schedule(epochs=6, learning_rate=5e-3, batch_size=8)


def task(number: int = 48) -> PatientSplit:
    parts = []
    for seed, name in enumerate(("train", "validation", "test")):
        tokens, _, masks = squares(number, seed)
        parts.append(Part(tokens.astype(np.float16), masks, np.array([f"{name}{i}" for i in range(number)])))
    return PatientSplit(*parts)


def test_decoder_learns_and_is_scored_by_image() -> None:
    split = task()
    done = segment(split, scoring=SCORING, widths=(8, 8), schedule=QUICK)
    assert done.score.value > 0.8
    assert done.score.value == pytest.approx(dice(split.test.truth, done.require_predictions().output))
    has_mask = split.test.truth.any(axis=(1, 2))
    assert done.baseline == pytest.approx((~has_mask).mean())
    inside, empty = done.classes
    assert (inside.num_positives, empty.num_positives) == (has_mask.sum(), (~has_mask).sum())
    parts = [one.score.value * one.num_positives for one in (inside, empty) if one.score]
    assert sum(parts) / 48 == pytest.approx(done.score.value)


def test_equal_seeds_give_equal_masks_and_leave_the_global_generator_alone() -> None:
    split, short = task(12), Schedule(epochs=1, batch_size=4, seed=3)
    before = torch.random.get_rng_state()
    first, second = (
        segment(split, scoring=SCORING, widths=(4,), schedule=short).require_predictions().output for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    assert torch.equal(before, torch.random.get_rng_state())


def test_images_with_and_without_a_mask_are_scored_over_patients() -> None:
    split = task(24)
    patients = np.array([f"test{i // 3}" for i in range(24)])
    split = PatientSplit(split.train, split.validation, Part(split.test.inputs, split.test.truth, patients))
    done = segment(split, scoring=SCORING, widths=(4,), schedule=Schedule(epochs=1, batch_size=8))
    truth, masks = split.test.truth, done.require_predictions().output
    assert done.score == dice.bootstrap(truth, masks, patients, num_resamples=50)
    has_mask = truth.any(axis=(1, 2))
    for found, rows in zip(done.classes, (has_mask, ~has_mask), strict=True):
        assert str(found.score) == str(dice.bootstrap(truth[rows], masks[rows], patients[rows], num_resamples=50))
        assert found.score
        assert found.score.num_groups == len(set(patients[rows]))


def test_a_stage_cuts_off_what_is_negative() -> None:
    decoder = LightDecoder(1, (2, 2), (1,)).eval()
    with torch.no_grad():
        for layer in (decoder.stages[0], decoder.stages[-1]):
            layer.weight.zero_()  # type: ignore[operator, union-attr]
            layer.weight[0, 0, 1, 1] = 1  # type: ignore[index, union-attr]
        decoder.stages[-1].bias.zero_()  # type: ignore[operator, union-attr]
        assert decoder(torch.full((1, 4, 1), -2.0)).abs().max() == 0
        assert decoder(torch.full((1, 4, 1), 2.0)) == pytest.approx(2 * torch.ones(1, 4, 4), rel=1e-4)


def test_an_image_is_outlined_alone_as_among_others() -> None:
    split = task(12)
    schedule = Schedule(epochs=1, batch_size=4, learning_rate=5e-3)
    module = LightDecoder(3, (8, 8), (4,))
    target = torch.from_numpy(split.train.truth.astype(np.float32))

    def loss_of(part: Part, rows: np.ndarray) -> torch.Tensor:
        maps = module(torch.from_numpy(part.inputs[rows].astype(np.float32)))
        return segmentation_loss(maps, target[rows][:, ::2, ::2])

    fit_best(module, schedule, loss_of, train=split.train, validation=split.validation)
    together = predict_masks(module, split.test, schedule)
    for row in range(12):
        part = Part(split.test.inputs[[row]], split.test.truth[[row]], split.test.patients[[row]])
        np.testing.assert_array_equal(predict_masks(module, part, schedule)[0], together[row])


def test_shapes_and_order_of_patches() -> None:
    decoder = LightDecoder(5, (2, 3), (7, 4)).eval()
    assert decoder(torch.zeros(2, 6, 5)).shape == (2, 8, 12)
    plain = LightDecoder(1, (2, 3), ())
    with torch.no_grad():
        plain.stages[0].weight.zero_()  # type: ignore[operator]
        plain.stages[0].weight[0, 0, 1, 1] = 1  # type: ignore[index]
        plain.stages[0].bias.zero_()  # type: ignore[operator]
        tokens = torch.arange(6.0).reshape(1, 6, 1)
        assert plain(tokens)[0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_loss_by_hand_and_at_its_limits() -> None:
    logits = torch.zeros(1, 2, 2)
    target = torch.tensor([[[1, 0], [0, 0]]])
    focal = 10 * 0.25 * np.log(2)
    assert float(segmentation_loss(logits, target)) == pytest.approx(focal - np.log(2 / 4), abs=1e-6)
    sure = (2.0 * target - 1) * 50
    assert float(segmentation_loss(sure, target)) == pytest.approx(0, abs=1e-5)
    assert float(segmentation_loss(-50 * torch.ones(1, 2, 2), torch.zeros(1, 2, 2))) == pytest.approx(0, abs=1e-5)


def test_u_net_learns_from_films() -> None:
    parts = []
    for seed, name in enumerate(("train", "validation", "test")):
        _, _, masks = squares(8, seed, empty=0.0)
        films = np.where(masks, 220, 30).astype(np.uint8)
        parts.append(Part(films, masks, np.array([f"{name}{i}" for i in range(8)])))
    schedule = Schedule(epochs=8, learning_rate=2e-3, batch_size=4)
    done = segment(PatientSplit(*parts), scoring=Scoring("squares", "U-Net", 20), network="unet", schedule=schedule)
    assert done.score.value > 0.7
    assert done.classes[1].score is None
    assert UNet().eval()(torch.zeros(1, 40, 40)).shape == (1, 40, 40)  # not a multiple of 32


def test_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def absent(name: str, *args: Any, **options: Any) -> Any:
        if name == "segmentation_models_pytorch":
            raise ModuleNotFoundError(name)
        return imported(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'pedclip\[segmentation\]'"):
        UNet()


def test_refuses() -> None:
    split = task(6)
    with pytest.raises(ValueError, match="'decoder' or 'unet', got 'setr'"):
        segment(split, scoring=SCORING, network="setr")
    empty = Part(split.train.inputs, np.zeros_like(split.train.truth), split.train.patients)
    with pytest.raises(ValueError, match="all of them are empty"):
        segment(PatientSplit(empty, split.validation, split.test), scoring=SCORING)
    parts = (split.train, split.validation, split.test)
    cut = PatientSplit(*(Part(part.inputs[:, 1:], part.truth, part.patients) for part in parts))
    with pytest.raises(ValueError, match="63 patches are no square"):
        segment(cut, scoring=SCORING)
