"""No patient in two parts; fractions of the training patients are stratified, nested and reproducible."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pedclip.evaluation.tasks.patient_split import Part, PatientLeak, PatientSplit, rarest_label


def part(patients: list[Any], truth: Any = None) -> Part:
    number = len(patients)
    return Part(np.arange(number)[:, None], np.zeros(number) if truth is None else np.asarray(truth), patients)  # type: ignore[arg-type]


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
        PatientSplit(part(train), part(validation), part(test))


def test_lengths_and_empty_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="got 2, 2 and 1"):
        Part(np.zeros((2, 1)), np.zeros(2), np.array(["a"]))
    with pytest.raises(ValueError, match="got 1 and 0"):
        PatientSplit(part(["a"]), part(["b"]), part([]))


@given(seed=st.integers(0, 1000), fraction=st.floats(0.02, 0.9))
def test_a_fraction_keeps_patients_whole_and_strata_in_proportion(seed: int, fraction: float) -> None:
    rng = np.random.default_rng(seed)
    patients = rng.integers(0, 60, 200)
    strata = (patients % 3 == 0).astype(int) + 2 * (patients == 7)
    whole = PatientSplit(part(patients.tolist(), strata), part(["v"]), part(["t"]))
    smaller = whole.subsample(fraction, seed=seed, strata=strata)
    kept = set(smaller.train.patients.tolist())
    assert len(smaller.train) == np.isin(patients, list(kept)).sum()
    total = len(np.unique(patients))
    assert len(kept) == max(1, round(fraction * total))
    for stratum in np.unique(strata):
        expected = len(kept) * len(np.unique(patients[strata == stratum])) / total
        # Within a patient of its part, and another one for where the last patient of the others falls.
        assert abs(len(np.unique(smaller.train.patients[smaller.train.truth == stratum])) - expected) < 2
    larger = whole.subsample(min(1.0, 2 * fraction), seed=seed, strata=strata)
    assert kept <= set(larger.train.patients.tolist())
    assert (smaller.fraction, smaller.seed, len(smaller.test)) == (fraction, seed, 1)


def test_another_seed_draws_other_patients() -> None:
    whole = PatientSplit(part(list(range(100))), part(["v"]), part(["t"]))
    chosen = [whole.subsample(0.1, seed=seed).train.patients.tolist() for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]
    with pytest.raises(ValueError, match="fraction must be"):
        whole.subsample(0.0, seed=0)
    with pytest.raises(ValueError, match="one per training image: 100, got 3"):
        whole.subsample(0.5, seed=0, strata=np.zeros(3))


def test_who_has_a_tenth_of_the_labels_has_a_tenth_to_choose_on() -> None:
    whole = PatientSplit(part(list(range(100))), part([f"v{i // 2}" for i in range(80)]), part(["t"]))
    strata = np.arange(80) // 2 % 4
    smaller = whole.subsample(0.1, seed=0, validation_strata=strata)
    assert (smaller.train.num_patients, smaller.validation.num_patients, len(smaller.validation)) == (10, 4, 8)
    assert sorted(int(name[1:]) % 4 for name in set(smaller.validation.patients)) == [0, 1, 2, 3]
    larger = whole.subsample(0.2, seed=0, validation_strata=strata)
    assert set(smaller.validation.patients) < set(larger.validation.patients)
    # The training patients are the same whatever there is to validate on.
    without = PatientSplit(whole.train, part([]), whole.test).subsample(0.1, seed=0)
    assert without.train.patients.tolist() == smaller.train.patients.tolist()
    assert len(without.validation) == 0
    with pytest.raises(ValueError, match="one per validation image: 80, got 3"):
        whole.subsample(0.5, seed=0, validation_strata=np.zeros(3))


def test_a_fraction_of_a_fraction_is_the_product() -> None:
    whole = PatientSplit(part(list(range(40))), part(["v"]), part(["t"]))
    half = whole.subsample(0.5, seed=1)
    quarter = half.subsample(0.5, seed=2)
    assert (quarter.fraction, quarter.seed, quarter.train.num_patients) == (0.25, 2, 10)
    assert set(quarter.train.patients.tolist()) < set(half.train.patients.tolist())
    assert half.subsample(1, seed=3).fraction == 0.5
    assert whole.subsample(1, seed=3).fraction == 1


def test_rarest_label_by_hand() -> None:
    labels = np.array([[1, 0], [1, 1], [1, np.nan], [0, 0]])
    assert rarest_label(labels).tolist() == [0, 1, 0, -1]
