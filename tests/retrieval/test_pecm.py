"""PECM's scores against the literal sums, in every switch, and the vectors of the index against both."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pedclip.retrieval.config import PECMConfig
from pedclip.retrieval.pecm import PECM
from pedclip.retrieval.reference import pecm_reference
from pedclip.retrieval.reranking import final_score
from pedclip.retrieval.vectors import PairVectors
from tests.retrieval.drawn_prototypes import TINY, build, draw

Doubles = NDArray[np.floating]

SWITCHES = {
    "weights": st.sampled_from(
        [(norm, mode) for norm in ("K_softmax", "softmax", "free") for mode in ("static", "per_pair")][:-1]
    ),
    "norm_z": st.booleans(),
    "rerank": st.sampled_from(["as_intended", "as_printed", "sum"]),
    "per": st.booleans(),
    "dsce": st.booleans(),
    "arr": st.booleans(),
}


@settings(max_examples=60)
@given(seed=st.integers(0, 2**31), use_mask=st.booleans(), switches=st.fixed_dictionaries(SWITCHES))
def test_scores_and_vectors_equal_the_literal_sums(seed: int, use_mask: bool, switches: dict[str, object]) -> None:
    image, text, mask = draw(seed)
    w_norm, w_mode = switches.pop("weights")  # type: ignore[misc]
    pecm = build(seed, w_norm=w_norm, w_mode=w_mode, **switches)
    expected = pecm_reference(pecm, image, text, text_mask=mask if use_mask else None)
    found = pecm.scores(image, text, text_mask=mask if use_mask else None)
    for name in ("initial", "confidence", "final"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-9)
    if pecm.config.w_norm == "free" and pecm.config.dsce:
        with pytest.raises(ValueError, match="w_norm='free' has no form for an index"):
            pecm.image_vectors(image)
        return
    if w_mode == "per_pair" and pecm.config.dsce:
        with pytest.raises(ValueError, match="w_mode='per_pair' has no inner-product form"):
            pecm.image_vectors(image)
        return
    films, reports = pecm.image_vectors(image), pecm.text_vectors(text, text_mask=mask if use_mask else None)
    similarity, confidence = products(films, reports)
    # Vectors of an index are in single precision.
    np.testing.assert_allclose(similarity, expected.initial.detach(), rtol=0, atol=2e-6)
    np.testing.assert_allclose(confidence, expected.confidence.detach(), rtol=0, atol=2e-6)
    if pecm.config.arr:
        final = final_score(similarity, confidence, pecm.config.rerank)
        np.testing.assert_allclose(final, expected.final.detach(), rtol=0, atol=8e-6)


def products(films: PairVectors, reports: PairVectors) -> tuple[Doubles, Doubles]:
    """Similarity and confidence as an index makes them of two sets of vectors."""
    divisor = np.minimum.outer(films.weight, reports.weight)
    return films.similarity @ reports.similarity.T, films.confidence @ reports.confidence.T / divisor


def test_single_precision_at_the_printed_size_is_within_a_millionth() -> None:
    image, text, mask = draw(1, prototypes=26, width=512)
    pecm = build(1, prototypes=26)
    expected = pecm_reference(pecm, image, text, text_mask=mask)
    pecm, image, text = pecm.float(), image.float(), text.float()
    films, reports = pecm.image_vectors(image), pecm.text_vectors(text, text_mask=mask)
    assert films.confidence.shape == (3, 13_312)
    np.testing.assert_allclose(products(films, reports)[1], expected.confidence.detach(), rtol=0, atol=1e-6)
    torch.testing.assert_close(
        pecm.scores(image, text, text_mask=mask).final.double(), expected.final, rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("w_norm", ["K_softmax", "free"])
def test_a_report_of_the_film_itself_has_confidence_one(w_norm: str) -> None:
    image, _, mask = draw(2)
    pecm = PECM(5, config=replace(TINY, w_norm=w_norm)).double()  # type: ignore[arg-type]
    scores = pecm.scores(image, image, text_mask=mask[:3])
    torch.testing.assert_close(scores.confidence.diagonal(), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(pecm.weights, torch.ones(5, dtype=torch.float64))


def test_softmax_weights_with_the_printed_mean_bound_the_confidence() -> None:
    # Decision E5: Σw = 1 and 1/K together leave C at 1/K for equal prototypes.
    image = draw(3)[0]
    scores = build(3, w_norm="softmax").scores(image, image)
    torch.testing.assert_close(scores.confidence.diagonal(), torch.full((3,), 0.2, dtype=torch.float64))


def test_the_printed_product_ranks_two_negative_scores_first() -> None:
    initial, confidence = torch.tensor([-0.9, 0.5]), torch.tensor([-0.9, 0.5])
    printed = PECM(2, rerank="as_printed", config=TINY).final(initial, confidence)
    intended = PECM(2, rerank="as_intended", config=TINY).final(initial, confidence)
    torch.testing.assert_close(printed, torch.tensor([0.81, 0.25]))
    torch.testing.assert_close(intended, torch.tensor([0.0025, 0.5625]))


def test_absent_prototypes_do_not_matter() -> None:
    image, text, mask = draw(4)
    pecm = build(4)
    changed = torch.where(mask[..., None], text, 100 * torch.ones_like(text))
    for name in ("initial", "confidence", "final"):
        first, second = (getattr(pecm.scores(image, t, text_mask=mask), name) for t in (text, changed))
        torch.testing.assert_close(first, second)


def test_masks_on_the_cpu_fit_prototypes_of_another_device() -> None:
    # "meta" computes shapes only, and refuses to mix with the CPU as a GPU does.
    pecm, (image, text, mask) = build(0).to("meta"), draw(0)
    found = pecm.scores(image.to("meta"), text.to("meta"), text_mask=mask)
    assert found.final.shape == (3, 4)
    assert found.final.device.type == "meta"


def test_a_free_weight_of_zero_has_a_finite_gradient() -> None:
    image, text, _ = draw(7)
    pecm = build(7, w_norm="free")
    with torch.no_grad():
        pecm.theta[0] = 0
    pecm.scores(image, text).final.sum().backward()
    assert pecm.theta.grad is not None
    assert pecm.theta.grad.isfinite().all()


def test_shared_projections_keep_every_cosine() -> None:
    config = PECMConfig(image_width=6, text_width=6, proj_dim=8)
    pecm = PECM(5, config=config, generator=torch.Generator().manual_seed(0)).double()
    image, text, _ = draw(8)
    plain = PECM(5, config=TINY).double()
    torch.testing.assert_close(pecm(image, text).final, plain.scores(image, text).final, rtol=1e-5, atol=1e-5)
    own = PECM(5, config=replace(config, proj_init="own"), generator=torch.Generator().manual_seed(0)).double()
    assert float((own(image, text).final - plain.scores(image, text).final).abs().max().detach()) > 0.01


def test_a_generator_makes_the_same_projections_again() -> None:
    first, second = (PECM(5, generator=torch.Generator().manual_seed(3)).image_projection.weight for _ in range(2))
    assert torch.equal(first, second)  # type: ignore[arg-type]


def test_without_prototypes_the_initial_score_is_the_plain_cosine() -> None:
    image, text, mask = draw(9)
    plain = torch.nn.functional.cosine_similarity(image[:, None, -1], text[None, :, -1], dim=-1)
    scores = build(9, per=False, dsce=False, arr=False).scores(image, text, text_mask=mask)
    torch.testing.assert_close(scores.final, plain)


def test_weights_without_confidence_estimation_are_uniform() -> None:
    assert build(10, dsce=False).weights.tolist() == [1.0] * 5
    assert len(set(build(10).weights.tolist())) == 5


def test_entropy_of_the_weights() -> None:
    pecm = build(11)
    fractions = pecm.weights.detach() / 5
    assert float(pecm.entropy.detach()) == pytest.approx(float(-(fractions * fractions.log()).sum()))
    with torch.no_grad():
        pecm.theta.copy_(torch.tensor([1000.0, 0, 0, 0, 0]))
    assert float(pecm.entropy.detach()) == 0  # collapsed, and not NaN


def test_misuse_raises() -> None:
    image, text, mask = draw(12)
    pecm = build(12)
    with pytest.raises(ValueError, match="num_prototypes=0 is not allowed"):
        PECM(0)
    with pytest.raises(ValueError, match=r"prototypes \(3, 4, 6\) and \(4, 4, 6\) must be \(B, 5, D\)"):
        pecm.scores(image[:, 1:], text[:, 1:])
    with pytest.raises(ValueError, match=r"prototypes \(3, 5, 6\) and \(4, 5, 5\)"):
        pecm.scores(image, text[..., 1:])
    with pytest.raises(ValueError, match=r"text_mask torch.float32 \(4, 5\) must be booleans \(4, 5\)"):
        pecm.scores(image, text, text_mask=mask.float())
    with pytest.raises(ValueError, match="text_mask leaves 1 of 4 reports without a prototype to use"):
        pecm.scores(image, text, text_mask=torch.tensor([True, True, False, True])[:, None].expand(4, 5))
    with pytest.raises(ValueError, match=r"prototypes of widths \(6, 6\) \(image, text\) do not fit"):
        PECM(5)(image, text)
