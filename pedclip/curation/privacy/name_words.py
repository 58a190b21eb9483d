"""Words as parts of names: spelling, lists of common names, ordinary words, eponyms, and what stands around people."""

import json
import re
import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final

# Properties of a word by itself: plain integers, as flags of the enum module take five times as long.
CAPITAL: Final = 1  # Anna, O'Brien, ANNA
UPPER: Final = 2  # ANNA
GIVEN: Final = 4
FAMILY: Final = 8
ORDINARY: Final = 16
EPONYM: Final = 32
NOUN: Final = 64  # what follows an eponym
CUE: Final = 128  # "Patient", "Dr", "Herr"
CONTACT: Final = 256  # "told", "paged"
VERB: Final = 512  # what people do and bodies do not
PARTICLE: Final = 1024  # "van", "de la"
INITIAL: Final = 2048  # a single capital letter
PREPOSITION: Final = 4096
AUXILIARY: Final = 8192
SHORT: Final = 16384  # in capitals, as abbreviations are
LISTED: Final = GIVEN | FAMILY

_LISTS: Final = {
    "ordinary": ORDINARY,
    "eponyms": EPONYM,
    "nouns": NOUN | ORDINARY,
    "cues": CUE | ORDINARY,
    "contacts": CONTACT | ORDINARY,
    "prepositions": PREPOSITION | ORDINARY,
    "verbs": VERB | ORDINARY,
    "auxiliaries": AUXILIARY | ORDINARY,
    "particles": PARTICLE,
}
# Endings of illnesses, operations and drugs, which no list holds all of.
_MEDICAL: Final = re.compile(
    r"(?:[ts]ions?|itis|osis|oses|omas?|emia|uria|pathy|plasty|tomy|copy|graphy|grams?|megaly|algia|asis|trophy|penia|lysis"
    r"|cillin|mycin|azole|statin|olol|idine|azine|amine|ments?|ness)$"
)
_UNFOLDED: Final = str.maketrans({"ß": "ss", "ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "’": "'"})


@lru_cache(maxsize=50_000)
def properties(word: str) -> int:
    """Properties of a word as it is written, a possessive ending aside.

    Example:
        >>> properties("Anna") == CAPITAL | GIVEN, properties("Colles'") & EPONYM == EPONYM
        (True, True)
    """
    bare = word[:-2] if word.endswith(("'s", "’s")) else word.rstrip("'’")
    folded = _folded(bare)
    found = _lists().get(folded, 0) or (_joined(folded.split("-")) if "-" in bare else 0)
    if not bare[:1].isupper():
        return found
    if len(bare) == 1:
        return found & PARTICLE | INITIAL
    if bare.isupper():
        found |= UPPER
        # COPD, PICC: abbreviations are no names, but LENA behind one is.
        if len(bare) < 5 and not found & LISTED:
            found |= SHORT
    if not found & LISTED and _MEDICAL.search(folded):
        found |= ORDINARY
    return found | CAPITAL


def may_begin(kind: int) -> bool:
    """True for the properties of a word that may be the first of a name."""
    if kind & CAPITAL:
        return not kind & (ORDINARY | SHORT) or bool(kind & LISTED)
    return bool(kind & LISTED) and not kind & (ORDINARY | EPONYM)


def is_listed(name: str) -> bool:
    """True where the lists of common names hold every word of a name."""
    return all(_lists().get(_folded(word), 0) & (LISTED | PARTICLE) for word in re.split(r"[\s-]+", name) if word)


def _joined(words: Sequence[str]) -> int:
    """Properties of a word with hyphens from those of its parts."""
    parts = [_lists().get(word, 0) for word in words]
    listed = [part & LISTED for part in parts if not part & (ORDINARY | EPONYM)]
    if any(listed):
        return max(listed)
    if any(part & EPONYM for part in parts):
        return EPONYM
    # "Ha-eun" may be a name, "Ring-like" is none.
    is_ordinary = all(part & ORDINARY for part in parts)
    has_ordinary = any(part & ORDINARY and len(word) > 3 for word, part in zip(words, parts, strict=True))
    return ORDINARY if is_ordinary or has_ordinary else 0


def _folded(word: str) -> str:
    """A word in small letters without accents."""
    lower = word.lower().translate(_UNFOLDED)
    if lower.isascii():
        return lower
    return "".join(sign for sign in unicodedata.normalize("NFKD", lower) if not unicodedata.combining(sign))


@cache
def _lists() -> dict[str, int]:
    data: dict[str, Any] = json.loads((files(__package__) / "names.json").read_text(encoding="utf-8"))
    lists: dict[str, int] = {}
    for key, kind in (("given", GIVEN), ("family", FAMILY)):
        for lines in data[key].values():
            for word in map(_folded, " ".join(lines).split()):
                lists[word] = lists.get(word, 0) | kind
    for key, kind in _LISTS.items():
        for word in " ".join(data[key]).split():
            lists[word] = lists.get(word, 0) | kind
    return lists
