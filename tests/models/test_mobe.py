"""Every implementation of MoBE against Eq. 2 as printed, in values and in all gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from pedclip.models.mobe import (
    MixtureOfBodyExperts,
    grouped_linear,
    mobe_batched,
    mobe_grouped,
    mobe_reference,
    route_gates,
    route_labels,
)

GATES = st.sampled_from(["one_hot", "uniform", "tiny", "random"])
# Order of summation differs between implementations; at these sizes a few units in the last place remain.
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


def draw(seed: int, *, batch: int, length: int, width: int, hidden: int, experts: int, gates: str, dtype: torch.dtype):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return (torch.randn(shape, generator=generator, dtype=torch.float64) * 0.5).to(dtype).requires_grad_()

    weights = (
        normal(experts, hidden, width),
        normal(experts, hidden),
        normal(experts, width, hidden),
        normal(experts, width),
    )
    scores = torch.randn(batch, experts, generator=generator, dtype=torch.float64)
    mixture = {
        "one_hot": F.one_hot(scores.argmax(1), experts).double(),
        "uniform": torch.full((batch, experts), 1 / experts, dtype=torch.float64),
        "tiny": (scores * 12).softmax(1),
        "random": scores.softmax(1),
    }[gates]
    return normal(batch, length, width), mixture.to(dtype).requires_grad_(), weights


def with_gradients(output: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    # A non-linear scalar, so that every output element has a gradient of its own.
    gradients = torch.autograd.grad(output.sin().sum(), inputs, allow_unused=True)
    return [output, *(torch.zeros_like(x) if g is None else g for x, g in zip(inputs, gradients, strict=True))]


def assert_equal(actual: list[Tensor], expected: list[Tensor], dtype: torch.dtype) -> None:
    for left, right in zip(actual, expected, strict=True):
        torch.testing.assert_close(
            left, right, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * max(1.0, float(right.detach().abs().max()))
        )


SHAPES = {
    "seed": st.integers(0, 2**31),
    "batch": st.integers(1, 5),
    "length": st.integers(1, 6),
    "width": st.sampled_from([3, 8, 16]),
    "hidden": st.sampled_from([5, 8, 32]),
    "experts": st.integers(1, 7),
    "dtype": st.sampled_from([torch.float64, torch.float32]),
}


def test_reference_by_hand() -> None:
    # Expert 0 doubles, expert 1 negates, through a GELU so far in its linear part that it is the identity.
    w1 = torch.tensor([[[2.0]], [[-1.0]]])
    b1 = torch.tensor([[100.0], [100.0]])
    w2 = torch.ones(2, 1, 1)
    b2 = torch.tensor([[-100.0], [-100.0]])
    tokens = torch.tensor([[[3.0], [5.0]]])
    gates = torch.tensor([[0.25, 0.75]])
    expected = torch.tensor([[[0.25 * 6 - 0.75 * 3], [0.25 * 10 - 0.75 * 5]]])
    torch.testing.assert_close(mobe_reference(tokens, gates, w1, b1, w2, b2), expected)


@settings(max_examples=60, deadline=None)
@given(gates=GATES, **SHAPES)
def test_soft_mixture_equals_reference(gates: str, dtype: torch.dtype, **shape: int) -> None:
    tokens, mixture, weights = draw(**shape, gates=gates, dtype=dtype)
    inputs = [tokens, mixture, *weights]
    expected = with_gradients(mobe_reference(tokens, mixture, *weights), inputs)
    assert_equal(with_gradients(mobe_batched(tokens, mixture, *weights), inputs), expected, dtype)
    assert_equal(
        with_gradients(mobe_grouped(tokens, route_gates(mixture, threshold=0.0), *weights), inputs), expected, dtype
    )


@settings(max_examples=60, deadline=None)
@given(**SHAPES)
def test_teacher_forcing_equals_reference(dtype: torch.dtype, **shape: int) -> None:
    tokens, _, weights = draw(**shape, gates="uniform", dtype=dtype)
    labels = torch.randint(shape["experts"], (shape["batch"],), generator=torch.Generator().manual_seed(shape["seed"]))
    one_hot = F.one_hot(labels, shape["experts"]).to(dtype)
    inputs = [tokens, *weights]
    expected = with_gradients(mobe_reference(tokens, one_hot, *weights), inputs)
    routes = route_labels(labels, shape["experts"], dtype=dtype)
    assert_equal(with_gradients(mobe_grouped(tokens, routes, *weights), inputs), expected, dtype)


@settings(max_examples=60, deadline=None)
@given(gates=GATES, share=st.floats(0, 1), **SHAPES)
def test_truncation_stays_within_its_bound(gates: str, share: float, dtype: torch.dtype, **shape: int) -> None:
    tokens, mixture, weights = draw(**shape, gates=gates, dtype=torch.float64)
    threshold = share / shape["experts"]
    exact = mobe_reference(tokens, mixture, *weights)
    truncated = mobe_grouped(tokens, route_gates(mixture, threshold=threshold), *weights)
    dropped = torch.where(mixture < threshold, mixture, 0.0).sum(1)
    single = torch.eye(shape["experts"], dtype=torch.float64)
    lengths = torch.stack(
        [mobe_reference(tokens, row.expand(shape["batch"], -1), *weights).norm(dim=-1) for row in single]
    )
    bound = dropped[:, None] * lengths.max(0).values
    assert bool(((exact - truncated).norm(dim=-1) <= bound + 1e-10).all())


@pytest.mark.parametrize("implementation", ["auto", "loop", "batched", "grouped"])
@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize("is_forced", [True, False])
def test_module_implementations_agree(implementation: str, length: int, is_forced: bool) -> None:
    torch.manual_seed(0)
    mobe = MixtureOfBodyExperts(8, 16, 5, implementation).double()
    tokens = torch.randn(3, length, 8, dtype=torch.float64)
    assignment = torch.tensor([4, 0, 4]) if is_forced else None
    mixed, gate_logits = mobe(tokens, assignment)
    torch.testing.assert_close(gate_logits, tokens[:, 0] @ mobe.gate.weight.t())  # Eq. 1 before the softmax
    gates = F.one_hot(assignment, 5).double() if assignment is not None else gate_logits.softmax(-1)
    torch.testing.assert_close(
        mixed, mobe_reference(tokens, gates, mobe.w1, mobe.b1, mobe.w2, mobe.b2), rtol=1e-10, atol=1e-10
    )


def test_absent_expert_has_zero_gradient() -> None:
    mobe = MixtureOfBodyExperts(8, 16, 3)
    mixed, _ = mobe(torch.randn(4, 2, 8), torch.tensor([0, 2, 2, 0]))
    mixed.square().sum().backward()
    assert torch.equal(mobe.w1.grad[1], torch.zeros(16, 8))
    assert float(mobe.w1.grad[0].abs().max()) > 0


def test_equal_experts_make_the_gate_irrelevant() -> None:
    fc1, fc2 = torch.nn.Linear(8, 16), torch.nn.Linear(16, 8)
    mobe = MixtureOfBodyExperts(8, 16, 4)
    mobe.copy_expert(fc1, fc2)
    tokens = torch.randn(3, 5, 8)
    plain = fc2(F.gelu(fc1(tokens)))
    torch.testing.assert_close(mobe(tokens)[0], plain)
    torch.testing.assert_close(mobe(tokens, torch.tensor([3, 1, 0]))[0], plain)


def test_noise_tells_every_expert_from_every_other_and_leaves_biases() -> None:
    torch.manual_seed(0)
    fc1, fc2 = torch.nn.Linear(64, 128), torch.nn.Linear(128, 64)
    mobe = MixtureOfBodyExperts(64, 128, 4)
    mobe.copy_expert(fc1, fc2, noise=0.1)
    for stacked, source in ((mobe.w1, fc1.weight), (mobe.w2, fc2.weight)):
        added, spread = (stacked - source).detach(), float(source.detach().std())
        # 8192 numbers: the deviation is known to about 0.8 % of itself, a correlation to 0.011.
        assert added.flatten(1).std(1).tolist() == pytest.approx([0.1 * spread] * 4, rel=0.05)
        assert float((torch.corrcoef(added.flatten(1)) - torch.eye(4)).abs().max()) < 0.06
    assert torch.equal(mobe.b1, fc1.bias.expand(4, -1))
    assert torch.equal(mobe.b2, fc2.bias.expand(4, -1))


def test_permuting_experts_changes_nothing() -> None:
    mobe = MixtureOfBodyExperts(8, 16, 4)
    tokens = torch.randn(3, 5, 8)
    before, _ = mobe(tokens)
    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        for parameter in (mobe.w1, mobe.b1, mobe.w2, mobe.b2, mobe.gate.weight):
            parameter.copy_(parameter[order].clone())
    torch.testing.assert_close(mobe(tokens)[0], before)


@torch.no_grad()
def test_threshold_acts_in_evaluation_only() -> None:
    mobe = MixtureOfBodyExperts(8, 16, 4, threshold=0.25)
    tokens = torch.randn(6, 2, 8)
    exact = mobe_reference(tokens, mobe(tokens)[1].softmax(-1), mobe.w1, mobe.b1, mobe.w2, mobe.b2)
    torch.testing.assert_close(mobe.train()(tokens)[0], exact)
    assert float((mobe.eval()(tokens)[0] - exact).abs().max()) > 1e-6


def test_gate_logits_stay_wide_under_autocast() -> None:
    mobe = MixtureOfBodyExperts(16, 32, 4)
    tokens = torch.randn(3, 2, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed, gate_logits = mobe(tokens, torch.tensor([0, 1, 3]))
    assert gate_logits.dtype == torch.float32
    exact = mobe(tokens, torch.tensor([0, 1, 3]))[0]
    # bf16 keeps 8 bits, and two products of 16 and 32 terms follow each other.
    torch.testing.assert_close(mixed.float(), exact, rtol=0.1, atol=2e-3)


def test_grouped_linear_with_empty_groups_and_odd_widths() -> None:
    rows, weight = torch.randn(5, 3), torch.randn(4, 7, 3)
    result = grouped_linear(rows, weight, torch.tensor([0, 2, 0, 3]))
    torch.testing.assert_close(result, torch.cat([rows[:2] @ weight[1].t(), rows[2:] @ weight[3].t()]))


@pytest.mark.parametrize("labels", [[0, 4], [-1, 0]])
def test_label_outside_the_experts_raises(labels: list[int]) -> None:
    with pytest.raises(ValueError, match=r"labels must be in 0…3"):
        MixtureOfBodyExperts(8, 16, 4)(torch.zeros(2, 1, 8), torch.tensor(labels))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dim": 0}, "at least 1"),
        ({"implementation": "fast"}, "implementation='fast' is not allowed"),
        ({"threshold": 0.5}, r"threshold=0.5 is not allowed: in \[0, 1/3\]"),
    ],
)
def test_wrong_options_raise(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MixtureOfBodyExperts(**({"dim": 8, "hidden_dim": 8, "num_experts": 3} | options))


def test_gradient_against_finite_differences() -> None:
    tokens, mixture, weights = draw(
        1, batch=2, length=2, width=3, hidden=4, experts=3, gates="random", dtype=torch.float64
    )
    inputs = (tokens, mixture, *weights)
    assert torch.autograd.gradcheck(lambda *x: mobe_grouped(x[0], route_gates(x[1], threshold=0.0), *x[2:]), inputs)
    assert torch.autograd.gradcheck(mobe_batched, inputs)


@pytest.mark.parametrize("detach_gate", [True, False])
def test_detached_gate_gets_no_gradient_from_the_mixture(detach_gate: bool) -> None:
    mobe = MixtureOfBodyExperts(8, 16, 3, detach_gate=detach_gate)
    mixed, gate_logits = mobe(torch.randn(4, 2, 8))
    mixed.square().sum().backward(retain_graph=True)
    reached = mobe.gate.weight.grad is not None and bool(mobe.gate.weight.grad.abs().max() > 0)
    assert reached is not detach_gate
    gate_logits.sum().backward()
    assert float(mobe.gate.weight.grad.abs().max()) > 0  # its own loss still trains it


def test_noisy_copies_differ_from_each_other() -> None:
    torch.manual_seed(0)
    mobe = MixtureOfBodyExperts(8, 16, 3)
    first, second = torch.nn.Linear(8, 16), torch.nn.Linear(16, 8)
    mobe.copy_expert(first, second, noise=0.1)
    assert not torch.allclose(mobe.w1[0], mobe.w1[1])
    spread = (mobe.w1 - first.weight).detach().std() / first.weight.std()
    assert float(spread.detach()) == pytest.approx(0.1, rel=0.2)  # 384 draws: one standard deviation is 4 %
