"""Clinical notes: long texts on a patient in which the result of a film is one sentence among many."""

import re
from collections.abc import Collection, Sequence
from typing import Final

from pedclip.anatomy import Mention
from pedclip.curation.report.lexicon import Hit

# Headings that a note has and the report of a film has not.
_NOTE: Final = re.compile(
    r"(?:^|[.;]\s|\n)[ \t]*(?:history of present illness|past (?:medical|surgical) history|social history|family "
    r"history|physical "
    r"exam(?:ination)?|review of systems|hospital course|current medications|medications|vital signs|h?pi|pmh"
    r"|shx|fhx|meds|cc|"
    r"subjective|objective|preoperative diagnos[ie]s|postoperative diagnos[ie]s|cause of death|laboratory data)[ \t]*:",
    re.IGNORECASE,
)
_RESULT: Final = re.compile(
    r"\b(?:show|shows|showed|shown|reveal\w*|demonstrat\w+|unremarkable|normal|negative|clear|positive for"
    r"|consistent with|was|were|is|are)\b",
    re.IGNORECASE,
)
_NEAR: Final = 30  # characters between the name of a region and the word that makes it a film


def is_note(text: str) -> bool:
    """True where the headings are those of a note, not of a report."""
    return _NOTE.search(text) is not None


def tells_film(text: str, hits: Sequence[Hit], mentions: Sequence[Mention]) -> bool:
    """True where a sentence of a note says what a film of a named region showed.

    Example:
        >>> from pedclip.anatomy import find_mentions
        >>> from pedclip.curation.report.lexicon import scan
        >>> def tells(text): return tells_film(text, scan(text), find_mentions(text))
        >>> tells("Chest x-ray showed clear lungs."), tells("Chest x-ray was ordered."), tells("The chest is clear.")
        (True, False, False)
    """
    tags: Collection[str] = {tag for hit in hits for tag in hit.tags}
    if "cue:film" not in tags or not any(tag.startswith("finding:") for tag in tags):
        return False
    films = [hit for hit in hits if "cue:film" in hit.tags]
    is_named = any(
        mention.kind == "name" and max(film.start - mention.end, mention.start - film.end) <= _NEAR
        for mention in mentions
        for film in films
    ) or re.search(r"\b(?:CXR|KUB)\b", text)
    return bool(is_named and _RESULT.search(text))
