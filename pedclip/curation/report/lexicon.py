"""The word lists of report curation (`words.json`), found in a sentence in one pass."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

from pedclip.anatomy import Mention, find_mentions

# Soft tissue and airway films: none of the 23 regions, yet their sentences belong to no other film.
NECK: Final = "neck"

_WORD: Final = re.compile(r"[a-z0-9]+", re.IGNORECASE | re.ASCII)
_END: Final = ""  # key of a node under which the tags of a complete term stand
_SHORTEST_STEM: Final = 3
_NO_TAGS: Final[frozenset[str]] = frozenset()


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


@lru_cache(maxsize=256)  # several tests look at the same sentence
def words_of(text: str) -> tuple[tuple[str, int, int], ...]:
    """Each run of letters and digits in lower case, with its span; hyphens and slashes separate words."""
    return tuple((match[0].lower(), *match.span()) for match in _WORD.finditer(text))


@lru_cache(maxsize=256)
def mentions_in(text: str) -> tuple[Mention, ...]:
    """`anatomy.find_mentions`, kept for the tests that follow on the same sentence."""
    return tuple(find_mentions(text))


def scan(text: str) -> list[Hit]:
    """All listed terms in order of position, without overlap, at each place the longest.

    Example:
        >>> sorted(scan("Follow-up is advised.")[0].tags)
        ['cue:recommendation']
    """
    spans = [match.span() for match in _WORD.finditer(text)]
    # Lower case keeps the places of letters in ASCII only.
    words = text.lower() if text.isascii() else text
    begun = [_begun_by(words[start:end]) for start, end in spans]
    hits, free = [], 0  # free: index of the first word behind the last hit, so that hits never overlap
    for first, nodes in enumerate(begun):
        if not nodes or first < free:
            continue
        # Several nodes at once, as a word may satisfy a term and a stem: "fractures", "fractur*".
        tags, last, position = _NO_TAGS, first, first
        while nodes:
            found = [node[_END] for node in nodes if _END in node]
            if found:
                last, tags = position, found[0] if len(found) == 1 else frozenset().union(*found)
            position += 1
            if position == len(spans):
                break
            following = _forms(words[slice(*spans[position])])
            nodes = tuple(node[form] for node in nodes for form in following if form in node) if following else ()
        if tags:
            hits.append(Hit(spans[first][0], spans[last][1], frozenset(tags)))
            free = last + 1
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
