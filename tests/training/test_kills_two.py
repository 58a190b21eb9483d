"""A run of two processes that is killed anywhere ends with the weights and the history of one that is not."""

import pytest

from tests.training.killing import BATCHES, Kill
from tests.training.killing_two import KillOfTwo
from tests.training.sweeping import problems_of

# Steps 3 and 6 are the last of an epoch; the states are written behind steps 2, 3, 4 and 6.
EVERY_BATCH = [[KillOfTwo(Kill("step", batch), rank=batch % 2)] for batch in range(1, BATCHES + 1)]
WINDOWS = [
    [KillOfTwo(Kill("validation", 1))],
    [KillOfTwo(Kill("export", 1, is_behind=True))],
    [KillOfTwo(Kill("state", 2), rank=1)],
    [KillOfTwo(Kill("state", 4, is_behind=True))],
]
SCENARIOS = {
    "every batch": (EVERY_BATCH, {}),
    "between export and state": (WINDOWS, {}),
    "two kills": ([[KillOfTwo(Kill("step", 4)), KillOfTwo(Kill("step", 3), rank=1)]], {}),
    "the writing process is left alone": ([[KillOfTwo(Kill("step", 5), rank=1, is_left_alone=True)]], {}),
    "two workers each": ([EVERY_BATCH[3]], {"num_workers": 2}),
}


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    return problems_of("killing_two", tmp_path_factory.mktemp("kills"), CUDA_VISIBLE_DEVICES="")


@pytest.mark.parametrize("name", SCENARIOS)
def test_two_killed_processes_end_bit_identical(problems: dict[str, list[str]], name: str) -> None:
    assert problems[name] == []
