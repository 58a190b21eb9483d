"""Curation by rules gives the same bytes again, and never opens a connection."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pedclip.curation.__main__ import main
from tests.curation.archive.archive_files import make_archive, triplets_of

ROOT = Path(__file__).parents[2]


def files_of(output: Path) -> dict[str, bytes]:
    return {file.relative_to(output).as_posix(): file.read_bytes() for file in output.rglob("*") if file.is_file()}


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    make_archive(tmp_path / "export", studies=70)  # more than one part
    for name, seed in (("first", "1"), ("second", "2")):
        paths = ["--archive", "export", "--output", name, "--salt", "key"]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        subprocess.run(
            [sys.executable, "-m", "pedclip.curation", *paths],
            cwd=tmp_path,
            env=environment,
            check=True,
            capture_output=True,
            timeout=300,
        )
    first, second = files_of(tmp_path / "first"), files_of(tmp_path / "second")
    assert sorted(first) == sorted(second)
    assert [name for name in first if first[name] != second[name]] == []
    assert any(name.startswith("triplets/train-") for name in first)


def test_rules_open_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []

    def refused(*place: object, **_: object) -> None:
        opened.append(place)
        raise OSError("no network in this test")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(socket, "create_connection", refused)
    make_archive(tmp_path / "export", studies=8)
    assert main(["--archive", str(tmp_path / "export"), "--output", str(tmp_path / "out")]) == 0
    assert len(triplets_of(tmp_path / "out")) == 8
    assert opened == []
    with pytest.raises(OSError, match="no network"):
        socket.create_connection(("127.0.0.1", 9))
