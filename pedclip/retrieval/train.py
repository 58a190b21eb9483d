"""Training of PECM's projections and weights on frozen prototypes."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pedclip.models.config import check_types
from pedclip.retrieval.losses import Losses, pecm_losses
from pedclip.retrieval.pecm import PECM
from pedclip.retrieval.prototypes import Prototypes

_PARTS = ("total", "similarity", "confidence", "diversity")


@dataclass(frozen=True)
class PECMTraining:
    """Optimization of PECM by Adam with a cosine schedule that ends at zero.

    Attributes:
        epochs: Passes over the films, at least 1.
        batch_size: Pairs per step, at least 2.
        learning_rate: First step size, above 0.
        weights_rate: Step size of the weights w, as a multiple of the others', at least 0. With few steps the printed
            rate hardly moves them: Adam changes θ by the learning rate at most.

    Source: PECM, section 3.4. Differs: the schedule falls with every step, which the text leaves open.
    """

    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 1e-4
    weights_rate: float = 1.0

    def __post_init__(self) -> None:
        check_types(self)
        for name, least in (("epochs", 1), ("batch_size", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)} is not allowed: at least {least}")
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise ValueError(f"learning_rate={self.learning_rate} is not allowed: above 0 and finite")
        if not (self.weights_rate >= 0 and math.isfinite(self.weights_rate)):
            raise ValueError(f"weights_rate={self.weights_rate} is not allowed: at least 0 and finite")


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


@dataclass(frozen=True)
class Epoch:
    """Means over the steps of one pass, and the state at its end.

    Attributes:
        epoch: Passes done, from 1.
        learning_rate: Step size after the last step.
        total: Eq. 9.
        similarity: Eq. 10, nats.
        confidence: Eq. 11.
        diversity: Eq. 12.
        entropy: Of the weights w, nats; log K where all count alike.
        largest_weight: Share of the heaviest prototype, in [1/K, 1]: near 1 the weights have collapsed (decision E7).
        temperature: Divisor of the cosines.
        validation: Eq. 9 over the validation pairs; None without them.
    """

    epoch: int
    learning_rate: float
    total: float
    similarity: float
    confidence: float
    diversity: float
    entropy: float
    largest_weight: float
    temperature: float
    validation: float | None


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
        training: Optimization; None for the printed one.
        validation: Pairs of other patients, whose loss is told after each epoch.
        device: To compute on.

    Returns:
        One record per epoch.

    Raises:
        ValueError: K or a width is not PECM's, a patient is in both splits, or the loss stops being finite.

    Source: PECM, section 3.4. Differs: the encoders are frozen; only projections, weights and temperature learn.
    """
    training = training or PECMTraining()
    _check(pecm, pairs, validation)
    pecm.to(device).train()
    # θ apart, for its own step size.
    others = [value for name, value in pecm.named_parameters() if name != "theta"]
    groups = [
        {"params": others, "lr": training.learning_rate},
        {"params": [pecm.theta], "lr": training.learning_rate * training.weights_rate},
    ]
    optimizer = torch.optim.Adam(groups)
    # A last batch of one pair has no negative and no step.
    full, rest = divmod(len(pairs), training.batch_size)
    num_steps = training.epochs * (full + (rest > 1))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / num_steps)) / 2)
    history = []
    for epoch in range(1, training.epochs + 1):
        steps: list[tuple[int, dict[str, float]]] = []
        order = torch.randperm(len(pairs), generator=generator)
        for rows in _batches(order, training.batch_size):
            losses = _losses(pecm, pairs, rows, device)
            if not bool(torch.isfinite(losses.total)):
                raise ValueError(
                    f"the loss of epoch {epoch} is not finite: lower learning_rate={training.learning_rate}"
                )
            optimizer.zero_grad()
            losses.total.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            # Numbers, not tensors: those would hold the graph of every step.
            steps.append((len(rows), {name: float(getattr(losses, name).detach()) for name in _PARTS}))
        validated = None if validation is None else _validation_loss(pecm, validation, training.batch_size, device)
        history.append(_record(pecm, epoch, float(schedule.get_last_lr()[0]), steps, validated))
    pecm.eval()
    return tuple(history)


def _check(pecm: PECM, pairs: RetrievalPairs, validation: RetrievalPairs | None) -> None:
    # Before the first step, on one row: a wrong width would otherwise be a message about matrices.
    for split in (pairs,) if validation is None else (pairs, validation):
        if split.image.shape[1] != pecm.num_prototypes:
            raise ValueError(f"the pairs have {split.image.shape[1]} prototypes, PECM has {pecm.num_prototypes}")
        pecm.project(split.image[:1].to(pecm.theta.device), split.text.values[:1].to(pecm.theta.device))
    if validation is None:
        return
    # A known patient's film is easy to find again, and the loss would tell nothing about new ones.
    if shared := set(pairs.patients) & set(validation.patients):
        raise ValueError(f"{len(shared)} patients are in both training and validation: split by patient")


def _batches(order: Tensor, size: int) -> Iterator[Tensor]:
    # A pair alone has no negative.
    for rows in torch.split(order, size):
        if len(rows) > 1:
            yield rows


def _losses(pecm: PECM, pairs: RetrievalPairs, rows: Tensor, device: str) -> Losses:
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


def _validation_loss(pecm: PECM, pairs: RetrievalPairs, batch_size: int, device: str) -> float:
    # One fixed mixed order: neighbours in a table are often films of one study. Its own generator, so that training is
    # the same with and without validation.
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0))
    total = count = 0.0
    with torch.no_grad():
        for rows in _batches(order, batch_size):
            total += float(_losses(pecm, pairs, rows, device).total) * len(rows)
            count += len(rows)
    return total / count


def _record(
    pecm: PECM, epoch: int, rate: float, steps: Sequence[tuple[int, dict[str, float]]], validation: float | None
) -> Epoch:
    # A short last batch counts by its pairs.
    count = sum(size for size, _ in steps)
    means = {name: sum(size * values[name] for size, values in steps) / count for name in _PARTS}
    shares = pecm.weights.detach().abs()  # (K,)
    return Epoch(
        epoch=epoch,
        learning_rate=rate,
        entropy=float(pecm.entropy.detach()),
        largest_weight=float(shares.max() / shares.sum()),
        temperature=float(pecm.temperature.detach()),
        validation=validation,
        **means,
    )
