"""Clinical notes: long texts on a patient in which the result of a film is one sentence among many."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
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
_FILM: Final = re.compile(
    r"\b(?:x-?\s?rays?|radiographs?|plain films?|films|CXR|KUB|radiograms?"
    r"|(?:one|two|three|four|five|\d|AP|PA|lateral|oblique|frontal)[- ](?:and \w+ )?views?)\b",
    re.IGNORECASE,
)
_BY_NAME: Final = {"chest": re.compile(r"\bCXR\b"), "abdomen": re.compile(r"\bKUB\b")}
_RESULT: Final = re.compile(
    r"\b(?:show\w*|reveal\w*|demonstrat\w+|evidenc\w+|unremarkable|remarkable|normal|abnormal|negative|positive"
    r"|clear|WNL|significant for"
    r"|within normal|consistent with|confirm\w+|no (?:evidence|acute|fracture|sign)|any sign|suggest\w*"
    r"|nondiagnostic|verified"
    r"|noted|found|excellent|good|satisfactory|well[- ]aligned|read as)\b",
    re.IGNORECASE,
)
_ORDER: Final = re.compile(
    r"\b(?:was|were|be|will be|been|had) (?:also )?(?:ordered|requested|scheduled|repeated|pending)\b|\brecommend"
    r"|\bwould like|\bplan to\b|\bwill be (?:taken|done|obtained|performed)"
    r"|\brepeat x|\bwill (?:get|obtain|order|have|need|check|see)\b|\b(?:get|order) (?:an? )?(?:chest )?x"
    r"|\bcounts?\b|\bto rule out\b"
    r"|\b(?:if|unless|until|whether|should) (?:the |an? |his |her )?(?:\w+ ){0,3}(?:x-?rays?|films?)\b",
    re.IGNORECASE,
)
# "X-rays and MRIs were unremarkable": which of them showed what is not said.
_WITH_SCAN: Final = re.compile(
    r"(?:x-?rays?|films?|radiographs?)(?:,? and|,? or|,|/) ?(?:an? )?(?:MRI|CT|bone scan)", re.IGNORECASE
)
_PART: Final = re.compile(r"^[ \t]*(?P<heading>[A-Z][A-Za-z0-9/&,() -]{1,60}):", re.MULTILINE)
_HEADING: Final = re.compile(
    r"(?:x-?\s?rays?|radiograph\w*|radiolog\w*|imaging(?: studies)?|films?)[^\n:]{0,20}:?\s*\Z", re.IGNORECASE
)
_MIXED: Final = re.compile(r"\b(?:lab\w*|tests?|ekg|ecg|data|pathology)\b", re.IGNORECASE)
# What is done for the patient, or found without a film.
_CARE: Final = (
    r"surg(?:ery|ical)|operating room|consult\w*|auscultation|palpation|tender\w*|mg|dl|medications?"
    r"|antibiotics?|treat(?:ed|ment)|admitted|discharged|transferred|ekg|ecg|electrocardiogram|echo\w*|h[ae]moglobin"
    r"|hematocrit|white count|wbc|blood|urin\w+|cultures?|vital|labs?|plan|follow[- ]?up|incision|prepped|placed"
    r"|inserted|drilled|irrigated|applied|mobilized|exchanged|removed|closed|retract\w+|dissect\w+|performed"
    r"|brought|sutured|wound|muscles?|electrocautery|injected|advanced|microscope|therapy|exam(?:ination)?|strength"
    r"|sensation|reflex\w*|pulses?|range of motion|I (?:will|would|discussed|think|believe|have)"
)
_OF_CARE: Final = re.compile(rf"\b(?:{_CARE})\b", re.IGNORECASE)
_OF_PATIENT: Final = re.compile(rf"\b(?:patient|pt|he|she|his|her|mother|father|we|{_CARE})\b", re.IGNORECASE)
_GOES_ON: Final = re.compile(
    r"(?:there (?:is|are|was|were|appears?)|no|the (?:\w+ ){1,5}(?:is|are|was|were|appears?)"
    r"|the (?:findings|films?|x-?rays?|views?)|also|this|these|it|they"
    r"|otherwise|multiple|mild|moderate|severe|minimal|small|normal|some)\b",
    re.IGNORECASE,
)
_DEVICE: Final = re.compile(r"screw|wire|clip|tube|catheter|hardware|prosthes|device|pacemaker", re.IGNORECASE)
_NO_FINDINGS: Final = re.compile(r"no\b.*\bfindings?\b", re.IGNORECASE)
_TAKEN: Final = re.compile(r"\b(?:obtained|taken|performed|done|reviewed|read|available|underwent)\b", re.IGNORECASE)
_LEAST_CARE: Final = 3  # different words of care that no report of a film has
_SPINE: Final = {
    "cervical_spine": re.compile(r"\bcervical\b|\bC[2-7]\b", re.IGNORECASE),
    "lumbar_spine": re.compile(r"\blumbar\b|\bL[1-5]\b|\blow(?:er)? back\b", re.IGNORECASE),
    "thoracic_spine": re.compile(r"\bthoracic spine\b|\bT(?:[4-9]|1[0-2])\b", re.IGNORECASE),
}
_SOFT: Final = frozenset({"chest", "abdomen", "skull", "facial_bones"})  # examined by hand in every note
_ADJECTIVE: Final = re.compile(r"\b(cervical|thoracic|lumbar|lumbosacral)\b", re.IGNORECASE)
# Between two films of one list: "the chest and left hip x-rays".
_LISTED: Final = re.compile(
    r"(?:\W|\b(?:and|or|the|of|left|right|both|bilateral|spine|ap|pa|lateral|views?|x|rays?|films?|an?)\b)*",
    re.IGNORECASE,
)
_NEXT_TO: Final = 30  # characters between a further film and its name
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


def tells_care(sentences: Iterable[tuple[str, Sequence[Hit]]]) -> bool:
    """True where the words are those of an operation, a ward or a post-mortem, whatever the headings.

    Args:
        sentences: Each with the listed terms in it.
    """
    found = {text[hit.start : hit.end].lower() for text, hits in sentences for hit in hits if "cue:care" in hit.tags}
    return len(found) >= _LEAST_CARE


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
    if _RESULT.search(text):
        return True
    # "X-rays were taken to check screw length": what was put in is no result.
    return any("finding:pathology" in hit.tags and not _DEVICE.match(text, hit.start) for hit in hits)


def films_of(text: str, mentions: Sequence[Mention]) -> frozenset[str]:
    """Regions of the films that a sentence of a note tells of: those named, else those whose parts are, maybe none."""
    found = {region for region, pattern in _BY_NAME.items() if pattern.search(text)}
    # The names next to the film: "x-ray of the hip", "chest x-ray", though the sentence names other parts later.
    named = sorted(_names(text, mentions)) or sorted((one.start, one.end, one.region) for one in mentions)
    for number, film in enumerate(_FILM.finditer(text) if named else ()):
        gaps = [max(film.start() - end, start - film.end()) for start, end, _ in named]
        nearest = gaps.index(min(gaps))
        if gaps[nearest] <= _NEXT_TO or (not number and not found):
            first, last = _list_bounds(text, named, nearest)
            found.update(region for _, _, region in named[first : last + 1])
    return frozenset(found)


def _names(text: str, mentions: Sequence[Mention]) -> list[tuple[int, int, str]]:
    named = [(one.start, one.end, one.region) for one in mentions if one.kind == "name"]
    for match in _ADJECTIVE.finditer(text):  # "x-rays of the cervical and lumbar spine"
        if not any(start <= match.start() < end for start, end, _ in named):
            region = f"{match[0].lower().replace('lumbosacral', 'lumbar')}_spine"
            named.append((*match.span(), region))
    return named


def _list_bounds(text: str, named: Sequence[tuple[int, int, str]], nearest: int) -> tuple[int, int]:
    """First and last of the names that stand in one list with a name."""
    first = last = nearest
    while first and _LISTED.fullmatch(text, named[first - 1][1], named[first][0]):
        first -= 1
    while last + 1 < len(named) and _LISTED.fullmatch(text, named[last][1], named[last + 1][0]):
        last += 1
    return first, last


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
    line = text.rfind("\n", 0, film.start()) + 1
    if line and re.match(r"[^:\n]{0,20}:", text[film.end() :]):  # "EKG: normal", and "CXR: clear" on the next line
        return line
    named = sorted(_names(text, mentions))
    before_film = [
        k for k, (_, end, _) in enumerate(named) if 0 <= film.start() - end <= 3
    ]  # "the chest and hip x-rays"
    begin = named[_list_bounds(text, named, before_film[-1])[0]][0] if before_film else film.start()
    before = _JOINED.search(text[:begin])
    return begin if before and len(text[: before.start()].split()) > 2 else 0


def _is_assessed(text: str, tags: Iterable[str]) -> bool:
    return any(tag.startswith("finding:") for tag in tags) or _NO_FINDINGS.match(text) is not None


class NoteReader:
    """Reader of a note from top to bottom, who knows which film is spoken of."""

    def __init__(self, text: str) -> None:
        """Begin at the top of `text`."""
        self._parts = [(match.start(), match["heading"]) for match in _PART.finditer(text)][::-1]
        self._text, self._main = text, main_part(text)
        self._enter("")

    def enter_section(self, start: int) -> None:
        """Step into the section that begins here."""
        self._enter(self._text[max(0, start - 60) : start].rpartition("\n")[2])

    def _enter(self, heading: str) -> None:
        self._film: frozenset[str] = frozenset()  # regions of the film spoken of
        self._recent: frozenset[str] = frozenset()  # parts named in the sentence before
        self._is_of_films = _HEADING.search(heading) is not None and not _MIXED.search(heading)

    def _advance(self, start: int) -> None:
        """Step into the parts that begin up to here."""
        while self._parts and self._parts[-1][0] <= start:
            self._enter(self._parts.pop()[1])

    def read_label(self, text: str, start: int, regions: frozenset[str]) -> None:
        """Step under a heading; "Chest x-ray:" opens a film, "Chest:" among the films too."""
        self._advance(start)
        regions = regions or frozenset(region for region, pattern in _BY_NAME.items() if pattern.search(text))
        self._is_of_films = self._is_of_films or (_FILM.search(text) is not None and bool(regions))
        self._film = regions if self._is_of_films else frozenset()

    def films_in(
        self, text: str, start: int, hits: Sequence[Hit], mentions: Sequence[Mention], *, is_finding: bool
    ) -> frozenset[str]:
        """Regions of the film whose result a sentence tells, none for any other sentence."""
        self._advance(start)
        tags = {tag for hit in hits for tag in hit.tags}
        named = frozenset(region for _, _, region in _names(text, mentions))
        spoken = {tag.partition(":")[2] for tag in tags if tag.startswith(("name:", "structure:", "hint:"))}
        spoken |= {mention.region for mention in mentions}
        told = frozenset[str]()
        if tells_film(text, hits):
            # A film whose part is not named is of what its result speaks of, or of what was spoken of before.
            self._film = films_of(text, mentions)
            if not self._film and not _WITH_SCAN.search(text):
                self._film = frozenset(sorted(spoken)[:1]) or self._recent or self._main
            told = self._film
        elif _FILM.search(text) and _TAKEN.search(text) and not _ORDER.search(text):
            self._film = films_of(text, mentions)
        elif "cue:modality" in tags:
            self._film, self._is_of_films = frozenset(), False  # what follows is of that scan
        elif is_finding and _is_assessed(text, tags) and self._goes_on(text, spoken):
            told = self._film = (named if self._is_of_films else None) or self._film or self._recent or self._main
        elif not self._is_of_films:
            self._film = frozenset()
        self._recent = named
        return told

    def _goes_on(self, text: str, spoken: Collection[str]) -> bool:
        """True where a finding is of the film spoken of."""
        if self._is_of_films:
            return not _OF_CARE.search(text)
        goes_on = _GOES_ON.match(text) or not self._film.isdisjoint(spoken)
        return bool(self._film and goes_on and not _OF_PATIENT.search(text))
