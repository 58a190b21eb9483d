"""Grounding: the report sentence that says what a sentence written by a language model says.

A rewritten sentence is accepted only where it is one report sentence, or one of its clauses, with nothing changed but
free words ("the", "is", "seen"). So no finding, number, side or denial can be added, and none can be turned round.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

_TOKEN: Final = re.compile(r"(?:(?<!\w)-)?(?:(?<!\w)[.,])?\d+(?:[.,/]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)?|[<>%+±=?,;:]")
_CUTS: Final = frozenset(",;:")
_SHORTEST_CLAUSE: Final = 2  # words
_CACHED: Final = 4096  # sentences; the same normal sentence occurs in thousands of reports


@dataclass(frozen=True)
class Content:
    """Words of a sentence that must not change.

    Attributes:
        words: Lower-case words, numbers and signs in order, free words left out.
        cuts: Indices into `words` before which a clause begins, 0 and the length included.
        is_bound: True where a word of denial, doubt or change is among the words.
    """

    words: tuple[str, ...]
    cuts: frozenset[int]
    is_bound: bool


@lru_cache(maxsize=_CACHED)
def content_of(sentence: str) -> Content:
    """The words of a sentence that carry its meaning.

    Example:
        >>> content_of("There is no fracture of the left wrist.").words
        ('no', 'fracture', 'left', 'wrist')
    """
    words: list[str] = []
    cuts = {0}
    for token in _tokens(sentence):
        if token in _CUTS or token in _word_set("breaks"):
            cuts.add(len(words))  # a clause begins before the next word that is kept
        if token not in _CUTS and token not in _word_set("free"):
            words.append(token)
    is_bound = "?" in words or not _word_set("bound").isdisjoint(words)
    return Content(tuple(words), frozenset({*cuts, len(words)}), is_bound)


def find_source(sentence: str, sources: Mapping[int, str]) -> int | str:
    """The report sentence that supports a written one.

    Args:
        sentence: One sentence that a model wrote.
        sources: Sentences of the report by number.

    Returns:
        The number of the report sentence, or the reason why there is none, in words that a model can act on.

    Example:
        >>> report = {1: "No fracture is seen.", 2: "The left hip is normal, and the knee is swollen."}
        >>> find_source("No fracture.", report), find_source("The knee is swollen.", report)
        (1, 2)
        >>> find_source("Fracture is seen.", report)
        'it leaves out part of a sentence that denies, doubts or compares; keep such a sentence whole'
    """
    wanted = content_of(sentence).words
    if not wanted:
        return "it holds no word of the report"
    # Whole sentences first: a part of one is accepted only where no other says the same.
    contents = {number: content_of(text) for number, text in sources.items()}
    for number, content in contents.items():
        if content.words == wanted:
            return number
    reason = ""
    for number, content in contents.items():
        for start in _runs(wanted, content.words):
            if content.is_bound:  # "no fracture or dislocation" must not become "dislocation"
                reason = "it leaves out part of a sentence that denies, doubts or compares; keep such a sentence whole"
            elif len(wanted) < _SHORTEST_CLAUSE or not {start, start + len(wanted)} <= content.cuts:
                reason = reason or "it leaves out words within a clause; copy the sentence or a whole clause of it"
            else:
                return number
    # No source: say why. New words are the commonest and the gravest reason.
    known = {word for content in contents.values() for word in content.words}
    new = sorted(set(wanted) - known)
    if new:
        return f"these words of it are not in the report: {', '.join(new[:5])[:100]}"
    return reason or "it joins or reorders words of the report; copy one sentence at a time"


def is_instruction(text: str) -> bool:
    """True where a text speaks to a language model rather than about films ("ignore previous instructions")."""
    return bool(_instructions().search(text))


def _runs(wanted: tuple[str, ...], words: tuple[str, ...]) -> Iterator[int]:
    """Indices at which `wanted` stands in `words` without a gap."""
    for start in range(len(words) - len(wanted) + 1):
        if words[start] == wanted[0] and words[start : start + len(wanted)] == wanted:
            yield start


def _tokens(sentence: str) -> list[str]:
    # NFKC: the same word may be written with a ligature here and in plain letters there.
    return _TOKEN.findall(unicodedata.normalize("NFKC", sentence).replace("’", "'").lower())


@cache
def _lists() -> dict[str, Any]:
    return dict(json.loads(Path(__file__).with_name("grounding.json").read_text(encoding="utf-8")))


@cache
def _word_set(name: str) -> frozenset[str]:
    return frozenset(_lists()[name])


@cache
def _instructions() -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in _lists()["instructions"]), re.IGNORECASE | re.DOTALL)
