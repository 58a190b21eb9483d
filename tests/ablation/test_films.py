"""Films of an arm: which rows, which labels, how many passes."""

import numpy as np
import pytest

from pedclip.ablation import FilmChoice
from pedclip.anatomy import REGIONS
from tests.training.tiny import tiny_arrays

HALVES = {"trunk": REGIONS[:3], "rest": REGIONS[3:]}


def test_all_films_by_default() -> None:
    films = tiny_arrays(9)
    found = FilmChoice().training_films(films, seed=0)
    assert np.array_equal(found.images, films.images)
    assert (list(found.texts), list(found.patients)) == (list(films.texts), list(films.patients))
    assert np.array_equal(found.regions, films.regions)


def test_regions_and_rare_ones() -> None:
    films = tiny_arrays(30)  # ten of each of three regions
    only = FilmChoice(regions=(REGIONS[1],)).training_films(films, seed=0)
    assert set(only.regions) == {1}
    assert len(only) == 10
    rare = FilmChoice(at_most={REGIONS[2]: 4})
    rows = rare.rows(films.regions, seed=0)
    assert np.bincount(films.regions[rows]).tolist() == [10, 10, 4]
    assert not np.array_equal(rows, rare.rows(films.regions, seed=1))
    assert np.array_equal(rows, rare.rows(films.regions, seed=0))


def test_groups_share_an_expert_and_the_gate_counts_groups() -> None:
    regions = np.array([0, 2, 3, 22])
    choice = FilmChoice(groups=HALVES)
    assert choice.expert_names == (REGIONS[0], REGIONS[3])
    assert choice.experts(regions).tolist() == [0, 0, 1, 1]
    assert choice.labels_of(regions).tolist() == [0, 0, 3, 3]


def test_random_labels_keep_their_numbers_and_say_nothing() -> None:
    films = tiny_arrays(300)
    found = FilmChoice(labels="random").training_films(films, seed=0)
    assert np.bincount(found.regions).tolist() == [100, 100, 100]
    assert list(found.texts) == list(films.texts)
    # By chance a third of the labels is right.
    assert 0.2 < (found.regions == films.regions).mean() < 0.47


def test_equal_steps_are_more_passes_over_fewer_films() -> None:
    # 88 films in batches of 32 are two steps a pass: 8 × 51 steps take 204 passes, not 8 × 1660 / 88.
    assert FilmChoice(equal_in="steps").passes(8, all_batches=1660 // 32, batches=88 // 32) == 204
    assert FilmChoice().passes(8, all_batches=51, batches=2) == 8


def test_only_what_differs_is_stored() -> None:
    choice = FilmChoice(regions=("knee",), at_most={"knee": 5}, groups=HALVES, labels="random", equal_in="steps")
    assert FilmChoice.from_dict(choice.to_dict()) == choice
    assert FilmChoice().to_dict() == {}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"regions": ["kne"]}, "there is no region 'kne'"),
        ({"at_most": {"knee": 1}}, "at least 2"),
        ({"groups": {"a": ["knee"]}}, "each of the 23 regions once; look at"),
        ({"groups": {"a": list(REGIONS), "b": ["knee"]}}, "once; look at knee"),
        ({"labels": "wrong"}, "labels='wrong' is not allowed"),
        ({"equal_in": "time"}, "equal_in='time' is not allowed"),
        ({"region": ["knee"]}, "films have no 'region'"),
    ],
)
def test_mistakes_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FilmChoice.from_dict(values)


def test_an_arm_without_films_is_refused() -> None:
    with pytest.raises(ValueError, match="0 training films are left of 9"):
        FilmChoice(regions=(REGIONS[9],)).training_films(tiny_arrays(9), seed=0)
