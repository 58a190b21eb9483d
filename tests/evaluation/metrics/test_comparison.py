"""Paired bootstrap and DeLong: against the literal definitions, on equal models, on ties, and their error rate."""

import numpy as np
import pytest
from scipy.stats import t
from sklearn.metrics import roc_auc_score

from pedclip.evaluation.crop import box_array
from pedclip.evaluation.downstream.regression import predict_mean
from pedclip.evaluation.downstream.summary import compare_results
from pedclip.evaluation.metrics.classification import auc, macro_auc
from pedclip.evaluation.metrics.comparison import compare, delong
from pedclip.evaluation.metrics.detection import Boxes, mean_average_precision
from pedclip.evaluation.metrics.per_image import accuracy, mae
from pedclip.evaluation.result import Result, Scoring
from pedclip.evaluation.tasks.patient_split import Part, PatientSplit


def scored(seed: int, number: int = 60, *, lift: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(number) % 2
    shared = labels + rng.normal(size=number)
    return labels, shared + lift * labels + 0.5 * rng.normal(size=number), shared + 0.5 * rng.normal(size=number)


def literal_delong(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Difference and its standard error from the definition: pair by pair."""
    parts = []
    for scores in (first, second):
        won = (scores[labels == 1][:, None] > scores[labels == 0]) + 0.5 * (
            scores[labels == 1][:, None] == scores[labels == 0]
        )
        parts.append((won.mean(axis=1), won.mean(axis=0)))
    of_positives, of_negatives = (one - other for one, other in zip(*parts, strict=True))
    variance = of_positives.var(ddof=1) / len(of_positives) + of_negatives.var(ddof=1) / len(of_negatives)
    return float(of_positives.mean()), float(np.sqrt(variance))


@pytest.mark.parametrize("digits", [8, 0])
def test_delong_equals_its_definition(digits: int) -> None:
    labels, first, second = scored(0, lift=1.0)
    first, second = first.round(digits), second.round(digits)
    result = delong(labels, first, second)
    difference, error = literal_delong(labels, first, second)
    assert result.first == pytest.approx(roc_auc_score(labels, first), abs=1e-12)
    assert result.difference.value == pytest.approx(difference, abs=1e-12)
    assert (result.difference.high - result.difference.low) / 2 == pytest.approx(t.ppf(0.975, 58) * error, rel=1e-9)
    assert delong(labels, second, first).p_value == pytest.approx(result.p_value)


@pytest.mark.parametrize("num_positives", [8, 30, 52])
def test_the_interval_of_delong_follows_its_error_where_one_class_is_rare(num_positives: int) -> None:
    # With the same labels the width is a fixed multiple of the error, whatever the interval is made of.
    labels = (np.arange(60) < num_positives).astype(int)
    multiples = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        first, second = (rng.normal(size=60) * np.where(labels, seed + 1, 1) + 0.5 * labels for _ in range(2))
        low, high = delong(labels, first, second).difference.low, delong(labels, first, second).difference.high
        assert -1 < low < high < 1  # cut off nowhere
        multiples.append((high - low) / 2 / literal_delong(labels, first, second)[1])
    assert multiples == pytest.approx([multiples[0]] * 6, rel=1e-6)
    assert multiples[0] > 1.9


def test_the_seed_draws_the_resamples() -> None:
    labels, first, second = scored(7)
    one, again, other = (
        compare(auc, labels, first, second, np.arange(60) // 2, num_resamples=50, seed=seed).difference
        for seed in (1, 1, 2)
    )
    assert one == again
    assert (one.low, one.high) != (other.low, other.high)


def test_delong_is_right_five_times_in_a_hundred_without_a_difference() -> None:
    p_values = np.array([delong(*scored(seed, 200)).p_value for seed in range(400)])
    assert 0.02 < (p_values < 0.05).mean() < 0.09  # 3 standard errors around 0.05
    assert delong(*scored(1, 200, lift=1.5)).p_value < 0.01


def test_delong_agrees_with_the_paired_bootstrap() -> None:
    labels, first, second = scored(2, 400, lift=0.3)
    one, other = delong(labels, first, second), compare(auc, labels, first, second)
    assert other.difference.value == pytest.approx(one.difference.value, abs=1e-12)
    width = one.difference.high - one.difference.low
    assert other.difference.high - other.difference.low == pytest.approx(width, rel=0.15)  # 1000 resamples


def test_equal_predictions_differ_by_nothing() -> None:
    labels, first, _ = scored(3)
    for result in (delong(labels, first, 2 * first + 1), compare(auc, labels, first, first.copy())):
        assert result.p_value == 1.0
        assert result.difference.value == result.difference.low == result.difference.high == 0.0


def test_two_models_that_agree_on_few_patients_may_differ_on_others() -> None:
    labels = np.arange(20) % 2
    perfect = compare(auc, labels, labels, labels + 0.1 * np.arange(20) * labels)
    assert (perfect.difference.value, perfect.p_value) == (0.0, 1.0)
    assert perfect.difference.high == -perfect.difference.low == pytest.approx(1 - 0.05 ** (1 / 19))
    again = delong(labels, labels, labels + 0.1 * np.arange(20) * labels).difference
    assert (again.low, again.high) == (perfect.difference.low, perfect.difference.high)
    truth = np.zeros(20)
    months = compare(mae, truth, truth + 1, truth - 1)  # errors have no largest value to fall back on
    assert months.difference.low == months.difference.high == 0


def test_a_comparison_on_too_few_patients_has_no_p_value() -> None:
    labels, first, second = scored(6)
    few = compare(auc, labels, first, second, np.minimum(np.arange(60) // 10, 2))
    assert not few.difference.is_known
    written = few.to_dict()
    assert (written["p_value"], written["difference"]["low"]) == (None, None)


def test_the_p_value_agrees_with_the_interval() -> None:
    for seed in range(40):
        labels, first, second = scored(seed, lift=0.5)
        found = compare(auc, labels, first, second, np.arange(60) // 2, num_resamples=200)
        assert (found.p_value < 0.05) == (found.difference.low > 0 or found.difference.high < 0)


def test_pairing_narrows_the_interval() -> None:
    rng = np.random.default_rng(4)
    truth, hard = np.zeros(100), rng.exponential(10, 100)
    first, second = hard + 1 + rng.normal(0, 0.5, 100), hard
    paired = compare(mae, truth, first, second)
    alone = mae.bootstrap(truth, first)
    assert paired.difference.high - paired.difference.low < 0.2 * (alone.high - alone.low)
    assert paired.difference.low > 0.8
    assert paired.p_value == pytest.approx(2 / 1001)


def test_patients_are_resampled_whole_and_every_metric_can_be_compared() -> None:
    rng = np.random.default_rng(5)
    labels = np.repeat(rng.integers(0, 2, 20), 5)
    answers, others = (np.repeat(rng.integers(0, 2, 20), 5) for _ in range(2))
    grouped = compare(accuracy, labels, answers, others, np.arange(100) // 5)
    single = compare(accuracy, labels, answers, others)
    assert grouped.difference.num_groups == 20
    assert grouped.difference.high - grouped.difference.low > 1.5 * (single.difference.high - single.difference.low)
    both = compare(macro_auc, labels[:, None], rng.random((100, 1)), rng.random((100, 1)))
    assert both.to_dict()["test"] == "paired bootstrap over patients"


def test_results_of_other_images_are_refused() -> None:
    def result(seed: int) -> object:
        rng = np.random.default_rng(seed)
        parts = [
            Part(rng.normal(size=(9, 2)), rng.normal(size=9), np.array([f"{name}{i}" for i in range(9)]))
            for name in ("train", "validation", "test")
        ]
        return predict_mean(PatientSplit(*parts), scoring=Scoring("age", "mean", num_resamples=10))

    first, again, other = result(0), result(0), result(1)
    assert compare_results(first, again, num_resamples=10).difference.value == 0  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="different test images or metrics"):
        compare_results(first, other)  # type: ignore[arg-type]


def test_boxes_read_twice_are_the_same_truth() -> None:
    def result(right: float) -> Result:
        boxes = [Boxes(np.array([[0.1, 0.1, right, 0.5]]), np.array([0]), np.array([0.5])) for _ in range(4)]
        truth = box_array([Boxes(found.corners, found.labels) for found in boxes])
        parts = [Part(np.zeros((4, 1)), truth, np.array([f"{name}{i}" for i in range(4)])) for name in "abc"]
        scoring = Scoring("boxes", "head", num_resamples=10)
        return scoring.result(
            PatientSplit(*parts), mean_average_precision, boxes, name="mAP", baseline=(0, "no box"), settings={}
        )

    assert compare_results(result(0.5), result(0.5), num_resamples=10).difference.value == 0
    with pytest.raises(ValueError, match="different test images or metrics"):
        compare_results(result(0.5), result(0.6))


@pytest.mark.parametrize(
    ("labels", "first", "words"),
    [
        ([0, 0, 1], [1, 2, 3], "two of each"),
        ([0, 0, 1, 1], [1, 2, 3], "as many scores|homogeneous|shape"),
        ([0, 2, 1, 1], [1, 2, 3, 4], "two of each"),
        ([0, 0, 1, 1], [1, 2, 3, np.nan], "finite"),
    ],
)
def test_delong_refuses(labels: list[int], first: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        delong(labels, first, [1.0, 2.0, 3.0, 4.0][: len(labels)])
