"""Identifiers of patients, found in texts before they are written."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from pedclip.curation.privacy.name_words import EPONYM, ORDINARY, properties
from pedclip.curation.privacy.names import find_names

_DIGIT: Final = re.compile(r"\d")
_NUMBER: Final = re.compile(r"\d[\d\s/().-]{2,}\d|\d[A-Z\d]{4}")
_WORD: Final = re.compile(r"[^\W\d_]+")
_WITH_DIGITS: Final = frozenset({"date", "time", "address", "age over 89"})
_LONG: Final = frozenset({"record number", "phone"})
_UPPER: Final = "".join(sign for sign in map(chr, range(0x41, 0x250)) if sign.isupper())  # A to Ɏ, accents included
_LOWER: Final = "".join(sign for sign in map(chr, range(0x61, 0x250)) if sign.islower())
_NAME: Final = rf"[{_UPPER}](?:['’][{_UPPER}])?[{_LOWER}'’-]+(?:[{_UPPER}][{_LOWER}]+)?|[{_UPPER}]{{3,}}"


@dataclass(frozen=True, slots=True)
class Identifier:
    """A passage that may tell who a patient is.

    Args:
        kind: "date", "time", "name", "record number", "phone", "e-mail", "url", "address", "hospital" or "age over 89".
        start: Index of its first character.
        end: One past the last.
    """

    kind: str
    start: int
    end: int


def find_identifiers(text: str) -> tuple[Identifier, ...]:
    """Passages of a report that may tell who the patient is, in order, without overlap.

    Placeholders of earlier de-identification (XXXX, [**Name**], ___, <DATE>) are none. A filter that asks a person to
    look, not a proof: the data sheet of a curated set says how many invented names it finds and what it misses.

    Args:
        text: Any text.

    Source: the kinds of the HIPAA Safe Harbor list (45 CFR 164.514(b)(2)) that occur in reports.

    Example:
        >>> text = "Compared with 3/14/2021. Discussed with Dr. Quillfeather at 14:05."
        >>> [(found.kind, text[found.start : found.end]) for found in find_identifiers(text)]
        [('date', '3/14/2021'), ('name', 'Quillfeather'), ('time', '14:05')]
    """
    # Blanks of the same length keep all spans; a placeholder names nobody.
    blanked = _placeholders().sub(lambda match: " " * len(match[0]), text)
    # What one pattern has taken no later one may take again: the date in a record number is no second find.
    taken = bytearray(len(blanked))
    found = []
    has_digit = _DIGIT.search(blanked) is not None
    has_number = has_digit and _NUMBER.search(blanked) is not None
    words = set(_WORD.findall(blanked.lower()))
    for kind, pattern, needed, signs in _patterns():
        # Most texts lack the word or the digit without which a pattern cannot match: a third of the time.
        if (
            (kind in _WITH_DIGITS and not has_digit)
            or (kind in _LONG and not has_number)
            or (needed and needed.isdisjoint(words))
        ):
            continue
        if signs and not any(sign in blanked for sign in signs):
            continue
        for match in pattern.finditer(blanked):
            span = match.span("found" if "found" in pattern.groupindex else 0)
            # A pattern marks the part that identifies: "Dr." before a name does not.
            if kind == "name":
                span = _name_span(blanked, *span)
            if span[0] < span[1] and not any(taken[span[0] : span[1]]):
                taken[span[0] : span[1]] = b"\1" * (span[1] - span[0])
                found.append(Identifier(kind, *span))
    # Last, so that a title or a signature decides first where a name ends.
    for span in find_names(blanked):
        if not any(taken[span[0] : span[1]]):
            taken[span[0] : span[1]] = b"\1" * (span[1] - span[0])
            found.append(Identifier("name", *span))
    return tuple(sorted(found, key=lambda item: item.start))


def _name_span(text: str, start: int, end: int) -> tuple[int, int]:
    """The part of a supposed name before the first word that is none ("Dr. Quillfeather The lungs…"), maybe empty."""
    stop = start  # an empty span where the very first word is no name
    for word in re.finditer(r"[\w'’-]+", text[start:end]):
        # In small letters most words behind a title are none: "Dr aware".
        kind = properties(word[0]) if word[0][0].islower() else 0
        if word[0].title() in _not_names() or (kind & ORDINARY and not kind & EPONYM):
            break
        stop = start + word.end()
    return start, stop


@cache
def _not_names() -> frozenset[str]:
    return frozenset(_data()["words"]["not_names"])


@cache
def _placeholders() -> re.Pattern[str]:
    return re.compile("|".join(_data()["placeholders"]))


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str], frozenset[str], tuple[str, ...]], ...]:
    """Kind, pattern, and the words and the signs of which a text must hold one; none where nothing is needed."""
    return tuple((kind, re.compile(pattern), words, signs) for kind, pattern, words, signs in _filled())


def _filled() -> Iterator[tuple[str, str, frozenset[str], tuple[str, ...]]]:
    # The word lists and {name} are filled into the patterns, so that each list is written once.
    words = {key: "|".join(terms) for key, terms in _data()["words"].items()}
    lists = {**words, "MONTH": words["month"].upper(), "name": rf"(?:{_NAME})(?:[ \t]+(?:{_NAME})){{0,2}}"}
    for kind, pattern, *needed in _data()["patterns"]:
        needs: dict[str, list[str]] = needed[0] if needed else {}
        named = (words.get(word.strip("{}"), word).lower().split("|") for word in needs.get("words", []))
        yield (
            kind,
            re.sub(r"\{([a-zA-Z]+)\}", lambda match: lists[match[1]], pattern),
            frozenset(word for part in named for word in part),
            tuple(needs.get("signs", [])),
        )


@cache
def _data() -> Mapping[str, Any]:
    return dict(json.loads((files(__package__) / "identifiers.json").read_text(encoding="utf-8")))
