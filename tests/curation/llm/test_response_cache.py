"""A response that was stored is there, whatever happens to the process or the file."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from pedclip.curation.llm.client import Response
from pedclip.curation.llm.prompts import Prompt
from pedclip.curation.llm.response_cache import ResponseCache, key_of

PROMPT = Prompt((("system", "s"), ("user", "u")), {"type": "object"}, 100)
IDENTITY = {"model": "m", "temperature": 0}


def test_response_is_found_again_by_another_process(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with ResponseCache(path) as cache:
        cache.put("key", Response("text with ü and \x00", True, 3, 4))
        code = f"from pedclip.curation.llm import response_cache as c; print(c.ResponseCache({str(path)!r}).get('key'))"
        output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == repr(Response("text with ü and \x00", True, 3, 4))


def test_first_response_stays_and_lone_surrogates_are_replaced() -> None:
    cache = ResponseCache()
    cache.put("key", Response("a\ud800"))
    cache.put("key", Response("b"))
    assert (cache.get("key"), cache.get("other"), len(cache)) == (Response("a?"), None, 1)


@pytest.mark.parametrize(
    "other",
    [
        Prompt((("system", "s"), ("user", "v")), {"type": "object"}, 100),
        Prompt((("system", "s"), ("user", "u")), {"type": "array"}, 100),
        Prompt((("system", "s"), ("user", "u")), {"type": "object"}, 101),
    ],
)
def test_key_depends_on_everything_that_a_response_depends_on(other: Prompt) -> None:
    assert key_of(PROMPT, IDENTITY) == key_of(PROMPT, dict(reversed(IDENTITY.items())))
    assert key_of(PROMPT, IDENTITY) != key_of(other, IDENTITY)
    assert key_of(PROMPT, IDENTITY) != key_of(PROMPT, {**IDENTITY, "model": "n"})


@pytest.mark.parametrize("size", [0, 5, 16, 60])
def test_file_cut_at_its_beginning_is_begun_again(tmp_path: Path, size: int) -> None:
    path = _filled(tmp_path, responses=3)
    path.write_bytes(path.read_bytes()[:size])
    with ResponseCache(path) as cache:
        cache.put("key", Response("a"))
        assert len(cache) == 1


@pytest.mark.parametrize("damage", ["cut", "garbage"])
def test_damaged_file_is_kept_aside_with_a_warning(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = _filled(tmp_path, responses=400)
    content = path.read_bytes()
    half = content[: len(content) // 2]
    path.write_bytes(half if damage == "cut" else half + b"\xff" * (len(content) - len(half)))
    with caplog.at_level(logging.WARNING), ResponseCache(path) as cache:
        assert len(cache) == 0
    assert "is damaged" in caplog.text
    assert path.with_name("answers.sqlite.damaged").stat().st_size > 0


def test_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "reports.csv"
    path.write_text("study,report\n1,text\n")
    with pytest.raises(ValueError, match="is not a response cache"):
        ResponseCache(path)
    assert path.read_text() == "study,report\n1,text\n"
    with pytest.raises(FileNotFoundError, match="make it first"):
        ResponseCache(tmp_path / "absent" / "answers.sqlite")


def test_four_processes_share_one_file(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    code = (
        "import sys\nfrom pedclip.curation.llm.client import Response\n"
        "from pedclip.curation.llm.response_cache import ResponseCache\n"
        "cache = ResponseCache(sys.argv[1])\nfor i in range(200): cache.put(f'{sys.argv[2]}-{i}', Response('a'))"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(path), str(i)]) for i in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    with ResponseCache(path) as cache:
        assert len(cache) == 800


def _filled(folder: Path, *, responses: int) -> Path:
    path = folder / "answers.sqlite"
    with ResponseCache(path) as cache:
        for i in range(responses):
            cache.put(f"key-{i}", Response("x" * 100))
    assert not path.with_name(path.name + "-wal").exists()
    return path
