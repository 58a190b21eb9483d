"""Epochs of PECM's training, whatever its prototypes come from: optimizer, schedule, batches and record."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pedclip.models.config import check_types
from pedclip.retrieval.losses import Losses
from pedclip.retrieval.pecm import PECM

LossesOf = Callable[[Tensor], Losses]  # (B,) numbers of pairs -> their losses

_MOST_RATE = 1e30  # steps of more may overflow single precision
_PARTS = ("total", "similarity", "confidence", "diversity")


@dataclass(frozen=True)
class PECMTraining:
    """Optimization of PECM by Adam with a cosine schedule that ends at zero.

    Attributes:
        epochs: Passes over the films, at least 1.
        batch_size: Pairs per step, at least 2.
        learning_rate: First step size, above 0.
        weights_rate: Step size of the weights w, as a multiple of the others', at least 0. With few steps the printed 1
            hardly moves them, because Adam changes θ by about the learning rate per step at most.

    Source: PECM, section 3.4. Differs: `weights_rate`; the schedule falls with every step, which the text leaves open.
    """

    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 1e-4
    weights_rate: float = 100.0

    def __post_init__(self) -> None:
        check_types(self)
        for name, least in (("epochs", 1), ("batch_size", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)} is not allowed: at least {least}")
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise ValueError(f"learning_rate={self.learning_rate} is not allowed: above 0 and finite")
        check_rate("weights_rate", self.weights_rate)


def check_rate(name: str, value: float) -> None:
    """Refusal of a multiple of the learning rate that is below 0 or not finite.

    Raises:
        ValueError: It is; the message has its name.
    """
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{name}={value} is not allowed: at least 0 and finite")


@dataclass(frozen=True)
class Epoch:
    """Means over the steps of one pass, and the state at its end.

    Attributes:
        epoch: Passes done, from 1.
        learning_rate: Step size after the last step.
        total: Eq. 9.
        similarity: Eq. 10, nats.
        confidence: Contrast of the confidences, nats; with `conf_loss="as_printed"` Eq. 11.
        diversity: Eq. 12.
        entropy: Of the weights w, nats; log K where all count alike.
        largest_weight: Fraction of Σ|w| on the heaviest prototype, in [1/K, 1]: near 1 they have collapsed (E7).
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


def run_epochs(
    pecm: PECM,
    losses_of: LossesOf,
    num_pairs: int,
    *,
    generator: torch.Generator,
    training: PECMTraining,
    validate: Callable[[], float] | None,
    others: tuple[Sequence[nn.Parameter], float] = ((), 1.0),
) -> tuple[Epoch, ...]:
    """Steps of Adam on PECM, and on what else learns.

    A last batch of one pair is left out.

    Args:
        pecm: In training mode, on its device.
        losses_of: Losses of the pairs of these numbers (B,), with gradients.
        num_pairs: Of the training split, at least 2.
        generator: Of the order of pairs, on the CPU.
        training: Sizes and rates.
        validate: Loss told after each epoch; None for none.
        others: Further parameters, and their step size as a multiple of PECM's.

    Returns:
        One record per epoch.

    Raises:
        ValueError: The loss stops being finite, or the weights are not at the end of an epoch; a step size is above
            1e30.
    """
    # What makes the weights apart, for its own step size: θ, and β where there is one.
    of_weights = {name: name in ("theta", "beta") for name, _ in pecm.named_parameters()}
    groups = [
        _group([value for name, value in pecm.named_parameters() if not of_weights[name]], training.learning_rate),
        _group(
            [value for name, value in pecm.named_parameters() if of_weights[name]],
            training.learning_rate * training.weights_rate,
        ),
    ]
    if others[0]:
        groups.append(_group(others[0], training.learning_rate * others[1]))
    optimizer = torch.optim.Adam(groups)
    # A last batch of one pair has no negative and no step.
    full, rest = divmod(num_pairs, training.batch_size)
    num_steps = training.epochs * (full + (rest > 1))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / num_steps)) / 2)
    history = []
    for epoch in range(1, training.epochs + 1):
        steps: list[tuple[int, dict[str, float]]] = []
        order = torch.randperm(num_pairs, generator=generator)
        for rows in _batches(order, training.batch_size):
            losses = losses_of(rows)
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
        _check_finite([*pecm.parameters(), pecm.temperature, *others[0]], epoch, training)
        validated = None if validate is None else validate()
        history.append(_record(pecm, epoch, float(schedule.get_last_lr()[0]), steps, validated))
    return tuple(history)


@torch.no_grad()
def mean_loss(losses_of: LossesOf, num_pairs: int, batch_size: int) -> float:
    """Total loss over all pairs of a split, without gradients.

    Args:
        losses_of: Losses of the pairs of these numbers (B,).
        num_pairs: Of the split, at least 2.
        batch_size: Pairs at a time; a last one alone is left out.
    """
    # One fixed mixed order: neighbours in a table are often films of one study. Its own generator, so that training is
    # the same with and without validation.
    order = torch.randperm(num_pairs, generator=torch.Generator().manual_seed(0))
    total = count = 0.0
    for rows in _batches(order, batch_size):
        total += float(losses_of(rows).total) * len(rows)
        count += len(rows)
    return total / count


def check_prototypes(pecm: PECM, image: Tensor, text: Tensor) -> None:
    """Refusal of prototypes that a PECM cannot take.

    Args:
        pecm: The one to train.
        image: (B, K, C) of at least one film.
        text: (N, K, C) of at least one report.

    Raises:
        ValueError: K or a width is not PECM's.
    """
    # Before the first step, on one row: a wrong width would otherwise be a message about matrices.
    if image.shape[1] != pecm.num_prototypes:
        raise ValueError(f"the pairs have {image.shape[1]} prototypes, PECM has {pecm.num_prototypes}")
    pecm.project(image[:1].to(pecm.theta.device), text[:1].to(pecm.theta.device))


def check_patients(training: Sequence[str], validation: Sequence[str]) -> None:
    """Refusal of splits that share a patient.

    Raises:
        ValueError: They do; the message tells how many.
    """
    # A known patient's film is easy to find again, and the loss would tell nothing about new ones.
    if shared := set(training) & set(validation):
        raise ValueError(f"{len(shared)} patients are in both training and validation: split by patient")


def _check_finite(values: Sequence[Tensor], epoch: int, training: PECMTraining) -> None:
    """Refusal of weights, each of its own shape (…,), that no loss has shown yet: no step follows the last one.

    Raises:
        ValueError: One is NaN or infinite.
    """
    if not all(bool(torch.isfinite(value).all()) for value in values):
        raise ValueError(
            f"weights or temperature after epoch {epoch} are not finite: lower learning_rate={training.learning_rate}"
        )


def _group(parameters: Sequence[nn.Parameter], rate: float) -> dict[str, Any]:
    # Adam would tell of an overflow, and not of what.
    if rate > _MOST_RATE:
        raise ValueError(f"step size {rate} is not allowed: lower learning_rate, or what it is multiplied by")
    return {"params": list(parameters), "lr": rate}


def _batches(order: Tensor, size: int) -> Iterator[Tensor]:
    # A pair alone has no negative.
    for rows in torch.split(order, size):
        if len(rows) > 1:
            yield rows


def _record(
    pecm: PECM, epoch: int, rate: float, steps: Sequence[tuple[int, dict[str, float]]], validation: float | None
) -> Epoch:
    # A short last batch counts by its pairs.
    count = sum(size for size, _ in steps)
    means = {name: sum(size * values[name] for size, values in steps) / count for name in _PARTS}
    fractions = pecm.weights.detach().abs()  # (K,)
    return Epoch(
        epoch=epoch,
        learning_rate=rate,
        entropy=float(pecm.entropy.detach()),
        largest_weight=float(fractions.max() / fractions.sum()),
        temperature=float(pecm.temperature.detach()),
        validation=validation,
        **means,
    )
