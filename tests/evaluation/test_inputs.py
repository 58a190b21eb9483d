"""Nobody whom the model was trained on is evaluated, however the folders are named and split."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest
from datasets import Dataset

from pedclip.artefacts import write_json
from pedclip.evaluation.inputs import open_inputs
from pedclip.training.config import load_config
from pedclip.training.loop import build_model
from pedclip.training.preparation import load_triplets_of, prepare
from pedclip.training.profiles import load_profile
from pedclip.training.resume import claim_run
from pedclip.triplets.seen_patients import drop_seen_patients, patient_key, salt_file
from pedclip.triplets.splits import split_of
from pedclip.weights import SHIPPED, shipped_folder
from tests.training.data_source import write_source
from tests.training.tiny import tiny_config

PATIENTS = [f"p{number}" for number in range(30)]
UNSEEN = {patient for patient in PATIENTS if split_of(patient) == "test"}


def names(folder: Path, *sources: str) -> str:
    return ",".join(str(folder / source) for source in sources)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources without a split column ("plain"), and the same films declared holdout ("held")."""
    folder = tmp_path_factory.mktemp("sources")
    for source in ("hands", "legs"):
        write_source(folder / "plain" / source, PATIENTS, films=2)
        write_source(folder / "held" / source, PATIENTS, splits=["holdout"] * len(PATIENTS), films=2)
    return folder


@pytest.fixture(scope="module")
def checkpoints(folders: Path) -> dict[str, Path]:
    """Models trained on one source and on the union of both; they need no training to be opened."""
    found = {}
    for name, sources in {"alone": ["hands"], "union": ["hands", "legs"]}.items():
        config = dataclasses.replace(tiny_config(), data=names(folders / "plain", *sources))
        run = folders / name
        prepared = prepare(config, run)
        claim_run(run, config, prepared.train, prepared.validation, resume=False)
        found[name] = build_model(config, prepared.train).save_pretrained(run / "checkpoint")
    return found


@pytest.mark.parametrize("trained", ["alone", "union"])
@pytest.mark.parametrize("sources", [("hands",), ("hands", "legs")])
def test_a_holdout_of_trained_patients_keeps_only_the_unseen(
    checkpoints: dict[str, Path], folders: Path, tmp_path: Path, trained: str, sources: tuple[str, ...]
) -> None:
    data = names(folders / "held", *sources)
    inputs = open_inputs(checkpoints[trained], data=data, split="test", run=tmp_path)
    kept = {(source, patient.split("/")[-1]) for source, patient in zip(*columns(inputs.triplets), strict=True)}
    legs = (UNSEEN if trained == "union" else set(PATIENTS)) if "legs" in sources else set()
    assert kept == {("hands", patient) for patient in UNSEEN} | {("legs", patient) for patient in legs}
    assert len(inputs.triplets) == len(inputs.films) == 2 * len(kept)
    assert inputs.num_dropped == 2 * len(PATIENTS) * len(sources) - 2 * len(kept)


def columns(triplets: Dataset) -> tuple[list[str], list[str]]:
    return list(triplets["source"]), list(triplets["patient_id"])


def test_without_a_name_the_held_out_part_of_the_training_data_is_taken(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr(
        "pedclip.evaluation.inputs.load_triplets_of",
        lambda config, **options: read.append(config.data) or load_triplets_of(config, **options),
    )
    inputs = open_inputs(checkpoints["alone"], data="", split="test", run=tmp_path)
    assert len(read) == 1  # both parts come from one reading
    assert set(inputs.triplets["patient_id"]) == UNSEEN
    assert inputs.num_dropped == 0
    assert {split_of(patient) for patient in inputs.train["patient_id"]} == {"train"}
    assert inputs.films.images.shape == (2 * len(UNSEEN), 18, 18)  # 16 pixels and the margin of the crop
    assert not inputs.model.training
    assert (tmp_path / "left_out.csv").read_text() == "source,file,row,reason,detail\n"


def test_a_named_folder_without_a_split_is_split_by_patient(
    checkpoints: dict[str, Path], folders: Path, tmp_path: Path
) -> None:
    inputs = open_inputs(checkpoints["alone"], data=names(folders / "plain", "hands"), split="test", run=tmp_path)
    assert set(inputs.triplets["patient_id"]) == UNSEEN


def test_a_folder_of_nobody_new_is_refused_with_the_count(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    seen = [patient for patient in PATIENTS if patient not in UNSEEN][:4]
    source = write_source(tmp_path / "hands", seen, splits=["holdout"] * 4)
    with pytest.raises(ValueError, match=r"has no film of a patient that the model has not seen \(4 films dropped\)"):
        open_inputs(checkpoints["alone"], data=str(source), split="test", run=tmp_path / "run")


def test_nobody_whom_the_starting_point_was_trained_on_is_evaluated(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The run of both sources stands for the package that the run of one source started from.
    monkeypatch.setattr("pedclip.evaluation.inputs.shipped_folder", lambda _: checkpoints["union"].parent)
    run = tmp_path / "run"
    shutil.copytree(checkpoints["alone"].parent, run)
    shutil.copy(salt_file(checkpoints["alone"].parent), salt_file(run))
    started = load_config(run / "training.json")
    started = dataclasses.replace(
        started, training=dataclasses.replace(started.training, text_weights="pedclip-phantom-small")
    )
    write_json(run / "training.json", started.to_dict())
    legs = write_source(tmp_path / "legs", PATIENTS, splits=["holdout"] * len(PATIENTS))
    for folder, kept in ((run, UNSEEN), (checkpoints["alone"].parent, set(PATIENTS))):
        inputs = open_inputs(folder / "checkpoint", data=str(legs), split="test", run=tmp_path / folder.name / "04")
        assert set(inputs.triplets["patient_id"]) == kept


def test_nobody_whom_a_compared_model_was_trained_on_is_evaluated(
    checkpoints: dict[str, Path], folders: Path, tmp_path: Path
) -> None:
    options = {"data": names(folders / "held", "legs"), "split": "test"}
    alone = open_inputs(checkpoints["alone"], **options, run=tmp_path / "alone")
    both = open_inputs(checkpoints["alone"], **options, run=tmp_path / "both", also=[checkpoints["union"]])
    # The model has seen no leg; the one beside it has seen those of all patients but the unseen.
    assert set(alone.triplets["patient_id"]) == set(PATIENTS)
    assert set(both.triplets["patient_id"]) == UNSEEN
    assert both.num_dropped == 2 * (len(PATIENTS) - len(UNSEEN))
    seen = [patient for patient in PATIENTS if patient not in UNSEEN][:4]
    source = write_source(tmp_path / "legs", seen, splits=["holdout"] * 4)
    with pytest.raises(ValueError, match=r"that none of the models has seen \(4 films dropped\)"):
        open_inputs(
            checkpoints["alone"], data=str(source), split="test", run=tmp_path / "run", also=[checkpoints["union"]]
        )


@pytest.mark.parametrize("name", ["training.json", "patients.json"])
def test_a_checkpoint_away_from_its_run_is_refused(checkpoints: dict[str, Path], tmp_path: Path, name: str) -> None:
    for kept in {"training.json", "patients.json"} - {name}:
        (tmp_path / kept).write_bytes((checkpoints["alone"].parent / kept).read_bytes())
    expected = re.escape(f"{tmp_path / name} is missing") + ".*Keep the checkpoint in the folder of its training run"
    with pytest.raises(FileNotFoundError, match=expected):
        open_inputs(tmp_path / "checkpoint", data="", split="test", run=tmp_path)


def test_validation_may_show_validation_patients_but_no_training_patients(tmp_path: Path) -> None:
    seen = {"train": [patient_key("a/1")], "validation": [patient_key("a/2")]}
    (tmp_path / "patients.json").write_text(json.dumps(seen))
    triplets = Dataset.from_dict({"source": ["a", "a", "a", "b"], "patient_id": ["1", "2", "a/3", "1"]})
    for split, kept in {"test": ["a/3", "1"], "validation": ["2", "a/3", "1"]}.items():
        rest, num_dropped = drop_seen_patients(triplets, tmp_path / "patients.json", split=split)
        assert list(rest["patient_id"]) == kept
        assert num_dropped == 4 - len(kept)


def test_weights_of_the_package_are_asked_about_films_of_the_demo(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    demo = load_profile("demo")
    monkeypatch.setattr("pedclip.evaluation.inputs.STUDIES", 40)
    inputs = open_inputs(shipped_folder(SHIPPED[0]), data="", split="test", run=tmp_path)
    assert inputs.num_dropped == 0
    assert len(inputs.films) > 0
    assert inputs.config.studies == 40
    assert inputs.config.training.seed == demo.training.seed
    assert set(inputs.triplets["patient_id"]).isdisjoint(inputs.train["patient_id"])
