"""What probes start from: three parts, and nobody of pre-training in the test part."""

import json
from pathlib import Path

import pytest

from pedclip.data.cards import FolderDiffers
from pedclip.evaluation.inputs import open_probe_inputs
from pedclip.triplets.seen_patients import patient_key
from pedclip.weights import SHIPPED, shipped_folder
from tests.data.cards.layouts import FILMS, LAYOUTS
from tests.training.data_source import write_source

SHIPPED_FOLDER = shipped_folder(SHIPPED[0])
PATIENTS = [f"p{number}" for number in range(12)]
SPLITS = ["train"] * 4 + ["val"] * 4 + ["test"] * 4


def copy_of_shipped(folder: Path, seen: dict[str, list[str]]) -> Path:
    """The weights of the package as if other patients had been in their training."""
    folder.mkdir()
    for path in SHIPPED_FOLDER.iterdir():
        (folder / path.name).symlink_to(path) if path.name != "patients.json" else None
    (folder / "patients.json").write_text(json.dumps(seen))
    return folder


def test_a_folder_gives_three_parts_and_pictures_of_the_size_of_the_model(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hands", PATIENTS, splits=SPLITS)
    inputs = open_probe_inputs(SHIPPED_FOLDER, data=str(source), root="", studies=0, run=tmp_path / "run")
    assert {split: len(films) for split, films in inputs.films.items()} == {"train": 4, "validation": 4, "test": 4}
    assert inputs.films["test"].images.shape[1:] == (inputs.model.preprocess.resize,) * 2
    assert inputs.num_dropped == {"train": 0, "validation": 0, "test": 0}
    assert set(inputs.patients["test"]) == {f"hands/{patient}" for patient in PATIENTS[8:]}


def test_patients_of_pre_training_leave_test_and_validation_but_not_training(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hands", PATIENTS, splits=SPLITS)
    seen = {"train": ["p0", "p4", "p8"], "validation": ["p5", "p9"]}
    hashed = {split: [patient_key(f"hands/{patient}") for patient in names] for split, names in seen.items()}
    checkpoint = copy_of_shipped(tmp_path / "weights", hashed)
    inputs = open_probe_inputs(checkpoint, data=str(source), root="", studies=0, run=tmp_path / "run")
    assert inputs.num_dropped == {"train": 0, "validation": 1, "test": 2}
    assert set(inputs.patients["validation"]) == {"hands/p5", "hands/p6", "hands/p7"}
    assert set(inputs.patients["test"]) == {"hands/p10", "hands/p11"}


def test_patients_of_a_compared_model_leave_test_and_validation_too(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hands", PATIENTS, splits=SPLITS)
    other = copy_of_shipped(tmp_path / "weights", {"train": [patient_key("hands/p8")], "validation": []})
    where = {"data": str(source), "root": "", "studies": 0, "run": tmp_path / "run"}
    inputs = open_probe_inputs(SHIPPED_FOLDER, **where, also=[other])
    assert inputs.num_dropped == {"train": 0, "validation": 0, "test": 1}
    assert set(inputs.patients["test"]) == {"hands/p9", "hands/p10", "hands/p11"}


def test_a_part_without_a_film_is_named(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hands", PATIENTS[:8], splits=SPLITS[:8])
    with pytest.raises(ValueError, match="the data leave no film in test"):
        open_probe_inputs(SHIPPED_FOLDER, data=str(source), root="", studies=0, run=tmp_path / "run")


def test_a_data_card_is_opened_by_name_and_folder(tmp_path: Path) -> None:
    root = tmp_path / "graz"
    root.mkdir()
    LAYOUTS["grazpedwri-dx"](root, FILMS)
    inputs = open_probe_inputs(SHIPPED_FOLDER, data="grazpedwri-dx", root=str(root), studies=0, run=tmp_path / "run")
    assert set(inputs.triplets["test"]["source"]) == {"grazpedwri-dx"}
    with pytest.raises(FolderDiffers):
        open_probe_inputs(SHIPPED_FOLDER, data="mura", root=str(root), studies=0, run=tmp_path / "run")
