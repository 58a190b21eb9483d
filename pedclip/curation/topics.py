"""The film that a sentence names as its own subject, whatever heading it stands under."""

import re
from collections.abc import Collection
from typing import Final

from pedclip.curation.reading import Line

_SIDE: Final = r"left|right|both|bilateral|lt|rt|l|r"
_FILM: Final = r"joints?|sides?|films?|views?|vws|radiographs?|x-?rays?|stud(?:y|ies)|exam(?:ination)?s?|images?"
_VERB: Final = r"is|are|was|were|appears?|looks?|remains?|shows?|demonstrates?|reveals?"
_NORMAL: Final = r"normal|nl|negative|unremarkable|intact"
_TO_FRONT: Final = re.compile(rf"(?:(?:on|in|at|for|of|the|{_SIDE}|{_NORMAL}|{_FILM})\W+)*\Z", re.IGNORECASE)
_BEHIND: Final = re.compile(rf"(?:\W+(?:{_FILM}))*(?P<end>\W*\Z|,|\s+(?:{_VERB})\b)", re.IGNORECASE)
_DENIAL: Final = r"no|not|without|negative|free|absence|neither"
_DENIED: Final = re.compile(rf"(?:there (?:is|are|was|were) )?(?:{_DENIAL})\b", re.IGNORECASE)
_PLACED: Final = re.compile(rf"\b(?:on|in|of|at) (?:the )?(?:(?:{_SIDE}) )*\Z", re.IGNORECASE)


def film_named_in(line: Line, filmed: Collection[str]) -> str | None:
    """The film that a sentence says it is about, or None.

    It stands in front ("On the left hip views, …", "The ankle is normal."), or, where the sentence denies something, at
    its end ("No fracture of the elbow."). A neighbour that it only touches ("cyst of the hip") is no subject.

    Args:
        line: A finding.
        filmed: Films of the report; no other is returned.
    """
    text = line.sentence.text
    for mention in line.mentions:
        behind = _BEHIND.match(text, mention.end)
        if mention.kind != "name" or mention.region not in filmed or not behind:
            continue
        if _TO_FRONT.match(text[: mention.start]):
            return mention.region
        is_last = not behind["end"].strip(" .!,")
        if is_last and _DENIED.match(text) and _PLACED.search(text, 0, mention.start):
            return mention.region
    return None
