"""The sections of a report, by its headings, with exact spans."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from pedclip.curation.report.exam_labels import LONGEST, read_label
from pedclip.curation.report.sentences import split_sentences

SECTIONS: Final = (
    "exam", "indication", "history", "comparison", "technique", "findings", "impression", "recommendation", "other",
)  # fmt: skip

_LONGEST_HEADING: Final = 45  # characters before a colon that are looked at
_LONGEST_LINE: Final = 500  # characters before a heading in which a bracket is looked for
_BRACKET: Final = re.compile(r"\s*\([^()\n]*\)\s*$")  # "Comparison (none available):"
_WORD_START: Final = re.compile(r"(?<![\w-])[a-z]", re.IGNORECASE | re.ASCII)
_AFTER_SENTENCE: Final = ".;!?:)]"
_OPEN_BRACKET: Final = re.compile(r"[(\[][^()\[\]]*\Z")
_CLOSED_BEHIND: Final = re.compile(r"[^()\[\]\n]*[)\]]")
_LAST_WORD: Final = re.compile(r"[A-Za-z]+\Z")
_CONTEXT: Final = ("exam", "indication", "history", "comparison", "technique", "recommendation")


@dataclass(frozen=True)
class Section:
    """The text under one heading, without the heading."""

    name: str  # one of SECTIONS
    start: int  # index of its first character in the report
    end: int  # one past its last


@dataclass(frozen=True)
class _Heading:
    name: str
    start: int  # where the section before ends
    body: int  # where this section begins


def split_sections(report_text: str) -> tuple[Section, ...]:
    """Sections in order of position, never overlapping; whatever is not in one of them is a heading or white space.

    A heading is a listed word (`headings.json`) before a colon, before a dash at the start of a line, or alone on its
    line, but never in brackets or in the middle of a clause ("healed fracture (MRN: 7)", "less than in the prior: 2").
    Text before the first heading is the exam line if it only names films, else findings, or "other" where findings
    have their own heading. The name of a film on its own line or before a colon ("LEFT KNEE:") ends the
    sections that lead up to the findings; it stays in the text, as the first words of a section "findings". Where
    nothing else can hold the findings, they begin behind the first sentence of the comparison or the technique.

    Example:
        >>> [(s.name, "Hx: fall. FINDINGS: No fracture."[s.start:s.end]) for s in split_sections(
        ...     "Hx: fall. FINDINGS: No fracture.")]
        [('history', 'fall.'), ('findings', 'No fracture.')]
    """
    headings = _headings(report_text)
    first = headings[0].start if headings else len(report_text)
    headings = [_Heading(_preamble(report_text[:first], headings), 0, 0), *headings]
    ends = [*(heading.start for heading in headings[1:]), len(report_text)]
    sections = [
        _trimmed(part, report_text)
        for heading, end in zip(headings, ends, strict=True)
        for part in _at_film_names(Section(heading.name, heading.body, end), report_text)
    ]
    sections = [section for section in sections if section.end > section.start]
    names = {section.name for section in sections}
    # Findings without a heading of their own can hide behind another section.
    if "findings" not in names:
        sections = [part for section in sections for part in _at_first_sentence(section, text=report_text, names=names)]
    return tuple(sections)


@cache
def _terms() -> dict[str, str]:
    """Each heading in lower case to the section that it opens."""
    lists: dict[str, Any] = json.loads(Path(__file__).with_name("headings.json").read_text(encoding="utf-8"))
    return {term: name for name in SECTIONS for term in lists[name]}


@cache
def _last_words() -> frozenset[str]:
    return frozenset(word[0] for term in _terms() if (word := _LAST_WORD.search(term)))


@cache
def _words_within_clause() -> frozenset[str]:
    """Words behind which a clause goes on."""
    lists: dict[str, Any] = json.loads(Path(__file__).with_name("headings.json").read_text(encoding="utf-8"))
    return frozenset(lists["within_clause"])


@cache
def _on_line() -> re.Pattern[str]:
    """A heading at the start of a line that needs no colon."""
    longest_first = sorted(_terms(), key=len, reverse=True)
    any_term = "|".join(re.escape(term).replace(r"\ ", r"[ \t]+") for term in longest_first)
    end = r"[ \t]*[.\-–—]?[ \t]*$|[ \t]+[-–—][ \t]+"
    return re.compile(rf"^[ \t]*(?P<term>{any_term})(?:{end})", re.IGNORECASE | re.ASCII | re.MULTILINE)


def _spelled(term: str) -> str:
    return " ".join(term.lower().split())


def _headings(text: str) -> list[_Heading]:
    found = {}  # by position, as both searches may meet the same heading
    for match in _on_line().finditer(text):
        start, stop = match.span("term")
        if not _is_within_clause(text, start, stop):
            found[start] = _Heading(_terms()[_spelled(match["term"])], start, match.end())
    for colon in re.finditer(":", text):
        begin = max(0, colon.start() - _LONGEST_HEADING)
        before = _BRACKET.sub("", text[begin : colon.start()])
        last = _LAST_WORD.search(before.rstrip())
        if not last or last[0].lower() not in _last_words():
            continue  # most colons stand behind no listed word
        # The longest run of words that is a listed heading: "clinical history", not "history".
        for word in _WORD_START.finditer(before):
            name = _terms().get(_spelled(before[word.start() :]))
            if name and _opens_section(text, begin + word.start(), colon.start()):
                found[begin + word.start()] = _Heading(name, begin + word.start(), colon.end())
                break
    return [found[start] for start in sorted(found)]


def _opens_section(text: str, start: int, end: int) -> bool:
    """True where listed words before a colon are a heading: written large, first on their line or after a sentence."""
    if _is_within_clause(text, start, end):
        return False
    before = text[max(0, start - _LONGEST_HEADING) : start].rstrip(" \t")
    if not before or before[-1] in _AFTER_SENTENCE + "\r\n":
        return True
    # Behind a word without a stop only capitals make a heading.
    label = read_label(re.split(r"[\n.;:!?]", before)[-1] + " " + text[start:end])
    return text[start].isupper() and not (label and label.regions)  # "CHEST, TWO VIEWS:" is the name of a film


def _is_within_clause(text: str, start: int, end: int) -> bool:
    """True where words stand in brackets, or behind a comma or a word ("of", "the") that ends no clause."""
    line = text[max(text.rfind("\n", 0, start) + 1, start - _LONGEST_LINE) : start]
    before = text[max(0, start - _LONGEST_HEADING) : start].rstrip()
    is_identity = _terms().get(_spelled(text[start:end])) == "other"  # "MRN: 7" may stand anywhere
    if before[-1:] in ("(", "[") or (_OPEN_BRACKET.search(line) and _CLOSED_BEHIND.match(text, end)):
        return is_identity or line.strip() not in ("(", "[")  # a line may begin "(Comparison: none.)"
    if not line.strip() and text[start].isupper():
        return False  # written as a heading, whatever the line before it ends with
    if before.endswith(","):  # "Left wrist, Indication: fall", but "callus, Age: 5 weeks, is seen"
        return is_identity or text[start].islower()
    word = _LAST_WORD.search(before)
    return word is not None and word[0] in _words_within_clause()


def _preamble(text: str, headings: list[_Heading]) -> str:
    """Section of the text before the first heading."""
    names = [heading.name for heading in headings]
    if not headings:
        return "findings"
    if len(text) <= LONGEST and read_label(text):
        # "CERVICAL SPINE / FINDINGS: … / LUMBAR SPINE / FINDINGS: …" has a film name before each part.
        return "findings" if names[0] == "findings" and names.count("findings") > 1 else "exam"
    if text.strip().isupper() and "\n" not in text.strip():
        return "exam"  # a title, such as "ULTRASOUND OF THE LEGS"
    return "other" if "findings" in names else "findings"


def _at_film_names(section: Section, text: str) -> Iterator[Section]:
    """The section, cut where the name of a film shows that the findings begin without a heading of their own."""
    if section.name in _CONTEXT and section.name != "exam":
        first = re.compile(r"\S|\Z").search(text, section.start, section.end)
        for match in _film_names().finditer(text, section.start, section.end):
            if first and match.start("name") > first.start() and _opens_part(match):
                yield Section(section.name, section.start, match.start())
                yield Section("findings", match.start(), section.end)
                return
    yield section


@cache
def _film_names() -> re.Pattern[str]:
    return re.compile(r"(?:(?<=\n)|(?<=[.!?] ))[ \t]*(?P<name>[A-Za-z][^\n:.!?]{2,60})(?P<mark>:|\.?[ \t]*(?=\n))")


def _opens_part(match: re.Match[str]) -> bool:
    """True where a name is written as the heading of a film: in capitals, or first on its line with a colon."""
    is_line = match.start() == 0 or match.string[match.start() - 1] == "\n"
    if not match["name"].isupper() and not (is_line and match["mark"] == ":"):
        return False
    label = read_label(match["name"])
    return bool(label and label.regions)


def _at_first_sentence(section: Section, *, text: str, names: set[str]) -> Iterator[Section]:
    """The section, cut behind its first sentence where the findings can only stand in it."""
    may_hold_findings = section.name == "comparison" or (section.name == "technique" and "impression" not in names)
    sentences = split_sentences(text, section.start, section.end) if may_hold_findings else ()
    if len(sentences) > 1:
        yield _trimmed(Section(section.name, section.start, sentences[0].end), text)
        yield _trimmed(Section("findings", sentences[0].end, section.end), text)
    else:
        yield section


def _trimmed(section: Section, text: str) -> Section:
    """The section without white space at its edges."""
    body = text[section.start : section.end]
    start = section.start + len(body) - len(body.lstrip())
    return Section(section.name, start, start + len(body.strip()))
