"""A patient's split never changes: not between machines, versions or runs."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pedclip.triplets.splits import split_of


@pytest.mark.parametrize(
    ("patient", "split"),
    [("patient-1", "train"), ("a", "train"), ("c", "test"), ("é", "test"), ("007", "train"), ("p9", "validation")],
)
def test_known_patients_stay_where_published_numbers_put_them(patient: str, split: str) -> None:
    assert split_of(patient) == split


def test_shares_are_the_fractions_asked_for() -> None:
    counts = Counter(split_of(f"p{number}") for number in range(10_000))
    # Four standard deviations of a binomial share.
    assert counts["train"] == pytest.approx(7000, abs=190)
    assert counts["validation"] == pytest.approx(1500, abs=145)


def test_salt_changes_the_split() -> None:
    assert any(split_of(f"p{number}", salt="other") != split_of(f"p{number}") for number in range(50))


@given(st.text(min_size=1).filter(str.strip))
def test_a_split_without_a_share_stays_empty(patient: str) -> None:
    assert split_of(patient, fractions=(0.9, 0, 0.1)) != "validation"
    assert split_of(patient, fractions=(0.9, 0.1, 0)) != "test"
    assert split_of(patient, fractions=(1, 0, 0)) == "train"


@pytest.mark.parametrize("patient", ["", "  "])
def test_blank_patient_is_an_error(patient: str) -> None:
    with pytest.raises(ValueError, match="patient_id is blank"):
        split_of(patient)


def test_number_as_patient_is_an_error() -> None:
    with pytest.raises(TypeError, match="must be a text, not int"):
        split_of(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.5, 0.5, 0.5), (-0.1, 0.6, 0.5), (float("nan"), 0.5, 0.5)])
def test_bad_fractions_are_an_error(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="three shares"):
        split_of("a", fractions=fractions)
