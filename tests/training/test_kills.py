"""A run that is killed anywhere, as often as you like, ends with the weights and the history of one that is not."""

import pytest

from tests.training.killing import BATCHES, Kill
from tests.training.sweeping import problems_of

EVERY_BATCH = [[Kill("step", batch)] for batch in range(1, BATCHES + 1)]
EVERY_BATCH_END = [[Kill("batch end", batch, is_behind=True)] for batch in range(1, BATCHES + 1)]
# Behind the last batch of an epoch, and then in the middle of the next one: the second resume begins where the first
# one saved. Twice at the same place: nothing may be lost in between.
SEQUENCES = [
    [Kill("step", 4), Kill("step", 3)],
    [Kill("step", 4), Kill("step", 2), Kill("step", 2)],
    [Kill("step", 3), Kill("step", 2), Kill("validation", 1)],
    [Kill("state", 2), Kill("state", 2), Kill("state", 1)],
    [Kill("step", 6), Kill("step", 1), Kill("step", 2)],
]
WINDOWS = [
    *[[Kill(place, number)] for place in ("validation", "metrics") for number in (1, 2)],
    *[[Kill(place, number, is_behind)] for place in ("export", "weights", "state") for number, is_behind in
      ((1, False), (1, True), (2, False), (2, True))],
    *[[Kill("history", number)] for number in (2, 3)],
    *[[Kill("part of the state", number)] for number in (3, 70)],
    # Configuration, patients, states (each with the one before) and exports are all renamed into place.
    *[[Kill("rename", number)] for number in range(1, 14)],
]  # fmt: skip
SCENARIOS = {
    "every batch": (EVERY_BATCH, {}),
    "every batch, every step saved": (EVERY_BATCH_END, {"checkpoint_every": 1}),
    "every batch, two workers": (EVERY_BATCH[2:5], {"num_workers": 2}),
    "four workers": ([EVERY_BATCH[3], SEQUENCES[0]], {"num_workers": 4}),
    "gradients added up": (EVERY_BATCH_END[1:4], {"accumulate": 2, "batch_size": 4, "checkpoint_every": 1}),
    "saved at the ends of epochs only": (EVERY_BATCH[3:5], {"checkpoint_every": 3}),
    "several kills": (SEQUENCES, {}),
    "around every write": (WINDOWS, {}),
}


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    return problems_of("killing", tmp_path_factory.mktemp("kills"))


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_runs_end_bit_identical(problems: dict[str, list[str]], name: str) -> None:
    assert problems[name] == []
