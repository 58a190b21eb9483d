"""Prototypes of films against sums over patches, and of reports against one text at a time."""

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pedclip.models.pedclip import PedCLIP
from pedclip.retrieval.prototypes import (
    encode_films,
    encode_reports,
    film_prototypes,
    image_prototypes,
    regions_per_side,
    report_prototypes,
)
from pedclip.retrieval.report_groups import split_groups
from pedclip.triplets.transforms import to_pixels
from tests.objectives.tiny_features import tiny_model

model = cache(tiny_model)
REPORTS = ["No fracture of the hand. Film of the chest.", "Film 3 of the pelvis."]


def by_loops(patches: Tensor, grid: str) -> Tensor:
    """(S, C) -> (K-1, C): the patches of each region, picked one by one."""
    side = round(len(patches) ** 0.5)
    if grid == "adaptive5":
        # Of region i the patches from ⌊i·side/5⌋ to ⌈(i+1)·side/5⌉.
        spans = [range(i * side // 5, -(-(i + 1) * side // 5)) for i in range(5)]
    else:
        starts = range(0, side, 3) if grid == "ceil5" else range(0, side - 2, 3)
        spans = [range(start, min(start + 3, side)) for start in starts]
    means = []
    for rows in spans:
        for columns in spans:
            members = [patches[row * side + column] for row in rows for column in columns]
            means.append(torch.stack(members).mean(0))
    return torch.stack(means)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    side=st.integers(1, 15),
    grid=st.sampled_from(["ceil5", "floor4", "adaptive5"]),
)
def test_regions_equal_loops_over_patches(seed: int, side: int, grid: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    patches = torch.randn(2, side * side, 3, generator=generator, dtype=torch.float64)
    whole = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    if side < {"ceil5": 1, "floor4": 3, "adaptive5": 5}[grid]:
        with pytest.raises(ValueError, match=f"grid='{grid}' on {side} x {side} patches is not allowed"):
            image_prototypes(patches, whole, grid=grid)  # type: ignore[arg-type]
        return
    found = image_prototypes(patches, whole, grid=grid)  # type: ignore[arg-type]
    assert found.shape[1] == regions_per_side(side, grid) ** 2 + 1  # type: ignore[arg-type]
    for film, token, prototypes in zip(patches, whole, found, strict=True):
        torch.testing.assert_close(prototypes[:-1], by_loops(film, grid))
        assert torch.equal(prototypes[-1], token)


def test_the_printed_grid_has_25_regions_and_ours_needs_the_adaptive_one() -> None:
    whole = torch.zeros(1, 2)
    counts = {
        (side, grid): image_prototypes(torch.zeros(1, side**2, 2), whole, grid=grid).shape[1]  # type: ignore[arg-type]
        for side in (14, 7)
        for grid in ("ceil5", "floor4", "adaptive5")
    }
    assert counts == {
        (14, "ceil5"): 26,
        (14, "floor4"): 17,
        (14, "adaptive5"): 26,
        (7, "ceil5"): 10,
        (7, "floor4"): 5,
        (7, "adaptive5"): 26,
    }


def test_corner_of_the_printed_grid_is_the_mean_of_four_patches() -> None:
    patches = torch.arange(196.0).view(1, 196, 1)
    corner = image_prototypes(patches, torch.zeros(1, 1))[0, 24, 0]
    assert float(corner) == np.mean([12 * 14 + 12, 12 * 14 + 13, 13 * 14 + 12, 13 * 14 + 13])


def test_misuse_raises() -> None:
    with pytest.raises(ValueError, match="S=197 patches are no square; leave out the image token"):
        image_prototypes(torch.zeros(1, 197, 2), torch.zeros(1, 2))
    with pytest.raises(ValueError, match=r"patches \(1, 4, 2\) and global_token \(1, 3\)"):
        image_prototypes(torch.zeros(1, 4, 2), torch.zeros(1, 3))
    with pytest.raises(ValueError, match="grid='ceil6' is not allowed"):
        image_prototypes(torch.zeros(1, 4, 2), torch.zeros(1, 2), grid="ceil6")  # type: ignore[arg-type]


def alone(clip: PedCLIP, text: str) -> tuple[Tensor, Tensor]:
    """Token mean without [CLS] and [SEP], and [CLS], of one text."""
    tokens = clip.tokenize([text])
    features = clip.text_projection(clip.text_encoder(tokens["input_ids"], tokens["attention_mask"])[-1])[0]
    return features[1:-1].mean(0), features[0]


def test_report_prototypes_equal_one_text_at_a_time() -> None:
    clip = model()
    found = report_prototypes(clip, REPORTS, num_groups=3, batch_size=2)
    assert found.mask.tolist() == [[True, True, False, True], [True, False, False, True]]
    assert torch.equal(found.mask, found.distinct)
    for row, text, index in ((0, "No fracture of the hand.", 0), (0, "Film of the chest.", 1), (1, REPORTS[1], 0)):
        torch.testing.assert_close(found.values[row, index], alone(clip, text)[0], rtol=1e-5, atol=1e-5)
    for row, report in enumerate(REPORTS):
        torch.testing.assert_close(found.values[row, -1], alone(clip, report)[1], rtol=1e-5, atol=1e-5)
    assert not found.values[~found.mask].any()
    assert not found.values.is_inference()  # or it could enter no training


def test_global_prototypes_are_the_embeddings_of_the_model() -> None:
    clip = model()
    with torch.no_grad():
        text = clip.encode_text(**clip.tokenize(REPORTS)).embedding
    whole = report_prototypes(clip, REPORTS, num_groups=2).values[:, -1]
    torch.testing.assert_close(torch.nn.functional.normalize(whole, dim=-1), text, rtol=1e-5, atol=1e-5)


def test_repeats_are_marked() -> None:
    clip = model()
    found = report_prototypes(clip, REPORTS, num_groups=3, short="repeat")
    assert found.mask.all()
    assert found.distinct.tolist() == [[True, False, True, True], [True, False, False, True]]
    assert torch.equal(found.values[1, 0], found.values[1, 2])


def test_a_group_of_sentences_is_the_mean_over_all_of_their_tokens() -> None:
    clip = model()
    found = report_prototypes(clip, REPORTS[:1], num_groups=1).values[0, 0]
    parts = []
    for sentence in ("No fracture of the hand.", "Film of the chest."):
        length = clip.tokenize([sentence])["input_ids"].shape[1] - 2  # without [CLS] and [SEP]
        parts.append((length, alone(clip, sentence)[0]))
    assert parts[0][0] != parts[1][0]
    expected = sum(length * mean for length, mean in parts) / sum(length for length, _ in parts)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_two_hundred_sentences_are_all_read() -> None:
    clip = model()
    sentences = [f"Film {number} of the chest." for number in range(200)]
    found = report_prototypes(clip, [" ".join(sentences)])
    changed = report_prototypes(clip, [" ".join([*sentences[:-1], "Film of the pelvis."])])
    assert found.mask.all()
    # The last sentence lies far behind the longest text of the encoder, and its group knows of it all the same.
    assert not torch.allclose(found.values[0, 24], changed.values[0, 24], atol=1e-3)
    torch.testing.assert_close(found.values[0, :24], changed.values[0, :24], rtol=1e-5, atol=1e-5)


def test_other_languages_and_unknown_signs_have_finite_prototypes() -> None:
    found = report_prototypes(model(), ["Keine Fraktur nachweisbar. 骨折なし。", "Ω 5"], num_groups=3)
    assert found.values.isfinite().all()


def test_no_report_raises() -> None:
    with pytest.raises(ValueError, match="reports is empty"):
        report_prototypes(model(), [])


@pytest.mark.parametrize("layer", ["dense", "final"])
def test_film_prototypes_are_those_of_the_tokens(layer: str) -> None:
    clip = model()
    size = clip.preprocess.resize
    films = np.random.default_rng(0).integers(0, 255, (3, size, size), dtype=np.uint8)
    side = clip.image_encoder.grid[0]
    grid = "ceil5" if side < 5 else "adaptive5"
    found = film_prototypes(clip, films, grid=grid, layer=layer, batch_size=2)  # type: ignore[arg-type]
    with torch.no_grad():
        features = clip.encode_image(to_pixels(torch.from_numpy(films), clip.preprocess))
        tokens = (features.dense if layer == "dense" else features.tokens)[:, 1:]
    for film in range(3):
        expected = by_loops(clip.image_projection(tokens[film]), grid)
        torch.testing.assert_close(found[film, :-1], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[:, -1], features.embedding, rtol=1e-4, atol=1e-5)
    assert not found.is_inference()


def gradients(clip: PedCLIP, value: Tensor, part: str) -> list[Tensor]:
    """Of every weight of one encoder."""
    weights = [weight for name, weight in clip.named_parameters() if name.startswith(part)]
    found = torch.autograd.grad(value, weights, allow_unused=True)
    return [torch.zeros_like(weight) if grad is None else grad for weight, grad in zip(weights, found, strict=True)]


def check_gradients(found: list[Tensor], expected: list[Tensor]) -> None:
    assert max(float(grad.abs().max()) for grad in found) > 0.01
    for first, second in zip(found, expected, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


def test_prototypes_of_reports_pass_gradients_on() -> None:
    clip = model()
    groups = split_groups(REPORTS, 3)
    found = encode_reports(clip, REPORTS, groups, batch_size=1)
    frozen = report_prototypes(clip, REPORTS, num_groups=3, batch_size=1)
    for name in ("values", "mask", "distinct"):
        assert torch.equal(getattr(found, name), getattr(frozen, name)), name
    assert not frozen.values.requires_grad
    scale = torch.randn(found.values.shape, generator=torch.Generator().manual_seed(0))
    literal = torch.zeros(())
    for row, report in enumerate(REPORTS):
        for index, group in enumerate(groups[row]):
            if group:
                literal = literal + (scale[row, index] * alone(clip, group[0])[0]).sum()
        literal = literal + (scale[row, -1] * alone(clip, report)[1]).sum()
    values = (scale * found.values).sum(), literal
    check_gradients(*(gradients(clip, value, "text_encoder") for value in values))


@pytest.mark.parametrize("layer", ["dense", "final"])
def test_prototypes_of_films_pass_gradients_on(layer: str) -> None:
    clip = model()
    size = clip.preprocess.resize
    films = np.random.default_rng(0).integers(0, 255, (3, size, size), dtype=np.uint8)
    found = encode_films(clip, torch.from_numpy(films), layer=layer)  # type: ignore[arg-type]
    frozen = film_prototypes(clip, films, layer=layer)  # type: ignore[arg-type]
    assert torch.equal(found, frozen)
    assert not frozen.requires_grad
    features = clip.encode_image(to_pixels(torch.from_numpy(films), clip.preprocess))
    tokens = clip.image_projection((features.dense if layer == "dense" else features.tokens)[:, 1:])
    parts = [
        torch.cat([by_loops(film, "ceil5"), whole[None]])
        for film, whole in zip(tokens, features.embedding, strict=True)
    ]
    scale = torch.randn(found.shape, generator=torch.Generator().manual_seed(0))
    values = (scale * found).sum(), (scale * torch.stack(parts)).sum()
    check_gradients(*(gradients(clip, value, "image_encoder") for value in values))
