"""The training step in two processes (gloo) against one process on the joined batch: loss and every gradient."""

from typing import Any

import pytest
import torch
from torch import Tensor, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from pedclip.objectives.trained import PLAIN
from pedclip.training.batches import Batch, EpochBatches, TokenizedTriplets
from pedclip.training.module import PretrainModule
from pedclip.triplets.transforms import to_pixels
from tests.training.steps import lone_module
from tests.training.tiny import tiny_arrays, tiny_config

# Epoch, objective and options: labels choose the experts, the gate chooses them, no gate loss; rivals. Of GLoRIA the
# global loss alone, as local negatives are those of a rank; of MGCA once prototypes are trained. Batch statistics are
# those of a rank, too, so the heads use the stored ones.
EQUAL: list[tuple[int, str, dict[str, Any]]] = [
    (0, "pedclip", {}),
    (6, "pedclip", {}),
    (0, "clip", {}),
    (0, "convirt", {}),
    (0, "convirt", {"variant": "code"}),
    (0, "gloria", {"local_weight": 0.0}),
    (2, "mgca", {"width": 16, "hidden_width": 24, "num_prototypes": 12}),
]
# What each rank minimizes is of its own negatives here: both must still take the same step.
APART: list[tuple[int, str, dict[str, Any]]] = [(0, "gloria", {}), (0, "carzero", {"depth": 1})]


class Step(nn.Module):
    """The training step as a forward pass, which is what DDP wraps."""

    def __init__(self, module: PretrainModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: Batch, batch_idx: int) -> Tensor:
        return self.module.training_step(batch, batch_idx)


def _prepare(epoch: int, objective: str, options: dict[str, Any]) -> tuple[Step, TokenizedTriplets]:
    """The step in double precision and with the crop from the middle: ranks draw their crops apart on purpose."""

    def middle(films: Tensor, preprocess: Any, *, generator: Any) -> Tensor:
        return to_pixels(films, preprocess).double()

    config = tiny_config(
        {"learn_temperature": True, "expert_init": "random"},
        epochs=10,
        teacher_epochs=4,
        objective=objective,
        objective_options=options,
        mask_equal_texts=True,
    )
    module, rows = lone_module(config, tiny_arrays(24), epoch=epoch, logged={})
    module.double().objective.image_view = middle
    return Step(module), rows


def _one_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(f"{folder}/store", 2)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2, store=store)
    found = []
    for case in EQUAL + APART:
        step, rows = _prepare(*case)
        # Which gates and experts a step reaches depends on the objective and on the phase.
        wrapped = DistributedDataParallel(step, find_unused_parameters=True)
        batches = EpochBatches(rows.regions, 6, seed=0, rank=rank, world_size=2)
        loss = wrapped(rows[next(iter(batches))], 1)
        loss.backward()
        joined = loss.detach().clone()
        torch.distributed.all_reduce(joined)
        found.append((joined / 2, {name: p.grad for name, p in step.named_parameters() if p.grad is not None}))
    torch.save(found, f"{folder}/rank{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Losses and gradients of both processes, which are started once for all cases."""
    folder = tmp_path_factory.mktemp("ranks")
    multiprocessing.spawn(_one_rank, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("number", range(len(EQUAL)))
def test_two_processes_equal_one(ranks: list[Any], number: int) -> None:
    step, rows = _prepare(*EQUAL[number])
    batch = rows[next(iter(EpochBatches(rows.regions, 12, seed=0)))]
    assert len(batch["text_ids"].unique()) < 12  # some words stand on both ranks, and are no negatives
    loss = step(batch, 1)
    loss.backward()
    expected = {name: p.grad for name, p in step.named_parameters() if p.grad is not None}
    # A rival divides by a temperature of its own.
    assert ("module.model.log_temperature" in expected) == (EQUAL[number][1] in PLAIN)
    for joined, gradients in (rank[number] for rank in ranks):
        torch.testing.assert_close(joined, loss.detach(), rtol=1e-6, atol=1e-6)
        assert gradients.keys() == expected.keys()
        for name, gradient in expected.items():
            torch.testing.assert_close(gradients[name], gradient, rtol=1e-6, atol=1e-6, msg=name)


@pytest.mark.parametrize("number", range(len(EQUAL), len(EQUAL) + len(APART)))
def test_both_processes_take_the_same_step(ranks: list[Any], number: int) -> None:
    (_, first), (_, second) = (rank[number] for rank in ranks)
    assert first.keys() == second.keys()
    assert any(name.startswith("module.objective.") for name in first)  # its heads among them
    for name, gradient in first.items():
        assert torch.isfinite(gradient).all(), name
        assert torch.equal(gradient, second[name]), name
