"""Labels turned into sentences; templates are in label_prompts.json, words in findings.json."""

import hashlib
import json
import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any, Final

from pedclip.anatomy import display_name
from pedclip.data.label_terms import Labels
from pedclip.findings import wording

_ADULT: Final = 18 * 12  # months


def label_text(
    labels: Labels, *, key: str, region: str, laterality: str = "", view: str = "", patient: str = ""
) -> str:
    """Labels of a film as sentences, from the prompt set of label_prompts.json.

    Args:
        labels: What was said.
        key: Identifier of the image; decides between the templates of each sentence.
        region: One of the 23.
        laterality: "", "left", "right" or "both".
        view: Such as "AP" or "lateral", may be "".
        patient: As from `patient_words`, may be "".

    Returns:
        One sentence about the film, then one per finding, or one per absent finding, or one that says normal.

    Source: PedCLIP trains on report text only; sentences for data sets that have none are ours.

    Example:
        >>> label_text(Labels(("pneumonia",), ()), key="7", region="chest", view="PA", patient="a child")
        'PA radiograph of the chest of a child. There is pneumonia.'
    """
    place = display_name(region)
    place = f"{place} on both sides" if laterality == "both" else f"{laterality} {place}".strip()
    of_patient = f" of {patient}" if patient else ""
    film = _choose("film", key).format(view=view, region=place, of_patient=of_patient)
    return " ".join(_tidy(sentence) for sentence in (film, *_statements(labels, key)))


def patient_words(age_months: float | None, age_group: str = "") -> str:
    """A patient in words: "a newborn", "a 7-year-old child", "an adult", "a child", or "" where nothing is known.

    Args:
        age_months: Age in months, None where unknown.
        age_group: Free words such as "adolescent" or "adult (presumed)", used where the age is unknown.
    """
    if age_months is None:
        if re.match(r"adult|elderly", age_group.lower()):
            return "an adult"
        return "a child" if re.match(r"p(a)?ediatric|child|adolescent|infant|neonat|newborn", age_group.lower()) else ""
    if age_months >= _ADULT:
        return "an adult"
    if age_months < 1:
        return "a newborn"
    number, unit = (int(age_months), "month") if age_months < 24 else (int(age_months / 12), "year")
    article = "an" if number in {8, 11, 18} else "a"
    return f"{article} {number}-{unit}-old {'infant' if age_months < 12 else 'child'}"


@cache
def _prompts() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((files("pedclip.data") / "label_prompts.json").read_text(encoding="utf-8"))
    return content


def _statements(labels: Labels, key: str) -> Iterable[str]:
    for term in labels.findings:
        yield _choose("sentences" if wording(term).sentences else "generic", key, term).replace("{finding}", term)
    for term in labels.absent:
        yield _choose("absent", key, term).replace("{finding}", term)
    if not labels.findings and not labels.absent:
        yield _choose("normal", key)


def _choose(group: str, key: str, term: str = "") -> str:
    templates = wording(term).sentences if group == "sentences" else _prompts()[group]
    digest = hashlib.sha256(f"{group}\0{key}\0{term}".encode()).digest()
    return str(templates[int.from_bytes(digest[:8], "big") % len(templates)])


def _tidy(sentence: str) -> str:
    """Close the gaps that unknown values leave, and begin with a capital letter."""
    sentence = " ".join(sentence.split())
    return sentence[:1].upper() + sentence[1:]
