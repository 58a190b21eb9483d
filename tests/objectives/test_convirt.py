"""ConVIRT against loops over rows, values and gradients; its two recipes; its text view."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pedclip.models.text import TextFeatures
from pedclip.objectives.convirt import ConVIRTObjective
from tests.objectives.drawn_features import (
    TEXTS,
    chosen,
    contrastive_by_loops,
    cosine,
    drawn_features,
    padded,
)
from tests.objectives.tiny_features import tiny_features, tiny_model
from tests.objectives.training_run import assert_resumes, epoch_losses, opened_like

MODEL = tiny_model(mobe_layers=())


def objective(**options: object) -> ConVIRTObjective:
    torch.manual_seed(1)
    return ConVIRTObjective(MODEL, **options).double()


def behind(head: nn.Sequential, rows: list[Tensor]) -> list[Tensor]:
    """The layers of a head by their formulas; batch statistics by loops over rows."""
    for layer in head:
        if isinstance(layer, nn.Linear):
            rows = [torch.stack([(weight * row).sum() for weight in layer.weight]) + layer.bias for row in rows]
        elif isinstance(layer, nn.ReLU):
            rows = [torch.where(row > 0, row, 0.0) for row in rows]
        else:
            mean = sum(rows) / len(rows)
            spread = (sum((row - mean) ** 2 for row in rows) / len(rows) + 1e-5).sqrt()
            rows = [(row - mean) / spread for row in rows]
            if layer.affine:
                rows = [row * layer.weight + layer.bias for row in rows]
    return rows


def literal(built: ConVIRTObjective, features: object, words: list[int] | None = None) -> Tensor:
    """The loss as printed, one pair after the other."""
    text, mask = features.text, features.tokens.attention_mask
    pooled = []
    for row in range(len(TEXTS)):
        seen = [text.tokens[row, place] for place in range(mask.shape[1]) if mask[row, place]]
        largest = seen[0]
        for token in seen[1:]:
            largest = torch.where(token > largest, token, largest)
        pooled.append(seen[0] if built.variant == "code" else largest)
    images = behind(built.image_head, list(features.image.pooled))
    texts = behind(built.text_head, pooled)
    cosines = [[cosine(image, text) for text in texts] for image in images]
    if built.variant == "paper":
        return contrastive_by_loops([[value / 0.1 for value in row] for row in cosines], words, 0.75)
    return 2 * contrastive_by_loops([[value / 0.07 for value in row] for row in cosines], words)


@pytest.mark.parametrize("variant", ["paper", "code"])
@pytest.mark.parametrize("mask_equal_texts", [False, True])
def test_equals_the_loops_in_value_and_gradient(variant: str, mask_equal_texts: bool) -> None:
    built, features = objective(variant=variant, mask_equal_texts=mask_equal_texts), drawn_features(MODEL)
    leaves = [features.image.pooled, features.text.tokens, *built.parameters()]
    values = built(features)
    expected = literal(built, features, [0, 1, 0, 2, 3] if mask_equal_texts else None)
    assert values.keys() == {"contrastive", "loss"}
    torch.testing.assert_close(values["loss"], expected)
    for found, right in zip(
        torch.autograd.grad(values["loss"], leaves), torch.autograd.grad(expected, leaves), strict=True
    ):
        torch.testing.assert_close(found, right)
        assert found.abs().max() > 0 or variant == "code"  # a bias before batch normalization has no effect


@torch.no_grad()
def test_the_directions_weigh_three_to_one_by_hand() -> None:
    built, features = objective(temperature=0.5), drawn_features(MODEL)
    # Texts of one vector, films of another each: from film to text everything is chance, log 2.
    pair = chosen(features, [0, 1], [1, 1])
    image, text = built.embed_image(pair.image), built.embed_text(pair.text, pair.tokens)
    (first, _), (second, _) = (image @ text.t()).tolist()
    gap = torch.tensor((second - first) / 0.5)
    back = (nn.functional.softplus(gap) + nn.functional.softplus(-gap)) / 2
    assert float(built(pair)["loss"]) == pytest.approx(0.75 * 0.6931471806 + 0.25 * float(back))


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_padding_and_order_change_nothing(variant: str) -> None:
    built, features = objective(variant=variant), drawn_features(MODEL)
    loss = built(features)["loss"]
    torch.testing.assert_close(built(padded(features))["loss"], loss)
    order = [3, 0, 4, 2, 1]
    torch.testing.assert_close(built(chosen(features, order, order))["loss"], loss)
    built.eval()
    scores = built.pair_scores(features.image, features.text, features.tokens)
    assert scores.abs().max() <= 1
    other = chosen(features, [4, 1], [2, 0, 3])
    found = built.pair_scores(other.image, other.text, other.tokens)
    torch.testing.assert_close(found, scores[[4, 1]][:, [2, 0, 3]])


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_gradient_against_finite_differences(variant: str) -> None:
    built, features = objective(variant=variant, temperature=0.5), drawn_features(MODEL)

    def loss(pooled: Tensor, tokens: Tensor) -> Tensor:
        changed = dataclasses.replace(
            features,
            image=dataclasses.replace(features.image, pooled=pooled),
            text=TextFeatures(features.text.embedding, tokens, (tokens,)),
        )
        return built(changed)["loss"]

    # The maximum has a corner where two tokens are equal; drawn ones are far from it.
    assert torch.autograd.gradcheck(loss, (features.image.pooled, features.text.tokens), fast_mode=True)


def test_temperature_and_text_are_options_of_their_own() -> None:
    features = drawn_features(MODEL)
    cold, warm = (objective(temperature=value) for value in (0.1, 1.0))
    assert torch.equal(cold(features)["loss"], objective()(features)["loss"])
    cosines = warm.embed_image(features.image) @ warm.embed_text(features.text, features.tokens).t()
    expected = contrastive_by_loops([list(row) for row in cosines], None, 0.75)
    torch.testing.assert_close(warm(features)["loss"], expected)
    longest = {}
    for options in ({}, {"variant": "code"}, {"text": "excerpt"}, {"variant": "code", "text": "sentence"}):
        view = objective(**options).text_view(features.tokens, generator=torch.Generator().manual_seed(0))
        longest[tuple(options.values())] = int(view.sentences.max())
    # Texts of two sentences are whole where the last number is 1.
    assert longest == {(): 0, ("code",): 1, ("excerpt",): 1, ("code", "sentence"): 0}


def test_real_features_of_any_text_give_finite_gradients() -> None:
    model = tiny_model()
    values = ConVIRTObjective(model)(tiny_features(model))
    values["loss"].backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    # The text side learns: in a public re-implementation it does not.
    assert model.text_encoder.bert.encoder.layer[0].attention.self.query.weight.grad.abs().max() > 0


def test_misuse_raises() -> None:
    with pytest.raises(ValueError, match=r"variant='mgca' is not allowed: one of \('paper', 'code'\)"):
        ConVIRTObjective(MODEL, variant="mgca")
    with pytest.raises(ValueError, match="text='word' is not allowed: one of"):
        ConVIRTObjective(MODEL, text="word")
    with pytest.raises(ValueError, match=r"temperature=0 is not allowed: in \(0, 1\], or None"):
        ConVIRTObjective(MODEL, temperature=0)


@pytest.mark.parametrize(("variant", "layers"), [("paper", ()), ("code", (-1,))])
def test_it_trains_goes_on_and_is_opened_with_its_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str, layers: tuple[int, ...]
) -> None:
    chosen = {"variant": variant}
    settings = {"objective_options": chosen, "epochs": 6, "learning_rate": 3e-3, "schedule": "cosine"}
    whole, resumed = assert_resumes(tmp_path, monkeypatch, "convirt", layers, **settings)
    losses = epoch_losses(whole)
    assert losses[-1] < 0.95 * losses[0]  # a few steps: by how much differs between processors
    model, texts = opened_like(resumed, tmp_path / "stopped", layers), ["Film 1 of the chest.", "Film 2."]
    assert (model.name, model.options["variant"]) == ("convirt", variant)
    pixels = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        alone = model.encode_image(pixels[1:]).embedding @ model.encode_text(**model.tokenize(texts[1:])).embedding.t()
        torch.testing.assert_close(model.pair_scores(pixels, texts)[1:, 1:], alone)
