import json
import math

import numpy as np
import pytest

from pedclip.evaluation.metrics import bootstrap
from pedclip.evaluation.metrics.bootstrap import Interval
from pedclip.evaluation.metrics.classification import auc
from pedclip.evaluation.metrics.per_image import accuracy, mae
from pedclip.evaluation.metrics.retrieval import recall_at_k

NUM_STUDIES = 200
# 200 simulated studies of a true 95 % interval: three standard errors are 0.046; with a reserve for few patients the
# intervals hold somewhat more.
COVERAGE = (0.91, 1.0)


def share_covered(simulate, truth, **options):
    rng = np.random.default_rng(11)
    found = [simulate(rng) for _ in range(NUM_STUDIES)]
    return np.mean([interval.low <= truth <= interval.high for interval in found])


def test_auc_intervals_cover_the_truth():
    def simulate(rng):
        labels = np.repeat([0, 1], 60)
        return auc.bootstrap(labels, rng.normal(size=120) + labels, num_resamples=400)

    truth = 0.7602  # Phi(1 / sqrt 2)
    assert COVERAGE[0] <= share_covered(simulate, truth) <= COVERAGE[1]


def simulate_correlated(rng, *, by_patient):
    patients = np.repeat(np.arange(40), 6)
    error = rng.normal(size=40)[patients] + 0.1 * rng.normal(size=240)  # images of one patient are alike
    return mae.bootstrap(np.zeros(240), error, patients if by_patient else None, num_resamples=400)


def test_patients_not_images_carry_the_evidence():
    truth = np.sqrt(2 / np.pi) * np.sqrt(1 + 0.1**2)  # mean of a half-normal
    by_patient = share_covered(lambda rng: simulate_correlated(rng, by_patient=True), truth)
    by_image = share_covered(lambda rng: simulate_correlated(rng, by_patient=False), truth)
    assert COVERAGE[0] <= by_patient <= COVERAGE[1]
    assert by_image < 0.75


def test_names_of_patients_do_not_matter():
    rng = np.random.default_rng(0)
    truth, predicted, patients = rng.integers(0, 2, 60), rng.integers(0, 2, 60), np.arange(60) // 3
    by_number = accuracy.bootstrap(truth, predicted, patients)
    by_name = accuracy.bootstrap(truth, predicted, [f"patient {number:02d}" for number in patients])
    assert by_name == by_number


def test_one_patient_per_item_is_the_plain_bootstrap():
    truth, predicted = np.arange(20) % 2, np.arange(20) % 3 % 2
    assert accuracy.bootstrap(truth, predicted, np.arange(20)) == accuracy.bootstrap(truth, predicted)


def test_a_large_archive_is_resampled_in_pieces(monkeypatch):
    labels = np.arange(50) % 2
    scores = np.random.default_rng(0).normal(size=50)
    whole = auc.bootstrap(labels, scores, num_resamples=100)
    monkeypatch.setattr(bootstrap, "CHUNK_ELEMENTS", 50 * 7)
    pieces = auc.bootstrap(labels, scores, num_resamples=100)
    assert pieces.value == whole.value
    assert pieces.low == pytest.approx(whole.low, abs=0.05)  # other draws of the same distribution
    assert (pieces.num_groups, pieces.num_redrawn) == (50, 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"groups": [1, 1, 1]}, "at least 2 patients, got 1"),
        ({"groups": [1, 2]}, "expected 3, got 2"),
        ({"groups": [None, None, None]}, "groups must name the patient of every item; 3 of 3 are missing"),
        ({"groups": ["a", None, "b"]}, "1 of 3 are missing"),
        ({"groups": [1.0, math.nan, 2.0]}, "1 of 3 are missing"),
        ({"num_resamples": 0}, "num_resamples must be at least 1"),
    ],
)
def test_intervals_refuse_what_cannot_be_resampled(options, words):
    with pytest.raises(ValueError, match=words):
        accuracy.bootstrap([0, 1, 1], [0, 1, 0], **options)
    with pytest.raises(ValueError, match=words):
        recall_at_k.bootstrap(np.eye(3), np.arange(3), 1, **options)


def test_few_positive_patients_do_not_make_an_interval_too_narrow():
    # 50 patients, 4 to 7 of them positive, two films each; the percentile interval holds 0.85 of such studies.
    truth = 0.95  # Phi(2.326 / sqrt 2)

    def simulate(rng):
        labels = np.repeat(np.arange(50) < rng.integers(4, 8), 2)
        scores = np.sqrt(0.5) * (rng.normal(size=50)[np.arange(100) // 2] + rng.normal(size=100)) + 2.326 * labels
        return auc.bootstrap(labels, scores, np.arange(100) // 2, num_resamples=200)

    assert share_covered(simulate, truth) >= 0.92  # two standard errors below 0.95


def test_too_few_patients_are_said_and_not_guessed():
    labels, patients = np.arange(40) < 6, np.arange(40) // 2  # three positive patients of twenty
    interval = auc.bootstrap(labels, np.random.default_rng(0).normal(size=40), patients)
    assert not interval.is_known
    assert str(interval) == f"{interval.value:.3f} (too few patients)"
    assert interval.to_dict() | {"value": 0} == {
        "value": 0, "low": None, "high": None, "num_items": 40, "num_groups": 20, "num_redrawn": 0,
    }  # fmt: skip
    with_one_more = auc.bootstrap(np.arange(40) < 8, np.random.default_rng(0).normal(size=40), patients)
    assert with_one_more.is_known
    assert not accuracy.bootstrap([0, 1, 1], [0, 1, 0]).is_known
    assert accuracy.bootstrap([0, 1, 1, 1], [0, 1, 0, 1]).is_known


@pytest.mark.parametrize("ends", [(math.nan, math.nan), (math.nan, 0.7), (0.2, math.nan)])
def test_an_interval_needs_both_ends(ends):
    interval = Interval(0.5, *ends, 4, 2)
    assert not interval.is_known
    assert str(interval) == "0.500 (too few patients)"


def test_what_never_failed_is_not_certain():
    interval = accuracy.bootstrap(np.ones(60), np.ones(60), np.arange(60) // 3)
    assert (interval.value, interval.high) == (1, 1)
    assert 0.8 < interval.low < 0.9  # 20 patients, not 60 films


def test_an_interval_is_plain_numbers():
    interval = accuracy.bootstrap([0, 1, 1, 0], [0, 1, 0, 0], seed=1)
    assert Interval(**json.loads(json.dumps(interval.to_dict()))) == interval
    assert str(Interval(0.5, 0.25, 0.75, 4, 2)) == "0.500 (0.250 to 0.750)"
