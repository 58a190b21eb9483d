"""Prompts in the wording of each method, from the templates of its record."""

from collections.abc import Sequence
from itertools import product
from typing import Final, NamedTuple

from pedclip.anatomy import display_name, is_paired
from pedclip.findings import wording
from pedclip.models.released.release import Release

# Words that fill a template of severity, subtype and location; the published lists name adult chest findings only.
_SEVERITIES: Final = ("", "mild ", "moderate ", "severe ")
_LOCATIONS: Final = ("", " of the {region}")
_SIDES: Final = (" of the left {region}", " of the right {region}")  # of regions that there are two of


class Prompts(NamedTuple):
    """Sentences that say a finding is there, and sentences that say it is not."""

    positive: list[str]
    negative: list[str]


def make_prompts(release: Release, finding: str, region: str | None = None) -> Prompts:
    """The prompts of a method for a finding.

    A template holds {finding}, and perhaps {region}, {severity}, {subtype} and {location}. Without a region the words
    around it go, too.

    Args:
        release: Of the method.
        finding: Its name, in any case, with spaces or underscores.
        region: One of the 23, or None.

    Raises:
        ValueError: An empty finding, an unknown region, or a model without texts.

    Example:
        >>> from pedclip.models.released.release import find_release
        >>> make_prompts(find_release("chexzero"), "Pleural_effusion")
        Prompts(positive=['pleural effusion'], negative=['no pleural effusion'])
    """
    name = " ".join(finding.replace("_", " ").split())
    if not name:
        raise ValueError("expected the name of a finding, got an empty one")
    if not release.has_text:
        raise ValueError(f"{release.title} embeds films only, so it has no prompts")
    # "Pneumonia" becomes a word within a sentence; "COVID-19" stays.
    name = " ".join(word.lower() if word[1:].islower() or len(word) == 1 else word for word in name.split())
    place = "" if region is None else display_name(region)
    # The synonyms of our vocabulary stand for the published subtypes.
    subtypes = wording(name).synonyms or (name,)
    forms = (*_LOCATIONS, *_SIDES) if region is not None and is_paired(region) else _LOCATIONS
    locations = [form.format(region=place) for form in forms] if place else [""]
    positive, negative = (
        _evenly(_filled(templates, name, place, subtypes, locations), release.num_prompts)
        for templates in (release.positive, release.negative)
    )
    return Prompts(positive, negative)


def _filled(
    templates: Sequence[str], finding: str, place: str, subtypes: Sequence[str], locations: Sequence[str]
) -> list[str]:
    sentences = []
    for template in templates:
        # "this wrist X-ray image" and "this X-ray image".
        plain = template if place else template.replace("{region} ", "")
        for severity, subtype, location in product(_SEVERITIES, subtypes, locations):
            words = {"finding": finding, "region": place, "severity": severity, "subtype": subtype}
            sentences.append(plain.format(**words, location=location))
    # A template that names no severity gives the same sentence for each; once is enough.
    return list(dict.fromkeys(sentences))


def _evenly(sentences: list[str], number: int) -> list[str]:
    """At most so many, from all parts of the list: the published code draws them at random."""
    if not 0 < number < len(sentences):
        return sentences
    return [sentences[index * len(sentences) // number] for index in range(number)]
