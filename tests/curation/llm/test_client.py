"""What each kind of server leads to: an answer, another try, a refusal, or an error that says what to change."""

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from pedclip.curation.llm.client import BackendError, BackendUnavailable, PromptRefused, Response, ServerBackend
from pedclip.curation.llm.prompts import Prompt
from tests.curation.llm.chat_server import RESET, ChatServer, Model, chat_server, completion

PROMPT = Prompt((("system", "s"), ("user", "u")), {"type": "object"}, 50)


def ask(server: ChatServer, *, times: int = 1, **options: Any) -> list[Response]:
    async def run() -> list[Response]:
        backend = ServerBackend(server.endpoint, "tiny", first_wait=0.001, **options)
        try:
            return [await backend.complete(PROMPT) for _ in range(times)]
        finally:
            await backend.close()

    return asyncio.run(run())


def failing_first(*failures: Callable[[], Any]) -> Model:
    def model(_: dict[str, Any], count: int) -> Any:
        return failures[count - 1]() if count <= len(failures) else "yes"

    return model


def test_prompt_arrives_whole_and_response_comes_back_with_its_tokens() -> None:
    with chat_server(lambda *_: "yes") as server:
        assert ask(server, api_key="secret") == [Response("yes", False, 100, 10)]
    payload = server.payloads[0]
    assert payload["messages"] == [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert (payload["model"], payload["max_tokens"], payload["temperature"]) == ("tiny", 50, 0)
    assert payload["response_format"]["json_schema"]["schema"] == {"type": "object"}


@pytest.mark.parametrize(
    "failure",
    [
        lambda: web.Response(status=500),
        lambda: web.Response(status=503, text="loading"),
        lambda: web.Response(status=429, headers={"Retry-After": "0"}),
        lambda: web.Response(text="<html>proxy</html>"),
        lambda: web.json_response({"choices": []}),
        lambda: web.json_response([1]),
        lambda: web.json_response({"choices": [{"message": {"content": 7}}]}),
        lambda: web.Response(body=b'{"choices": [{"mess', headers={"Content-Length": "500"}),
    ],
    ids=["500", "503", "429", "html", "no choice", "list", "number", "cut body"],
)
def test_failure_that_passes_is_not_noticed(failure: Callable[[], web.Response]) -> None:
    with chat_server(failing_first(failure, failure)) as server:
        assert ask(server, timeout=0.5)[0].text == "yes"
    assert len(server.payloads) == 3


def test_lost_connection_is_taken_up_again() -> None:
    with chat_server(failing_first(lambda: RESET)) as server:
        assert ask(server)[0].text == "yes"
    assert len(server.payloads) == 2


def test_slow_server_is_given_up_after_the_timeout_and_asked_again() -> None:
    def model(_: dict[str, Any], count: int) -> Awaitable[str] | str:
        async def slow() -> str:
            await asyncio.sleep(5)
            return "late"

        return slow() if count == 1 else "yes"

    begin = time.monotonic()
    with chat_server(model) as server:
        assert ask(server, timeout=0.2)[0].text == "yes"
    assert time.monotonic() - begin < 4


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_obeyed(form: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    headers = {"Retry-After": "1" if form == "seconds" else date}
    begin = time.monotonic()
    with chat_server(failing_first(lambda: web.Response(status=429, headers=headers))) as server:
        assert ask(server)[0].text == "yes"
    assert time.monotonic() - begin > 0.9


@pytest.mark.parametrize("status", [500, 429])
def test_server_that_stays_down_is_unavailable_after_all_repetitions(status: int) -> None:
    with chat_server(lambda *_: web.Response(status=status)) as server:
        with pytest.raises(BackendUnavailable, match="no answer to a question sent 3 times"):
            ask(server, repetitions=3)
    assert len(server.payloads) == 3


def test_server_that_asks_for_an_hour_is_unavailable_at_once() -> None:
    with chat_server(lambda *_: web.Response(status=503, headers={"Retry-After": "3600"})) as server:
        with pytest.raises(BackendUnavailable):
            ask(server)
    assert len(server.payloads) == 1


def test_nobody_there_is_unavailable() -> None:
    with chat_server(lambda *_: "yes") as server:
        pass
    with pytest.raises(BackendUnavailable, match=r"127\.0\.0\.1"):
        ask(server, repetitions=2)


@pytest.mark.parametrize("status", [401, 403, 404, 307])
def test_wrong_address_model_or_key_says_what_to_check_and_is_not_repeated(status: int) -> None:
    target = {"Location": "http://127.0.0.1:9/elsewhere"}
    with chat_server(lambda *_: web.Response(status=status, headers=target)) as server:
        with pytest.raises(BackendError, match="check the endpoint") as error:
            ask(server)
    assert not isinstance(error.value, BackendUnavailable | PromptRefused)
    assert len(server.payloads) == 1


def test_server_without_schemas_is_found_out_once() -> None:
    def model(payload: dict[str, Any], _: int) -> web.Response | str:
        return web.Response(status=422) if "response_format" in payload else "yes"

    with chat_server(model) as server:
        assert [response.text for response in ask(server, times=3)] == ["yes"] * 3
    assert ["response_format" in payload for payload in server.payloads] == [True, False, False, False]


def test_prompt_that_is_too_long_is_refused_without_repetition() -> None:
    with chat_server(lambda *_: web.Response(status=400, text="context length")) as server:
        with pytest.raises(PromptRefused, match="status 400"):
            ask(server)
    assert len(server.payloads) == 2  # with and without the schema


def test_cut_and_absent_texts_are_told() -> None:
    with chat_server(failing_first(lambda: completion("ab", finish="length"), lambda: completion(None))) as server:
        assert ask(server, times=2) == [Response("ab", True, 100, 10), Response("", False, 100, 10)]


def test_endless_body_is_not_read_to_its_end() -> None:
    with chat_server(failing_first(lambda: web.Response(body=b" " * 6_000_000))) as server:
        assert ask(server)[0].text == "yes"


@pytest.mark.parametrize("endpoint", ["", "localhost:8000", "file:///etc/passwd", "ftp://host/v1", "http:///v1"])
def test_endpoint_must_be_an_address(endpoint: str) -> None:
    with pytest.raises(ValueError, match="endpoint must be an address"):
        ServerBackend(endpoint, "tiny")


def test_password_in_the_endpoint_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="api_key") as caught:
        ServerBackend("http://user:hidden@localhost:8000/v1", "tiny")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("options", [{"timeout": 0}, {"repetitions": 0}, {"first_wait": -1}])
def test_numbers_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} >"):
        ServerBackend("http://localhost:8000/v1", "tiny", **options)


def test_other_host_is_named_before_use_and_this_one_is_not(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ServerBackend("http://[::1]:8000/v1", "tiny")
        assert not caplog.messages
        backend = ServerBackend("https://models.example.org/v1", "tiny", api_key="secret")
    assert caplog.messages == ["Text of reports will be sent to models.example.org."]
    assert "secret" not in repr(backend) + str(backend.identity)


def test_without_its_package_a_server_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'pedclip\[llm\]'"):
        asyncio.run(ServerBackend("http://localhost:1/v1", "tiny").complete(PROMPT))
