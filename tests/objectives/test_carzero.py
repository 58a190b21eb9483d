"""CARZero against loops over pairs, heads and words."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pedclip.models.pedclip import PedCLIP
from pedclip.objectives import carzero
from pedclip.objectives.carzero import CARZeroObjective
from pedclip.objectives.tokens import Tokens
from tests.objectives.drawn_tokens import batch_of, drawn, image_features, padded, reordered, text_features
from tests.objectives.tiny_features import residual_batch, tiny_features, tiny_model
from tests.objectives.training_run import assert_resumes, opened_like, tiny_run

SENTENCES = [(2, 1), (3,), (), (1,)]  # the third has no word, the last a single one


def made(**options: object) -> tuple[PedCLIP, CARZeroObjective]:
    model = tiny_model(mobe_layers=()).double()
    torch.manual_seed(0)
    objective = CARZeroObjective(model, **{"depth": 2} | options).double().eval()
    # Weights as small as at the start would leave scores that tell nothing apart.
    with torch.no_grad():
        for parameter in objective.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model, objective


def normalized(vector: Tensor, norm: nn.LayerNorm) -> Tensor:
    spread = ((vector - vector.mean()) ** 2).mean()
    return (vector - vector.mean()) / torch.sqrt(spread + norm.eps) * norm.weight + norm.bias


def literal_score(objective: CARZeroObjective, query: Tensor, memory: list[Tensor]) -> Tensor:
    """One query (D) in one memory of (D) vectors, head by head and entry by entry."""
    fusion = objective.fusion
    entries = [normalized(entry, fusion.norm) for entry in memory]
    state = normalized(query, fusion.norm)
    width, heads = len(query), fusion.heads
    size = width // heads
    for layer in fusion.layers:
        weight, bias = layer.attention.in_proj_weight, layer.attention.in_proj_bias
        asked = weight[:width] @ normalized(state, layer.query_norm) + bias[:width]
        keys = [weight[width : 2 * width] @ entry + bias[width : 2 * width] for entry in entries]
        values = [weight[2 * width :] @ entry + bias[2 * width :] for entry in entries]
        found = []
        for head in range(heads):
            own = slice(head * size, head * size + size)
            powers = [torch.exp(asked[own] @ key[own] / math.sqrt(size)) for key in keys]
            found.append(sum(power * value[own] for power, value in zip(powers, values, strict=True)) / sum(powers))
        state = state + layer.attention.out_proj.weight @ torch.cat(found) + layer.attention.out_proj.bias
        hidden = layer.expand.weight @ normalized(state, layer.hidden_norm) + layer.expand.bias
        state = state + layer.contract.weight @ hidden.clamp(min=0) + layer.contract.bias
    state = normalized(state, fusion.norm)
    for linear in (part for part in fusion.hidden if isinstance(part, nn.Linear)):
        state = (linear.weight @ state + linear.bias).clamp(min=0)
    return (fusion.score.weight @ state + fusion.score.bias)[0]


def literal_matrices(
    objective: CARZeroObjective, image: Tensor, text: Tensor, tokens: Tokens
) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
    lengths = tokens.attention_mask.sum(1).tolist()
    films = [list(film) for film in image]
    texts = [list(one[:length]) for one, length in zip(text, lengths, strict=True)]
    asked = [[literal_score(objective, words[0], film) for words in texts] for film in films]
    read = [[literal_score(objective, film[0], words) for film in films] for words in texts]
    return asked, read


def literal_entropy(rows: list[list[Tensor]]) -> Tensor:
    size, total = len(rows), 0
    for i in range(size):
        for line in (rows[i], [row[i] for row in rows]):
            total = total - line[i] + torch.log(sum(torch.exp(score) for score in line))
    return total / (2 * size)


@pytest.mark.parametrize("projection", ["mlp", "linear"])
def test_loss_scores_and_gradients_equal_the_loops(projection: str) -> None:
    model, objective = made(projection=projection)
    image, text, tokens = drawn(model, SENTENCES)
    asked, read = literal_matrices(objective, image, text, tokens)
    first, second = literal_entropy(asked), literal_entropy(read)
    batch = batch_of(model, image, text, tokens)
    values = objective(batch)
    assert values.keys() == {"loss", "image_to_text", "text_to_image"}
    torch.testing.assert_close(values["image_to_text"], first)
    torch.testing.assert_close(values["text_to_image"], second)
    torch.testing.assert_close(values["loss"], first + second)
    inputs = [image, text, *objective.parameters()]
    for found, expected in zip(
        torch.autograd.grad(values["loss"], inputs), torch.autograd.grad(first + second, inputs), strict=True
    ):
        torch.testing.assert_close(found, expected)
    scores = objective.pair_scores(batch.image, batch.text, tokens)
    expected = torch.stack([torch.stack([(asked[i][j] + read[j][i]) / 2 for j in range(4)]) for i in range(4)])
    torch.testing.assert_close(scores, expected)
    assert scores.std() > 0.01


def test_equal_scores_cost_twice_the_logarithm_of_the_batch() -> None:
    model, objective = made()
    nn.init.zeros_(objective.fusion.score.weight)
    loss = objective(batch_of(model, *drawn(model, SENTENCES)))["loss"]
    assert loss.item() == pytest.approx(2 * math.log(4))


def test_gradient_against_finite_differences() -> None:
    model, objective = made(depth=1, projection="linear")
    image, text, tokens = drawn(model, [(1,), (2,)])

    def loss(image: Tensor, text: Tensor) -> Tensor:
        return objective(batch_of(model, image, text, tokens))["loss"]

    assert torch.autograd.gradcheck(loss, (image, text), fast_mode=True)


def test_padding_changes_nothing() -> None:
    model, objective = made()
    image, text, tokens = drawn(model, SENTENCES)
    loss = objective(batch_of(model, image, text, tokens))["loss"]
    longer_text, longer = padded(text, tokens)
    batch = batch_of(model, image, longer_text, longer)
    torch.testing.assert_close(objective(batch)["loss"], loss)
    (gradient,) = torch.autograd.grad(objective(batch)["loss"], longer_text)
    assert not gradient[longer.attention_mask == 0].any()
    torch.testing.assert_close(
        objective.pair_scores(batch.image, batch.text, longer),
        objective.pair_scores(image_features(image), text_features(text), tokens),
    )


def test_order_of_the_pairs_and_the_rest_of_the_batch_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    model, objective = made()
    image, text, tokens = drawn(model, SENTENCES)
    order = torch.tensor([2, 0, 3, 1])
    moved = reordered(tokens, order)
    torch.testing.assert_close(
        objective(batch_of(model, image[order], text[order], moved))["loss"],
        objective(batch_of(model, image, text, tokens))["loss"],
    )
    scores = objective.pair_scores(image_features(image), text_features(text), tokens)
    torch.testing.assert_close(
        objective.pair_scores(image_features(image[order]), text_features(text[order]), moved),
        scores[order][:, order],
    )
    alone = reordered(tokens, torch.tensor([1]))
    torch.testing.assert_close(
        objective.pair_scores(image_features(image[2:3]), text_features(text[1:2]), alone), scores[2:3, 1:2]
    )
    # As few numbers at a time as can be: text by text.
    monkeypatch.setattr(carzero, "_LARGEST", 1)
    torch.testing.assert_close(objective.pair_scores(image_features(image), text_features(text), tokens), scores)


def test_dropout_is_of_training_only_and_the_view_is_one_sentence() -> None:
    model, objective = made()
    batch = batch_of(model, *drawn(model, SENTENCES))
    assert objective(batch)["loss"] == objective(batch)["loss"]
    objective.train()
    assert objective(batch)["loss"] != objective(batch)["loss"]
    tokens = drawn(model, SENTENCES)[2]
    view = objective.text_view(tokens, generator=torch.Generator().manual_seed(0))
    assert view.attention_mask.sum(1).tolist()[1:] == [5, 2, 3]
    assert view.attention_mask[0].sum() in (3, 4)


def test_texts_of_one_word_and_of_none_give_finite_gradients() -> None:
    model, objective = made()
    image, text, tokens = drawn(model, [(), (1,), ()])
    values = objective(batch_of(model, image, text, tokens))
    values["loss"].backward()
    found = [image.grad, text.grad, *(parameter.grad for parameter in objective.parameters())]
    assert all(torch.isfinite(gradient).all() for gradient in found)


def test_scores_leave_autocast_in_single_precision() -> None:
    model = tiny_model(mobe_layers=())
    objective = CARZeroObjective(model).eval()
    features = tiny_features(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = objective.pair_scores(features.image, features.text, features.tokens)
    assert scores.dtype == torch.float32


def test_a_residual_network_will_do() -> None:
    model, features = residual_batch()
    objective = CARZeroObjective(model).eval()
    assert (objective.film.weight.shape, objective.patch.weight.shape) == ((32, 512), (32, 256))
    assert torch.isfinite(objective(features)["loss"])
    assert objective.pair_scores(features.image, features.text, features.tokens).shape == (4, 4)


def test_films_of_another_width_pass_a_linear_map() -> None:
    model = tiny_model(mobe_layers=(), image_width=48)
    objective = CARZeroObjective(model)
    assert (objective.film.weight.shape, objective.patch.weight.shape) == ((32, 48), (32, 48))
    assert torch.isfinite(objective(tiny_features(model))["loss"])


def test_misuse_raises() -> None:
    model = tiny_model(mobe_layers=())
    for options, message in (
        ({"projection": "deep"}, r"projection='deep' is not allowed: one of \('mlp', 'linear'\)"),
        ({"depth": 0}, "depth=0 is not allowed: at least 1 decoder layer"),
        ({"heads": 3}, "heads=3 does not divide the text width 32; choose a divisor, such as 1"),
        ({"dropout": 1.0}, r"dropout=1.0 is not allowed: in \[0, 1\)"),
    ):
        with pytest.raises(ValueError, match=message):
            CARZeroObjective(model, **options)
    objective = CARZeroObjective(model.double()).double()
    with pytest.raises(ValueError, match="B=1 is not allowed: a single pair has no negative"):
        objective(batch_of(model, *drawn(model, [(2,)])))


def test_the_default_decoder_learns_four_pairs_by_heart() -> None:
    model = tiny_model(mobe_layers=())
    torch.manual_seed(0)
    objective = CARZeroObjective(model).train()
    assert (len(objective.fusion.layers), len(objective.fusion.hidden)) == (4, 9)  # deep, with the MLP behind it
    image, text, tokens = drawn(model, [(2,), (3,), (1,), (4,)])
    batch = batch_of(model, image.detach().float(), text.detach().float(), tokens)
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-3)
    for _ in range(100):
        optimizer.zero_grad()
        objective(batch)["loss"].backward()
        optimizer.step()
    # Scores that tell nothing apart would stay at 2 ln 4, dropout or not.
    objective.eval()
    assert objective(batch)["loss"] < 0.1 * 2 * math.log(4)
    scores = objective.pair_scores(batch.image, batch.text, tokens)
    assert scores.argmax(0).tolist() == scores.argmax(1).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("layers", [(), (-1,)])
def test_it_learns_is_opened_and_goes_on(tmp_path: Path, layers: tuple[int, ...]) -> None:
    # A shallow decoder: with encoders that learn as well the deep one needs more steps than a test has.
    chosen = {"dropout": 0.0, "depth": 1, "projection": "linear"}
    result = tiny_run(tmp_path, "carzero", layers, objective_options=chosen, epochs=20, learning_rate=3e-3)
    losses = [row["train/image_to_text"] for row in result.history if "train/image_to_text" in row]
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])
    opened = opened_like(result, tmp_path, layers)
    assert (opened.name, opened.options) == ("carzero", chosen)


@pytest.mark.parametrize("layers", [(), (-1,)])
def test_an_interrupted_run_ends_with_the_same_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layers: tuple[int, ...]
) -> None:
    assert_resumes(tmp_path, monkeypatch, "carzero", layers, epochs=2)
