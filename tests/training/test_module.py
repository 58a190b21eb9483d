"""The training step is the printed one; a rival with heads and views of its own needs nothing but a line."""

import dataclasses
import math
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pedclip.models.pedclip import PedCLIP
from pedclip.objectives import registry
from pedclip.objectives.base import FeatureBatch, Objective
from pedclip.objectives.tokens import Tokens
from pedclip.objectives.trained import open_model
from pedclip.training.config import TrainingConfig
from pedclip.training.loop import build_model, pretrain, read_history
from pedclip.training.module import PretrainModule, build_objective, validation_metrics
from pedclip.triplets.transforms import to_pixels
from tests.training.steps import Position, lone_module
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

    def text_view(self, tokens: Tokens, *, generator: object) -> Tokens:
        return Tokens(*(value[:, :2] for value in vars(tokens).values()))

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
    config = tiny_config({"mobe_layers": ()}, objective="rival", objective_options={"strength": 2.5}, epochs=2, seed=3)
    pretrain(tiny_arrays(16), tiny_arrays(9), config=config, run=tmp_path)
    (rival,) = made
    assert (rival.seed, rival.strength) == (3, 2.5)  # an option of a field's name takes its value
    assert not torch.equal(rival.head.weight, initial[0])
    stored = torch.load(tmp_path / "resume" / "last.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(stored["objective.head.weight"], rival.head.weight)
    # White films cannot be told apart, the excerpts have two tokens, and time passes in steps of half an epoch.
    assert [(epoch, tokens) for epoch, _, tokens in rival.seen] == [(0.0, 2), (0.5, 2), (1.0, 2), (1.5, 2)]
    assert max(spread for _, spread, _ in rival.seen) < 1e-6
    logged = {name for row in read_history(tmp_path) for name in row if name.startswith("train/")}
    assert logged == {"train/distance", "train/loss"}
    opened = open_model(tmp_path / "checkpoint")
    assert torch.equal(opened.objective.head.weight, rival.head.weight)


@pytest.mark.usefixtures("_with_rival")
def test_a_rival_with_experts_teaches_their_gate(tmp_path: Path) -> None:
    config = tiny_config({"mobe_layers": (-1,)}, objective="rival", epochs=2, teacher_epochs=1)
    pretrain(tiny_arrays(16), tiny_arrays(9), config=config, run=tmp_path)
    logged = {name for row in read_history(tmp_path) for name in row if name.startswith("train/")}
    assert logged == {f"train/{name}" for name in ("distance", "loss", "gate", "gate_accuracy", "lambda")}


@pytest.mark.usefixtures("_with_rival")
def test_options_that_the_objective_lacks_are_refused() -> None:
    with pytest.raises(ValueError, match="objective_options='strenght' is not allowed: an option of 'rival'"):
        tiny_config(objective="rival", objective_options={"strenght": 1.0})


def test_the_schedule_of_the_configuration_reaches_the_objective() -> None:
    model = nn.Module()  # PedCLIP's own objective has no heads and reads nothing of it
    objective = build_objective(tiny_config(epochs=10, teacher_epochs=4, lambda_end=0.5).training, model)
    assert [objective.schedule(epoch) for epoch in (3.9, 4, 7, 10)] == [
        (1.0, True),
        (1.0, False),
        (0.75, False),
        (0.5, False),
    ]
    assert objective.inner.mask_equal_texts  # as in the demo profile
    assert build_objective(tiny_config(teacher_epochs=-1, epochs=10).training, model).schedule(2.1)[1] is False


def test_contrastive_objective_logs_no_gate(tmp_path: Path) -> None:
    result = pretrain(tiny_arrays(16), tiny_arrays(9), config=tiny_config(objective="clip", epochs=1), run=tmp_path)
    logged = {name for row in result.history for name in row if name.startswith("train/")}
    assert logged == {"train/contrastive", "train/loss"}
    assert any("val/gate_accuracy" in row for row in result.history)  # the model has experts all the same


@pytest.mark.parametrize(("layers", "expected"), [((), set()), ((-1,), {"val/gate_accuracy", "val/gate_entropy"})])
def test_an_objective_without_a_cosine_logs_none(tmp_path: Path, layers: tuple[int, ...], expected: set[str]) -> None:
    config = tiny_config({"mobe_layers": layers}, objective="carzero", objective_options={"depth": 1}, epochs=1)
    result = pretrain(tiny_arrays(16), tiny_arrays(9), config=config, run=tmp_path)
    assert {name for row in result.history for name in row if name.startswith("val/")} == expected


def cross_entropy(scores: list[float], right: int, kept: list[int]) -> float:
    """−log softmax(scores)[right] over some of the scores, in Python floats."""
    return math.log(sum(math.exp(scores[index]) for index in kept)) - scores[right]


def contrastive(similarity: Tensor, words: list[int], temperature: float) -> float:
    """Eq. 3 and 4 from cosines (N, N) in loops; other rows of the same words are no negatives."""
    size, total = len(words), 0.0
    for scores in (similarity, similarity.t()):
        for row in range(size):
            kept = [other for other in range(size) if other == row or words[other] != words[row]]
            total += cross_entropy((scores[row] / temperature).tolist(), row, kept)
    return total / (2 * size)


@pytest.mark.parametrize("mask_equal_texts", [True, False])
@pytest.mark.parametrize(
    ("epoch", "batch_idx", "weight", "is_forced"),
    # 10 epochs of 4 batches, labels choose in the first 4, λ falls to 1/2 over the 24 batches of the other 6.
    [
        (0, 0, 1.0, True),
        (3, 3, 1.0, True),
        (4, 0, 1.0, False),
        (7, 2, 1 - 0.5 * 14 / 24, False),
        (9, 3, 1 - 0.5 * 23 / 24, False),
    ],
)
def test_the_step_is_the_printed_sum(
    epoch: int, batch_idx: int, weight: float, is_forced: bool, mask_equal_texts: bool
) -> None:
    model_changes = {"mobe_layers": (0, 1), "expert_init": "random", "temperature": 0.3}
    config = tiny_config(
        model_changes, epochs=10, teacher_epochs=4, lambda_end=0.5, mask_equal_texts=mask_equal_texts, augment="affine"
    )
    logged: dict[str, Tensor] = {}
    module, rows = lone_module(config, tiny_arrays(32), epoch=epoch, logged=logged)
    model = module.model
    torch.nn.init.normal_(model.image_encoder.vit.blocks[-1].mobe.gate.weight)  # a gate that has an opinion
    batch = rows[[0, 21, 2, 3, 4, 6]]  # rows 0 and 21 have the same words
    module.on_train_batch_start(batch, batch_idx)
    loss = module.training_step(batch, batch_idx)
    regions, words = batch["regions"], batch["text_ids"].tolist()
    assert words[0] == words[1]
    generator = torch.Generator().manual_seed(torch.initial_seed())
    image = model.encode_image(
        to_pixels(batch["images"], model.preprocess, generator=generator), regions if is_forced else None
    )
    text = model.encode_text(batch["input_ids"], batch["attention_mask"])
    similarity = (image.embedding @ text.embedding.t()).detach().double()
    pairs = contrastive(similarity, words if mask_equal_texts else list(range(6)), 0.3)
    blocks = [logits.detach().double().tolist() for logits in image.gate_logits]
    gate = sum(
        cross_entropy(scores[row], int(regions[row]), list(range(23))) for scores, row in product(blocks, range(6))
    ) / (2 * 6)
    assert float(loss.detach()) == pytest.approx(pairs + weight * gate, rel=1e-5)
    right = sum(scores.index(max(scores)) == int(region) for scores, region in zip(blocks[-1], regions, strict=True))
    assert {name: float(value) for name, value in logged.items()} == {
        "train/contrastive": pytest.approx(pairs, rel=1e-5),
        "train/gate": pytest.approx(gate, rel=1e-5),
        "train/gate_accuracy": pytest.approx(right / 6),
        "train/lambda": pytest.approx(weight),
        "train/loss": pytest.approx(pairs + weight * gate, rel=1e-5),
    }
    assert not any(value.requires_grad for value in logged.values())  # a logged graph would fill the memory


def test_views_are_drawn_anew_at_every_step_and_shift_no_dropout() -> None:
    module, rows = lone_module(tiny_config(), tiny_arrays(32), epoch=0, logged={})
    seen: list[Tensor] = []
    encode = module.model.encode_image
    module.model.encode_image = lambda pixels, regions: seen.append(pixels) or encode(pixels, regions)
    batch = rows[list(range(8))]
    for batch_idx in (0, 1, 0):
        module.on_train_batch_start(batch, batch_idx)
        state = torch.get_rng_state()
        module.training_step(batch, batch_idx)
        assert torch.equal(torch.get_rng_state(), state)  # what dropout draws next does not depend on the views
    first, second, again = seen
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, to_pixels(batch["images"], module.model.preprocess))


def test_numbers_of_a_step_are_its_own_on_every_rank_and_in_every_run() -> None:
    module, _ = lone_module(tiny_config(epochs=4), tiny_arrays(32), epoch=0, logged={})
    seeds = {}
    for seed, epoch, batch_idx, rank in product((0, 1), range(4), range(4), (0, 1, 4095)):
        module.config = dataclasses.replace(module.config, seed=seed)
        module.trainer = Position(epoch, rank)
        module.on_train_batch_start({}, batch_idx)
        seeds[seed, epoch, batch_idx, rank] = torch.initial_seed()
        module.on_train_batch_start({}, batch_idx)
        assert torch.initial_seed() == seeds[seed, epoch, batch_idx, rank]
    assert len(set(seeds.values())) == len(seeds)


@pytest.mark.parametrize("augment", ["none", "affine"])
def test_augmentation_of_the_configuration_reaches_the_films(augment: str) -> None:
    model = build_model(tiny_config(augment=augment), tiny_arrays(9))
    assert model.preprocess.augment == augment
    assert (model.preprocess.size, model.preprocess.resize) == (16, 18)


def optimizer_of(module: nn.Module, *, batches_per_epoch: int = 5, **training: object) -> dict[str, object]:
    """Optimizer and scheduler of a module with these weights."""
    config = dataclasses.replace(TrainingConfig(), objective="clip", **training)
    pretrained = PretrainModule(module, config, batches_per_epoch=batches_per_epoch)
    return pretrained.configure_optimizers()


def rates(steps: int, **training: object) -> list[float]:
    """Learning rate of every step, as a share of the highest one."""
    made = optimizer_of(nn.Linear(2, 2), learning_rate=0.5, **training)
    assert made["lr_scheduler"]["interval"] == "step"
    scheduler = made["lr_scheduler"]["scheduler"]
    found = []
    for _ in range(steps):
        found.append(scheduler.get_last_lr()[0] / 0.5)
        scheduler.optimizer.step()
        scheduler.step()
    return found


def test_rate_rises_in_a_line_and_falls_in_half_a_cosine() -> None:
    # 5 batches in pairs are 3 steps an epoch, the last one of a single batch: 15 steps, of which a fifth warm up.
    found = rates(16, epochs=5, accumulate=2, warmup_fraction=0.2)
    expected = [1 / 3, 2 / 3, 1] + [(1 + math.cos(math.pi * step / 12)) / 2 for step in range(13)]
    assert found == pytest.approx(expected)
    assert (found[3], found[9], found[15]) == pytest.approx((1, 0.5, 0))  # by eye


def test_rate_without_warm_up_with_the_shortest_and_without_a_schedule() -> None:
    assert rates(3, epochs=2, warmup_fraction=0.0) == pytest.approx(
        [1, (1 + math.cos(math.pi / 10)) / 2, (1 + math.cos(math.pi / 5)) / 2]
    )
    # 1 % of ten steps is one step: at its end the rate is full, and nine are left to fall in.
    assert rates(3, epochs=2, warmup_fraction=0.01) == pytest.approx([1, 1, (1 + math.cos(math.pi / 9)) / 2])
    assert rates(12, epochs=2, schedule="constant", warmup_fraction=0.5) == [1] * 12


def test_weight_decay_moves_matrices_alone() -> None:
    model = build_model(tiny_config({"learn_temperature": True, "projection_dim": 8}), tiny_arrays(9))
    frozen = model.text_encoder.bert.embeddings.word_embeddings.weight.requires_grad_(False)
    optimizer = optimizer_of(model, learning_rate=0.5, weight_decay=0.25, schedule="constant")["optimizer"]
    assert type(optimizer) is torch.optim.AdamW
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    moved = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    assert sorted(moved) == sorted(id(value) for value in model.parameters() if value is not frozen)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 1  # biases of 0 would not show a decay
    optimizer.step()
    plain = ("bias", "norm", "LayerNorm", ".b1", ".b2", "pos_embed", "cls_token", "log_temperature")
    for name, value in model.named_parameters():
        is_plain = value is frozen or any(part in name for part in plain)
        torch.testing.assert_close(value.detach(), (before[name] + 1) * (1 if is_plain else 0.875), msg=name)


def test_validation_by_hand() -> None:
    # Films 0 and 2 have the same words. Film 0 is nearest to text 2, film 1 to text 3, film 2 to text 0, film 3 to 1.
    cosines = torch.tensor([[0.5, 0.0, 0.6, 0.1], [0.3, 0.4, 0.1, 0.7], [0.9, 0.2, 0.1, 0.3], [0.1, 0.8, 0.2, 0.75]])
    parts = {
        "image": cosines.double(),
        "text": torch.eye(4, dtype=torch.float64),
        "text_ids": torch.tensor([5, 1, 5, 2]),
        "region": torch.tensor([0, 1, 0, 3]),
        "gate": torch.tensor([0, 1, 2, 3]),
        "entropy": torch.tensor([0.0, 1.0, 2.0, 3.0]),
    }
    found = {name: float(value) for name, value in validation_metrics(parts, torch.tensor(0.25)).items()}
    assert found == {
        "val/image_to_text_recall@1": 0.5,  # films 0 and 2, by their twin's words
        "val/image_to_text_recall@5": 1.0,  # four texts are fewer than five
        "val/text_to_image_recall@1": 0.75,  # text 0 finds film 2, text 2 film 0, text 3 its own
        "val/text_to_image_recall@5": 1.0,
        "val/contrastive": pytest.approx(contrastive(cosines.double(), [5, 1, 5, 2], 0.25)),
        "val/gate_accuracy": 0.75,
        "val/gate_entropy": 1.5,
    }
    # Of an objective without a cosine there are neither embeddings nor what is measured by them.
    scored = {name: parts[name] for name in ("text_ids", "region", "gate", "entropy")}
    assert validation_metrics(scored, torch.tensor(0.25)) == {"val/gate_accuracy": 0.75, "val/gate_entropy": 1.5}
    del parts["gate"]
    assert "val/gate_accuracy" not in validation_metrics(parts, torch.tensor(0.25))


def test_recall_of_the_nearest_five_in_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    cosines, words = torch.rand(20, 20, generator=generator), torch.arange(20) % 17
    parts = {"image": cosines, "text": torch.eye(20), "text_ids": words, "region": words}
    found = validation_metrics(parts, torch.tensor(0.25))
    for name, scores in (("image_to_text", cosines), ("text_to_image", cosines.t())):
        for k in (1, 5):
            hits = [words[row] in words[sorted(range(20), key=lambda at: -scores[row, at])[:k]] for row in range(20)]
            assert float(found[f"val/{name}_recall@{k}"]) == pytest.approx(sum(hits) / 20), name


def test_validation_embeds_as_the_model_is_used_and_forgets() -> None:
    logged: dict[str, Tensor] = {}
    config = tiny_config({"expert_init": "random", "mobe_layers": (0, 1)})
    module, rows = lone_module(config, tiny_arrays(32), epoch=0, logged=logged)
    batch = rows[[0, 1, 2, 3, 4, 5, 6, 21]]
    with torch.no_grad():
        image = module.model.encode_image(to_pixels(batch["images"], module.model.preprocess))
        text = module.model.encode_text(batch["input_ids"], batch["attention_mask"])
        first, last = (logits.argmax(-1) for logits in image.gate_logits)
        # As if the last gate were right on the first five films, so that its accuracy is 5/8.
        batch["regions"] = torch.where(torch.arange(8) < 5, last, (last + 1) % 23)
        assert (first == batch["regions"]).float().mean() != 0.625
        found = []
        for _ in range(2):
            for number, part in enumerate((slice(4), slice(4, 8))):
                module.validation_step({name: values[part] for name, values in batch.items()}, number)
            module.on_validation_epoch_end()
            found.append({name: float(value) for name, value in logged.items()})
    assert found[0] == found[1]  # the second round holds no row of the first
    assert found[0]["val/gate_accuracy"] == 0.625
    weights = image.gate_logits[-1].softmax(-1)
    assert found[0]["val/gate_entropy"] == pytest.approx(float(-(weights * weights.log()).sum(-1).mean()), rel=1e-5)
    expected = {
        "image": image.embedding,
        "text": text.embedding,
        "text_ids": batch["text_ids"],
        "region": batch["regions"],
    }
    for name, value in validation_metrics(expected, module.model.temperature).items():
        assert found[0][name] == pytest.approx(float(value), rel=1e-5), name


def test_a_region_head_is_trained_without_experts_and_refused_with_them(tmp_path: Path) -> None:
    config = tiny_config({"mobe_layers": ()}, objective="clip", region_head=True, epochs=1, teacher_epochs=0)
    pretrain(tiny_arrays(16), tiny_arrays(9), config=config, run=tmp_path)
    logged = {name for row in read_history(tmp_path) for name in row if name.startswith("train/")}
    assert logged == {f"train/{name}" for name in ("contrastive", "loss", "region", "region_accuracy", "lambda")}
    with pytest.raises(ValueError, match="region_head=True is not allowed: only without experts"):
        tiny_config({"mobe_layers": (-1,)}, region_head=True)
