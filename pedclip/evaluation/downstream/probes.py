"""Linear probe: logistic regression on frozen features, each penalty chosen on validation patients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.downstream.logistic import INVERSE_PENALTIES, Linear, fit_path
from pedclip.evaluation.downstream.regression import regress
from pedclip.evaluation.metrics.bootstrap import Floats
from pedclip.evaluation.metrics.classification import auc, macro_auc
from pedclip.evaluation.metrics.per_image import accuracy
from pedclip.evaluation.result import ClassScore, Result, Scoring
from pedclip.evaluation.tasks.patient_split import Part, PatientSplit
from pedclip.evaluation.tasks.task import LabelKind, Task

FALLBACK_PENALTY: Final = 1e-2  # where the validation images cannot rank


@dataclass(frozen=True, eq=False)
class Probe:
    """A fitted probe.

    Args:
        linear: Features -> log-odds or logits.
        penalties: (L,) chosen C of each label, or (1,) for classes; 0 where training shows one answer only.
    """

    linear: Linear
    penalties: Floats

    def scores(self, features: NDArray[Any]) -> Floats:
        """(N, C) features -> (N, L); higher means the label is likelier."""
        return self.linear(features)


def fit_probe(
    train: Part,
    validation: Part,
    *,
    kind: LabelKind,
    num_classes: int = 0,
    penalties: Sequence[float] = INVERSE_PENALTIES,
    device: str = "cpu",
) -> Probe:
    """The probe that is best on the validation images; test images are never seen.

    Each label of "multi-label" has its own penalty. Among equals the stronger one is taken. A label with one answer in
    training scores all images alike.

    Args:
        train: Features (N, C) and labels: (N, L) 0, 1 or NaN for "multi-label", (N,) class numbers for "multi-class".
        validation: The same for other patients; may be empty or unable to rank, then C is 0.01.
        kind: "multi-label" or "multi-class".
        num_classes: L for "multi-class".
        penalties: Values of C to choose from, each above 0.
        device: Where to compute.

    Returns:
        The probe.

    Raises:
        ValueError: Labels of another shape, one class only in training for "multi-class", or scores of validation
            images that are not finite.
    """
    # Validation is not checked: it may be empty or lack a class.
    _check(train, kind, num_classes)
    # The fallback is fitted with the rest: the path starts each penalty from the one before.
    grid = sorted({*penalties, FALLBACK_PENALTY})
    path = fit_path(train.inputs, train.truth, grid, kind=kind, num_classes=num_classes, device=device)
    # (N, L) for each penalty.
    scored = [linear(validation.inputs) for linear in path] if len(validation) else []
    # Every comparison with NaN is false: the first penalty would be taken as if it were the best.
    if not all(np.isfinite(scores).all() for scores in scored):
        raise ValueError(
            "the scores of validation images are not finite, so that no penalty can be chosen; look for NaN among "
            "their features"
        )
    if kind == "multi-class":
        ranks = [accuracy(validation.truth, scores.argmax(axis=1)) for scores in scored]
        best = _choose(ranks, grid, penalties)
        return Probe(path[best], np.array([grid[best]]))
    num_labels = train.truth.shape[1]
    # A label that cannot be fitted keeps weights of 0, and its AUC is one half.
    weight, bias, chosen = np.zeros_like(path[0].weight), np.zeros(num_labels), np.zeros(num_labels)
    for label in range(num_labels):
        # NaN may be among them; one answer alone cannot be learned from.
        if not {0, 1} <= set(train.truth[:, label].tolist()):
            continue
        # Each label has its own penalty, as a rare one needs a stronger one.
        ranks = _aucs(validation.truth[:, label], [scores[:, label] for scores in scored]) if scored else []
        best = _choose(ranks, grid, penalties)
        weight[:, label], bias[label] = path[best].weight[:, label], path[best].bias[label]
        chosen[label] = grid[best]
    return Probe(Linear(weight, bias), chosen)


def linear_probe(
    split: PatientSplit,
    classes: Sequence[str],
    *,
    kind: LabelKind,
    scoring: Scoring,
    penalties: Sequence[float] = INVERSE_PENALTIES,
    device: str = "cpu",
) -> Result:
    """Fit on training, choose on validation, score on test.

    Args:
        split: Features and labels as for `fit_probe`.
        classes: (L,) names.
        kind: "multi-label" is scored by macro AUC, "multi-class" by accuracy.
        scoring: Names and bootstrap.
        penalties: As for `fit_probe`.
        device: Where to compute.

    Returns:
        The result, with the AUC of each label or the accuracy within each class.

    Raises:
        ValueError: As `fit_probe`, or no label of the test images has both classes.
    """
    probe = fit_probe(
        split.train, split.validation, kind=kind, num_classes=len(classes), penalties=penalties, device=device
    )
    # Reported, as a penalty at the end of the grid says that the grid is too short.
    chosen = {"C": probe.penalties.tolist()}
    return score_labels(split, probe.scores(split.test.inputs), classes, kind=kind, scoring=scoring, settings=chosen)


def score_labels(
    split: PatientSplit,
    scores: Floats,
    classes: Sequence[str],
    *,
    kind: LabelKind,
    scoring: Scoring,
    settings: dict[str, Any],
) -> Result:
    """Scores (N, L) of the test images as an result; also for fine-tuned models.

    Args:
        split: The task.
        scores: (N, L), higher means likelier.
        classes: (L,) names.
        kind: As for `linear_probe`.
        scoring: Names and bootstrap.
        settings: For the result.
    """
    # Test labels are looked at here for the first time.
    truth, patients = split.test.truth, split.test.patients
    if kind == "multi-label":
        # Per label on the images that answer for it; over all labels on every image.
        each = [_label_score(name, truth[:, i], scores[:, i], patients, scoring) for i, name in enumerate(classes)]
        return scoring.result(
            split, macro_auc, scores, name="AUC", classes=each, baseline=(0.5, "chance"), settings=settings
        )
    answers = scores.argmax(axis=1)  # (N,)
    each = [_class_score(name, truth == i, answers == i, patients, scoring) for i, name in enumerate(classes)]
    # Of training, as always answering it may not look at the test labels.
    commonest = np.bincount(split.train.truth).argmax()
    return scoring.result(
        split,
        accuracy,
        answers,
        name="accuracy",
        classes=each,
        baseline=(float((truth == commonest).mean()), "commonest class of training"),
        settings=settings,
    )


def _label_score(
    name: str, truth: NDArray[Any], scores: Floats, patients: NDArray[Any], scoring: Scoring
) -> ClassScore:
    rows = np.flatnonzero(~np.isnan(truth.astype(float)))
    labels = truth[rows]
    # An AUC needs a positive and a negative; two patients are needed for its interval.
    has_both = len(np.unique(labels)) == 2
    score = scoring.bootstrap_if_possible(auc, labels, scores[rows], patients[rows]) if has_both else None
    return ClassScore(name, score, int(labels.sum()), len(rows))


def _class_score(
    name: str, is_class: NDArray[np.bool_], is_answer: NDArray[np.bool_], patients: NDArray[Any], scoring: Scoring
) -> ClassScore:
    # Images of the class alone: the part of them that was answered with it, which is its recall.
    score = scoring.bootstrap_if_possible(accuracy, is_class[is_class], is_answer[is_class], patients[is_class])
    return ClassScore(name, score, int(is_class.sum()), len(is_class))


def _choose(ranks: Sequence[float], grid: Sequence[float], penalties: Sequence[float]) -> int:
    """Position of the best of the penalties asked for; of the fallback where nothing was ranked."""
    # No validation image, or all with one answer.
    if not ranks:
        return list(grid).index(FALLBACK_PENALTY)
    # Position rises with C, so minus the position takes the stronger penalty among equals.
    asked = [position for position, penalty in enumerate(grid) if penalty in set(penalties)]
    return max(asked, key=lambda position: (ranks[position], -position))


def _check(train: Part, kind: LabelKind, num_classes: int) -> None:
    if train.inputs.ndim != 2:
        raise ValueError(f"a linear probe needs features (N, C), got {train.inputs.shape}")
    # (N,) would be read as one class number per image.
    if kind == "multi-label" and train.truth.ndim != 2:
        raise ValueError(f"multi-label needs labels (N, L), got {train.truth.shape}; give one label as (N, 1)")
    if kind == "multi-class":
        # Class numbers, not names: they index the columns of the softmax.
        present = np.unique(train.truth)
        if train.truth.ndim != 1 or not np.issubdtype(train.truth.dtype, np.integer):
            raise ValueError(f"multi-class needs class numbers (N,), got {train.truth.dtype} {train.truth.shape}")
        if len(present) < 2 or present[0] < 0 or present[-1] >= num_classes:
            raise ValueError(
                f"multi-class needs at least 2 classes of 0 to {num_classes - 1}, got {present[:5].tolist()}"
            )


def _aucs(labels: NDArray[Any], scored: Sequence[Floats]) -> list[float]:
    """AUC of each candidate; none where the images cannot rank them."""
    rows = np.flatnonzero(~np.isnan(labels.astype(float)))
    return [auc(labels[rows], scores[rows]) for scores in scored] if len(np.unique(labels[rows])) == 2 else []


def probe(task: Task, split: PatientSplit, scoring: Scoring, *, device: str = "cpu") -> Result:
    """The linear model of a task on frozen features: logistic regression for labels, ridge regression for ages.

    Raises:
        ValueError: A task of masks or boxes, or as `linear_probe` and `regress`.
    """
    # The one place where the kind of a task decides on the model.
    if task.kind == "regression":
        return regress(split, scoring=scoring)
    if task.kind == "multi-label" or task.kind == "multi-class":
        return linear_probe(split, task.classes, kind=task.kind, scoring=scoring, device=device)
    raise ValueError(f"{task.name}: a linear probe has no {task.kind}; see segment and detect")
