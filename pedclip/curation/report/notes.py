"""Clinical notes: long texts on a patient in which the result of a film is one sentence among many."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Final

from pedclip.anatomy import Mention, find_mentions
from pedclip.curation.report.lexicon import Hit

# Headings that a note has and the report of a film has not.
_NOTE: Final = re.compile(
    r"(?:\A|[.;\n](?:(?<=\n)|(?<=[.;])\s))[ \t]*(?=[^.;:\n]*:)"
    r"(?:history of present illness|past (?:medical|surgical) history|social history|family "
    r"history"
    r"|(?:physical|general|gen) exam(?:ination)?|review of systems|hospital course|(?:current |discharge )?medications"
    r"|vital signs|hpi|pmh|shx|fhx|meds|cc|subjective|objective|(?:pre-?|post-?)operative diagnos[ie]s|cause of death"
    r"|laboratory(?: data| findings)?|labs|(?:admitting|discharge) diagnos[ie]s|estimated blood loss|anesthesia"
    r"|chief complaint|allergies|operation(?: performed)?|title of operation|heent|reason for (?:admission"
    r"|consultation))"
    r"[ \t]*:",
    re.IGNORECASE,
)
_FILM: Final = re.compile(r"\b(?:x-?\s?rays?|radiographs?|plain films?|films|CXR|KUB|radiograms?)\b", re.IGNORECASE)
_CXR: Final = re.compile(r"\bCXR\b")
_RESULT: Final = re.compile(
    r"\b(?:show\w*|reveal\w*|demonstrat\w+|evidenc\w+|unremarkable|remarkable|normal|abnormal|negative|positive"
    r"|clear|WNL|significant for"
    r"|within normal|consistent with|confirm\w+|no (?:evidence|acute|fracture|sign)|any sign|suggest\w*"
    r"|nondiagnostic|verified"
    r"|noted|found|excellent|good|satisfactory|well[- ]aligned|read as)\b",
    re.IGNORECASE,
)
_ORDER: Final = re.compile(
    r"\b(?:was|were|be|will be|been|had) (?:also )?(?:ordered|requested|scheduled|repeated)\b|\brecommend"
    r"|\bwould like|\bplan to\b"
    r"|\brepeat x|\bwill (?:get|obtain|order|have|need|check|see)\b|\b(?:get|order) (?:an? )?(?:chest )?x",
    re.IGNORECASE,
)
_HEADING: Final = re.compile(
    r"(?:x-?\s?rays?|radiograph\w*|radiolog\w*|imaging(?: studies)?|films?)[^\n:]{0,20}:?\s*\Z", re.IGNORECASE
)
_SPINE: Final = {
    "cervical_spine": re.compile(r"\bcervical\b|\bC[2-7]\b", re.IGNORECASE),
    "lumbar_spine": re.compile(r"\blumbar\b|\bL[1-5]\b|\blow(?:er)? back\b", re.IGNORECASE),
    "thoracic_spine": re.compile(r"\bthoracic spine\b|\bT(?:[4-9]|1[0-2])\b", re.IGNORECASE),
}
_SOFT: Final = frozenset({"chest", "abdomen", "skull", "facial_bones"})  # examined by hand in every note
# In front of the film, in a sentence that tells of something else before it.
_JOINED: Final = re.compile(
    r"(?:,|;|\band|\bincluding|\bbut|\bwhile|\bas|\balthough|\bthough|\bhowever|\bsince|\bbecause)\s+(?:(?:an?"
    r"|the|his|her|some|post[- ]\w+|intraoperative)\s+)*\Z",
    re.IGNORECASE,
)


@lru_cache(maxsize=16)  # asked for the sections, and again for the lines
def is_note(text: str) -> bool:
    """True where the headings are those of a note, not of a report."""
    return _NOTE.search(text) is not None


def is_of_films(text: str, start: int) -> bool:
    """True where the part of a note that begins here stands under "X-RAYS:" or "Radiographs:"."""
    return _HEADING.search(text[max(0, start - 60) : start].rpartition("\n")[2]) is not None


def tells_film(text: str, hits: Sequence[Hit]) -> bool:
    """True where a sentence of a note says what a film showed.

    Example:
        >>> from pedclip.curation.report.lexicon import scan
        >>> def tells(text): return tells_film(text, scan(text))
        >>> tells("Chest x-ray showed clear lungs."), tells("Chest x-ray was ordered."), tells("The chest is clear.")
        (True, False, False)
    """
    if not _FILM.search(text) or _ORDER.search(text):
        return False
    tags: Collection[str] = {tag for hit in hits for tag in hit.tags}
    return _RESULT.search(text) is not None or "finding:pathology" in tags


def film_of(text: str, mentions: Sequence[Mention]) -> frozenset[str]:
    """Regions of the film that a sentence of a note tells of: those named, else those whose parts are, maybe none."""
    if _CXR.search(text):
        return frozenset({"chest"})
    film = _FILM.search(text)
    # The name next to the film: "x-ray of the hip", "chest x-ray", though the sentence names other parts later.
    named = [mention for mention in mentions if mention.kind == "name"] or list(mentions)
    if not film or not named:
        return frozenset()
    nearest = min(named, key=lambda mention: max(film.start() - mention.end, mention.start - film.end()))
    return frozenset({nearest.region})


def main_part(text: str) -> frozenset[str]:
    """The bone that a note speaks of most, for a film of which it does not say the part; "cervical" counts here."""
    named = [mention.region for mention in find_mentions(text)]
    named += [region for region, pattern in _SPINE.items() for _ in pattern.finditer(text)]
    counts = Counter(region for region in named if region not in _SOFT)
    return frozenset(region for region, _ in counts.most_common(1))


def result_start(text: str, mentions: Sequence[Mention]) -> int:
    """Index at which a sentence comes to its film, where it tells of something else before; 0 else."""
    film = _FILM.search(text)
    if not film:
        return 0
    begins = [mention.start for mention in mentions if 0 <= film.start() - mention.end <= 3]
    begin = min([film.start(), *begins])
    before = _JOINED.search(text[:begin])
    return begin if before and len(text[: before.start()].split()) > 2 else 0
