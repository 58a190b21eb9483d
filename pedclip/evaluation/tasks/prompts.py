"""Prompt ensembles for findings and regions; templates are in prompts.json, words for findings in findings.json.

A finding outside the vocabulary gets the templates around its own name.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from pedclip.anatomy import display_name
from pedclip.findings import wording


@dataclass(frozen=True)
class PromptPair:
    """Sentences that say a finding is there, and sentences that say it is not.

    Args:
        positive: At least one sentence.
        negative: At least one sentence.
    """

    positive: tuple[str, ...]
    negative: tuple[str, ...]

    def __post_init__(self) -> None:
        for answer, sentences in (("positive", self.positive), ("negative", self.negative)):
            if not sentences:
                raise ValueError(f"a prompt pair needs at least one {answer} sentence, got none")

    def to_dict(self) -> dict[str, Any]:
        """Plain lists for metrics.json."""
        return {answer: list(sentences) for answer, sentences in asdict(self).items()}


def prompt_pair(finding: str, region: str | None = None) -> PromptPair:
    """Positive and negative sentences for a finding.

    Args:
        finding: Its name, in any case, with spaces or underscores.
        region: One of the 23; adds sentences that name it, unless the finding already says where it is.

    Returns:
        Each synonym in each template, in the order of prompts.json.

    Raises:
        ValueError: An empty finding or an unknown region.

    Source: PedCLIP, zero-shot classification; the paper does not print its prompts, so the wording is ours.

    Example:
        >>> prompt_pair("erosion", "wrist").positive[0]
        'Erosion.'
        >>> prompt_pair("erosion", "wrist").negative[-1]
        'No bone erosion of the wrist.'
    """
    name = " ".join(finding.replace("_", " ").split())
    if not name:
        raise ValueError("expected the name of a finding, got an empty one")
    known = wording(name)
    synonyms = known.synonyms or (_as_word(name),)
    templates = {answer: list(_templates()["finding_templates"][answer]) for answer in ("positive", "negative")}
    place = "" if region is None else display_name(region)
    if place and not known.names_place:
        for answer, sentences in templates.items():
            sentences.extend(_templates()["finding_in_region_templates"][answer])
    return PromptPair(
        positive=_fill(templates["positive"], synonyms, place),
        negative=_fill(templates["negative"], synonyms, place),
    )


def region_prompts(region: str) -> tuple[str, ...]:
    """Sentences that say which body region a radiograph shows.

    Args:
        region: One of the 23.

    Returns:
        At least one sentence.

    Raises:
        ValueError: An unknown region.

    Example:
        >>> region_prompts("tibia_fibula")[0]
        'Radiograph of the tibia and fibula.'
    """
    words = display_name(region)
    templates: list[str] = _templates()["region_templates"]
    return tuple(template.format(region=words, Region=_capitalized(words)) for template in templates)


def _fill(templates: Sequence[str], synonyms: Sequence[str], place: str) -> tuple[str, ...]:
    return tuple(
        template.format(finding=synonym, Finding=_capitalized(synonym), region=place)
        for template in templates
        for synonym in synonyms
    )


def _as_word(name: str) -> str:
    """Title case to lower case, acronyms kept."""
    return " ".join(word.lower() if word[1:].islower() or len(word) == 1 else word for word in name.split())


def _capitalized(words: str) -> str:
    return words[:1].upper() + words[1:]


@cache
def _templates() -> dict[str, Any]:
    return dict(json.loads(files(__package__).joinpath("prompts.json").read_text(encoding="utf-8")))
