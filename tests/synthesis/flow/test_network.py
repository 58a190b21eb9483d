"""The velocity field: what it depends on, and what it must not."""

import sys

import pytest
import torch

from pedclip.synthesis.flow.config import FlowConfig, Sampling
from pedclip.synthesis.flow.cost import flow_cost
from pedclip.synthesis.flow.network import FlowNetwork
from tests.synthesis.flow.tiny import SIZE, drawn_network, tiny_captions, tiny_run


@pytest.fixture(scope="module")
def network() -> FlowNetwork:
    return drawn_network(tiny_captions())


def inputs(count: int = 2) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    films = torch.randn(count, 1, SIZE, SIZE, generator=generator)
    tokens, mask = torch.randn(count, 8, 16, generator=generator), torch.ones(count, 8)
    mask[:, 5:] = 0
    return films, torch.linspace(0.2, 0.8, count), tokens, mask


def test_velocity_depends_on_film_time_and_words(network: FlowNetwork) -> None:
    films, times, tokens, mask = inputs()
    with torch.no_grad():
        first = network(films, times, tokens, mask)
        assert first.shape == films.shape
        words = tokens.clone()
        words[:, 3] += 1  # inside the text, not [CLS]
        others = [
            network(films + 0.1, times, tokens, mask),
            network(films, times + 0.1, tokens, mask),
            network(films, times, words, mask),
            network(films, times, tokens.roll(1, 0), mask),
        ]
    assert all((other - first).abs().max() > 1e-4 for other in others)


def test_padding_is_not_read(network: FlowNetwork) -> None:
    films, times, tokens, mask = inputs()
    padded = tokens.clone()
    padded[:, 5:] = 50.0
    with torch.no_grad():
        # The mask is a bias of -10 000, whose exponential is 0 in single precision.
        torch.testing.assert_close(network(films, times, padded, mask), network(films, times, tokens, mask))


def test_rows_of_a_batch_do_not_meet(network: FlowNetwork) -> None:
    films, times, tokens, mask = inputs(3)
    order = torch.tensor([2, 0, 1])
    with torch.no_grad():
        straight = network(films, times, tokens, mask)
        mixed = network(films[order], times[order], tokens[order], mask[order])
    torch.testing.assert_close(mixed, straight[order])


def test_first_velocity_is_zero_and_still_learns() -> None:
    network = FlowNetwork(tiny_run().model, text_width=16)
    films, times, tokens, mask = inputs()
    velocity = network(films, times, tokens, mask)
    assert not velocity.any()
    (velocity - 1).square().mean().backward()
    assert network.unet.conv_out.weight.grad.abs().max() > 0


def test_seed_decides_the_weights_and_leaves_torch_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)
    networks = [FlowNetwork(tiny_run().model, text_width=16, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(torch.rand(2), expected)
    first, same, other = (next(iter(one.parameters())) for one in networks)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_heads_are_heads() -> None:
    # Of 32 channels: two heads of 16, not sixteen of 2.
    attention = drawn_network(tiny_captions()).unet.mid_block.attentions[0].transformer_blocks[0].attn2
    assert (attention.heads, attention.to_q.out_features) == (2, 32)


def test_cost_counts_every_pass() -> None:
    config = tiny_run().model
    network = FlowNetwork(config, text_width=16)
    plain, doubled = (
        flow_cost(config, text_width=16, text_tokens=8, sampling=sampling)
        for sampling in (Sampling(steps=5, guidance=1.0), Sampling(steps=5, guidance=3.0, solver="heun"))
    )
    assert plain.parameters == sum(value.numel() for value in network.parameters())
    assert plain.gflop_per_film == pytest.approx(5 * plain.gflop_per_pass)
    assert doubled.gflop_per_film == pytest.approx(20 * plain.gflop_per_pass)
    # Backward is about twice forward; the first layer needs no gradient of its input.
    assert 2.5 < plain.gflop_per_step / plain.gflop_per_pass < 3
    # The first convolution by hand: 8 · 8 places, 3 · 3 · 4 inputs, 16 outputs, a product and a sum each.
    assert plain.gflop_per_pass * 1e9 > 2 * 8 * 8 * 9 * 4 * 16
    assert flow_cost(FlowConfig()).parameters < 5_000_000


def test_without_diffusers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'pedclip\[synthesis\]'"):
        FlowNetwork(tiny_run().model, text_width=16)
