"""A killed training ends with the weights and the history of one that was not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pedclip.synthesis.flow.resume import check_run, claim_run
from pedclip.training.history import read_history
from tests.synthesis.flow.killing import PLACES, run
from tests.synthesis.flow.tiny import tiny_films, tiny_run


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-m", "tests.synthesis.flow.killing", str(folder), *PLACES]
    paths = os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")])
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": paths})
    return folder


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the killed process: sums are in another order with more
    folder = tmp_path_factory.mktemp("straight")
    run(folder)
    torch.set_num_threads(torch_threads)
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoint" / "model.safetensors")


@pytest.mark.parametrize("place", PLACES)
def test_killed_runs_end_bit_identical(place: str, killed: Path, straight: Path) -> None:
    folder = killed / place
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    result = run(folder)
    torch.set_num_threads(threads)
    # The first state is written after step 2.
    assert result.resumed_from == (4 if place == "export" else 2)
    expected, found = weights(straight), weights(folder)
    assert expected.keys() == found.keys()
    different = [name for name, value in expected.items() if not torch.equal(found[name], value)]
    assert not different, different
    # The exported weights have 16 bits; the state has all of them.
    states = [torch.load(one / "resume" / "last.ckpt", weights_only=True) for one in (straight, folder)]
    for part in ("network", "mean"):
        first, second = (state["state_dict"][part] for state in states)
        assert all(torch.equal(second[name], value) for name, value in first.items())
    assert read_history(straight) == read_history(folder)
    left = [path for path in folder.rglob(".*") if path.name.startswith(".")]
    assert not left, left


def test_without_a_description_no_state_is_taken_up(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "resume" / "data.json").unlink()
    with pytest.raises(ValueError, match=r"holds a flow but no resume/data\.json"):
        run(tmp_path)


def test_damaged_states_are_told(tmp_path: Path) -> None:
    run(tmp_path)
    for path in tmp_path.glob("resume/*.ckpt"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="nothing to go on from"):
        run(tmp_path)


def test_a_fresh_folder_has_no_state(tmp_path: Path) -> None:
    images, texts = tiny_films(4)
    assert claim_run(tmp_path / "new", tiny_run(), images, texts, text_encoder="a", start="", resume=True) is None
    assert (tmp_path / "new" / "flow.json").exists()


def test_a_finished_generator_without_states_is_not_replaced_by_another(tmp_path: Path) -> None:
    run(tmp_path)
    before = (tmp_path / "checkpoint" / "model.safetensors").read_bytes()
    for path in tmp_path.glob("resume/*.ckpt"):
        path.unlink()
    with pytest.raises(ValueError, match=r"holds another run \(training\.seed was 0, is 7\)"):
        run(tmp_path, seed=7)
    (tmp_path / "checkpoint" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"checkpoint is not replaced, because it holds notes\.txt"):
        check_run(tmp_path, tiny_run(), resume=False)
    assert (tmp_path / "checkpoint" / "model.safetensors").read_bytes() == before


def test_what_is_read_is_not_written_over(tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    for output in (films, films / "run"):
        with pytest.raises(ValueError, match="holds the films that are read"):
            check_run(output, tiny_run().replace({"data": f"phantom,{films}"}), resume=True)
    begun_with = tiny_run().replace({"start": str(tmp_path / "run" / "checkpoint")})
    for resume in (True, False):
        with pytest.raises(ValueError, match="which the run replaces; give another output folder"):
            check_run(tmp_path / "run", begun_with, resume=resume)


def test_patients_of_a_run_go_with_it(tmp_path: Path) -> None:
    images, texts = tiny_films(4)
    (tmp_path / "patients.json").write_text("{}")
    claim_run(tmp_path, tiny_run(), images, texts, text_encoder="a", start="", resume=False)
    assert not (tmp_path / "patients.json").exists()
