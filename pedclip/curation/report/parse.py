"""A report parsed once: sections, sentences with their types, filmed regions, identifiers."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import takewhile
from typing import Final, NamedTuple

from pedclip.anatomy import Laterality, Mention
from pedclip.curation.privacy.identifiers import Identifier, find_identifiers
from pedclip.curation.report.clauses import finding_clause, is_correction, is_superseded, tells_error
from pedclip.curation.report.exam_labels import Label, label_of
from pedclip.curation.report.language import other_language
from pedclip.curation.report.lexicon import Hit, mentions_in, scan
from pedclip.curation.report.notes import NoteReader, is_note, result_start, tells_care
from pedclip.curation.report.sections import SECTIONS, Section, split_sections
from pedclip.curation.report.sentence_types import (
    TYPE_OF_SECTION,
    SentenceType,
    is_bare_value,
    may_be_history,
    type_of_prose,
)
from pedclip.curation.report.sentences import Sentence, split_sentences
from pedclip.curation.report.transport import PlainText, plain_text

_TELLING: Final = re.compile(r"[^\W\d_]{4,}")  # words long enough to be of a label
_LONGEST_VALUE: Final = 6  # words of a value that a label may belong to
_SHORTEST_VALUE: Final = 3  # words of one that says less than its side ("Left: Normal.")
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
    films: frozenset[str] = frozenset()  # of a clinical note: regions of the film whose result it tells

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
        text: The whole report without what carried it (`transport.plain_text`), to which all spans refer.
        shifts: Where its characters stood in the text that was given, see `origin`; () for a text given plain.
    """

    text: str
    shifts: tuple[tuple[int, int], ...] = field(default=(), compare=False, repr=False)

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The span of the text that was given, markup and all, from which a span of `text` comes."""
        return PlainText(self.text, self.shifts).origin(start, end)

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """Sections in order of position."""
        return split_sections(self.text)

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Sentences with their types and the body parts that they name, in order of position."""
        lines = list(self._split)
        if self.is_note:
            lines = _film_results(lines, self.text)
        elif not any(section.name in ("indication", "history") for section in self.sections):
            _mark_history(lines)
        lines = _with_labels(lines, self.text)
        _mark_superseded(lines, self.text)
        return tuple(lines)

    @cached_property
    def _split(self) -> tuple[Line, ...]:
        """Sentences with what their own words say."""
        # Sentences never cross a heading: each section is split on its own.
        return tuple(
            _line(sentence, section)
            for section in self.sections
            for sentence in split_sentences(self.text, section.start, section.end)
        )

    @cached_property
    def filmed_regions(self) -> Mapping[str, Laterality]:
        """Regions that the report says were filmed, each with its side; see `filmed_regions.filmed_regions`."""
        # Imported here because that module works on parsed reports.
        from pedclip.curation.report.filmed_regions import filmed_regions

        return filmed_regions(self)

    @cached_property
    def is_note(self) -> bool:
        """True where this is a clinical note, of which only the results of films are findings."""
        if is_note(self.text):
            return True
        names_film = any(line.label and any(line.label.named) and line.section.name == "exam" for line in self._split)
        return not names_film and tells_care((line.sentence.text, line.hits) for line in self._split)

    @cached_property
    def other_language(self) -> str:
        """Name of the language where it is not English, else ""; see `language.other_language`."""
        return other_language(self.text)

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
    if isinstance(report, ParsedReport):
        return report
    plain = plain_text(_text_of(report))
    return ParsedReport(plain.text, plain.shifts)


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


def _with_labels(lines: list[Line], text: str) -> list[Line]:
    """Lines in which a value that says nothing alone keeps its label ("Alignment: Normal.")."""
    kept = []
    for number, line in enumerate(lines):
        before = lines[number - 1] if number else None
        if before and line.sentence_type == "finding" and _is_label_of(before, line, text):
            start, end = before.sentence.start, line.sentence.end
            sentence = Sentence(text[start:end], start, end, line.sentence.number or before.sentence.number)
            words = _words_of(sentence.text)
            line = replace(line, sentence=sentence, mentions=words.mentions, hits=words.hits)
        kept.append(line)
    return kept


def _needs_label(line: Line, label: Line) -> bool:
    """True where a value only judges ("Normal size.") and does not say of what."""
    text = line.sentence.text
    if any(word.lower() in label.sentence.text.lower() for word in _TELLING.findall(text)):
        return False  # "Alignment: Anatomic alignment."
    is_long = len(text.split()) > _LONGEST_VALUE or line.regions("name", "structure")
    # "Joint space: Widened.", "Fat pads: Not displaced."
    is_single = (" " not in text and not line.regions("hint")) or text[:4].lower() == "not "
    return not is_long and (is_single or is_bare_value(text, line.hits))


def _is_label_of(before: Line, line: Line, text: str) -> bool:
    """True where a heading before a value on its line names neither film nor section and the value needs it."""
    label = before.label
    if label is None or before.sentence_type != "heading":
        return False
    gap = text[before.sentence.end : line.sentence.start]
    if before.section is not line.section or gap.strip(" \t"):
        return False
    is_short = len(line.sentence.text.split()) <= _SHORTEST_VALUE or not label.side
    is_word = not any(label.named) and not label.is_other_modality and not label.has_gap
    return is_short and is_word and _needs_label(line, before)


def _mark_superseded(lines: list[Line], text: str) -> None:
    """In place: what an addendum takes back is no finding."""
    added = [line for line in lines if line.section.name == "addendum" and line.sentence_type == "finding"]
    is_corrected = any(is_correction(text[line.section.start : line.section.end]) for line in added)
    findings = [(k, line) for k, line in enumerate(lines) if line.sentence_type == "finding"] if added else []
    for k, line in findings:
        regions = line.regions("name")
        is_added = line.section.name == "addendum"
        is_gone = is_added and tells_error(line.sentence.text, line.hits)
        for new in () if is_added else added:
            is_of_another = regions and new.regions("name") and not regions & new.regions("name")
            words = line.sentence.text, line.hits, new.sentence.text, new.hits
            is_gone = is_gone or (not is_of_another and is_superseded(*words, is_corrected=is_corrected))
        if is_gone:
            lines[k] = replace(line, sentence_type="administrative")


def _film_results(lines: Iterable[Line], text: str) -> list[Line]:
    """Lines of a clinical note: findings are what it says of films, and what goes on about the same film."""
    results: list[Line] = []
    reader, section = NoteReader(text), None
    for line in lines:
        words, sentence = _words_of(line.sentence.text), line.sentence
        if line.section is not section:
            reader.enter_section(line.section.start)
            section = line.section
        if words.label:
            reader.read_label(sentence.text, sentence.start, frozenset(words.label.regions))
        films = reader.films_in(
            sentence.text,
            sentence.start,
            words.hits,
            words.mentions,
            is_finding=words.label is None and words.sentence_type == "finding",
        )
        if films:
            start = result_start(sentence.text, words.mentions)
            sentence = Sentence(sentence.text[start:], sentence.start + start, sentence.end, sentence.number)
        # A part of the body is examined by hand under "Chest:"; that opens no film.
        kind: SentenceType = "finding" if films else "history"
        results.append(Line(sentence, line.section, kind, None, words.mentions, words.hits, films))
    return results


def _line(sentence: Sentence, section: Section) -> Line:
    # The section decides before the words: under "HISTORY:" nothing can be a finding.
    if section.name in _SILENT:
        return Line(sentence, section, TYPE_OF_SECTION[section.name], None, (), ())
    words = _words_of(sentence.text)
    # A label is a heading in every section; else the section's own type goes before that of the words.
    sentence_type = "heading" if words.label else TYPE_OF_SECTION.get(section.name) or words.sentence_type
    if sentence_type == "administrative" and words.clause:  # a finding that somebody was told of
        start, end = words.clause
        text, begin = sentence.text[start:end], sentence.start
        part = Sentence(text, begin + start, begin + end, sentence.number)
        words = _words_of(text)
        return Line(part, section, "finding", None, words.mentions, words.hits)
    return Line(sentence, section, sentence_type, words.label, words.mentions, words.hits)


class _Words(NamedTuple):
    """Content of a sentence wherever it stands."""

    sentence_type: SentenceType  # in the findings or the impression, if it is no heading
    label: Label | None
    mentions: tuple[Mention, ...]
    hits: tuple[Hit, ...]
    clause: tuple[int, int] | None  # span of the finding in a notification


@lru_cache(maxsize=8192)  # the same normal sentence occurs in thousands of reports
def _words_of(text: str) -> _Words:
    hits, mentions = tuple(scan(text)), mentions_in(text)
    sentence_type = type_of_prose(text, hits)
    clause = finding_clause(text, hits) if sentence_type == "administrative" else None
    return _Words(sentence_type, label_of(text, hits, mentions), mentions, hits, clause)
