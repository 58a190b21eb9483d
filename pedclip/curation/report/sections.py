"""The sections of a report, by its headings, with exact spans."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from string import ascii_letters
from typing import Final

from pedclip.curation.report import headings
from pedclip.curation.report.exam_labels import LONGEST, read_label
from pedclip.curation.report.headings import SECTIONS, corrected, section_of, words_within_clause
from pedclip.curation.report.notes import is_note
from pedclip.curation.report.unheaded import Section, at_film_names, at_findings
from pedclip.curation.report.versions import Version, superseded, versions_in
from pedclip.triplets.values import is_placeholder

__all__ = ["SECTIONS", "Section", "split_sections"]

_LONGEST_HEADING: Final = 45  # characters before a colon that are looked at
_LONGEST_LINE: Final = 500  # characters before a heading in which a bracket is looked for
_BRACKET: Final = re.compile(r"\s*\([^()\n]*\)\s*$")  # "Comparison (none available):"
_NUMBERED: Final = re.compile(r"(?<=[a-z])\s*#?\s*\d{1,2}\s*$", re.IGNORECASE)  # "EXAM 1:", "Exam #2:"
# "FINDINGS (LEFT WRIST):", "Impression for the ankle:"; the name stays, as a heading within the section.
_OF_FILM: Final = re.compile(
    r"^[ \t]*(?P<term>findings?|impressions?|conclusions?|report)[ \t]*(?:(?:for|of|on|in|regarding)[ "
    r"\t]+(?:the[ \t]+)?|[-–(,/][ \t]*|[ \t])"
    r"(?P<name>[A-Za-z][^:\n]{2,50}):",
    re.IGNORECASE | re.MULTILINE,
)
_ADDED: Final = (
    "addend",
    "amend",
    "correct",
    "revis",
    "erratum",
    "supplement",
    "added",
    "additional rep",
)  # in the heading of every addendum
_FIRST_WORD: Final = re.compile(r"(?<![\w-])[A-Za-z]+", re.ASCII)
_AFTER_SENTENCE: Final = ".;!?:)]"
_OPEN_BRACKET: Final = re.compile(r"[(\[][^()\[\]]*\Z")
_CLOSED_BEHIND: Final = re.compile(r"[^()\[\]\n]*[)\]]")
# A line of its own that may be a misspelt heading; listed ones are found by `_on_line`.
_LONE_LINE: Final = re.compile(r"^[ \t]*(?P<term>[A-Z][A-Za-z]{5,20}(?:[ ][A-Za-z]{2,20}){0,3})[ \t]*$", re.MULTILINE)


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
    nothing else can hold the findings, they begin behind the first sentence of the comparison or the technique. What
    an older version of the report says, which another supersedes, is "other".

    Example:
        >>> [(s.name, "Hx: fall. FINDINGS: No fracture."[s.start:s.end]) for s in split_sections(
        ...     "Hx: fall. FINDINGS: No fracture.")]
        [('history', 'fall.'), ('findings', 'No fracture.')]
    """
    versions = versions_in(report_text)
    found = _headings(report_text, versions)
    first = found[0].start if found else len(report_text)
    found = [_Heading(_preamble(report_text[:first], [one.name for one in found]), 0, 0), *found]
    ends = [*(heading.start for heading in found[1:]), len(report_text)]
    sections: list[Section] = []
    is_told = is_note(report_text)  # a note goes on telling the history; no findings begin there
    for heading, end, names in zip(found, ends, _names_by_exam(found), strict=True):
        # Findings without a heading of their own can hide in another section of the same exam.
        own = is_told or "findings" in names
        whole = Section(heading.name, heading.body, end)
        for part in [whole] if is_told else at_film_names(whole, report_text):
            own = own or part.name == "findings"
            sections += [part] if own and (is_told or part.name != "exam") else at_findings(part, report_text, names)
    trimmed = (_trimmed(section, report_text) for section in sections)
    filled = tuple(section for section in trimmed if section.end > section.start)
    return _without_superseded(filled, versions, report_text) if versions else filled


def _names_by_exam(found: list[_Heading]) -> Iterator[list[str]]:
    """For each heading the names in its exam: each exam line with something under it begins another."""
    names = [one.name for one in found]
    begins = [k for k in range(1, len(names)) if names[k] == "exam" and names[k - 1] != "exam"]
    for start, stop in pairwise([0, *begins, len(names)]):
        yield from [names[max(start, 1) : stop]] * (stop - start)


@cache
def _on_line() -> re.Pattern[str]:
    """A heading at the start of a line that needs no colon."""
    longest_first = sorted(headings.terms(), key=len, reverse=True)
    any_term = "|".join(re.escape(term).replace(r"\ ", r"[ \t]+") for term in longest_first)
    end = r"[ \t]*[.\-–—]?[ \t]*$|[ \t]+[-–—][ \t]+|[ ]*\t[ \t]*(?=\S)"
    begin = r"^(?![ \t]*[a-z]+:)[ \t]*"  # "FINDINGS:" has one
    return re.compile(rf"{begin}(?P<term>{any_term})(?:{end})", re.IGNORECASE | re.ASCII | re.MULTILINE)


def _headings(text: str, versions: Sequence[Version]) -> list[_Heading]:
    found = {}  # by position, as all searches may meet the same heading
    for match in _at_lines(_on_line(), text):
        start, stop = match.span("term")
        if not _is_within_clause(text, start, stop):
            found[start] = _Heading(section_of(match["term"]) or "other", start, match.end())
    for match in _at_lines(_LONE_LINE, text):
        last = match["term"].lower().rpartition(" ")[2]
        if corrected(last) != last and (name := section_of(match["term"])):
            found[match.start("term")] = _Heading(name, match.start("term"), match.end())
    for name, start, stop, body in headings.run_in(text):
        if not _is_within_clause(text, start, stop):
            found[start] = _Heading(name, start, body)
    for colon in re.finditer(":", text):
        begin = max(0, colon.start() - _LONGEST_HEADING)
        before = text[begin : colon.start()]
        before = _BRACKET.sub("", before) if before.rstrip().endswith(")") else before
        before = _NUMBERED.sub("", before) if before.rstrip()[-1:].isdecimal() else before
        if corrected(_last_word(before.rstrip()).lower()) not in _last_words():
            continue  # most colons stand behind no listed word
        # The longest run of words that is a heading: "clinical history", not "history".
        for word in _FIRST_WORD.finditer(before):
            name = section_of(before[word.start() :]) if headings.may_begin(word[0].lower()) else None
            if name and _opens_section(text, begin + word.start(), colon.start()):
                found[begin + word.start()] = _Heading(name, begin + word.start(), colon.end())
                break
    for match in _at_lines(_OF_FILM, text):
        label = read_label(match["name"])
        if label and any(label.named):
            found[match.start("term")] = _Heading(
                section_of(match["term"]) or "findings", match.start("term"), match.start("name")
            )
    found = _with_versions(text, found, versions)
    small = text.lower()
    has_addenda = any(word in small for word in _ADDED)
    return _with_addenda(text, found, versions) if has_addenda else [found[start] for start in sorted(found)]


def _with_versions(text: str, found: dict[int, _Heading], versions: Sequence[Version]) -> dict[int, _Heading]:
    """Headings with the banners of versions, behind each of which the report begins anew."""
    for version in versions:
        found = {place: one for place, one in found.items() if not version.start <= place < version.body}
        inside = sorted(place for place in found if version.body <= place < version.end)
        names = [found[place].name for place in inside]
        begin = text[version.body : inside[0] if inside else version.end]
        found[version.start] = _Heading(
            _preamble(begin, names) if begin.strip() else "other", version.start, version.body
        )
    return found


def _without_superseded(sections: tuple[Section, ...], versions: Sequence[Version], text: str) -> tuple[Section, ...]:
    """Sections in which what an older version finds is "other", and what it says was filmed, where a newer one does."""
    older = superseded(versions, ((one.name, one.start, one.end) for one in sections), text)
    is_older = [any(version.body <= one.start < version.end for version in older) for one in sections]
    has_exam = any(one.name == "exam" and not old for one, old in zip(sections, is_older, strict=True))
    gone = ("findings", "impression", "recommendation", *(["exam"] if has_exam else []))
    return tuple(
        replace(one, name="other") if old and one.name in gone else one
        for one, old in zip(sections, is_older, strict=True)
    )


def _with_addenda(text: str, found: dict[int, _Heading], versions: Sequence[Version]) -> list[_Heading]:
    """Headings in order with those of addenda, behind whose end the report goes on as if it began there."""
    banners = {version.start for version in versions}
    for start, body, end in headings.addenda(text):
        if start in banners:
            continue  # "AMENDED REPORT" above the original one is a whole report
        # What stands in the heading itself, such as a date, is none.
        found = {place: one for place, one in found.items() if not start <= place < body}
        following = sorted(place for place in found if place > body)
        if end < len(text) and (not following or end <= following[0]):
            rest = headings.title_end(text, end)
            names = [found[place].name for place in following]
            if not following or rest < following[0]:
                found[end] = _Heading(
                    _preamble(text[rest : following[0] if following else len(text)], names), end, rest
                )
        stop = min((place for place in found if place > start), default=len(text))
        found[start] = _Heading("other" if is_placeholder(text[body:stop]) else "addendum", start, body)
    return [found[start] for start in sorted(found)]


@cache
def _last_words() -> frozenset[str]:
    return frozenset(map(_last_word, headings.terms())) - {""}


def _last_word(text: str) -> str:
    """The letters at the end of a text, "" where it ends otherwise."""
    return text[len(text.rstrip(ascii_letters)) :]


def _at_lines(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Matches of a pattern that begins a line and ends on it: much faster than to try it at every character."""
    start = 0
    while True:
        if match := pattern.match(text, start):
            yield match
        start = text.find("\n", start) + 1
        if not start:
            return


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
    is_identity = section_of(text[start:end]) == "other"  # "MRN: 7" may stand anywhere
    if before[-1:] in ("(", "[") or (_OPEN_BRACKET.search(line) and _CLOSED_BEHIND.match(text, end)):
        return is_identity or line.strip() not in ("(", "[")  # a line may begin "(Comparison: none.)"
    if not line.strip() and text[start].isupper():
        return False  # written as a heading, whatever the line before it ends with
    if before.endswith(","):  # "Left wrist, Indication: fall", but "callus, Age: 5 weeks, is seen"
        return is_identity or text[start].islower()
    return _last_word(before) in words_within_clause()


def _preamble(text: str, names: list[str]) -> str:
    """Section of the text before the first heading, by the names of those that follow."""
    if not names:
        return "findings"
    if len(text) <= LONGEST and read_label(text):
        # "CERVICAL SPINE / FINDINGS: … / LUMBAR SPINE / FINDINGS: …" has a film name before each part.
        return "findings" if names[0] == "findings" and names.count("findings") > 1 else "exam"
    if text.strip().isupper() and "\n" not in text.strip():
        return "exam"  # a title, such as "ULTRASOUND OF THE LEGS"
    return "other" if "findings" in names else "findings"


def _trimmed(section: Section, text: str) -> Section:
    """The section without white space at its edges."""
    body = text[section.start : section.end]
    start = section.start + len(body) - len(body.lstrip())
    return Section(section.name, start, start + len(body.strip()))
