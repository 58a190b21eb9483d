"""Training on frozen prototypes: it learns, repeats, and refuses what it cannot use."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pedclip.retrieval import train
from pedclip.retrieval.config import PECMConfig
from pedclip.retrieval.pecm import PECM
from pedclip.retrieval.prototypes import Prototypes
from pedclip.retrieval.train import PECMTraining, RetrievalPairs, train_pecm
from tests.retrieval.drawn_pairs import pairs, seeded

CONFIG = PECMConfig(image_width=10, text_width=8, proj_dim=6)
QUICK = PECMTraining(epochs=12, batch_size=8, learning_rate=0.02, weights_rate=1.0)


def build(**switches: object) -> PECM:
    return PECM(4, config=replace(CONFIG, **switches), generator=seeded(0))  # type: ignore[arg-type]


def recall(pecm: PECM, split: RetrievalPairs) -> float:
    with torch.no_grad():
        ranking = pecm(split.image, split.text.values, split.text.mask).ranking()
    return float((ranking[:, 0] == split.report).float().mean())


def test_training_finds_reports_of_new_patients() -> None:
    pecm, new = build(), pairs(1, prefix="q")
    before = recall(pecm, new)
    history = train_pecm(pecm, pairs(), generator=seeded(0), training=QUICK, validation=new)
    assert recall(pecm, new) > before + 0.4
    assert history[-1].total < history[0].total / 2
    first, last = history[0].validation, history[-1].validation
    assert first is not None
    assert last is not None
    assert last < first
    assert [epoch.epoch for epoch in history] == list(range(1, 13))
    assert not pecm.training


def test_a_seed_gives_the_same_run_with_and_without_validation() -> None:
    runs = []
    for validation in (None, None, pairs(1, prefix="q")):
        pecm = build()
        history = train_pecm(pecm, pairs(), generator=seeded(5), training=QUICK, validation=validation)
        runs.append((pecm.state_dict(), history[-1].total))
    for state, total in runs[1:]:
        assert total == runs[0][1]
        assert all(torch.equal(state[name], value) for name, value in runs[0][0].items())
    other = build()
    assert train_pecm(other, pairs(), generator=seeded(6), training=QUICK)[-1].total != runs[0][1]


def test_the_schedule_is_half_a_cosine_over_all_steps() -> None:
    history = train_pecm(build(), pairs(films=20), generator=seeded(0), training=replace(QUICK, epochs=4))
    # 20 films in batches of 8, 8 and 4: the last step leaves nothing.
    expected = [0.02 * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(1, 5)]
    assert [epoch.learning_rate for epoch in history] == pytest.approx(expected, abs=1e-9)


def test_a_last_batch_of_one_pair_is_left_out() -> None:
    history = train_pecm(build(), pairs(films=17, reports=9), generator=seeded(0), training=replace(QUICK, epochs=2))
    assert history[-1].learning_rate == pytest.approx(0, abs=1e-12)


def test_the_losses_are_told_of_equal_reports_and_of_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Tensor]] = []
    original = train.pecm_losses

    def spy(pecm: PECM, image: Tensor, text: Tensor, **options: Tensor) -> object:
        seen.append({"text": text, **options})
        return original(pecm, image, text, **options)

    monkeypatch.setattr(train, "pecm_losses", spy)
    good = pairs(films=8, reports=4)
    distinct = good.text.mask.clone()
    distinct[2] = torch.tensor([False, False, False, True])
    good = replace(good, text=replace(good.text, distinct=distinct))
    train_pecm(build(), good, generator=seeded(0), training=replace(QUICK, epochs=1))
    # Each of four reports has two films, so each row knows itself and one other.
    assert seen[0]["same_text"].sum(1).tolist() == [2] * 8
    for text, mask, first in zip(seen[0]["text"], seen[0]["text_mask"], seen[0]["distinct"], strict=True):
        number = next(row for row in range(4) if torch.equal(good.text.values[row], text))
        assert torch.equal(mask, good.text.mask[number])
        assert torch.equal(first, distinct[number])


@pytest.mark.parametrize("config", [PECMConfig.as_printed(), PECMConfig.as_intended()])
def test_both_readings_train(config: PECMConfig) -> None:
    widths = {"image_width": 10, "text_width": 8, "proj_dim": 6}
    pecm = PECM(4, config=replace(config, **widths), generator=seeded(0))  # type: ignore[arg-type]
    history = train_pecm(pecm, pairs(), generator=seeded(0), training=QUICK)
    assert history[-1].total < history[0].total


def test_the_printed_diversity_collapses_what_the_intended_keeps_apart() -> None:
    # Tokens of one film have something in common, which a projection can keep or drop.
    good = pairs()
    common = replace(good, image=good.image + 1)
    cosines = {}
    for kind in ("as_printed", "orthogonal"):
        pecm = build(div_loss=kind, sim_weight=0.0, conf_weight=0.0)
        train_pecm(pecm, common, generator=seeded(0), training=replace(QUICK, epochs=60, learning_rate=0.05))
        with torch.no_grad():
            unit = torch.nn.functional.normalize(pecm.image_projection(common.image), dim=-1)
        gram = unit @ unit.transpose(1, 2)  # (N, K, K)
        cosines[kind] = float((gram.sum((1, 2)) - 4).mean() / 12)
    assert cosines["as_printed"] > 0.9
    assert cosines["orthogonal"] < 0.2


def test_a_weights_rate_of_zero_keeps_the_weights() -> None:
    fixed, free = build(), build()
    train_pecm(fixed, pairs(), generator=seeded(0), training=replace(QUICK, weights_rate=0.0))
    history = train_pecm(free, pairs(), generator=seeded(0), training=replace(QUICK, weights_rate=5.0))
    assert fixed.weights.tolist() == [1.0] * 4
    assert history[-1].entropy < math.log(4)
    assert history[-1].largest_weight == pytest.approx(float(free.weights.max().detach()) / 4)


def test_weights_per_pair_learn_at_the_rate_of_the_weights() -> None:
    fixed, free = build(w_mode="per_pair"), build(w_mode="per_pair", match="attention", conf_loss="as_printed")
    history = train_pecm(fixed, pairs(), generator=seeded(0), training=replace(QUICK, weights_rate=0.0))
    static = train_pecm(build(), pairs(), generator=seeded(0), training=replace(QUICK, weights_rate=0.0))
    train_pecm(free, pairs(), generator=seeded(0), training=replace(QUICK, weights_rate=5.0))
    # β stays 0, where weights per pair are the static ones.
    assert float(fixed.beta.detach()) == 0
    assert history[-1].total == pytest.approx(static[-1].total, rel=1e-4)
    # Agreement weighs more where confidence is asked for: the printed loss of Eq. 11 has no negatives.
    assert float(free.beta.detach()) > 0.1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": torch.zeros(24, 3, 10)}, r"films \(24, 3, 10\) and reports \(20, 4, 8\)"),
        ({"report": torch.zeros(24)}, r"report torch.float32 \(24,\) must be int64 \(24,\)"),
        ({"report": torch.full((24,), 20)}, "report holds 20 to 20: rows 0…19"),
        ({"report": torch.zeros(24, dtype=torch.int64)}, "fewer than two different reports"),
        ({"patients": ["p"]}, "1 patients for 24 films"),
        ({"image": torch.full((24, 4, 10), torch.nan)}, "image prototypes hold NaN"),
    ],
)
def test_pairs_that_do_not_fit_raise(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(pairs(), **changes)  # type: ignore[arg-type]


def test_masks_that_do_not_fit_raise() -> None:
    good = pairs()
    text = Prototypes(good.text.values, good.text.mask.float(), good.text.mask)
    with pytest.raises(ValueError, match=r"text.mask torch.float32 \(20, 4\) must be booleans"):
        replace(good, text=text)


def test_misuse_raises() -> None:
    with pytest.raises(ValueError, match="the pairs have 4 prototypes, PECM has 26"):
        train_pecm(PECM(26, config=CONFIG), pairs(), generator=seeded(0))
    with pytest.raises(ValueError, match=r"widths \(10, 8\) \(image, text\) do not fit"):
        train_pecm(PECM(4), pairs(), generator=seeded(0))
    with pytest.raises(ValueError, match="20 patients are in both training and validation"):
        train_pecm(build(), pairs(), generator=seeded(0), validation=pairs(1))
    for name, value in (("epochs", 0), ("batch_size", 1), ("learning_rate", 0.0), ("weights_rate", -1.0)):
        with pytest.raises(ValueError, match=f"{name}={value} is not allowed"):
            replace(QUICK, **{name: value})  # type: ignore[arg-type]


def test_a_loss_that_is_not_finite_raises() -> None:
    pecm = build()
    with torch.no_grad():
        pecm.theta[0] = torch.nan
    with pytest.raises(ValueError, match=r"the loss of epoch 1 is not finite: lower learning_rate=0\.02"):
        train_pecm(pecm, pairs(), generator=seeded(0), training=QUICK)


@pytest.mark.parametrize("rate", [1e10, 1e28])
def test_weights_that_are_not_finite_after_the_last_step_raise(rate: float) -> None:
    # One step: the loss before it is that of the first weights.
    training = PECMTraining(epochs=1, batch_size=20, learning_rate=rate, weights_rate=100.0)
    split = pairs(films=20)
    with pytest.raises(ValueError, match=r"weights or temperature after epoch 1 are not finite: lower learning_rate=1"):
        train_pecm(build(), split, generator=seeded(0), training=training)
    with pytest.raises(ValueError, match=r"step size 1e\+32 is not allowed: lower learning_rate"):
        train_pecm(build(), split, generator=seeded(0), training=replace(training, learning_rate=1e30))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_trains_to_the_same_losses() -> None:
    histories = [
        train_pecm(build(), pairs(), generator=seeded(0), training=replace(QUICK, epochs=3), device=device)
        for device in ("cpu", "cuda")
    ]
    # Sums in another order; nine steps carry the difference on.
    for on_cpu, on_gpu in zip(*histories, strict=True):
        assert on_gpu.total == pytest.approx(on_cpu.total, rel=1e-3)
