"""One consolidated report per study, with the sentences that belong to each filmed part.

Which sentence belongs to a part follows these rules: a sentence goes to the film it is reported under; one about
several films goes to each; exam line, history, technique, comparison, limits of quality, recommendations, headings and
list numbers go to none.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pedclip.data.phantom.population import StudyPlan
from pedclip.data.phantom.report.arrangement import LAYOUTS, Lines, Piece, conclusion, terse, with_typo
from pedclip.data.phantom.report.sentences import Subject, body, impression, subject_of
from pedclip.data.phantom.report.wording import Slots, capital, expand, grammar, pick, uncapital

_SECTIONS: Final = ("exam", "indication", "comparison", "technique", "findings", "impression")
_ANNOTATED: Final = _SECTIONS[2:]
_STYLES: Final = {"headed": 0.34, "running": 0.24, "numbered": 0.1, "by structure": 0.14, "joint": 0.18}
_OPTIONAL: Final = {"indication": 0.9, "comparison": 0.6, "technique": 0.25}  # how often a report has the section
_NO_HEADINGS: Final = 0.12
_IMPRESSION_ONLY: Final = 0.1
_NO_IMPRESSION: Final = 0.15
_TERSE: Final = 0.12
_ABBREVIATED: Final = 0.1
_UPPER_CASE: Final = 0.03
_TYPO: Final = 0.02  # fraction of sentences with a typing error
_ROOM: Final = 4  # sentences about a part in the findings, unless it has more findings


@dataclass(frozen=True, slots=True)
class StudyReport:
    """A report and which of its sentences are about which part.

    Args:
        report_id: The study.
        report_text: All of it.
        sections: Section name to its text, "" where there is none.
        filmed_regions: In the order of the exam line, each once.
        laterality: Region to "left", "right" or "both", for regions with sides.
        excerpts: Region to sentences, exact substrings of `report_text` in its order.
        part_excerpts: The same for each part of the plan, without repetitions; 1 to 6 sentences.
        left_out: Sentences and headings from the comparison on that are about no part.
        style: How the findings are arranged.
    """

    report_id: str
    report_text: str
    sections: dict[str, str]
    filmed_regions: tuple[str, ...]
    laterality: dict[str, str]
    excerpts: dict[str, tuple[str, ...]]
    part_excerpts: tuple[tuple[str, ...], ...]
    left_out: tuple[str, ...]
    style: str

    def record(self) -> dict[str, Any]:
        """As JSON, in the format of annotated real reports."""
        return {
            "report_id": self.report_id,
            "source": "phantom",
            "report_text": self.report_text,
            "sections": dict(self.sections),
            "filmed_regions": list(self.filmed_regions),
            "laterality": dict(self.laterality),
            "excerpts": {region: list(sentences) for region, sentences in self.excerpts.items()},
            "left_out": list(self.left_out),
            "paediatric": True,
            "annotator_note": "",
        }


def study_report(
    plan: StudyPlan,
    sites: Sequence[Sequence[str]],
    rng: np.random.Generator,
    *,
    equipment: Sequence[Sequence[str]] = (),
) -> StudyReport:
    """The report of a study.

    Args:
        plan: The study.
        sites: For each part, where its findings are, in their order.
        rng: Chooses the words.
        equipment: For each part, names of what lies on it; nothing where empty.

    Returns:
        A report in which every finding is asserted, with or without doubt, and none is denied.
    """
    worn = equipment or [()] * len(plan.parts)
    subjects = [subject_of(plan, *part) for part in zip(plan.parts, sites, worn, strict=True)]
    layout, found, concluded = _contents(subjects, rng)
    sections = {name: _frame(name, plan, subjects, rng) for name in _SECTIONS[:4]}
    _interrupt(found or concluded, plan, subjects, rng)  # a report with an impression alone has its remarks there
    if concluded and rng.random() < 0.3:
        concluded.append([Piece(_aside("recommendation", plan, subjects, rng))])
    sections |= {"findings": found, "impression": concluded}
    return _assembled(plan, _dictated(sections, rng), layout, rng)


def _contents(subjects: Sequence[Subject], rng: np.random.Generator) -> tuple[str, Lines, Lines]:
    """Name of the layout, findings and impression."""
    # Several parts under one heading need several parts.
    names = [name for name in _STYLES if name != "joint" or len(subjects) > 1]
    weights = np.array([_STYLES[name] for name in names])
    layout = str(rng.choice(names, p=weights / weights.sum()))
    bodies = [body(subject, rng, room=max(_ROOM, len(subject.part.findings))) for subject in subjects]
    # Both hands of one child, both normal: dictated once, for both.
    if _is_pair_of_normals(subjects) and rng.random() < 0.5:
        similar = expand(pick(grammar("report")["similar"], rng), subjects[1].slots, rng)
        line = [Piece(statement.text, (0, 1)) for statement in bodies[0]] + [Piece(similar, (1,))]
        return "similar", [line], [[Piece(expand(pick(grammar("report")["shared_normal"], rng), {}, rng), (0, 1))]]
    found = LAYOUTS[layout](subjects, bodies, rng)
    ticket = rng.random()
    if ticket < _IMPRESSION_ONLY:
        return layout, [], found
    if ticket < _IMPRESSION_ONLY + _NO_IMPRESSION:
        return layout, found, []
    if ticket > 0.96:  # "As above."
        return layout, found, [[Piece(pick(grammar("report")["as_above"], rng))]]
    is_normal = not any(subject.part.findings or subject.maturity for subject in subjects)
    if is_normal and len(subjects) > 1 and rng.random() < 0.4:
        shared = expand(pick(grammar("report")["shared_normal"], rng), {}, rng)
        return layout, found, [[Piece(shared, tuple(range(len(subjects))))]]
    return layout, found, conclusion(subjects, [impression(subject, rng) for subject in subjects], rng)


def _is_pair_of_normals(subjects: Sequence[Subject]) -> bool:
    is_pair = len(subjects) == 2 and subjects[0].part.region == subjects[1].part.region
    return is_pair and not any(s.part.findings or s.equipment or s.maturity for s in subjects)


def _frame(name: str, plan: StudyPlan, subjects: Sequence[Subject], rng: np.random.Generator) -> Lines:
    """Exam line, indication, comparison or technique."""
    if name == "exam":
        return [[Piece(_exam(subjects, rng))]]
    if rng.random() >= _OPTIONAL[name]:
        return []
    if name != "indication":
        return [[Piece(_aside(name, plan, subjects, rng))]]
    data, slots = grammar("report"), _frame_slots(plan, subjects, rng)
    # The reason names one of the parts, as a request does.
    kind = grammar("regions")["regions"][plan.parts[int(rng.integers(len(plan.parts)))].region]["kind"]
    said = [expand(pick(data["indication"][kind], rng), slots, rng)]
    if rng.random() < 0.4:
        said.append(expand(pick(data["history"], rng), slots, rng))
    if rng.random() < 0.4:
        # "7-year-old girl with …": a comma goes on with a small letter.
        patient = expand(pick(data["patient"], rng), slots, rng)
        link = pick((". ", ", ", "; "), rng)
        said[0] = f"{patient}{link}{uncapital(said[0]) if link != '. ' else said[0]}"
    return [[Piece(f"{text}.") for text in said]]


def _exam(subjects: Sequence[Subject], rng: np.random.Generator) -> str:
    data, named = grammar("report"), []
    template = pick(data["exam"], rng)
    for subject in subjects:
        views = [pick(data["view_words"][view], rng) for view in subject.part.views]
        count = len(views)
        slots = {
            **subject.slots,
            "views": " and ".join(views) if count < 3 else f"{', '.join(views[:-1])} and {views[-1]}",
            "count": str(count),
            "count_word": data["count_words"][count],
            "s": "s" if count > 1 else "",
        }
        named.append(expand(template, slots, rng))
    text = pick(data["exam_joins"], rng).join(named) + pick((".", ""), rng)
    return text.upper() if rng.random() < 0.15 else text


def _aside(name: str, plan: StudyPlan, subjects: Sequence[Subject], rng: np.random.Generator) -> str:
    """A sentence that is about no part."""
    return expand(pick(grammar("report")[name], rng), _frame_slots(plan, subjects, rng), rng)


def _frame_slots(plan: StudyPlan, subjects: Sequence[Subject], rng: np.random.Generator) -> Slots:
    data, months = grammar("report"), round(plan.age * 12)
    images = sum(len(part.views) for part in plan.parts)
    # Earlier films are of other parts, or the sentence would be about this one.
    nouns = [noun for subject in subjects for noun in subject.slots["noun"]]
    return {
        **subjects[0].slots,
        "other": [name for name in data["others"] if name not in nouns],
        "boy": ("boy", "male", "M") if plan.sex == "M" else ("girl", "female", "F"),
        "age_dash": f"{months // 12}-year" if months >= 24 else f"{months}-month",
        "age_short": f"{months // 12}yo" if months >= 24 else f"{months}mo",
        "number": str(int(rng.integers(2, 10))),
        "month": data["months"],
        "year": str(int(rng.integers(2009, 2025))),
        "weekday": data["weekdays"],
        "days": data["days"],
        "count": str(images),
        "count_word": data["count_words"][images],
        "s": "s" if images > 1 else "",
    }


def _interrupt(lines: Lines, plan: StudyPlan, subjects: Sequence[Subject], rng: np.random.Generator) -> None:
    """Remarks on quality and on earlier films among the findings, in place."""
    if rng.random() < 0.15:
        lines.insert(0, [Piece(_aside("quality", plan, subjects, rng))])
    if rng.random() < 0.12:
        lines[-1].append(Piece(_aside("interval", plan, subjects, rng)))


def _dictated(sections: dict[str, Lines], rng: np.random.Generator) -> dict[str, Lines]:
    """The pieces in the manner of one person: telegrams, abbreviations, capitals, typing errors."""
    is_terse, is_abbreviated, is_upper = (rng.random() < rate for rate in (_TERSE, _ABBREVIATED, _UPPER_CASE))

    def said(piece: Piece, name: str) -> Piece:
        text = piece.text
        # Headings and list numbers stay whole.
        if is_terse and piece.parts:
            text = terse(text)
        if is_abbreviated and name != "exam":
            text = _abbreviated(text, rng)
        if rng.random() < _TYPO and " " in text:
            text = with_typo(text, rng)
        return Piece(text.upper() if is_upper else text, piece.parts)

    return {name: [[said(piece, name) for piece in line] for line in lines] for name, lines in sections.items()}


def _abbreviated(text: str, rng: np.random.Generator) -> str:
    for word, short in grammar("report")["abbreviations"].items():
        if rng.random() < 0.6:
            text = re.sub(rf"\b{word}\b", pick(short, rng), text)
    return text


def _assembled(plan: StudyPlan, sections: dict[str, Lines], layout: str, rng: np.random.Generator) -> StudyReport:
    # Sentences are joined here and never cut again, so excerpts are exact substrings.
    texts = {name: "\n".join(" ".join(piece.text for piece in line) for line in sections[name]) for name in _SECTIONS}
    if rng.random() < _NO_HEADINGS:
        first = " ".join(f"{text.rstrip('.')}." for name in ("exam", "indication") if (text := texts[name]))
        # Without headings there is one paragraph for the request and one for all else.
        rest = " ".join(text for name in _ANNOTATED if (text := texts[name]))
        texts = dict.fromkeys(_SECTIONS, "") | {"exam": first, "findings": rest}
        text, layout = f"{first}\n{rest}", f"{layout}, no headings"
    else:
        text = _under_headings(texts, rng)
    pieces = [piece for name in _ANNOTATED for line in sections[name] for piece in line]
    regions = tuple(dict.fromkeys(part.region for part in plan.parts))
    # A sentence about two parts is in both lists.
    of_part = [[piece.text for piece in pieces if k in piece.parts] for k in range(len(plan.parts))]
    of_region = {
        region: tuple(p.text for p in pieces if any(plan.parts[k].region == region for k in p.parts))
        for region in regions
    }
    # Both sides of one region are one region.
    sides = {region: {part.laterality for part in plan.parts if part.region == region} for region in regions}
    return StudyReport(
        report_id=plan.study_id,
        report_text=text,
        sections=texts,
        filmed_regions=regions,
        laterality={region: "both" if len(s) > 1 else min(s) for region, s in sides.items() if s != {""}},
        excerpts=of_region,
        part_excerpts=tuple(tuple(dict.fromkeys(sentences)) for sentences in of_part),
        left_out=tuple(piece.text for piece in pieces if not piece.parts),
        style=layout,
    )


def _under_headings(texts: dict[str, str], rng: np.random.Generator) -> str:
    names = grammar("report")["headings"]
    style = pick(("first", "any", "title"), rng)
    lines = []
    for name in _SECTIONS:
        if not texts[name]:
            continue
        heading = names[name][0] if style == "first" else pick(names[name], rng)
        heading = capital(heading.lower()) if style == "title" else heading
        lines.append(f"{heading}:{' ' if rng.random() < 0.9 else chr(10)}{texts[name]}")
    return "\n".join(lines)
