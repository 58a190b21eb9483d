"""MedCLIP by hand, against loops over Python numbers, over two processes and end to end."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, multiprocessing

from pedclip.objectives.base import FeatureBatch
from pedclip.objectives.medclip import LARGEST_LOG_SCALE, MedCLIPObjective, mean_over_tokens, soft_targets
from pedclip.objectives.tokens import tokenize
from tests.objectives.leaf_features import LABELS, LENGTHS, WIDTHS, leaf_features, leaves, padded, permuted
from tests.objectives.tiny_features import tiny_features, tiny_model
from tests.objectives.training_run import assert_resumes, check_equal_scores, epoch_losses, opened_like


def objective_of(**options: object) -> MedCLIPObjective:
    torch.manual_seed(3)
    return MedCLIPObjective(WIDTHS, width=3, **options).double()


def literal(objective: MedCLIPObjective, features: FeatureBatch, *, variant: str, length: int = 0) -> Tensor:
    """The loss in loops; a text has ``length`` tokens, or its own number."""
    size = len(LABELS)
    unit = []
    for row in range(size):
        film = objective.image_head.weight @ features.image.pooled[row]
        count, total = length or LENGTHS[row], 0
        for state in (features.text.hidden[1], features.text.hidden[2], features.text.hidden[3]):
            for place in range(count):
                total = total + state[row, place] / (3 * count)
        text = objective.text_head.weight @ total
        unit.append((film / film.square().sum().sqrt(), text / text.square().sum().sqrt()))
    loss = 0
    for row in range(size):
        alike = [sum(first * second for first, second in zip(LABELS[row], other, strict=True)) for other in LABELS]
        if variant == "paper":
            alike = [value / math.sqrt(sum(LABELS[row]) * sum(LABELS[at])) for at, value in enumerate(alike)]
        targets = [math.exp(value) / sum(math.exp(other) for other in alike) for value in alike]
        films_row = [objective.log_scale.exp() * (unit[row][0] @ unit[at][1]) for at in range(size)]
        texts_row = [objective.log_scale.exp() * (unit[row][1] @ unit[at][0]) for at in range(size)]
        for scores in (films_row, texts_row):
            norm = sum(score.exp() for score in scores).log()
            loss = loss - sum(target * (score - norm) for target, score in zip(targets, scores, strict=True))
    return loss / (2 * size)


@pytest.mark.parametrize("variant", ["paper", "code"])
@pytest.mark.parametrize("mask_padding", [True, False])
def test_equals_the_loops_with_gradients(variant: str, mask_padding: bool) -> None:
    objective, features = objective_of(variant=variant, mask_padding=mask_padding), leaf_features()
    values = objective(features)
    expected = literal(objective, features, variant=variant, length=0 if mask_padding else 6)
    torch.testing.assert_close(values["loss"], expected)
    torch.testing.assert_close(values["loss"], (values["image_to_text"] + values["text_to_image"]) / 2)
    used = [features.image.pooled, *features.text.hidden[1:], *objective.parameters()]
    for mine, other in zip(torch.autograd.grad(values["loss"], used), torch.autograd.grad(expected, used), strict=True):
        torch.testing.assert_close(mine, other)
        assert other.abs().max() > 0


def test_targets_by_hand() -> None:
    labels = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    e, shared = math.e, math.exp(math.sqrt(0.5))
    raw = soft_targets(labels, labels, variant="code")
    torch.testing.assert_close(raw[0], torch.tensor([e**2, e, 1]) / (e**2 + e + 1))
    cosines = soft_targets(labels, labels, variant="paper")
    torch.testing.assert_close(cosines[0], torch.tensor([e, shared, 1]) / (e + shared + 1))
    torch.testing.assert_close(cosines[2], torch.full((3,), 1 / 3))  # without labels, like all alike
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(soft_targets(labels, labels, variant="paper"), cosines)


def test_loss_is_least_where_scores_are_the_targets() -> None:
    features = leaf_features()
    objective = objective_of()
    values = objective(features)
    assert values["loss"] > values["entropy"] + 0.01
    # Films alike in every label, embeddings alike in every number: nothing is left to learn.
    same = replace(features, labels=torch.ones(4, 2, dtype=torch.float64))
    for tensor in leaves(same):
        tensor.data[:] = tensor.data[:1]
    same.tokens.attention_mask[:] = 1
    values = objective(same)
    assert values["loss"].item() == pytest.approx(math.log(4))
    assert values["entropy"].item() == pytest.approx(math.log(4))


def test_layers_and_tokens_by_hand() -> None:
    layers = [torch.full((1, 2, 1), float(value)) for value in (100, 1, 2, 50, 6)]
    layers[-1][0, 1] = torch.inf
    assert mean_over_tokens(tuple(layers), torch.tensor([[1, 0]])).item() == pytest.approx(3)
    # One layer stands in for all three; of two, the second counts twice.
    assert mean_over_tokens(tuple(layers[:2]), torch.tensor([[1, 1]])).item() == pytest.approx(1)
    assert mean_over_tokens(tuple(layers[:3]), torch.tensor([[1, 1]])).item() == pytest.approx(5 / 3)


def test_padding_and_order_change_nothing() -> None:
    objective, features = objective_of(), leaf_features()
    loss = objective(features)["loss"]
    torch.testing.assert_close(objective(padded(features, 3))["loss"], loss)
    order = torch.tensor([2, 0, 3, 1])
    shuffled = permuted(features, order)
    torch.testing.assert_close(objective(shuffled)["loss"], loss)
    scores = objective.pair_scores(features.image, features.text, features.tokens)
    mixed = objective.pair_scores(shuffled.image, features.text, features.tokens)
    torch.testing.assert_close(mixed, scores[order])
    mixed = objective.pair_scores(features.image, shuffled.text, shuffled.tokens)
    torch.testing.assert_close(mixed, scores[:, order])
    # As released, padding counts.
    released = objective_of(mask_padding=False)
    assert abs(released(features)["loss"] - released(padded(features, 3))["loss"]) > 1e-3


def test_scale_is_learned_between_its_bounds() -> None:
    objective, features = objective_of(), leaf_features()
    values = objective(features)
    assert values["scale"].item() == pytest.approx(1 / 0.07)
    for start, bound in ((9.0, LARGEST_LOG_SCALE), (-1.0, 0.0)):
        objective.log_scale.data.fill_(start)
        values = objective(features)
        assert objective.log_scale.item() == bound
        assert values["scale"].item() == pytest.approx(math.exp(bound))
        (gradient,) = torch.autograd.grad(values["loss"], objective.log_scale)
        assert gradient != 0  # it can come back


def test_gradient_against_finite_differences() -> None:
    objective, features = objective_of(), leaf_features()
    objective.log_scale.data.fill_(1.0)

    def loss(pooled: Tensor, last: Tensor) -> Tensor:
        image = replace(features.image, pooled=pooled)
        text = replace(features.text, hidden=(*features.text.hidden[:3], last))
        return objective(replace(features, image=image, text=text))["loss"]

    assert torch.autograd.gradcheck(loss, (features.image.pooled, features.text.hidden[3]))


def test_a_sentence_is_drawn() -> None:
    tokens = leaf_features().tokens
    drawn = set()
    for seed in range(20):
        view = objective_of().text_view(tokens, generator=torch.Generator().manual_seed(seed))
        drawn.add(tuple(view.input_ids[0, view.attention_mask[0] == 1].tolist()))
    assert drawn == {(0, 1, 2, 3, 5), (0, 4, 5)}
    assert objective_of(text="excerpt").text_view(tokens, generator=torch.Generator()) is tokens


def test_logits_stay_exact_under_autocast() -> None:
    features = leaf_features()
    objective = objective_of().float()
    unit = torch.nn.functional.normalize(torch.randn(4, 3, generator=torch.Generator().manual_seed(1)), dim=-1)
    objective.embed_image = lambda image: unit
    objective.embed_text = lambda text, tokens: unit.flip(0)
    features = replace(features, labels=features.labels.float())
    exact = objective(features)["loss"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(objective(features)["loss"], exact)


def _half(features: FeatureBatch, rank: int) -> FeatureBatch:
    return permuted(features, torch.tensor([2 * rank, 2 * rank + 1]))


def _one_rank(rank: int, folder: str) -> None:
    store = torch.distributed.FileStore(f"{folder}/store", 2)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2, store=store)
    objective = objective_of()
    loss = objective(_half(leaf_features(), rank))["loss"]
    loss.backward()
    values = torch.cat([loss.detach().view(1), *(value.grad.flatten() for value in objective.parameters())])
    torch.distributed.all_reduce(values)  # what DDP does to gradients: the mean over ranks
    torch.save(values / 2, f"{folder}/rank{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    multiprocessing.spawn(_one_rank, args=(str(tmp_path),), nprocs=2)
    objective = objective_of()
    loss = objective(leaf_features())["loss"]
    loss.backward()
    expected = torch.cat([loss.detach().view(1), *(value.grad.flatten() for value in objective.parameters())])
    for rank in range(2):
        torch.testing.assert_close(torch.load(tmp_path / f"rank{rank}.pt", weights_only=True), expected)


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_short_texts_and_signs_alone_give_finite_gradients(variant: str) -> None:
    model = tiny_model()
    features = tiny_features(model, epoch=1.0)
    tokens = tokenize(model.tokenizer, ["Film", ".", "...", "Film 2."], max_tokens=16)
    text = model.encode_text(tokens.input_ids, tokens.attention_mask)
    objective = MedCLIPObjective(model, variant=variant, width=8)
    objective(replace(features, text=text, tokens=tokens))["loss"].backward()
    gradients = [value.grad for module in (model, objective) for value in module.parameters()]
    assert all(gradient.isfinite().all() for gradient in gradients if gradient is not None)
    assert all(value.grad.abs().max() > 0 for value in objective.parameters())


def test_misuse_raises() -> None:
    with pytest.raises(ValueError, match=r"variant='papers' is not allowed: one of \('paper', 'code'\)"):
        objective_of(variant="papers")
    with pytest.raises(ValueError, match=r"text='word' is not allowed: one of"):
        objective_of(text="word")
    with pytest.raises(ValueError, match="width=0 is not allowed: at least 1"):
        MedCLIPObjective(WIDTHS, width=0)


@pytest.mark.parametrize(("variant", "layers"), [("paper", (-1,)), ("code", ())])
def test_it_trains_goes_on_and_is_opened_with_its_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str, layers: tuple[int, ...]
) -> None:
    chosen = {"variant": variant, "width": 8}
    settings = {"objective_options": chosen, "epochs": 6, "learning_rate": 3e-3, "schedule": "cosine"}
    whole, resumed = assert_resumes(tmp_path, monkeypatch, "medclip", layers, **settings)
    losses = epoch_losses(whole)
    assert losses[-1] < losses[0] - 0.02
    first, second = (
        opened_like(run, tmp_path / name, layers) for run, name in ((whole, "whole"), (resumed, "stopped"))
    )
    assert (second.name, second.options["variant"]) == ("medclip", variant)
    check_equal_scores(first, second)
