import csv
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pedclip.artefacts import atomic_folder, write_bytes, write_csv, write_json


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = write_json(tmp_path / "run" / "metrics.json", {"auc": 0.5})
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(path, {"auc": float("nan")})
    with pytest.raises(TypeError, match="cannot hold a set"):
        write_json(path, {"auc": {1}})
    assert json.loads(path.read_text()) == {"auc": 0.5}
    assert os.listdir(path.parent) == ["metrics.json"]


def test_paths_and_numpy_scalars_are_written_plainly(tmp_path: Path) -> None:
    path = write_json(tmp_path / "m.json", {"path": Path("a/b"), "n": np.int64(3), "x": np.float32(0.5)})
    assert json.loads(path.read_text()) == {"path": "a/b", "n": 3, "x": 0.5}


def test_a_file_is_made_with_the_permissions_of_the_user(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert write_bytes(tmp_path / "atomic", b"x").stat().st_mode == plain.stat().st_mode


def test_the_content_is_on_disk_before_the_name_points_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_bytes(tmp_path / "metrics", b"old")
    synced: list[tuple[int, bytes]] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append((os.fstat(file).st_size, path.read_bytes())))
    write_bytes(path, b"longer")
    assert synced == [(6, b"old")]  # all of it, and nobody has seen it yet
    assert path.read_bytes() == b"longer"


def test_a_reader_who_has_the_old_file_open_reads_it_to_its_end(tmp_path: Path) -> None:
    path = write_bytes(tmp_path / "metrics", b"first half, second half")
    with path.open("rb") as reader:
        assert reader.read(11) == b"first half,"
        write_bytes(path, b"new")
        assert reader.read() == b" second half"
    assert path.read_bytes() == b"new"


def test_cells_that_a_spreadsheet_would_run_are_inert(tmp_path: Path) -> None:
    cells = ["=1+1", "+1", "-1", "@sum", "\tx", "\rx", "a=b", "", -1, 0.5]
    path = write_csv(tmp_path / "new" / "left_out.csv", ["file"], [[cell] for cell in cells])
    with path.open(newline="") as file:
        _, *rows = csv.reader(file)
    written = ["".join(row) for row in rows]
    assert written == ["'=1+1", "'+1", "'-1", "'@sum", "'\tx", "'\rx", "a=b", "", "-1", "0.5"]


def test_the_old_folder_is_readable_until_the_new_one_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "triplets"
    with atomic_folder(target) as folder:
        (folder / "old").touch()
    with atomic_folder(target) as folder:
        (folder / "new").touch()
        assert os.listdir(target) == ["old"]
    assert os.listdir(target) == ["new"]
    assert os.listdir(tmp_path) == ["triplets"]


def test_an_error_while_filling_keeps_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "triplets"
    with atomic_folder(target) as folder:
        (folder / "old").touch()
    with pytest.raises(FileNotFoundError), atomic_folder(target) as folder:
        (folder / "no such folder" / "new").touch()
    assert os.listdir(target) == ["old"]
    assert os.listdir(tmp_path) == ["triplets"]


def test_a_failed_last_rename_brings_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "triplets"
    with atomic_folder(target) as folder:
        (folder / "old").touch()
    rename = Path.rename

    def full_disk(self: Path, goal: Path) -> Path:
        if self.suffix == ".partial":
            raise OSError("disk full")
        return rename(self, goal)

    monkeypatch.setattr(Path, "rename", full_disk)
    with pytest.raises(OSError, match="disk full"), atomic_folder(target) as folder:
        (folder / "new").touch()
    assert os.listdir(target) == ["old"]
    assert os.listdir(tmp_path) == ["triplets"]


def test_work_in_progress_of_others_is_left_alone(tmp_path: Path) -> None:
    here, dead = socket.gethostname(), 2**22 + 1  # no process has a number above 2²²
    theirs = {
        f".triplets.{here}-{os.getpid()}-00000000.partial",  # of a living process
        f".triplets.{here}-1-00000000.partial",  # of another user, perhaps
        f".triplets.elsewhere-{dead}-00000000.partial",  # a number of another machine says nothing
        f".other.{here}-{dead}-00000000.partial",  # of another folder
        f".triplets.{here}-{dead}-00000000.notes",
    }
    for name in theirs | {f".triplets.{here}-{dead}-00000000.partial"}:
        (tmp_path / name).mkdir()
    with atomic_folder(tmp_path / "triplets"):
        pass
    assert set(os.listdir(tmp_path)) == theirs | {"triplets"}


@pytest.mark.parametrize("before_the_kill", ["", "os.rename(target, str(folder).replace('.partial', '.old'));"])
def test_after_a_kill_there_is_no_half_folder_and_the_next_one_cleans_up(tmp_path: Path, before_the_kill: str) -> None:
    target = tmp_path / "triplets"
    with atomic_folder(target) as folder:
        (folder / "old").touch()
    code = (
        "import os, signal, sys; from pedclip.artefacts import atomic_folder; target = sys.argv[1]\n"
        f"with atomic_folder(target) as folder: {before_the_kill} os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(target)], check=False)
    assert killed.returncode == -9
    assert len(os.listdir(tmp_path)) == 2  # the complete old folder, by either name, and the hidden half of the new one
    with pytest.raises(RuntimeError, match="disk"), atomic_folder(target):
        raise RuntimeError("disk")
    assert os.listdir(target) == ["old"]
    assert os.listdir(tmp_path) == ["triplets"]


def test_a_file_in_the_way_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "triplets").write_text("mine")
    with pytest.raises(NotADirectoryError, match="Move it away"), atomic_folder(tmp_path / "triplets"):
        pass
    assert (tmp_path / "triplets").read_text() == "mine"


def test_a_file_is_on_disk_before_it_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda file: order.append("fsync") or fsync(file))
    monkeypatch.setattr(Path, "replace", lambda self, target: order.append("replace") or replace(self, target))
    old = write_bytes(tmp_path / "file", b"old").open("rb")
    write_bytes(tmp_path / "file", b"new")
    assert order == ["fsync", "replace"] * 2
    assert old.read() == b"old"  # who has it open reads on: the new one is another file
    old.close()


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "triplets"
    with atomic_folder(target) as folder:
        (folder / "old").touch()
    rename = Path.rename

    def refuse_new(self: Path, to: Path) -> Path:
        if self.suffix == ".partial":
            raise OSError("no space")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", refuse_new)
    with pytest.raises(OSError, match="no space"), atomic_folder(target) as folder:
        (folder / "new").touch()
    assert os.listdir(target) == ["old"]
    assert os.listdir(tmp_path) == ["triplets"]


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "documents"
    target.mkdir()
    (target / "thesis.docx").write_text("years")
    refused = (
        r"documents is not replaced, because it holds thesis\.docx.*nothing but index\.json, part-\* is.*move what"
    )
    with pytest.raises(FileExistsError, match=refused), atomic_folder(target, holds=("index.json", "part-*")):
        pytest.fail("refused before it is filled")
    # What names such a folder does not make it one where other things lie beside it.
    (target / "index.json").touch()
    with pytest.raises(FileExistsError, match=r"holds thesis\.docx,"), atomic_folder(target, holds=("index.json",)):
        pytest.fail("refused before it is filled")
    assert (target / "thesis.docx").read_text() == "years"
    assert os.listdir(tmp_path) == ["documents"]


def test_a_folder_without_the_file_that_names_it_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "project"
    target.mkdir()
    (target / "README.md").write_text("mine")
    refused = r"holds README\.md and no config\.json"
    with pytest.raises(FileExistsError, match=refused), atomic_folder(target, holds=("config.json", "README.md")):
        pytest.fail("refused before it is filled")
    assert os.listdir(target) == ["README.md"]


@pytest.mark.parametrize("held", [(), (".DS_Store",), ("config.json",), ("config.json", "Thumbs.db", "weights")])
def test_an_empty_folder_and_an_own_one_are_replaced(tmp_path: Path, held: tuple[str, ...]) -> None:
    target = tmp_path / "checkpoint"
    target.mkdir()
    for name in held:
        (target / name).touch()
    with atomic_folder(target, holds=("config.json", "weights")) as folder:
        (folder / "config.json").write_text("new")
    assert os.listdir(target) == ["config.json"]


def test_what_came_into_the_folder_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "checkpoint"
    notes = target / "notes"
    with pytest.raises(FileExistsError, match="holds notes"), atomic_folder(target, holds=("config.json",)):
        write_bytes(notes, b"mine")
    assert os.listdir(target) == ["notes"]
    assert os.listdir(tmp_path) == ["checkpoint"]


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (disk := tmp_path / "disk").mkdir()
    link = tmp_path / "runs" / "checkpoint"
    link.parent.mkdir()
    link.symlink_to(disk / "checkpoint")  # of a folder that does not exist yet
    for content in ("old", "new"):
        with atomic_folder(link, holds=("config.json",)) as folder:
            (folder / "config.json").write_text(content)
        assert link.is_symlink()
        assert (disk / "checkpoint" / "config.json").read_text() == content
    assert os.listdir(disk) == ["checkpoint"]
    assert os.listdir(link.parent) == ["checkpoint"]
