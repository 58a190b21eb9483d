"""A run that was killed at any point continues, and ends like one that was not."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pedclip.curation import pipeline as module
from pedclip.curation import shards
from pedclip.curation.__main__ import main
from pedclip.curation.archive.reader import read_archive
from pedclip.curation.archive.studies import Study
from pedclip.curation.pipeline import IdentifiersFound, curate
from tests.curation.archive.archive_files import make_archive, report, triplets_of


def test_acknowledged_parts_are_checked_again_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_archive(tmp_path / "export", studies=2, finding="Known fracture of March 14, 2021 has healed.")
    with monkeypatch.context() as patch:
        patch.setattr(module, "_finish", _killed)
        with pytest.raises(KeyboardInterrupt):
            curate(archive, output=tmp_path / "out", acknowledge_identifiers=True)
    with pytest.raises(IdentifiersFound):
        curate(archive, output=tmp_path / "out")


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_killed_run_continues_and_ends_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STUDIES_PER_CHUNK", 3)
    archive = make_archive(tmp_path / "export", studies=10)
    saved: list[str] = []
    save = module.save_chunk

    def save_and_die(chunk: Any, folder: Path, **options: Any) -> None:
        saved.append(folder.name)
        if len(saved) == 3:
            raise KeyboardInterrupt
        save(chunk, folder, **options)

    monkeypatch.setattr(module, "save_chunk", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        curate(archive, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    curate(archive, output=tmp_path / "out")
    assert saved == ["000000", "000001", "000002", "000002", "000003"]
    assert not (tmp_path / ".out.work").exists()
    curate(archive, output=tmp_path / "whole", salt=tmp_path / "out.salt", source="export")
    for file in (tmp_path / "whole").rglob("*.csv"):
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()
    assert len(triplets_of(tmp_path / "out")) == 10
    texts = [[(r["image_id"], r["text"], r["split"]) for r in triplets_of(tmp_path / n)] for n in ("out", "whole")]
    assert texts[0] == texts[1]


def test_changed_files_are_read_again_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_archive(tmp_path / "export", studies=1)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_finish", _killed)
        with pytest.raises(KeyboardInterrupt):
            curate(archive, output=tmp_path / "out")
    (tmp_path / "export/s000/report.txt").write_text(report("knee", finding="Large joint effusion is present."))
    curate(read_archive(tmp_path / "export"), output=tmp_path / "out")
    assert "effusion" in triplets_of(tmp_path / "out")[0]["text"]


KILLED = """
import os, signal, sys
from pedclip.curation import shards
from pedclip.curation.__main__ import main

def write_json_and_die(path, content, *, write=shards.write_json, calls=[]):
    calls.append(path)
    if len(calls) == 3:  # the pixels of the third part are written, its record is not
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, content)

shards.write_json = write_json_and_die
main(["--archive", "export", "--output", "out"])
"""


def test_kill_9_in_the_middle_then_restart(tmp_path: Path) -> None:
    make_archive(tmp_path / "export", studies=200)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", KILLED]
    process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=300)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    assert sorted(path.name for path in (tmp_path / ".out.work").iterdir() if path.name[0] != ".") == [
        "000000",
        "000001",
    ]
    assert main(["--archive", str(tmp_path / "export"), "--output", str(tmp_path / "out")]) == 0
    rows = triplets_of(tmp_path / "out")
    assert len(rows) == len({row["image_id"] for row in rows}) == 200
    assert json.loads((tmp_path / "out/datasheet.json").read_text())["triplets"] == 200


def test_reports_are_read_chunk_by_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STUDIES_PER_CHUNK", 2)
    archive = make_archive(tmp_path / "export", studies=6)
    assert "dislocation" not in repr(archive)  # places of reports, not their texts
    sizes: list[int] = []

    def counted(studies: Sequence[Study], settings: shards.CurationSettings) -> shards.Chunk:
        sizes.append(len(studies))
        return shards.read_chunk(studies, settings)

    monkeypatch.setattr(module, "read_chunk", counted)
    curate(archive, output=tmp_path / "out")
    assert sizes == [2, 2, 2]
