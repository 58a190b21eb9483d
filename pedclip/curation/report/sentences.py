"""Sentences of a report, with exact spans."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pedclip.curation.report.exam_labels import LONGEST, read_label

_NEVER_LAST: Final = frozenset("dr drs mr mrs ms prof vs approx fig no st eg ie e.g i.e resp incl".split())
_UNITS: Final = frozenset("cm mm ml kg lbs hrs hr min sec yr yrs mo wk wks a.m p.m am pm deg".split())
_SHORT_LINE: Final = 50  # characters: a shorter line was ended on purpose, a longer one may have been wrapped
_MARKS: Final = " \t\r\n*•·-–—.,;:|>_=~▪▫◦●○■□‣⁃→➢✓"
_BULLETS: Final = frozenset("*•·-–—>▪▫◦●○■□‣⁃→➢✓")

# One class of signs in front, for which the search runs through a text without trying the rest at every letter.
_CANDIDATE: Final = re.compile(
    r"[.!?\n(\d;|](?:(?P<line>(?<=\n))"
    r"|(?P<stop>(?<=[.!?])[.!?]*[\"'”’)\]]*(?=\s|$))"
    r"|(?P<glued>(?<=[a-z][a-z]\.)(?=[A-Z][a-z]))"
    r"|(?P<bracket>(?<!\S[(\d])(?:(?<=\()\d{1,2}|(?<=\d)\d?)\)(?=\s))"
    r"|(?P<film>(?<=[;|])(?=\s*(?:[A-Z][^:;|.\n]{2,60}):)))"
)
_LAST: Final = re.compile(r"(?<![\w.])[\w.]*\Z")  # the last word, with the stops of its abbreviation
_LONGEST_ITEM: Final = 12  # characters of a list number with what stands around it
_NUMBER: Final = re.compile(r"(?<![\w.,/-])(\d{1,2})\Z", re.ASCII)
_FIRST_NUMBER: Final = re.compile(r"[\s*•·]*\(?(\d{1,2})[.)][.\s]+(?=\S)", re.ASCII)
# "a.", "B)", "(c)", "ii.", "#1", "1:" in front of a sentence
_ITEM: Final = re.compile(
    r"[\s*•·]*(?:\(?(?P<letter>[a-h]|[A-H](?=[.)]+\s+[A-Z]))[.)]|\(?(?P<roman>[ivx]{1,4}"
    r"|[IVX]{1,4}(?=[.)]+\s+[A-Z]))[.)]"
    r"|#\s?(?P<hash>\d{1,2})[.):]?|(?P<colon>\d{1,2}):)(?=\s)[\s]+(?=\S)",
    re.ASCII,
)
# "Pelvis and left hip There is …": the name of a film that runs into the first sentence on it.
_RUN_ON: Final = re.compile(
    r"[ \t]+(?=(?:There|The|No|These|This|Again|Normal|Negative|Mild|Moderate|Severe|Small|Large|Multiple|Status"
    r"|Subtle)[ ][a-z]"
    r"|(?:THERE|NO|THE|NORMAL|NEGATIVE)[ ][A-Z])"
)
_LONGEST_NAME: Final = 60  # characters of a name that runs on
_ROMAN: Final = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
_COLON_OR_DASH: Final = re.compile(r"[:–—-]")  # without which no name is glued to a sentence
_GLUED_HEADING: Final = re.compile(r"([A-Za-z][^:\n]{0,80}?)(?::|\s[-–—](?=\s))[\s]*")


@dataclass(frozen=True)
class Sentence:
    """One sentence, or a heading that stands like one; `report[start:end] == text`."""

    text: str
    start: int  # index of the first character in the report
    end: int  # one past the last
    number: int = 0  # number of the list item that it begins, 0 where it begins none


def split_sentences(text: str, start: int = 0, end: int | None = None) -> tuple[Sentence, ...]:
    """Sentences of text[start:end] in order, without list numbers and bullets.

    "3.7 cm. in", "Dr. X", "T11." and XXXX do not mislead it. A label glued to a sentence ("Left knee: no fracture",
    "Chest 1. Clear") is one of its own, also behind a semicolon. A line break ends a sentence where a line was ended on
    purpose, not wrapped.

    Example:
        >>> [s.text for s in split_sentences("1. Gap of 2 cm. at C1. 2. Left knee: intact.")]
        ['Gap of 2 cm. at C1.', 'Left knee:', 'intact.']
    """
    end = len(text) if end is None else end
    sentences: list[Sentence] = []
    begin, number = start, 0
    for candidate in _CANDIDATE.finditer(text, start, end):
        if candidate.start() < begin:
            continue
        # A list number begins a sentence even where no stop ends the one before it.
        item = _list_number(candidate, text, begin, number)
        if item:
            cut = text.rfind(str(item), begin, candidate.end())
            sentences.extend(_parts(text, begin, cut, 0))
            begin = cut
            number = item
        elif _is_end(candidate, text, begin, end):
            # The sign between two films is of neither.
            stop = candidate.start() if candidate.lastgroup == "film" else candidate.end()
            sentences.extend(_parts(text, begin, stop, number))
            begin = candidate.end()
    sentences.extend(_parts(text, begin, end, number))
    return tuple(sentences)


def _list_number(candidate: re.Match[str], text: str, begin: int, last: int) -> int:
    """The number of the list item that begins here, 0 for none."""
    if candidate.lastgroup == "bracket":
        number, stop = int(re.sub(r"\D", "", candidate[0])), candidate.start()
    elif candidate.lastgroup == "stop" and (
        digits := _NUMBER.search(text, max(begin, candidate.start() - 3), candidate.start())
    ):
        number, stop = int(digits[1]), digits.start()
    else:
        return 0
    # A number in running text is no list: "of 2" needs the numbers before it, or a label in front of "1.".
    before = text[max(begin, stop - LONGEST - 1) : stop].strip(_MARKS)
    follows = text[candidate.end() : candidate.end() + 8].lstrip()[:1]
    if not before or (number == last + 1 and last and follows.isupper()):
        return number
    label = read_label(before) if number == 1 and len(before) <= LONGEST else None
    return number if label and any(label.named) else 0  # "Chest 1." but not "Risser 1."


def _item_number(item: re.Match[str]) -> int:
    """Place in its list of an item that no plain number counts, 0 where it is none ("iix.")."""
    if item["letter"]:
        return ord(item["letter"].lower()) - ord("a") + 1
    if item["roman"]:
        return _ROMAN.index(item["roman"].lower()) + 1 if item["roman"].lower() in _ROMAN else 0
    return int(item["hash"] or item["colon"])


def _is_end(candidate: re.Match[str], text: str, begin: int, end: int) -> bool:
    """True where a stop or a line break ends a sentence."""
    if candidate.lastgroup == "glued":
        return True
    if candidate.lastgroup == "bracket":
        return False
    if candidate.lastgroup == "film":
        # "Chest: clear; Wrist: fracture." but not "Chest; left wrist: no fracture."
        name = read_label(text[candidate.end() : text.find(":", candidate.end())])
        return bool(name and any(name.named)) and not read_label(text[begin : candidate.start()])
    following = text[candidate.end() : min(end, candidate.end() + 20)].lstrip()[:1]
    if candidate.lastgroup == "stop" and candidate.end() - begin < _LONGEST_ITEM:
        item = _ITEM.match(text, begin, end)
        if item and item.end() > candidate.end() and _item_number(item):
            return False  # "a. No fracture."
    if candidate[0] == "?" and following.islower() and text[max(begin, candidate.start() - 1)].isspace():
        return False  # "Cough, ? infiltrate"
    if candidate.lastgroup == "line":
        return _ends_line(text, begin, candidate, following)
    if candidate[0][0] != "." or not following:
        return True
    last = _LAST.search(text[max(begin, candidate.start() - 12) : candidate.start()])
    word = last[0].lower().lstrip(".") if last else ""
    # "no" is a number's abbreviation ("no. 3") unless a sentence follows ("Effusion: no. The heart …").
    if word in _NEVER_LAST and not (word == "no" and following.isupper()):
        return False
    if following.islower() or following.isdigit():
        is_unit = word in _UNITS
        return not is_unit and (following.isdigit() or not word[-1:].isdigit() or word[:1].isalpha()) and bool(word)
    return True


def _ends_line(text: str, begin: int, candidate: re.Match[str], following: str) -> bool:
    """True where a line break was meant: before a blank line, a bullet or a number, or after a short line."""
    line = text[max(begin, text.rfind("\n", begin, candidate.start()) + 1) : candidate.start()]
    if not line.strip() or not following or text[candidate.end() : candidate.end() + 20].lstrip(" \t\r")[:1] == "\n":
        return True
    if following in _BULLETS or _FIRST_NUMBER.match(text, candidate.end()):
        return True
    if (item := _ITEM.match(text, candidate.end())) and _item_number(item):
        return True
    return len(line.strip()) <= _SHORT_LINE and not following.islower()


def _parts(text: str, begin: int, end: int, number: int) -> Iterator[Sentence]:
    """The sentence between two boundaries, and before it the labels glued to its front."""
    part = text[begin:end]
    for start, stop, first in _spans(part, number):
        yield Sentence(part[start:stop], begin + start, begin + stop, first)


@lru_cache(maxsize=8192)  # the same normal sentence occurs in thousands of reports
def _spans(text: str, number: int) -> tuple[tuple[int, int, int], ...]:
    return tuple(_spans_in(text, number))


def _spans_in(text: str, number: int) -> Iterator[tuple[int, int, int]]:
    """Start, end and list number of each label and of the sentence."""
    begin, end = 0, len(text)
    while True:
        item = _FIRST_NUMBER.match(text, begin, end)
        first = number if item and number == int(item[1]) else 0
        if not item and (item := _ITEM.match(text, begin, end)):
            first = _item_number(item)
            item = item if first else None
        begin = item.end() if item else begin
        while begin < end and text[begin] in _MARKS:
            begin += 1
        while begin < end and text[end - 1].isspace():
            end -= 1
        if not any(map(str.isalnum, text[begin:end])):
            return
        # "Left knee: no fracture" is a label and a sentence; several labels may follow each other.
        if stop := _end_of_name(text, begin, end):
            yield begin, stop, first
            begin, number = stop, 0
            continue
        glued = _COLON_OR_DASH.search(text, begin, end) and _GLUED_HEADING.match(text, begin, end)
        if not glued or glued.end() >= end or not read_label(glued[1]):
            yield begin, end, first
            return
        stop = glued.start() + len(glued[0].rstrip())
        yield begin, stop, first
        begin, number = glued.end(), 0


def _end_of_name(text: str, begin: int, end: int) -> int:
    """Index behind the name of a film that runs into a sentence without a stop, 0 where none does."""
    match = _RUN_ON.search(text, begin, min(end, begin + _LONGEST_NAME))
    if not match or not text[begin].isupper():
        return 0
    label = read_label(text[begin : match.start()])
    return match.start() if label and any(label.named) else 0
