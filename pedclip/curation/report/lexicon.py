"""The word lists of report curation (`words.json`), found in a sentence in one pass."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

# Soft tissue and airway films: none of the 23 regions, yet their sentences belong to no other film.
NECK: Final = "neck"

_WORD: Final = re.compile(r"[a-z0-9]+", re.IGNORECASE | re.ASCII)
_END: Final = ""  # key of a node under which the tags of a complete term stand
_SHORTEST_STEM: Final = 3


@dataclass(frozen=True)
class Hit:
    """A listed term in a text; several lists may hold it."""

    start: int  # index of the first character
    end: int  # one past the last
    tags: frozenset[str]  # "structure:wrist", "cue:history", "finding:pathology"


@cache
def word_lists() -> dict[str, Any]:
    """Content of `words.json`."""
    return dict(json.loads(Path(__file__).with_name("words.json").read_text(encoding="utf-8")))


def words_of(text: str) -> Iterator[tuple[str, int, int]]:
    """Each run of letters and digits in lower case, with its span; hyphens and slashes separate words."""
    for match in _WORD.finditer(text):
        yield match[0].lower(), *match.span()


def scan(text: str) -> list[Hit]:
    """All listed terms in order of position, without overlap, at each place the longest.

    Example:
        >>> sorted(scan("Follow-up is advised.")[0].tags)
        ['cue:recommendation']
    """
    words = list(_WORD.finditer(text))
    hits, first = [], 0
    while first < len(words):
        # Several nodes at once, as a word may satisfy a term and a stem: "fractures", "fractur*".
        nodes: Sequence[dict[str, Any]] = _begun_by(words[first][0])
        last, tags = first, frozenset[str]()
        position = first
        while nodes:
            found = [node[_END] for node in nodes if _END in node]
            if found:
                last, tags = position, frozenset().union(*found)
            position += 1
            following = _forms(words[position][0]) if position < len(words) else ()
            nodes = [node[form] for node in nodes for form in following if form in node]
        if tags:
            hits.append(Hit(words[first].start(), words[last].end(), tags))
        first = last + 1  # behind the longest term, so that hits never overlap
    return hits


def _terms() -> Iterator[tuple[str, str]]:
    """Each listed term with its tag."""
    lists = word_lists()
    for region, entry in lists["regions"].items():  # fields "names", "structures", "hints", "labels"
        for field, terms in entry.items():
            yield from ((term, f"{field[:-1]}:{region}") for term in terms)
    for group, prefix in (("cues", "cue"), ("finding", "finding")):
        for name, terms in lists[group].items():
            yield from ((term, f"{prefix}:{name}") for term in terms)
    yield from ((term, "heading:words") for term in lists["label_phrases"])


@cache
def _trie() -> dict[str, Any]:
    """Terms as a tree of words: one walk finds the longest term that begins at a word."""
    root: dict[str, Any] = {}
    for term, tag in _terms():
        node = root
        for word in re.findall(r"[a-z0-9]+\*?", term):
            node = node.setdefault(word, {})
        node.setdefault(_END, set()).add(tag)
    return root


@cache
def _vocabulary() -> frozenset[str]:
    """Every word or stem of any term."""
    return frozenset(word for term, _ in _terms() for word in re.findall(r"[a-z0-9]+\*?", term))


def is_listed(word: str) -> bool:
    """True where a word, in lower case, is part of a listed term or says nothing in a heading."""
    return not _vocabulary().isdisjoint((word, word.removesuffix("s"))) or word in word_lists()["label"]


@lru_cache(maxsize=65_536)
def _begun_by(word: str) -> tuple[dict[str, Any], ...]:
    """Nodes of the terms that a word of the text may begin."""
    return tuple(_trie()[form] for form in _forms(word) if form in _trie())


@lru_cache(maxsize=65_536)
def _forms(word: str) -> tuple[str, ...]:
    """The listed spellings that a word of the text satisfies, in any case; most words satisfy none."""
    word = word.lower()
    stems = (word[:length] + "*" for length in range(_SHORTEST_STEM, min(len(word), 20) + 1))
    return tuple(form for form in (word, word.removesuffix("s"), *stems) if form in _vocabulary())
