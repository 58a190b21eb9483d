"""Damaged states: never trusted, the one before taken, one line where there is none."""

import pickle
from pathlib import Path

import pytest
import torch

from pedclip.training.state import DamagedState, read_state, write_state


def state_of(step: int) -> dict[str, object]:
    weights = {"model.w": torch.full((50,), float(step))}
    rest = {"optimizer": {"state": {}}, "scheduler": {"last_epoch": step}, "precision": {}}
    return {"global_step": step, "batches": 2 * step, "state_dict": weights} | rest


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def cut_to_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path, where: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1
    path.write_bytes(bytes(content))


def without_digest(path: Path) -> None:
    torch.save(state_of(5), path)


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": cut,
    "half": cut_to_half,
    "a bit of the weights": lambda path: flip(path, 0.5),
    "a bit at the front": lambda path: flip(path, 0.01),
    "a bit of the digest": lambda path: flip(path, 0.999),
    "a pickle": lambda path: path.write_bytes(pickle.dumps({"global_step": 5})),
    "text": lambda path: path.write_text("moved to /archive"),
    "of another program": without_digest,
    "nan": lambda path: (
        path.unlink(),
        write_state(path.parent, state_of(5) | {"state_dict": torch.tensor(torch.nan)}),
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_seen_and_the_one_before_is_taken(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    last, previous = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    write_state(tmp_path, state_of(1))
    write_state(tmp_path, state_of(2))
    kept = previous.read_bytes()
    DAMAGE[damage](last)
    state = read_state(tmp_path, repair=True)
    assert (state["global_step"], state["batches"], float(state["state_dict"]["model.w"][0])) == (1, 2, 1.0)
    assert len(caplog.messages) == 1
    assert str(last) in caplog.messages[0]
    assert f"going on from {previous}, step 1" in caplog.messages[0]
    # The damaged one must not become the one before.
    write_state(tmp_path, state_of(3))
    assert not previous.exists() or previous.read_bytes() == kept
    assert read_state(tmp_path, repair=True)["global_step"] == 3


@pytest.mark.parametrize("damage", DAMAGE)
def test_without_a_sound_one_there_is_one_line(tmp_path: Path, damage: str) -> None:
    write_state(tmp_path, state_of(1))
    DAMAGE[damage](tmp_path / "last.ckpt")
    with pytest.raises(DamagedState, match=r"nothing to go on from: .*last\.ckpt .*resume=False") as caught:
        read_state(tmp_path, repair=True)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "last.ckpt").exists()  # nothing is deleted for which there is nothing better


def test_nothing_there_is_no_error_and_a_kill_between_the_renames_leaves_the_one_before(tmp_path: Path) -> None:
    assert read_state(tmp_path, repair=True) is None
    write_state(tmp_path, state_of(1))
    (tmp_path / "last.ckpt").rename(tmp_path / "previous.ckpt")
    assert read_state(tmp_path, repair=True)["global_step"] == 1


def test_a_full_disk_keeps_the_last_one_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_state(tmp_path, state_of(1))
    monkeypatch.setattr("pedclip.training.state._HashedFile.flush", lambda self: None)

    def full(self: object, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pedclip.training.state._HashedFile.write", full)
    with pytest.raises((OSError, RuntimeError), match=r"space|write|zip"):
        write_state(tmp_path, state_of(2))
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert read_state(tmp_path, repair=True)["global_step"] == 1


@pytest.mark.parametrize("name", ["last.ckpt", "previous.ckpt"])
def test_a_folder_in_place_of_a_checkpoint_is_named_and_kept(tmp_path: Path, name: str) -> None:
    write_state(tmp_path, state_of(1))
    write_state(tmp_path, state_of(2))
    (tmp_path / "last.ckpt").unlink()
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).mkdir()
    with pytest.raises(IsADirectoryError, match=f"{name} is a folder; expected the file of a checkpoint"):
        read_state(tmp_path, repair=True)
    assert (tmp_path / name).is_dir()
