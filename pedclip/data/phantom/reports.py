"""The excerpt of a study in the words of a report, from a grammar kept as data (grammar.json)."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from pedclip.anatomy import display_name
from pedclip.data.phantom.finding import Finding
from pedclip.data.phantom.findings import FINDINGS
from pedclip.data.phantom.population import StudyPlan

_STYLES = ("prose", "terse", "header")
_BUCKLE = 0.3  # below: the form of a buckle fracture, see bone_findings.fracture


@cache
def grammar() -> dict[str, Any]:
    """The words and sentences."""
    text = Path(__file__).with_name("grammar.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def terms(finding: str) -> tuple[str, ...]:
    """How a finding is named in the texts: its own name among its synonyms."""
    return tuple(grammar()["terms"][finding])


def excerpt(plan: StudyPlan, sites: Sequence[str], rng: np.random.Generator) -> str:
    """One to three sentences about the region of a study.

    Args:
        plan: The study.
        sites: Where its findings are, in the same order.
        rng: Chooses the words.

    Returns:
        Positive or hedged sentences for every finding, and negations or normal statements. What is negated is never
        among the findings.
    """
    style = str(rng.choice(_STYLES, p=(0.3, 0.1, 0.6)))
    words = _context(plan, rng)
    sentences = [_positive(finding, site, plan, words, rng) for finding, site in zip(plan.findings, sites, strict=True)]
    wanted = 3 if style != "terse" else 2
    fillers = [_negative(plan, words, rng), _normal(plan, words, rng)]
    if plan.findings:
        fillers = fillers[:1]  # a normal statement could contradict a finding
    if rng.random() < 0.5:
        fillers.reverse()
    count = int(rng.integers(0 if sentences else 1, 3))
    sentences = (sentences + fillers[:count])[:wanted]
    text = " ".join(sentences)
    if style == "header":
        text = _fill(_pick(grammar()["headers"], rng), words) + text
    return re.sub(r"\s+", " ", text).strip()


def _context(plan: StudyPlan, rng: np.random.Generator) -> dict[str, str]:
    nouns = grammar()["nouns"].get(plan.region, [display_name(plan.region)])
    side = f"{plan.laterality} " if plan.laterality else ""
    months = round(plan.age * 12)
    age = f"{months} months" if months < 24 else f"{months // 12} years"
    count = len(plan.views)
    views = " and ".join(plan.views) if rng.random() < 0.7 else f"{count} view{'s' if count > 1 else ''}"
    return {"noun": _pick(nouns, rng), "side": side, "Side": side, "views": views, "age": age}


def _positive(finding: Finding, site: str, plan: StudyPlan, words: Mapping[str, str], rng: np.random.Generator) -> str:
    data = grammar()
    level = min(int(finding.severity * 4), 3)
    severity = _pick(data["severity"][level], rng)
    form = "transverse" if finding.variant < 0.6 else "oblique"
    if finding.variant < _BUCKLE and plan.age < 12:
        form = "buckle"
    side = "" if site.startswith(("left", "right")) else words["side"]
    filled = {
        **words,
        "side": side,
        "site": site,
        "term": _pick(data["terms"][finding.name], rng),
        "severity": severity,
        "a_severity": f"{'an' if severity[0] in 'aeiou' else 'a'} {severity}",
        "finding_side": "left" if finding.sign > 0 else "right",
        "kind": _pick(data["fracture_kinds"][form], rng),
        "displacement": _pick(data["displacement"][min(level, 2)], rng) if form != "buckle" else "",
    }
    choices = data["positive"].get(finding.name, data["positive"]["default"])
    if finding.severity < 0.25 and rng.random() < 0.5:
        choices = data["hedged"]
    return _fill(_pick(choices, rng), filled)


def _negative(plan: StudyPlan, words: Mapping[str, str], rng: np.random.Generator) -> str:
    present = {finding.name for finding in plan.findings}
    # "No fracture" would deny a compression fracture, "no effusion" a pleural one.
    heads = {name.split()[-1] for name in present}
    absent = [name for name, where in FINDINGS.items() if plan.region in where and name.split()[-1] not in heads]
    if not absent:
        return ""
    order = [str(name) for name in rng.permutation(absent)[:2]]
    chosen = [grammar()["terms"][name][0] for name in order]
    template = _pick([text for text in grammar()["negative"] if len(chosen) > 1 or "{term2}" not in text], rng)
    return _fill(template, {**words, "term": chosen[0], "term2": chosen[-1]})


def _normal(plan: StudyPlan, words: Mapping[str, str], rng: np.random.Generator) -> str:
    kind = grammar()["kind_of_region"].get(plan.region, "limb")
    return _fill(_pick(grammar()["normal"][kind], rng), words)


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _fill(template: str, words: Mapping[str, str]) -> str:
    text = template.format(**words)
    return text[0].upper() + text[1:]
