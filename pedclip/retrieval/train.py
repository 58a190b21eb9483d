"""Training of PECM's projections and weights on frozen prototypes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from pedclip.retrieval.epochs import Epoch as Epoch
from pedclip.retrieval.epochs import PECMTraining as PECMTraining
from pedclip.retrieval.epochs import check_patients, check_prototypes, mean_loss, run_epochs
from pedclip.retrieval.losses import Losses, pecm_losses
from pedclip.retrieval.pecm import PECM
from pedclip.retrieval.prototypes import Prototypes


@dataclass(frozen=True, eq=False)
class RetrievalPairs:
    """Films with their reports, as frozen prototypes; several films may have one report.

    Attributes:
        image: (N, K, C) prototypes of films.
        text: Prototypes of R different reports: `unique_texts` first, so that equal texts are one row.
        report: (N,) row of each film's report in `text`, int64.
        patients: N patient identifiers.

    Raises:
        ValueError: Shapes do not fit, a value is not finite, an index is out of range, or there are fewer than two
            reports, so that none is a negative.
    """

    image: Tensor
    text: Prototypes
    report: Tensor
    patients: Sequence[str] = field(repr=False)

    def __post_init__(self) -> None:
        image, text = tuple(self.image.shape), tuple(self.text.values.shape)
        if len(image) != 3 or len(text) != 3 or image[1] != text[1]:
            raise ValueError(f"prototypes of films {image} and reports {text} must be (N, K, C) and (R, K, C), one K")
        for name in ("mask", "distinct"):
            mask: Tensor = getattr(self.text, name)
            if mask.dtype != torch.bool or mask.shape != text[:2]:
                raise ValueError(f"text.{name} {mask.dtype} {tuple(mask.shape)} must be booleans {text[:2]}")
        if self.report.shape != image[:1] or self.report.dtype != torch.int64:
            raise ValueError(f"report {self.report.dtype} {tuple(self.report.shape)} must be int64 ({image[0]},)")
        # Whose film it is decides which split it may be in.
        if len(self.patients) != image[0]:
            raise ValueError(f"{len(self.patients)} patients for {image[0]} films: one for each")
        if image[0] and not 0 <= int(self.report.min()) <= int(self.report.max()) < text[0]:
            raise ValueError(f"report holds {int(self.report.min())} to {int(self.report.max())}: rows 0…{text[0] - 1}")
        if len(torch.unique(self.report)) < 2:
            raise ValueError("fewer than two different reports have films: a pair needs a negative")
        # One NaN would reach every weight in the first step.
        for name, values in (("image", self.image), ("text", self.text.values)):
            if not bool(torch.isfinite(values).all()):
                raise ValueError(f"{name} prototypes hold NaN or infinite values")

    def __len__(self) -> int:
        return len(self.image)


def train_pecm(
    pecm: PECM,
    pairs: RetrievalPairs,
    *,
    generator: torch.Generator,
    training: PECMTraining | None = None,
    validation: RetrievalPairs | None = None,
    device: str = "cpu",
) -> tuple[Epoch, ...]:
    """Training of a PECM, in place.

    Films with one report are no negatives of each other unless the configuration says so. A last batch of one pair is
    left out. Sums differ between devices in the last digits.

    Args:
        pecm: With its first projections; left on `device` in evaluation mode.
        pairs: Of the training split.
        generator: Of the order of films, on the CPU.
        training: Optimization; None for the defaults.
        validation: Pairs of other patients, whose loss is told after each epoch.
        device: To compute on.

    Returns:
        One record per epoch.

    Raises:
        ValueError: K or a width is not PECM's, a patient is in both splits, or the loss or the weights
            stop being finite.

    Source: PECM, section 3.4. Differs: the encoders are frozen; only projections, weights and temperature learn. See
        `fine_tune_pecm` for all.
    """
    training = training or PECMTraining()
    for split in (pairs,) if validation is None else (pairs, validation):
        check_prototypes(pecm, split.image, split.text.values)
    validate = None
    if validation is not None:
        check_patients(pairs.patients, validation.patients)
        validate = partial(mean_loss, partial(_losses, pecm, validation, device), len(validation), training.batch_size)
    pecm.to(device).train()
    losses_of = partial(_losses, pecm, pairs, device)
    history = run_epochs(pecm, losses_of, len(pairs), generator=generator, training=training, validate=validate)
    pecm.eval()
    return history


def _losses(pecm: PECM, pairs: RetrievalPairs, device: str, rows: Tensor) -> Losses:
    # Reports are stored once each and looked up here: (B, K, C) for a batch of films.
    report = pairs.report[rows]  # (B,)
    return pecm_losses(
        pecm,
        pairs.image[rows].to(device, torch.float32),
        pairs.text.values[report].to(device, torch.float32),
        text_mask=pairs.text.mask[report].to(device),
        distinct=pairs.text.distinct[report].to(device),
        same_text=(report[:, None] == report).to(device),
    )
