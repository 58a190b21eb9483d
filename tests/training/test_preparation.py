"""A folder of PNGs becomes arrays; what a later evaluation needs to know is written down."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from PIL import Image

from pedclip.anatomy import REGIONS
from pedclip.data.folder import FolderReading
from pedclip.training.config import RunConfig
from pedclip.training.preparation import load_triplets_of, prepare
from pedclip.training.resume import claim_run
from pedclip.triplets.arrays import qualified_patients
from pedclip.triplets.pseudonyms import pseudonym, read_salt
from pedclip.triplets.seen_patients import patient_key
from pedclip.triplets.transforms import square
from tests.training.data_source import write_source
from tests.training.tiny import tiny_config

SPLITS = ["train", "train", "train", "dev", "dev", "test"]
PATIENTS = ["p0", "p1", "p2", "p3", "p4", "p5"]


def config_of(data: Path, **model: object) -> RunConfig:
    return dataclasses.replace(tiny_config(model), data=str(data))


def test_arrays_hold_the_films_of_their_split(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", PATIENTS, splits=SPLITS, films=2)
    prepared = prepare(config_of(source), tmp_path / "run")
    assert prepared.train.patients == ["source/p0", "source/p0", "source/p1", "source/p1", "source/p2", "source/p2"]
    assert [REGIONS[region] for region in prepared.train.regions[:3]] == ["hand", "chest", "chest"]
    assert prepared.validation.texts[:2] == ["Film 3 of the hand.", "Film 3 of the chest."]
    assert {split: len(triplets) for split, triplets in prepared.triplets.items()} == {
        "train": 6,
        "validation": 4,
        "test": 2,
    }
    assert prepared.train.images.shape == (6, 18, 18)
    expected = square(np.asarray(Image.open(source / "1_1.png")), 18)
    assert np.array_equal(prepared.train.images[3], expected)


def test_keys_tell_whose_films_were_used_and_no_identifier(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", PATIENTS, splits=SPLITS)
    prepared = prepare(config_of(source), tmp_path / "run")
    claim_run(tmp_path / "run", config_of(source), prepared.train, prepared.validation, resume=False)
    text = (tmp_path / "run" / "patients.json").read_text()
    content, salt = json.loads(text), read_salt(tmp_path / "run.salt")
    assert content["train"] == sorted(pseudonym(f"source/{patient}", salt) for patient in PATIENTS[:3])
    assert content["validation"] == sorted(pseudonym(f"source/{patient}", salt) for patient in PATIENTS[3:5])
    films = [hashlib.sha256((source / f"{number}_0.png").read_bytes()).hexdigest() for number in range(3)]
    assert content["train_films"] == sorted(pseudonym(film, salt) for film in films)
    assert "source/" not in text
    assert salt.hex() not in text
    # Whoever has the file and not the key can try all identifiers and finds none.
    guesses = {patient_key(f"source/{patient}") for patient in PATIENTS}
    assert not guesses & {*content["train"], *content["validation"]}


def test_a_key_is_the_promised_digest() -> None:
    # printf 'pedclip-training:a/1' | sha256sum
    assert patient_key("a/1") == "83f54ac4301babb5"


def test_only_regions_with_an_expert_are_kept(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", PATIENTS, splits=SPLITS, films=3)
    prepared = prepare(config_of(source, regions=("knee", "hand")), tmp_path / "run")
    assert sorted(REGIONS[region] for region in prepared.train.regions) == ["hand"] * 3 + ["knee"] * 3
    assert {REGIONS[region] for region in prepared.triplets["test"]["region"]} == {"hand", "knee"}


def test_what_cannot_be_used_is_listed(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", PATIENTS, splits=SPLITS)
    (source / "1_0.png").write_bytes(b"no image")
    prepared = prepare(config_of(source), tmp_path / "run")
    assert prepared.train.patients == ["source/p0", "source/p2"]
    head, line = (tmp_path / "run" / "left_out.csv").read_text().splitlines()
    assert head == "source,file,row,reason,detail"
    assert line.startswith("source,1_0.png,3,bad-image,")


def test_misspelt_weights_are_refused_before_any_film_is_read(tmp_path: Path) -> None:
    config = tiny_config({}, image_weights="instaled")
    with pytest.raises(FileNotFoundError, match="did you mean 'installed'"):
        prepare(dataclasses.replace(config, data=str(tmp_path / "absent")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_image_encoder_of_another_architecture_is_refused_before_any_film_is_read(tmp_path: Path) -> None:
    config = tiny_config({}, image_weights="pedclip-phantom-small")
    with pytest.raises(ValueError, match="it has image_size=112, not 16"):
        prepare(dataclasses.replace(config, data=str(tmp_path / "absent")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_validation_split_may_be_empty(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", PATIENTS, splits=["train"] * 6)
    prepared = prepare(config_of(source), tmp_path / "run")
    assert prepared.validation.images.shape == (0, 18, 18)
    assert len(prepared.validation) == 0


def test_no_film_for_training_names_the_list(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", PATIENTS, splits=SPLITS)
    with pytest.raises(ValueError, match=r"leaves no image in the training split; see .*left_out\.csv"):
        prepare(config_of(source, regions=("skull",)), tmp_path / "run")


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ("phantom", {"studies": 5, "seed": 7, "size": 40}),
        ("archive, phantom", {"studies": 5, "seed": 7, "size": 40}),
        ("archive", {}),  # files are what they are
    ],
)
def test_drawn_films_alone_are_sized_and_seeded_by_the_run(
    data: str, options: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def read(*names: str, **given: object) -> FolderReading:
        asked.append((names, given))
        return FolderReading(
            DatasetDict({split: Dataset.from_dict({"region": []}) for split in ("train", "validation", "test")}),
            [],
            ["a note"],
        )

    monkeypatch.setattr("pedclip.data.loading.read_source", read)
    config = dataclasses.replace(tiny_config(seed=7), data=data, studies=5, phantom_size=40)
    _, notes = load_triplets_of(config, split="test")
    assert asked == [((data,), {"left_out": None, "split": "test", "patients": "column"} | options)]
    assert notes == ("a note", "triplets: train 0, validation 0, test 0; 0 rows left out")


@pytest.mark.parametrize("patient", ["7", "a+b/7", "x/7"])
def test_a_patient_has_one_name_alone_and_in_a_union(patient: str) -> None:
    source = "a+b"
    alone = Dataset.from_dict({"source": [source], "patient_id": [patient]})
    union = Dataset.from_dict({"source": [source], "patient_id": [f"{source}/{patient}"]})
    assert qualified_patients(alone) == qualified_patients(union) == [f"{source}/{patient.removeprefix('a+b/')}"]
