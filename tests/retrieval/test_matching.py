"""Pairings other than by index against loops over vectors, and weights per pair under each of them."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pedclip.retrieval.pecm import PECM
from tests.retrieval.drawn_prototypes import TINY, build, draw

SOFT = {"match": "attention", "match_temperature": 0.3}


def counterpart(pecm: PECM, one: Tensor, others: list[Tensor]) -> Tensor:
    """Cosine of a vector with what it meets among those of the other side."""
    cosines = torch.stack([torch.cosine_similarity(one, other, dim=0) for other in others])
    if pecm.config.match == "max":
        return cosines.max()
    fractions = (cosines / pecm.config.match_temperature).softmax(0)
    mean = sum(fraction * other / other.norm() for fraction, other in zip(fractions, others, strict=True))
    return torch.cosine_similarity(one, mean, dim=0)  # type: ignore[arg-type]


def weighted(pecm: PECM, cosines: list[Tensor], numbers: list[int]) -> Tensor:
    """Mean of the cosines of the prototypes of these numbers, by the weights of the pair."""
    if pecm.config.w_mode == "per_pair":
        powers = [torch.exp(pecm.theta[k] + pecm.beta * cosine) for k, cosine in zip(numbers, cosines, strict=True)]
    else:
        powers = [pecm.weights[k] for k in numbers]
    total = sum(power * cosine for power, cosine in zip(powers, cosines, strict=True))
    return total / sum(powers) * pecm.weights.sum() / pecm.num_prototypes  # type: ignore[no-any-return]


def in_loops(pecm: PECM, film: Tensor, report: Tensor, present: list[int]) -> Tensor:
    """Both directions of one pair, prototype by prototype."""
    every, there = list(range(len(film))), [report[k] for k in present]
    of_image = weighted(pecm, [counterpart(pecm, film[k], there) for k in every], every)
    of_text = weighted(pecm, [counterpart(pecm, one, list(film)) for one in there], present)
    return (of_image + of_text) / 2


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    match=st.sampled_from(["max", "attention"]),
    w_mode=st.sampled_from(["static", "per_pair"]),
    w_norm=st.sampled_from(["K_softmax", "softmax"]),
)
def test_confidence_equals_loops(seed: int, match: str, w_mode: str, w_norm: str) -> None:
    image, text, mask = draw(seed)
    pecm = build(seed, match=match, w_mode=w_mode, w_norm=w_norm, match_temperature=0.3)
    found = pecm.scores(image, text, text_mask=mask).confidence
    for i, film in enumerate(image):
        for j, report in enumerate(text):
            expected = in_loops(pecm, film, report, mask[j].nonzero()[:, 0].tolist())
            torch.testing.assert_close(found[i, j], expected)


@pytest.mark.parametrize("match", ["index", "max", "attention"])
def test_any_number_of_pieces_gives_the_same(monkeypatch: pytest.MonkeyPatch, match: str) -> None:
    image, text, mask = draw(5)
    pecm = build(5, match=match, w_mode="per_pair")
    found = pecm.scores(image, text, text_mask=mask).confidence
    monkeypatch.setattr("pedclip.retrieval.matching._LARGEST", 1)
    torch.testing.assert_close(pecm.scores(image, text, text_mask=mask).confidence, found)


@pytest.mark.parametrize("match", ["max", "attention"])
def test_there_is_no_index_of_these_pairings(match: str) -> None:
    with pytest.raises(ValueError, match=f"match='{match}' has no inner-product form"):
        build(5, match=match).image_vectors(draw(5)[0])


def test_attention_becomes_the_best_as_the_temperature_falls() -> None:
    image, text, mask = draw(6)
    best = build(6, match="max").scores(image, text, text_mask=mask).confidence
    gaps = []
    for temperature in (1.0, 0.1, 0.01):
        pecm = build(6, match="attention", match_temperature=temperature)
        gaps.append(float((pecm.scores(image, text, text_mask=mask).confidence - best).abs().max().detach()))
    assert gaps[0] > 0.1 > gaps[2]
    # Without a second best there is nothing to mix.
    one = build(6, prototypes=1, **SOFT).scores(image[:, :1], text[:, :1])
    torch.testing.assert_close(one.confidence, build(6, prototypes=1).scores(image[:, :1], text[:, :1]).confidence)


@pytest.mark.parametrize("w_mode", ["static", "per_pair"])
@pytest.mark.parametrize("match", ["index", "max", "attention"])
def test_absent_prototypes_and_the_order_of_candidates_do_not_matter(match: str, w_mode: str) -> None:
    image, text, mask = draw(7)
    pecm = build(7, match=match, w_mode=w_mode)
    found = pecm.scores(image, text, text_mask=mask)
    changed = torch.where(mask[..., None], text, -100 * torch.ones_like(text))
    order = torch.tensor([2, 0, 3, 1])
    again = pecm.scores(image, changed[order], text_mask=mask[order])
    for name in ("initial", "confidence", "final"):
        torch.testing.assert_close(getattr(again, name), getattr(found, name)[:, order])


def test_the_order_of_prototypes_matters_by_index_only() -> None:
    image, text, _ = draw(8)
    turned = text[:, [1, 2, 3, 4, 0]]
    for match, is_same in (("index", False), ("max", True), ("attention", True)):
        pecm = PECM(5, config=replace(TINY, match=match)).double()  # type: ignore[arg-type]
        first, second = pecm.scores(image, text).confidence, pecm.scores(image, turned).confidence
        assert torch.allclose(first, second) is is_same, match


@pytest.mark.parametrize("match", ["index", "max", "attention"])
@pytest.mark.parametrize("w_norm", ["K_softmax", "softmax"])
def test_pair_weights_start_as_the_static_ones(match: str, w_norm: str) -> None:
    image, text, mask = draw(9)
    pair = build(9, match=match, w_norm=w_norm, w_mode="per_pair")
    moved = pair.scores(image, text, text_mask=mask)
    assert float(PECM(5, config=pair.config).beta.detach()) == 0
    with torch.no_grad():
        pair.beta.zero_()
    static = build(9, match=match, w_norm=w_norm).scores(image, text, text_mask=mask)
    torch.testing.assert_close(pair.scores(image, text, text_mask=mask).confidence, static.confidence)
    # A positive β weighs what agrees: no confidence falls. The global embedding has the static weights all along.
    assert bool((moved.confidence >= static.confidence).all())
    assert float((moved.confidence - static.confidence).max().detach()) > 0.01 * float(pair.weights.sum().detach()) / 5
    assert torch.equal(moved.initial, static.initial)


def test_without_confidence_estimation_pairs_have_no_weights_of_their_own() -> None:
    image, text, mask = draw(10)
    pair, plain = (build(10, dsce=False, w_mode=mode) for mode in ("per_pair", "static"))
    first, second = (pecm.scores(image, text, text_mask=mask).confidence for pecm in (pair, plain))
    assert torch.equal(first, second)
    assert pair.image_vectors(image).confidence.shape == (3, 30)


@pytest.mark.parametrize("weights", ["K_softmax", "softmax", "free", "per_pair"])
@pytest.mark.parametrize("match", ["index", "max", "attention"])
def test_gradient_against_finite_differences(weights: str, match: str) -> None:
    image, text, mask = draw(6, films=2, reports=2, prototypes=3, width=2)
    w_norm, w_mode = ("K_softmax", weights) if weights == "per_pair" else (weights, "static")
    pecm = build(6, prototypes=3, w_norm=w_norm, w_mode=w_mode, match=match)
    learned = {name: value for name, value in pecm.named_parameters() if name in ("theta", "beta")}

    def final(film: Tensor, report: Tensor, *values: Tensor) -> Tensor:
        arguments = (film, report, mask)
        state = dict(zip(learned, values, strict=True))
        return torch.func.functional_call(pecm, state, arguments).final  # type: ignore[no-any-return]

    starts = [value.detach().clone().requires_grad_() for value in learned.values()]
    assert len(starts) == 1 + (weights == "per_pair")
    assert torch.autograd.gradcheck(final, (image.requires_grad_(), text.requires_grad_(), *starts))


def test_opposite_prototypes_have_finite_gradients() -> None:
    # Their mean has no direction: attention of equal fractions to a vector and its opposite.
    image = torch.tensor([[[1.0, 0], [1, 0]]], requires_grad=True)
    text = torch.tensor([[[0, 1.0], [0, -1]]], requires_grad=True)
    confidence = PECM(2, config=replace(TINY, **SOFT)).scores(image, text).confidence  # type: ignore[arg-type]
    confidence.sum().backward()
    for values in (confidence, image.grad, text.grad):
        assert values is not None
        assert values.isfinite().all()
