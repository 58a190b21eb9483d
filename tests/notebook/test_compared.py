"""Further runs of a notebook: found by name or folder, and otherwise the way to make them."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from pedclip.evaluation.published import models_of
from pedclip.notebook.compared import compared_checkpoints, how_to_fill, released_models
from pedclip.notebook.errors import MissingArtefact, ParameterError
from pedclip.notebook.session import RunPaths
from pedclip.weights import SHIPPED, shipped_folder
from tests.models.released.tiny_releases import MAKERS


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
    assert words["adult", "MGCA"] == (
        "its authors' weights were not given: vit_base.ckpt (licence: none stated for the weights); "
        '-p compare "[released:mgca:/path/to/file]"'
    )
    assert words["adult", "Prior"].startswith("the released weights of PRIOR")


def test_weights_of_others_are_named_with_their_file_and_are_no_runs(tmp_path: Path) -> None:
    place = MAKERS["chexzero"](tmp_path).path
    names = ["gloria", f"released:chexzero:{place}"]
    (method,) = found = released_models(names)
    assert method == "released chexzero"
    assert found[method].release.name == "chexzero"
    # The method is the way of the row that it fills.
    assert [model.row for model in models_of("Table 1") if model.way == method] == ["ChexZero"]
    checkpoint(tmp_path / "03_pretrain" / "gloria" / "checkpoint")
    assert list(compared_checkpoints(names, paths(tmp_path))) == ["run gloria"]
    with pytest.raises(ParameterError, match="the weights of chexzero are named twice"):
        released_models([f"released:chexzero:{place}"] * 2)


def test_weights_that_are_not_there_say_which_and_under_which_licence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"vit_base\.ckpt"):
        released_models([f"released:mgca:{tmp_path / 'nothing.ckpt'}"])
    with pytest.raises(ValueError, match="did you mean 'biomedclip'"):
        released_models(["released:biomedclap"])


def test_a_name_of_open_clip_keeps_its_colon(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(name: str, path: str | None) -> SimpleNamespace:
        asked.append((name, path))
        return SimpleNamespace(release=SimpleNamespace(has_text=True))

    monkeypatch.setattr("pedclip.notebook.compared.load_released", load)
    names = ["released:hf-hub:owner/model", "released:open_clip:ViT-B-32:/a/file.bin", "released:chexzero:/a/b.pt"]
    found = released_models(names)
    assert asked == [("hf-hub:owner/model", None), ("open_clip:ViT-B-32", "/a/file.bin"), ("chexzero", "/a/b.pt")]
    assert list(found) == ["released hf-hub:owner/model", "released open_clip:ViT-B-32", "released chexzero"]


def test_a_model_without_texts_is_refused_where_words_are_asked(tmp_path: Path) -> None:
    entry = f"released:rad-dino:{MAKERS['rad-dino'](tmp_path).path}"
    assert list(released_models([entry])) == ["released rad-dino"]
    with pytest.raises(ParameterError, match="rad-dino encodes films only"):
        released_models([entry], needs_texts=True)
