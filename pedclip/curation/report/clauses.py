"""Clauses: the finding in a sentence that also tells who was informed, and findings that an addendum takes back."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from pedclip.curation.report.lexicon import Hit, mentions_in, words_of

# Where a clause may end; the verb is for "The effusion was discussed with …".
_BOUNDARY: Final = re.compile(
    r"\s*[;,]\s+|\s+[-–—]+\s*|\s+\(|,?\s+(?:and|but)\s+|,?\s+which\s+(?=was|were|has|have|is)|:\s+", re.IGNORECASE
)
# What somebody was told ("was notified of a misplaced tube"), not what both know ("of the findings").
_TOLD: Final = re.compile(
    r"\s+(?:that\s+(?:there (?:is|are|was|were)\s+)?|(?:of|about|regarding)\s+(?=an?\b))", re.IGNORECASE
)
_PASSIVE: Final = re.compile(r"\s+(?:was|were|is|are|has been|have been|being)\s*\Z", re.IGNORECASE)
_BEGINS_PASSIVE: Final = re.compile(r"(?:was|were|is|are)\b", re.IGNORECASE)
_AROUND: Final = " \t\r\n,;:-–—("

_NEGATIVE: Final = re.compile(
    r"^\W*(?:(?:there (?:is|are|was|were)|the \w+ (?:has|have)) )?(?:no|without|negative|neither|absence)\b|\bno "
    r"(?:evidence|acute|sign)\b"
    r"|\b(?:normal|unremarkable|intact|clear|satisfactory|adequate|appropriate|negative|resolved|in place"
    r"|(?:good|standard|expected|"
    r"proper|correct) position\w*|well[ -]positioned|free of|not (?:seen|present|identified|enlarged|fractured))\b",
    re.IGNORECASE,
)
_CORRECTS: Final = re.compile(
    r"\b(?:should (?:read|be|state|say)|instead of|rather than|not (?:on )?the (?:left|right)|not (?:left|right)"
    r"|in error|erroneous\w*|"
    r"incorrect\w*|mistak\w*|wrong\w*|misstated|typographical|typo|laterality error)\b",
    re.IGNORECASE,
)
_THERE: Final = re.compile(r"there (?:is|are|was|were) (?!no\b)", re.IGNORECASE)
_CHANGE: Final = frozenset({"cue:unchanged", "cue:compared"})
_SIDES: Final = frozenset({"left", "right"})
_LONGEST_OVERALL: Final = 6  # words of a sentence that calls a film normal
_STEM: Final = 6  # letters by which two words of a finding are compared
_GENERAL: Final = frozenset(
    "abnormality abnormalities abnormal process disease injury pathology finding findings".split()
)


def finding_clause(text: str, hits: Sequence[Hit]) -> tuple[int, int] | None:
    """The span of the finding in a sentence that is a notification, None where nothing but one can be cut out.

    Example:
        >>> from pedclip.curation.report.lexicon import scan
        >>> text = "Displaced fracture of the ulna; orthopedics was paged."
        >>> text[slice(*finding_clause(text, scan(text)))]
        'Displaced fracture of the ulna'
    """
    cues = [hit for hit in hits if "cue:administrative" in hit.tags]
    if not cues:
        return None
    first, last = cues[0], cues[-1]
    cuts = [match for match in _BOUNDARY.finditer(text) if match.end() <= first.start]
    verb = _PASSIVE.search(text[: first.start])
    if cuts:
        stop = cuts[-1].start()
    elif verb or _BEGINS_PASSIVE.match(text, first.start):
        stop = verb.start() if verb else first.start
    else:
        stop = 0
    # In front of the notification, else behind it.
    if _is_finding(text, 0, stop, hits):
        return _trimmed(text, 0, stop)
    behind = _TOLD.search(text, last.end) or _BOUNDARY.search(text, last.end)
    if behind and _is_finding(text, behind.end(), len(text), hits):
        return _trimmed(text, behind.end(), len(text))
    return None


def _is_finding(text: str, start: int, end: int, hits: Iterable[Hit]) -> bool:
    own = [hit for hit in hits if start <= hit.start and hit.end <= end]
    tags = {tag for hit in own for tag in hit.tags}
    if "cue:administrative" in tags or not any(map(str.isalpha, text[start:end])):
        return False
    if tags & {"finding:pathology", "finding:bone"}:
        return True
    # "Free intraperitoneal air is present", "Slipped capital epiphysis", but no "findings on the chest film".
    is_of_part = any(tag.startswith(("hint:", "structure:")) for tag in tags) or any(
        mention.kind == "structure" for mention in mentions_in(text[start:end])
    )
    return is_of_part and not tags & {"cue:film", "cue:history", "cue:request"}


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while end > start and text[end - 1] in _AROUND:
        end -= 1
    while start < end and text[start] in _AROUND:
        start += 1
    return start, end


def is_correction(addendum: str) -> bool:
    """True where an addendum says that the report was wrong."""
    return _CORRECTS.search(addendum) is not None


def tells_error(addendum: str, hits: Iterable[Hit]) -> bool:
    """True where a sentence says no more than that the report was wrong ("The side was wrong.")."""
    is_of_something = mentions_in(addendum) or any("finding:pathology" in hit.tags for hit in hits)
    return is_correction(addendum) and not is_of_something


def is_superseded(
    text: str, hits: Sequence[Hit], addendum: str, added: Sequence[Hit], *, is_corrected: bool = False
) -> bool:
    """True where a sentence of an addendum takes back one of the report: it denies what was found, or finds it.

    Args:
        text: A finding of the report.
        hits: Listed terms in it.
        addendum: A finding of the addendum.
        added: Listed terms in that.
        is_corrected: Another sentence of the addendum says that the report was wrong.

    Example:
        >>> from pedclip.curation.report.lexicon import scan
        >>> def is_taken_back(one, other): return is_superseded(one, scan(one), other, scan(other))
        >>> is_taken_back("No fracture.", "There is a buckle fracture."), is_taken_back("No effusion.", "A fracture.")
        (True, False)
    """
    sides, new_sides = (_SIDES & {word for word, _, _ in words_of(one)} for one in (text, addendum))
    shared = _topics(text, hits) & _topics(addendum, added)
    if is_correction(addendum) or (is_corrected and sides and new_sides and not sides & new_sides):
        return bool(shared)
    if any(hit.tags & _CHANGE for hit in added) or (sides and new_sides and not sides & new_sides):
        return False
    is_negative, is_now_negative = _NEGATIVE.search(text) is not None, _NEGATIVE.search(addendum) is not None
    if is_negative == is_now_negative:
        return False
    # "Normal wrist." is all taken back by one finding.
    is_of_part = any(mention.kind == "structure" for mention in mentions_in(text))
    is_overall = is_negative and not _topics(text, hits) and not is_of_part and len(text.split()) <= _LONGEST_OVERALL
    return bool(shared) or (is_overall and (bool(_topics(addendum, added)) or _THERE.match(addendum) is not None))


def _topics(text: str, hits: Iterable[Hit]) -> set[str]:
    """Diseases and devices that a sentence is about, by their first letters."""
    named = (text[hit.start : hit.end].lower() for hit in hits if "finding:pathology" in hit.tags)
    words = {word for term in named for word in term.split() if len(word) > 3}
    return {word[:_STEM] for word in words - _GENERAL} - {word[:_STEM] for word in _GENERAL}
