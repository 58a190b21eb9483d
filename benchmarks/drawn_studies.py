"""Studies drawn from populations whose truth is known, scored by the metrics of the package."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from pedclip.evaluation.extraction import Agreement, f1_interval
from pedclip.evaluation.metrics.bootstrap import Floats, Interval, Metric, Resampled
from pedclip.evaluation.metrics.classification import auc
from pedclip.evaluation.metrics.comparison import compare
from pedclip.evaluation.metrics.detection import Boxes, mean_average_precision
from pedclip.evaluation.metrics.per_image import ItemMean, accuracy, mae
from pedclip.evaluation.metrics.retrieval import recall_at_k

RESAMPLES: Final = 500
AGREEMENT: Final = 0.3  # correlation of right and wrong among the films of a patient

DICE: Final = ItemMean(lambda _, values: values)  # the mean of values per film, without masks to draw

Rng = np.random.Generator


@dataclass(frozen=True)
class Study:
    """One drawn study.

    Args:
        interval: As the package gives it.
        resampled: (R, N) counts of each film -> (R,) the metric, for the percentile interval.
        patients: (N,) patient of each film.
        truth: In the population.
    """

    interval: Interval
    resampled: Resampled
    patients: NDArray[np.intp]
    truth: float


def films(rng: Rng, patients: int) -> NDArray[np.intp]:
    """(N,) patient of each film; every patient has at least one."""
    return np.repeat(np.arange(patients), 1 + rng.poisson(1.0, patients))


def of_patients(rng: Rng, index: NDArray[np.intp], share: float = 0.5) -> Floats:
    """(N,) standard normal noise of which a share is common to the films of a patient."""
    common: Floats = rng.normal(size=int(index.max()) + 1)[index]
    return math.sqrt(share) * common + math.sqrt(1 - share) * rng.normal(size=len(index))


def wrong(rng: Rng, index: NDArray[np.intp], share: float) -> NDArray[np.bool_]:
    """(N,) films answered wrongly, alike within a patient."""
    spread = (1 - AGREEMENT) / AGREEMENT
    chance = rng.beta(share * spread, (1 - share) * spread, int(index.max()) + 1)
    found: NDArray[np.bool_] = rng.random(len(index)) < chance[index]
    return found


def scores(
    rng: Rng, patients: int, prevalence: float, areas: tuple[float, ...]
) -> tuple[Any, Any, list[Floats]] | None:
    """Labels (N,), patients (N,) and one column of scores (N,) per area; None where a class is missing."""
    index = films(rng, patients)
    labels = (rng.random(patients) < prevalence)[index]
    if labels.all() or not labels.any():
        return None
    shared = of_patients(rng, index)
    columns = []
    for area in areas:
        noise = math.sqrt(0.6) * shared + math.sqrt(0.4) * of_patients(rng, index)
        columns.append(noise + math.sqrt(2) * ndtri(area) * labels)
    return labels, index, columns


def auc_study(area: float) -> Callable[[Rng, int, float], Study | None]:
    """A finding that is told apart with this area under the ROC curve."""

    def study(rng: Rng, patients: int, prevalence: float) -> Study | None:
        drawn = scores(rng, patients, prevalence, (area,))
        if drawn is None:
            return None
        labels, index, (column,) = drawn
        interval = auc.bootstrap(labels, column, index, num_resamples=RESAMPLES)
        return Study(interval, auc.resampler(labels, column), index, area)

    return study


def auc_difference(rng: Rng, patients: int, prevalence: float) -> Study | None:
    drawn = scores(rng, patients, prevalence, (0.85, 0.75))
    if drawn is None:
        return None
    labels, index, (one, other) = drawn
    return _difference(auc, labels, one, other, index, 0.1)


def accuracy_study(rng: Rng, patients: int, prevalence: float) -> Study:
    index = films(rng, patients)
    answers = (~wrong(rng, index, prevalence)).astype(int)
    right = np.ones(len(index), dtype=int)
    interval = accuracy.bootstrap(right, answers, index, num_resamples=RESAMPLES)
    return Study(interval, accuracy.resampler(right, answers), index, 1 - prevalence)


def accuracy_difference(rng: Rng, patients: int, prevalence: float) -> Study:
    index = films(rng, patients)
    shared = of_patients(rng, index, 1.0)
    shares = prevalence, 1.5 * prevalence
    answers = [
        (math.sqrt(0.4) * shared + math.sqrt(0.6) * of_patients(rng, index, 1 / 3) < ndtri(1 - share)).astype(int)
        for share in shares
    ]
    return _difference(accuracy, np.ones(len(index), dtype=int), answers[0], answers[1], index, 0.5 * prevalence)


def recall_study(rng: Rng, patients: int, prevalence: float) -> Study:
    """Recall@5 of 50 sentences, with one right sentence per film."""
    index = films(rng, patients)
    similarity = rng.random((len(index), 50))
    similarity[:, 0] = np.where(wrong(rng, index, prevalence), -1.0, 2.0)
    relevant = np.zeros(len(index), dtype=int)
    interval = recall_at_k.bootstrap(similarity, relevant, 5, index, num_resamples=RESAMPLES)
    values = similarity[:, 0] > 1
    return Study(interval, lambda counts: counts @ values / counts.sum(axis=1), index, 1 - prevalence)


def dice_study(rng: Rng, patients: int, prevalence: float) -> Study:
    index = films(rng, patients)
    values = ndtr(0.9 + math.sqrt(0.5) * of_patients(rng, index)) * ~wrong(rng, index, prevalence)
    truth = (1 - prevalence) * float(ndtr(0.9 / math.sqrt(1.5)))
    interval = DICE.bootstrap(values, values, index, num_resamples=RESAMPLES)
    return Study(interval, DICE.resampler(values, values), index, truth)


def dice_difference(rng: Rng, patients: int, prevalence: float) -> Study:
    index = films(rng, patients)
    shared, chance = 0.57 * of_patients(rng, index), rng.random(len(index))
    values, truths = [], []
    for mean, share in ((0.9, prevalence), (0.7, 1.3 * prevalence)):
        values.append(ndtr(mean + shared + 0.3 * rng.normal(size=len(index))) * (chance >= share))
        truths.append((1 - share) * float(ndtr(mean / math.sqrt(1 + 0.57**2 + 0.3**2))))
    return _difference(DICE, np.zeros(len(index)), values[0], values[1], index, truths[0] - truths[1])


def mae_study(rng: Rng, patients: int, prevalence: float) -> Study:
    """Bone age in months: a typical error of 8, and of 24 for some patients."""
    index = films(rng, patients)
    errors = _months(rng, patients, prevalence)[index] * of_patients(rng, index)
    truth = 8 * (1 + 2 * prevalence) * math.sqrt(2 / math.pi)
    ages = np.zeros(len(index))
    return Study(mae.bootstrap(ages, errors, index, num_resamples=RESAMPLES), mae.resampler(ages, errors), index, truth)


def mae_difference(rng: Rng, patients: int, prevalence: float) -> Study:
    index = films(rng, patients)
    scale, shared = _months(rng, patients, prevalence)[index], of_patients(rng, index, 1.0)
    errors = [
        factor * scale * (math.sqrt(0.4) * shared + math.sqrt(0.6) * rng.normal(size=len(index)))
        for factor in (1.0, 1.2)
    ]
    truth = -0.2 * 8 * (1 + 2 * prevalence) * math.sqrt(2 / math.pi)
    return _difference(mae, np.zeros(len(index)), errors[0], errors[1], index, truth)


def f1_study(rng: Rng, patients: int, prevalence: float) -> Study:
    """Sentences of one report per patient: some are missed, some are added."""
    gold = 1 + rng.poisson(3.0, patients)
    spread = (1 - AGREEMENT) / AGREEMENT
    both = rng.binomial(gold, rng.beta((1 - prevalence) * spread, prevalence * spread, patients))
    predicted = both + rng.poisson(3 * prevalence, patients)
    counts = [Agreement(int(a), int(b), int(c)) for a, b, c in zip(both, predicted, gold, strict=True)]
    truth = 8 * (1 - prevalence) / (4 + 4 * (1 - prevalence) + 3 * prevalence)
    hits, total = 2.0 * both, (predicted + gold).astype(np.float64)
    interval = f1_interval(counts, num_resamples=RESAMPLES, seed=0)
    return Study(interval, lambda counts: (counts @ hits) / (counts @ total), np.arange(patients), truth)


def map_study(rng: Rng, patients: int, prevalence: float) -> Study | None:
    """One box per film of a patient with the finding; 8 in 10 are found, and every second film has a false box."""
    index = films(rng, patients)
    has_box = (rng.random(patients) < prevalence)[index]
    if not has_box.any():
        return None
    truth, found = boxes(rng, index, has_box)
    interval = mean_average_precision.bootstrap(truth, found, index, num_resamples=RESAMPLES)
    return Study(interval, mean_average_precision.resampler(truth, found), index, _map_of_population(prevalence))


@cache
def _map_of_population(prevalence: float) -> float:
    rng = np.random.default_rng(0)
    index = films(rng, 8000)
    return mean_average_precision(*boxes(rng, index, (rng.random(8000) < prevalence)[index]))


def boxes(rng: Rng, index: NDArray[np.intp], has_box: NDArray[np.bool_]) -> tuple[list[Boxes], list[Boxes]]:
    """True and predicted boxes of each film: (N,) patients, and (N,) whether there is a true one."""
    shift = np.abs(0.15 * of_patients(rng, index))  # of the side of the box
    sureness = of_patients(rng, index)
    truth, found = [], []
    for film in range(len(index)):
        corners, surenesses = [], []
        if has_box[film] and rng.random() < 0.8:
            corners.append([shift[film], 0, 1 + shift[film], 1])
            surenesses.append(1.5 + sureness[film])
        if rng.random() < 0.5:
            corners.append([5, 5, 6, 6])
            surenesses.append(rng.normal())
        truth.append(Boxes(np.array([[0, 0, 1, 1]] * int(has_box[film])), np.zeros(int(has_box[film]))))
        found.append(Boxes(np.array(corners), np.zeros(len(corners)), np.array(surenesses)))
    return truth, found


SCENARIOS: Final[dict[str, Callable[[Rng, int, float], Study | None]]] = {
    "AUC 0.80": auc_study(0.80),
    "AUC 0.95": auc_study(0.95),
    "difference of AUC": auc_difference,
    "accuracy": accuracy_study,
    "difference of accuracy": accuracy_difference,
    "Dice": dice_study,
    "difference of Dice": dice_difference,
    "MAE": mae_study,
    "difference of MAE": mae_difference,
    "F1": f1_study,
    "Recall@5": recall_study,
    "mAP": map_study,
}


def _difference(metric: Metric, truth: Any, first: Any, second: Any, index: NDArray[np.intp], expected: float) -> Study:
    interval = compare(metric, truth, first, second, index, num_resamples=RESAMPLES).difference
    one, other = metric.resampler(truth, first), metric.resampler(truth, second)
    return Study(interval, lambda counts: one(counts) - other(counts), index, expected)


def _months(rng: Rng, patients: int, prevalence: float) -> Floats:
    return np.where(rng.random(patients) < prevalence, 24.0, 8.0)
