"""The result of an extraction, and the protocol that every extractor fulfils."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Protocol

from pedclip.curation.report.parse import ParsedReport
from pedclip.curation.report.sentences import Sentence
from pedclip.findings import is_finding

_PUNCTUATION: Final = re.compile(r"[^\w\s]|_")
_STOPS: Final = frozenset('.!?;:"”)]')


@dataclass(frozen=True)
class Excerpt:
    """Sentences of a report on one body part; empty where the part was filmed but nothing is said of it."""

    text: str  # the sentences as `written` joins them, or what an extractor wrote in their place
    sentences: tuple[Sentence, ...]  # verbatim, in report order, with spans in the text of the report
    source: str  # `text_source` of the triplet: "rules", "llm-select", "llm-rewrite"


class Extractor(Protocol):
    """Protocol of everything that turns a report into excerpts: word lists, a language model."""

    def extract(self, report: ParsedReport, regions: tuple[str, ...] | None) -> Mapping[str, Excerpt]:
        """Excerpts of the asked regions (an empty one where nothing is said), or of all filmed ones for None."""


def joined(sentences: Iterable[Sentence], *, source: str) -> Excerpt:
    """An excerpt of sentences as they stand in the report."""
    # Extractors may name sentences in any order; a reader expects that of the report.
    ordered = tuple(sorted(sentences, key=lambda sentence: sentence.start))
    return Excerpt(written(ordered), ordered, source)


def written(sentences: Iterable[Sentence]) -> str:
    r"""Sentences as one text: single blanks, and a full stop where one would run into the next.

    Example:
        >>> written([Sentence("Fracture: No", 0, 12), Sentence("Effusion:\n small.", 13, 30)])
        'Fracture: No. Effusion: small.'
    """
    texts = [" ".join(sentence.text.split()) for sentence in sentences]
    stopped = [text if text[-1:] in _STOPS else text.rstrip(",–- ") + "." for text in texts[:-1]]
    return " ".join([*stopped, *texts[-1:]])


def check_verbatim(excerpts: Mapping[str, Excerpt], report: ParsedReport) -> None:
    """Refuse excerpts that do not come from their report, whatever made them.

    Raises:
        ValueError: A sentence is not in the report at its span, or a text that nothing rewrote is not made of its
            sentences. The message holds the region and the source, no text.
    """
    for region, excerpt in excerpts.items():
        for sentence in excerpt.sentences:
            if report.text[sentence.start : sentence.end] != sentence.text:
                raise ValueError(f"{region}: a sentence from {excerpt.source} is not in the report at its span.")
        # A rewritten text has words of its own, which `grounding` has checked.
        if excerpt.source != "llm-rewrite" and excerpt.text != written(excerpt.sentences):
            raise ValueError(f"{region}: the text of a {excerpt.source} excerpt is not made of its sentences.")


def is_useless(excerpt: str) -> bool:
    """True where an excerpt says nothing by itself: a single word that is no finding, or a pointer to another text.

    Example:
        >>> is_useless("As above."), is_useless("Normal."), is_useless("No fracture."), is_useless("Pneumonia.")
        (True, True, False, False)
    """
    # XXXX stands for a word that was removed: it says nothing either.
    words = _PUNCTUATION.sub(" ", re.sub(r"\b[Xx]{2,}\b", " ", excerpt)).lower().split()
    if len(words) < 2:
        return not (words and is_finding(words[0]))
    return " ".join(words) in excerpt_words()["carried"]


@cache
def excerpt_words() -> Mapping[str, Any]:
    """Word lists of written excerpts: `carried` (pointers to another text) and `findings` (terms that are counted)."""
    return dict(json.loads((files("pedclip.curation") / "excerpt_words.json").read_text(encoding="utf-8")))
