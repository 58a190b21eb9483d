"""Backends of a language model: any OpenAI-compatible server, or transformers in this process.

The text of reports goes to the endpoint that the user names and nowhere else: there is no default endpoint, redirects
and proxies of the environment are not followed, and a host that is not this machine is named before it is used.
"""

import asyncio
import ipaddress
import json
import logging
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from pedclip.curation.llm.prompts import Prompt

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

_logger = logging.getLogger(__name__)

_TRANSIENT: Final = frozenset({408, 409, 425, 429})  # and whatever is 500 or more, except 501
_REFUSED: Final = frozenset({400, 413, 415, 422, 501})
_LONGEST_BODY: Final = 4_000_000  # bytes; a server that sends more is not answering the question
_LONGEST_WAIT: Final = 300.0  # seconds; a server that asks for more is down
# All that a request says beside the prompt. The last one tells the `openai` package, not the server, to hand over the
# body unread; the others that it adds (operating system, organization, OPENAI_CUSTOM_HEADERS) concern nobody.
_SENT_HEADERS: Final = frozenset(
    {"host", "connection", "content-type", "content-length", "accept", "accept-encoding", "user-agent"}
    | {"x-stainless-raw-response"}
)


@dataclass(frozen=True)
class Response:
    """Response of a model.

    Attributes:
        text: What it wrote.
        is_cut: True where it was cut at the longest length allowed.
        prompt_tokens: Tokens read, 0 where unknown.
        answer_tokens: Tokens written, 0 where unknown.
    """

    text: str
    is_cut: bool = False
    prompt_tokens: int = 0
    answer_tokens: int = 0


class BackendError(RuntimeError):
    """A model that cannot be asked at all: no such model, no permission. The message says what to change."""


class BackendUnavailable(BackendError):
    """A server that gave no answer after every repetition."""


class PromptRefused(BackendError):
    """One prompt that the model cannot take, such as a report longer than its context."""


class Backend(Protocol):
    """A chat model."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Model and parameters, as far as a response depends on them."""

    async def complete(self, prompt: Prompt) -> Response:
        """Answer one prompt; many may be asked at once. Raises `BackendError` or one of its kinds."""

    def count_tokens(self, text: str) -> int | None:
        """Number of tokens of a text, None where only the server knows."""

    async def close(self) -> None:
        """Give back connections; a later prompt opens them again."""


@dataclass
class ServerBackend:
    """A model behind an OpenAI-compatible server: vLLM, llama.cpp, Ollama, `transformers serve`.

    The `openai` package sends the prompts; when to send one again is decided here, for all together. A busy or
    failing server (429, 5xx, lost connection, no answer in time) is asked again with growing pauses, as it says in
    `Retry-After`. Whether it takes a JSON schema (`response_format`) is found out once.

    Args:
        endpoint: Address up to and including the version, such as "http://localhost:8000/v1".
        model: Name that the server knows the model by.
        api_key: Sent as a bearer token; "" for none. Never stored.
        timeout: Seconds for one answer, above 0.
        repetitions: Times that one prompt is sent at most, at least 1.
        first_wait: Seconds before the first repetition, at least 0, doubled each time, with jitter.
        seed: Of the sampling and of the jitter; the temperature is 0.

    Raises:
        ValueError: The endpoint is no http(s) address, or holds a password, the key is no single line of ASCII, or a
            number is out of range.
    """

    endpoint: str
    model: str
    api_key: str = field(default="", repr=False)
    timeout: float = 120.0
    repetitions: int = 6
    first_wait: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        """Check endpoint and ranges, and name the host that will see the reports."""
        if self.timeout <= 0 or self.repetitions < 1 or self.first_wait < 0:
            given = f"{self.timeout}, {self.repetitions} and {self.first_wait}"
            raise ValueError(f"expected timeout > 0, repetitions >= 1 and first_wait >= 0, got {given}.")
        address = urlsplit(self.endpoint)
        if address.username is not None:  # every message and log names the endpoint
            raise ValueError("endpoint holds a user or password; pass the key as api_key instead.")
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise ValueError(f'endpoint must be an address such as "http://localhost:8000/v1", got {self.endpoint!r}.')
        if not (self.api_key.isascii() and self.api_key.isprintable()):  # such as a line break at its end
            raise ValueError("api_key holds a character that cannot be sent; expected one line of ASCII.")
        if not is_loopback(address.hostname):
            _logger.warning("Text of reports will be sent to %s.", address.hostname)
        self._client: AsyncOpenAI | None = None
        self._takes_schema: bool | None = None
        self._resume_at = 0.0
        self._jitter = random.Random(self.seed)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Model and parameters; the address is left out, as it says nothing of the response."""
        return {"model": self.model, "temperature": 0, "seed": self.seed}

    def count_tokens(self, text: str) -> int | None:
        """Unknown here."""
        return None

    async def complete(self, prompt: Prompt) -> Response:
        """Answer one prompt.

        Raises:
            BackendUnavailable: No answer after all repetitions.
            PromptRefused: The server does not take this prompt.
            BackendError: The server does not know the model or the caller, or answers from another address.
        """
        for repetition in range(self.repetitions):
            await self._pause()
            outcome = await self._send(prompt)
            if isinstance(outcome, Response):
                return outcome
            wait = self.first_wait * 2**repetition * self._jitter.uniform(0.5, 1.0)
            if (outcome or 0) > _LONGEST_WAIT:
                break
            if outcome is not None:  # the server says when: that holds for every prompt
                self._resume_at = max(self._resume_at, time.monotonic() + outcome)
            if repetition + 1 < self.repetitions:
                await asyncio.sleep(min(wait, _LONGEST_WAIT))
        raise BackendUnavailable(f"{self._host} gave no answer to a question sent {self.repetitions} times.")

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    @property
    def _host(self) -> str:
        return urlsplit(self.endpoint).netloc

    async def _pause(self) -> None:
        while (wait := self._resume_at - time.monotonic()) > 0:
            await asyncio.sleep(wait + self._jitter.uniform(0, self.first_wait))

    async def _send(self, prompt: Prompt) -> Response | float | None:
        """The response; or the seconds that a failing server asks for, None where it does not say."""
        has_schema = self._takes_schema is not False
        status, headers, body = await self._post(prompt, has_schema=has_schema)
        if status in _REFUSED and has_schema and self._takes_schema is None:
            has_schema = False
            status, headers, body = await self._post(prompt, has_schema=False)
        if status == 200:
            response = _read_completion(body)
            if response is not None and self._takes_schema is None:
                self._takes_schema = has_schema
            return response
        if status in _REFUSED:
            raise PromptRefused(f"{self._host} refuses a question (status {status}).")
        if status == 0 or status in _TRANSIENT or status >= 500:
            return _retry_after(headers.get("Retry-After", ""))
        raise BackendError(
            f"{self._host} answers with status {status}; check the endpoint {self.endpoint!r}, "
            f"the model {self.model!r} and the key. Redirects are not followed, so that reports go nowhere else."
        )

    async def _post(self, prompt: Prompt, *, has_schema: bool) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body; status 0 where there was no complete response."""
        client = self._client = self._client or self._open()
        import httpx2
        import openai

        payload, body = self._payload(prompt, has_schema=has_schema), bytearray()
        # As `extra_body` the payload is sent as it is; converting it as arguments takes a quarter of the client's time.
        sent = client.chat.completions.with_streaming_response.create(
            model=self.model, messages=payload.pop("messages"), extra_body=payload
        )
        try:
            # The time-out of httpx is for each read, and a server that trickles never exceeds it.
            async with asyncio.timeout(self.timeout), sent as response:
                async for part in response.iter_bytes():
                    body += part
                    if len(body) >= _LONGEST_BODY:
                        break
                return response.status_code, response.headers, bytes(body)
        except openai.APIStatusError as error:
            return error.status_code, error.response.headers, b""
        except (openai.APIConnectionError, httpx2.HTTPError, TimeoutError, OSError):
            return 0, {}, b""

    def _open(self) -> "AsyncOpenAI":
        try:
            import httpx2
            import openai
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("a model behind a server needs openai: pip install 'pedclip[llm]'") from error
        http = httpx2.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            timeout=None,
            # How many prompts are sent at once is the caller's choice, hence no limit here.
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
            event_hooks={"request": [self._strip_headers], "response": [_close_failure]},
        )
        # The key is set by the hook: without one, the package would take OPENAI_API_KEY and send it to this endpoint.
        return openai.AsyncOpenAI(base_url=self.endpoint, api_key="none", max_retries=0, timeout=None, http_client=http)

    async def _strip_headers(self, request: "httpx2.Request") -> None:
        for name in set(request.headers) - _SENT_HEADERS:
            del request.headers[name]
        if self.api_key:
            request.headers["Authorization"] = f"Bearer {self.api_key}"

    def _payload(self, prompt: Prompt, *, has_schema: bool) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": role, "content": text} for role, text in prompt.messages],
            "max_tokens": prompt.max_tokens,
            "temperature": 0,
            "seed": self.seed,
        }
        if has_schema:
            schema = {"name": "answer", "strict": True, "schema": prompt.schema}
            payload["response_format"] = {"type": "json_schema", "json_schema": schema}
        return payload


async def _close_failure(response: "httpx2.Response") -> None:
    """Leave the body of a failure unread: it may be endless, and the `openai` package would put it into its error."""
    if not response.is_success:
        await response.aclose()


def is_loopback(host: str) -> bool:
    """True where a host name is this machine.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("localhost.example.org")
        (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _read_completion(body: bytes) -> Response | None:
    """The response in a body, None where the body has another form."""
    try:
        content = json.loads(body)
        choice = content["choices"][0]
        text = choice["message"]["content"] or ""
        usage = content.get("usage") or {}
        tokens = [int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return None
    return Response(text, choice.get("finish_reason") == "length", *tokens) if isinstance(text, str) else None


def _retry_after(value: str) -> float | None:
    """Seconds in a Retry-After header, which holds seconds or a date."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
