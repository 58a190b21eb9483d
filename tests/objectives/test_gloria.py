"""GLoRIA against loops over films, texts, words and places; its two variants; its own score."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pedclip.models.text import TextFeatures
from pedclip.objectives import gloria
from pedclip.objectives.base import FeatureBatch
from pedclip.objectives.gloria import GLoRIAObjective
from pedclip.objectives.tokens import tokenize
from tests.objectives.drawn_features import TEXTS, chosen, contrastive_by_loops, cosine, drawn_features, padded
from tests.objectives.tiny_features import tiny_features, tiny_model
from tests.objectives.training_run import assert_resumes, epoch_losses, opened_like

MODEL = tiny_model(mobe_layers=())
SCALE = 0.3  # of drawn features, so that no softmax is 0 or 1


def objective(**options: object) -> GLoRIAObjective:
    torch.manual_seed(1)
    return GLoRIAObjective(MODEL, **options).double()


def small_features(**options: int) -> FeatureBatch:
    """Drawn features whose products are of order 1."""
    features = drawn_features(MODEL, **options)
    for leaf in (features.image.patches, features.image.pooled, *features.text.hidden):
        leaf.data *= SCALE
    return features


def word_vectors(features: FeatureBatch, row: int, *, with_cls: bool) -> list[Tensor]:
    """Pieces of a word and the last four layers added up, in loops."""
    blocks = features.text.hidden[1:][-4:]
    numbers = features.tokens.words[row].tolist()
    places = [[at for at, number in enumerate(numbers) if number == word] for word in range(max(numbers) + 1)]
    if with_cls or not places:
        places.insert(0, [0])
    return [sum(block[row, at] for at in word for block in blocks) for word in places]


def shares(scores: list[Tensor]) -> list[Tensor]:
    powers = [score.exp() for score in scores]
    return [power / sum(powers) for power in powers]


def word_cosines(words: list[Tensor], places: list[Tensor], *, competing: bool) -> list[Tensor]:
    """cos(w_k, c_k) of one text and one film."""
    scores = [[(word * place).sum() for place in places] for word in words]
    if competing:
        columns = [shares([row[r] for row in scores]) for r in range(len(places))]
        scores = [[column[k] for column in columns] for k in range(len(words))]
    found = []
    for word, row in zip(words, scores, strict=True):
        weights = shares([4 * score for score in row])
        found.append(cosine(word, sum(weight * place for weight, place in zip(weights, places, strict=True))))
    return found


def literal(built: GLoRIAObjective, features: FeatureBatch, same: list[int] | None = None) -> tuple[Tensor, Tensor]:
    """Global and local loss, as printed."""
    is_code, size = built.variant == "code", len(TEXTS)
    mask, blocks = features.tokens.attention_mask, features.text.hidden[1:][-4:]
    images = [built.global_head.weight @ row + built.global_head.bias for row in features.image.pooled]
    texts = [sum(block[n, at] for block in blocks for at in range(int(mask[n].sum()))) for n in range(size)]
    whole = [[10 * cosine(image, text) for text in texts] for image in images]
    local = []
    for film in features.image.patches:
        places = [built.local_head.weight @ place for place in film]
        row = []
        for number in range(size):
            words = word_vectors(features, number, with_cls=is_code)
            total = sum((5 * value).exp() for value in word_cosines(words, places, competing=is_code))
            # The paper raises the sum to the power of 1/5, the code does not.
            row.append(10 * (total if is_code else total ** (1 / 5)).log())
        local.append(row)
    return 2 * contrastive_by_loops(whole, same), 2 * contrastive_by_loops(local, same)


@pytest.mark.parametrize("variant", ["paper", "code"])
@pytest.mark.parametrize("mask_equal_texts", [False, True])
def test_equals_the_loops_in_value_and_gradient(variant: str, mask_equal_texts: bool) -> None:
    built = objective(variant=variant, mask_equal_texts=mask_equal_texts, local_weight=0.5)
    features = small_features()
    leaves = [features.image.pooled, features.image.patches, *features.text.hidden[1:], *built.parameters()]
    values = built(features)
    whole, local = literal(built, features, [0, 1, 0, 2, 3] if mask_equal_texts else None)
    assert values.keys() == {"global", "local", "loss"}
    torch.testing.assert_close(values["global"], whole)
    torch.testing.assert_close(values["local"], local)
    torch.testing.assert_close(values["loss"], whole + 0.5 * local)
    expected = torch.autograd.grad(whole + 0.5 * local, leaves)
    for found, right in zip(torch.autograd.grad(values["loss"], leaves), expected, strict=True):
        torch.testing.assert_close(found, right)
        assert found.abs().max() > 0


@torch.no_grad()
@pytest.mark.parametrize("variant", ["paper", "code"])
def test_score_of_a_pair_by_loops(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    built, features = objective(variant=variant), small_features()
    text = features.text, features.tokens
    scores = built.pair_scores(features.image, *text)
    globals_ = built.embed_image(features.image) @ built.embed_text(*text).t()
    for film, patches in enumerate(features.image.patches):
        places = [built.local_head.weight @ place for place in patches]
        for number in range(len(TEXTS)):
            words = word_vectors(features, number, with_cls=False)
            values = [float(value) for value in word_cosines(words, places, competing=variant == "code")]
            soft = math.log(sum(math.exp(5 * value) for value in values)) / 5
            local = 5 * max(values) if variant == "code" else soft
            assert float(scores[film, number]) == pytest.approx((local + float(globals_[film, number])) / 2)
    # In parts of one text each, when all of them would need too much memory.
    monkeypatch.setattr(gloria, "_MOST_VALUES", 1)
    torch.testing.assert_close(built.pair_scores(features.image, *text), scores)


@torch.no_grad()
def test_one_word_and_one_place_by_hand() -> None:
    built, features = objective(), drawn_features(MODEL, num_places=1)
    single = chosen(features, [0], [1])  # "Film"
    word = sum(features.text.hidden[layer][1, 1:-1][single.tokens.words[0, 1:-1] == 0].sum(0) for layer in (1, 2))
    place = built.local_head.weight @ features.image.patches[0, 0]
    whole = float(built.embed_image(single.image) @ built.embed_text(single.text, single.tokens)[0])
    # The only place is the context, and of one word the soft maximum is its cosine.
    score = built.pair_scores(single.image, single.text, single.tokens)
    assert float(score) == pytest.approx((float(cosine(word, place)) + whole) / 2)


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_padding_and_order_change_nothing(variant: str) -> None:
    built, features = objective(variant=variant), small_features()
    loss, longer = built(features)["loss"], padded(features)
    torch.testing.assert_close(built(longer)["loss"], loss)
    order = [3, 0, 4, 2, 1]
    torch.testing.assert_close(built(chosen(features, order, order))["loss"], loss)
    scores = built.pair_scores(features.image, features.text, features.tokens)
    torch.testing.assert_close(built.pair_scores(longer.image, longer.text, longer.tokens), scores)
    other = chosen(features, [4, 1], [2, 0, 3])
    found = built.pair_scores(other.image, other.text, other.tokens)
    torch.testing.assert_close(found, scores[[4, 1]][:, [2, 0, 3]])


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_gradient_against_finite_differences(variant: str) -> None:
    built, features = objective(variant=variant), small_features()

    def loss(pooled: Tensor, patches: Tensor, *hidden: Tensor) -> Tensor:
        image = dataclasses.replace(features.image, pooled=pooled, _local=lambda: patches)
        text = TextFeatures(features.text.embedding, hidden[-1], hidden)
        return built(dataclasses.replace(features, image=image, text=text))["loss"]

    leaves = (features.image.pooled, features.image.patches, *features.text.hidden)
    assert torch.autograd.gradcheck(loss, leaves, fast_mode=True)


def test_only_the_last_four_layers_count() -> None:
    features = small_features(num_layers=6)
    found = torch.autograd.grad(objective()(features)["loss"], features.text.hidden, allow_unused=True)
    assert [gradient is None for gradient in found] == [True, True, True, False, False, False, False]


def test_one_random_sentence_is_the_view_unless_told_otherwise() -> None:
    tokens = drawn_features(MODEL).tokens
    numbers = {
        text: int(
            objective(text=text).text_view(tokens, generator=torch.Generator().manual_seed(0)).sentences.max().item()
        )
        for text in ("sentence", "excerpt")
    }
    assert numbers == {"sentence": 0, "excerpt": 1}
    assert objective().text == "sentence"


def test_autocast_does_not_round_the_local_logits() -> None:
    model = tiny_model(mobe_layers=())
    features, built = tiny_features(model), GLoRIAObjective(model)
    places = built.local_head(features.image.patches)
    words = built._words(features.text, features.tokens, with_cls=False)
    exact = built._matching(places, *words)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(built._matching(places, *words), exact)


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_short_texts_and_signs_alone_give_finite_gradients(variant: str) -> None:
    model = tiny_model()
    features = tiny_features(model)
    tokens = tokenize(model.tokenizer, ["Film", ".", "...", "Film 2."], max_tokens=16)
    text = model.encode_text(tokens.input_ids, tokens.attention_mask)
    features = dataclasses.replace(features, text=text, tokens=tokens)
    built = GLoRIAObjective(model, variant=variant)
    built(features)["loss"].backward()
    gradients = [value.grad for module in (model, built) for value in module.parameters() if value.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert torch.isfinite(built.pair_scores(features.image, text, tokens)).all()


def test_misuse_raises() -> None:
    with pytest.raises(ValueError, match=r"variant='both' is not allowed: one of \('paper', 'code'\)"):
        GLoRIAObjective(MODEL, variant="both")
    with pytest.raises(ValueError, match="text='word' is not allowed: one of"):
        GLoRIAObjective(MODEL, text="word")
    for weight in (-1, math.nan):
        with pytest.raises(ValueError, match=f"local_weight={weight} is not allowed: at least 0"):
            GLoRIAObjective(MODEL, local_weight=weight)


@pytest.mark.parametrize(("variant", "layers"), [("paper", (-1,)), ("code", ())])
def test_it_trains_goes_on_and_is_opened_with_its_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str, layers: tuple[int, ...]
) -> None:
    chosen = {"variant": variant}
    settings = {"objective_options": chosen, "epochs": 6, "learning_rate": 3e-3, "schedule": "cosine"}
    whole, resumed = assert_resumes(tmp_path, monkeypatch, "gloria", layers, **settings)
    losses = epoch_losses(whole)
    assert losses[-1] < 0.95 * losses[0]  # a few steps: by how much differs between processors
    first, second = (
        opened_like(run, tmp_path / name, layers) for run, name in ((whole, "whole"), (resumed, "stopped"))
    )
    assert (second.name, second.options["variant"]) == ("gloria", variant)
    pixels = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    texts = ["Film 1 of the chest.", "Film 2."]
    with torch.no_grad():
        assert torch.equal(*(model.pair_scores(pixels, texts) for model in (first, second)))
        # A film's score is its own, whatever stands beside it.
        alone = second.pair_scores(pixels[1:], texts[1:])
        torch.testing.assert_close(second.pair_scores(pixels, texts)[1:, 1:], alone)
