"""Names of people in running text, by the words around them and by lists of common names."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final, NamedTuple

from pedclip.curation.privacy.name_words import (
    AUXILIARY,
    CAPITAL,
    CONTACT,
    CUE,
    EPONYM,
    FAMILY,
    GIVEN,
    INITIAL,
    LISTED,
    NOUN,
    ORDINARY,
    PARTICLE,
    PREPOSITION,
    SHORT,
    UPPER,
    VERB,
    may_begin,
    properties,
)

_WORD: Final = re.compile(r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f]|['’-](?=[^\W\d_]))*")
_SENTENCE_END: Final = re.compile(r"[.!?:;\n\r|>•*\d]|--")
_AGE: Final = re.compile(
    r"[,(]?\s*(?:(?:is|was)\s+)?(?:an?\s+)?(?:age[d:]?\s*)?"
    r"\d{1,3}\s*-?\s*(?:years?|yrs?|y/?o|months?|mo|weeks?|days?|m|f|y)\b"
    r"|\s*\((?:\*|b\.|born|DOB|age)",
    re.IGNORECASE,
)
_ROLE: Final = re.compile(
    r", (?:consultant|registrar|radiologist|radiographer|attending|resident|fellow|nurse|physician|surgeon"
    r"|pa?ediatrician|orthopa?edist|technologist)\b",
    re.IGNORECASE,
)
# "patient: john", "Name: smith, john": what stands there in small letters is a name if the lists know it.
_NAME_FIELD: Final = re.compile(r"\b(?:patient|pt|name)[ \t]*[:=][ \t]*(?:[^\W\d_](?:[^\W\d_]|['’-])*,[ \t]*)?\Z", re.I)
_LONGEST_FIELD: Final = 60  # signs between such a heading and the name
# Cyrillic, Armenian, Hebrew, Arabic, the scripts of India, Georgia and East Asia; Greek letters are used as symbols.
_OTHER_SCRIPT: Final = re.compile(
    r"[\u0400-\u052f\u0531-\u06ff\u0900-\u0eff\u10a0-\u10ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{2,}"
)
_MOST: Final = 100_000  # words that are remembered


class _Token(NamedTuple):
    text: str
    start: int
    end: int
    kind: int


class _Place(NamedTuple):
    """Surroundings of a supposed name."""

    begins: bool  # a sentence or a line
    is_cued: bool  # behind "Patient", "told", "Dr."
    has_preposition: bool  # behind "with", "for"
    has_receiver: bool  # behind "by", "to", "for"
    has_initial: bool  # behind or before a single letter: "J. Smith", "J Smith, consultant"
    has_role: bool  # before ", consultant"
    has_noun: bool  # before "fracture", "sign", "catheter"
    has_fracture: bool
    has_age: bool  # before ", 7 years" or "is a 7-year-old"
    acts: bool  # before "fell"
    is_followed: bool  # before "has", "is", "was"
    has_verb_of_people: bool  # before "has", "had", "who"
    owns: bool  # "Kowalczyk's films"
    is_upper: bool  # among words in capitals
    sign: str  # what follows at once


def find_names(text: str) -> Iterator[tuple[int, int]]:
    """Spans of supposed names of people, without overlap.

    A capitalized word that is neither ordinary nor an eponym is a name behind "Patient", "told" or "Herr", before
    "fell" or an age, in "Last, First:", or beside a listed name; a listed one also by itself. Writing without capitals
    or in nothing but capitals is judged mostly by the lists.

    Args:
        text: Any text.

    Example:
        >>> text = "Patient Odalys Brandvold, buckle fracture; a Jones fracture is absent."
        >>> [text[start:end] for start, end in find_names(text)]
        ['Odalys Brandvold']
    """
    if not text.isascii():
        # A word in another script within an English excerpt is hardly anything else.
        yield from (match.span() for match in _OTHER_SCRIPT.finditer(text))
    if _is_harmless(text):
        return
    tokens = [_Token(m[0], m.start(), m.end(), properties(m[0])) for m in _WORD.finditer(text)]
    position = 0
    while position < len(tokens):
        stop = _run(text, tokens, position)
        if stop > position and _is_name(text, tokens, position, stop):
            yield tokens[position].start, tokens[stop - 1].end
        position = max(stop, position + 1)


def _is_harmless(text: str) -> bool:
    """True where no word can begin a name: most texts, found out without looking at each word again."""
    known = _harmless()
    new = set(_WORD.findall(text)) - known
    found = [word for word in new if not may_begin(properties(word))]
    if len(known) < _MOST:
        known.update(found)
    return len(found) == len(new)


@cache
def _harmless() -> set[str]:
    return set()


def _run(text: str, tokens: Sequence[_Token], start: int) -> int:
    """One past the last word of the supposed name that begins at a word; start itself where none does."""
    if not may_begin(tokens[start].kind):
        return start
    stop, has_comma = start + 1, False
    while stop < len(tokens):
        last = tokens[stop - 1].kind
        gap = text[tokens[stop - 1].end : tokens[stop].start]
        is_comma = gap == ", " and not has_comma and last & (CAPITAL | LISTED)
        if not (is_comma or gap in (" ", "\t", "\xa0") or (gap in (". ", ".") and last & INITIAL)):
            break
        ahead = stop
        # "van der Berg": the particles count where a name follows them.
        while ahead < len(tokens) - 1 and tokens[ahead].kind & PARTICLE and not tokens[ahead].kind & CAPITAL:
            ahead += 1
        kind = tokens[ahead].kind
        is_short = kind & SHORT and not kind & ORDINARY and last & UPPER
        if not (may_begin(kind) or kind & INITIAL or is_short):
            break
        has_comma |= bool(is_comma)
        stop = ahead + 1
    return stop


def _is_name(text: str, tokens: Sequence[_Token], start: int, stop: int) -> bool:
    run = [token for token in tokens[start:stop] if not _is_aside(token.kind)]
    known = [token for token in run if not token.kind & (ORDINARY | EPONYM)]
    listed = [token for token in known if token.kind & LISTED]
    has_given = any(token.kind & GIVEN for token in run)
    if len(listed) > 1 and has_given:
        return True  # on both lists: no eponym, however it goes on
    place = _place(text, tokens, start, stop)
    if not all(token.kind & CAPITAL for token in run):
        # Without capitals only a listed name behind a cue or a heading.
        return bool(listed) and ((place.is_cued and not place.begins) or _is_in_field(text, run[0].start))
    # "Anybody's fracture" names a patient, "Tinel's sign" does not.
    if place.has_noun and not (place.owns and place.has_fracture and known):
        return False
    has_comma = "," in text[run[0].end : run[-1].start]
    if place.is_upper and all(token.kind & UPPER for token in run):
        if listed:
            return place.is_cued or len(run) > 1
        return len(known) > 1 and _stands_in_capitals(place, has_comma=has_comma)
    # "Patient Jones, fracture": the comma tells it from "infant Perthes disease".
    if place.is_cued and (known or place.sign in ("", ",", ".", ";", ":", ")")):
        return True
    if len(run) == 1:
        return _is_single_name(run[0], place)
    if not known:
        # Mark Young, Grace Hill: words of reports, but both are names.
        return has_given and any(token.kind & FAMILY for token in run[1:])
    return bool(listed) or _stands_as_name(place, has_comma=has_comma)


def _is_aside(kind: int) -> bool:
    """True for "van" and for "J.", which alone are no names."""
    return bool(kind & INITIAL or (kind & PARTICLE and not kind & CAPITAL))


def _is_in_field(text: str, start: int) -> bool:
    return _NAME_FIELD.search(text[max(0, start - _LONGEST_FIELD) : start]) is not None


def _place(text: str, tokens: Sequence[_Token], start: int, stop: int) -> _Place:
    last = tokens[stop - 1]
    # "Dr. von Ahlefeld": what stands before the particles.
    while start and tokens[start - 1].kind & PARTICLE and not tokens[start - 1].kind & CAPITAL:
        start -= 1
    before = tokens[start - 1] if start else _Token("", 0, 0, 0)
    gap = text[before.end : tokens[start].start] if start else "\n"
    after = tokens[stop] if stop < len(tokens) else _Token("", last.end + 1, last.end + 1, 0)
    rest = text[last.end : after.start]
    has_role = bool(_ROLE.match(text, last.end))
    # "L Smith" alone may be a left Smith fracture.
    gaps = (".", ". ", " ") if has_role else (".", ". ")
    has_initial = bool(before.kind & INITIAL and gap in gaps) or bool(last.kind & INITIAL)
    return _Place(
        begins=not has_initial and bool(_SENTENCE_END.search(gap)),
        is_cued=bool(before.kind & (CUE | CONTACT)) and gap.strip() in ("", ":", ",", ".", "(", '"', "=", "-"),
        has_preposition=bool(before.kind & PREPOSITION) and not gap.strip(),
        has_receiver=before.text in ("by", "to", "for") and not gap.strip(),
        has_initial=has_initial,
        has_role=has_role,
        has_noun=bool(after.kind & NOUN) and rest in (" ", "-", "/"),
        has_fracture=after.text.startswith("fracture"),
        has_age=bool(_AGE.match(text, last.end)),
        acts=bool(after.kind & VERB) and rest == " ",
        is_followed=bool(after.kind & AUXILIARY) and rest == " ",
        has_verb_of_people=after.text in ("has", "had", "who") and rest == " ",
        owns=last.text.endswith(("'s", "’s")),
        is_upper=bool((before.kind | after.kind) & UPPER) or stop - start == len(tokens),
        sign=rest[:1],
    )


def _is_single_name(token: _Token, place: _Place) -> bool:
    # ANA and GERD are tests and diseases more often than people.
    if len(token.text) < (5 if token.kind & UPPER else 3):
        return place.begins and place.has_age and bool(token.kind & FAMILY)
    if token.kind & (EPONYM | ORDINARY):
        is_person = (place.begins and (place.acts or place.has_age)) or (place.has_initial and token.kind & EPONYM)
        return bool(token.kind & FAMILY and is_person)
    if token.kind & GIVEN:
        return True
    if token.kind & FAMILY:
        at_start = place.acts or place.is_followed or place.has_age or place.owns or place.sign in (",", ":")
        return not place.begins or at_start
    # Unknown to all lists: a drug or a device as often as a name.
    if place.begins:
        return place.acts or place.has_age or place.owns or place.has_verb_of_people
    return place.owns or place.has_receiver or (place.has_initial and place.has_role)


def _stands_in_capitals(place: _Place, *, has_comma: bool) -> bool:
    """True where words in capitals that no list knows stand as "LAST, FIRST:" or behind "PATIENT"."""
    if place.begins:
        return has_comma and place.sign == ":"
    return place.is_cued and (place.is_followed or place.sign != " ")


def _stands_as_name(place: _Place, *, has_comma: bool) -> bool:
    """True where two or more words that no list knows stand where people stand."""
    if place.begins:
        return place.acts or place.has_age or place.sign == (":" if has_comma else ",")
    if has_comma:
        return False  # drugs and cities come in such rows too
    return place.has_preposition or place.acts or place.owns
