"""PRIOR against loops over sentences, patches, heads and prototypes."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from pedclip.models.pedclip import PedCLIP
from pedclip.objectives import prior, prior_heads
from pedclip.objectives.prior import PriorObjective
from pedclip.objectives.prior_heads import FilmDecoder, in_order_of
from pedclip.objectives.tokens import Tokens
from tests.objectives.drawn_tokens import (
    batch_of,
    drawn,
    image_features,
    numbered,
    padded,
    reordered,
    text_features,
)
from tests.objectives.tiny_features import residual_batch, tiny_features, tiny_model
from tests.objectives.training_run import assert_resumes, opened_like, tiny_run

SENTENCES = [(2, 1), (3,), (), (1, 1, 2)]  # the third has no word
STAGES = {1: (1.0, 1.0), 2: (0.0, 1.0), 3: (0.0, 0.0)}


def made(stage: int, **options: object) -> tuple[PedCLIP, PriorObjective]:
    model = tiny_model(mobe_layers=()).double()
    torch.manual_seed(0)
    # Warmer than published: at 0.01 a softmax of drawn cosines is 0 or 1.
    chosen = {"stages": STAGES[stage], "prototypes": 7, "temperature": 0.2, "local_temperature": 0.3} | options
    return model, PriorObjective(model, **chosen).double().eval()


def films(count: int = 4) -> Tensor:
    return torch.randn(count, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def linear(layer: nn.Linear, vector: Tensor) -> Tensor:
    return layer.weight @ vector + layer.bias


def cosine(first: Tensor, second: Tensor) -> Tensor:
    return first @ second / (first.norm() * second.norm())


def normalized(vector: Tensor, norm: nn.LayerNorm) -> Tensor:
    spread = ((vector - vector.mean()) ** 2).mean()
    return (vector - vector.mean()) / torch.sqrt(spread + norm.eps) * norm.weight + norm.bias


def shares(scores: Sequence[Tensor]) -> list[Tensor]:
    powers = [torch.exp(score) for score in scores]
    return [power / sum(powers) for power in powers]


def attended(layer: nn.MultiheadAttention, query: Tensor, memory: Sequence[Tensor]) -> Tensor:
    width, size = len(query), len(query) // layer.num_heads
    weights, biases = layer.in_proj_weight.split(width), layer.in_proj_bias.split(width)
    asked = weights[0] @ query + biases[0]
    keys, values = ([weights[k] @ entry + biases[k] for entry in memory] for k in (1, 2))
    found = []
    for head in range(layer.num_heads):
        own = slice(head * size, head * size + size)
        parts = shares([asked[own] @ key[own] / math.sqrt(size) for key in keys])
        found.append(sum(part * value[own] for part, value in zip(parts, values, strict=True)))
    return layer.out_proj.weight @ torch.cat(found) + layer.out_proj.bias


def contrast(first: Sequence[Tensor], second: Sequence[Tensor], scale: Tensor) -> Tensor:
    rows = [[scale * cosine(one, other) for other in second] for one in first]
    total = 0.0
    for i in range(len(rows)):
        for line in (rows[i], [row[i] for row in rows]):
            total = total - line[i] + torch.log(sum(torch.exp(score) for score in line))
    return total / (2 * len(rows))


def literal_sentences(objective: PriorObjective, text: Tensor, tokens: Tokens, row: int) -> list[Tensor]:
    numbers = tokens.sentences[row].tolist()
    groups = [[place for place, own in enumerate(numbers) if own == number] for number in range(max(numbers) + 1)]
    return [
        sum(linear(objective.token, text[row, place]) for place in places) / len(places) for places in groups or [[0]]
    ]


def literal_mixture(objective: PriorObjective, sentence: Tensor) -> Tensor:
    prototypes = list(objective.memory.prototypes)
    parts = shares([sentence @ prototype / 0.9 for prototype in prototypes])
    return sum(part * prototype for part, prototype in zip(parts, prototypes, strict=True))


def literal_report(objective: PriorObjective, sentences: list[Tensor]) -> Tensor:
    mean = sum(sentences) / len(sentences)
    return attended(objective.pool.attention, mean, [mean, *sentences])


def literal_attention(objective: PriorObjective, asked: Tensor, key: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-(asked @ key) / math.sqrt(len(key))))


def literal_contexts(
    objective: PriorObjective, sentences: list[Tensor], patches: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    layer = objective.attention
    seen = [
        sum(
            literal_attention(objective, linear(layer.sentence_query, sentence), linear(layer.patch_key, patch))
            * linear(layer.patch_value, patch)
            for patch in patches
        )
        for sentence in sentences
    ]
    read = [
        sum(
            literal_attention(objective, linear(layer.patch_query, patch), linear(layer.sentence_key, sentence))
            * linear(layer.sentence_value, sentence)
            for sentence in sentences
        )
        for patch in patches
    ]
    return seen, read


def literal_prediction(objective: PriorObjective, vector: Tensor) -> Tensor:
    return linear(objective.predictor[2], linear(objective.predictor[0], vector).clamp(min=0))


def literal_convolution(layer: nn.Conv2d, grid: Tensor) -> Tensor:
    """(C, h, w) → (C', h, w), by the nine shifts of a padded grid."""
    _, height, width = grid.shape
    wide = nn.functional.pad(grid, (1, 1, 1, 1))
    total = torch.zeros(layer.out_channels, height, width, dtype=grid.dtype)
    for dy in range(3):
        for dx in range(3):
            shifted = wide[:, dy : dy + height, dx : dx + width]
            total = total + torch.einsum("oc,chw->ohw", layer.weight[:, :, dy, dx], shifted)
    return total if layer.bias is None else total + layer.bias[:, None, None]


def literal_film(decoder: FilmDecoder, patches: list[Tensor], read: list[Tensor], size: int) -> Tensor:
    side = math.isqrt(len(patches))
    grid = torch.stack(
        [
            torch.stack([torch.cat([patches[y * side + x], read[y * side + x]]) for x in range(side)], 1)
            for y in range(side)
        ],
        1,
    )
    for target, block in zip((size // 16, size // 8, size // 4, size // 2, size), decoder.blocks, strict=True):
        target = max(side, target)
        places = [place * grid.shape[1] // target for place in range(target)]
        grid = grid[:, places][:, :, places]
        for layer in block:
            if isinstance(layer, nn.Conv2d):
                grid = literal_convolution(layer, grid)
            elif isinstance(layer, nn.BatchNorm2d):
                mean, spread, weight, bias = (
                    value[:, None, None] for value in (layer.running_mean, layer.running_var, layer.weight, layer.bias)
                )
                grid = (grid - mean) / torch.sqrt(spread + layer.eps) * weight + bias
            else:
                grid = grid.clamp(min=0)
    return literal_convolution(decoder.head, grid)[0]


def literal_generated(objective: PriorObjective, patches: list[Tensor]) -> list[Tensor]:
    decoder = objective.sentence_decoder
    states = [normalized(query, decoder.norm) for query in decoder.queries]
    for layer in decoder.decoder.layers:
        states = [normalized(state + attended(layer.self_attn, state, states), layer.norm1) for state in states]
        states = [normalized(state + attended(layer.multihead_attn, state, patches), layer.norm2) for state in states]
        hidden = [linear(layer.linear1, state) for state in states]
        hidden = [value * (1 + torch.erf(value / math.sqrt(2))) / 2 for value in hidden]
        states = [
            normalized(state + linear(layer.linear2, value), layer.norm3)
            for state, value in zip(states, hidden, strict=True)
        ]
    return states


def literal(
    objective: PriorObjective, image: Tensor, text: Tensor, tokens: Tokens, stage: int, pixels: Tensor
) -> dict[str, Tensor]:
    batch, terms = range(len(image)), {}
    plain = [literal_sentences(objective, text, tokens, row) for row in batch]
    used = plain
    if stage > 1:
        used = [[literal_mixture(objective, sentence) for sentence in report] for report in plain]
        differences = [(one - other).abs() for row in batch for one, other in zip(used[row], plain[row], strict=True)]
        terms["prototype"] = torch.cat(differences).mean()
    patches = [[linear(objective.patch, patch) for patch in image[row, 1:]] for row in batch]
    reports = [literal_report(objective, report) for report in used]
    whole = [linear(objective.film, image[row, 0]) for row in batch]
    terms["global"] = contrast(whole, reports, objective.log_scale.exp())
    contexts = [literal_contexts(objective, used[row], patches[row]) for row in batch]
    local_image, local_text = [], []
    for row in batch:
        seen, read = contexts[row]
        for patch, context in zip(patches[row], read, strict=True):
            there = cosine(literal_prediction(objective, patch), context.detach())
            back = cosine(literal_prediction(objective, context), patch.detach())
            local_image.append(-(there + back) / 2)
        local_text.append(contrast(used[row], seen, objective.local_log_scale.exp()))
    terms["local_image"] = sum(local_image) / len(local_image)
    terms["local_text"] = sum(local_text) / len(local_text)
    if stage < 3:
        return terms
    errors, gaps, divergences, pooled = [], [], [], []
    for row in batch:
        film = literal_film(objective.film_decoder, patches[row], contexts[row][1], 16)
        errors.append((film - pixels[row].mean(0)).abs().mean())
        drawn_sentences = literal_generated(objective, patches[row])
        targets = used[row] + [torch.zeros_like(used[row][0])] * (16 - len(used[row]))
        costs = [[float((target - one).abs().sum().detach()) for one in drawn_sentences] for target in targets]
        order = linear_sum_assignment(costs)[1]
        matched = [drawn_sentences[number] for number in order]
        gaps += [(one - target).abs().mean() for one, target in zip(matched, targets, strict=True)]
        for one, sentence in zip(matched, plain[row], strict=False):
            expected, found = (
                shares([vector @ prototype for prototype in objective.memory.prototypes]) for vector in (sentence, one)
            )
            divergences.append(sum(p * torch.log(p / q) for p, q in zip(expected, found, strict=True)))
        mixtures = [literal_mixture(objective, one) for one in matched[: len(used[row])]]
        pooled.append(literal_report(objective, mixtures))
    terms["film"] = sum(errors) / len(errors)
    terms["generation"] = sum(gaps) / len(gaps)
    terms["consistency"] = sum(divergences) / len(divergences)
    terms["generated_report"] = contrast(pooled, reports, objective.log_scale.exp())
    return terms


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_terms_and_gradients_equal_the_loops(monkeypatch: pytest.MonkeyPatch, stage: int) -> None:
    monkeypatch.setattr(prior_heads, "_DEPTH", 1)
    model, objective = made(stage)
    image, text, tokens = drawn(model, SENTENCES)
    expected = literal(objective, image, text, tokens, stage, films())
    weights = {"prototype": 10, "generation": 10, "global": 10 if stage == 3 else 1}
    expected["loss"] = sum(weights.get(name, 1) * value for name, value in expected.items())
    found = objective(batch_of(model, image, text, tokens, pixels=films()))
    assert found.keys() == expected.keys() | {"stage"}
    assert found["stage"] == stage
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-8)
    inputs = [image, text, *objective.parameters()]
    gradients = (torch.autograd.grad(loss["loss"], inputs, allow_unused=True) for loss in (found, expected))
    names = ["image", "text", *(name for name, _ in objective.named_parameters())]
    unused = []
    for name, one, other in zip(names, *gradients, strict=True):
        if other is None:
            unused.append(name)
            continue
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-8)
    assert unused == (["memory.prototypes"] if stage == 1 else [])


@pytest.mark.parametrize("stage", [1, 2])
def test_scores_equal_the_loops_and_depend_on_their_pair_only(monkeypatch: pytest.MonkeyPatch, stage: int) -> None:
    model, objective = made(stage)
    image, text, tokens = drawn(model, SENTENCES)
    objective.uses_prototypes.fill_(stage > 1)
    scores = objective.pair_scores(image_features(image), text_features(text), tokens)
    layer = objective.attention
    for column in range(4):
        sentences = literal_sentences(objective, text, tokens, column)
        if stage > 1:
            sentences = [literal_mixture(objective, sentence) for sentence in sentences]
        report = literal_report(objective, sentences)
        for row in range(4):
            patches = [linear(objective.patch, patch) for patch in image[row, 1:]]
            weights = [
                literal_attention(objective, linear(layer.sentence_query, sentence), linear(layer.patch_key, patch))
                + literal_attention(objective, linear(layer.patch_query, patch), linear(layer.sentence_key, sentence))
                for sentence in sentences
                for patch in patches
            ]
            expected = objective.log_scale.exp() * cosine(linear(objective.film, image[row, 0]), report)
            expected = expected + sum(weights) / (2 * len(weights)) / 2
            torch.testing.assert_close(scores[row, column], expected)
    torch.testing.assert_close(
        objective.pair_scores(
            image_features(image[2:3]), text_features(text[3:]), reordered(tokens, torch.tensor([3]))
        ),
        scores[2:3, 3:],
    )
    monkeypatch.setattr(prior, "_LARGEST", 1)  # text by text
    torch.testing.assert_close(objective.pair_scores(image_features(image), text_features(text), tokens), scores)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_padding_and_order_of_the_pairs_change_nothing(stage: int) -> None:
    model, objective = made(stage)
    image, text, tokens = drawn(model, SENTENCES)
    values = objective(batch_of(model, image, text, tokens, pixels=films()))
    longer_text, longer = padded(text, tokens)
    batch = batch_of(model, image, longer_text, longer, pixels=films())
    order = torch.tensor([2, 0, 3, 1])
    moved = batch_of(model, image[order], text[order], reordered(tokens, order), pixels=films()[order])
    for other in (objective(batch), objective(moved)):
        for name, value in values.items():
            torch.testing.assert_close(other[name], value)
    (gradient,) = torch.autograd.grad(objective(batch)["loss"], longer_text)
    assert not gradient[longer.attention_mask == 0].any()
    scores = objective.pair_scores(image_features(image), text_features(text), tokens)
    torch.testing.assert_close(objective.pair_scores(batch.image, batch.text, longer), scores)
    torch.testing.assert_close(objective.pair_scores(moved.image, moved.text, moved.tokens), scores[order][:, order])


def test_gradient_against_finite_differences() -> None:
    # No gradient reaches the second places of the predictor's cosines, so the terms without them are differentiated.
    model, objective = made(2)
    image, text, tokens = drawn(model, [(1, 1), (2,)])

    def terms(image: Tensor, text: Tensor) -> Tensor:
        values = objective(batch_of(model, image, text, tokens))
        return torch.stack([values[name] for name in ("global", "local_text", "prototype")])

    assert torch.autograd.gradcheck(terms, (image, text), fast_mode=True)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_reports_without_words_and_of_one_give_finite_gradients(stage: int) -> None:
    model, objective = made(stage)
    objective.train()
    image, text, tokens = drawn(model, [(), (1,), ()])
    values = objective(batch_of(model, image, text, tokens, pixels=films(3)))
    assert values["local_text"] == 0  # no report has a second sentence
    values["loss"].backward()
    found = [image.grad, text.grad, *(p.grad for p in objective.parameters() if p.grad is not None)]
    assert all(torch.isfinite(gradient).all() for gradient in found)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_residual_network_will_do(stage: int) -> None:
    model, features = residual_batch()
    objective = PriorObjective(model, stages=STAGES[stage]).eval()
    assert (objective.film.weight.shape, objective.patch.weight.shape) == ((32, 512), (32, 256))
    assert torch.isfinite(objective(features)["loss"])
    assert objective.pair_scores(features.image, features.text, features.tokens).shape == (4, 4)


def test_the_third_stage_reads_sixteen_sentences() -> None:
    model, objective = made(3)
    image, text, tokens = drawn(model, [(1,) * 18, (2,)])
    whole = objective(batch_of(model, image, text, tokens, pixels=films(2)))
    cut = numbered([(1,) * 16, (2,)], length=20)
    found = objective(batch_of(model, image, text, cut, pixels=films(2)))
    assert {name: value.item() for name, value in found.items()} == {
        name: value.item() for name, value in whole.items()
    }
    plain = PriorObjective(model, stages=STAGES[1]).double().eval()
    values = [plain(batch_of(model, image, text, some))["global"] for some in (tokens, cut)]
    assert values[0] != values[1]


def test_stages_begin_at_their_fractions_of_the_run() -> None:
    model = tiny_model(mobe_layers=())
    published = PriorObjective(model)
    assert [published.stage(epoch) for epoch in (0, 19.9, 20, 49.9, 50, 149)] == [1, 1, 2, 2, 3, 3]
    shorter = PriorObjective(model, epochs=10, stages=(0.5, 1))
    assert [shorter.stage(epoch) for epoch in (0, 4.9, 5, 10)] == [1, 1, 2, 2]
    assert not any("decoder" in name for name, _ in shorter.named_parameters())
    assert [PriorObjective(model, stages=STAGES[stage]).stage(0) for stage in (1, 2, 3)] == [1, 2, 3]


def test_texts_pass_the_memory_once_training_has_come_to_it() -> None:
    model, objective = made(2)
    image, text, tokens = drawn(model, SENTENCES)
    batch = batch_of(model, image, text, tokens)
    before = objective.embed_text(batch.text, tokens)
    objective(batch)  # evaluation decides nothing
    assert torch.equal(objective.embed_text(batch.text, tokens), before)
    first, second = (objective.train()(batch)["loss"] for _ in range(2))
    assert first != second  # Gumbel noise
    embeddings = [objective.eval().embed_text(batch.text, tokens) for _ in range(2)]
    assert torch.equal(*embeddings)
    assert not torch.allclose(embeddings[0], before)
    torch.testing.assert_close(embeddings[0].norm(dim=-1), torch.ones(4, dtype=torch.float64))


def test_noise_follows_the_gumbel_distribution() -> None:
    _, objective = made(2)
    memory = objective.memory.train()
    sentence = torch.randn(1, 32, dtype=torch.float64) / 8
    torch.manual_seed(0)
    found = memory(sentence)
    torch.manual_seed(0)
    noise = -torch.empty(1, 7, dtype=torch.float64).exponential_().log()
    expected = ((sentence @ memory.prototypes.t() + noise) / 0.9).softmax(-1) @ memory.prototypes
    torch.testing.assert_close(found, expected)


def test_options_change_what_they_name() -> None:
    model, plain = made(2)
    image, text, tokens = drawn(model, SENTENCES)
    batch = batch_of(model, image, text, tokens)
    values = plain(batch)
    for options, changed in (
        ({"temperature": 0.5}, {"global"}),
        ({"local_temperature": 0.5}, {"local_text"}),
        ({"prototype_temperature": 0.5}, {"prototype", "global", "local_image", "local_text"}),
    ):
        _, other = made(2, **options)
        found = other(batch)
        differing = {name for name, value in values.items() if not torch.allclose(found[name], value)}
        assert differing == changed | {"loss"}
    assert made(2, width=48)[1].embed_text(batch.text, tokens).shape == (4, 48)
    assert made(2, prototypes=3)[1].memory.prototypes.shape == (3, 32)


def test_equal_excerpts_are_no_negatives_where_asked() -> None:
    model = tiny_model(mobe_layers=())
    torch.manual_seed(0)
    objective = PriorObjective(model, temperature=0.5, mask_equal_texts=True).eval()
    features = tiny_features(model)  # the first and the third have the same words
    cosines = objective.embed_image(features.image) @ objective.embed_text(features.text, features.tokens).t()
    logits = cosines / 0.5
    logits[0, 2] = logits[2, 0] = -torch.inf
    expected = -(logits.log_softmax(0).diagonal() + logits.log_softmax(1).diagonal()).mean() / 2
    torch.testing.assert_close(objective(features)["global"], expected)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_autocast_rounds_heads_but_no_logits(stage: int) -> None:
    model = tiny_model(mobe_layers=())
    torch.manual_seed(0)
    objective = PriorObjective(model, stages=STAGES[stage], temperature=0.1, local_temperature=0.1).eval()
    features = dataclasses.replace(tiny_features(model), pixels=films().float())
    exact = objective(features)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = objective(features)
    assert {value.dtype for value in rounded.values()} == {torch.float32}
    for name, value in exact.items():
        torch.testing.assert_close(rounded[name], value, rtol=0.05, atol=0.05)


def test_the_view_shuffles_sentences() -> None:
    _, objective = made(1)
    tokens = numbered([(1, 2, 1)])
    views = [objective.text_view(tokens, generator=torch.Generator().manual_seed(seed)) for seed in range(20)]
    assert len({tuple(view.sentences[0].tolist()) for view in views}) == 6


def test_channels_of_patches_are_missing_in_training_only() -> None:
    decoder = FilmDecoder(32)
    patches, read = torch.randn(2, 3, 4, 32)
    seen = []
    decoder.blocks[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    assert decoder(patches, read, size=32).shape == (3, 1, 32, 32)
    decoder.eval()(patches, read, size=32)
    trained, tested = seen  # (B, 2D, h, w)
    assert torch.equal(trained[:, 32:], tested[:, 32:])
    is_missing = (trained[:, :32] == 0).all((2, 3))
    assert 0.2 < is_missing.float().mean() < 0.8
    torch.testing.assert_close(trained[:, :32][~is_missing], 2 * tested[:, :32][~is_missing])


def test_sentences_are_put_in_the_order_of_their_targets() -> None:
    targets = torch.randn(2, 5, 8)
    order = torch.stack([torch.tensor([3, 0, 4, 1, 2]), torch.arange(5)])
    shuffled = targets.gather(1, order[..., None].expand_as(targets)) + 0.01
    torch.testing.assert_close(in_order_of(shuffled, targets), targets + 0.01)
    shuffled[1, 2, 3] = torch.nan
    with pytest.raises(ValueError, match="made sentences or their targets hold NaN or infinity; lower learning_rate"):
        in_order_of(shuffled, targets)


def test_misuse_raises() -> None:
    model = tiny_model(mobe_layers=())
    for options, message in (
        ({"width": 40}, "width=40 is not allowed: a multiple of 16"),
        ({"prototypes": 0}, "prototypes=0 is not allowed: at least 1"),
        ({"prototype_temperature": 0.0}, "prototype_temperature=0.0 is not allowed: above 0"),
        ({"temperature": 2.0}, r"temperature=2.0 is not allowed: in \(0, 1\]"),
        ({"local_temperature": 0.0}, r"local_temperature=0.0 is not allowed: in \(0, 1\]"),
        ({"epochs": 0}, "epochs=0 is not allowed: above 0"),
        ({"stages": (0.5, 0.2)}, r"stages=\(0.5, 0.2\) is not allowed: two fractions in \[0, 1\]"),
    ):
        with pytest.raises(ValueError, match=message):
            PriorObjective(model, **options)
    model, objective = made(3)
    image, text, tokens = drawn(model, SENTENCES)
    with pytest.raises(ValueError, match=r"features.pixels is None: the third stage makes films again"):
        objective(batch_of(model, image, text, tokens))
    with pytest.raises(ValueError, match="3 patches do not fill a square"):
        objective(batch_of(model, image[:, :4], text, tokens, pixels=films()))
    with pytest.raises(ValueError, match="a single pair has no negative"):
        objective(batch_of(model, image[:1], text[:1], reordered(tokens, torch.tensor([0])), pixels=films(1)))


def test_all_three_stages_learn_and_none_collapses(tmp_path: Path) -> None:
    # Two sentences, as one alone has no negative in its report. Larger steps, or the published local temperature at
    # this size, end at chance in the second stage.
    chosen = {"stages": [0.4, 0.7], "prototypes": 64, "temperature": 0.1, "local_temperature": 0.1}
    result = tiny_run(
        tmp_path,
        "prior",
        (),
        second=("It is old.", "Bones are grown.", "Joints look wide.", "No cast."),
        objective_options=chosen,
        epochs=48,
        learning_rate=3e-4,
    )
    rows = [row for row in result.history if "train/global" in row]
    assert {row["train/stage"] for row in rows[-6:]} == {3}
    # All sentences alike, as after a collapse, would give ln 8 and ln 2, whatever the other terms fall to.
    for name, count in (("global", 8), ("local_text", 2)):
        assert sum(row[f"train/{name}"] for row in rows[-6:]) / 6 < 0.9 * math.log(count), name


@pytest.mark.parametrize("layers", [(), (-1,)])
def test_it_goes_through_its_stages_and_is_opened(tmp_path: Path, layers: tuple[int, ...]) -> None:
    chosen = {"stages": [0.75, 0.875], "prototypes": 16, "temperature": 0.1}
    result = tiny_run(tmp_path, "prior", layers, objective_options=chosen, epochs=16, learning_rate=3e-3)
    rows = [row for row in result.history if "train/global" in row]
    assert [row["train/stage"] for row in rows] == [1] * 36 + [2] * 6 + [3] * 6
    # That it learns is the test above; here the heads of the last step are those that are opened.
    opened = opened_like(result, tmp_path, layers)
    assert opened.options == chosen | {"epochs": 16, "mask_equal_texts": True}
    assert opened.objective.uses_prototypes


@pytest.mark.parametrize("layers", [(), (-1,)])
def test_an_interrupted_run_ends_with_the_same_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layers: tuple[int, ...]
) -> None:
    # The run stops in the second stage and goes on into the third.
    chosen = {"stages": [0.25, 0.75], "prototypes": 16}
    assert_resumes(tmp_path, monkeypatch, "prior", layers, epochs=3, objective_options=chosen)
