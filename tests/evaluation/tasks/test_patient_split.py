"""No patient on both sides; shares of the training patients are stratified, nested and reproducible."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pedclip.evaluation.tasks.patient_split import PatientLeak, Side, Sides, rarest_label


def side(patients: list[Any], truth: Any = None) -> Side:
    number = len(patients)
    return Side(np.arange(number)[:, None], np.zeros(number) if truth is None else np.asarray(truth), patients)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("train", "validation", "test", "words"),
    [
        (["a", "b"], ["c"], ["d", "a"], "1 patients are in both the training and the test part"),
        (["a", "b"], ["b", "a"], ["d"], "2 patients are in both the training and the validation part"),
        (["a"], ["b"], ["b"], "both the validation and the test part"),
        ([1, 2], [], ["2"], "both the training and the test part"),  # the same identifier as number and as text
    ],
)
def test_a_leaked_patient_is_caught(train: list[Any], validation: list[Any], test: list[Any], words: str) -> None:
    with pytest.raises(PatientLeak, match=words):
        Sides(side(train), side(validation), side(test))


def test_lengths_and_empty_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="got 2, 2 and 1"):
        Side(np.zeros((2, 1)), np.zeros(2), np.array(["a"]))
    with pytest.raises(ValueError, match="got 1 and 0"):
        Sides(side(["a"]), side(["b"]), side([]))


@given(seed=st.integers(0, 1000), share=st.floats(0.02, 0.9))
def test_a_share_keeps_patients_whole_and_strata_in_proportion(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    patients = rng.integers(0, 60, 200)
    strata = (patients % 3 == 0).astype(int) + 2 * (patients == 7)
    whole = Sides(side(patients.tolist(), strata), side(["v"]), side(["t"]))
    part = whole.fraction(share, seed=seed, strata=strata)
    kept = set(part.train.patients.tolist())
    assert len(part.train) == np.isin(patients, list(kept)).sum()
    total = len(np.unique(patients))
    assert len(kept) == max(1, round(share * total))
    for stratum in np.unique(strata):
        expected = len(kept) * len(np.unique(patients[strata == stratum])) / total
        # Within a patient of its share, and another one for where the last patient of the others falls.
        assert abs(len(np.unique(part.train.patients[part.train.truth == stratum])) - expected) < 2
    larger = whole.fraction(min(1.0, 2 * share), seed=seed, strata=strata)
    assert kept <= set(larger.train.patients.tolist())
    assert (part.share, part.seed, len(part.test)) == (share, seed, 1)


def test_another_seed_draws_other_patients() -> None:
    whole = Sides(side(list(range(100))), side(["v"]), side(["t"]))
    draws = [whole.fraction(0.1, seed=seed).train.patients.tolist() for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    with pytest.raises(ValueError, match="share must be"):
        whole.fraction(0.0, seed=0)
    with pytest.raises(ValueError, match="one per training image: 100, got 3"):
        whole.fraction(0.5, seed=0, strata=np.zeros(3))


def test_a_share_of_a_share_is_the_product() -> None:
    whole = Sides(side(list(range(40))), side(["v"]), side(["t"]))
    half = whole.fraction(0.5, seed=1)
    quarter = half.fraction(0.5, seed=2)
    assert (quarter.share, quarter.seed, quarter.train.num_patients) == (0.25, 2, 10)
    assert set(quarter.train.patients.tolist()) < set(half.train.patients.tolist())
    assert half.fraction(1, seed=3).share == 0.5
    assert whole.fraction(1, seed=3).share == 1


def test_rarest_label_by_hand() -> None:
    labels = np.array([[1, 0], [1, 1], [1, np.nan], [0, 0]])
    assert rarest_label(labels).tolist() == [0, 1, 0, -1]
