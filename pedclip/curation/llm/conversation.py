"""The prompts and responses about one report, without anything that sends them.

A generator yields prompts and is sent responses, so that the same code serves a server, a model in this process, a
cache, and the estimate of costs.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from pedclip.curation.excerpts import Excerpt, joined
from pedclip.curation.llm.client import Response
from pedclip.curation.llm.prompts import MODES, Mode, NumberedReport, Prompt, extract_prompt, strip_prompt
from pedclip.curation.llm.responses import Rejection, Sourced, read_cleaned, read_kept, read_rewritten, read_selected
from pedclip.triplets.encoding import without_control

SOURCES: Final[dict[Mode, str]] = {"select": "llm-select", "rewrite": "llm-rewrite"}

Result = TypeVar("Result")
Exchange = Generator[Prompt, Response, Result]


@dataclass(frozen=True)
class Procedure:
    """Procedure by which a model is asked.

    Args:
        mode: "select" (numbers of sentences; short, and nothing can be invented) or "rewrite" (text, as published).
        passes: 2 (drop history and the like, then extract, as published) or 1 (extract only: half the requests).
        attempts: Times that a prompt is sent until the response is valid, at least 1.

    Raises:
        ValueError: A value is out of range.
    """

    mode: Mode = "select"
    passes: Literal[1, 2] = 2
    attempts: int = 3

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}.")
        if self.passes not in (1, 2) or self.attempts < 1:
            raise ValueError(f"expected 1 or 2 passes and at least 1 attempt, got {self.passes} and {self.attempts}.")


def converse(report: NumberedReport, procedure: Procedure) -> Exchange[dict[str, Excerpt] | Rejection]:
    """Ask what a report says of each film.

    A report with one film skips the second pass: all that the first one keeps is about this film.

    Yields:
        Prompts; a `Response` is sent back for each.

    Returns:
        The excerpt of each film, or why the last response was not valid.
    """
    kept: tuple[Sourced, ...] = tuple(report.texts.items())  # with one pass, everything
    if procedure.passes == 2:
        stripped = yield from _strip(report, procedure)
        if isinstance(stripped, Rejection):
            return stripped
        kept = stripped
        if len(report.films) == 1:  # the second prompt would have one answer
            return {region: _excerpt(kept, report, procedure.mode) for region in report.films}
    parts = yield from _extract(report, procedure, kept)
    if isinstance(parts, Rejection):
        return parts
    return {region: _excerpt(part, report, procedure.mode) for region, part in parts.items()}


def _strip(report: NumberedReport, procedure: Procedure) -> Exchange[tuple[Sourced, ...] | Rejection]:
    prompt = strip_prompt(report, procedure.mode)
    read = read_kept if procedure.mode == "select" else read_cleaned
    return (yield from _ask(prompt, procedure.attempts, lambda response: read(response, report.texts)))


def _extract(
    report: NumberedReport, procedure: Procedure, kept: tuple[Sourced, ...]
) -> Exchange[dict[str, tuple[Sourced, ...]] | Rejection]:
    prompt = extract_prompt(report, procedure.mode, kept)
    # The second response is checked against what the second prompt showed, not against the whole report.
    shown = {number: report.sentences[number].text for number, _ in kept}
    read = read_selected if procedure.mode == "select" else read_rewritten
    return (yield from _ask(prompt, procedure.attempts, lambda response: read(response, shown, tuple(report.films))))


def _ask(prompt: Prompt, attempts: int, read: Callable[[str], Result | Rejection]) -> Exchange[Result | Rejection]:
    """One prompt, repeated with the reason while its response is not valid."""
    found: Result | Rejection = Rejection("nothing was asked")  # never returned: there is at least one attempt
    for _ in range(attempts):
        response = yield prompt
        found = read(response.text)
        if not isinstance(found, Rejection):
            return found
        if response.is_cut:  # the true reason, whatever the parser said of the torso
            found = Rejection("it was cut off before its end; write nothing but the JSON object")
        prompt = prompt.again(response.text, found.reason)
    return found


def _excerpt(part: tuple[Sourced, ...], report: NumberedReport, mode: Mode) -> Excerpt:
    # The sentences of the report stand behind the text in either mode, each once.
    sentences = joined((report.sentences[number] for number in sorted({number for number, _ in part})), source="")
    text = sentences.text if mode == "select" else " ".join(text for _, text in part)
    # A model may write what no report holds.
    return Excerpt(without_control(text), sentences.sentences, SOURCES[mode])
