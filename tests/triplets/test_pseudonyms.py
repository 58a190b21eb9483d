"""Pseudonyms are the same for the holder of the key and mean nothing to anybody else."""

import hmac
import os
import stat
from pathlib import Path

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
