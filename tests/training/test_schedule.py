"""Teacher forcing and λ over the published 50 epochs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pedclip.training.schedule import expert_schedule


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [
        (0, (1.0, True)),
        (9.999, (1.0, True)),
        (10, (1.0, False)),
        (20, (0.75, False)),
        (49.5, (0.0125, False)),
        (50, (0.0, False)),
    ],
)
def test_published_values(epoch: float, expected: tuple[float, bool]) -> None:
    weight, is_forced = expert_schedule(epoch)
    assert (pytest.approx(weight), is_forced) == expected


@given(st.floats(0, 50), st.floats(0, 50), st.floats(0, 1))
def test_never_rises_and_stays_between_its_ends(first: float, second: float, end: float) -> None:
    early, late = (expert_schedule(x, lambda_end=end)[0] for x in sorted((first, second)))
    assert 1 >= early >= late >= end - 1e-12


def test_without_teacher_and_with_nothing_else() -> None:
    assert expert_schedule(0, 4, 0) == (1.0, False)
    assert expert_schedule(4, 4, 4) == (1.0, True)


@pytest.mark.parametrize("arguments", [(51,), (-1,), (0, 0), (0, 5, 6), (0, 5, -1)])
def test_out_of_range_raises(arguments: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="is not allowed"):
        expert_schedule(*arguments)


def test_a_negative_last_weight_raises() -> None:
    with pytest.raises(ValueError, match=r"lambda_end=-0\.1 is not allowed"):
        expert_schedule(0, lambda_end=-0.1)
