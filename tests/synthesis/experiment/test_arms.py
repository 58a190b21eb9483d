"""Arms read the same reports for the same number of steps, and differ in their films alone."""

from pathlib import Path

import numpy as np
import pytest
from datasets import DatasetDict

from pedclip.synthesis import SyntheticCopy, synthetic_copy
from pedclip.synthesis.experiment import ARMS, film_sets, impossible_arms
from pedclip.triplets.arrays import TripletArrays
from tests.synthesis.generators import NoiseGenerator
from tests.synthesis.test_copying import triplets

SIZE = 24


class Blank(NoiseGenerator):
    """Noise of another version, but one text gets a black film."""

    def generate(self, texts, *, seeds):
        films = super().generate(texts, seeds=seeds)
        films[[text == "Film 3." for text in texts]] = 0
        return films


@pytest.fixture(scope="module")
def real() -> DatasetDict:
    found = triplets()
    texts = [f"Film {row}." for row in range(5)]
    # Of one region, in which films can be exchanged.
    columns = {"text": texts, "region": [0] * len(texts)}
    train = found["train"].remove_columns(list(columns))
    for name, values in columns.items():
        train = train.add_column(name, values, feature=found["train"].features[name])
    return DatasetDict({**found, "train": train.select_columns(found["train"].column_names)})


@pytest.fixture(scope="module")
def copies(real: DatasetDict, tmp_path_factory: pytest.TempPathFactory) -> dict[str, SyntheticCopy]:
    folder = tmp_path_factory.mktemp("copies")
    generators = {"domain": NoiseGenerator(), "generic": Blank(version=2), "perfect": NoiseGenerator(version=3)}
    return {name: synthetic_copy(real, one, folder / name) for name, one in generators.items()}


@pytest.fixture(scope="module")
def sets(real, copies, tmp_path_factory: pytest.TempPathFactory) -> dict[str, TripletArrays]:
    return film_sets(real, copies, list(ARMS.values()), folder=tmp_path_factory.mktemp("sets"), size=SIZE)


def test_every_arm_sees_as_many_pairs(sets: dict[str, TripletArrays]) -> None:
    pairs = {arm.name: sum(stage.fraction * len(sets[stage.films]) for stage in arm.stages) for arm in ARMS.values()}
    assert set(pairs.values()) == {4.0}


def test_all_sets_are_of_the_same_reports(sets: dict[str, TripletArrays]) -> None:
    # The generic copy has no film of the fourth report, so no arm has.
    texts = ["Film 0.", "Film 1.", "Film 2.", "Film 4."]
    for name, films in sets.items():
        assert list(films.texts) == texts * (2 if name == "mixed" else 1), name
        assert films.images.shape[1:] == (SIZE, SIZE)
        # The patient of a drawn film is the one whose report it was drawn for.
        assert list(films.patients) == list(sets["real"].patients) * (2 if name == "mixed" else 1)


def test_films_are_those_of_the_name(sets: dict[str, TripletArrays]) -> None:
    real, domain = sets["real"].images, sets["domain"].images
    assert np.array_equal(sets["mixed"].images, np.concatenate([real, domain]))
    for name in ("generic", "domain", "perfect"):
        others = [one for one in ("real", "generic", "domain", "perfect") if one != name]
        assert not any(np.array_equal(sets[name].images, sets[one].images) for one in others)
    # The films of both shuffled arms are all of the domain arm's, each in another place.
    for name in ("shuffled", "in-region"):
        moved = sets[name].images
        assert sorted(map(bytes, moved)) == sorted(map(bytes, domain))
        assert not any(np.array_equal(one, other) for one, other in zip(moved, domain, strict=True))


def test_an_arm_that_these_reports_cannot_have_is_named(
    real: DatasetDict, copies: dict[str, SyntheticCopy], tmp_path: Path
) -> None:
    alone = DatasetDict({**real, "train": real["train"].select(range(1))})
    one = {"domain": synthetic_copy(alone, NoiseGenerator(), tmp_path / "copy")}
    with pytest.raises(ValueError, match="there can be no arm in-region: one text has 1 of the 1 films of chest"):
        film_sets(alone, one, [ARMS["in-region"]], folder=tmp_path, size=SIZE)
    reasons = impossible_arms(alone, one, list(ARMS.values()))
    # The others need no exchange, so nothing stands against them.
    assert list(reasons) == ["shuffled", "in-region"]
    assert reasons["in-region"].startswith("there can be no arm in-region: one text has 1 of the 1 films of chest")


def test_arms_that_these_reports_can_have_are_not_left_out(real: DatasetDict, copies: dict[str, SyntheticCopy]) -> None:
    assert impossible_arms(real, copies, list(ARMS.values())) == {}


def test_coarse_films_keep_what_the_drawn_size_holds(sets: dict[str, TripletArrays]) -> None:
    real, coarse = sets["real"].images.astype(float), sets["coarse"].images.astype(float)
    assert not np.array_equal(real, coarse)
    # Means over large squares stay; what changes from pixel to pixel is lost.
    blocks = [films.reshape(len(films), 3, 8, 3, 8).mean(axis=(2, 4)) for films in (real, coarse)]
    assert np.abs(blocks[0] - blocks[1]).max() < 6
    assert np.diff(coarse, axis=2).std() < np.diff(real, axis=2).std()


def test_a_missing_copy_is_named(real: DatasetDict, copies: dict[str, SyntheticCopy], tmp_path: Path) -> None:
    some = {"generic": copies["generic"]}
    with pytest.raises(ValueError, match="the arms need films of domain, of which there is no copy"):
        film_sets(real, some, [ARMS["then-real"]], folder=tmp_path, size=SIZE)
    alone = film_sets(real, {}, [ARMS["real"]], folder=tmp_path, size=SIZE)
    assert len(alone["real"]) == 5


def test_generators_that_an_arm_needs() -> None:
    needed = {name: sorted(arm.generators) for name, arm in ARMS.items()}
    assert needed == {
        "real": [],
        "coarse": ["domain"],
        "generic": ["generic"],
        "domain": ["domain"],
        "perfect": ["perfect"],
        "mixed": ["domain"],
        "then-real": ["domain"],
        "shuffled": ["domain"],
        "in-region": ["domain"],
    }
