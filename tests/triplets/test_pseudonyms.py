"""Pseudonyms are the same for the holder of the key and mean nothing to anybody else."""

import hmac
import os
import stat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from pedclip.triplets.pseudonyms import pseudonym, read_salt


def test_pseudonyms_are_stable_and_need_the_salt() -> None:
    salt, other = bytes(32), bytes([1]) * 32
    assert pseudonym("MRN1", salt) == pseudonym(" MRN1 ", salt) != pseudonym("MRN2", salt)
    assert pseudonym("MRN1", salt) != pseudonym("MRN1", other)
    expected = hmac.new(salt, b"MRN1", "sha256").hexdigest()
    assert pseudonym("MRN1", salt) == expected[:16]
    with pytest.raises(ValueError, match="blank"):
        pseudonym(" ", salt)
    with pytest.raises(ValueError, match="16 or more"):
        pseudonym("MRN1", b"short")


def test_salt_is_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    salt = read_salt(tmp_path / "key")
    assert len(salt) == 32
    assert read_salt(tmp_path / "key") == salt != read_salt(tmp_path / "other")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    (tmp_path / "bad").write_text("hello")
    with pytest.raises(ValueError, match="no salt"):
        read_salt(tmp_path / "bad")


def test_salt_is_for_the_owner_only_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []
    monkeypatch.setattr("pedclip.artefacts.os.fsync", lambda file: modes.append(stat.S_IMODE(os.fstat(file).st_mode)))
    read_salt(tmp_path / "key")
    assert modes == [0o600]


def _read_together(folder: Path, barrier: Any, found: Any) -> None:
    """The salts of twenty files, each read at the same moment as by the other processes."""
    salts = []
    for number in range(20):
        barrier.wait(60)
        salts.append(read_salt(folder / str(number)))
    found.put(salts)


def test_processes_that_ask_first_at_once_have_one_salt(tmp_path: Path) -> None:
    context = get_context("spawn")
    barrier, found = context.Barrier(3), context.Queue()
    processes = [context.Process(target=_read_together, args=(tmp_path, barrier, found)) for _ in range(3)]
    for process in processes:
        process.start()
    salts = [found.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert salts[0] == salts[1] == salts[2] == [read_salt(tmp_path / str(number)) for number in range(20)]
    assert len(set(salts[0])) == 20
