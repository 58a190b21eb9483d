"""Extraction of excerpts by a language model, with rules where no valid response can be had.

One report is one conversation (`conversation.converse`); here its prompts are sent, or answered from the cache. For
many reports at once see `batch`.
"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from pedclip.curation.excerpts import Excerpt, joined
from pedclip.curation.llm.client import Backend, BackendUnavailable, PromptRefused, Response, ServerBackend
from pedclip.curation.llm.conversation import Procedure, converse
from pedclip.curation.llm.event_loop import running_loop
from pedclip.curation.llm.grounding import is_instruction
from pedclip.curation.llm.local_model import load_model
from pedclip.curation.llm.prompts import Mode, NumberedReport, Prompt, number_report
from pedclip.curation.llm.response_cache import ResponseCache, key_of
from pedclip.curation.llm.responses import Rejection, read_rewritten
from pedclip.curation.report.filmed_regions import filmed_regions
from pedclip.curation.report.language import OtherLanguage
from pedclip.curation.report.parse import ParsedReport, Report, parse_report
from pedclip.curation.rules import RulesExtractor

Gate = AbstractAsyncContextManager[None]

# So many reports in a row without a response are no accident: rules must not replace a model that is down.
_MOST_FAILURES: Final = 20


@dataclass
class Usage:
    """Cost of a run so far."""

    reports: int = 0
    requests: int = 0  # sent to the model and answered
    remembered: int = 0  # answered from the cache, or together with an equal prompt
    prompt_tokens: int = 0  # of the requests, as far as the server counts them
    answer_tokens: int = 0  # likewise
    refused: int = 0  # reports that the model could not take, or that got no response: by rules
    invalid: int = 0  # reports without a valid response after all attempts: by rules

    def __str__(self) -> str:
        """One line for a log."""
        return ", ".join(f"{field.name.replace('_', ' ')} {getattr(self, field.name)}" for field in fields(self))


class LLMExtractor:
    """Excerpts by a language model in two passes; `Excerpt.source` says for each report whether rules stepped in.

    Every response is untrusted: only sentences of the report come out, those under the headings of history, technique
    and comparison never do, and only filmed regions get any.

    Args:
        backend: The model.
        procedure: Mode, passes and attempts.
        cache: Responses of earlier runs; None keeps those of this object in memory.

    Source: PedCLIP, section 2.1: an LLM (Llama-3.1) removes history and irrelevant context, then extracts the text of
        each listed body part. Differs: the mode `select`, and that responses are checked.
    """

    def __init__(
        self, backend: Backend, procedure: Procedure | None = None, *, cache: ResponseCache | None = None
    ) -> None:
        self.backend = backend
        self.procedure = procedure or Procedure()
        self.cache = ResponseCache() if cache is None else cache
        self.usage = Usage()
        self._asked: dict[str, asyncio.Task[Response]] = {}  # by key, while on their way
        self._failures = 0  # reports in a row without a response

    def extract(self, report: Report, regions: tuple[str, ...] | None) -> Mapping[str, Excerpt]:
        """Excerpts of these regions, or of every filmed one for None; for many reports use `batch.extract_many`.

        Raises:
            BackendError: The model cannot be asked at all.
        """
        with running_loop(self.backend.close) as submit:
            excerpts: Mapping[str, Excerpt] = submit(self.extract_async(parse_report(report), regions)).result()
        return excerpts

    async def extract_async(
        self, report: ParsedReport, regions: tuple[str, ...] | None, *, gate: Gate | None = None
    ) -> Mapping[str, Excerpt]:
        """`extract` for a caller with an event loop; equal prompts that meet are asked once.

        Args:
            report: The report, parsed.
            regions: As for `extract`.
            gate: Held during each request, and only then: the next prompt is ready when it opens.
        """
        self.usage.reports += 1
        choices = numbered(report, regions)
        # Nothing to choose, nothing to ask: no film of use, or no sentence that may be a finding.
        wanted = tuple(choices.films) if regions is None else regions
        excerpts = await self._ask(choices, gate or nullcontext()) if wanted and choices.sentences else None
        if excerpts is None:
            excerpts = _by_rules(report, regions)
        # The films that only the text names took part, so that theirs did not end up elsewhere; they are not wanted.
        return {region: excerpts[region] for region in wanted}

    async def _ask(self, report: NumberedReport, gate: Gate) -> dict[str, Excerpt] | None:
        """The excerpts of all films, None where rules must do."""
        exchange = converse(report, self.procedure)
        try:
            prompt = next(exchange)
            while True:
                prompt = exchange.send(await self._respond(prompt, gate))
        except StopIteration as stop:  # how a generator returns its value
            self._failures = 0
            if isinstance(stop.value, Rejection):
                self.usage.invalid += 1
                return None
            return dict(stop.value)
        except (BackendUnavailable, PromptRefused):
            self.usage.refused += 1
            self._failures += 1
            if self._failures >= _MOST_FAILURES:
                raise
            return None

    async def _respond(self, prompt: Prompt, gate: Gate) -> Response:
        key = key_of(prompt, self.backend.identity)
        stored = self.cache.get(key)
        if stored is not None:
            self.usage.remembered += 1
            return stored
        if key in self._asked:
            self.usage.remembered += 1
        else:  # a task, so that an equal prompt that comes meanwhile can wait for the same response
            self._asked[key] = asyncio.create_task(self._send(key, prompt, gate))
        return await self._asked[key]

    async def _send(self, key: str, prompt: Prompt, gate: Gate) -> Response:
        try:
            async with gate:
                response = await self.backend.complete(prompt)
            self.cache.put(key, response)  # before it is used: a kill loses nothing that was paid for
        finally:
            del self._asked[key]
        self.usage.requests += 1
        self.usage.prompt_tokens += response.prompt_tokens
        self.usage.answer_tokens += response.answer_tokens
        return response


def numbered(report: Report, regions: tuple[str, ...] | None) -> NumberedReport:
    """A report with its films: the given ones and those that the text names, so that theirs do not end up elsewhere."""
    parsed = parse_report(report)
    return number_report(parsed, filmed_regions(parsed, given=regions or ()))


def _by_rules(report: ParsedReport, regions: tuple[str, ...] | None) -> dict[str, Excerpt]:
    """Excerpts by rules; text that speaks to a model is no finding there either."""
    try:
        found = RulesExtractor().extract(report, regions)
    except OtherLanguage:  # what the model did not answer, the rules cannot read
        return {name: joined((), source="rules") for name in regions or filmed_regions(report)}
    return {
        region: joined((s for s in excerpt.sentences if not is_instruction(s.text)), source=excerpt.source)
        for region, excerpt in found.items()
    }


def language_model(
    endpoint: str, model: str, mode: Mode, *, responses: str | Path = "", in_process: bool = False
) -> LLMExtractor:
    """A language model behind a server or in this process; making it sends nothing.

    The key of the server is taken from the environment variable PEDCLIP_API_KEY, as a parameter would be stored.

    Args:
        endpoint: Address such as "http://localhost:8000/v1"; "" stands for this one, to plan without a server.
        model: Name that the server knows the model by; in this process as for `local_model.load_model`.
        mode: "select" or "rewrite".
        responses: File that keeps the responses for the next run; "" keeps them in memory.
        in_process: Load the model here, on the GPU where there is one; there must be no endpoint then.

    Raises:
        ValueError: Both an endpoint and this process; or as `local_model.load_model`.
        FileNotFoundError: As `local_model.load_model`.
        ModuleNotFoundError: As `local_model.load_model`.
        BackendError: As `local_model.load_model`.
    """
    if in_process and endpoint:
        raise ValueError(f"expected an endpoint or this process, got {endpoint!r} and in_process=True.")
    backend: Backend
    if in_process:
        backend = load_model(model)
    else:
        key = os.environ.get("PEDCLIP_API_KEY", "")
        backend = ServerBackend(endpoint or "http://localhost:8000/v1", model, api_key=key)
    return LLMExtractor(backend, Procedure(mode=mode), cache=ResponseCache(responses))


def verdict(response: str, report: Report, regions: tuple[str, ...]) -> str:
    """Result of the check of the mode "rewrite": "accepted", or "refused" with the reason."""
    found = read_rewritten(response, numbered(report, regions).texts, regions)
    return f"refused: {found.reason}" if isinstance(found, Rejection) else "accepted"
