"""PECM's losses against loops, their gradients, and what the printed diversity loss does to prototypes."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pedclip.retrieval.config import PECMConfig
from pedclip.retrieval.losses import confidence_loss, diversity_loss, pecm_losses, similarity_loss
from pedclip.retrieval.pecm import PECM

KINDS = ["orthogonal", "hinge", "as_printed"]


def rows_by_loops(scores: list[list[float]], same: Tensor | None) -> float:
    """Eq. 10 over the rows of a list of lists."""
    total = 0.0
    for i, row in enumerate(scores):
        kept = [j for j in range(len(row)) if j == i or same is None or not same[i, j]]
        total -= row[i] - math.log(sum(math.exp(row[j]) for j in kept))
    return total / len(scores)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**31), size=st.integers(2, 6), groups=st.integers(1, 6), temperature=st.floats(0.05, 1))
def test_similarity_equals_loops(seed: int, size: int, groups: int, temperature: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    initial = torch.rand(size, size, generator=generator, dtype=torch.float64) * 2 - 1
    ids = torch.randint(groups, (size,), generator=generator)
    same = ids[:, None] == ids
    for mask in (None, same):
        printed = rows_by_loops(initial.tolist(), mask)
        assert float(similarity_loss(initial, "as_printed", same_text=mask)) == pytest.approx(printed, abs=1e-9)
        scaled = initial / temperature
        both = (rows_by_loops(scaled.tolist(), mask) + rows_by_loops(scaled.t().tolist(), mask)) / 2
        found = similarity_loss(initial, "sym_tau", temperature=temperature, same_text=mask)
        assert float(found) == pytest.approx(both, abs=1e-9)


def test_the_printed_similarity_cannot_fall_far() -> None:
    # Decision E8: 32 pairs at the corners of a simplex are the best that cosines can do.
    best = torch.full((32, 32), -1 / 31) + torch.eye(32) * (1 + 1 / 31)
    assert float(similarity_loss(torch.zeros(32, 32), "as_printed")) == pytest.approx(3.466, abs=1e-3)
    assert float(similarity_loss(best, "as_printed")) == pytest.approx(2.488, abs=1e-3)
    assert float(similarity_loss(best, "sym_tau", temperature=0.07)) < 1e-3


def test_confidence_loss_by_hand() -> None:
    assert float(confidence_loss(torch.tensor([1.0, 0.5, -1.0]))) == pytest.approx((0 + 0.25 + 4) / 3)


def diversity_by_loops(prototypes: Tensor, kind: str, reduce: str, mask: Tensor) -> float:
    """Eq. 12 over the ordered pairs of present prototypes, then the mean of the items that have a pair."""
    totals = []
    for item, present in zip(prototypes, mask, strict=True):
        penalties = []
        for k in range(len(item)):
            for m in range(len(item)):
                if k != m and present[k] and present[m]:
                    cosine = float(item[k] @ item[m] / (item[k].norm() * item[m].norm()))
                    penalty = {"as_printed": 1 - cosine, "orthogonal": cosine, "hinge": max(0.0, cosine)}[kind]
                    penalties.append(penalty**2)
        if penalties:
            totals.append(sum(penalties) / (len(penalties) if reduce == "mean" else 1))
    return sum(totals) / len(totals) if totals else 0.0


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    kind=st.sampled_from(KINDS),
    reduce=st.sampled_from(["mean", "sum"]),
    present=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_diversity_equals_loops(seed: int, kind: str, reduce: str, present: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    prototypes = torch.randn(3, 4, 3, generator=generator, dtype=torch.float64)
    mask = torch.rand(3, 4, generator=generator) < present
    found = diversity_loss(prototypes, kind, reduce=reduce, mask=mask)  # type: ignore[arg-type]
    assert float(found) == pytest.approx(diversity_by_loops(prototypes, kind, reduce, mask), abs=1e-9)
    if present == 1:
        unmasked = diversity_loss(prototypes, kind, reduce=reduce)  # type: ignore[arg-type]
        torch.testing.assert_close(unmasked, found)


def test_the_printed_sum_is_650_where_prototypes_are_orthogonal() -> None:
    # Decision E4, against a similarity loss of 3.5.
    assert float(diversity_loss(torch.eye(26)[None], "as_printed", reduce="sum")) == 650
    assert float(diversity_loss(torch.eye(26)[None], "orthogonal")) == 0


def mean_cosine(prototypes: Tensor) -> float:
    """Mean off-diagonal cosine of (K, D) prototypes."""
    unit = torch.nn.functional.normalize(prototypes, dim=-1)
    size = len(unit)
    return float(((unit @ unit.t()).sum() - size) / (size * (size - 1)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reduce", ["mean", "sum"])
def test_the_printed_diversity_collapses_prototypes_and_the_intended_does_not(kind: str, reduce: str) -> None:
    start = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(0))
    prototypes = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([prototypes], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        diversity_loss(prototypes, kind, reduce=reduce).backward()  # type: ignore[arg-type, no-untyped-call]
        optimizer.step()
    before, after = mean_cosine(start[0]), mean_cosine(prototypes.detach()[0])
    assert before < 0.3
    if kind == "as_printed":
        # Near 1 the gradient of (1 − cos)² fades, so that the last step is never done.
        assert after > 0.99
    else:
        assert after < 0.05


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reduce", ["mean", "sum"])
def test_gradient_of_diversity_against_finite_differences(kind: str, reduce: str) -> None:
    prototypes = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mask = torch.tensor([[True, True, True], [True, False, True]])

    def loss(values: Tensor) -> Tensor:
        return diversity_loss(values, kind, reduce=reduce, mask=mask)  # type: ignore[arg-type]

    assert torch.autograd.gradcheck(loss, (prototypes.requires_grad_(),))


@pytest.mark.parametrize("kind", ["sym_tau", "as_printed"])
def test_gradient_of_similarity_against_finite_differences(kind: str) -> None:
    initial = torch.rand(4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64).requires_grad_()
    temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=kind == "sym_tau")
    same = torch.eye(4, dtype=torch.bool)
    same[0, 2] = same[2, 0] = True

    def loss(scores: Tensor, divisor: Tensor) -> Tensor:
        return similarity_loss(scores, kind, temperature=divisor, same_text=same)  # type: ignore[arg-type]

    assert torch.autograd.gradcheck(loss, (initial, temperature))


def test_gradient_of_confidence_against_finite_differences() -> None:
    assert torch.autograd.gradcheck(
        confidence_loss, (torch.tensor([0.2, 0.9], dtype=torch.float64, requires_grad=True),)
    )


CONFIG = PECMConfig(image_width=5, text_width=4, proj_dim=6)


def batch(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(4, 3, 5, generator=generator, dtype=torch.float64)
    text = torch.randn(4, 3, 4, generator=generator, dtype=torch.float64)
    return image, text, torch.tensor([[True, True, True], [True, False, True], [False, False, True], [True] * 3])


def build(**switches: object) -> PECM:
    config = replace(CONFIG, **switches)  # type: ignore[arg-type]
    pecm = PECM(3, config=config, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        pecm.theta.copy_(torch.tensor([0.5, -0.2, 1.0]))
    return pecm


@pytest.mark.parametrize("conf_loss", ["as_printed", "contrastive"])
@pytest.mark.parametrize("reduce", ["mean", "sum"])
def test_total_is_the_weighted_sum_of_its_parts(reduce: str, conf_loss: str) -> None:
    image, text, mask = batch()
    pecm = build(
        sim_weight=0.5,
        conf_weight=2.0,
        div_weight=3.0,
        w_entropy=0.25,
        conf_loss=conf_loss,
        div_loss="as_printed",
        div_reduce=reduce,
    )
    found = pecm_losses(pecm, image, text, text_mask=mask)
    scores = pecm(image, text, mask)
    similarity = similarity_loss(scores.initial, "sym_tau", temperature=0.07)
    if conf_loss == "as_printed":
        confidence = sum((1 - scores.confidence[i, i]) ** 2 for i in range(4)) / 4
    else:
        # −log of each film's own report among all four, and of each report's own film.
        powers = torch.exp(scores.confidence / 0.07)
        rows = [
            -torch.log(powers[i, i] / powers[i].sum()) - torch.log(powers[i, i] / powers[:, i].sum()) for i in range(4)
        ]
        confidence = sum(rows) / 8
    both = [(pecm.image_projection(image), torch.ones_like(mask)), (pecm.text_projection(text), mask)]
    parts = [diversity_by_loops(values.detach(), "as_printed", reduce, present) for values, present in both]
    diversity = sum(parts) / (2 if reduce == "mean" else 1)
    entropy = math.log(3) - float(pecm.entropy.detach())
    torch.testing.assert_close(found.similarity, similarity)
    torch.testing.assert_close(found.confidence, confidence)
    assert float(found.diversity.detach()) == pytest.approx(diversity)
    expected = 0.5 * float(similarity.detach()) + 2 * float(confidence.detach()) + 3 * diversity + 0.25 * entropy
    assert float(found.total.detach()) == pytest.approx(expected)


@pytest.mark.parametrize("printed", [False, True])
def test_gradient_of_the_total_against_finite_differences(printed: bool) -> None:
    image, text, mask = batch(1)
    config = PECMConfig.as_printed() if printed else PECMConfig()
    widths = {"image_width": 5, "text_width": 4, "proj_dim": 2}
    pecm = PECM(3, config=replace(config, **widths), generator=torch.Generator().manual_seed(1)).double()  # type: ignore[arg-type]
    names = [name for name, _ in pecm.named_parameters()]
    start = [value.detach().clone().requires_grad_() for value in pecm.parameters()]

    def total(*values: Tensor) -> Tensor:
        # Swapped in by name: gradcheck moves what the loss reads.
        parameters = dict(zip(names, values, strict=True))
        holder = _Total(pecm, mask)
        return torch.func.functional_call(holder, {f"pecm.{name}": parameters[name] for name in names}, (image, text))  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(total, start)


class _Total(torch.nn.Module):
    def __init__(self, pecm: PECM, mask: Tensor) -> None:
        super().__init__()
        self.pecm, self.mask = pecm, mask

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        return pecm_losses(self.pecm, image, text, text_mask=self.mask).total


def test_switched_off_components_leave_the_total() -> None:
    image, text, mask = batch(2)
    full = pecm_losses(build(dsce=False), image, text, text_mask=mask)
    torch.testing.assert_close(full.total, full.similarity + full.diversity)
    plain = pecm_losses(build(per=False, dsce=False, arr=False), image, text, text_mask=mask)
    torch.testing.assert_close(plain.total, plain.similarity)


def test_equal_texts_are_negatives_only_where_the_configuration_says_so() -> None:
    image, text, _ = batch(3)
    same = torch.ones(4, 4, dtype=torch.bool)
    assert float(pecm_losses(build(), image, text, same_text=same).similarity.detach()) == 0
    kept = pecm_losses(build(equal_texts="negative"), image, text, same_text=same).similarity
    torch.testing.assert_close(kept, pecm_losses(build(), image, text).similarity)


def test_repeats_count_in_scores_and_not_in_diversity() -> None:
    image, text, _ = batch(4)
    text[:, 1] = text[:, 0]
    pecm, everywhere = build(), torch.ones(4, 3, dtype=torch.bool)
    distinct = torch.tensor([True, False, True]).expand(4, 3)
    found = pecm_losses(pecm, image, text, text_mask=everywhere, distinct=distinct)
    all_pairs = pecm_losses(pecm, image, text, text_mask=everywhere)
    torch.testing.assert_close(found.confidence, all_pairs.confidence)
    assert float(found.diversity.detach()) < float(all_pairs.diversity.detach())


def test_misuse_raises() -> None:
    with pytest.raises(ValueError, match="a single pair has no negative"):
        similarity_loss(torch.ones(1, 1))
    with pytest.raises(ValueError, match=r"initial has shape \(2, 3\)"):
        similarity_loss(torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"prototypes \(2, 3\) and mask None"):
        diversity_loss(torch.ones(2, 3))
    with pytest.raises(ValueError, match="kind='cosine' is not allowed"):
        diversity_loss(torch.ones(1, 2, 3), "cosine")  # type: ignore[arg-type]
