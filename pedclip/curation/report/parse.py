"""A report read once: text, sections, and each sentence with its kind and the body parts that it names."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile
from typing import Final, NamedTuple

from pedclip.anatomy import Mention, find_mentions
from pedclip.curation.report.exam_labels import Label, label_of
from pedclip.curation.report.lexicon import Hit, scan
from pedclip.curation.report.sections import SECTIONS, Section, split_sections
from pedclip.curation.report.sentence_types import KIND_OF_SECTION, Kind, kind_of_prose, may_be_history
from pedclip.curation.report.sentences import Sentence, split_sentences

Report = str | Mapping[str, str]

_SILENT: Final = frozenset(
    {"indication", "history", "comparison", "recommendation", "other"}
)  # never name what was filmed


@dataclass(frozen=True)
class Line:
    """One sentence in its place."""

    sentence: Sentence
    section: Section
    kind: Kind
    label: Label | None  # what it says was filmed, where it says nothing else
    mentions: tuple[Mention, ...]  # body parts in it, spans within the sentence
    hits: tuple[Hit, ...]  # terms of the word lists in it

    def regions(self, *fields: str) -> set[str]:
        """Regions that the sentence names; fields are "name", "structure", "hint" or "label"."""
        found = {mention.region for mention in self.mentions if mention.kind in fields}
        tags = (tag.partition(":") for hit in self.hits for tag in hit.tags)
        return found | {region for field, _, region in tags if field in fields}


@dataclass(frozen=True)
class Reading:
    """A report and what its words say."""

    text: str
    sections: tuple[Section, ...]
    lines: tuple[Line, ...]


def text_of(report: Report) -> str:
    """The report as one text; sections given separately are joined under their names, empty ones left out.

    Raises:
        TypeError: Neither a text nor a mapping from names of sections to texts.
        ValueError: A mapping in which no key is one of `sections.SECTIONS`.
    """
    if isinstance(report, str):
        return report
    if not isinstance(report, Mapping):
        raise TypeError(f"report must be a text or a mapping of sections, not {type(report).__name__}.")
    names = [name for name in SECTIONS if name in report]
    if not names:
        raise ValueError(f"a report given by sections needs at least one of {', '.join(SECTIONS)}.")
    if wrong := next((name for name in names if not isinstance(report[name], str)), None):
        raise TypeError(f"section {wrong!r} must be a text, not {type(report[wrong]).__name__}.")
    return "\n".join(f"{name.upper()}: {report[name].strip()}" for name in names if report[name].strip())


def read_report(report: Report) -> Reading:
    """Read a report in one pass.

    Raises:
        TypeError: See `text_of`.
        ValueError: See `text_of`.
    """
    text = text_of(report)
    sections = split_sections(text)
    lines = [
        _line(sentence, section)
        for section in sections
        for sentence in split_sentences(text, section.start, section.end)
    ]
    if not any(section.name in ("indication", "history") for section in sections):
        _mark_history(lines)
    return Reading(text, sections, tuple(lines))


def _mark_history(lines: list[Line]) -> None:
    """In place: what stands before the first finding of a report without a history may be the history.

    Where nothing would be left, all of it stays.
    """
    findings = [k for k, line in enumerate(lines) if line.kind == "finding" and line.section.name == "findings"]
    titled = {region for line in lines if line.label for region in line.label.regions}

    def is_told(k: int) -> bool:
        is_of_film = not titled or bool(titled & lines[k].regions("name", "structure"))
        return may_be_history(lines[k].sentence.text, lines[k].hits, is_of_film=is_of_film)

    told = list(takewhile(is_told, findings))
    if len(told) < sum(line.kind == "finding" for line in lines):
        for k in told:
            lines[k] = replace(lines[k], kind="history")


def _line(sentence: Sentence, section: Section) -> Line:
    if section.name in _SILENT:
        return Line(sentence, section, KIND_OF_SECTION[section.name], None, (), ())
    words = _words_of(sentence.text)
    kind = "heading" if words.label else KIND_OF_SECTION.get(section.name) or words.kind
    return Line(sentence, section, kind, words.label, words.mentions, words.hits)


class _Words(NamedTuple):
    """What a sentence says wherever it stands."""

    kind: Kind  # in the findings or the impression, if it is no heading
    label: Label | None
    mentions: tuple[Mention, ...]
    hits: tuple[Hit, ...]


@lru_cache(maxsize=8192)  # the same normal sentence occurs in thousands of reports
def _words_of(text: str) -> _Words:
    hits, mentions = tuple(scan(text)), tuple(find_mentions(text))
    return _Words(kind_of_prose(text, hits), label_of(text, hits, mentions), mentions, hits)
