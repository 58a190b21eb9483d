"""InfoNCE against a two-loop reference, alone and over two processes."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, multiprocessing

from pedclip.objectives.contrastive import gathered_info_nce, info_nce


def two_loops(
    image: Tensor, text: Tensor, temperature: float, same: Tensor | None = None, image_weight: float = 0.5
) -> float:
    """Eq. 3 and Eq. 4 with Python loops and Python floats."""
    rows = [[float(v @ t / (v.norm() * t.norm())) for t in text] for v in image]
    total = 0.0
    size = len(rows)
    for i in range(size):
        directions = [rows[i][j] for j in range(size)], [rows[j][i] for j in range(size)]
        for scores, weight in zip(directions, (image_weight, 1 - image_weight), strict=True):
            kept = [j for j in range(size) if j == i or same is None or not same[i, j]]
            loss = math.log(sum(math.exp(scores[j] / temperature) for j in kept)) - scores[i] / temperature
            total += weight * loss
    return total / size


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    size=st.integers(2, 7),
    width=st.integers(1, 9),
    temperature=st.floats(0.05, 1),
    groups=st.integers(1, 7),
    image_weight=st.floats(0, 1),
)
def test_equals_two_loops(
    seed: int, size: int, width: int, temperature: float, groups: int, image_weight: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    image, text = torch.randn(2, size, width, generator=generator, dtype=torch.float64)
    text_ids = torch.randint(groups, (size,), generator=generator)
    same = text_ids[:, None] == text_ids
    assert float(info_nce(image, text, temperature=temperature)) == pytest.approx(two_loops(image, text, temperature))
    masked = info_nce(image, text, temperature=temperature, same_text=same, image_weight=image_weight)
    assert float(masked) == pytest.approx(two_loops(image, text, temperature, same, image_weight), abs=1e-9)


def test_chance_is_log_of_the_batch() -> None:
    same = torch.ones(5, 3)
    assert float(info_nce(same, same, temperature=0.07)) == pytest.approx(math.log(5), rel=1e-6)


def test_symmetric_in_modalities_and_blind_to_length_and_order() -> None:
    image, text = torch.randn(2, 6, 4, dtype=torch.float64)
    loss = info_nce(image, text, temperature=0.1)
    order = torch.randperm(6)
    torch.testing.assert_close(info_nce(text, image, temperature=0.1), loss)
    torch.testing.assert_close(info_nce(image[order], text[order], temperature=0.1), loss)
    torch.testing.assert_close(info_nce(image * 7, text * 0.1, temperature=0.1), loss)


def test_gradient_against_finite_differences() -> None:
    image, text = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True).unbind()
    same = torch.eye(4, dtype=torch.bool)
    same[0, 2] = same[2, 0] = True
    assert torch.autograd.gradcheck(lambda v, t: info_nce(v, t, temperature=0.2, same_text=same), (image, text))


def test_misuse_raises() -> None:
    with pytest.raises(ValueError, match="a single pair has no negative"):
        info_nce(torch.ones(1, 3), torch.ones(1, 3), temperature=0.1)
    with pytest.raises(ValueError, match=r"image \(3, 2\) and text \(2, 2\)"):
        info_nce(torch.ones(3, 2), torch.ones(2, 2), temperature=0.1)


def _joined() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(2, 8, 5, generator=generator, dtype=torch.float64)
    weight = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    return inputs[0], inputs[1], weight, torch.tensor([0, 1, 2, 0, 3, 4, 1, 0])


def _one_rank(rank: int, folder: str, use_ids: bool) -> None:
    store = torch.distributed.FileStore(f"{folder}/store", 2)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2, store=store)
    images, texts, weight, ids = _joined()
    mine = slice(rank * 4, rank * 4 + 4)
    weight.requires_grad_()
    text_ids = ids[mine] if use_ids else None
    loss = gathered_info_nce(
        images[mine] @ weight, texts[mine] @ weight.tanh(), temperature=0.1, text_ids=text_ids, image_weight=0.75
    )
    loss.backward()
    assert weight.grad is not None
    values = torch.cat([loss.detach().view(1), weight.grad.flatten()])
    torch.distributed.all_reduce(values)  # what DDP does to gradients: the mean over ranks
    torch.save(values / 2, f"{folder}/rank{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("use_ids", [False, True])
def test_two_processes_equal_one(tmp_path: Path, use_ids: bool) -> None:
    multiprocessing.spawn(_one_rank, args=(str(tmp_path), use_ids), nprocs=2)
    images, texts, weight, ids = _joined()
    weight.requires_grad_()
    text_ids = ids if use_ids else None
    loss = gathered_info_nce(
        images @ weight, texts @ weight.tanh(), temperature=0.1, text_ids=text_ids, image_weight=0.75
    )
    loss.backward()
    assert weight.grad is not None
    expected = torch.cat([loss.detach().view(1), weight.grad.flatten()])
    for rank in range(2):
        actual = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-6)


def test_autocast_does_not_round_the_cosines() -> None:
    image, text = torch.randn(2, 6, 64)
    exact = info_nce(image, text, temperature=0.07)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(info_nce(image, text, temperature=torch.tensor(0.07)), exact)
