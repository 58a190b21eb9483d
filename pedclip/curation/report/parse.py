"""A report parsed once: sections, sentences with their types, filmed regions, identifiers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import takewhile
from typing import Final, NamedTuple

from pedclip.anatomy import Laterality, Mention, find_mentions
from pedclip.curation.privacy.identifiers import Identifier, find_identifiers
from pedclip.curation.report.exam_labels import Label, label_of
from pedclip.curation.report.lexicon import Hit, scan
from pedclip.curation.report.sections import SECTIONS, Section, split_sections
from pedclip.curation.report.sentence_types import TYPE_OF_SECTION, SentenceType, may_be_history, type_of_prose
from pedclip.curation.report.sentences import Sentence, split_sentences

# Sections that never name what was filmed.
_SILENT: Final = frozenset({"indication", "history", "comparison", "recommendation", "other"})


@dataclass(frozen=True)
class Line:
    """One sentence in its place."""

    sentence: Sentence
    section: Section
    sentence_type: SentenceType
    label: Label | None  # what it says was filmed, where it says nothing else
    mentions: tuple[Mention, ...]  # body parts in it, spans within the sentence
    hits: tuple[Hit, ...]  # terms of the word lists in it

    def regions(self, *fields: str) -> set[str]:
        """Regions that the sentence names; fields are "name", "structure", "hint" or "label"."""
        found = {mention.region for mention in self.mentions if mention.kind in fields}
        tags = (tag.partition(":") for hit in self.hits for tag in hit.tags)
        return found | {region for field, _, region in tags if field in fields}


@dataclass(frozen=True)
class ParsedReport:
    """A report and what its words say; every part is found when it is first asked for, and kept.

    It travels from the archive to excerpts and prompts in place of the text, so that nobody parses a report again.
    An archive of them would not fit into memory: hold those of some studies at a time.

    Args:
        text: The whole report, to which all spans refer.
    """

    text: str

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """Sections in order of position."""
        return split_sections(self.text)

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Sentences with their types and the body parts that they name, in order of position."""
        # Sentences never cross a heading: each section is split on its own.
        lines = [
            _line(sentence, section)
            for section in self.sections
            for sentence in split_sentences(self.text, section.start, section.end)
        ]
        if not any(section.name in ("indication", "history") for section in self.sections):
            _mark_history(lines)
        return tuple(lines)

    @cached_property
    def filmed_regions(self) -> Mapping[str, Laterality]:
        """Regions that the report says were filmed, each with its side; see `filmed_regions.filmed_regions`."""
        # Imported here because that module works on parsed reports.
        from pedclip.curation.report.filmed_regions import filmed_regions

        return filmed_regions(self)

    @cached_property
    def identifiers(self) -> tuple[Identifier, ...]:
        """Passages of the whole text that may tell who the patient is."""
        return find_identifiers(self.text)


Report = str | Mapping[str, str] | ParsedReport  # what every public function takes


def parse_report(report: Report) -> ParsedReport:
    """A report as `ParsedReport`; one that already is comes back as it is, with all that was found in it.

    Args:
        report: Text of the report, or its sections by name (`sections.SECTIONS`), or a parsed one.

    Raises:
        TypeError: Neither a text nor a mapping from names of sections to texts.
        ValueError: A mapping in which no key is one of `sections.SECTIONS`.

    Example:
        >>> report = parse_report("EXAM: Left wrist. FINDINGS: No fracture.")
        >>> dict(report.filmed_regions), [line.sentence_type for line in report.lines]
        ({'wrist': 'left'}, ['heading', 'finding'])
    """
    return report if isinstance(report, ParsedReport) else ParsedReport(_text_of(report))


def _text_of(report: str | Mapping[str, str]) -> str:
    """The report as one text; sections given separately are joined under their names, empty ones left out."""
    if isinstance(report, str):
        return report
    if not isinstance(report, Mapping):
        raise TypeError(f"report must be a text or a mapping of sections, not {type(report).__name__}.")
    names = [name for name in SECTIONS if name in report]  # in the order of a report, whatever that of the mapping
    if not names:
        raise ValueError(f"a report given by sections needs at least one of {', '.join(SECTIONS)}.")
    if wrong := next((name for name in names if not isinstance(report[name], str)), None):
        raise TypeError(f"section {wrong!r} must be a text, not {type(report[wrong]).__name__}.")
    return "\n".join(f"{name.upper()}: {report[name].strip()}" for name in names if report[name].strip())


def _mark_history(lines: list[Line]) -> None:
    """In place: what stands before the first finding of a report without a history may be the history.

    Where nothing would be left, all of it stays.
    """
    findings = [k for k, x in enumerate(lines) if x.sentence_type == "finding" and x.section.name == "findings"]
    titled = {region for line in lines if line.label for region in line.label.regions}

    def is_told(k: int) -> bool:
        is_of_film = not titled or bool(titled & lines[k].regions("name", "structure"))
        return may_be_history(lines[k].sentence.text, lines[k].hits, is_of_film=is_of_film)

    # The history comes first or not at all, so the first finding ends it.
    told = list(takewhile(is_told, findings))
    if len(told) < sum(line.sentence_type == "finding" for line in lines):
        for k in told:
            lines[k] = replace(lines[k], sentence_type="history")


def _line(sentence: Sentence, section: Section) -> Line:
    # The section decides before the words: under "HISTORY:" nothing can be a finding.
    if section.name in _SILENT:
        return Line(sentence, section, TYPE_OF_SECTION[section.name], None, (), ())
    words = _words_of(sentence.text)
    # A label is a heading in every section; else the section's own type goes before that of the words.
    sentence_type = "heading" if words.label else TYPE_OF_SECTION.get(section.name) or words.sentence_type
    return Line(sentence, section, sentence_type, words.label, words.mentions, words.hits)


class _Words(NamedTuple):
    """Content of a sentence wherever it stands."""

    sentence_type: SentenceType  # in the findings or the impression, if it is no heading
    label: Label | None
    mentions: tuple[Mention, ...]
    hits: tuple[Hit, ...]


@lru_cache(maxsize=8192)  # the same normal sentence occurs in thousands of reports
def _words_of(text: str) -> _Words:
    hits, mentions = tuple(scan(text)), tuple(find_mentions(text))
    return _Words(type_of_prose(text, hits), label_of(text, hits, mentions), mentions, hits)
