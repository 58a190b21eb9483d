"""Headings of sections: listed words (`headings.json`), joined, qualified or misspelt ones, and those of addenda."""

import json
import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from functools import cache, lru_cache
from pathlib import Path
from string import ascii_lowercase
from typing import Any, Final

from pedclip.curation.report.lexicon import is_listed

SECTIONS: Final = (
    "exam", "indication", "history", "comparison", "technique", "findings", "impression", "recommendation", "addendum",
    "other",
)  # fmt: skip

_JOINED: Final = re.compile(r"\s*[/&,+]\s*|\s+(?:and|or)\s+")
_SHORTEST: Final = 6  # letters of a word that may be misspelt: shorter ones resemble too many others
_LONG: Final = 10  # letters of a word in which two may be wrong
_MOST_WRONG: Final = 2
_LIKENESS: Final = (0.8, 0.85)  # of `difflib`, for short and for long words
_TERM: Final = re.compile(
    r"(?:^[ \t*#=_\-–—>]*|(?<=[.!?]\s)[ \t]*)(?P<term>(?:(?:final|first|second|third|radiology|late)[ \t]+)?"
    r"(?:(?P<sure>addend(?:um|a))|(?:amendment|amended report|revised report|revision|correction|corrected "
    r"report|erratum|supplement(?:al|ary)? report|add(?:ed|itional) report))"
    r"(?:[ \t]+(?:note|report|begins?|starts?|to (?:the )?(?:above |original |final )*report))?)(?!\w|-\w)",
    re.IGNORECASE | re.MULTILINE,
)
# "FINDINGS There is …": capitals before a word that has none, with or without a stop between.
_RUN_IN: Final = re.compile(
    r"(?<![\w-])(?P<term>[A-Z]{5,}(?:[ \t]+[A-Z]{3,}){0,3})(?:[ \t]*[.;=>]{1,2})?[ \t]+"
    r"(?!(?:OF|IN|AND|TO|FOR|ON|AT|BY|OR|IS|ARE|WITH)\b)(?=[A-Z][a-z]|[A-Z]{1,3} [A-Za-z][a-z])"
)
_BEFORE_HEADING: Final = ("", *".;!?:)]\r\n")
_MONTHS: Final = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
# What tells who wrote an addendum, and when.
_STAMP: Final = re.compile(
    rf"[ \t,;()\[\]*#=–—-]*(?:(?:by|on|at|from|dated|date|time|per|no|number|signed|dictated|entered|added)\b[.:]?"
    rf"|\d(?:[\d/.:-]*\d)?(?:[ \t]?[ap]\.?m\.?(?![a-z]))?(?:st|nd|rd|th)?(?![\w])|_{{2,}}|xxxx\b"
    rf"|{_MONTHS}\.?(?=[ \t]+\d)|(?-i:(?:Drs?|Prof|Mr|Ms|Mrs)\b\.?[ \t]+[A-Z_][\w.'’-]*)|(?-i:M\.?D\.?|D\.?O\.?|FRCR"
    rf"|FRCPC)(?!\w))(?=[\s,;:()\[\].–—-]|\Z)",
    re.IGNORECASE,
)
_BEFORE_NAMES: Final = frozenset({"by", "signed", "dictated", "entered", "added", "per"})
_BEFORE_DATES: Final = frozenset({"on", "at", "from"})
_NAMES: Final = re.compile(r"[ \t,]*(?:(?:[A-Z][\w.'’-]*|_{2,})[ \t,]*){1,5}(?=[:(\[\d–—-]|on\b|at\b|\n|\Z)")
_ENDS_HEADING: Final = re.compile(r"[ \t*#=_–—-]*(?::|\n|\Z)")
_BRACKET: Final = re.compile(r"[ \t]*[(\[][^)\]\n]*[)\]]")
_PUNCTUATION: Final = re.compile(r"[ \t*#=_:.,;)\]–—-]*")
# Where an addendum above the report ends: a line of strokes, or the title of the report itself.
_END: Final = re.compile(
    r"^[ \t]*(?:[_=*-]{5,}|[*_= \t-]*(?:end (?:of )?addendum|addendum ends?|(?:final|original|radiology"
    r"|preliminary|diagnostic) report)[*_=:. \t-]*)$",
    re.IGNORECASE | re.MULTILINE,
)


@cache
def _lists() -> dict[str, Any]:
    return dict(json.loads(Path(__file__).with_name("headings.json").read_text(encoding="utf-8")))


@cache
def terms() -> dict[str, str]:
    """Each listed heading in lower case to the section that it opens."""
    return {term: name for name in SECTIONS for term in _lists()[name]}


@cache
def words_within_clause() -> frozenset[str]:
    """Words behind which a clause goes on."""
    return frozenset(_lists()["within_clause"])


@cache
def version_words() -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """Pairs of words: those that call a report older, and those of one that supersedes it."""
    return tuple((tuple(pair["older"]), tuple(pair["newer"])) for pair in _lists()["versions"])


@lru_cache(maxsize=8192)  # the same headings stand in thousands of reports
def section_of(heading: str) -> str | None:
    """Section that a heading opens, None where it is none.

    Example:
        >>> section_of("Clinical History/Reason for exam"), section_of("RELEVANT HISTORY"), section_of("IMPRESION")
        ('history', 'history', 'impression')
    """
    spelled = " ".join(heading.lower().split())
    if (name := terms().get(spelled)) or not spelled:
        return name
    if not _may_be_joined(spelled[: len(spelled) - len(spelled.lstrip(ascii_lowercase))]):
        return None  # most words before a colon
    parts = [part.split() for part in _JOINED.split(_qualified().sub("", spelled))]
    # The comparison with listed words is slow, and most candidates are the end of a sentence.
    if any(len(word) < _SHORTEST and word not in _words() for part in parts for word in part):
        return None
    names = [terms().get(" ".join(map(corrected, part))) for part in parts]
    return names[0] if all(names) and "other" not in names else None


def run_in(text: str) -> Iterator[tuple[str, int, int, int]]:
    """Headings in capitals that run into their sentence: section, start and end of the words, start of the sentence.

    Example:
        >>> [name for name, *_ in run_in("HISTORY Fall. FINDINGS There is a gap.")]
        ['history', 'findings']
    """
    for match in _RUN_IN.finditer(text):
        before = text[max(0, match.start() - _SHORTEST) : match.start()].rstrip(" \t")[-1:]
        name = section_of(match["term"]) if before in _BEFORE_HEADING else None
        if name not in (None, "other", "addendum"):
            yield str(name), *match.span("term"), match.end()


@lru_cache(maxsize=16_384)
def may_begin(letters: str) -> bool:
    """True where a heading may begin with these letters, in lower case, and then something else or nothing."""
    return letters in _begins() or _may_be_joined(letters)


def _may_be_joined(letters: str) -> bool:
    """True where a heading that is not listed as a whole may begin with these letters."""
    return letters in _qualifiers() or corrected(letters) in _words()


@lru_cache(maxsize=16_384)
def corrected(word: str) -> str:
    """The word of a heading that a misspelt one stands for, or the word itself.

    Example:
        >>> corrected("findigns"), corrected("reccomendation"), corrected("medication"), corrected("fracture")
        ('findings', 'recommendation', 'medications', 'fracture')
    """
    if len(word) < _SHORTEST or word in _words() or is_listed(word):
        return word
    # Words of much the same letters first, as the comparison proper is slow.
    letters, least = _bits(word), _LIKENESS[len(word) >= _LONG]
    most_wrong = 2 * _MOST_WRONG if len(word) >= _LONG else _MOST_WRONG
    near = (known for known, own in _spelled().get(len(word), ()) if (letters ^ own).bit_count() <= most_wrong)
    compared = [(SequenceMatcher(None, word, known), known) for known in near]
    alike = ((both.ratio(), known) for both, known in compared if both.quick_ratio() >= least)
    likeness, known = max(alike, default=(0.0, word))
    return known if likeness >= least else word


@cache
def _begins() -> frozenset[str]:
    return frozenset(term[: len(term) - len(term.lstrip(ascii_lowercase))] for term in terms())


@cache
def _qualifiers() -> frozenset[str]:
    return frozenset(term.split()[0].removesuffix("'s") for term in _lists()["qualifiers"])


@cache
def _qualified() -> re.Pattern[str]:
    return re.compile(rf"^(?:(?:{'|'.join(_lists()['qualifiers'])})\s+)+")


@cache
def _words() -> frozenset[str]:
    return frozenset(word for term in terms() for word in term.split())


@cache
def _spelled() -> dict[int, list[tuple[str, int]]]:
    """Words that may be misspelt with their letters, by the lengths of what they may be misspelt as."""
    own = {word for term, name in terms().items() if name != "other" for word in term.split() if len(word) >= _SHORTEST}
    by_length: dict[int, list[tuple[str, int]]] = {}
    for word in sorted(own, key=lambda word: (-len(word), word)):
        for length in range(len(word) - _MOST_WRONG, len(word) + _MOST_WRONG + 1):
            by_length.setdefault(length, []).append((word, _bits(word)))
    return by_length


def _bits(word: str) -> int:
    """The letters of a word as a set of bits."""
    bits = 0
    for letter in word:
        bits |= 1 << (ord(letter) & 63)
    return bits


def addenda(text: str) -> Iterator[tuple[int, int, int]]:
    """Headings of addenda: where each begins, where its text begins behind names and dates, and where it ends.

    The end is that of the report unless a line of strokes or the report's own title stands before it.
    """
    for match in _TERM.finditer(text):
        body = text_begin(text, match["term"], match.end(), is_sure=bool(match["sure"]))
        if body is not None:
            end = _END.search(text, body)
            # Its own lower edge, where a banner stands between two lines of strokes.
            while end and not text[body : end.start()].strip() and end[0].strip()[:1] in "_=*-":
                body, end = end.end(), _END.search(text, end.end())
            yield match.start("term"), body, end.start() if end else len(text)


def title_end(text: str, start: int) -> int:
    """Index behind the lines of strokes and the title of the report that begin here."""
    while (match := _END.match(text, start)) or text[start : start + 1] in ("\n", "\r", " ", "\t"):
        start = max(match.end() if match else 0, start + 1)
    return start


def text_begin(text: str, term: str, place: int, *, is_sure: bool) -> int | None:
    """Index at which the text behind a heading begins, None where the words are none.

    Args:
        text: The report.
        term: Words of the heading, which names and dates may follow.
        place: Index behind them.
        is_sure: The words hardly stand elsewhere; others need a colon, or a line of their own.
    """
    is_alone = not _line(text, place).strip(" \t*#=_:.-–—")
    if not is_sure and not is_alone and not _ENDS_HEADING.match(text, _stamped(text, place)):
        return None  # "Correction of the deformity"
    if is_alone:
        return place + len(_line(text, place))
    if re.match(r"[ \t]+ends?\b", text[place:], re.IGNORECASE):
        return None
    if not term.isupper() and not re.match(rf"[ \t]*[:(\[#–—-]|{_STAMP.pattern}", text[place:], re.IGNORECASE):
        return None  # "Addendum to follow."
    colon = re.compile(r"[ \t]*:(?=\s)[ \t]*").match(text, place)
    stamped = _stamped(text, colon.end() if colon else place)
    # Behind a colon "On the lateral view" is no stamp; a stamp ends in a colon or the line, or is all numbers.
    is_stamp = text[stamped : stamped + 1] in (":", "\n", "") or not re.search(
        r"[a-z]", text[place:stamped], re.IGNORECASE
    )
    place = stamped if is_stamp or not colon else colon.end()
    return place + len(_PUNCTUATION.match(text, place)[0])  # type: ignore[index]


def _stamped(text: str, place: int) -> int:
    """Index behind the names, dates and times that begin here, before the colon that ends them."""
    if bracket := _BRACKET.match(text, place):
        place = bracket.end()
    while stamp := _STAMP.match(text, place):
        word, end = stamp[0].strip(" \t,;()[]*#=–—-:.").lower(), stamp.end()
        if word in _BEFORE_DATES and not _STAMP.match(text, end):
            break  # "On further review"
        names = _NAMES.match(text, end) if word in _BEFORE_NAMES else None
        place = names.end() if names else end
        if text[place : place + 1] == ":" and text[place + 1 : place + 2].isspace():
            break
    return place


def _line(text: str, start: int) -> str:
    end = text.find("\n", start)
    return text[start : end if end >= 0 else len(text)]
