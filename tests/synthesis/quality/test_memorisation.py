"""Copies are flagged, however disguised; films of the same distribution, and films without detail, are not."""

import json

import numpy as np
import pytest

from pedclip.synthesis.quality.encoders import pixel_features
from pedclip.synthesis.quality.floors import floor_films
from pedclip.synthesis.quality.memorisation import (
    chance_limit,
    known_films,
    memorisation_of,
)
from tests.synthesis.quality.drawn_films import SIZE, drawn_films, redrawn

TRAIN = drawn_films(300, 1)
TEST = drawn_films(200, 2, first_patient=1000)


def space(films):
    return pixel_features(films, compared_at=SIZE)


def known(test=TEST, **options):
    return known_films(space(TRAIN.images), space(test.images), test_patients=test.patients, space="pixels", **options)


KNOWN = known()


def measured(*synthetic, patients=TRAIN.patients, against=KNOWN, **options):
    count = len(synthetic[0])
    films = [space(films) for films in synthetic]
    return memorisation_of(against, films, patients=patients[:count], num_resamples=200, **options)


def noised(films, seed=0):
    rng = np.random.default_rng(seed)
    return np.clip(films + rng.normal(0, 10, films.shape), 0, 255).astype(np.uint8)


COPIES = {
    "exact": TRAIN.images[:100],
    "noised": noised(TRAIN.images[:100]),
    "shifted": np.roll(TRAIN.images[:100], (1, -1), axis=(1, 2)),
    "brighter": (TRAIN.images[:100] * 0.9 + 8).astype(np.uint8),
}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_flagged_and_named(kind):
    found = measured(COPIES[kind])
    assert found.is_flagged
    assert found.near_copies.low > 0.5 > 10 * found.expected
    assert found.nearer_relative.low > 0.9
    right = [copy.synthetic == copy.training for copy in found.copies]
    assert np.mean(right) > 0.98
    assert [copy.relative for copy in found.copies] == sorted(copy.relative for copy in found.copies)
    assert all(copy.relative < found.threshold for copy in found.copies)


def test_exact_copies_are_at_no_distance():
    found = measured(COPIES["exact"], COPIES["exact"][::-1], patients=TRAIN.patients)
    assert found.near_copies.value == 1
    assert found.nearer.value == found.nearer_relative.value == 1
    assert found.median_ratio == 0
    assert found.seeds == (1, 1)
    assert {copy.distance for copy in found.copies} == {0}
    assert len(found.copies) == 200
    assert {copy.seed for copy in found.copies} == {0, 1}


def test_a_few_copies_among_good_films_are_found():
    films = drawn_films(150, 7, first_patient=2000)
    mixed = films.images.copy()
    mixed[10:22] = noised(TRAIN.images[40:52])
    names = [f"film {row}" for row in range(150)]
    against = known(training_names=[f"t{row}" for row in range(300)])
    found = measured(mixed, patients=films.patients, names=names, against=against)
    assert found.is_flagged
    # The whole distribution hardly moves: one in twelve films is a copy.
    assert found.nearer_relative.value < 0.6
    named = {(copy.synthetic, copy.training) for copy in found.copies}
    assert {(f"film {10 + n}", f"t{40 + n}") for n in range(12)} <= named
    assert len(named) <= 12 + 4


def test_films_of_the_same_distribution_are_flagged_at_most_at_the_nominal_rate():
    flags, areas = [], []
    for seed in range(20):
        train, test, other = (drawn_films(n, 100 * seed + n, first_patient=1000 * n) for n in (150, 100, 101))
        against = known_films(space(train.images), space(test.images), test_patients=test.patients, space="pixels")
        found = memorisation_of(against, [space(other.images)], patients=other.patients, num_resamples=2)
        flags.append(found.is_flagged)
        areas.append(found.nearer_relative.value)
    # 2.5 % of 20 are half a film set.
    assert sum(flags) <= 1
    assert np.mean(areas) == pytest.approx(0.5, abs=0.03)


def test_films_without_detail_are_near_and_no_copies():
    # Blurred films lie in the middle of all others, as near to a dozen training films as to one.
    blurred = floor_films(TEST, "blurred").images
    flat = np.full_like(TEST.images, int(TRAIN.images.mean()))
    for films in (blurred, flat):
        found = measured(films, patients=TEST.patients)
        assert found.nearer.value > 0.6
        assert not found.is_flagged


def test_another_film_of_a_training_text_is_no_copy():
    # It has a training film of its very text, to which it is nearer than a test film would be.
    found = measured(redrawn(TRAIN.texts, 5), redrawn(TRAIN.texts, 6))
    assert 0.45 < found.nearer_relative.value < 0.65
    assert len(found.seeds) == 2
    assert np.mean(found.seeds) == pytest.approx(found.nearer_relative.value)
    assert found.near_copies.num_groups == len(set(TRAIN.patients))
    assert found.near_copies.num_items == 600


@pytest.mark.parametrize(("num_test", "num_synthetic"), [(20, 60), (99, 100), (250, 80), (400, 400)])
def test_the_limit_is_exceeded_as_often_as_promised(num_test, num_synthetic):
    rng = np.random.default_rng(num_test)
    rank = max(1, (num_test + 1) // 100)
    # Any continuous distribution will do: only ranks matter.
    thresholds = np.sort(rng.random((4000, num_test)), axis=1)[:, rank - 1]
    shares = (rng.random((4000, num_synthetic)) < thresholds[:, None]).mean(axis=1)
    limit = chance_limit(num_test, num_synthetic)
    assert (shares > limit).mean() < 0.025 + 3 * np.sqrt(0.025 / 4000)
    # And the limit is no higher than it must be.
    assert (shares > limit - 1.5 / num_synthetic).mean() > 0.02
    assert shares.mean() == pytest.approx(rank / (num_test + 1), rel=0.1)


def test_the_limit_equals_ranks_counted_by_hand():
    for num_test, num_synthetic in [(1, 10), (3, 12), (5, 40), (12, 30), (60, 7)]:
        # c synthetic films are the c smallest of all: m / (n + m) · (m − 1) / (n + m − 1) …
        chances = [1.0]
        for count in range(num_synthetic):
            chances.append(chances[-1] * (num_synthetic - count) / (num_test + num_synthetic - count))
        # The fewest near copies that more than which come up in at most 2.5 %.
        expected = next(count for count in range(num_synthetic + 1) if [*chances, 0][count + 1] <= 0.025)
        assert chance_limit(num_test, num_synthetic) == expected / num_synthetic


def test_one_near_film_is_listed_and_is_no_verdict():
    films = drawn_films(150, 7, first_patient=2000)
    films.images[20] = TRAIN.images[40]
    found = measured(films.images, patients=films.patients)
    assert ("20", "40") in {(copy.synthetic, copy.training) for copy in found.copies}
    assert 0 < found.near_copies.value <= found.limit
    assert not found.is_flagged


def test_many_films_of_few_patients_do_not_lower_the_limit():
    few = [f"p{row % 5}" for row in range(200)]
    films = drawn_films(200, 9)
    strict = measured(films.images, patients=[f"q{row}" for row in range(200)])
    lenient = measured(films.images, patients=few)
    assert lenient.limit > 2 * strict.limit
    assert lenient.limit == chance_limit(len(set(TEST.patients)), 5)


def test_patients_with_many_films_alike_are_flagged_no_more_often():
    # Every patient has four copies of one film: by film there would be four times the evidence.
    rng, flags = np.random.default_rng(5), 0
    for trial in range(40):
        films = [rng.normal(size=(number, 6)) for number in (80, 60, 90)]
        train, test, other = films[0], *(np.repeat(one, 4, axis=0) for one in films[1:])
        owners = [np.repeat([f"{name}{row}" for row in range(number)], 4) for name, number in (("t", 60), ("s", 90))]
        against = known_films(train, test, test_patients=owners[0].tolist(), space="numbers")
        found = memorisation_of(against, [other], patients=owners[1].tolist(), num_resamples=1, seed=trial)
        flags += found.is_flagged
        assert found.limit == chance_limit(60, 90)
        assert found.expected == pytest.approx(1 / 61)
    assert flags <= 4  # 2.5 % of 40 are one


def test_real_test_films_that_are_training_films_are_a_leak():
    leaking = drawn_films(200, 2, first_patient=1000)
    leaking.images[3] = TRAIN.images[8]
    with pytest.raises(ValueError, match="1 of 200 real test films are doubles of training films"):
        known(leaking)


def test_films_without_names_or_patients_are_refused():
    with pytest.raises(ValueError, match="at least one generation seed, got none"):
        memorisation_of(KNOWN, [], patients=[])
    with pytest.raises(ValueError, match=r"one film per text.*lengths \[60, 100\]"):
        measured(COPIES["exact"], COPIES["exact"][:60])
    with pytest.raises(ValueError, match="1 names"):
        measured(COPIES["exact"], names=["only"])
    with pytest.raises(ValueError, match="300 names of training films, got 200 and 1"):
        known(training_names=["only"])


def test_fewer_test_films_are_those_of_the_rows():
    rows = np.arange(200) % 3 == 0
    found = measured(COPIES["noised"], against=KNOWN.take(rows))
    test = drawn_films(200, 2, first_patient=1000)
    whole = known_films(
        space(TRAIN.images),
        space(test.images[rows]),
        test_patients=np.asarray(test.patients)[rows].tolist(),
        space="pixels",
    )
    assert measured(COPIES["noised"], against=whole) == found
    assert found.expected == 1 / 68


def test_the_result_can_be_written_as_json():
    found = json.loads(json.dumps(measured(COPIES["exact"]).to_dict(), allow_nan=False))
    assert found["is_flagged"] is True
    assert found["copies"][0]["distance"] == 0
    assert found["near_copies"]["value"] == 1
