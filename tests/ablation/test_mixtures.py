"""Weights at test, knock-out and swap, against the mixture of Eq. 2 with the same weights."""

import numpy as np
import pytest
import torch

from pedclip.ablation import MIXTURES, cka_matrix, expert_changes, expert_outputs, linear_cka
from pedclip.ablation.experts import _embedder
from pedclip.ablation.mixtures import blocks_with_experts, only, reweighed, weights_of, without
from pedclip.ablation.scores import embed_with
from pedclip.anatomy import REGIONS
from pedclip.models.mobe import mobe_reference
from pedclip.models.pedclip import PedCLIP
from pedclip.training.loop import build_model
from pedclip.triplets.transforms import to_pixels
from tests.training.tiny import tiny_arrays, tiny_config

GATES = torch.tensor([[0.6, 0.35, 0.05], [0.05, 0.05, 0.9]])


@pytest.fixture(scope="module")
def model() -> PedCLIP:
    torch.manual_seed(0)
    made = build_model(tiny_config({"expert_init": "random"}), tiny_arrays(12)).eval()
    with torch.no_grad():
        # Experts that differ enough to be heard, and a gate that prefers some of them.
        for block in blocks_with_experts(made):
            block.w1.normal_(std=0.3), block.w2.normal_(std=0.3), block.gate.weight.normal_(std=0.5)
    return made


@pytest.mark.parametrize(
    ("mixture", "expected"),
    [
        ("gate", [[0.6, 0.35, 0.05], [0.05, 0.05, 0.9]]),
        ("top-1", [[1, 0, 0], [0, 0, 1]]),
        ("truncated", [[0.6, 0.35, 0], [0, 0, 0.9]]),
        ("uniform", [[1 / 3] * 3] * 2),
        ("label", [[0, 1, 0], [0, 0, 1]]),
        ("other label", [[0, 0, 1], [1, 0, 0]]),
    ],
)
def test_weights(mixture: str, expected: list[list[float]]) -> None:
    found = weights_of(mixture, torch.tensor([1, 2]))(GATES)  # type: ignore[arg-type]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32))
    assert mixture in MIXTURES


def test_knocked_out_weights_sum_to_one_again() -> None:
    torch.testing.assert_close(without(0)(GATES)[0], torch.tensor([0, 0.875, 0.125]))
    # A gate that was sure of the removed expert knows nothing of the others.
    torch.testing.assert_close(without(1)(torch.tensor([[0.0, 1.0, 0.0]])), torch.tensor([[0.5, 0.0, 0.5]]))
    assert only(2)(GATES).tolist() == [[0, 0, 1], [0, 0, 1]]


def test_a_mixture_that_needs_labels_says_so() -> None:
    with pytest.raises(ValueError, match="needs the label of each film"):
        weights_of("label")
    with pytest.raises(ValueError, match="mixture='best' is not allowed"):
        weights_of("best")  # type: ignore[arg-type]


def test_a_reweighed_model_is_the_mixture_with_these_weights(model: PedCLIP) -> None:
    films = tiny_arrays(6)
    pixels = to_pixels(torch.from_numpy(films.images), model.preprocess)
    block = blocks_with_experts(model)[-1]
    seen = []
    handle = block.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    with torch.no_grad():
        plain = model.encode_image(pixels).embedding
        labels = torch.from_numpy(films.regions)
        forced = model.encode_image(pixels, labels).embedding
        with reweighed(model, weights_of("label", labels)):
            by_label = model.encode_image(pixels).embedding
        with reweighed(model, lambda gates: gates):
            same = model.encode_image(pixels).embedding
    handle.remove()
    # The labels' experts at test are what teacher forcing computes in training.
    torch.testing.assert_close(by_label, forced, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(same, plain, rtol=1e-5, atol=1e-6)
    assert (by_label - plain).abs().max() > 1e-3
    torch.testing.assert_close(model.encode_image(pixels).embedding, plain)  # the hooks are gone
    with torch.no_grad():
        outputs = torch.from_numpy(expert_outputs(model, films, batch_size=4))  # (E, N, C)
        one_hot = torch.nn.functional.one_hot(torch.full((6,), 5), len(REGIONS)).float()
        expected = mobe_reference(seen[0], one_hot, block.w1, block.b1, block.w2, block.b2)[:, 0]
    torch.testing.assert_close(outputs[5], expected, rtol=1e-4, atol=1e-5)


def test_knock_out_and_swap_have_a_row_per_expert_and_region(model: PedCLIP) -> None:
    films = tiny_arrays(42)
    for change in ("knock-out", "swap"):
        table = expert_changes(model, films, REGIONS, change=change)
        assert len(table) == len(REGIONS) * 3
        assert set(table["films"]) == {14}
        assert table["value"].between(0, 1).all()
        np.testing.assert_allclose(table["difference"], table["value"] - table["before"])
    assert table.groupby("region")["before"].nunique().eq(1).all()
    assert table["difference"].abs().max() > 0.01
    with pytest.raises(ValueError, match="2 names were given for 23 experts"):
        expert_changes(model, films, REGIONS[:2], change="swap")


def test_a_model_without_experts_is_refused() -> None:
    plain = build_model(tiny_config({"mobe_layers": ()}), tiny_arrays(12)).eval()
    with pytest.raises(ValueError, match="has no experts"):
        expert_outputs(plain, tiny_arrays(3))


def test_cka_of_rotations_and_of_noise() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=(200, 5))
    turned = 3 * one @ np.linalg.qr(rng.normal(size=(5, 5)))[0] + 7
    assert linear_cka(one, turned) == pytest.approx(1)
    assert linear_cka(one, rng.normal(size=(200, 5))) < 0.1
    matrix = cka_matrix(np.stack([one, turned, rng.normal(size=(200, 5))]))
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-9)
    assert matrix.shape == (3, 3)
    with pytest.raises(ValueError, match="of 200 and of 3 items"):
        linear_cka(one, one[:3])
    with pytest.raises(ValueError, match="the same for all items"):
        linear_cka(one, np.ones((200, 2)))


def test_the_short_way_of_the_last_block_gives_the_embeddings_of_the_long_one(model: PedCLIP) -> None:
    films = tiny_arrays(7)
    for reweigh in (lambda gates: gates, without(0), only(3)):
        short = _embedder(model, films, batch_size=3, device="cpu")(reweigh)
        long, _ = embed_with(model, films, np.arange(7), reweigh)
        np.testing.assert_allclose(short, long, atol=1e-5)
