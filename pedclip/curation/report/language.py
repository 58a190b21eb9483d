"""Language of a report: the rules read English, and a report in another language is refused rather than taken whole."""

import json
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from pedclip.curation.report.lexicon import is_listed

_WORD: Final = re.compile(r"[^\W\d_]+")
_WORD_IN_ASCII: Final = re.compile(r"[a-z]+")  # the same in ASCII, five times faster
_LOOKED_AT: Final = 1000  # characters, enough for any language to show
_FEWEST: Final = 3  # different words of another language by which a report is in it
_FEWEST_SHORT: Final = 2  # where no English word at all is there; a long word counts twice
_TELLING: Final = 6  # letters of a long word
_LONG: Final = 12  # words of a report of which some must be known if it is English
_KNOWN: Final = 0.15  # share of them
_SCRIPT: Final = 10  # letters that are not Latin


# Letters and words of English reports that mean something in another language.
_SHARED: Final = frozenset(
    "i o e y a en no do me on at an as am die war des der in is so it or us pa ap ii iii la al di er led val et "
    "und pain".split()
)


class OtherLanguage(ValueError):
    """A report that is not in English; the message names the language and holds no text of it."""


def other_language(text: str) -> str:
    """Name of the language of a report that is not in English, "" for one that is or may be.

    Latin terms, names, short reports ("Normal.") and reports without a function word count as English.

    Example:
        >>> other_language("Keine Fraktur, kein Erguss."), other_language("Hallux valgus. Os trigonum.")
        ('German', '')
    """
    text = text[:_LOOKED_AT]
    if not text.isascii():
        letters = [letter for letter in text if letter.isalpha()]
        num_other = sum("LATIN" not in unicodedata.name(letter, "") for letter in letters if letter > "\u02af")
        if num_other >= _SCRIPT and 2 * num_other > len(letters):
            return "another script"
        text = "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    text = text.lower()
    words = [
        word for word in (_WORD_IN_ASCII if text.isascii() else _WORD).findall(text) if word not in ("x", "xx", "xxxx")
    ]
    different = set(words)
    num_english = len(different & _english())
    if num_english and len(different & _any_other()) <= num_english:
        return ""  # no language can have more words here than English: most reports
    # The language with the most words of its own, if they are more than the English ones.
    name, own = max(((name, different & own) for name, own in _others()), key=lambda pair: len(pair[1]))
    if len(own) >= _FEWEST and len(own) > num_english:
        return name
    if not num_english and sum(1 + (len(word) >= _TELLING) for word in own) >= _FEWEST_SHORT:
        return name
    if num_english == 0 and len(words) >= _LONG and sum(map(is_listed, words)) < _KNOWN * len(words):
        return "an unknown language"
    return ""


@cache
def _lists() -> dict[str, Any]:
    return dict(json.loads(Path(__file__).with_name("languages.json").read_text(encoding="utf-8")))


@cache
def _english() -> frozenset[str]:
    return frozenset(_lists()["english"].split())


@cache
def _others() -> tuple[tuple[str, frozenset[str]], ...]:
    return tuple(_own())


@cache
def _any_other() -> frozenset[str]:
    return frozenset[str]().union(*(words for _, words in _others()))


def _own() -> Iterator[tuple[str, frozenset[str]]]:
    for name, words in _lists()["others"].items():
        yield name, frozenset(words.split()) - _english() - _SHARED
