"""Prompts of a language model: the numbered sentences of a report, and the two requests of each mode."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from pedclip.anatomy import display_name
from pedclip.curation.llm.grounding import is_instruction
from pedclip.curation.report.lexicon import NECK
from pedclip.curation.report.parse import ParsedReport
from pedclip.curation.report.sentences import Sentence

Mode = Literal["select", "rewrite"]
MODES: Final[tuple[Mode, ...]] = ("select", "rewrite")

# No sentence under another heading can be a finding, so no other is offered to the model.
_FINDING_SECTIONS: Final = frozenset({"findings", "impression", "other"})
_SLACK_TOKENS: Final = 128  # for remarks around the JSON
_TOKENS_PER_NUMBER: Final = 3
_TOKENS_PER_REGION: Final = 16
_CHARACTERS_PER_TOKEN: Final = 3  # of a response, at least; an estimate of four is used for costs


@dataclass(frozen=True)
class Prompt:
    """One request to a chat model.

    Attributes:
        messages: Pairs of role ("system", "user", "assistant") and text.
        schema: JSON schema of the response.
        max_tokens: Length at which the response is cut.
    """

    messages: tuple[tuple[str, str], ...]
    schema: Mapping[str, Any]
    max_tokens: int

    def again(self, response: str, reason: str) -> "Prompt":
        """The same prompt after a response that could not be used."""
        retry = str(_wording()["again"]).format(reason=reason)
        # A long response went wrong at its beginning; the rest would only cost tokens.
        turns = (("assistant", response[:2000]), ("user", retry))
        return Prompt((*self.messages[:2], *turns), self.schema, self.max_tokens)


@dataclass(frozen=True)
class NumberedReport:
    """The parts of a report that a model may see and choose from.

    Attributes:
        lines: Section names and headings as they stand, and the numbers of the sentences between them.
        sentences: Sentences that may be findings, by number from 1.
        text: The report without text that speaks to a model, for the mode `rewrite`.
        films: Filmed regions with their side, "" where none is known.
    """

    lines: tuple[str | int, ...]
    sentences: Mapping[int, Sentence]
    text: str
    films: Mapping[str, str]

    @property
    def texts(self) -> dict[int, str]:
        """The sentences without their spans."""
        return {number: sentence.text for number, sentence in self.sentences.items()}


def number_report(report: ParsedReport, films: Mapping[str, str]) -> NumberedReport:
    """Number the sentences of a report that may be findings.

    Sentences under the headings of history, technique, comparison and the like, and sentences that speak to a
    language model instead of about films, get no number: they are not sent in the mode `select`, and nothing that a
    model says can bring them back.

    Args:
        report: The report as from `parse_report`.
        films: Filmed regions with their side.

    Example:
        >>> from pedclip.curation.report.parse import parse_report
        >>> report = number_report(parse_report("HISTORY: Fall. FINDINGS: Knee: No fracture."), {"knee": "left"})
        >>> report.lines, report.texts
        (('FINDINGS', 'Knee:', 1), {1: 'No fracture.'})
    """
    lines: list[str | int] = []
    sentences: dict[int, Sentence] = {}
    hidden: list[tuple[int, int]] = []
    section = None
    for line in report.lines:
        if is_instruction(line.sentence.text):
            # In the mode `rewrite` the model sees the text, so it is cut out there as well.
            hidden.append((line.sentence.start, line.sentence.end))
            continue
        if line.section.name not in _FINDING_SECTIONS:
            continue
        # The name of a section stands once, before its first line.
        if line.section is not section:
            section = line.section
            lines.append(section.name.upper())
        if line.sentence_type == "heading":
            lines.append(line.sentence.text)
        else:
            sentences[len(sentences) + 1] = line.sentence
            lines.append(len(sentences))
    return NumberedReport(tuple(lines), sentences, "".join(_outside(report.text, hidden)), dict(films))


def _outside(text: str, spans: Sequence[tuple[int, int]]) -> Iterator[str]:
    begin = 0
    for start, end in spans:
        yield text[begin:start]
        begin = end
    yield text[begin:]


def strip_prompt(report: NumberedReport, mode: Mode) -> Prompt:
    """First pass: which text speaks of the films at all.

    Source: PedCLIP, section 2.1 (removal of medical history and irrelevant context). Differs: wording, and in the mode
        `select` the model answers with numbers.
    """
    text = _numbered(report, report.sentences) if mode == "select" else report.text
    return _prompt(report, mode, "strip", text, max_tokens=_tokens(report, mode, text, copies=1))


def extract_prompt(report: NumberedReport, mode: Mode, kept: Sequence[tuple[int, str]]) -> Prompt:
    """Second pass: which of the kept text belongs to which film.

    Args:
        report: The report.
        mode: "select" or "rewrite".
        kept: Sentences of the first pass with their numbers.

    Source: PedCLIP, section 2.1 and Fig. 2. Differs: as the first pass.
    """
    text = " ".join(sentence for _, sentence in kept)
    if mode == "select":
        text = _numbered(report, {number for number, _ in kept})
    return _prompt(report, mode, "extract", text, max_tokens=_tokens(report, mode, text, copies=len(report.films)))


def _tokens(report: NumberedReport, mode: Mode, text: str, *, copies: int) -> int:
    # Numbers are short whatever the report says; a text may be as long as the one given, once per film.
    if mode == "select":
        one = _TOKENS_PER_NUMBER * len(report.sentences) + _TOKENS_PER_REGION
    else:
        one = len(text) // _CHARACTERS_PER_TOKEN + _TOKENS_PER_REGION
    return _SLACK_TOKENS + one * copies


def _numbered(report: NumberedReport, numbers: Collection[int]) -> str:
    lines = (
        line if isinstance(line, str) else f"[{line}] {_one_line(report.sentences[line].text)}"
        for line in report.lines
        if isinstance(line, str) or line in numbers
    )
    return "\n".join(lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _prompt(report: NumberedReport, mode: Mode, name: str, text: str, *, max_tokens: int) -> Prompt:
    part = _wording()[mode][name]
    # "left hip (hip); left knee (knee)": words for the model to understand, names for it to answer with.
    films = "; ".join(f"{side} {_name(region)} ({region})".strip() for region, side in report.films.items())
    # The keys of the answer, written out as they must come back.
    regions = ", ".join(f'"{region}": {part.get("example")}' for region in report.films)
    user = part["prompt"].format(films=films, regions=regions, report=_without_marks(text))
    messages = (("system", str(_wording()["system"])), ("user", user))
    last = max(report.sentences, default=1)  # the schema allows no higher number
    return Prompt(messages, _fill(part["schema"], tuple(report.films), last), max_tokens)


def _name(region: str) -> str:
    return "soft tissues of the neck" if region == NECK else display_name(region)


def _without_marks(text: str) -> str:
    """The text with the signs broken up that chat templates read as the end of a turn."""
    for mark in ("<|", "|>", "[INST]", "[/INST]", "<s>", "</s>", "<<SYS>>"):
        text = text.replace(mark, " ".join(mark))
    return text


def _fill(node: Any, regions: tuple[str, ...], last: int) -> Any:
    """A schema with its placeholders replaced."""
    if isinstance(node, list):
        return [item for part in node for item in (regions if part == "$region" else [_fill(part, regions, last)])]
    if isinstance(node, dict):
        filled = ((key, _fill(value, regions, last)) for key, value in node.items())
        return {name: value for key, value in filled for name in (regions if key == "$region" else [key])}
    return last if node == "$last" else node


@cache
def _wording() -> dict[str, Any]:
    return dict(json.loads(Path(__file__).with_name("prompts.json").read_text(encoding="utf-8")))
