"""Many reports: in order, concurrent, known in cost, and safe against a kill at any moment."""

import asyncio
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pedclip.curation.excerpts import Excerpt
from pedclip.curation.llm import extractor as extractor_module
from pedclip.curation.llm.batch import Item, extract_many, plan_extraction
from pedclip.curation.llm.client import ServerBackend
from pedclip.curation.llm.conversation import Procedure
from pedclip.curation.llm.extractor import LLMExtractor
from pedclip.curation.llm.response_cache import ResponseCache
from pedclip.curation.report.sentences import Sentence
from tests.curation.llm.chat_server import ChatServer, chat_server, good_model

ROOT = Path(__file__).parents[3]
TWO_FILMS = "EXAM: Left hip, chest. FINDINGS: Left hip: Angle of {} degrees. Chest: Lungs are clear."


def tiny_report(number: int) -> str:
    return f"EXAM: Chest. FINDINGS: Nodule of {number} mm. IMPRESSION: Single nodule."


def extractor(
    server: ChatServer, cache: ResponseCache | None = None, procedure: Procedure | None = None
) -> LLMExtractor:
    return LLMExtractor(ServerBackend(server.endpoint, "tiny", first_wait=0.001, timeout=5), procedure, cache=cache)


def test_results_come_in_order_while_responses_do_not() -> None:
    running, most = 0, 0

    async def slow_for_some(payload: dict[str, Any], count: int) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.2 if count % 10 == 1 else 0)
        running -= 1
        return good_model(payload)

    with chat_server(slow_for_some) as server:
        found = list(extract_many(((tiny_report(i), None) for i in range(100)), extractor(server), concurrency=10))
    assert [excerpts["chest"].text for excerpts in found] == [f"Nodule of {i} mm. Single nodule." for i in range(100)]
    assert most > 1  # one after the other only one would run


class Inventing(LLMExtractor):
    """Returns a sentence that no report holds."""

    async def extract_async(self, *_: object, **__: object) -> dict[str, Excerpt]:
        return {"chest": Excerpt("Large mass.", (Sentence("Large mass.", 0, 11),), "llm-select")}


def test_a_sentence_that_the_report_does_not_hold_stops_the_run() -> None:
    model = Inventing(ServerBackend("http://localhost:1/v1", "tiny"))
    with pytest.raises(ValueError, match="chest: a sentence from llm-select is not in the report"):
        list(extract_many([(tiny_report(1), None)], model))


def test_reports_are_read_as_they_are_needed_and_leaving_early_is_clean() -> None:
    read = []

    def endless() -> Iterator[Item]:
        for i in range(10**9):
            read.append(i)
            yield tiny_report(i), ("chest",)

    with chat_server(good_model) as server:
        results = extract_many(endless(), extractor(server), concurrency=4)
        assert next(results)["chest"].text.startswith("Nodule of 0 mm")
        results.close()  # type: ignore[attr-defined]
    assert len(read) == 32


def test_concurrency_is_what_was_asked_for() -> None:
    working, most = 0, 0

    async def counting(payload: dict[str, Any], _: int) -> str:
        nonlocal working, most
        working += 1
        most = max(most, working)
        await asyncio.sleep(0.02)
        working -= 1
        return good_model(payload)

    with chat_server(counting) as server:
        list(extract_many([(tiny_report(i), None) for i in range(40)], extractor(server), concurrency=7))
        with pytest.raises(ValueError, match="at least 1"):
            next(extract_many([], extractor(server), concurrency=0))
    assert most == 7


def test_the_next_report_is_read_while_all_requests_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    read, at_first_response = [], []
    number = extractor_module.numbered

    def counted(*report: Any) -> Any:
        read.append(report)
        return number(*report)

    async def waiting(payload: dict[str, Any], count: int) -> str:
        for _ in range(300 if count == 1 else 0):
            await asyncio.sleep(0.01 if len(read) < 2 else 0)
        at_first_response.append(len(read))
        return good_model(payload)

    monkeypatch.setattr(extractor_module, "numbered", counted)
    with chat_server(waiting) as server:
        list(extract_many([(tiny_report(i), None) for i in range(5)], extractor(server), concurrency=1))
    assert at_first_response[0] == 2
    assert len(read) == 5


def test_plan_is_what_the_run_then_asks() -> None:
    items: list[Item] = [(tiny_report(i % 20), None) for i in range(30)]
    items += [(TWO_FILMS.format(i), None) for i in range(10)]
    items += [("EXAM: Chest. HISTORY: Cough.", None), (tiny_report(99), ())]  # the second: no film is of use
    with chat_server(good_model) as server:
        model = extractor(server)
        plan = plan_extraction(items, model, concurrency=4, seconds_per_request=60)
        assert server.payloads == []
        list(extract_many(items, model, concurrency=4))
        after = plan_extraction(items, model)
    assert (plan.reports, plan.unique, plan.by_rules, plan.requests) == (42, 32, 2, 40)
    assert model.usage.requests == plan.requests
    assert plan.seconds == 600
    # The second pass is estimated by the first, which is a little longer.
    sent = sum(len(message["content"]) for payload in server.payloads for message in payload["messages"]) / 4
    assert plan.prompt_tokens == pytest.approx(sent, rel=0.1)
    assert (after.requests, after.remembered) == (0, 40)
    assert str(plan).splitlines()[1] == "requests  40 to send, 0 already answered"


def test_rest_of_a_run_is_planned_from_the_cache(tmp_path: Path) -> None:
    items: list[Item] = [(TWO_FILMS.format(i), None) for i in range(10)]
    with chat_server(good_model) as server, ResponseCache(tmp_path / "answers.sqlite") as cache:
        model = extractor(server, cache)
        list(extract_many(items[:4], model))
        plan = plan_extraction(items, model)
    assert (plan.requests, plan.remembered) == (12, 8)


KILLED = 5000
_CHILD = """
import json, sys
from pathlib import Path
from tests.curation.llm.test_batch import KILLED, extractor, tiny_report
from pedclip.curation.llm.batch import extract_many
from pedclip.curation.llm.response_cache import ResponseCache
class Server: endpoint = sys.argv[1]
with ResponseCache(sys.argv[2]) as cache:
    found = extract_many(((tiny_report(i), ("chest",)) for i in range(KILLED)), extractor(Server, cache))
    result = [[excerpts["chest"].text, excerpts["chest"].source] for excerpts in found]
Path(sys.argv[3]).write_text(json.dumps(result))
"""


def test_run_killed_at_a_random_moment_continues_without_asking_twice(tmp_path: Path) -> None:
    cache, result = tmp_path / "answers.sqlite", tmp_path / "result.json"
    moment = random.SystemRandom().randrange(50, KILLED - 500)

    def start(server: ChatServer) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", _CHILD, server.endpoint, str(cache), str(result)]
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})

    with chat_server(good_model) as server:
        child = start(server)
        while len(server.payloads) < moment:
            assert child.poll() is None
            time.sleep(0.001)
        child.kill()
        child.wait()
        server_before = server.served.copy()
        connection = sqlite3.connect(cache)
        stored = {key for (key,) in connection.execute("SELECT key FROM answers")}
        connection.close()
        server.served.clear()
        assert start(server).wait() == 0
    assert len(stored) >= moment - 32 - 1, f"killed after {moment} requests, {len(stored)} responses stored"
    assert not stored & set(server.served), "a stored response was asked for again"
    # What is asked twice was on its way when the process died.
    assert len(set(server_before) & set(server.served)) <= 32
    expected = [[f"Nodule of {i} mm. Single nodule.", "llm-select"] for i in range(KILLED)]
    assert json.loads(result.read_text()) == expected
