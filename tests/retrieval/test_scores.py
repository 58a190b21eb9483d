"""Rankings: ties, the second stage, and why it must come before truncation."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pedclip.retrieval.scores import Scores


def scores(initial: list[list[float]], final: list[list[float]], top_m: int | None = None) -> Scores:
    return Scores(torch.tensor(initial), torch.zeros(len(initial), len(initial[0])), torch.tensor(final), top_m)


def by_sorting(initial: list[float], final: list[float], top_m: int | None) -> list[int]:
    """Both stages with Python's sort, ties by index."""
    first = sorted(range(len(initial)), key=lambda j: (-initial[j], j))
    head = first if top_m is None else first[:top_m]
    return sorted(head, key=lambda j: (-final[j], j)) + ([] if top_m is None else first[top_m:])


# Few values, so that ties are common.
LEVELS = st.lists(st.sampled_from([-0.5, 0.0, 0.25, 0.5]), min_size=6, max_size=6)


@given(initial=LEVELS, final=LEVELS, top_m=st.sampled_from([None, 1, 2, 5, 6, 9]))
def test_ranking_equals_sorting(initial: list[float], final: list[float], top_m: int | None) -> None:
    assert scores([initial], [final], top_m).ranking()[0].tolist() == by_sorting(initial, final, top_m)


def test_the_second_ranking_comes_before_truncation() -> None:
    # Candidate 2 is third at first and best in the end: truncated to two first, it could never be found.
    found = scores([[0.9, 0.8, 0.7, 0.1]], [[0.3, 0.2, 0.9, 1.0]])
    assert found.ranking()[0, :2].tolist() == [3, 2]
    assert scores([[0.9, 0.8, 0.7, 0.1]], [[0.3, 0.2, 0.9, 1.0]], 3).ranking()[0].tolist() == [2, 0, 1, 3]
    truncated = found.initial.topk(2).indices[0].tolist()
    assert set(scores([[0.9, 0.8, 0.7, 0.1]], [[0.3, 0.2, 0.9, 1.0]], 2).ranking()[0, :2].tolist()) == set(truncated)


def test_the_other_direction_ranks_films() -> None:
    both = scores([[0.1, 0.9], [0.5, 0.2]], [[0.1, 0.9], [0.5, 0.2]])
    assert both.t().ranking().tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("top_m", [None, 1, 4])
def test_every_candidate_has_one_rank(top_m: int | None) -> None:
    random = torch.rand(3, 5, generator=torch.Generator().manual_seed(0)).tolist()
    ranking = scores(random, random, top_m).ranking()
    assert torch.equal(ranking.sort(1).values, torch.arange(5).expand(3, 5))
