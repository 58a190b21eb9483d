"""An OpenAI-compatible server in a thread, whose responses a test decides; and a model that answers well."""

import asyncio
import json
import re
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from pedclip.anatomy import REGIONS
from pedclip.curation.llm.prompts import Prompt
from pedclip.curation.llm.response_cache import key_of
from pedclip.curation.report.exam_labels import read_label

Payload = dict[str, Any]
RESET = web.Response(status=499)  # as a reply: the connection is cut without one
Reply = str | web.StreamResponse
Model = Callable[[Payload, int], Reply | Awaitable[Reply]]


class ChatServer:
    """What a test sees of the server.

    Attributes:
        endpoint: Address up to the version.
        payloads: Requests in order of arrival.
        headers: Their headers.
        served: Requests that were answered with status 200, by cache key.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.endpoint = ""
        self.payloads: list[Payload] = []
        self.headers: list[Mapping[str, str]] = []
        self.served: Counter[str] = Counter()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        payload = await request.json()
        self.payloads.append(payload)
        self.headers.append(request.headers)
        reply = self.model(payload, len(self.payloads))
        if not isinstance(reply, str | web.StreamResponse):
            reply = await reply
        if isinstance(reply, str):
            reply = completion(reply)
        if reply is RESET and request.transport is not None:
            request.transport.abort()
        if reply.status == 200:
            self.served[payload_key(payload)] += 1
        return reply


@contextmanager
def chat_server(model: Model) -> Iterator[ChatServer]:
    """Serve a model at a free port of the loopback device while the block runs."""
    server = ChatServer(model)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> web.AppRunner:
        application = web.Application()
        application.router.add_post("/v1/chat/completions", server.handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def completion(text: str | None, *, finish: str = "stop") -> web.Response:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
    return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 10}})


def payload_key(payload: Payload) -> str:
    """The key under which the response to a request is put into the cache."""
    messages = tuple((message["role"], message["content"]) for message in payload["messages"])
    schema = payload.get("response_format", {}).get("json_schema", {}).get("schema", {})
    identity = {"model": payload["model"], "temperature": 0, "seed": payload["seed"]}
    return key_of(Prompt(messages, schema, payload["max_tokens"]), identity)


def good_model(payload: Payload, _: int = 0) -> str:
    """Keeps every sentence, and gives each to the films of the heading above it."""
    prompt = payload["messages"][1]["content"]
    if '{"keep"' in prompt:
        return json.dumps({"keep": [int(number) for number in re.findall(r"^\[(\d+)\]", prompt, re.MULTILINE)]})
    return json.dumps({"excerpts": by_heading(prompt)})


def by_heading(prompt: str) -> Mapping[str, list[int]]:
    films = [name for name in re.findall(r'"(\w+)": \[', prompt) if name in REGIONS]
    found: dict[str, list[int]] = {film: [] for film in films}
    current = films
    for line in prompt.splitlines():
        if number := re.match(r"\[(\d+)\] ", line):
            for film in current:
                found[film].append(int(number[1]))
        elif (label := read_label(line)) and label.regions:
            current = [film for film in films if film in label.regions]
    return found
