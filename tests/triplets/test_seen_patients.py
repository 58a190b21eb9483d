"""Whom a run has seen is known by content, under any folder's name, and only with the key."""

import json
import re
import shutil
from pathlib import Path

import pytest

from pedclip.data import load
from pedclip.triplets.arrays import to_arrays
from pedclip.triplets.seen_patients import drop_seen_patients, patient_key, write_seen_patients
from tests.training.data_source import write_source

PATIENTS = [f"{number:07}" for number in range(1, 13)]
SPLITS = ["train"] * 8 + ["dev"] * 4


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run on twelve patients of the folder "ward"."""
    triplets = load(str(write_source(tmp_path / "ward", PATIENTS, splits=SPLITS, films=2)))
    arrays = {
        split: to_arrays(triplets[split], tmp_path / "cache" / split, size=18, with_digests=True)
        for split in ("train", "validation")
    }
    (tmp_path / "run").mkdir()
    write_seen_patients(tmp_path / "run", **arrays)
    return tmp_path / "run"


def held_out(folder: Path, patients: list[str]) -> Path:
    """The same films with a table that declares them all test."""
    lines = (folder / "metadata.csv").read_text().splitlines()
    kept = [line.rpartition(",")[0] + ",test" for line in lines[1:] if line.split(",")[1] in patients]
    (folder / "metadata.csv").write_text("\n".join([lines[0], *kept]))
    return folder


def test_a_copy_under_another_name_is_known_by_its_films(run: Path) -> None:
    copy = held_out(shutil.copytree(run.parent / "ward", run.parent / "renamed"), PATIENTS)
    triplets = load(str(copy), split="given")["test"]
    assert len(triplets) == 24
    for split, dropped in {"test": 24, "validation": 16}.items():
        rest, num_dropped = drop_seen_patients(triplets, run / "patients.json", split=split)
        assert (num_dropped, len(rest)) == (dropped, 24 - dropped)


def test_one_known_film_makes_a_patient_known_and_nobody_else(run: Path) -> None:
    other = write_source(run.parent / "other", ["a", "b"], splits=["test"] * 2, films=2)
    shutil.copy(run.parent / "ward" / "3_1.png", other / "0_0.png")
    rest, num_dropped = drop_seen_patients(load(str(other), split="given")["test"], run / "patients.json", split="test")
    assert num_dropped == 2
    assert set(rest["patient_id"]) == {"b"}


def test_equal_identifiers_of_other_films_are_other_patients(run: Path) -> None:
    other = write_source(run.parent / "other", PATIENTS, splits=["test"] * 12)
    rest, _ = drop_seen_patients(load(str(other), split="given")["test"], run / "patients.json", split="test")
    assert len(rest) == 12


def test_further_films_of_a_known_patient_are_dropped(run: Path) -> None:
    shutil.rmtree(run.parent / "ward")
    later = write_source(run.parent / "ward", [*PATIENTS[:1], "new"], splits=["test"] * 2, films=3)
    for path in later.glob("*.png"):
        path.write_bytes(path.read_bytes() + b"\0")  # other files of the same patients
    rest, _ = drop_seen_patients(load(str(later), split="given")["test"], run / "patients.json", split="test")
    assert set(rest["patient_id"]) == {"new"}


def test_the_file_gives_no_identifier_to_who_tries_them_all(run: Path) -> None:
    content = json.loads((run / "patients.json").read_text())
    keys = {*content["train"], *content["validation"]}
    assert len(keys) == 12
    assert not keys & {patient_key(f"ward/{patient}") for patient in PATIENTS}
    assert not (run / "run.salt").exists()  # beside the folder, not in it
    assert (run.parent / "run.salt").stat().st_mode & 0o077 == 0


def test_without_the_right_key_nobody_would_be_recognised(run: Path) -> None:
    triplets = load(str(run.parent / "ward"))["train"]
    salt = run.parent / "run.salt"
    salt.write_text("0" * 64)
    with pytest.raises(ValueError, match=r"run\.salt is not the key of .*patients\.json"):
        drop_seen_patients(triplets, run / "patients.json", split="test")
    salt.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(f"{salt} is missing: it is the key of")):
        drop_seen_patients(triplets, run / "patients.json", split="test")


def test_a_file_of_an_older_run_is_read(run: Path) -> None:
    old = {"train": [patient_key(f"ward/{patient}") for patient in PATIENTS[:3]], "validation": []}
    (run / "patients.json").write_text(json.dumps(old))
    triplets = load(str(run.parent / "ward"))["train"]
    rest, num_dropped = drop_seen_patients(triplets, run / "patients.json", split="test")
    assert (num_dropped, set(rest["patient_id"])) == (6, set(PATIENTS[3:8]))


@pytest.mark.parametrize(
    "content",
    ["{", "", "[]", "null", "{}", '{"train": [], "validation": []}', '{"train": ["a"]}',
     '{"train": "a", "validation": []}', '{"train": [1], "validation": []}', '{"train": ["a"], "validation": null}',
     '{"train": [], "validation": ["a"]}'],
)  # fmt: skip
def test_a_file_that_would_switch_the_guard_off_is_refused(run: Path, content: str) -> None:
    triplets = load(str(run.parent / "ward"))["train"]
    (run / "patients.json").write_text(content)
    with pytest.raises(ValueError, match=r"patients\.json"):
        drop_seen_patients(triplets, run / "patients.json", split="test")
