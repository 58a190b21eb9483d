"""Training of PECM with its encoders: it learns, equals training on frozen prototypes at rate 0, and repeats."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from pedclip.models.pedclip import PedCLIP
from pedclip.retrieval import fine_tune
from pedclip.retrieval.config import PECMConfig
from pedclip.retrieval.fine_tune import FineTuning, fine_tune_pecm
from pedclip.retrieval.pairs import FilmReports, extract_pairs
from pedclip.retrieval.pecm import PECM
from pedclip.retrieval.report_groups import unique_texts
from pedclip.retrieval.train import PECMTraining, train_pecm
from tests.objectives.tiny_features import tiny_model
from tests.training.tiny import tiny_arrays

CONFIG = PECMConfig(image_width=32, text_width=32, proj_dim=16)
QUICK = FineTuning(epochs=3, batch_size=8, learning_rate=0.005)

Split = tuple[NDArray[np.uint8], FilmReports]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small_model(**changes: object) -> PedCLIP:
    """4 x 4 patches, which make four regions."""
    return tiny_model(**{"image_patch_size": 4} | changes)


def set_dropout(model: PedCLIP, chance: float) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = chance


def build(**switches: object) -> PECM:
    return PECM(5, config=replace(CONFIG, **switches), generator=seeded(0))  # type: ignore[arg-type]


def split(films: int = 20, seed: int = 0, prefix: str = "p", size: int = 18) -> Split:
    """Films whose bright column tells the region that their report names; every fifth takes no part."""
    arrays = tiny_arrays(films, seed)
    rows = np.array([row for row in range(films) if row % 5], dtype=np.int64)
    texts = [f"{arrays.texts[row]} No fracture." if row % 2 else arrays.texts[row] for row in rows]
    different, report = unique_texts(texts)
    people = [f"{prefix}{row}" for row in rows]
    images = np.pad(arrays.images, ((0, 0), (0, size - 18), (0, size - 18)))
    return images, FilmReports(
        split="train", section="excerpt", views="all", rows=rows, texts=different, report=report.numpy(),
        patients=people, studies=people, num_films=films, num_other_views=0, num_label_texts=0, left_out=(),
    )  # fmt: skip


def changed(model: torch.nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def copied(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_the_loss_falls_and_both_encoders_learn_except_what_is_frozen() -> None:
    # Projections, which are no layers where one width does for all.
    model, pecm, validation = small_model(projection_dim=32), build(), split(15, 1, "q")
    frozen = "image_encoder.vit.patch_embed."
    model.image_encoder.vit.patch_embed.requires_grad_(False)
    before = copied(model)
    training = replace(QUICK, epochs=8, encoder_rate=0.2)
    history = fine_tune_pecm(model, pecm, *split(), generator=seeded(0), training=training, validation=validation)
    assert history[-1].total < 0.8 * history[0].total
    first, last = history[0].validation, history[-1].validation
    assert first is not None
    assert last is not None
    assert last < first
    moved = changed(model, before)
    assert not any(name.startswith(frozen) for name in moved)
    for part in ("image_encoder.vit.blocks.0", "image_projection", "text_encoder.bert.embeddings", "text_projection"):
        # A prefix that no parameter has would prove nothing.
        assert any(name.startswith(part) for name in before), part
        assert any(name.startswith(part) for name in moved), part
    # The temperature of PedCLIP itself has no part in these losses.
    assert "log_temperature" not in moved
    assert not model.training
    assert not pecm.training


@pytest.mark.parametrize("rate", [0.0, 1e-9])
def test_without_a_step_of_the_encoders_it_is_training_on_frozen_prototypes(rate: float) -> None:
    pairs, held = (extract_pairs(small_model(), *data) for data in (split(), split(15, 1, "q")))
    expected = build()
    plain = PECMTraining(epochs=3, batch_size=8, learning_rate=0.005)
    told = train_pecm(expected, pairs, generator=seeded(3), training=plain, validation=held)
    model, pecm = small_model(), build()
    # At rate 0 the encoders are in evaluation mode, whatever their dropout.
    set_dropout(model, 0 if rate else 0.5)
    before = copied(model)
    history = fine_tune_pecm(
        model,
        pecm,
        *split(),
        generator=seeded(3),
        training=replace(QUICK, encoder_rate=rate),
        validation=split(15, 1, "q"),
    )
    for epoch, other in zip(history, told, strict=True):
        for name, value in vars(other).items():
            # Batches of other sizes: sums in another order.
            assert getattr(epoch, name) == pytest.approx(value, rel=1e-4, abs=1e-6), name
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(pecm.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    assert bool(changed(model, before)) is (rate > 0)


def test_the_first_step_moves_each_part_by_its_own_rate() -> None:
    model, pecm = small_model(), build()
    first, second = copied(model), copied(pecm)
    training = FineTuning(epochs=1, batch_size=16, learning_rate=0.01, weights_rate=10.0, encoder_rate=0.1)
    fine_tune_pecm(model, pecm, *split(), generator=seeded(0), training=training)
    # Adam's first step is the rate wherever the gradient is well above 1e-8.
    for module, before, rate in ((model, first, 0.001), (pecm, second, 0.01)):
        moved = {name: float((value - before[name]).abs().max()) for name, value in module.state_dict().items()}
        if module is pecm:
            # The weights w have a rate of their own.
            assert moved.pop("theta") == pytest.approx(0.1, rel=1e-2)
        assert max(moved.values()) == pytest.approx(rate, rel=1e-2)


def test_a_seed_gives_the_same_run_with_and_without_validation() -> None:
    runs = []
    for number, validation in enumerate((None, split(15, 1, "q"))):
        model, pecm = small_model(), build()
        # Dropout, so that there is something to repeat; and another state of the global generator each time.
        set_dropout(model, 0.3)
        torch.manual_seed(number)
        fine_tune_pecm(model, pecm, *split(), generator=seeded(5), training=QUICK, validation=validation)
        assert torch.initial_seed() == number
        runs.append(copied(model) | {f"pecm.{name}": value for name, value in copied(pecm).items()})
    assert all(torch.equal(runs[1][name], value) for name, value in runs[0].items())
    model = small_model()
    fine_tune_pecm(model, build(), *split(), generator=seeded(6), training=QUICK)
    assert any(not torch.equal(runs[0][name], value) for name, value in model.state_dict().items())


def test_batch_normalization_keeps_its_statistics_while_the_rest_of_the_stem_learns() -> None:
    model = small_model(image_stem="hybrid", image_backbone="resnet18", image_patch_size=8, image_size=32)
    stem = model.image_encoder.vit.patch_embed
    stem.trains_statistics = True  # as after pre-training from random weights
    size = model.preprocess.resize
    config = replace(CONFIG, grid="ceil5")
    before = copied(model)
    modes: list[bool] = []
    stem.backbone.register_forward_hook(
        lambda *_: modes.extend(
            module.training for module in stem.backbone.modules() if isinstance(module, torch.nn.BatchNorm2d)
        )
    )
    pecm = PECM(5, config=config, generator=seeded(0))
    fine_tune_pecm(model, pecm, *split(size=size), generator=seeded(0), training=replace(QUICK, epochs=1))
    assert modes
    assert not any(modes)
    moved = changed(model, before)
    assert not any(name.endswith(("running_mean", "running_var", "num_batches_tracked")) for name in moved)
    assert any(name.startswith("image_encoder.vit.patch_embed.backbone") for name in moved)


def test_films_of_one_report_are_told_to_the_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Tensor, Tensor]] = []
    original = fine_tune.pecm_losses

    def spy(pecm: PECM, image: Tensor, text: Tensor, **options: Tensor) -> object:
        seen.append((text.detach(), options["same_text"]))
        return original(pecm, image, text, **options)

    monkeypatch.setattr(fine_tune, "pecm_losses", spy)
    films, reports = split(60)
    assert len(reports.texts) < len(reports)
    training = replace(QUICK, epochs=1, batch_size=48)
    fine_tune_pecm(small_model(), build(), films, reports, generator=seeded(0), training=training)
    text, same = seen[0]
    order = torch.randperm(48, generator=seeded(0))
    assert [reports.texts[row] for row in reports.report[order]] != list(reports.texts)
    names = [reports.texts[row] for row in reports.report[order]]
    assert same.tolist() == [[one == other for other in names] for one in names]
    for i in range(48):
        for j in range(48):
            assert torch.equal(text[i], text[j]) is (names[i] == names[j])


def test_misuse_raises() -> None:
    model, (films, reports) = small_model(), split()

    def run(pecm: PECM, films: NDArray[np.uint8] = films, reports: FilmReports = reports, **options: object) -> None:
        fine_tune_pecm(model, pecm, films, reports, generator=seeded(0), **options)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="16 patients are in both training and validation"):
        run(build(), validation=split())
    with pytest.raises(ValueError, match="text_proto='doc2vec' is not allowed"):
        run(build(text_proto="doc2vec"))
    with pytest.raises(ValueError, match="19 films for a train split of 20: give all of them"):
        run(build(), films[:-1])
    with pytest.raises(ValueError, match="the pairs have 5 prototypes, PECM has 26"):
        run(PECM(26, config=CONFIG))
    with pytest.raises(ValueError, match=r"widths \(32, 32\) \(image, text\) do not fit"):
        run(PECM(5))
    alone = replace(
        reports, rows=reports.rows[:1], report=reports.report[:1], texts=reports.texts[:1],
        patients=reports.patients[:1], studies=reports.studies[:1],
    )  # fmt: skip
    with pytest.raises(ValueError, match="fewer than two different reports"):
        run(build(), films, alone)
    with pytest.raises(ValueError, match=r"encoder_rate=-1.0 is not allowed: at least 0 and finite"):
        replace(QUICK, encoder_rate=-1.0)
    with pytest.raises(ValueError, match=r"batch_size=1 is not allowed"):
        replace(QUICK, batch_size=1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_trains_to_the_same_losses() -> None:
    training = replace(QUICK, epochs=2)
    histories = [
        fine_tune_pecm(small_model(), build(), *split(), generator=seeded(0), training=training, device=device)
        for device in ("cpu", "cuda")
    ]
    # Sums in another order; six steps carry the difference on.
    for on_cpu, on_gpu in zip(*histories, strict=True):
        assert on_gpu.total == pytest.approx(on_cpu.total, rel=1e-2)
