"""What each kind of server leads to: an answer, another try, a refusal, or an error that says what to change."""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
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
    schema = {"name": "answer", "strict": True, "schema": {"type": "object"}}
    assert payload["response_format"] == {"type": "json_schema", "json_schema": schema}
    del payload["messages"], payload["response_format"]
    assert payload == {"model": "tiny", "max_tokens": 50, "temperature": 0, "seed": 0}
    assert server.headers[0]["Authorization"] == "Bearer secret"
    assert server.headers[0]["Content-Type"] == "application/json"


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


def test_server_that_trickles_is_given_up_after_the_timeout_too() -> None:
    async def trickle() -> AsyncIterator[bytes]:
        for _ in range(50):
            await asyncio.sleep(0.1)
            yield b" "

    begin = time.monotonic()
    with chat_server(failing_first(lambda: web.Response(body=trickle()))) as server:
        assert ask(server, timeout=0.5)[0].text == "yes"
    assert len(server.payloads) == 2
    assert time.monotonic() - begin < 4


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_obeyed(form: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    headers = {"Retry-After": "1" if form == "seconds" else date}
    begin = time.monotonic()
    with chat_server(failing_first(lambda: web.Response(status=429, headers=headers))) as server:
        assert ask(server)[0].text == "yes"
    assert time.monotonic() - begin > 0.9


def test_retry_after_of_one_prompt_holds_for_all() -> None:
    arrivals = []

    def model(_: dict[str, Any], count: int) -> Any:
        arrivals.append(time.monotonic())
        return web.Response(status=429, headers={"Retry-After": "1"}) if count == 1 else "yes"

    async def run(server: ChatServer) -> None:
        backend = ServerBackend(server.endpoint, "tiny", first_wait=0.001)
        first = asyncio.create_task(backend.complete(PROMPT))
        while not arrivals:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        await asyncio.gather(first, *(backend.complete(PROMPT) for _ in range(3)))
        await backend.close()

    with chat_server(model) as server:
        asyncio.run(run(server))
    assert len(arrivals) == 5
    assert all(arrival - arrivals[0] > 0.9 for arrival in arrivals[1:])


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
    target = {"Location": "/v1/chat/completions"}  # a redirect that is followed arrives here again
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


def test_long_body_is_not_read_to_its_end() -> None:
    long = completion("no")
    long.body = b" " * 6_000_000 + long.body  # a good answer to whoever reads on
    with chat_server(failing_first(lambda: long)) as server:
        assert ask(server)[0].text == "yes"


def test_body_of_a_failure_is_not_read() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 1_000_000

    with chat_server(failing_first(lambda: web.Response(status=500, body=endless()))) as server:
        assert ask(server, timeout=2)[0].text == "yes"
    assert sent < 50


def test_variables_of_the_openai_package_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID"):
        monkeypatch.setenv(f"OPENAI_{name}", "ambient")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/elsewhere")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer ambient\nX-Other: ambient")
    with chat_server(lambda *_: "yes") as server:
        assert ask(server)[0].text == "yes"
        assert ask(server, api_key="secret")[0].text == "yes"
    assert not any("ambient" in value for headers in server.headers for value in headers.values())
    assert "Authorization" not in server.headers[0]
    assert server.headers[1]["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_proxies_of_the_environment_are_not_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with chat_server(lambda *_: "yes") as server:
        assert ask(server, repetitions=1)[0].text == "yes"


@pytest.mark.parametrize("status", [200, 307, 400, 401, 500])
def test_no_error_and_no_log_holds_the_key_or_the_prompt(status: int, caplog: pytest.LogCaptureFixture) -> None:
    def model(payload: dict[str, Any], _: int) -> web.Response:
        return web.json_response({"error": {"message": str(payload)}}, status=status)

    with caplog.at_level(logging.DEBUG), chat_server(model) as server:
        with pytest.raises(BackendError) as caught:
            ask(server, api_key="secret-key", repetitions=2)
    error: BaseException | None = caught.value
    told = caplog.text
    while error is not None:
        told += repr(error)
        error = error.__cause__ or error.__context__
    assert "secret-key" not in told
    assert "'content'" not in told


@pytest.mark.parametrize("key", ["hidden\n", "hidden\u2026"])
def test_key_that_no_header_can_carry_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ValueError, match="one line of ASCII") as caught:
        ServerBackend("http://localhost:8000/v1", "tiny", api_key=key)
    assert "hidden" not in str(caught.value)


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
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'pedclip\[llm\]'"):
        asyncio.run(ServerBackend("http://localhost:1/v1", "tiny").complete(PROMPT))
