"""Zero-shot scores of each method, against loops and numbers by hand."""

import math

import pytest
import torch
from torch import Tensor

from pedclip.models.released.outputs import ReleasedImage, ReleasedText, unit
from pedclip.models.released.scoring import (
    cosine_score,
    local_and_global,
    local_similarity,
    mean_logit,
    pair_probability,
    sigmoid_score,
)

IMAGE = ReleasedImage(torch.tensor([[1.0, 0.0], [0.6, 0.8]]))
POSITIVE = ReleasedText(torch.tensor([[1.0, 0.0]]))
NEGATIVE = ReleasedText(torch.tensor([[0.0, 1.0]]))


def gloria(seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[ReleasedImage, ReleasedText]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    mask = torch.tensor([[True, True, True], [True, True, False]])
    image = ReleasedImage(unit(draw(4, 6)), regions=draw(4, 5, 6))
    return image, ReleasedText(unit(draw(2, 6)), words=draw(2, 3, 6), word_mask=mask)


def literal_local(image: ReleasedImage, text: ReleasedText) -> Tensor:
    """Word by word and region by region."""
    assert image.regions is not None
    assert text.words is not None
    assert text.word_mask is not None
    result = torch.zeros(4, 2)
    for film in range(4):
        for prompt in range(2):
            regions, words = image.regions[film], text.words[prompt][text.word_mask[prompt]]
            over_words = [[math.exp(float(region @ word)) for word in words] for region in regions]
            over_words = [[value / sum(row) for value in row] for row in over_words]
            best = -math.inf
            for number, word in enumerate(words):
                weights = [math.exp(4 * row[number]) for row in over_words]
                context = sum(w / sum(weights) * region for w, region in zip(weights, regions, strict=True))
                cosine = float(word @ context / (word.norm() * context.norm()))  # type: ignore[union-attr,operator]
                best = max(best, math.log(math.exp(5 * cosine)))
            result[film, prompt] = best
    return result


def test_cosine_and_pair() -> None:
    torch.testing.assert_close(cosine_score(IMAGE, POSITIVE, None), torch.tensor([1.0, 0.6]))
    torch.testing.assert_close(cosine_score(IMAGE, POSITIVE, NEGATIVE), torch.tensor([1.0, -0.2]))


def test_chexzero_is_the_softmax_of_two_cosines_without_scale() -> None:
    expected = [math.e / (math.e + 1), math.exp(0.6) / (math.exp(0.6) + math.exp(0.8))]
    torch.testing.assert_close(pair_probability(IMAGE, POSITIVE, NEGATIVE), torch.tensor(expected))
    # Swapping the answers gives the rest.
    swapped = pair_probability(IMAGE, NEGATIVE, POSITIVE)
    torch.testing.assert_close(swapped + pair_probability(IMAGE, POSITIVE, NEGATIVE), torch.ones(2))


def test_ensemble_is_normalized_before_and_after_the_mean() -> None:
    two = ReleasedText(torch.cat([POSITIVE.embedding, NEGATIVE.embedding]))
    torch.testing.assert_close(cosine_score(IMAGE, two, None), torch.tensor([1.0, 1.4]) / math.sqrt(2))


def test_medclip_means_logits_and_not_embeddings() -> None:
    two = ReleasedText(torch.cat([POSITIVE.embedding, NEGATIVE.embedding]))
    scale = torch.tensor(2.0)
    torch.testing.assert_close(mean_logit(IMAGE, two, None, logit_scale=scale), torch.tensor([0.5, 0.7]) * math.exp(2))
    # The scale is held within its bounds: 100 at most.
    top = mean_logit(IMAGE, POSITIVE, NEGATIVE, logit_scale=torch.tensor(9.0))
    torch.testing.assert_close(top, torch.tensor([100.0, -20.0]), rtol=1e-4, atol=0)


def test_local_similarity_equals_the_loop() -> None:
    image, text = gloria()
    torch.testing.assert_close(local_similarity(image, text), literal_local(image, text))
    # Padding does not take part, whatever is in it.
    assert text.words is not None
    padded = torch.cat([text.words, torch.full((2, 1, 6), 9.0)], dim=1)
    mask = torch.tensor([[True, True, True, False], [True, True, False, False]])
    more = ReleasedText(text.embedding, words=padded, word_mask=mask)
    torch.testing.assert_close(local_similarity(image, more), local_similarity(image, text))


def test_gloria_takes_the_best_prompt_of_half_the_sum() -> None:
    image, text = gloria()
    expected = ((literal_local(image, text) + image.embedding @ text.embedding.T) / 2).max(1).values
    torch.testing.assert_close(local_and_global(image, text, None), expected)
    standard = local_and_global(image, text, None, over_batch=True)
    torch.testing.assert_close(standard, (expected - expected.mean()) / expected.std(correction=0))
    # Which films are scored together changes the standardized score and not the plain one.
    assert image.regions is not None
    half = ReleasedImage(image.embedding[:2], regions=image.regions[:2])
    torch.testing.assert_close(local_and_global(half, text, None), expected[:2])
    assert not torch.allclose(local_and_global(half, text, None, over_batch=True), standard[:2])


@pytest.mark.parametrize("films", [[0], [2, 2, 2], [1] * 7])
def test_one_film_or_equal_ones_have_a_standard_score_of_zero(films: list[int]) -> None:
    image, text = gloria()
    assert image.regions is not None
    same = ReleasedImage(image.embedding[films], regions=image.regions[films])
    assert local_and_global(same, text, None, over_batch=True).tolist() == [0.0] * len(films)
    # Two that do differ, however little, stay at one deviation from their mean.
    near = image.regions[[0, 0]] * torch.tensor([1.0, 1.01])[:, None, None]
    found = local_and_global(ReleasedImage(image.embedding[[0, 0]], regions=near), text, None, over_batch=True)
    assert found.abs().tolist() == pytest.approx([1, 1], abs=1e-2)


def test_local_similarity_has_the_gradient_of_finite_differences() -> None:
    image, text = gloria(dtype=torch.float64)
    assert image.regions is not None

    def score(regions: Tensor) -> Tensor:
        return local_similarity(ReleasedImage(image.embedding, regions=regions), text)

    assert torch.autograd.gradcheck(score, (image.regions.requires_grad_(),))


def test_sigmoid_uses_scale_and_bias() -> None:
    scale, bias = torch.tensor(math.log(10.0)), torch.tensor(-7.0)
    found = sigmoid_score(IMAGE, POSITIVE, logit_scale=scale, logit_bias=bias)
    torch.testing.assert_close(found, torch.sigmoid(torch.tensor([3.0, -1.0])))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_unit_vectors_are_float32_at_least(dtype: torch.dtype) -> None:
    found = unit(torch.tensor([[3.0, 4.0]], dtype=dtype))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.8]]))
