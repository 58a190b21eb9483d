"""The training triplets in memory-mapped, already decoded form."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from pedclip.anatomy import REGIONS
from pedclip.objectives.tokens import Tokens
from pedclip.triplets.arrays import TripletArrays

Batch = dict[str, Tensor]


class TokenizedTriplets(Dataset[Batch]):
    """Triplets as tensors; indexed by a list of rows, it returns a whole batch.

    Args:
        arrays: One split.
        tokens: (N, T) of its texts.
        regions: (N,) indices into the model's regions.
    """

    def __init__(self, arrays: TripletArrays, tokens: Tokens, regions: Tensor) -> None:
        self.images = arrays.images
        # A half to an eighth of the memory: the tokens of a whole archive stay in it.
        self.input_ids = tokens.input_ids.to(torch.int32)
        self.attention_mask = tokens.attention_mask.to(torch.bool)
        self.words, self.sentences = tokens.words.to(torch.int16), tokens.sentences.to(torch.int16)
        self.regions = regions
        self.labels = _labels(arrays)
        # (N,) the rank of each text among the different ones: equal words, equal number.
        _, first = np.unique(np.asarray(arrays.texts, dtype=object).astype(str), return_inverse=True)
        self.text_ids = torch.from_numpy(first)

    def __len__(self) -> int:
        return len(self.regions)

    def __getitem__(self, rows: Sequence[int]) -> Batch:
        index = torch.as_tensor(rows)
        mask = self.attention_mask[index]  # (B, T)
        # Cut to the longest text of the batch: the cost of attention grows with the square of the length.
        longest = int(mask.sum(1).max())
        return {
            "images": torch.from_numpy(self.images[np.asarray(rows)]),  # (B, R, R) uint8
            "input_ids": self.input_ids[index, :longest].long(),
            "attention_mask": mask[:, :longest].long(),
            "words": self.words[index, :longest].long(),
            "sentences": self.sentences[index, :longest].long(),
            "labels": self.labels[index].float(),  # (B, L)
            "regions": self.regions[index],
            "text_ids": self.text_ids[index],
            "rows": index,  # (B,) of the split: by them a message names films
        }


def batch_tokens(batch: Batch) -> Tokens:
    """The texts (B, T) of a batch, as objectives read them."""
    return Tokens(batch["input_ids"], batch["attention_mask"], batch["words"], batch["sentences"])


def _labels(arrays: TripletArrays) -> Tensor:
    """(N, L) True for the region and each finding of a film; L counts the regions and the findings of the split."""
    findings = sorted({finding for row in arrays.findings for finding in row})
    number_of = {finding: len(REGIONS) + number for number, finding in enumerate(findings)}
    labels = torch.zeros(len(arrays), len(REGIONS) + len(findings), dtype=torch.bool)
    labels[torch.arange(len(arrays)), torch.from_numpy(np.asarray(arrays.regions, np.int64))] = True
    for row, found in enumerate(arrays.findings):
        labels[row, [number_of[finding] for finding in found]] = True
    return labels


class EpochBatches(Sampler[list[int]]):
    """Shuffled batches that depend on nothing but the seed and the epoch, so a killed run can go on mid-epoch.

    Args:
        regions: (N,) labels, for the square-root sampler.
        batch_size: Rows per batch on this rank.
        seed: Of the permutation.
        rank: This process, in 0…world_size-1; ranks get disjoint rows of one joint batch.
        world_size: Number of processes.
        square_root: Draw with replacement, regions by the square root of their frequency (decision P16).
        start: Epoch and number of its batches that are already done.

    Raises:
        ValueError: There are fewer rows than one joint batch.
    """

    def __init__(
        self,
        regions: Tensor,
        batch_size: int,
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        square_root: bool = False,
        start: tuple[int, int] = (0, 0),
    ) -> None:
        joint = batch_size * world_size  # rows of one step over all ranks
        if len(regions) < joint:
            raise ValueError(
                f"{len(regions)} training images do not fill one batch of {joint}; "
                f"lower batch_size to {len(regions) // world_size * world_size} or less"
            )
        self.regions, self.batch_size, self.seed = regions, batch_size, seed
        self.rank, self.world_size, self.square_root = rank, world_size, square_root
        self.start = start
        self.epoch = start[0]

    def set_epoch(self, epoch: int) -> None:
        """Choose the permutation; called by Lightning before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.regions) // (self.batch_size * self.world_size)

    def __iter__(self) -> Iterator[list[int]]:
        # Every rank draws the same permutation and takes its own part of each joint batch.
        order = self._order(torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch))
        joint = self.batch_size * self.world_size
        # Only the epoch that was interrupted begins in its middle.
        first = self.start[1] if self.epoch == self.start[0] else 0
        for batch in range(first, len(self)):
            begin = batch * joint + self.rank * self.batch_size
            yield order[begin : begin + self.batch_size].tolist()

    def _order(self, generator: torch.Generator) -> Tensor:
        if not self.square_root:
            return torch.randperm(len(self.regions), generator=generator)
        # With replacement: a rare region appears several times in an epoch, a frequent one not in full.
        counts = torch.bincount(self.regions, minlength=len(REGIONS)).double()
        weights = counts[self.regions].rsqrt()  # a region of n films is drawn in proportion to n · n^-1/2
        return torch.multinomial(weights, len(self.regions), replacement=True, generator=generator)
