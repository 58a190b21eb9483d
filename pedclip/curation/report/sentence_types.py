"""Types of the sentences of a report: findings, and the others, which no excerpt may hold."""

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from pedclip.curation.report.lexicon import Hit, mentions_in, words_of

SentenceType = Literal["finding", "history", "comparison", "technique", "recommendation", "administrative", "heading"]

TYPE_OF_SECTION: Final[dict[str, SentenceType]] = {
    "exam": "heading",
    "indication": "history",
    "history": "history",
    "comparison": "comparison",
    "technique": "technique",
    "recommendation": "recommendation",
    "other": "administrative",
}
_SUSPICION_FIRST: Final = frozenset({"if", "please", "given", "for", "to", "should"})  # of "If there is pneumonia, …"
_DENIALS: Final = frozenset({"no", "not", "without", "absence"})  # "No acute injury."
_TOLD: Final = frozenset({"cue:symptom", "cue:background", "cue:history", "cue:request", "cue:told", "cue:past"})
_THERE: Final = re.compile(r"there (?:is|are|was|were|has been)\b", re.IGNORECASE)
_CONDITIONAL: Final = re.compile(
    r"(?:if|should|in case|when(?:ever)? (?:available|possible|clinically)|as long as)\b", re.IGNORECASE
)
_ADVISED: Final = frozenset(
    {"film", "views", "modality", "prior", "recommendation", "request", "symptom", "compared", "background"}
)
_EARLIER: Final = (
    r"(?:on|in|from|by|of) (?:the |an? |our |his |her |their |any )?(?:\w+ )?(?:earlier|prior|previous|older|old"
    r"|outside|remote)"
    r"(?: \w+)? (?:films?|stud(?:y|ies)|exams?|examinations?|radiographs?|images?|imaging|x-?rays?|reports?)"
)
_EARLIER_FILM: Final = re.compile(_EARLIER, re.IGNORECASE)
_ON_FILE: Final = re.compile(
    r"\b(?:in (?:our|the|his|her|this patient'?s|the patient'?s) (?:files?|records?|archives?|jacket|folder"
    r"|system|pacs)|on file|in pacs|"
    r"film jacket|outside (?:films?|stud(?:y|ies)) (?:exist|are|were|is|not))\b",
    re.IGNORECASE,
)
_NOW: Final = re.compile(
    r"\b(?:not|which|that|is|are|has|have|remains?|appears?|persists?|again|now|today|no longer|still|shows?"
    r"|demonstrates?|unchanged|stable)\b",
    re.IGNORECASE,
)
_PAST: Final = re.compile(r"\b(?:was|were|had|showed|demonstrated|revealed)\b", re.IGNORECASE)
_SHORTEST_SENTENCE: Final = 3  # words of a name of a disease, which may be what was asked for
_OF_VALUES: Final = frozenset(
    "size sized bilaterally bilateral left right limits contour contours position caliber shape configuration "
    "yes no none absent "
    "present nil borderline midline open closed anatomic mineralized age within".split()
)
_FILM_SHOWS: Final = re.compile(
    r"\b(?:views?|films?|radiographs?|images?|x-?rays?|projections?|stud(?:y|ies)|examinations?|series)\b"
    r"[^.;:\n]{0,60}?(?<!to)(?<!which)(?<!that) (?:show|demonstrate|reveal)(?:s|ed)?\b",
    re.IGNORECASE,
)
_SHOWS: Final = re.compile(r"\b(?:shows?|showed|demonstrates?|demonstrated|reveals?|revealed)\b", re.IGNORECASE)


def type_of_prose(text: str, hits: Sequence[Hit]) -> SentenceType:
    """Type of a sentence of the findings or the impression that is no heading, from the listed terms in it.

    Findings that contain a comparing word ("no change in the apical scar") stay findings; a statement of change alone
    ("unchanged from last week") is a comparison. A limit of the film that still gives a result stays a finding.

    Example:
        >>> from pedclip.curation.report.lexicon import scan
        >>> text = "Compared with the prior study, there is no change."
        >>> type_of_prose(text, scan(text))
        'comparison'
    """
    # The order of the tests matters: each one stands for what is surer than all that follow.
    tags = _tags(hits)
    cues = {tag[4:] for tag in tags if tag.startswith("cue:")}
    is_assessed = any(tag.startswith("finding:") for tag in tags)
    if "administrative" in cues or _is_removed(text, hits) or _is_only_carried(text, hits, cues):
        return "administrative"
    if _is_advice_of_film(text, cues) or ("recommendation" in cues and _is_recommendation(text, hits)):
        return "recommendation"
    if cues & _ADVISED and _CONDITIONAL.match(text):
        return "recommendation"
    if _is_of_earlier_film(text, cues):
        return "comparison"
    if "no_prior" in cues and not (is_assessed and _names_structure(text)):
        return "comparison"
    if cues & {"compared", "unchanged"} and _is_only_change(text, hits, cues):
        return "comparison"
    # "Given the rotation, heart size is unchanged" says how the heart is.
    is_assessed = is_assessed or ("unchanged" in cues and _names_structure(text))
    if "limits" in cues and not _is_result_despite_limits(hits):
        return "technique"
    if _is_history(text, hits, cues):
        return "history"
    if "flaw" in cues and _is_only_flaw(text, hits):
        return "technique"
    if not is_assessed and cues & {"film", "views", "modality"} and _is_only_prior(text, hits, cues):
        return "comparison"
    if not is_assessed and ("acquired" in cues or ("views" in cues and not _names_structure(text))):
        return "technique"
    if not is_assessed and "symptom" in cues and _is_only_symptoms(text, hits):
        return "history"
    return "finding"


def may_be_history(text: str, hits: Sequence[Hit], *, is_of_film: bool) -> bool:
    """True where a sentence can be a complaint, a mechanism, a request or an empty phrase, if no finding comes before.

    Only reports without a heading for them hold such sentences among the findings, and always first.

    Args:
        text: The sentence.
        hits: Listed terms in it.
        is_of_film: Whether it names a part of what was filmed, or no film is known; "old" is then a finding.
    """
    tags = _tags(hits)
    if "cue:request" in tags:  # "Exclude fracture."
        return "finding:inference" not in tags
    if next(iter(words_of(text)), ("", 0, 0))[0] in _DENIALS:
        return False
    if "cue:told" in tags or ({"cue:date", "cue:film"} <= tags and not is_of_film):
        return True  # also "Hand films last Monday were negative."
    if "cue:past" in tags:
        return not is_of_film and ("finding:pathology" not in tags or bool(mentions_in(text)))
    if tags & {"cue:symptom", "cue:background", "cue:history"}:
        is_seen = "cue:film" in tags and "finding:pathology" in tags
        return "finding:assessment" not in tags and not is_seen
    return _all_words_in(text, _spans(hits, ("cue:filler",)))  # "None."


def begins_findings(text: str, hits: Sequence[Hit], *, is_sure: bool, is_apart: bool = False) -> bool:
    """True where a sentence behind a history can be the first of the findings.

    Args:
        text: The sentence.
        hits: Listed terms in it.
        is_sure: Take only what says how something is ("is normal", "there is", "no"): the name of a disease alone may
            be what was asked for.
        is_apart: Take also what names a part or a device ("A PICC ends in the SVC."), as a blank line is before it.
    """
    if type_of_prose(text, hits) != "finding" or text.rstrip().endswith("?"):
        return False
    tags = _tags(hits)
    if not tags.isdisjoint(_TOLD) or may_be_history(text, hits, is_of_film=True):
        return False
    first = next(iter(words_of(text)), ("", 0, 0))[0]
    is_said = "finding:assessment" in tags or first in _DENIALS or _THERE.match(text) is not None
    if is_apart and any(tag.startswith(("hint:", "structure:")) for tag in tags):
        return len(text.split()) > _SHORTEST_SENTENCE
    return is_said if is_sure else is_said or "finding:pathology" in tags


def begins_with_result(text: str) -> bool:
    """True where the first sentence of a text says what a film shows, whatever the heading above it.

    Example:
        >>> begins_with_result("Two views of the wrist show a gap."), begins_with_result("Views to show the gap.")
        (True, False)
    """
    first = re.match(r"[^.!?\n]*", text)
    return first is not None and _FILM_SHOWS.search(first[0]) is not None


def is_bare_value(text: str, hits: Sequence[Hit]) -> bool:
    """True where a sentence holds words of judgement only ("Normal in size.", "None.", "Small left.")."""
    spans = _spans(hits, ("finding:assessment", "finding:observed", "cue:grade", "cue:unchanged", "cue:filler"))
    spans += [(start, end) for word, start, end in words_of(text) if word in _OF_VALUES]
    return _all_words_in(text, spans)


def _first(hits: Iterable[Hit], tag: str) -> int | None:
    return next((hit.start for hit in hits if tag in hit.tags), None)


def _is_removed(text: str, hits: Sequence[Hit]) -> bool:
    """True where the words that told something were removed ("XXXX since XXXX.")."""
    is_marked = any(word == "xxxx" or word.isdigit() for word, _, _ in words_of(text))
    return is_marked and _all_words_in(text, _spans(hits, ("cue:filler",)))


def _is_recommendation(text: str, hits: Sequence[Hit]) -> bool:
    """True where the advice is all: a finding before it makes the sentence a finding."""
    first = next(iter(words_of(text)), ("", 0, 0))[0]
    cue = _first(hits, "cue:recommendation") or 0
    before = _tags(hit for hit in hits if hit.start < cue)
    if first not in _SUSPICION_FIRST and any(tag.startswith("finding:") for tag in before):
        return False
    # A clause before the advice may already have said where a device lies.
    clause = text.rfind(";", 0, cue)
    if any(tag.startswith("hint:") for hit in hits if hit.start < clause for tag in hit.tags):
        return False  # "PICC tip in the SVC; it may be advanced."
    return _SHOWS.search(text, cue) is None


def _is_advice_of_film(text: str, cues: set[str]) -> bool:
    """True where a sentence asks for another film or scan ("Suggest views of the hand.")."""
    return bool(cues & {"film", "views", "modality", "recommendation"}) and text[:8].lower() == "suggest "


def _is_only_carried(text: str, hits: Sequence[Hit], cues: set[str]) -> bool:
    """True where a sentence does no more than point to another ("Findings as above.")."""
    return "carried" in cues and _all_words_in(text, _spans(hits, ("cue:carried", "cue:filler")))


def _is_of_earlier_film(text: str, cues: set[str]) -> bool:
    """True where a sentence tells of another examination ("A fracture was seen on earlier films in our file.")."""
    if not cues & {"film", "views", "prior", "compared", "modality", "no_prior"}:
        return False
    if _ON_FILE.search(text):
        return True
    return bool("prior" in cues and _EARLIER_FILM.search(text) and _PAST.search(text) and not _NOW.search(text))


def _is_only_flaw(text: str, hits: Sequence[Hit]) -> bool:
    """True where a sentence judges how the film was taken and nothing on it ("Mild motion artifact is noted.")."""
    tags = ("cue:flaw", "cue:grade", "cue:views", "cue:filler", "finding:assessment", "finding:observed")
    return _all_words_in(text, _spans(hits, tags))


def _is_only_prior(text: str, hits: Sequence[Hit], cues: set[str]) -> bool:
    """True where a sentence only names an earlier study ("Outside films, May 2020."); region and date are a title."""
    tags = ("cue:prior", "cue:date", "cue:film", "cue:views", "cue:modality", "cue:filler", "cue:compared")
    named = [(m.start, m.end) for m in mentions_in(text)] if "prior" in cues else []
    return bool(cues & {"prior", "date"}) and _all_words_in(text, [*_spans(hits, tags), *named])


def _is_only_change(text: str, hits: Sequence[Hit], cues: set[str]) -> bool:
    """True where a sentence says no more than that, or since when, something has changed."""
    tags = ["cue:compared", "cue:unchanged", "cue:filler"]
    spans = _spans(hits, tags)
    if "compared" in cues:  # "the heart and lungs are unchanged since the prior film", "compared with chest CT of May"
        spans += _spans(hits, ("cue:modality", "cue:film"))
        spans += [(mention.start, mention.end) for mention in mentions_in(text)]
    return _all_words_in(text, spans)


def _is_result_before(text: str, hits: Sequence[Hit], cue: str) -> bool:
    """True where a sentence gives a result before it comes to the cue ("COPD, as in the patient's history of")."""
    start = _first(hits, cue) or 0
    is_found = any(tag.startswith("finding:") for hit in hits if hit.start < start for tag in hit.tags)
    return is_found and ("finding:inference" in _tags(hits) or any(m.start < start for m in mentions_in(text)))


def _is_result_despite_limits(hits: Sequence[Hit]) -> bool:
    """True where a sentence that names a limit of the film still says how something is."""
    diseased, limits = _first(hits, "finding:pathology"), _first(hits, "cue:limits") or 0
    return "finding:assessment" in _tags(hits) or (diseased is not None and diseased < limits)


def _is_history(text: str, hits: Sequence[Hit], cues: set[str]) -> bool:
    """True where a sentence tells of the patient and not of the film."""
    if "history" in cues:
        # One such word may describe a finding; three are the story of the patient.
        told = sum("cue:history" in hit.tags for hit in hits)
        return told > 2 or "film" not in cues or "finding:assessment" not in _tags(hits)
    if "background" not in cues:
        return False
    return "finding:inference" not in _tags(hits) and not _is_result_before(text, hits, "cue:background")


def _names_structure(text: str) -> bool:
    return any(mention.kind == "structure" for mention in mentions_in(text))


def _is_only_symptoms(text: str, hits: Sequence[Hit]) -> bool:
    """True where a sentence lists complaints ("Fever and dry cough.")."""
    spans = _spans(hits, ("cue:symptom", "cue:filler"))
    is_list = sum("cue:symptom" in hit.tags for hit in hits) > 1
    return is_list or (not mentions_in(text) and _all_words_in(text, spans))


def _tags(hits: Iterable[Hit]) -> set[str]:
    return {tag for hit in hits for tag in hit.tags}


def _spans(hits: Iterable[Hit], tags: Iterable[str]) -> list[tuple[int, int]]:
    wanted = frozenset(tags)
    return [(hit.start, hit.end) for hit in hits if wanted & hit.tags]


def _all_words_in(text: str, spans: Iterable[tuple[int, int]]) -> bool:
    """True where every word but numbers and XXXX lies in one of the spans."""
    # One pass over words and spans side by side; `reached` is the end of all spans that have begun.
    reached, ahead = 0, iter([*sorted(spans), (len(text), len(text))])
    start, end = next(ahead)
    for word, first, last in words_of(text):
        while start <= first and start < len(text):
            reached, (start, end) = max(reached, end), next(ahead)
        if last > reached and word != "xxxx" and not word[0].isdigit():
            return False
    return True
