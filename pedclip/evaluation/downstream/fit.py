"""The training loop of heads and fine-tuned models: AdamW, best epoch on validation, early stop."""

import copy
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Images = TypeVar("Images", bound=Sized)  # a part of a split, or anything else that counts its images
Loss = Callable[[Images, NDArray[np.intp]], Tensor]  # one part and positions of its images -> () mean loss


@dataclass(frozen=True)
class Schedule:
    """Schedule of the training of a head.

    Args:
        epochs: Passes over the training images at most, at least 1.
        learning_rate: Of AdamW, above 0.
        weight_decay: Of AdamW, at least 0.
        batch_size: Images, at least 1.
        patience: Epochs without a better validation loss before stopping, at least 1.
        seed: Of the initial weights and the order of images.
        device: Where to compute. Results are not bit-equal across devices.

    Raises:
        ValueError: A value out of range.

    Source: the defaults are those of MGCA's segmentation and detection (methods of the baselines, section 4).
    """

    epochs: int = 50
    learning_rate: float = 5e-4
    weight_decay: float = 1e-6
    batch_size: int = 16
    patience: int = 10
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size, self.patience) < 1 or self.learning_rate <= 0 or self.weight_decay < 0:
            raise ValueError(
                "epochs, batch_size and patience must be at least 1, learning_rate above 0 and weight_decay at least "
                f"0, got {self}"
            )


def fit_best(module: nn.Module, schedule: Schedule, loss_of: Loss[Images], *, train: Images, validation: Images) -> int:
    """Train a module in place and leave it, in evaluation mode, with the weights of its best epoch.

    A last batch of one image joins the batch before, because batch normalization needs two.

    Args:
        module: Its parameters that require a gradient are trained.
        schedule: How.
        loss_of: Mean loss of some images of one part. The module is in training mode for those of ``train``, in
            evaluation mode for those of ``validation``.
        train: Training images, at least 1.
        validation: Validation images; with none the last epoch is kept.

    Returns:
        The epoch kept, from 1.

    Raises:
        FloatingPointError: The training loss is not finite, or the validation loss is in no epoch.
    """
    # A frozen part of a module takes no step, not even by weight decay.
    parameters = [weight for weight in module.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    # The order of images has a generator of its own, so that dropout cannot change it.
    rng = np.random.default_rng(schedule.seed)
    best_epoch, best_loss = 0, float("inf")
    best: dict[str, Any] = {}
    for epoch in range(1, schedule.epochs + 1):
        module.train()
        for rows in _batches(rng.permutation(len(train)), schedule.batch_size):
            loss = loss_of(train, rows)
            # A step with NaN would spoil every weight, and the epochs after it.
            if not torch.isfinite(loss):
                raise FloatingPointError(f"the loss is {loss.item()} in epoch {epoch}; lower the learning rate")
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        module.eval()
        # Minus the epoch falls with every epoch: without validation images the last one is kept.
        measured = _mean_loss(loss_of, validation, schedule.batch_size) if len(validation) else -float(epoch)
        if measured < best_loss:
            # A copy, as the state of a module is changed in place.
            best_epoch, best_loss, best = epoch, measured, copy.deepcopy(module.state_dict())
        elif epoch - best_epoch >= schedule.patience:
            break
    # NaN is better than nothing in no comparison, so that no epoch was kept.
    if not best:
        raise FloatingPointError(
            f"the validation loss is not finite in any of {epoch} epochs, so that none is the best; look for NaN among "
            "the validation images and their labels"
        )
    module.load_state_dict(best)
    return best_epoch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Initial weights drawn in the block depend on the seed alone; the global generator is as before afterwards."""
    # A notebook draws from the global generator too; a head must not change what comes after it.
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@torch.no_grad()
def _mean_loss(loss_of: Loss[Images], part: Images, batch_size: int) -> float:
    starts = range(0, len(part), batch_size)
    rows = [np.arange(start, min(start + batch_size, len(part))) for start in starts]
    # Batches differ in size, so their means are weighted.
    return sum(float(loss_of(part, batch)) * len(batch) for batch in rows) / len(part)


def _batches(order: NDArray[np.intp], batch_size: int) -> list[NDArray[np.intp]]:
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [np.concatenate(batches[-2:])]
    return batches
