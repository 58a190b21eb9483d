"""MGCA by hand, against loops over words, patches and prototypes, and end to end."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pedclip.objectives import mgca
from pedclip.objectives.base import FeatureBatch
from pedclip.objectives.mgca import MGCAObjective, balanced_assignment, importance, token_alignment
from pedclip.objectives.tokens import tokenize
from tests.objectives.leaf_features import LENGTHS, WIDTHS, WORDS, leaf_features, leaves, padded, permuted
from tests.objectives.tiny_features import tiny_features, tiny_model
from tests.objectives.training_run import assert_resumes, check_equal_scores, epoch_losses, opened_like

SMALL = {"width": 3, "hidden_width": 4, "num_prototypes": 5}


def objective_of(**options: object) -> MGCAObjective:
    torch.manual_seed(3)
    objective = MGCAObjective(WIDTHS, **(SMALL | options)).double()
    for module in objective.modules():
        if isinstance(module, nn.BatchNorm1d) and module.affine:
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return objective


def unit(row: Tensor) -> Tensor:
    return row / row.square().sum().sqrt()


def head(layers: nn.Sequential, rows: list[Tensor]) -> list[Tensor]:
    """Unit vectors behind a head, with the statistics of these rows."""

    def normalized(rows: list[Tensor]) -> list[Tensor]:
        mean = sum(rows) / len(rows)
        deviation = (sum((row - mean) ** 2 for row in rows) / len(rows) + 1e-5).sqrt()
        return [(row - mean) / deviation for row in rows]

    first, norm, _, second, _ = layers
    hidden = normalized([first.weight @ row + first.bias for row in rows])
    hidden = [(row * norm.weight + norm.bias).clamp(min=0) for row in hidden]
    return [unit(row) for row in normalized([second.weight @ row + second.bias for row in hidden])]


def cross_entropy(scores: list[Tensor], right: int) -> Tensor:
    return sum(score.exp() for score in scores).log() - scores[right]


def clipped(weights: list[float]) -> list[float]:
    """Clipped to the 10 % and 90 % quantiles, interpolated in a line; their sum is 1."""
    ordered = sorted(weights)

    def quantile(share: float) -> float:
        place = share * (len(ordered) - 1)
        low = math.floor(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (place - low) * (ordered[high] - ordered[low])

    kept = [min(max(weight, quantile(0.1)), quantile(0.9)) for weight in weights]
    return [weight / sum(kept) for weight in kept]


def alignment(tokens: list[Tensor], others: list[Tensor], weights: list[float], tau: float, is_unit: bool) -> Tensor:
    """Token-wise alignment of one pair."""
    contexts = []
    for token in tokens:
        shares = [(token @ other / tau).exp() for other in others]
        context = sum(share / sum(shares) * other for share, other in zip(shares, others, strict=True))
        contexts.append(unit(context) if is_unit else context)
    total = 0
    for at, weight in enumerate(weights):
        row = [tokens[at] @ context / tau for context in contexts]
        column = [token @ contexts[at] / tau for token in tokens]
        total = total + weight * (cross_entropy(row, at) + cross_entropy(column, at)) / 2
    return total


def assigned(scores: list[list[float]]) -> list[list[float]]:
    """Sinkhorn's algorithm as the release writes it, on a row per prototype."""
    shares = [[math.exp(row[at] / 0.05) for row in scores] for at in range(len(scores[0]))]
    whole = sum(map(sum, shares))
    shares = [[share / whole for share in row] for row in shares]
    for _ in range(3):
        shares = [[share / sum(row) / len(shares) for share in row] for row in shares]
        sums = [sum(row[film] for row in shares) for film in range(len(scores))]
        shares = [[share / sums[film] / len(scores) for film, share in enumerate(row)] for row in shares]
    sums = [sum(row[film] for row in shares) for film in range(len(scores))]
    return [[row[film] / sums[film] for row in shares] for film in range(len(scores))]


def literal(objective: MGCAObjective, features: FeatureBatch) -> dict[str, Tensor]:
    """All three parts in loops over pairs, words, patches and prototypes."""
    size, tau, is_code = len(LENGTHS), objective.local_temperature, objective.variant == "code"
    films = head(objective.image_head, list(features.image.pooled))
    reports = head(objective.report_head, [tokens[0] for tokens in features.text.tokens])
    ita = 0
    for row in range(size):
        ita = ita + cross_entropy([films[row] @ report / objective.temperature for report in reports], row)
        ita = ita + cross_entropy([reports[row] @ film / objective.temperature for film in films], row)
    ita = ita / size if is_code else ita / (2 * size)
    words, attention = [], []
    for row, numbers in enumerate(WORDS):
        # A report of signs alone is read at [CLS].
        pieces = {number: [at for at, other in enumerate(numbers) if other == number] for number in set(numbers) - {-1}}
        pieces = pieces or {0: [0]}
        words.append([sum(features.text.tokens[row, at] for at in pieces[number]) for number in sorted(pieces)])
        seen = features.text.attention[row].detach().mean(0).tolist()
        attention.append(clipped([sum(seen[at] for at in pieces[number]) for number in sorted(pieces)]))
    flat = iter(head(objective.word_head, [word for text in words for word in text]))
    words = [[next(flat) for _ in text] for text in words]
    flat = iter(head(objective.patch_head, list(features.image.patches.flatten(0, 1))))
    cta = 0
    for row in range(size):
        patches, seen = [next(flat) for _ in range(3)], features.image.attention
        weights = [1 / 3] * 3 if seen is None else clipped(seen[row].detach().mean(0).tolist())
        cta = cta + alignment(words[row], patches, attention[row], tau, True)
        cta = cta + alignment(patches, words[row], weights, tau, not is_code or seen is None)
    cta = cta / size if is_code else cta / (2 * size)
    prototypes = list(objective.prototypes.weight)
    of_films = [[film @ prototype for prototype in prototypes] for film in films]
    of_reports = [[report @ prototype for prototype in prototypes] for report in reports]
    cpa = 0
    for goal, guess in ((of_films, of_reports), (of_reports, of_films)):
        for shares, scores in zip(
            assigned([[float(score.detach()) for score in row] for row in goal]), guess, strict=True
        ):
            scaled = [score / objective.prototype_temperature for score in scores]
            cpa = cpa + sum(share * cross_entropy(scaled, at) for at, share in enumerate(shares)) / (2 * size)
    first, second, third = objective.lambdas
    return {"ita": ita, "cta": cta, "cpa": cpa, "loss": first * ita + second * cta + third * cpa}


@pytest.mark.parametrize("has_attention", [True, False])
@pytest.mark.parametrize("variant", ["paper", "code"])
def test_equals_the_loops_with_gradients(variant: str, has_attention: bool) -> None:
    objective = objective_of(variant=variant, lambda_2=0.7, lambda_3=0.5)
    features = leaf_features(has_attention=has_attention)
    before = objective.prototypes.weight.detach().clone()
    values = objective(features)
    # Prototypes keep their directions and lose their lengths.
    torch.testing.assert_close(objective.prototypes.weight.detach(), nn.functional.normalize(before, dim=1))
    expected = literal(objective, features)
    assert values.keys() == expected.keys()
    used = [features.image.pooled, features.image.patches, features.text.hidden[3], *objective.parameters()]
    for name, value in expected.items():
        torch.testing.assert_close(values[name], value, msg=name)
        mine, other = (
            torch.autograd.grad(loss, used, retain_graph=True, allow_unused=True) for loss in (values[name], value)
        )
        for at, (left, right) in enumerate(zip(mine, other, strict=True)):
            assert (left is None) == (right is None), (name, at)
            if left is not None:
                torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-9)
    gradients = torch.autograd.grad(objective(features)["loss"], used)
    assert all(gradient.abs().max() > 0 for gradient in (*gradients[:3], gradients[-1]))


def test_variants_and_weights_do_what_they_say() -> None:
    features = leaf_features(has_attention=False)
    paper, code = objective_of()(features), objective_of(variant="code")(features)
    # Without a ViT the release differs by the sums alone.
    for name, factor in (("ita", 2), ("cta", 2), ("cpa", 1)):
        torch.testing.assert_close(code[name], factor * paper[name])
    weighted = objective_of(lambda_1=0.0, lambda_2=0.25, lambda_3=3.0)(features)
    torch.testing.assert_close(weighted["loss"], 0.25 * paper["cta"] + 3 * paper["cpa"])
    twins = replace(features, text_ids=torch.tensor([0, 1, 0, 2]))
    masked = objective_of(mask_equal_texts=True)
    torch.testing.assert_close(masked(features)["ita"], paper["ita"])
    assert masked(twins)["ita"] < paper["ita"]
    seen = leaf_features()
    assert abs(objective_of(variant="code")(seen)["cta"] - 2 * objective_of()(seen)["cta"]) > 1e-3
    for name, part in (("temperature", "ita"), ("local_temperature", "cta"), ("prototype_temperature", "cpa")):
        changed = objective_of(**{name: 0.5})(features)
        assert {key for key in ("ita", "cta", "cpa") if not torch.equal(changed[key], paper[key])} == {part}


def test_importance_by_hand() -> None:
    # Quantiles of 1…5 at 10 % and 90 % are 1.4 and 4.6; of 2 and 6 they are 2.4 and 5.6.
    attention = torch.tensor([[5.0, 1.0, 2.0, 3.0, 4.0], [2.0, 6.0, 9.0, 9.0, 9.0], [7.0, 0.0, 0.0, 0.0, 0.0]])
    mask = torch.tensor([[True] * 5, [True, True, False, False, False], [True, False, False, False, False]])
    expected = torch.tensor([[4.6, 1.4, 2, 3, 4], [4.5, 10.5, 0, 0, 0], [15, 0, 0, 0, 0]]) / 15
    torch.testing.assert_close(importance(attention, mask), expected)
    # An image token that sees itself alone.
    torch.testing.assert_close(importance(torch.zeros(1, 4).half(), torch.ones(1, 4) > 0), torch.full((1, 4), 0.25))


def test_token_alignment_by_hand() -> None:
    eye = torch.eye(2)[None]
    # Contexts (3/4, 1/4) and (1/4, 3/4): scores 3/4 and 1/4 apart, over a temperature of 1 / ln 3.
    tau = 1 / math.log(3)
    odds = 3 ** (3 / 4 - 1 / 4)
    found = token_alignment(eye, eye, torch.tensor([[0.2, 0.8]]), temperature=tau, unit_contexts=False)
    assert found.item() == pytest.approx(math.log(1 + 1 / odds))
    # Of length 1 they are 3/√10 and 1/√10.
    found = token_alignment(eye, eye, torch.tensor([[0.2, 0.8]]), temperature=tau)
    assert found.item() == pytest.approx(math.log(1 + 3 ** (-2 / math.sqrt(10))))
    # A single word has no negative.
    assert token_alignment(eye[:, :1], eye, torch.ones(1, 1), temperature=tau).item() == 0


def test_assignment_by_hand_and_in_balance() -> None:
    scores = 0.05 * math.log(3) * torch.eye(2)
    torch.testing.assert_close(balanced_assignment(scores), torch.tensor([[0.75, 0.25], [0.25, 0.75]]))
    # Every film is nearest to the first prototype; all the same each prototype gets two of the eight.
    drawn = torch.rand(8, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 8
    drawn[:, 0] += 0.2
    drawn.requires_grad_()
    shares = balanced_assignment(drawn)
    torch.testing.assert_close(shares.sum(1), torch.ones(8, dtype=torch.float64))
    torch.testing.assert_close(shares.sum(0), torch.full((4,), 2.0, dtype=torch.float64), rtol=0, atol=0.2)
    assert not shares.requires_grad
    torch.testing.assert_close(shares.tolist(), assigned(drawn.tolist()))
    torch.testing.assert_close(balanced_assignment(drawn + 0.3), shares)


@pytest.mark.parametrize("rank", [0, 1])
def test_assignment_is_that_of_the_joint_batch(monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    scores = torch.rand(6, 4, generator=torch.Generator().manual_seed(0))
    expected = balanced_assignment(scores)[3 * rank : 3 * rank + 3]
    monkeypatch.setattr(mgca, "rows_of_all_ranks", lambda rows: scores)
    monkeypatch.setattr(mgca.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(mgca.distributed, "get_rank", lambda: rank)
    assert torch.equal(balanced_assignment(scores[3 * rank : 3 * rank + 3]), expected)


def test_prototypes_wait_for_the_second_epoch() -> None:
    objective = objective_of()
    # Asked for after the last one: no step may spoil the graph of another.
    losses = [objective(leaf_features(epoch=epoch))["loss"] for epoch in (0.0, 0.99, 1.0)]
    gradients = [torch.autograd.grad(loss, objective.prototypes.weight)[0].abs().max() for loss in losses]
    assert gradients[:2] == [0, 0]
    assert gradients[2] > 0


@pytest.mark.parametrize("is_training", [True, False])
def test_padding_and_order_change_nothing(is_training: bool) -> None:
    objective, features = objective_of().train(is_training), leaf_features()
    values = objective(features)
    longer = padded(features, 3)
    for name, value in objective(longer).items():
        torch.testing.assert_close(value, values[name], msg=name)
    order = torch.tensor([2, 0, 3, 1])
    shuffled = permuted(features, order)
    for name, value in objective(shuffled).items():
        torch.testing.assert_close(value, values[name], msg=name)
    # In evaluation the heads' statistics are fixed.
    objective.eval()
    scores = objective.pair_scores(features.image, features.text, features.tokens)
    mixed = objective.pair_scores(shuffled.image, longer.text, longer.tokens)
    torch.testing.assert_close(mixed, scores[order])
    torch.testing.assert_close(objective.pair_scores(features.image, shuffled.text, shuffled.tokens), scores[:, order])


def test_padding_gets_no_gradient() -> None:
    features = padded(leaf_features(), 2)
    last = features.text.tokens
    last.retain_grad()
    objective_of()(features)["loss"].backward()
    is_read = torch.tensor([[number >= 0 for number in row] + [False] * 2 for row in WORDS])
    is_read[:, 0] = True  # [CLS]
    assert torch.equal(last.grad.abs().sum(-1) > 0, is_read)
    assert all(leaf.grad is None or leaf.grad.isfinite().all() for leaf in leaves(features) if leaf.is_leaf)


def test_gradient_against_finite_differences() -> None:
    torch.manual_seed(0)
    tokens, others = (torch.randn(2, count, 3, dtype=torch.float64, requires_grad=True) for count in (3, 4))
    mask = torch.tensor([[True, True, True], [True, False, False]])
    weights = torch.tensor([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]], dtype=torch.float64)

    def of_words(tokens: Tensor, others: Tensor) -> Tensor:
        return token_alignment(tokens, others, weights, temperature=0.5, mask=mask)

    def of_patches(tokens: Tensor, others: Tensor) -> Tensor:
        shares = torch.full((2, 4), 0.25, dtype=torch.float64)
        return token_alignment(others, tokens, shares, temperature=0.5, other_mask=mask, unit_contexts=False)

    assert torch.autograd.gradcheck(of_words, (tokens, others))
    assert torch.autograd.gradcheck(of_patches, (tokens, others))


def test_logits_stay_exact_under_autocast() -> None:
    objective = objective_of().float()
    tokens, others, film, report = (
        nn.functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)
        for seed, shape in enumerate(((2, 5, 3), (2, 4, 3), (4, 3), (4, 3)))
    )
    weights = torch.full((2, 5), 0.2)
    nn.init.eye_(objective.prototypes.weight)  # of length 1 to the last digit, so that both calls see the same ones

    def losses() -> tuple[Tensor, Tensor]:
        of_prototypes = objective._prototypes_agree(film, report, 1.0)
        return token_alignment(tokens, others, weights, temperature=0.1), of_prototypes

    exact = losses()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert all(torch.equal(*pair) for pair in zip(losses(), exact, strict=True))


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_short_texts_and_signs_alone_give_finite_gradients(variant: str) -> None:
    model = tiny_model()
    features = tiny_features(model, epoch=1.0)
    tokens = tokenize(model.tokenizer, ["Film", ".", "...", "Film 2."], max_tokens=16)
    text = model.encode_text(tokens.input_ids, tokens.attention_mask)
    objective = MGCAObjective(model, variant=variant, width=8)
    objective(replace(features, text=text, tokens=tokens))["loss"].backward()
    gradients = [value.grad for module in (model, objective) for value in module.parameters()]
    assert all(gradient.isfinite().all() for gradient in gradients if gradient is not None)
    assert all(value.grad.abs().max() > 0 for value in (objective.prototypes.weight, objective.word_head[0].weight))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "papers"}, r"variant='papers' is not allowed: one of \('paper', 'code'\)"),
        ({"hidden_width": 0}, "hidden_width=0 is not allowed: at least 1"),
        ({"num_prototypes": 1}, "num_prototypes=1 is not allowed: at least 2"),
        ({"local_temperature": 0.0}, r"local_temperature=0\.0 is not allowed: above 0"),
        ({"lambda_2": -1.0}, r"lambda_2=-1\.0 is not allowed: at least 0"),
    ],
)
def test_misuse_raises(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        objective_of(**options)


@pytest.mark.parametrize(("variant", "layers"), [("paper", (-1,)), ("code", ())])
def test_it_trains_goes_on_and_is_opened_with_its_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str, layers: tuple[int, ...]
) -> None:
    chosen = {"variant": variant, "width": 8, "hidden_width": 16, "num_prototypes": 6}
    settings = {"objective_options": chosen, "epochs": 6, "learning_rate": 3e-3, "schedule": "cosine"}
    whole, resumed = assert_resumes(tmp_path, monkeypatch, "mgca", layers, **settings)
    losses = epoch_losses(whole)
    assert losses[-1] < losses[0] - 0.1
    first, second = (
        opened_like(run, tmp_path / name, layers) for run, name in ((whole, "whole"), (resumed, "stopped"))
    )
    assert (second.name, second.options["variant"]) == ("mgca", variant)
    check_equal_scores(first, second)
