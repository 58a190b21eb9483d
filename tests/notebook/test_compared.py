"""Further runs of a notebook: found by name or folder, and otherwise the way to make them."""

import re
from pathlib import Path

import pytest

from pedclip.evaluation.published import models_of
from pedclip.notebook.compared import compared_checkpoints, how_to_fill
from pedclip.notebook.errors import MissingArtefact, ParameterError
from pedclip.notebook.session import RunPaths
from pedclip.weights import SHIPPED, shipped_folder


def checkpoint(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def paths(output: Path) -> RunPaths:
    return RunPaths(output, "04_zero_shot", "demo")


def test_a_name_is_a_run_of_notebook_03_and_a_path_is_a_folder(tmp_path: Path) -> None:
    run = checkpoint(tmp_path / "03_pretrain" / "gloria" / "checkpoint")
    elsewhere = checkpoint(tmp_path / "other" / "mgca" / "checkpoint")
    bare = checkpoint(tmp_path / "other" / "weights")
    found = compared_checkpoints(["gloria", str(elsewhere), str(bare), SHIPPED[0]], paths(tmp_path))
    assert found == {
        "run gloria": run,
        "run mgca": elsewhere,
        "run weights": bare,
        f"run {SHIPPED[0]}": shipped_folder(SHIPPED[0]),
    }
    assert compared_checkpoints([], paths(tmp_path)) == {}


def test_a_bare_name_is_never_a_folder_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint(tmp_path / "gloria")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        MissingArtefact, match=r"03_pretrain/gloria/checkpoint\.\n  Make one:      papermill notebooks/"
    ):
        compared_checkpoints(["gloria"], paths(tmp_path))


def test_a_missing_checkpoint_and_two_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingArtefact, match="compare: there is no checkpoint in ") as caught:
        compared_checkpoints([str(tmp_path / "nothing")], paths(tmp_path))
    assert '-p compare "[/path/to/checkpoint]"' in str(caught.value)
    places = [str(checkpoint(tmp_path / side / "gloria" / "checkpoint")) for side in ("one", "two")]
    with pytest.raises(ParameterError, match="two checkpoints go by the name 'run gloria'"):
        compared_checkpoints(places, paths(tmp_path))


def test_the_commands_that_fill_a_row_name_its_objective() -> None:
    words = {(model.group, model.row): how_to_fill(model) for model in models_of("Table 1")}
    assert words["pediatric", "GLoRIA"] == (
        'papermill notebooks/03_pretrain.ipynb out.ipynb -p objective gloria -p name gloria, then -p compare "[gloria]"'
    )
    gloria = next(model for model in models_of("Table 2") if model.way == "gloria")
    assert how_to_fill(gloria, parameter="checkpoint").endswith(', then -p name gloria -p checkpoint ""')
    assert re.search(r"load_released\('mgca'\)", words["adult", "MGCA"])
    assert words["adult", "Prior"].startswith("the released weights of PRIOR")
