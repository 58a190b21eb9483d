"""Sentences of a report about one body part: its findings, what is normal, and what is absent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pedclip.data.phantom.findings.finding import SUBTLE, Finding
from pedclip.data.phantom.findings.registry import FINDINGS, form
from pedclip.data.phantom.population import Part, StudyPlan
from pedclip.data.phantom.report.wording import Slots, expand, grammar, pick

_SKELETAL: Final = ("hand", "wrist")
_UNUSUAL: Final = 1.5  # years between bone age and age from which maturation is called delayed or advanced
_HEDGED: Final = 0.5  # fraction of subtle findings that are reported with doubt
_MAX_SENTENCES: Final = 6


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence about a part and the structure it is about ("bones"); "" where it is about all."""

    text: str
    structure: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """A part as its report sees it.

    Args:
        part: The films.
        sites: The places of its findings, in their order.
        equipment: Names of what lies on it ("cast").
        slots: Words for the templates.
        maturity: "delayed" or "advanced" where it is unusual for the age, else "".
        age: Years.
    """

    part: Part
    sites: tuple[str, ...]
    equipment: tuple[str, ...]
    slots: Slots
    maturity: str
    age: float

    @property
    def blocked(self) -> set[str]:
        """Structures that must not be called normal."""
        known = grammar("findings")["findings"]
        # A structure with a finding is not normal; nor is growth at odd bone age, nor a film with metal on it.
        tags = {tag for finding in self.part.findings for tag in known[finding.name]["tags"]}
        return tags | ({"growth"} if self.maturity else set()) | ({"objects"} if self.equipment else set())

    @property
    def wording(self) -> dict[str, Any]:
        """The entry of grammar_regions.json."""
        entry: dict[str, Any] = grammar("regions")["regions"][self.part.region]
        return entry


def subject_of(plan: StudyPlan, part: Part, sites: Sequence[str], equipment: Sequence[str]) -> Subject:
    """A part with the words for it."""
    entry = grammar("regions")["regions"][part.region]
    side = f"{part.laterality} " if part.laterality else ""
    slots = {
        "noun": entry["nouns"],
        "place": [noun for noun in entry["nouns"] if not noun.isupper()],  # "CXR" names a film and not a place
        "side": side,
        "exam": [f"{side}{name}" for name in entry["exams"]],
        "age_words": _years(plan.age),
        "bone_age": _years(plan.bone_age),
    }
    ahead = plan.bone_age - plan.age
    # Bone age is read from hand and wrist alone.
    is_read = part.region in _SKELETAL and abs(ahead) > _UNUSUAL
    maturity = ("advanced" if ahead > 0 else "delayed") if is_read else ""
    return Subject(part, tuple(sites), tuple(equipment), slots, maturity, plan.age)


def body(subject: Subject, rng: np.random.Generator, *, room: int = _MAX_SENTENCES) -> list[Statement]:
    """Sentences of the findings section: every finding, then some of what is normal or absent.

    Args:
        subject: The part.
        rng: Chooses the words.
        room: Most sentences, at least the number of findings.

    Returns:
        At least one statement; none denies or contradicts a finding.
    """
    part = subject.part
    said = [positive(finding, site, subject, rng) for finding, site in zip(part.findings, subject.sites, strict=True)]
    # Findings first: they are never cut, as `room` is at least their number.
    said = (said + _extras(subject, rng))[:room]
    if part.findings and rng.random() < 0.15:
        said.reverse()
    fillers: list[Statement] = []
    wanted = int(rng.integers(0 if said else 1, 5))  # a part without anything to say gets one normal sentence at least
    for structure in rng.permutation(sorted(_normal_pool(subject)))[:wanted]:
        fillers.append(normal(subject, str(structure), rng))
    if rng.random() < 0.6:
        fillers.append(negative(subject, rng))
    # "Normal hand." needs a part without findings.
    if not part.findings and not subject.maturity and rng.random() < 0.25:
        fillers.insert(0, Statement(expand(pick(_whole(subject), rng), subject.slots, rng)))
    # Two templates may give the same sentence; one is enough.
    fillers = list({statement.text: statement for statement in fillers if statement.text}.values())
    if rng.random() < 0.4:
        fillers = [fillers[int(order)] for order in rng.permutation(len(fillers))]
    kept = fillers[: max(0, room - len(said))]
    # Sometimes what is normal comes before what is not.
    ahead = int(rng.integers(len(kept) + 1)) if rng.random() < 0.3 else 0
    every = (kept[:ahead] + said + kept[ahead:])[:room]
    return every or [Statement(expand(pick(_whole(subject), rng), subject.slots, rng))]


def positive(
    finding: Finding, site: str, subject: Subject, rng: np.random.Generator, *, is_impression: bool = False
) -> Statement:
    """A sentence that asserts one finding, with doubt where it is subtle and the reader unsure."""
    data = grammar("findings")
    entry = data["findings"][finding.name]
    is_subtle = finding.severity < SUBTLE
    shape = form(finding, subject.age, region=subject.part.region) if finding.name == "fracture" else ""
    offset = "slight" if is_subtle else "some" if finding.severity < 2 / 3 else "much"  # words of displacement
    # 0 to 3: three thirds, and "severe" from 0.85.
    level = min(int(finding.severity * 3), 2) + int(finding.severity > 0.85)
    slots = {
        **subject.slots,
        "the_site": _places(site, str(subject.slots["side"])),
        "term": entry.get("named", entry["terms"]),
        "site": _places(site, str(subject.slots["side"]), article=""),
        "severity": data["sizes" if finding.name in data["sized"] else "severity"][level],
        "finding_side": finding.side,
        "sided": f"{finding.side} " if finding.name in ("pleural effusion", "pneumothorax") else "",
        "kind": data["fracture_kinds"][shape if subject.part.region != "skull" else ""],
        "displacement": data["displacement"]["none" if shape == "buckle" else offset],
    }
    choices = entry["impression" if is_impression else "definite"]
    if is_subtle and rng.random() < _HEDGED:  # "questionable", "possible"
        slots["term"] = entry.get("singular", slots["term"])
        choices = data["hedged_plain" if finding.name in data["placed_by_themselves"] else "hedged"]
    return Statement(expand(pick(choices, rng), slots, rng), entry["tags"][0])


def normal(subject: Subject, structure: str, rng: np.random.Generator) -> Statement:
    """A sentence that calls one structure normal."""
    return Statement(expand(pick(_normal_pool(subject)[structure], rng), subject.slots, rng), structure)


def normal_structures(subject: Subject) -> list[str]:
    """Structures that may be called normal, in the order of a template."""
    return list(_normal_pool(subject))


def negative(subject: Subject, rng: np.random.Generator) -> Statement:
    """A sentence that denies what is absent; the text is empty where nothing may be denied."""
    data = grammar("findings")["findings"]
    present = [finding.name for finding in subject.part.findings]
    # "No fracture" would deny a compression fracture, "no effusion" a pleural one.
    heads = {name.split()[-1] for name in present}
    held = {other for name in present for other in data[name]["conflicts"]}
    absent = [
        name
        for name, regions in FINDINGS.items()
        if subject.part.region in regions and name.split()[-1] not in heads and name not in held
    ]
    # A cast or a tube is a foreign body to some readers.
    if subject.equipment and "foreign body" in absent:
        absent.remove("foreign body")
    words = [pick(data[name]["denied"], rng) for name in absent]
    shared = grammar("regions")["kinds"][subject.wording["kind"]]
    words += [pick(subject.wording["denied"], rng), *([pick(shared["denied"], rng)] if shared["denied"] else [])]
    # What comes first in the tables is what people look for first.
    weights = np.array([2.0 if order < 3 else 1.0 for order in range(len(words))])
    order = rng.choice(len(words), size=min(3, len(words)), replace=False, p=weights / weights.sum())
    # Templates have up to three places: "No {a}, {b} or {c}."
    chosen = dict(zip("abc", [words[int(index)] for index in order], strict=False))
    templates = [t for t in grammar("report")["negative"] if all(f"{{{k}}}" not in t or k in chosen for k in "abc")]
    return Statement(expand(pick(templates, rng), {**subject.slots, **chosen}, rng))


def impression(subject: Subject, rng: np.random.Generator) -> list[str]:
    """One or two sentences that conclude about the part."""
    # The worst comes first, and may stand alone.
    ranked = sorted(
        zip(subject.part.findings, subject.sites, strict=True), key=lambda pair: pair[0].severity, reverse=True
    )
    if ranked:
        count = min(len(ranked), 1 + int(rng.random() < 0.5))
        return [positive(finding, site, subject, rng, is_impression=True).text for finding, site in ranked[:count]]
    if subject.maturity:
        return [expand(pick(grammar("report")["maturity"][subject.maturity], rng), subject.slots, rng)]
    shared = grammar("regions")["kinds"][subject.wording["kind"]]
    return [expand(pick([*subject.wording["impression"], *shared["impression"]], rng), subject.slots, rng)]


def _whole(subject: Subject) -> list[str]:
    """Templates that call the whole part normal; where it is not, only that it was seen."""
    shared = grammar("regions")["kinds"][subject.wording["kind"]]
    return [*subject.wording["whole"], *shared["whole"]]


def _normal_pool(subject: Subject) -> dict[str, list[str]]:
    own = subject.wording["structures"]
    shared = grammar("regions")["kinds"][subject.wording["kind"]]["structures"]
    blocked = subject.blocked
    # The words of the region itself come up twice as often as those of its kind.
    return {
        name: [*own.get(name, ()), *own.get(name, ()), *shared.get(name, ())]
        for name in dict.fromkeys([*own, *shared])
        if name not in blocked
    }


def _extras(subject: Subject, rng: np.random.Generator) -> list[Statement]:
    """Maturity and equipment."""
    frame, said = grammar("report"), []
    if subject.maturity:
        said.append(Statement(expand(pick(frame["maturity"][subject.maturity], rng), subject.slots, rng), "growth"))
    if subject.part.region == "hand" and rng.random() < 0.3:
        said.append(Statement(expand(pick(frame["bone_age"], rng), subject.slots, rng), "growth"))
    for name in subject.equipment:
        choices = frame["equipment"].get(name, frame["equipment"]["other"])
        said.append(Statement(expand(pick(choices, rng), {**subject.slots, "equipment": name}, rng), "objects"))
    return said


def _places(site: str, side: str, *, article: str = "the ") -> list[str]:
    """A site with its article, and with the side of the limb."""
    article = "" if site[:1].isupper() else article
    plain = site.removeprefix("the ")
    if side:  # limbs are drawn as left ones and mirrored
        plain = plain.removeprefix("left ").removeprefix("right ")
    return [f"{article}{plain}", f"{article}{side}{plain}"]


def _years(age: float) -> str:
    months = round(age * 12)  # in months up to two years, then in years
    if months < 1:
        return "newborn"
    if months < 24:
        return f"{months} month{'s' if months > 1 else ''}"
    half = " and a half" if months % 12 >= 6 and months < 96 else ""
    return f"{months // 12}{half} years"
