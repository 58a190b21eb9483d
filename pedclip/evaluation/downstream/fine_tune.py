"""Fine-tuning: the image encoder and a linear head are trained together, for comparison with the linear probe.

PedCLIP's text says linear probing and its Table 2 says fine-tuning (methods of PedCLIP, P24), so both are offered.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pedclip.evaluation.downstream.fit import Schedule, fit_best, seeded
from pedclip.evaluation.downstream.probes import score_labels
from pedclip.evaluation.downstream.regression import score_age
from pedclip.evaluation.features import ImageModel
from pedclip.evaluation.metrics.bootstrap import Floats
from pedclip.evaluation.result import Result, Scoring
from pedclip.evaluation.tasks.patient_split import Part, PatientSplit
from pedclip.evaluation.tasks.task import LabelKind
from pedclip.triplets.transforms import to_pixels

FINE_TUNE_SCHEDULE: Final = Schedule(epochs=20, learning_rate=1e-4, weight_decay=0.05, batch_size=32, patience=5)


class Classifier(nn.Module):
    """A copy of a model with a linear head on its embedding.

    Args:
        model: A `pedclip.PedCLIP` or another module with its `encode_image` and `preprocess`; not changed.
        num_outputs: L, classes or 1 for a number.
    """

    def __init__(self, model: ImageModel, num_outputs: int) -> None:
        super().__init__()
        if not isinstance(model, nn.Module):
            raise TypeError(f"fine-tuning needs a torch module, got {type(model).__name__}")
        # The probes share the original, so it must stay as it is.
        self.model = copy.deepcopy(model)
        self.preprocess = model.preprocess
        # The size of the crop: (size, size) is what the encoder sees.
        size = self.preprocess.size
        device = next(model.parameters()).device
        with torch.no_grad():
            # One empty film tells the joint width D, whatever the model.
            width = self.model.encode_image(torch.zeros(1, 3, size, size, device=device)).embedding.shape[1]
        self.scale = width**0.5  # the embedding has unit length; the head then sees values near 1
        self.head = nn.Linear(width, num_outputs).to(device)

    def forward(self, films: Tensor) -> Tensor:
        """(B, R, R) uint8 films -> (B, L) logits or numbers; the crop from the middle."""
        embedding = self.model.encode_image(to_pixels(films, self.preprocess)).embedding  # (B, D)
        return self.head(self.scale * F.normalize(embedding.float(), dim=1))  # type: ignore[no-any-return]


def fine_tune(
    model: ImageModel,
    split: PatientSplit,
    classes: Sequence[str],
    *,
    kind: LabelKind,
    scoring: Scoring,
    schedule: Schedule = FINE_TUNE_SCHEDULE,
) -> Result:
    """Train on training, keep the best epoch on validation, score on test.

    Args:
        model: Copied; the original keeps its weights.
        split: Films (N, R, R) uint8 and labels as for `linear_probe`.
        classes: (L,) names.
        kind: "multi-label" or "multi-class".
        scoring: Names and bootstrap.
        schedule: Of the training.

    Returns:
        The result, as from `linear_probe`.

    Raises:
        TypeError: The model is no torch module.
        ValueError: As `linear_probe`.
    """
    module, chosen = _fit(model, len(classes), split, schedule, lambda logits, truth: _loss(logits, truth, kind))
    # (N, L) logits, which rank as probabilities do.
    scores = _outputs(module, split.test, schedule.batch_size)
    return score_labels(split, scores, classes, kind=kind, scoring=scoring, settings=chosen)


def fine_tune_age(
    model: ImageModel,
    split: PatientSplit,
    *,
    scoring: Scoring,
    unit: str = "months",
    schedule: Schedule = FINE_TUNE_SCHEDULE,
) -> Result:
    """Age regression by fine-tuning: one output, in standard deviations of the training targets from their mean.

    Any other number in `unit` will do.

    Args:
        model: Copied; the original keeps its weights.
        split: Films (N, R, R) uint8 and finite targets (N,).
        scoring: Names and bootstrap.
        unit: Of the targets.
        schedule: Of the training.

    Returns:
        The result, as from `regress`.

    Raises:
        TypeError: The model is no torch module.
        ValueError: Targets of another shape, or not finite.

    Source: PedCLIP, Table 2; the standardized target is decision P26. The paper names no loss: the mean absolute
        error is ours, because the task is scored by it.
    """
    targets = split.train.truth
    if targets.ndim != 1 or not np.isfinite(targets).all():
        raise ValueError(f"regression needs finite targets (N,), got {targets.shape}; leave out images without one")
    # Without it a fresh head would spend its epochs on finding the mean age.
    center, spread = float(targets.mean()), float(targets.std()) or 1.0

    def loss_of(outputs: Tensor, truth: NDArray[Any]) -> Tensor:
        # (B,) in standard deviations.
        wanted = torch.from_numpy(((truth - center) / spread).astype(np.float32)).to(outputs.device)
        return F.l1_loss(outputs[:, 0], wanted)

    module, chosen = _fit(model, 1, split, schedule, loss_of)
    # Back to the unit of the targets: (N, 1) -> (N,).
    predicted = center + spread * _outputs(module, split.test, schedule.batch_size)[:, 0]
    return score_age(split, predicted, scoring, unit, chosen)


def _fit(
    model: ImageModel,
    num_outputs: int,
    split: PatientSplit,
    schedule: Schedule,
    loss_of: Callable[[Tensor, NDArray[Any]], Tensor],
) -> tuple[Classifier, dict[str, Any]]:
    """The trained copy, and what was chosen; `loss_of` takes outputs (B, L) and the truth of the same images."""
    # The head starts from random weights.
    with seeded(schedule.seed):
        module = Classifier(model, num_outputs).to(schedule.device)
        epoch = fit_best(
            module,
            schedule,
            lambda part, rows: loss_of(module(_films(module, part, rows)), part.truth[rows]),
            train=split.train,
            validation=split.validation,
        )
    return module, {"epoch": epoch, "seed": schedule.seed}


def _loss(logits: Tensor, truth: NDArray[Any], kind: LabelKind) -> Tensor:
    if kind == "multi-class":
        return F.cross_entropy(logits, torch.from_numpy(truth.astype(np.int64)).to(logits.device))
    labels = torch.from_numpy(truth.astype(np.float32)).to(logits.device)
    # (B, L)
    is_known = ~labels.isnan()
    # 0 · NaN is NaN, so the gaps are filled before they are weighted.
    known = torch.where(is_known, labels, 0.0)
    # A label that nobody gave an image (NaN) has no weight, and the mean is over those given.
    total = F.binary_cross_entropy_with_logits(logits, known, weight=is_known.float(), reduction="sum")
    return total / is_known.sum().clamp(min=1)


@torch.inference_mode()
def _outputs(module: Classifier, part: Part, batch_size: int) -> Floats:
    starts = range(0, len(part), batch_size)
    rows = [np.arange(start, min(start + batch_size, len(part))) for start in starts]
    return np.concatenate([module(_films(module, part, batch)).double().cpu().numpy() for batch in rows])


def _films(module: Classifier, part: Part, rows: NDArray[np.intp]) -> Tensor:
    # A copy: films are a read-only memory map.
    return torch.from_numpy(np.array(part.inputs[rows])).to(module.head.weight.device)
