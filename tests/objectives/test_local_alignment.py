"""Words against patches: by hand, against Python loops, padding, gradients."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pedclip.objectives.local_alignment import WEIGHTINGS, attention_weights, local_similarities

LN3 = math.log(3.0)


def exponential_shares(scores: list[float]) -> list[float]:
    powers = [math.exp(score) for score in scores]
    return [power / sum(powers) for power in powers]


def literal(words: Tensor, patches: Tensor, temperature: float, weighting: str) -> list[float]:
    """cos(w_k, Σ_r α_kr v_r) for one text and one film, in loops over Python floats."""
    num_words, num_patches = len(words), len(patches)
    score = [[float(words[k] @ patches[r]) for r in range(num_patches)] for k in range(num_words)]
    if weighting == "competing":  # GLoRIA: every patch first divides itself among the words
        columns = [exponential_shares([score[k][r] for k in range(num_words)]) for r in range(num_patches)]
        score = [[columns[r][k] for r in range(num_patches)] for k in range(num_words)]
    cosines = []
    for k in range(num_words):
        scaled = [score[k][r] / temperature for r in range(num_patches)]
        weights = exponential_shares(scaled)
        if weighting == "sigmoid":
            weights = [1 / (1 + math.exp(-value)) for value in scaled]
        context = sum(weights[r] * patches[r] for r in range(num_patches))
        cosines.append(float(words[k] @ context / (words[k].norm() * context.norm())))
    return cosines


def test_by_hand() -> None:
    words, patches = torch.tensor([[LN3, 0.0], [0.0, LN3]]), torch.eye(2)
    # Scores of word 0 are ln 3 and 0: weights 3/4 and 1/4, context (3/4, 1/4), cosine 3/√10.
    expected = torch.full((2,), 3 / math.sqrt(10))
    torch.testing.assert_close(local_similarities(words, patches, temperature=1.0), expected)
    # The words share patch 0 as 3/4 : 1/4, patch 1 as 1/4 : 3/4. 1/2 apart, divided by 1 / (2 ln 3): 3 : 1 again.
    competing = local_similarities(words, patches, temperature=1 / (2 * LN3), weighting="competing")
    torch.testing.assert_close(competing, expected)
    # Logistic function of ln 3 and 0: context (3/4, 1/2), cosine 3/√13.
    sigmoid = local_similarities(words, patches, temperature=1.0, weighting="sigmoid")
    torch.testing.assert_close(sigmoid, torch.full((2,), 3 / math.sqrt(13)))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    num_words=st.integers(1, 5),
    num_patches=st.integers(1, 5),
    temperature=st.floats(0.5, 3),  # colder sigmoids shrink a context below the guard of the division
    weighting=st.sampled_from(WEIGHTINGS),
)
def test_equals_the_loops_in_all_pairs(
    seed: int, num_words: int, num_patches: int, temperature: float, weighting: str
) -> None:
    generator = torch.Generator().manual_seed(seed)
    words = torch.randn(2, num_words, 4, generator=generator, dtype=torch.float64)
    patches = torch.randn(3, num_patches, 4, generator=generator, dtype=torch.float64)
    together = local_similarities(words[None], patches[:, None], temperature=temperature, weighting=weighting)
    assert together.shape == (3, 2, num_words)
    for film in range(3):
        for text in range(2):
            expected = literal(words[text], patches[film], temperature, weighting)
            assert together[film, text].tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_padding_changes_nothing(weighting: str) -> None:
    torch.manual_seed(0)
    words, patches = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    alone = local_similarities(words, patches, temperature=0.5, weighting=weighting)
    longer_text = torch.cat([words, 9 * torch.randn(2, 2, 4)], 1).requires_grad_()
    larger_film = torch.cat([patches, 9 * torch.randn(2, 1, 4)], 1).requires_grad_()
    padded = local_similarities(
        longer_text,
        larger_film,
        temperature=0.5,
        weighting=weighting,
        word_mask=torch.tensor([True] * 3 + [False] * 2).expand(2, -1),
        patch_mask=torch.tensor([True] * 5 + [False]).expand(2, -1),
    )
    torch.testing.assert_close(padded[:, :3], alone)
    assert torch.equal(padded[:, 3:], torch.zeros(2, 2))
    padded.sum().backward()
    assert torch.equal(longer_text.grad[:, 3:], torch.zeros(2, 2, 4))
    assert torch.equal(larger_film.grad[:, 5:], torch.zeros(2, 1, 4))
    assert longer_text.grad[:, :3].abs().min() > 0


def test_order_of_patches_and_length_of_words_do_not_matter_but_words_compete() -> None:
    torch.manual_seed(0)
    words, patches = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    shuffled = patches[:, torch.randperm(5)]
    for weighting in WEIGHTINGS:
        options = {"temperature": 0.5, "weighting": weighting}
        torch.testing.assert_close(
            local_similarities(words, shuffled, **options), local_similarities(words, patches, **options)
        )
        first = local_similarities(words[:, :1], patches, **options)
        is_alone = torch.allclose(local_similarities(words, patches, **options)[:, :1], first)
        assert is_alone == (weighting != "competing")


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_weights_add_up(weighting: str) -> None:
    weights = attention_weights(torch.randn(2, 3, 4), torch.randn(2, 5, 4), temperature=0.25, weighting=weighting)
    assert weights.shape == (2, 3, 5)
    sums_to_one = torch.allclose(weights.sum(-1), torch.ones(2, 3))
    assert sums_to_one == (weighting != "sigmoid")


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_gradient_against_finite_differences(weighting: str) -> None:
    torch.manual_seed(0)
    words, patches = (torch.randn(2, n, 3, dtype=torch.float64, requires_grad=True) for n in (3, 4))
    mask = torch.tensor([[True, True, True], [True, True, False]])

    def similarities(words: Tensor, patches: Tensor) -> Tensor:
        return local_similarities(words, patches, temperature=0.5, weighting=weighting, word_mask=mask)

    assert torch.autograd.gradcheck(similarities, (words, patches))


def test_misuse_raises() -> None:
    with pytest.raises(ValueError, match="weighting='tanh' is not allowed: one of"):
        local_similarities(torch.ones(1, 2), torch.ones(1, 2), temperature=1.0, weighting="tanh")
