"""The vocabulary of findings: one normal form of a name, its usual synonyms, and how it is worded.

Training sentences (`pedclip.data.label_text`), zero-shot prompts (`pedclip.evaluation.tasks.prompts`) and labels
(`pedclip.evaluation.tasks.labels`) all ask here. The words are data, in findings.json.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Wording:
    """The words for one finding.

    Args:
        synonyms: Names that prompts use in their templates, the first one the usual; empty where the finding is not in
            the vocabulary.
        sentences: Whole sentences for training text, empty where the general templates do.
        names_place: True where the name says where it is, so that no prompt adds the region.
    """

    synonyms: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    names_place: bool = False


def finding_name(finding: str) -> str:
    """The normal form in which findings are compared: lower case, words separated by one blank.

    Example:
        >>> finding_name("Pleural_Thickening ")
        'pleural thickening'
    """
    return " ".join(finding.replace("_", " ").split()).casefold()


def label_name(term: str) -> str:
    """The normal form of a label in a table, with usual abbreviations spelt out; "" where it says that nobody labelled.

    Example:
        >>> label_name("COVID19"), label_name("No finding"), label_name("n/a")
        ('covid-19', 'normal', '')
    """
    name = finding_name(term)
    vocabulary = _vocabulary()
    return "" if name in vocabulary["unlabelled"] else str(vocabulary["abbreviations"].get(name, name))


def is_finding(name: str) -> bool:
    """True where the vocabulary holds a finding, be it in the plural, with a hyphen, or in British spelling.

    Args:
        name: As from `label_name`.

    Example:
        >>> is_finding("fractures"), is_finding("soft-tissue swelling"), is_finding("1"), is_finding("zork")
        (True, True, False, False)
    """
    plain = name.replace("tumour", "tumor").replace("oedema", "edema").replace("haem", "hem")
    forms = (plain, plain.replace("-", " "), plain.removesuffix("s"), plain.removesuffix("es"))
    return any(form in _names() for form in forms)


def is_modifier(word: str) -> bool:
    """True for a word that a finding may have before it: a side, a degree, a part of a bone."""
    return word in _vocabulary()["modifiers"]


@cache
def _names() -> frozenset[str]:
    vocabulary = _vocabulary()
    synonyms = {finding_name(name) for entry in vocabulary["findings"].values() for name in entry["synonyms"]}
    return frozenset({*vocabulary["findings"], *vocabulary["others"], *synonyms})


def wording(finding: str) -> Wording:
    """The words for a finding in any spelling; empty ones where the vocabulary does not hold it."""
    entry = _vocabulary()["findings"].get(finding_name(finding), {})
    return Wording(
        tuple(entry.get("synonyms", ())), tuple(entry.get("sentences", ())), bool(entry.get("names_place", False))
    )


@cache
def _vocabulary() -> dict[str, Any]:
    return dict(json.loads((files("pedclip") / "findings.json").read_text(encoding="utf-8")))
