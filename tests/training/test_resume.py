"""Whose folder a run may take: the same run goes on, another one is refused by its first difference."""

import json
import shutil
from pathlib import Path

import pytest

from pedclip.training.config import RunConfig
from pedclip.training.resume import claim_run
from pedclip.training.state import write_state
from tests.training.tiny import tiny_arrays, tiny_config

STATE = {"global_step": 7, "batches": 7, "state_dict": {}, "optimizer": {}, "scheduler": {}, "precision": {}}


def begin(run: Path, config: RunConfig) -> Path:
    """A run that was killed after 7 steps; its two checkpoints."""
    assert claim_run(run, config, tiny_arrays(43), tiny_arrays(9), resume=True) is None
    write_state(run / "resume", STATE)
    (run / "checkpoint").mkdir()
    return run / "resume" / "last.ckpt"


def test_the_same_run_goes_on(tmp_path: Path) -> None:
    begin(tmp_path, tiny_config())
    assert claim_run(tmp_path, tiny_config(), tiny_arrays(43), tiny_arrays(9), resume=True) == STATE
    assert (tmp_path / "checkpoint").exists()


def test_another_configuration_or_other_films_are_refused_by_name(tmp_path: Path) -> None:
    begin(tmp_path, tiny_config())
    patients = (tmp_path / "patients.json").read_text()
    words = r"holds another run \(training.seed was 0, is 5\).(?s:.*)name='other'(?s:.*)resume=False"
    with pytest.raises(ValueError, match=words):
        claim_run(tmp_path, tiny_config(seed=5), tiny_arrays(43), tiny_arrays(9), resume=True)
    with pytest.raises(ValueError, match=r"training.objective was 'pedclip', is 'clip'"):
        claim_run(tmp_path, tiny_config(objective="clip"), tiny_arrays(43), tiny_arrays(9), resume=True)
    with pytest.raises(ValueError, match=r"films was 43, is 42"):
        claim_run(tmp_path, tiny_config(), tiny_arrays(42), tiny_arrays(9), resume=True)
    with pytest.raises(ValueError, match=r"fingerprint was '\w{16}', is '\w{16}'"):
        claim_run(tmp_path, tiny_config(), tiny_arrays(43, seed=1), tiny_arrays(9), resume=True)
    # A refused run leaves everything as it was.
    assert (tmp_path / "patients.json").read_text() == patients
    assert (tmp_path / "checkpoint").exists()


def test_starting_again_leaves_no_old_model_beside_the_new_patients(tmp_path: Path) -> None:
    last = begin(tmp_path, tiny_config())
    assert claim_run(tmp_path, tiny_config(seed=5), tiny_arrays(42), tiny_arrays(9), resume=False) is None
    assert not last.exists()
    assert not (tmp_path / "checkpoint").exists()
    assert json.loads((tmp_path / "training.json").read_text())["training"]["seed"] == 5
    assert len(json.loads((tmp_path / "patients.json").read_text())["train"]) == 42


def test_a_field_that_is_newer_than_the_run_means_its_default(tmp_path: Path) -> None:
    begin(tmp_path, tiny_config())
    stored = json.loads((tmp_path / "training.json").read_text())
    del stored["training"]["objective"], stored["model"]["gate_input"]
    (tmp_path / "training.json").write_text(json.dumps(stored))
    assert claim_run(tmp_path, tiny_config(), tiny_arrays(43), tiny_arrays(9), resume=True) == STATE
    with pytest.raises(ValueError, match=r"training.objective was 'pedclip', is 'clip'"):
        claim_run(tmp_path, tiny_config(objective="clip"), tiny_arrays(43), tiny_arrays(9), resume=True)
    with pytest.raises(ValueError, match=r"model.gate_input was 'post_norm', is 'pre_norm'"):
        claim_run(tmp_path, tiny_config({"gate_input": "pre_norm"}), tiny_arrays(43), tiny_arrays(9), resume=True)


def test_a_field_that_is_gone_is_a_difference(tmp_path: Path) -> None:
    begin(tmp_path, tiny_config())
    stored = json.loads((tmp_path / "training.json").read_text())
    stored["training"]["momentum"] = 0.9
    (tmp_path / "training.json").write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=r"training.momentum was 0.9, is None"):
        claim_run(tmp_path, tiny_config(), tiny_arrays(43), tiny_arrays(9), resume=True)


@pytest.mark.parametrize("missing", ["resume/last.ckpt", "training.json", "resume/data.json"])
def test_a_checkpoint_that_nothing_can_continue_is_refused_and_stays(tmp_path: Path, missing: str) -> None:
    begin(tmp_path, tiny_config())
    (tmp_path / missing).unlink()
    patients = (tmp_path / "patients.json").read_bytes()
    with pytest.raises(ValueError, match=rf"checkpoint, but {missing} is missing.*not deleted(?s:.*)resume=False"):
        claim_run(tmp_path, tiny_config(), tiny_arrays(43), tiny_arrays(9), resume=True)
    assert (tmp_path / "checkpoint").exists()
    assert (tmp_path / "patients.json").read_bytes() == patients


def test_another_run_without_its_resume_files_is_named_by_its_difference(tmp_path: Path) -> None:
    begin(tmp_path, tiny_config())
    shutil.rmtree(tmp_path / "resume")
    with pytest.raises(ValueError, match=r"another run \(training.seed was 0, is 5\)"):
        claim_run(tmp_path, tiny_config(seed=5), tiny_arrays(43), tiny_arrays(9), resume=True)
    assert (tmp_path / "checkpoint").exists()


def test_a_state_without_its_description_is_refused_and_stays(tmp_path: Path) -> None:
    last = begin(tmp_path, tiny_config())
    (tmp_path / "checkpoint").rmdir()
    (tmp_path / "training.json").unlink()
    with pytest.raises(ValueError, match=r"holds checkpoints in .*resume, but training.json is missing"):
        claim_run(tmp_path, tiny_config(), tiny_arrays(43), tiny_arrays(9), resume=True)
    assert last.exists()


def test_a_run_that_died_before_its_first_state_leaves_nothing_to_lose(tmp_path: Path) -> None:
    claim_run(tmp_path, tiny_config(), tiny_arrays(43), tiny_arrays(9), resume=True)
    (tmp_path / "resume" / ".last.ckpt.node17-1-ab.partial").touch()  # of a machine that is gone
    assert claim_run(tmp_path, tiny_config(seed=5), tiny_arrays(42), tiny_arrays(9), resume=True) is None
    assert len(json.loads((tmp_path / "patients.json").read_text())["train"]) == 42
    assert [path.name for path in (tmp_path / "resume").iterdir()] == ["data.json"]


@pytest.mark.parametrize("name", ["training.json", "resume/data.json"])
def test_a_broken_description_is_named(tmp_path: Path, name: str) -> None:
    begin(tmp_path, tiny_config())
    for content in ("{", "", "[1, 2]", "7"):
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match=name):
            claim_run(tmp_path, tiny_config(), tiny_arrays(43), tiny_arrays(9), resume=True)
