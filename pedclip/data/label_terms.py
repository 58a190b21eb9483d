"""Labels of a table read into plain terms: lists in a cell, several findings in one, and words that nobody knows."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from pedclip.anatomy import find_mentions
from pedclip.findings import finding_name, is_finding, is_modifier, label_name
from pedclip.triplets.cell_lists import list_items
from pedclip.triplets.values import is_blank

NORMAL: Final = "normal"
_NEGATION: Final = re.compile(r"(no|without|negative for)\s+")
_REMARK: Final = re.compile(r"\(([^)]*)\)")
_TAKEN_BACK: Final = re.compile(
    r"^\s*(?:0|false|n|-)\s*$|\?|\b(?:no|none|not|non|absent|negative|without|excluded|ruled out|rule out|resolved"
    r"|denied|possibl[ey]|probabl[ey]|suspect\w*|suspicion|uncertain|questionable|likely|unlikely|equivocal)\b",
    re.IGNORECASE,
)
_SEPARATORS: Final = (re.compile(r"[;|\n\t]"), re.compile(r","))
_JOINTS: Final = re.compile(r"\s*[/&+\\]\s*|\s+and\s+")  # part of many names, so that both halves must be known
_NO_WORDS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True)
class Labels:
    """The labels that somebody gave a film.

    Args:
        findings: Lower-case terms that are present; empty where the film was called normal.
        absent: Lower-case terms that were said to be absent ("bone tumor" of "no bone tumor"), only without findings.
    """

    findings: tuple[str, ...]
    absent: tuple[str, ...]


def read_labels(finding: str, label: str, own: Mapping[str, str] = _NO_WORDS) -> Labels | None:
    """Terms of the two label columns of a row.

    `finding` holds the words and `label` often a code of them: where every term of `finding` is normal, the code is not
    a finding.

    Args:
        finding: Such as "Cardiomegaly; Effusion" or "no bone tumor", may be blank.
        label: Such as "malignant", "bacterial_pneumonia" or "normal", may be blank.
        own: As in `terms_of`.

    Returns:
        The labels, or None where nobody labelled the film.

    Example:
        >>> read_labels("osteosarcoma", "malignant")
        Labels(findings=('osteosarcoma', 'malignant'), absent=())
        >>> read_labels("no bone tumor", "normal")
        Labels(findings=(), absent=('bone tumor',))
    """
    words, codes = terms_of(finding, own), terms_of(label, own)
    if not words and not codes:
        return None
    is_normal = bool(words) and all(_is_negative(term) for term in words)
    return labels_from([] if is_normal else words + codes, denied=words + codes)


def labels_from(terms: list[str], denied: list[str]) -> Labels:
    """Labels of terms: what is not negative is found; without any, what the negative ones deny is absent."""
    found = [term for term in terms if not _is_negative(term)]
    absent = [] if found else [rest for term in denied if (rest := _NEGATION.sub("", term, count=1)) != term]
    return Labels(tuple(dict.fromkeys(found)), tuple(dict.fromkeys(absent)))


def terms_of(cell: str, own: Mapping[str, str] = _NO_WORDS) -> list[str]:
    """Plain terms of a cell: of a list as Python, JSON or a person writes it, or of words with separators between.

    A slash or "and" separates only where both halves are known findings. Underscores become blanks, remarks in
    parentheses go, unless they deny or doubt the finding: then nobody knows the label.

    Args:
        cell: May be blank.
        own: Label in the table's words to finding in plain ones ("" where it is one already), from `labels.csv`.

    Example:
        >>> terms_of("['Pneumonia', 'pleural_effusion']"), terms_of("fracture/metal"), terms_of("KL2 (grade)")
        (['pneumonia', 'pleural effusion'], ['fracture', 'metal'], ['kl2'])
    """
    return [term for item in list_items(cell) for term in _split(_plain(item), own)]


def unknown_terms(cell: str, own: Mapping[str, str] = _NO_WORDS) -> Iterator[str]:
    """Terms of a cell that are no findings: numbers, and words that neither vocabulary, cards nor table explain."""
    explained = {term for value in own.values() for term in terms_of(value)}
    for term in terms_of(cell, own):
        if not (is_known(term) or term in explained or term in own):
            yield term


def _plain(text: str) -> str:
    """A label without its remarks, but for those that deny or doubt it: without them it would be another."""
    return _REMARK.sub(lambda match: match[0] if _TAKEN_BACK.search(match[1]) else "", text)


def _split(text: str, own: Mapping[str, str]) -> list[str]:
    key, name = finding_name(text), label_name(text)
    if key in own:
        return terms_of(own[key]) if own[key] else [key]
    if not name or is_blank(text):
        return []
    if is_known(name):
        return [name]
    for separator in _SEPARATORS:
        parts = separator.split(text)
        if len(parts) > 1:
            return [term for part in parts for term in _split(part, own)]
    parts = [label_name(part) for part in _JOINTS.split(text)]
    is_several = len(parts) > 1 and all(is_known(part) or finding_name(part) in own for part in parts)
    return [term for part in parts for term in _split(part, own)] if is_several else [name]


def _is_negative(term: str) -> bool:
    return term == NORMAL or _NEGATION.match(term) is not None


def is_known(name: str) -> bool:
    """True for a finding with its side and place, a denied one, "normal", or a label of a data card."""
    plain = _NEGATION.sub("", name, count=1)
    return plain == NORMAL or is_finding(plain) or plain in _card_labels() or name in _card_labels() or _placed(plain)


def _placed(name: str) -> bool:
    """True where nothing but a place, a side or a degree stands beside a finding ("fracture of the distal radius")."""
    head, of, place = name.partition(" of ")
    if of:
        return bool(find_mentions(place)) and (is_finding(head) or _placed(head))
    words = name.split()
    for start in range(1, len(words)):
        if is_finding(" ".join(words[start:])):
            rest = [word for word in words[:start] if not is_modifier(word)]
            return not rest or bool(find_mentions(" ".join(rest)))
    return False


@cache
def _card_labels() -> frozenset[str]:
    """Labels of all data cards, as a table of them may be read as a plain folder."""
    from pedclip.data.cards import CardError, card_names, read_card

    try:
        cards = [read_card(name) for name in card_names()]
    except CardError:
        return frozenset()
    return frozenset(label_name(label) for card in cards for label in (*card.labels, *card.box_labels))
