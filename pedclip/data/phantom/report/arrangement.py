"""Arrangement of the sentences of a report: under headings, in one paragraph, numbered, by structure."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from typing import Final

import numpy as np

from pedclip.data.phantom.report.sentences import Statement, Subject, normal, normal_structures
from pedclip.data.phantom.report.wording import expand, grammar, pick, uncapital

_SHORTER: Final = (
    (re.compile(r"^(?:There (?:is|are|was)|Note is made of|I see|We see) (?:an? )?(?=\w)", re.IGNORECASE), ""),
    (re.compile(r"^The (?=\w)"), ""),
    (re.compile(r" (?:is|are) (?:seen|noted|present|identified|evident|demonstrated|visible)(?=[.,])"), ""),
    (re.compile(r"(?<=\w) (?:is|are|appears?) (?=normal|intact|clear|unremarkable|preserved|maintained)"), " "),
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the report, never cut: a sentence with the parts it is about, or () for a heading or aside."""

    text: str
    parts: tuple[int, ...] = ()


Lines = list[list[Piece]]
Bodies = Sequence[Sequence[Statement]]


def headed(subjects: Sequence[Subject], bodies: Bodies, rng: np.random.Generator) -> Lines:
    """A paragraph for each part, under its name."""
    # One part needs no heading.
    if len(subjects) == 1 and rng.random() < 0.7:
        return [_pieces(bodies[0], 0)]
    sign = pick((":", ".", " -"), rng)
    lines = [[Piece(_heading(subject, rng, sign)), *_pieces(bodies[k], k)] for k, subject in enumerate(subjects)]
    return [[piece for line in lines for piece in line]] if rng.random() < 0.4 else lines  # all in one paragraph


def running(subjects: Sequence[Subject], bodies: Bodies, rng: np.random.Generator) -> Lines:
    """One paragraph, in which the parts may alternate; sentences say which part they are about."""
    order = [(part, statement) for part, body in enumerate(bodies) for statement in body]
    if rng.random() < 0.5:
        # In turns: first sentence of each part, then the second.
        rounds = zip_longest(*([(part, statement) for statement in body] for part, body in enumerate(bodies)))
        order = [item for items in rounds for item in items if item is not None]
    return [[piece for group in _located(subjects, order, rng) for piece in group]]


def numbered(subjects: Sequence[Subject], bodies: Bodies, rng: np.random.Generator) -> Lines:
    """A list of sentences."""
    order = [(part, statement) for part, body in enumerate(bodies) for statement in body]
    sign = pick((".", ")"), rng)
    lines = [[Piece(f"{k}{sign}"), *group] for k, group in enumerate(_located(subjects, order, rng), start=1)]
    return [[piece for line in lines for piece in line]] if rng.random() < 0.3 else lines


def by_structure(subjects: Sequence[Subject], bodies: Bodies, rng: np.random.Generator) -> Lines:
    """A form to be filled in: each structure under its name, normal where nothing else is said."""
    names, lines = grammar("report")["structure_names"], []
    for part, (subject, body) in enumerate(zip(subjects, bodies, strict=True)):
        if len(subjects) > 1:
            lines.append([Piece(_heading(subject, rng, ":"))])
        # A form has a line for each structure, so the general sentences go to the end.
        said = [statement for statement in body if statement.structure]
        free = [name for name in normal_structures(subject) if name not in {s.structure for s in said}]
        added = [normal(subject, str(name), rng) for name in rng.permutation(free)[: max(0, 4 - len(body))]]
        lines += [
            [Piece(f"{pick(names[s.structure], rng)}:"), Piece(s.text, (part,))]
            for s in [*said, *added]
            if s.text not in {other.text for other in said} or s in said
        ]
        if rest := [statement for statement in body if not statement.structure]:
            lines.append(_pieces(rest, part))
    return lines


def joint(subjects: Sequence[Subject], bodies: Bodies, rng: np.random.Generator) -> Lines:
    """Several parts under one heading; a sentence about the soft tissues may hold for all of them."""
    heading = " and ".join(_name(subject, rng) for subject in subjects)
    lines = running(subjects, bodies, rng)
    lines[0].insert(0, Piece(f"{heading[:1].upper()}{heading[1:]}:"))
    # A shared sentence must hold for every part.
    is_clean = all("soft tissues" not in s.blocked and "soft tissues" in normal_structures(s) for s in subjects)
    if is_clean and all(len(body) < 4 for body in bodies) and len(subjects) == 2:
        lines[0].append(Piece(expand(pick(grammar("report")["shared_soft"], rng), {}, rng), (0, 1)))
    return lines


LAYOUTS: Final[dict[str, Callable[[Sequence[Subject], Bodies, np.random.Generator], Lines]]] = {
    "headed": headed,
    "running": running,
    "numbered": numbered,
    "by structure": by_structure,
    "joint": joint,
}


def conclusion(subjects: Sequence[Subject], sentences: Sequence[Sequence[str]], rng: np.random.Generator) -> Lines:
    """The impression: numbered, under the names of the parts, or plain."""
    statements = [[Statement(text) for text in texts] for texts in sentences]
    if len(subjects) == 1:
        plain = _pieces(statements[0], 0)
        # A list of one looks odd.
        if len(plain) == 1 and rng.random() < 0.8:
            return [plain]
        return numbered(subjects, statements, rng) if rng.random() < 0.5 else [plain]
    ticket = rng.random()
    if ticket < 0.35:
        return numbered(subjects, statements, rng)
    if ticket < 0.6:
        return running(subjects, statements, rng)
    lines = headed(subjects, statements, rng)
    if ticket < 0.8 and len(lines) == len(subjects):  # "1. Chest. No active disease."
        lines = [[Piece(f"{k}."), *line] for k, line in enumerate(lines, start=1)]
    return lines


def terse(text: str) -> str:
    """A sentence as a telegram.

    Example:
        >>> terse("There is a fracture of the radius.")
        'Fracture of the radius.'
    """
    for pattern, replacement in _SHORTER:
        text = pattern.sub(replacement, text)
    return text[:1].upper() + text[1:]


def with_typo(text: str, rng: np.random.Generator) -> str:
    """A sentence with one letter lost, doubled or exchanged; never in the name of a finding, part or side."""
    # Long words that carry no finding, part, side or negation: the truth must survive the slip.
    words = [match for match in re.finditer(r"\b[A-Za-z]{7,}\b", text) if match[0].lower() not in _kept_words()]
    if not words:
        return text
    match = words[int(rng.integers(len(words)))]
    # Never the first or the last two letters.
    at, slip = match.start() + int(rng.integers(2, len(match[0]) - 2)), int(rng.integers(3))
    if slip == 0:
        return text[:at] + text[at + 1 :]
    return text[:at] + (text[at] * 2 if slip == 1 else text[at + 1] + text[at]) + text[at + 1 + (slip == 2) :]


@cache
def _kept_words() -> frozenset[str]:
    findings = grammar("findings")["findings"].values()
    phrases = [word for entry in findings for word in [*entry["terms"], *entry["denied"]]]
    phrases += [noun for entry in grammar("regions")["regions"].values() for noun in [*entry["nouns"], *entry["exams"]]]
    words = frozenset(word for phrase in phrases for word in re.findall(r"[a-z]+", phrase.lower()))
    return words | {"negative", "without", "neither", "absence"}


def _pieces(statements: Sequence[Statement], part: int) -> list[Piece]:
    return [Piece(statement.text, (part,)) for statement in statements]


def _name(subject: Subject, rng: np.random.Generator) -> str:
    side = str(subject.slots["side"])
    return f"{side}{pick(list(subject.slots['noun']), rng)}"


def _heading(subject: Subject, rng: np.random.Generator, sign: str) -> str:
    name = _name(subject, rng)
    name = name.upper() if rng.random() < 0.15 else name[:1].upper() + name[1:]
    return f"{name}{sign}"


def _located(subjects: Sequence[Subject], order: Sequence[tuple[int, Statement]], rng: np.random.Generator) -> Lines:
    """Sentences, each with what says its part wherever the part changes: a first clause, or a heading glued to it."""
    groups, before = [], -1 if len(subjects) > 1 else 0
    for part, statement in order:
        group = [Piece(statement.text, (part,))]
        if part != before and not _names_itself(statement.text, subjects[part], subjects):
            prefix = expand(pick(grammar("report")["locators"], rng), subjects[part].slots, rng)
            # "In the left knee, …" becomes part of the sentence; "Left knee:" stays apart from it.
            if prefix.endswith(","):
                group = [Piece(f"{prefix} {uncapital(statement.text)}", (part,))]
            else:
                group.insert(0, Piece(prefix))
        groups.append(group)
        before = part
    return groups


def _names_itself(text: str, subject: Subject, subjects: Sequence[Subject]) -> bool:
    lower = text.lower()
    # With both knees in the report, "knee" alone names neither.
    is_paired = sum(other.part.region == subject.part.region for other in subjects) > 1
    is_named = any(noun.lower() in lower for noun in subject.slots["noun"])
    return is_named and (not is_paired or subject.part.laterality in lower)
