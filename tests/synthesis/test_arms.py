"""Arms of an experiment: the same patients, real evaluation films, and films that are never of the same text."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from datasets import DatasetDict
from hypothesis import given, settings
from hypothesis import strategies as st

from pedclip.synthesis import common_reports, mixed, replaced, same_reports, shuffled, synthetic_copy
from pedclip.synthesis.arms import derangement
from pedclip.triplets.arrays import film_digests, qualified_patients
from pedclip.triplets.schema import FEATURES
from pedclip.triplets.storage import load_triplets, make_split, save_triplets
from tests.synthesis.generators import NoiseGenerator
from tests.synthesis.test_copying import triplets
from tests.triplets.triplet_rows import triplet


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> DatasetDict:
    folder = tmp_path_factory.mktemp("copy") / "copy"
    return load_triplets(synthetic_copy(triplets(), NoiseGenerator(), folder).folder)


def test_drawn_films_train_and_real_ones_evaluate(synthetic: DatasetDict) -> None:
    real = triplets()
    arm = replaced(real, synthetic)
    assert film_digests(arm["train"]) == film_digests(synthetic["train"])
    for split in ("validation", "test"):
        assert film_digests(arm[split]) == film_digests(real[split])


def test_both_have_the_same_patients_and_identifiers_of_their_own(synthetic: DatasetDict, tmp_path: Path) -> None:
    real = triplets()
    arm = load_triplets(save_triplets(mixed(real, synthetic), tmp_path / "mixed"))
    assert arm["train"].features == FEATURES
    assert film_digests(arm["train"]) == film_digests(real["train"]) + film_digests(synthetic["train"])
    assert len(set(arm["train"]["image_id"])) == 10
    assert arm["train"]["image_id"][5] == "synthetic/i0"
    # Two films of one patient are no two patients.
    assert len(set(qualified_patients(arm["train"]))) == 5
    assert film_digests(arm["test"]) == film_digests(real["test"])


def test_the_real_arm_has_the_reports_of_the_drawn_films(synthetic: DatasetDict) -> None:
    some = DatasetDict({**synthetic, "train": synthetic["train"].select([3, 0])})
    arm = same_reports(triplets(), some)
    assert arm["train"]["image_id"][:] == ["i3", "i0"]
    assert film_digests(arm["train"]) == [film_digests(triplets()["train"])[row] for row in (3, 0)]


@pytest.mark.parametrize("arm", [replaced, mixed, same_reports])
def test_a_copy_of_test_films_or_of_other_data_is_refused(arm: object, tmp_path: Path, synthetic: DatasetDict) -> None:
    real = triplets()
    of_test = load_triplets(synthetic_copy(real, NoiseGenerator(), tmp_path / "test", splits=("test",)).folder)
    leaking = DatasetDict({**of_test, "train": of_test["test"]})
    with pytest.raises(ValueError, match="2 of 2 drawn films are of reports that are not in the training split"):
        arm(real, leaking)  # type: ignore[operator]
    with pytest.raises(ValueError, match="5 of 5 films of the copy are real"):
        arm(real, real)  # type: ignore[operator]
    with pytest.raises(ValueError, match="5 of 5 drawn films are of reports"):
        arm(triplets(source="other"), synthetic)  # type: ignore[operator]


def test_common_reports_are_those_of_all_copies_in_one_order(synthetic: DatasetDict) -> None:
    other = DatasetDict({**synthetic, "train": synthetic["train"].select([4, 2, 0])})
    found = common_reports({"one": synthetic, "other": other})
    assert [found[name]["train"]["image_id"][:] for name in ("one", "other")] == [["i0", "i2", "i4"]] * 2
    assert film_digests(found["other"]["train"]) == [film_digests(synthetic["train"])[row] for row in (0, 2, 4)]
    assert common_reports({}) == {}


def test_shuffled_films_are_of_other_reports_and_all_there(synthetic: DatasetDict) -> None:
    arm = replaced(triplets(), synthetic)
    control = shuffled(arm, seed=0)
    before, after = film_digests(arm["train"]), film_digests(control["train"])
    assert sorted(after) == sorted(before)
    assert all(one != other for one, other in zip(before, after, strict=True))
    for name in FEATURES:
        if name not in ("image", "view", "boxes", "mask", "structures", "bone_age_months"):
            assert control["train"][name][:] == arm["train"][name][:], name
    for split in ("validation", "test"):
        assert film_digests(control[split]) == film_digests(arm[split])
    assert film_digests(shuffled(arm, seed=0)["train"]) == after
    assert len({tuple(film_digests(shuffled(arm, seed=seed)["train"])) for seed in range(8)}) > 4


def test_what_is_measured_on_a_film_goes_with_it() -> None:
    real = triplets()
    views = ["AP", "PA", "lateral", "oblique", ""]
    real["train"] = make_split([triplet(n, view=views[n], bone_age_months=float(n), text=f"T{n}.") for n in range(5)])
    control = shuffled(real, seed=1)
    digests = film_digests(real["train"])
    for row, digest in enumerate(film_digests(control["train"])):
        film = digests.index(digest)
        assert film != row
        assert (control["train"][row]["view"], control["train"][row]["bone_age_months"]) == (views[film], float(film))
        assert control["train"][row]["text"] == f"T{row}."


def test_films_can_stay_in_their_region() -> None:
    real = triplets()
    regions = [3, 7, 3, 7, 7, 3, 3, 7]
    real["train"] = make_split([triplet(n, region=region) for n, region in enumerate(regions)])
    control = shuffled(real, seed=0, within="region")
    digests = film_digests(real["train"])
    partners = [digests.index(one) for one in film_digests(control["train"])]
    assert [regions[one] for one in partners] == regions
    assert all(one != row for row, one in enumerate(partners))
    real["train"] = make_split([triplet(n, region=region) for n, region in enumerate([3, 3, 22])])
    with pytest.raises(ValueError, match="one text has 1 of the 1 films of lumbar_spine"):
        shuffled(real, seed=0, within="region")


def test_what_cannot_be_shuffled_is_refused() -> None:
    real = triplets()
    real["train"] = make_split([triplet(n, text=("Normal.  ", "Normal.\n", "Fracture.")[n % 3]) for n in range(6)])
    # Equal up to white space is equal.
    with pytest.raises(ValueError, match="one text has 4 of the 6 films"):
        shuffled(real, seed=0)
    with pytest.raises(ValueError, match="within='study' is not allowed"):
        shuffled(real, seed=0, within="study")  # type: ignore[arg-type]


@settings(max_examples=60)
@given(st.lists(st.integers(0, 4).map(str), max_size=24), st.integers(0, 5))
def test_a_derangement_exists_exactly_where_no_text_has_more_than_half(texts: list[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    most = max(Counter(texts).values(), default=0)
    if 2 * most > len(texts):
        with pytest.raises(ValueError, match=f"one text has {most} of the {len(texts)} films"):
            derangement(texts, rng)
        return
    partner = derangement(texts, rng)
    assert sorted(partner) == list(range(len(texts)))
    assert all(texts[partner[row]] != text for row, text in enumerate(texts))


def test_every_derangement_occurs_and_every_partner_is_about_equally_likely() -> None:
    rng = np.random.default_rng(0)
    found = [tuple(derangement(list("abcd"), rng).tolist()) for _ in range(900)]
    # Four different texts have nine: six rings, which the first step gives, and three double exchanges.
    assert len(set(found)) == 9
    assert min(Counter(found).values()) > 40
    partners = Counter(one[0] for one in found)
    # 300 each, with a standard deviation of 14.
    assert set(partners) == {1, 2, 3}
    assert all(abs(count - 300) < 70 for count in partners.values())
