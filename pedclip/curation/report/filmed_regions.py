"""Body parts that the films of a report show, and their sides."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice, takewhile
from typing import Final

from pedclip.anatomy import REGIONS, Laterality, UnknownRegion, find_mentions, is_paired
from pedclip.curation.report.exam_labels import side_of
from pedclip.curation.report.lexicon import NECK, scan, word_lists
from pedclip.curation.report.parse import Line, ParsedReport, Report, parse_report
from pedclip.curation.report.sections import Section

_COMMONEST: Final = "chest"  # of two films with equal evidence, the one of which far more are taken
_ITEMS: Final = re.compile(r"[;\n]|(?<=[a-z]{2})\.\s|(?<!\S)\d{1,2}[.)]\s", re.IGNORECASE)
_COMPARED: Final = re.compile(r"\bcompar(?:ison|ed)\b(?! view)", re.IGNORECASE)
# What CT, MRI and ultrasound show, and a film hardly; "beyond" holds what no film shows at all.
_NO_FILM: Final = {"cue:modality", "cue:organ", "cue:beyond"}
_OF_FILM: Final = re.compile(r"x-?\s?rays?\b|radiograph|\bfilms?\b|\bviews?\b|\bCXR\b|\bKUB\b|portable", re.IGNORECASE)
_FEWEST_BEYOND: Final = 2  # different terms: one may be a remark or an advice
_FILM_GAP: Final = 25  # characters between the name of a region and the word that makes it a film


@dataclass(frozen=True)
class _Claim:
    """A region of which the report says that it was filmed."""

    region: str
    laterality: Laterality


def filmed_regions(report: Report, *, given: Iterable[str] = ()) -> dict[str, Laterality]:
    """Each filmed region of a report with its side, in order of first mention.

    A region is filmed if the exam line names it, or if the text reports it under a heading of its own. Only where
    neither says anything do the sentences decide, first those that name a film ("views of the knee"), then the
    structures they describe; a structure that another film of the report shows as well is no evidence of a film.
    Parts named in the history alone, and CT, MRI or ultrasound, never count. "neck" (soft tissue and airway films) is
    reported beside the 23 regions.

    Args:
        report: Text, sections by name, or a parsed report.
        given: Regions known from elsewhere, as from the film's own metadata; always kept, and first.

    Raises:
        UnknownRegion: `given` holds a name that is neither one of the 23 nor "neck".

    Example:
        >>> filmed_regions("EXAM: Left wrist. FINDINGS: The hand is normal. Chest: Clear lungs.")
        {'wrist': 'left', 'chest': ''}
    """
    report = parse_report(report)
    given = tuple(given)
    if unknown := next((name for name in given if name not in REGIONS and name != NECK), None):
        raise UnknownRegion(unknown, f"expected one of pedclip.anatomy.REGIONS or {NECK!r}, got {unknown[:60]!r}.")
    if report.is_note:  # only what it says of films counts, not what was examined by hand
        told = [region for line in report.lines for region in sorted(line.films)]
        return {name: _side(name, (), report) for name in dict.fromkeys([*given, *told])}
    if _is_of_other_modality(report):
        return {name: "" for name in given}
    # What is named counts; only where nothing is does the next, weaker evidence speak.
    claims = _named_claims(report) or _film_claims(report)
    found = dict.fromkeys([*given, *(claim.region for claim in claims)])
    names = list(found) or _described(report)
    return {name: _side(name, claims, report) for name in names}


def _exam_lines(report: ParsedReport) -> Iterator[str]:
    """Text of the exam sections, without the films that it is compared with."""
    return (_exam_line(report, section) for section in report.sections if section.name == "exam")


def _exam_line(report: ParsedReport, section: Section) -> str:
    text = report.text[section.start : section.end]
    return _COMPARED.split(text, maxsplit=1)[0] if "compar" in text.lower() else text


def films_of_exam(report: ParsedReport, section: Section) -> tuple[str, ...]:
    """Regions that one exam section names, in order."""
    items = _ITEMS.split(_exam_line(report, section))
    return tuple(dict.fromkeys(claim.region for item in items for claim in _claims_in(item)))


def _exam_claims(report: ParsedReport) -> list[_Claim]:
    return [claim for line in _exam_lines(report) for item in _ITEMS.split(line) for claim in _claims_in(item)]


@lru_cache(maxsize=4096)  # the same few lines stand in thousands of reports
def _claims_in(item: str) -> tuple[_Claim, ...]:
    """Films named in one item of an exam line."""
    hits = scan(item)
    tags = {tag for hit in hits for tag in hit.tags}
    if "cue:modality" in tags and "cue:film" not in tags:
        return ()  # "CT of the head" beside the films
    claims = [(mention.start, _Claim(mention.region, side_of(mention, item))) for mention in find_mentions(item)]
    fields = ("name:", "label:")
    claims += [
        (hit.start, _Claim(tag.partition(":")[2], ""))
        for hit in hits
        for tag in sorted(hit.tags)
        if tag.startswith(fields)
    ]
    return tuple(claim for _, claim in sorted(claims, key=lambda pair: pair[0]))  # in order of position


def _named_claims(report: ParsedReport) -> list[_Claim]:
    """Films of the exam line and those with a heading of their own, even one whose name was removed."""
    claims = _exam_claims(report)
    claims_of_exam = bool(claims)
    # What the films of the exam line show anyway needs none of its own.
    shown = frozenset[str]().union(*(shown_on(claim.region) for claim in claims))
    for index, line in enumerate(report.lines):
        label = line.label
        if label is None or line.section.name in ("exam", "technique") or label.is_other_modality:
            continue
        if label.is_group:  # of the parts of a survey those that are described
            claims += [] if claims_of_exam else [_Claim(name, "") for name in _in_group(report, index, label.regions)]
            continue
        for region, side, is_named in zip(label.regions, label.laterality, label.named, strict=True):
            if is_named or region not in shown:  # "Ribs:" on a chest film opens no film of its own
                claims.append(_Claim(region, side))
                shown |= shown_on(region)
        # "Left XXXX:" hides a name; the findings under it tell which.
        if label.side and label.has_gap:
            claims += [_Claim(name, label.side) for name in described_by(findings_under(report, index))[:1]]
    return claims


def _in_group(report: ParsedReport, index: int, group: Collection[str]) -> list[str]:
    """Parts of a group that the findings under its name describe; of the spine the centre, where none is named."""
    described = [name for name in described_by(findings_under(report, index)) if name in group]
    return described or ["thoracic_spine"] * all(name.endswith("_spine") for name in group)


def findings_under(report: ParsedReport, index: int) -> list[Line]:
    """The findings between a heading and the next."""
    section = report.lines[index].section
    following = islice(report.lines, index + 1, None)
    return list(takewhile(lambda line: line.label is None and line.section is section, following))


def _film_claims(report: ParsedReport) -> list[_Claim]:
    """Films named as such in the technique or the text: "views of the left knee", "abdominal radiograph"."""
    claims = []
    for line in report.lines:
        if line.sentence_type not in ("technique", "finding", "heading"):
            continue
        films = [hit for hit in line.hits if "cue:film" in hit.tags or "cue:views" in hit.tags]
        for mention in (mention for mention in line.mentions if mention.kind == "name"):
            # Near each other, in either order: "views of the knee", "knee radiographs".
            if any(max(film.start - mention.end, mention.start - film.end) <= _FILM_GAP for film in films):
                claims.append(_Claim(mention.region, side_of(mention, line.sentence.text)))
        if NECK in line.regions("name"):
            claims.append(_Claim(NECK, ""))
    return claims


def _is_of_other_modality(report: ParsedReport) -> bool:
    """True where the exam line, or without one the technique or the findings, are of CT, MRI, ultrasound, no film."""
    exams = list(_exam_lines(report))
    lines = exams or [
        report.text[section.start : section.end] for section in report.sections if section.name == "technique"
    ]
    tags = frozenset[str]().union(*map(_tags, lines))
    if "cue:film" in tags:
        return bool(not exams and _shows_no_film(report))
    return "cue:modality" in tags or _shows_no_film(report)


def _shows_no_film(report: ParsedReport) -> bool:
    """True where findings speak of what no film shows, in more sentences than of films ("The labrum is torn.")."""
    lines = [line for line in report.lines if line.sentence_type in ("finding", "technique")]
    beyond = [line for line in lines if any("cue:beyond" in hit.tags for hit in line.hits)]
    terms = {
        line.sentence.text[hit.start : hit.end].lower()
        for line in beyond
        for hit in line.hits
        if "cue:beyond" in hit.tags
    }
    if len(terms) < _FEWEST_BEYOND:
        return False
    return len(beyond) > sum(_OF_FILM.search(line.sentence.text) is not None for line in lines)


@lru_cache(maxsize=4096)
def _tags(line: str) -> frozenset[str]:
    return frozenset(tag for hit in scan(line) for tag in hit.tags)


def _described(report: ParsedReport) -> list[str]:
    """Regions that the findings describe, unless they tell of a CT, MRI or ultrasound for the most part."""
    findings = [line for line in report.lines if line.sentence_type == "finding"]
    films = [line for line in findings if not any(hit.tags & _NO_FILM for hit in line.hits)]
    return described_by(films) if 2 * len(films) > len(findings) else []


def described_by(lines: Iterable[Line]) -> list[str]:
    """Regions that sentences describe: the one with the most evidence, then those that its film does not show."""
    scores: Counter[str] = Counter()
    sure: set[str] = set()  # what is named, and not only hinted at
    for line in lines:
        sure |= line.regions("name", "structure")
        # Sorted, as sets have no order and the first mention decides that of the result.
        scores.update(sorted(line.regions("name", "structure", "hint")))
    found: list[str] = []
    # Most evidence first, and the commonest film before others with as much.
    for region, _ in sorted(scores.items(), key=lambda pair: (-pair[1], pair[0] != _COMMONEST)):
        if not found or (region in sure and not any(region in shown_on(film) for film in found)):
            found.append(region)
    return [region for region in scores if region in found]  # in order of first mention


@cache
def shown_on(film: str) -> frozenset[str]:
    """Other regions of which a film of this region shows a part."""
    return frozenset(word_lists()["seen_on"].get(film, ()))


def _side(region: str, claims: Iterable[_Claim], report: ParsedReport) -> Laterality:
    """The side said with the film; where none is said, the side said in the findings."""
    if region == NECK or not is_paired(region):
        return ""
    # Both sides named in different places are both filmed.
    sides = {claim.laterality for claim in claims if claim.region == region} - {""}
    if not sides:
        findings = (line for line in report.lines if line.sentence_type == "finding")
        sides = {m.laterality for line in findings for m in line.mentions if m.region == region} - {""}
    return "both" if len(sides) > 1 else sides.pop() if sides else ""
