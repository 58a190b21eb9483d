"""Batches for training and validation, in an order that survives a restart."""

from typing import Any

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader

from pedclip.anatomy import REGIONS
from pedclip.models.pedclip import PedCLIP
from pedclip.objectives.tokens import tokenize
from pedclip.training.batches import Batch, EpochBatches, TokenizedTriplets
from pedclip.training.config import TrainingConfig
from pedclip.triplets.arrays import TripletArrays


class TripletDataModule(L.LightningDataModule):
    """Training and validation batches of one run.

    Args:
        train: Training split.
        validation: Validation split; may be empty, then validation is skipped.
        model: Gives the tokenizer and the order of the regions.
        config: Optimization.
        start: Batches of one rank that are done since the beginning of the run.

    Raises:
        ValueError: A region of the data has no expert.
    """

    def __init__(
        self,
        train: TripletArrays,
        validation: TripletArrays,
        model: PedCLIP,
        config: TrainingConfig,
        *,
        start: int = 0,
    ) -> None:
        super().__init__()
        self.config = config
        self.start = start
        self.train = _tokenize(train, model)
        self.validation = _tokenize(validation, model) if len(validation) else None

    @property
    def batches_per_epoch(self) -> int:
        """Training batches of one rank in one epoch; incomplete batches are left out."""
        # batch_size counts all ranks, so the quotient is the same on each of them.
        return len(self.train) // self.config.batch_size

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches, beginning where the run goes on."""
        trainer = self.trainer
        assert trainer is not None
        batches = EpochBatches(
            self.train.regions,
            self.config.local_batch_size,
            seed=self.config.seed,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            square_root=self.config.sampler == "sqrt",
            start=divmod(self.start, max(1, self.batches_per_epoch)),
        )
        return self._loader(self.train, batches)

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """Validation rows in order, the same on every rank, so that nothing has to be gathered.

        At most ``config.validation_rows``, evenly spaced: Recall@K depends on the size of the gallery and its cost on
        the square of it.
        """
        if self.validation is None:
            return []
        num_rows = min(len(self.validation), self.config.validation_rows)
        rows = np.linspace(0, len(self.validation) - 1, num_rows).astype(int)
        # Nothing is learned here, so a batch smaller than 64 would only cost time.
        size = max(self.config.local_batch_size, 64)
        return self._loader(self.validation, [part.tolist() for part in np.array_split(rows, -(-num_rows // size))])

    def _loader(self, dataset: TokenizedTriplets, batches: Any) -> DataLoader[Batch]:
        # batch_size=None hands the list of rows to the data set, which answers with a whole batch.
        workers = self.config.num_workers
        # Pinned memory is copied to a GPU while it computes; without one it is only a copy more.
        return DataLoader(
            dataset,
            sampler=batches,
            batch_size=None,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
        )


def _tokenize(arrays: TripletArrays, model: PedCLIP) -> TokenizedTriplets:
    # Two numberings: the triplets count the 23 regions, the model's experts may be fewer or in another order.
    experts = {name: index for index, name in enumerate(model.config.regions)}
    present = sorted({REGIONS[index] for index in arrays.regions})
    if missing := [name for name in present if name not in experts]:
        raise ValueError(
            f"the data holds {', '.join(missing)}, for which the model has no expert; experts: {', '.join(experts)}"
        )
    regions = torch.tensor([experts[REGIONS[index]] for index in arrays.regions])
    # Once per run, (N, T) with T the longest text of the split.
    tokens = tokenize(model.tokenizer, arrays.texts, max_tokens=model.config.max_text_tokens)
    return TokenizedTriplets(arrays, tokens, regions)
