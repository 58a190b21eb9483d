"""The training step and its optimizer, against the formulas they stand for."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from pedclip.objectives import FeatureBatch
from pedclip.training.datamodule import TripletDataModule
from pedclip.training.loop import build_model
from pedclip.training.module import PretrainModule, validation_metrics
from pedclip.triplets.transforms import to_pixels
from tests.training.tiny import tiny_arrays, tiny_config


def made(*, batches_per_epoch: int = 4, **training: object) -> tuple[PretrainModule, dict[str, Tensor]]:
    config = tiny_config({"image_depth": 1}, **{"epochs": 10, "teacher_epochs": 4} | training)
    torch.manual_seed(0)
    arrays = tiny_arrays(16)
    model = build_model(config, arrays).eval()
    data = TripletDataModule(arrays, tiny_arrays(0), model, config.training)
    module = PretrainModule(model, config.training, batches_per_epoch=batches_per_epoch)
    return module, data.train[list(range(12))]


def step(module: PretrainModule, batch: dict[str, Tensor], epoch: int, batch_idx: int) -> dict[str, Tensor]:
    logged: dict[str, Tensor] = {}
    module._trainer = SimpleNamespace(current_epoch=epoch)
    module.log_dict = lambda values, **_: logged.update(values)
    loss = module.training_step(batch, batch_idx)
    return logged | {"returned": loss}


@pytest.mark.parametrize(
    ("epoch", "batch_idx", "is_forced"), [(0, 0, True), (3, 3, True), (4, 0, False), (7, 2, False)]
)
@pytest.mark.parametrize("masks", [False, True])
def test_the_step_is_the_objective_of_the_views_and_labels(
    epoch: int, batch_idx: int, is_forced: bool, masks: bool
) -> None:
    module, batch = made(mask_equal_texts=masks)
    torch.manual_seed(5)
    logged = step(module, batch, epoch, batch_idx)
    pixels = to_pixels(batch["images"], module.model.preprocess, generator=torch.Generator().manual_seed(5))
    image = module.model.encode_image(pixels, batch["regions"] if is_forced else None)
    text = module.model.encode_text(batch["input_ids"], batch["attention_mask"])
    logits = image.embedding @ text.embedding.t() / 0.07
    if masks:
        same = batch["text_ids"][:, None] == batch["text_ids"]
        logits = logits.masked_fill(same & ~torch.eye(12, dtype=torch.bool), -torch.inf)
    target = torch.arange(12)
    contrastive = (
        torch.nn.functional.cross_entropy(logits, target) + torch.nn.functional.cross_entropy(logits.t(), target)
    ) / 2
    gate = torch.nn.functional.cross_entropy(image.gate_logits[-1], batch["regions"])
    weight = 1.0 if is_forced else 1 - (epoch + batch_idx / 4 - 4) / 6
    torch.testing.assert_close(logged["returned"], contrastive + weight * gate)
    torch.testing.assert_close(logged["train/loss"], logged["returned"].detach())


def test_the_objective_gets_the_words_and_the_time_of_the_batch() -> None:
    module, batch = made()
    seen: list[FeatureBatch] = []
    module.objective.register_forward_hook(lambda _, arguments, __: seen.append(arguments[0]))
    step(module, batch, 2, 3)
    (features,) = seen
    assert torch.equal(features.text_ids, batch["text_ids"])
    assert torch.equal(features.regions, batch["regions"])
    assert features.epoch == 2.75


def test_every_batch_of_a_run_and_every_rank_draws_numbers_of_its_own() -> None:
    module, batch = made(seed=3)
    seeds = []
    for epoch, batch_idx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        module._trainer = SimpleNamespace(current_epoch=epoch, global_rank=1)
        module.on_train_batch_start(batch, batch_idx)
        seeds.append(torch.initial_seed())
    assert seeds == [(3 * 1_000_003 + number) * 4096 + 1 for number in (0, 1, 4, 5)]


def test_the_rate_warms_up_and_falls_as_half_a_cosine() -> None:
    # 5 batches by 2 are 3 steps an epoch, the last one of a single batch: 12 steps in 4 epochs, a quarter to warm up.
    module, _ = made(
        epochs=4, teacher_epochs=1, accumulate=2, warmup_fraction=0.25, learning_rate=0.1, schedule="cosine",
        batches_per_epoch=5,
    )  # fmt: skip
    found = module.configure_optimizers()
    scheduler = found["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(12):
        rates.append(scheduler.get_last_lr()[0] / 0.1)
        found["optimizer"].step()
        scheduler.step()
    expected = [1 / 3, 2 / 3, 1] + [0.5 * (1 + math.cos(math.pi * done / 9)) for done in range(9)]
    assert rates == pytest.approx(expected)
    assert scheduler.get_last_lr()[0] == pytest.approx(0)


def test_only_matrices_decay() -> None:
    module, _ = made(weight_decay=0.3)
    decayed, kept = module.configure_optimizers()["optimizer"].param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.3, 0.0)
    names = {id(parameter): name.rsplit(".", 1)[-1] for name, parameter in module.named_parameters()}
    leaves = [{names[id(parameter)] for parameter in group["params"]} for group in (decayed, kept)]
    assert leaves[0] >= {"w1", "w2", "weight"}
    assert leaves[1] >= {"b1", "b2", "pos_embed", "cls_token", "bias"}
    assert not leaves[0] & {"b1", "b2", "pos_embed", "cls_token", "bias"}


def test_equal_texts_are_no_negatives_of_the_validation_loss() -> None:
    parts = {
        "image": torch.eye(3),
        "text": torch.eye(3)[[0, 0, 2]],
        "text_ids": torch.tensor([4, 4, 9]),
        "region": torch.tensor([0, 1, 1]),
        "gate": torch.tensor([0, 0, 1]),
        "entropy": torch.tensor([0.1, 0.1, 0.1]),
    }
    found = validation_metrics(parts, torch.tensor(1.0))
    # Cosines by row: (1, 1, 0), (0, 0, 0), (0, 0, 1); films 0 and 1 have equal texts.
    e = math.e
    image = (math.log(e + 1) - 1 + math.log(2) + math.log(2 + e) - 1) / 3
    text = (math.log(e + 1) - 1 + math.log(2) + math.log(2 + e) - 1) / 3
    assert float(found["val/contrastive"]) == pytest.approx((image + text) / 2)
    assert float(found["val/gate_accuracy"]) == pytest.approx(2 / 3)


def test_augmentation_is_switched_on_by_the_configuration() -> None:
    for augment in ("none", "affine"):
        module, _ = made(augment=augment)
        assert module.model.preprocess.augment == augment
