"""The word lists of report curation (`words.json`), found in a sentence in one pass."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

from pedclip.anatomy import Mention, find_mentions

# Soft tissue and airway films: none of the 23 regions, yet their sentences belong to no other film.
NECK: Final = "neck"

_WORD: Final = re.compile(r"[A-Za-z0-9]+")
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
    words = words_of(text)
    hits, free = [], 0  # free: index of the first word behind the last hit, so that hits never overlap
    for first, (word, start, _) in enumerate(words):
        state = _begun_by(word)
        if state is None or first < free:
            continue
        tags, last, position = _NO_TAGS, first, first
        while state:
            if state.tags:
                last, tags = position, state.tags
            position += 1
            if position == len(words) or not state.goes_on:
                break
            following = _forms(words[position][0])
            state = state.behind(following) if following else None
        if tags:
            hits.append(Hit(start, words[last][2], tags))
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


class _State:
    """Nodes of the tree that the words read so far lead to: several, as one may be a word and a stem ("fractur*")."""

    def __init__(self, nodes: Sequence[dict[str, Any]]) -> None:
        self.tags = frozenset[str]().union(*(node.get(_END, ()) for node in nodes))  # of the terms that end here
        self.goes_on = any(word != _END for node in nodes for word in node)
        self._nodes = nodes
        self._behind: dict[tuple[str, ...], _State | None] = {}  # bounded, as there are only listed spellings

    def behind(self, forms: tuple[str, ...]) -> "_State | None":
        """The state behind a word with these spellings, None where no term goes on so."""
        if forms not in self._behind:
            nodes = [node[form] for node in self._nodes for form in forms if form in node]
            self._behind[forms] = _State(nodes) if nodes else None
        return self._behind[forms]


@cache
def _begin() -> _State:
    return _State([_trie()])


@lru_cache(maxsize=65_536)
def _begun_by(word: str) -> _State | None:
    """Terms that a word of the text may begin."""
    forms = _forms(word)
    return _begin().behind(forms) if forms else None


@lru_cache(maxsize=65_536)
def _forms(word: str) -> tuple[str, ...]:
    """The listed spellings that a word of the text satisfies, in any case; most words satisfy none."""
    word = word.lower()
    stems = (word[:length] + "*" for length in range(_SHORTEST_STEM, min(len(word), 20) + 1))
    return tuple(form for form in (word, word.removesuffix("s"), *stems) if form in _vocabulary())
