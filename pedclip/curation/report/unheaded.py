"""Findings without a heading of their own, in a section that leads up to them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final

from pedclip.curation.report.exam_labels import read_label
from pedclip.curation.report.headings import words_within_clause
from pedclip.curation.report.lexicon import scan
from pedclip.curation.report.sentence_types import begins_findings, begins_with_result, type_of_prose
from pedclip.curation.report.sentences import Sentence, split_sentences

_SEVERAL: Final = re.compile(r"[.!?;][)\]\"]*\s+\S|\n[ \t]*\S")  # more than one sentence, maybe
_CONTEXT: Final = ("exam", "indication", "history", "comparison", "technique", "recommendation", "addendum")
_MARK: Final = re.compile(r":|\s[-–—](?=\s)")  # between the name of a film and its findings
_NO_PRIOR: Final = re.compile(r"\s*(?:none|no (?:prior|previous)s?)\b[^.;\n]{0,40};\s*(?=\S)", re.IGNORECASE)
_ASKED: Final = re.compile(r"follow.?up|\bf/u\b|rule out|\bs/p\b|post.?op|\bcheck", re.IGNORECASE)
_LONGEST_NAME: Final = 3  # words of a disease


@dataclass(frozen=True)
class Section:
    """The text under one heading, without the heading."""

    name: str  # one of SECTIONS
    start: int  # index of its first character in the report
    end: int  # one past its last


def at_film_names(section: Section, text: str) -> Iterator[Section]:
    """The section, cut where the name of a film shows that the findings begin without a heading of their own."""
    if section.name in _CONTEXT:
        first = re.compile(r"\S|\Z").search(text, section.start, section.end)
        for match in _film_names().finditer(text, section.start, section.end):
            if first and match.start("name") > first.start() and _opens_part(match, is_exam=section.name == "exam"):
                yield Section(section.name, section.start, match.start())
                yield Section("findings", match.start(), section.end)
                return
    yield section


@cache
def _film_names() -> re.Pattern[str]:
    return re.compile(r"(?:(?<=\n)|(?<=[.!?] ))[ \t]*(?P<name>[A-Za-z][^\n:.!?]{2,60})(?P<mark>:|\.?[ \t]*(?=\n))")


def _opens_part(match: re.Match[str], *, is_exam: bool) -> bool:
    """True where a name is written as the heading of a film: in capitals, or first on its line with a colon.

    An exam line lists names; there only one with a sentence behind its colon opens a part.
    """
    following = match.string[match.end() :].partition("\n")[0].strip()
    if is_exam and (match["mark"] != ":" or not following or read_label(following)):
        return False
    is_line = match.start() == 0 or match.string[match.start() - 1] == "\n"
    if not match["name"].isupper() and not (is_line and match["mark"] == ":"):
        return False
    label = read_label(match["name"])
    return bool(label and label.regions)


def at_findings(section: Section, text: str, names: list[str]) -> Iterator[Section]:
    """The section, cut where findings begin that have no heading of their own.

    Args:
        section: The section; one that leads up to findings may hold them.
        text: The report.
        names: Sections of the same exam that have a heading.
    """
    if section.name in ("exam", "technique") and begins_with_result(text[section.start : section.end]):
        yield Section("findings", section.start, section.end)
        return
    begin = _run_on_findings(section, text, names)
    if begin is not None:
        yield Section(section.name, section.start, begin)
        yield Section("findings", begin, section.end)
        return
    if section.name not in _CONTEXT[:-2] or not _SEVERAL.search(text, section.start, section.end):
        yield section
        return
    sentences = split_sentences(text, section.start, section.end)
    for before, sentence in pairwise(sentences):
        if _begins_findings(section.name, before, sentence, text, names):
            yield Section(section.name, section.start, before.end)
            yield Section("findings", before.end, section.end)
            return
    yield section


def _run_on_findings(section: Section, text: str, names: list[str]) -> int | None:
    """Index of findings on the line of the exam or the comparison, None where there are none.

    "EXAM: Chest x-ray: bilateral infiltrates.", "COMPARISON: None; right pneumothorax is present."
    """
    if section.name == "comparison":
        none = _NO_PRIOR.match(text, section.start, section.end)
        place = none.end() if none else None
    elif section.name == "exam" and "impression" not in names and _MARK.search(text, section.start, section.end):
        first, *rest = split_sentences(text, section.start, section.end)
        is_name = rest and read_label(first.text) and "\n" not in text[first.start : rest[0].start]
        place = rest[0].start if is_name and _MARK.search(text, first.start, rest[0].start) else None
    else:
        place = None
    if place is None:
        return None
    sentence = split_sentences(text, place, section.end)[0].text
    # The name of a disease may be what was asked for: alone, without a stop, or before findings on their own line.
    is_sure = "\n" in text[place : section.end] or not (sentence.endswith(".") or len(sentence.split()) > _LONGEST_NAME)
    is_asked = read_label(sentence) is not None or _ASKED.search(sentence) is not None
    return place if not is_asked and begins_findings(sentence, scan(sentence), is_sure=is_sure) else None


def _begins_findings(name: str, before: Sentence, sentence: Sentence, text: str, names: list[str]) -> bool:
    """True where a sentence of a section that leads up to the findings is the first of them."""
    has_impression = "impression" in names
    # Behind "None." or one earlier study only findings can follow, whatever they say.
    if name == "comparison" or (name == "technique" and not has_impression):
        return True
    if (
        read_label(sentence.text)
        or text[before.start : before.end].rstrip().lower().split()[-1] in words_within_clause()
    ):
        return False
    break_before = text[before.end : sentence.start]
    is_paragraph = break_before.count("\n") > 1
    if not is_paragraph and type_of_prose(before.text, scan(before.text)) == "technique":  # "Cast obscures detail."
        is_paragraph = re.search(r"\n[ \t\r]*\n\s*\Z", text[: before.start]) is not None
    # On the same line only what nothing else can be is a finding, and only where there is no other.
    if name in ("indication", "history") and "\n" not in break_before and has_impression:
        return False
    is_sure = not is_paragraph and (has_impression or name == "exam" or "\n" not in break_before)
    if not begins_findings(sentence.text, scan(sentence.text), is_sure=is_sure, is_apart=is_paragraph):
        return False
    tags = {tag for hit in scan(text) for tag in hit.tags}
    return "cue:modality" not in tags or "cue:film" in tags  # an ultrasound is no film, with or without a heading
