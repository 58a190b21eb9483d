"""The training step without a trainer, at any point of a training."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pedclip.training.batches import TokenizedTriplets
from pedclip.training.config import RunConfig
from pedclip.training.datamodule import TripletDataModule
from pedclip.training.loop import build_model
from pedclip.training.module import PretrainModule
from pedclip.triplets.arrays import TripletArrays
from tests.training.tiny import tiny_arrays


@dataclass
class Position:
    """What the module asks of Lightning's trainer."""

    current_epoch: int
    global_rank: int = 0


def lone_module(
    config: RunConfig, arrays: TripletArrays, *, epoch: int, logged: dict[str, Tensor]
) -> tuple[PretrainModule, TokenizedTriplets]:
    """A module whose weights are those of seed 0, without dropout, and the training rows.

    Args:
        config: Of the run.
        arrays: Training split.
        epoch: Passes done so far.
        logged: Gets what the module logs.
    """
    torch.manual_seed(0)
    model = build_model(config, arrays).eval()
    data = TripletDataModule(arrays, tiny_arrays(0), model, config.training)
    module = PretrainModule(model, config.training, batches_per_epoch=data.batches_per_epoch).eval()
    module.trainer = Position(epoch)

    def log_dict(values: dict[str, Tensor], **_: Any) -> None:
        logged.update(values)

    module.log_dict = log_dict
    return module, data.train
