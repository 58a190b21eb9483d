"""Explanation of a confidence: its entries add up to it under every switch, and each one is what a loop finds."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pedclip.retrieval.config import PECMConfig
from pedclip.retrieval.explain import PrototypeMatch, explain_match, region_heat
from pedclip.retrieval.pecm import PECM
from tests.retrieval.drawn_prototypes import TINY, build, draw

MATCHES = ["index", "max", "attention"]
# Free weights are no softmax, so that pairs have none of their own.
WEIGHTS = [("K_softmax", "static"), ("softmax", "static"), ("free", "static")]
WEIGHTS += [("K_softmax", "per_pair"), ("softmax", "per_pair")]


def confidence(pecm: PECM, image: Tensor, text: Tensor, mask: Tensor | None) -> float:
    found = pecm(image[None], text[None], None if mask is None else mask[None]).confidence
    return float(found.detach())


def total(entries: tuple[PrototypeMatch, ...], side: str | None = None) -> float:
    return sum(one.contribution for one in entries if side in (None, one.side))


def entry(side: str, number: int, contribution: float) -> PrototypeMatch:
    return PrototypeMatch(side, number, None, 0.1, 0.5, contribution)  # type: ignore[arg-type]


def test_prototypes_in_half_precision_are_explained() -> None:
    image, text, masks = draw(0, films=1, reports=1)
    pecm = PECM(5, config=PECMConfig(image_width=6, text_width=6, proj_dim=6))
    halves = explain_match(pecm, image[0].half(), text[0].half(), masks[0])
    entries = explain_match(pecm, image[0].float(), text[0].float(), masks[0])
    # Half precision has 11 bits.
    assert {one.number: one.contribution for one in halves} == pytest.approx(
        {one.number: one.contribution for one in entries}, abs=2e-3
    )


@pytest.mark.parametrize("weights", WEIGHTS, ids="-".join)
@pytest.mark.parametrize("match", MATCHES)
@settings(max_examples=15)
@given(seed=st.integers(0, 2**31), is_masked=st.booleans(), per=st.booleans(), dsce=st.booleans(), arr=st.booleans())
def test_contributions_add_up_to_the_confidence(
    match: str, weights: tuple[str, str], seed: int, is_masked: bool, per: bool, dsce: bool, arr: bool
) -> None:
    image, text, masks = draw(seed, films=1, reports=1)
    mask = masks[0] if is_masked else None
    w_norm, w_mode = weights
    pecm = build(seed, match=match, w_norm=w_norm, w_mode=w_mode, per=per, dsce=dsce, arr=arr)
    entries = explain_match(pecm, image[0], text[0], mask)
    assert total(entries) == pytest.approx(confidence(pecm, image[0], text[0], mask), abs=1e-6)
    # The film lacks nothing unless it is paired with what the report lacks.
    present = [k for k in range(5) if mask is None or bool(mask[k])]
    numbers = {side: sorted(one.number for one in entries if one.side == side) for side in ("film", "report")}
    if match == "index":
        assert numbers == {"film": present, "report": []}
    else:
        assert numbers == {"film": [0, 1, 2, 3, 4], "report": present}
    for side, found in numbers.items():
        fractions = [abs(one.weight) for one in entries if one.side == side]
        assert sum(fractions) == pytest.approx(1 if found else 0)
    assert [one.contribution for one in entries] == sorted((one.contribution for one in entries), reverse=True)


@pytest.mark.parametrize("kept", [[4], [0, 4], [2]], ids=["global", "one sentence", "without the global"])
@pytest.mark.parametrize("weights", WEIGHTS, ids="-".join)
@pytest.mark.parametrize("match", MATCHES)
def test_a_short_report_is_explained(match: str, weights: tuple[str, str], kept: list[int]) -> None:
    image, text, _ = draw(1)
    mask = torch.zeros(5, dtype=torch.bool)
    mask[kept] = True
    pecm = build(1, match=match, w_norm=weights[0], w_mode=weights[1])
    entries = explain_match(pecm, image[0], text[0], mask)
    assert total(entries) == pytest.approx(confidence(pecm, image[0], text[0], mask), abs=1e-9)
    # Nobody meets what is not there.
    assert {one.partner for one in entries if one.side == "film"} <= {*kept, None}
    if len(kept) == 1:
        alone = [one.weight for one in entries if one.side == ("film" if match == "index" else "report")]
        assert [abs(weight) for weight in alone] == [pytest.approx(1)]


def test_pairs_by_index_are_what_loops_find() -> None:
    image, text, _ = draw(2)
    pecm = build(2)
    film, report, present = image[0], text[1], [0, 3, 4]
    mask = torch.isin(torch.arange(5), torch.tensor(present))
    powers = pecm.theta.detach().exp()
    for one in explain_match(pecm, film, report, mask):
        fraction = float(powers[one.number] / powers[present].sum())
        cosine = float(torch.cosine_similarity(film[one.number], report[one.number], dim=0))
        assert (one.side, one.partner) == ("film", one.number)
        assert (one.weight, one.cosine) == pytest.approx((fraction, cosine))
        # Weights that are left grow to the total of all, so that C is their mean.
        assert one.contribution == pytest.approx(fraction * cosine)


def test_the_best_of_the_other_side_is_named() -> None:
    image, text, masks = draw(3)
    pecm, present = build(3, match="max"), masks[0].nonzero()[:, 0].tolist()
    assert 1 < len(present) < 5
    entries = explain_match(pecm, image[0], text[0], masks[0])
    powers = pecm.theta.detach().exp()
    for one in entries:
        is_film = one.side == "film"
        own, other = (image[0], text[0]) if is_film else (text[0], image[0])
        allowed, counted = (present, range(5)) if is_film else (range(5), present)
        cosines = {k: float(torch.cosine_similarity(own[one.number], other[k], dim=0)) for k in allowed}
        assert one.partner == max(cosines, key=lambda k: cosines[k])
        assert one.cosine == pytest.approx(max(cosines.values()))
        fraction = float(powers[one.number] / powers[list(counted)].sum())
        assert one.contribution == pytest.approx(fraction * one.cosine / 2)


def test_attention_meets_a_mean_that_is_no_prototype() -> None:
    image, text, masks = draw(4)
    pecm = build(4, match="attention", match_temperature=0.3)
    there = text[0][masks[0]]
    entries = explain_match(pecm, image[0], text[0], masks[0])
    assert {one.partner for one in entries} == {None}
    for one in entries:
        own, others = (image[0], there) if one.side == "film" else (text[0], image[0])
        cosines = torch.cosine_similarity(own[one.number], others, dim=1)
        mean = (cosines / 0.3).softmax(0) @ torch.nn.functional.normalize(others, dim=1)
        assert one.cosine == pytest.approx(float(torch.cosine_similarity(own[one.number], mean, dim=0)))


@pytest.mark.parametrize("match", ["max", "attention"])
def test_each_side_adds_up_to_its_half(match: str) -> None:
    image, text, masks = draw(5)
    pecm = build(5, match=match, w_mode="per_pair")
    entries = explain_match(pecm, image[0], text[0], masks[0])
    theta = pecm.theta.tolist()
    for side in ("film", "report"):
        ours = [one for one in entries if one.side == side]
        # Decision E6 by hand, from the cosines of this side.
        powers = [math.exp(theta[one.number] + 1.5 * one.cosine) for one in ours]
        mean = sum(power * one.cosine for power, one in zip(powers, ours, strict=True)) / sum(powers)
        assert total(entries, side) == pytest.approx(mean / 2)
        assert [one.weight for one in ours] == pytest.approx([power / sum(powers) for power in powers])


def test_prototypes_are_projected_each_by_its_own() -> None:
    config = PECMConfig(image_width=10, text_width=7, proj_dim=6, match="max")
    pecm = PECM(5, config=config, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    image, text = torch.randn(5, 10, generator=generator), torch.randn(5, 7, generator=generator)
    entries = explain_match(pecm, image, text)
    assert total(entries) == pytest.approx(confidence(pecm, image, text, None), abs=1e-6)
    best = entries[0]
    assert best.partner is not None
    numbers = (best.number, best.partner) if best.side == "film" else (best.partner, best.number)
    joint = pecm.image_projection(image)[numbers[0]], pecm.text_projection(text)[numbers[1]]
    assert best.cosine == pytest.approx(float(torch.cosine_similarity(*joint, dim=0).detach()), abs=1e-6)


def test_equal_contributions_are_in_the_order_of_sides_and_numbers() -> None:
    same = torch.ones(3, 4)
    entries = explain_match(PECM(3, config=replace(TINY, match="max")), same, same)
    found = [(one.side, one.number, one.partner) for one in entries]
    assert found == [(side, number, 0) for side in ("film", "report") for number in range(3)]


def test_free_weights_may_speak_against_a_match_and_may_be_nothing() -> None:
    pecm = build(6, prototypes=2, w_norm="free")
    same = torch.ones(2, 3, dtype=torch.float64)
    with torch.no_grad():
        pecm.theta.copy_(torch.tensor([3.0, -1.0]))
    first, last = explain_match(pecm, same, same)
    assert (first.weight, last.weight) == pytest.approx((0.75, -0.25))
    assert (first.contribution, last.contribution) == pytest.approx((1.5, -0.5))
    with torch.no_grad():
        pecm.theta.zero_()
    assert {(one.weight, one.contribution) for one in explain_match(pecm, same, same)} == {(0.0, 0.0)}


def test_what_is_not_one_film_and_one_report_is_refused() -> None:
    image, text, mask = draw(7)
    pecm = build(7)
    with pytest.raises(ValueError, match=r"prototypes \(3, 5, 6\) and \(5, 6\) must be \(K, C\) of one film"):
        explain_match(pecm, image, text[0])
    with pytest.raises(ValueError, match=r"prototypes \(1, 4, 6\) and \(1, 4, 6\) must be \(B, 5, D\)"):
        explain_match(pecm, image[0, 1:], text[0, 1:])
    with pytest.raises(ValueError, match=r"text_mask torch.bool \(1, 4\) must be booleans \(1, 5\)"):
        explain_match(pecm, image[0], text[0], mask[0, 1:])
    with pytest.raises(ValueError, match="text_mask leaves 1 of 1 reports without a prototype"):
        explain_match(pecm, image[0], text[0], torch.zeros(5, dtype=torch.bool))
    # Without PER the global embedding is the last prototype alone.
    with pytest.raises(ValueError, match="text_mask leaves 1 of 1 reports without a prototype"):
        explain_match(build(7, per=False), image[0], text[0], torch.arange(5) < 4)
    with pytest.raises(ValueError, match="prototypes hold NaN or infinite values"):
        explain_match(pecm, image[0] * torch.nan, text[0])


def test_the_heat_of_regions_lies_on_their_grid() -> None:
    # Rows from the top: regions 0 and 1, then 2 and 3. Number 4 is global.
    entries = [entry("film", 4, 9.0), entry("film", 2, 0.4), entry("film", 1, 0.1), entry("film", 3, -0.3)]
    entries.append(entry("report", 0, 5.0))
    heat = region_heat(entries, 4)
    assert heat.dtype == np.float32
    np.testing.assert_array_equal(heat, np.array([[0, 0.25], [1, 0]], np.float32))
    np.testing.assert_array_equal(region_heat(entries[::-1], 4), heat)


@pytest.mark.parametrize("entries", [[], [entry("film", 0, -0.2), entry("film", 1, 0.0)], [entry("film", 9, 1.0)]])
def test_no_contribution_is_no_heat(entries: list[PrototypeMatch]) -> None:
    np.testing.assert_array_equal(region_heat(entries, 9), np.zeros((3, 3), np.float32))


def test_the_heat_of_a_film_is_that_of_its_largest_region() -> None:
    image, text, masks = draw(8, prototypes=10)
    entries = explain_match(build(8, prototypes=10, match="max"), image[0], text[0], masks[0])
    heat = region_heat(entries, 9)
    hottest = next(one for one in entries if one.side == "film" and one.number < 9)
    assert heat.flat[hottest.number] == 1
    assert heat.min() >= 0
    assert np.count_nonzero(heat) == sum(
        one.side == "film" and one.number < 9 and one.contribution > 0 for one in entries
    )


@pytest.mark.parametrize("number", [0, -4, 5, 26])
def test_a_number_that_is_no_square_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"num_regions={number} is not allowed: the square"):
        region_heat([], number)


def test_matches_of_more_regions_are_refused() -> None:
    with pytest.raises(ValueError, match="prototype 5 does not fit num_regions=4"):
        region_heat([entry("film", 5, 1.0)], 4)


def test_matches_of_fewer_regions_are_refused() -> None:
    image, text, masks = draw(9, prototypes=10)
    entries = explain_match(build(9, prototypes=10), image[0], text[0], masks[0])
    assert {one.num_prototypes for one in entries} == {10}
    # Number 9 is global, and no region of a grid of 16.
    with pytest.raises(ValueError, match=r"prototype \d of 10 does not fit num_regions=16: give K-1"):
        region_heat(entries, 16)
    with pytest.raises(ValueError, match="prototype -1 does not fit num_regions=9"):
        region_heat([entry("film", -1, 1.0)], 9)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_contributions_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="the contribution of prototype 1 is not finite"):
        region_heat([entry("film", 0, 1.0), entry("film", 1, value)], 9)
    image, text, _ = draw(10)
    pecm = build(10)
    with torch.no_grad():
        pecm.theta[0] = math.nan if value < 0 else value
    with pytest.raises(ValueError, match="5 of 5 contributions are not finite; look at the weights of PECM"):
        explain_match(pecm, image[0], text[0])
