"""The transparent extractor: headings, body parts, word lists. It needs no model and is the fallback of all others.

The reader goes through a report line by line and remembers where it is: under which headings, and what it last read
about. Each finding goes to the film whose heading it stands under, else to the film that it names, else to all.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from pedclip.curation.excerpts import Excerpt, joined
from pedclip.curation.report.filmed_regions import described_by, filmed_regions, films_of_exam, findings_under, shown_on
from pedclip.curation.report.headings import section_of
from pedclip.curation.report.language import OtherLanguage
from pedclip.curation.report.parse import Line, ParsedReport, Report, parse_report
from pedclip.curation.report.sections import Section
from pedclip.curation.report.sentences import Sentence

_BEFORE_NAME: Final = " \t\r*•·-–—>#.()0123456789"  # list numbers and bullets
# Films on which a fracture is not the first thing looked for.
_SOFT_PARTS: Final = frozenset({"chest", "abdomen", "neck"})

# Words around the name of a film by which a sentence says that it is about this film.
_SIDE: Final = r"left|right|both|bilateral|lt|rt|l|r"
_FILM: Final = r"joints?|sides?|films?|views?|vws|radiographs?|x-?rays?|stud(?:y|ies)|exam(?:ination)?s?|images?"
_VERB: Final = r"is|are|was|were|appears?|looks?|remains?|shows?|demonstrates?|reveals?"
_NORMAL: Final = r"normal|nl|negative|unremarkable|intact"
_DENIAL: Final = r"no|not|without|negative|free|absence|neither"

_COUNT: Final = r"an?|two|three|four|five|single|multiple|\d|ap|pa|lateral|oblique|frontal|standing|portable"

_TO_FRONT: Final = re.compile(rf"(?:(?:on|in|at|for|of|the|{_SIDE}|{_NORMAL}|{_FILM}|{_COUNT})\W+)*\Z", re.IGNORECASE)
_BEHIND: Final = re.compile(rf"(?:\W+(?:{_FILM}))*(?P<end>\W*\Z|,|\s+(?:{_VERB})\b)", re.IGNORECASE)
_DENIED: Final = re.compile(rf"(?:there (?:is|are|was|were) )?(?:{_DENIAL})\b", re.IGNORECASE)
_JOINTS: Final = re.compile(r"\w+s\b|\w+ (?:joints?|spaces?)\b", re.IGNORECASE)
_GENERAL: Final = re.compile(
    r"(?:the )?(?:overlying |adjacent |visuali[sz]ed |surrounding )?(?:soft tissues?|bones?|bony|osseous|alignment"
    r"|mineraliz|bone density|joint spaces?|physes|growth plates?|normal (?:alignment|mineraliz)|negative\b)",
    re.IGNORECASE,
)
_ANYWHERE: Final = re.compile(r"\b(?:foreign bod|soft tissue|swelling|abnormalit|lytic|blastic)", re.IGNORECASE)
_PLACED: Final = re.compile(rf"\b(?:on|in|of|at) (?:the )?(?:(?:{_SIDE}) )*\Z", re.IGNORECASE)


class RulesExtractor:
    """Extractor that gives each finding to the film it is reported under, else to the film that its words point to."""

    def extract(self, report: Report, regions: tuple[str, ...] | None) -> dict[str, Excerpt]:
        """Excerpts of these regions, or of every filmed one for None; see `extract.extract_regions`.

        Raises:
            OtherLanguage: The report is not in English: its history could not be told from its findings.
        """
        parsed = parse_report(report)
        if parsed.other_language:
            raise OtherLanguage(
                f"the report is not in English but in {parsed.other_language}; the rules read English only. "
                f"Translate it, "
                "or use a language model (extractor 'llm')."
            )
        filmed = tuple(filmed_regions(parsed, given=regions or ()))
        sentences = _assign(parsed, filmed)
        return {name: joined(sentences[name], source="rules") for name in (filmed if regions is None else regions)}


@dataclass
class _Location:
    """Location of the reader in the report."""

    outer: tuple[str, ...] | None = None  # films of a heading that stands over sections
    inner: tuple[str, ...] | None = None  # films of a heading within the section; () is a part that is no film
    is_in_item: bool = False  # the inner heading belongs to one list item only
    subject: str | None = None  # film that an earlier sentence of the section named as its subject
    carried: frozenset[str] = field(default_factory=frozenset)  # films of the sentence before
    num_parts: int = 0  # exams so far that have findings of their own

    def candidates(self, filmed: tuple[str, ...]) -> tuple[str, ...]:
        """Films to which the next sentence may belong."""
        # The nearest heading decides; () is a heading too, of a part that was not filmed.
        return self.inner if self.inner is not None else self.outer if self.outer is not None else filmed


def _assign(report: ParsedReport, filmed: tuple[str, ...]) -> dict[str, list[Sentence]]:
    """The findings of each film."""
    sentences: dict[str, list[Sentence]] = {region: [] for region in filmed}
    location, before = _Location(), None
    headed = _headed(report)
    for index, line in enumerate(report.lines):
        # A new section ends everything but the heading over sections; a new list item ends what was carried along.
        if before is None or line.section is not before.section:
            location.inner, location.subject, location.carried = None, None, frozenset()
            _enter_section(location, report, line, filmed)
        elif line.sentence.number:
            location.carried = frozenset()
            if line.section.name == "impression":  # its items stand for themselves, those of the findings go on
                location.subject = None
                location.inner = None if location.is_in_item else location.inner
        if line.sentence_type == "heading":
            _enter(location, report, index, filmed)
        elif line.sentence_type == "finding":
            owners = line.films & set(filmed) or _owners_in(location, line, filmed, headed)
            for region in owners:
                sentences[region].append(line.sentence)
            # A sentence of all films says nothing about whose the next one is.
            location.carried = owners if len(owners) < len(filmed) else frozenset()
        before = line
    return sentences


def _enter_section(location: _Location, report: ParsedReport, line: Line, filmed: tuple[str, ...]) -> None:
    """Step into a section: that of an exam of its own opens its films, what comes behind all exams opens them all."""
    name = line.section.name
    if name == "exam" and _has_own_findings(report, line.section):
        location.outer = tuple(film for film in films_of_exam(report, line.section) if film in filmed) or None
        location.num_parts += 1
    is_last = sum(section.name == "impression" for section in report.sections) == 1 < location.num_parts
    if name == "addendum" or (name == "impression" and is_last):
        location.outer = None


def _has_own_findings(report: ParsedReport, exam: Section) -> bool:
    """True where a report of several exams has findings between this exam line and the next."""
    names = [section.name for section in report.sections]
    exams = [k for k, section in enumerate(report.sections) if section.name == "exam"]
    parts = [names[k + 1 : stop] for k, stop in zip(exams, [*exams[1:], len(names)], strict=True)]
    if sum(not {"findings", "impression"}.isdisjoint(part) for part in parts) < 2:
        return False
    own = parts[exams.index(report.sections.index(exam))]
    return not {"findings", "impression"}.isdisjoint(own)


def _headed(report: ParsedReport) -> frozenset[str]:
    """Films that have a heading to themselves."""
    labels = (line.label for line in report.lines if line.label and line.section.name != "exam")
    return frozenset(label.regions[0] for label in labels if len(label.regions) == 1 and label.named[0])


def _enter(location: _Location, report: ParsedReport, index: int, filmed: tuple[str, ...]) -> None:
    """Step under a heading, if it is the heading of a film."""
    line = report.lines[index]
    films = _films_of(report, index, filmed)
    if films is None:
        return
    if _stands_over_sections(report, index):
        location.outer, location.inner = films, None
        location.num_parts += 1
        return
    if line.section.name == "exam":  # it lists films, nothing is said under it
        return
    previous = report.lines[index - 1] if index else None
    is_joined = previous is not None and previous.sentence_type == "heading" and previous.section is line.section
    if is_joined and location.inner and not line.sentence.number and not set(films) <= set(location.inner):
        films = tuple(dict.fromkeys([*location.inner, *films]))  # "Chest. Right shoulder. 1. …"
    location.is_in_item = bool(line.sentence.number) or (bool(is_joined) and location.is_in_item)
    location.inner, location.subject, location.carried = films, None, frozenset()


def _films_of(report: ParsedReport, index: int, filmed: tuple[str, ...]) -> tuple[str, ...] | None:
    """Films that a heading opens, () where it opens a part that is no film, None where it opens nothing."""
    label = report.lines[index].label
    if label is None:
        return None
    if label.is_other_modality:
        return ()
    if not label.regions and label.side and label.has_gap:
        return tuple(name for name in described_by(findings_under(report, index))[:1] if name in filmed) or None
    films = [name for name in label.regions if name in filmed]
    if label.is_group and "thoracic_spine" not in label.regions:  # a chest film shows a spine, but no limb to speak of
        return tuple(films) or tuple(
            film for film in filmed if film not in _SOFT_PARTS and shown_on(film) & set(label.regions)
        )
    # "Clavicle:" opens the chest film, which shows a part of it.
    films = films or [film for film in filmed if shown_on(film) & set(label.regions)]
    return tuple(films) or None


def _stands_over_sections(report: ParsedReport, index: int) -> bool:
    """True where a heading is alone on its line before the heading of a section ("LEFT KNEE / FINDINGS: …")."""
    line = report.lines[index]
    following = report.lines[index + 1] if index + 1 < len(report.lines) else None
    if following is None or following.section is line.section:
        return False
    if line.section.name == "exam":  # a second line of the exam is a part only where each part has its own findings
        num_parts = sum(section.name == "findings" for section in report.sections)
        if num_parts < 2 or line.sentence.start == line.section.start:
            return False
    # Nothing else may stand on the line, and a line break must stand before the next heading.
    begin = report.text.rfind("\n", 0, line.sentence.start) + 1
    after = report.text[line.sentence.end : following.section.start].partition("\n")
    # "LEFT WRIST FINDINGS:" has both on one line.
    is_one_line = not after[1] and section_of(after[0].strip(" \t\r.:")) in ("findings", "impression")
    is_alone = (not after[0].strip(" \t\r.:") and bool(after[1])) or is_one_line
    return is_alone and not report.text[begin : line.sentence.start].strip(_BEFORE_NAME)


def _owners_in(location: _Location, line: Line, filmed: tuple[str, ...], headed: frozenset[str]) -> frozenset[str]:
    """The films that a finding belongs to; one that names its film also says whose the next ones are."""
    if len(filmed) < 2:
        return _owners(line, location.candidates(filmed), location.carried)
    if location.inner != () and (named := film_named_in(line, filmed)):
        location.subject = named
        return frozenset({named})
    if location.inner and (neighbours := _neighbours_in(line, location.inner, filmed, headed)):
        return frozenset({*location.inner, *neighbours}) if len(location.inner) == 1 else neighbours
    if location.inner is not None and len(location.inner) > 1 and _is_general(line):
        return frozenset(location.inner)
    if any("cue:shared" in hit.tags for hit in line.hits):  # "Soft tissues are normal at both sites."
        return frozenset(location.outer or filmed)
    if location.subject:
        # The subject holds until a sentence names what its film cannot show.
        spoken = line.regions("name", "structure")
        inner = location.inner or ()
        if len(inner) > 1 and location.subject in inner and spoken & set(inner) and location.subject not in spoken:
            return frozenset(spoken & set(inner))
        if spoken and not spoken & {location.subject, *shown_on(location.subject)}:
            return _owners(line, filmed, frozenset({location.subject}))
        return frozenset(line.regions("name") & set(filmed)) or frozenset({location.subject})
    return _owners(line, location.candidates(filmed), location.carried)


def _neighbours_in(
    line: Line, inner: tuple[str, ...], filmed: tuple[str, ...], headed: frozenset[str]
) -> frozenset[str]:
    """Other films that show what a sentence under the heading of one film speaks of ("Hip joints are symmetric.")."""
    others = frozenset(film for film in filmed if film not in inner and any(film in shown_on(one) for one in inner))
    if not others:
        return others
    text = line.sentence.text
    # At the front, in the plural or with its joint, it is the subject, whatever headings follow.
    first = {
        mention.region
        for mention in line.mentions
        if mention.kind == "name" and _TO_FRONT.match(text[: mention.start]) and _JOINTS.match(text, mention.start)
    }
    return others & (first | (line.regions("name", "structure") - headed - set(inner)))


def _is_general(line: Line) -> bool:
    """True where a sentence is of no part in particular ("No fracture or dislocation.", "Soft tissues are normal.")."""
    text = line.sentence.text
    is_denial = bool(_DENIED.match(text)) and (_is_of_bone(line) or bool(_ANYWHERE.search(text)))
    return (is_denial or bool(_GENERAL.match(text))) and not line.regions("name", "structure")


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
        # Behind the name stands the verb, a comma or the end; "cyst of the hip joint space" names no subject.
        behind = _BEHIND.match(text, mention.end)
        if mention.kind != "name" or mention.region not in filmed or not behind:
            continue
        if _TO_FRONT.match(text[: mention.start]):
            return mention.region
        is_last = not behind["end"].strip(" .!,")
        if is_last and _DENIED.match(text) and _PLACED.search(text, 0, mention.start):
            return mention.region
    return None


def _owners(line: Line, candidates: Collection[str], carried: frozenset[str]) -> frozenset[str]:
    """The films among the candidates that a finding belongs to: one, or all that it speaks of."""
    films = frozenset(candidates)
    if len(films) < 2:
        return films
    # The strongest evidence first: a film's own name, a structure of it, a word that only hints at it.
    for evidence in ("name", "structure", "hint"):
        if owners := films & line.regions(evidence):
            return owners
    # Else the film that shows what is named: the scapula on a chest film.
    shown = frozenset(film for film in films if shown_on(film) & line.regions("name", "structure"))
    if len(shown) == 1:
        return shown
    if shown:
        return shown & carried or shown
    # "No fracture." after the lungs speaks of the bones filmed beside the chest.
    bones = films - _SOFT_PARTS
    if bones and carried <= _SOFT_PARTS and _is_of_bone(line):
        return bones
    return films & carried or films


def _is_of_bone(line: Line) -> bool:
    return any("finding:bone" in hit.tags for hit in line.hits)
