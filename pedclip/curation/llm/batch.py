"""Extraction from many reports: concurrent, in order, with its cost known before anything is sent."""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from pedclip.curation.excerpts import Excerpt, check_verbatim
from pedclip.curation.llm.conversation import converse
from pedclip.curation.llm.event_loop import running_loop
from pedclip.curation.llm.extractor import LLMExtractor, numbered
from pedclip.curation.llm.prompts import Prompt
from pedclip.curation.llm.response_cache import key_of
from pedclip.curation.report.parse import ParsedReport, Report, parse_report

if TYPE_CHECKING:
    import pandas as pd
    from ray.data import Dataset

Item = tuple[Report, tuple[str, ...] | None]  # a report and its filmed regions, None where only the text tells them
Excerpts = Mapping[str, Excerpt]

# Chunks, of as many reports as requests are sent at once, begun before the oldest one is done: a slow response does not
# hold up the others.
_AHEAD: Final = 8
_CHARACTERS_PER_TOKEN: Final = 4  # of English text, where no tokenizer is at hand
_TOKENS_OF_RESPONSE: Final = 40  # of a typical response in the mode `select`
_SECONDS_PER_REQUEST: Final = 2.0  # of an 8-billion-parameter model on one GPU, roughly


def extract_many(items: Iterable[Item], extractor: LLMExtractor, *, concurrency: int = 32) -> Iterator[Excerpts]:
    """Excerpts of each report, in the order given; equal prompts are sent once.

    A run that was killed is begun again with the same response cache: it asks nothing that was answered.

    Args:
        items: Reports with their filmed regions (None: as the text says). Read as needed, never all at once.
        extractor: The language model; its `usage` counts what was sent.
        concurrency: Requests at once, at least 1. Meanwhile other reports are read and responses checked.

    Yields:
        Excerpt by region, checked as `extract.extract_regions` checks it.

    Raises:
        BackendError: The model cannot be asked, or stopped answering; start again later.
        ValueError: The concurrency is below 1, or an excerpt holds what its report does not.
    """
    if concurrency < 1:
        raise ValueError(f"concurrency must be at least 1, got {concurrency}.")
    with running_loop(extractor.backend.close) as submit:
        # Twice as many reports in work as requests: while some wait for the model, the next ones are parsed.
        gates = asyncio.Semaphore(2 * concurrency), asyncio.Semaphore(concurrency)
        waiting: deque[Future[list[Excerpts]]] = deque()
        remaining = iter(items)
        # Handed over in chunks: a change of threads costs about as much as a request.
        while chunk := [(parse_report(report), regions) for report, regions in islice(remaining, concurrency)]:
            waiting.append(submit(_extract_all(extractor, chunk, *gates)))
            if len(waiting) >= _AHEAD:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


async def _extract_all(
    extractor: LLMExtractor,
    items: Iterable[tuple[ParsedReport, tuple[str, ...] | None]],
    work: asyncio.Semaphore,
    gate: asyncio.Semaphore,
) -> list[Excerpts]:
    """Excerpts of some reports: `work` bounds the reports that are read ahead, `gate` the requests."""

    async def enter(report: ParsedReport, regions: tuple[str, ...] | None) -> Excerpts:
        async with work:
            excerpts = await extractor.extract_async(report, regions, gate=gate)
        check_verbatim(excerpts, report)
        return excerpts

    return await asyncio.gather(*(enter(*item) for item in items))


@dataclass(frozen=True)
class Plan:
    """Estimate of what a run will ask, made without asking: no response is expected to be invalid.

    Attributes:
        reports: All of them.
        unique: Different ones, by text and films.
        by_rules: Different ones that no prompt is needed for: no film, or no sentence that may be a finding.
        requests: Still to be sent.
        remembered: Already answered in the response cache.
        prompt_tokens: Of the requests, from the tokenizer or as characters / 4.
        answer_tokens: Expected, in the same way.
        seconds: Duration of the run.
    """

    reports: int
    unique: int
    by_rules: int
    requests: int
    remembered: int
    prompt_tokens: int
    answer_tokens: int
    seconds: float

    def __str__(self) -> str:
        """The plan in a few lines, for a person who decides."""
        minutes, hours = self.seconds / 60, self.seconds / 3600
        return "\n".join(
            [
                f"reports   {self.reports:,} ({self.unique:,} different, {self.by_rules:,} of them need no question)",
                f"requests  {self.requests:,} to send, {self.remembered:,} already answered",
                f"tokens    {self.prompt_tokens:,} to read, about {self.answer_tokens:,} to write",
                f"duration  about {minutes:,.0f} minutes" + (f" ({hours:,.1f} hours)" if hours >= 1 else ""),
            ]
        )


def plan_extraction(
    items: Iterable[Item],
    extractor: LLMExtractor,
    *,
    concurrency: int = 32,
    seconds_per_request: float = _SECONDS_PER_REQUEST,
) -> Plan:
    """The dry run: requests, tokens and duration of `extract_many`, with nothing sent.

    Args:
        items: As for `extract_many`.
        extractor: As for `extract_many`; its cache is read, so that a continued run is estimated as what is left.
        concurrency: As for `extract_many`.
        seconds_per_request: Time for one response while so many are asked at once.
    """
    seen: set[bytes] = set()  # hashes: an archive of texts need not fit into memory
    asked: set[str] = set()
    reports = by_rules = remembered = prompts = responses = 0
    for report, regions in items:
        reports += 1
        parsed = parse_report(report)
        # Equal texts with other films are asked otherwise, so both make the difference.
        digest = hashlib.sha256(repr((parsed.text, regions)).encode()).digest()
        if digest in seen:
            continue
        seen.add(digest)
        left, answered = _left_to_ask(extractor, parsed, regions)
        by_rules += not left and not answered
        remembered += answered
        # Two reports may lead to the same prompt; it is counted once, as it is sent once.
        for prompt in (prompt for key, prompt in left.items() if key not in asked):
            prompts += _count_tokens(extractor, prompt)
            responses += _expected_tokens(extractor, prompt)
        asked |= left.keys()
    seconds = len(asked) * seconds_per_request / concurrency
    return Plan(reports, len(seen), by_rules, len(asked), remembered, prompts, responses, seconds)


def _left_to_ask(
    extractor: LLMExtractor, parsed: ParsedReport, regions: tuple[str, ...] | None
) -> tuple[dict[str, Prompt], int]:
    """Prompts about one report by key, and the number of those that the response cache answers."""
    report = numbered(parsed, regions)
    if not report.films or not report.sentences or regions == ():
        return {}, 0
    # The conversation is led with the stored responses until the first one is missing.
    exchange = converse(report, extractor.procedure)
    answered = 0
    try:
        prompt = next(exchange)
        while stored := extractor.cache.get(key_of(prompt, extractor.backend.identity)):
            answered += 1
            prompt = exchange.send(stored)
    except StopIteration:
        return {}, answered
    key = key_of(prompt, extractor.backend.identity)
    left = {key: prompt}
    if answered == 0 and extractor.procedure.passes == 2 and len(report.films) > 1:
        left[f"{key}, second pass"] = prompt  # not known before the first is answered, and no longer than it
    return left, answered


def _count_tokens(extractor: LLMExtractor, prompt: Prompt) -> int:
    text = "".join(content for _, content in prompt.messages)
    count = extractor.backend.count_tokens(text)
    return -(-len(text) // _CHARACTERS_PER_TOKEN) if count is None else count


def _expected_tokens(extractor: LLMExtractor, prompt: Prompt) -> int:
    if extractor.procedure.mode == "select":
        return min(_TOKENS_OF_RESPONSE, prompt.max_tokens)
    return prompt.max_tokens // 2


class _Worker:
    """One process of `ray_extract`."""

    def __init__(self, make_extractor: Callable[[], LLMExtractor], column: str, regions: str, concurrency: int) -> None:
        self.extractor = make_extractor()
        self.column, self.regions, self.concurrency = column, regions, concurrency

    def __call__(self, batch: "pd.DataFrame") -> "pd.DataFrame":
        reports = batch[self.column].astype(str)
        regions = [tuple(names) for names in batch[self.regions]] if self.regions else [None] * len(batch)
        found = extract_many(zip(reports, regions, strict=True), self.extractor, concurrency=self.concurrency)
        # One row per region: a report with three films is repeated three times, one with none falls out.
        rows = [(i, region, part.text, part.source) for i, parts in enumerate(found) for region, part in parts.items()]
        result = batch.drop(columns=[self.column]).iloc[[i for i, *_ in rows]].reset_index(drop=True)
        return result.assign(
            region=[region for _, region, *_ in rows],
            text=[text for _, _, text, _ in rows],
            text_source=[source for *_, source in rows],
        )


def ray_extract(
    dataset: "Dataset",
    make_extractor: Callable[[], LLMExtractor],
    *,
    report_column: str = "report",
    regions_column: str = "",
    workers: int = 2,
    concurrency: int = 32,
) -> "Dataset":
    """`extract_many` over several machines: a Ray dataset of reports to one of excerpts.

    Args:
        dataset: One row per report.
        make_extractor: Called once in each worker; a response cache that it opens must be local to the machine.
        report_column: Column of the text; it is not copied to the result.
        regions_column: Column with the list of filmed regions; "" where only the text tells them.
        workers: Processes over all machines, at least 1.
        concurrency: Requests at once per worker.

    Returns:
        One row per report and region: the other columns, with `region`, `text` and `text_source`. Nothing has run
        yet; Ray computes it where it is read.

    Raises:
        ModuleNotFoundError: Ray is not installed.
    """
    try:
        import ray.data
    except ModuleNotFoundError as error:  # an extra that few need
        raise ModuleNotFoundError("several machines need Ray: pip install 'pedclip[ray]'") from error
    return dataset.map_batches(
        _Worker,
        fn_constructor_args=(make_extractor, report_column, regions_column, concurrency),
        batch_format="pandas",
        compute=ray.data.ActorPoolStrategy(size=workers),
    )
