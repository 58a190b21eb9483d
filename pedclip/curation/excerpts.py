"""The result of an extraction, and what every extractor offers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pedclip.curation.sentences import Sentence


@dataclass(frozen=True)
class Excerpt:
    """What a report says of one body part; empty where the part was filmed but nothing is said of it."""

    text: str  # the sentences joined by a space, or what an extractor wrote in their place
    sentences: tuple[Sentence, ...]  # verbatim, in report order, with spans in the text of the report
    source: str  # `text_source` of the triplet: "rules", "llm-select", "llm-rewrite"


class Extractor(Protocol):
    """Whatever turns a report into excerpts: word lists, a language model."""

    def extract(self, report_text: str, regions: tuple[str, ...] | None) -> Mapping[str, Excerpt]:
        """Excerpts of the asked regions (an empty one where nothing is said), or of all filmed ones for None."""


def joined(sentences: Iterable[Sentence], *, source: str) -> Excerpt:
    """An excerpt of sentences as they stand in the report."""
    ordered = tuple(sorted(sentences, key=lambda sentence: sentence.start))
    return Excerpt(" ".join(sentence.text for sentence in ordered), ordered, source)
