"""Excerpts of a report by any extractor: one call, one excerpt per filmed body part."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from pedclip.anatomy import REGIONS, UnknownRegion
from pedclip.curation.excerpts import Excerpt, Extractor, check_verbatim
from pedclip.curation.report.language import OtherLanguage
from pedclip.curation.report.lexicon import NECK
from pedclip.curation.report.parse import Report, parse_report
from pedclip.curation.rules import RulesExtractor

__all__ = ["EXTRACTORS", "Excerpt", "Extractor", "extract_regions"]

_NEEDS_MODEL: Final = (
    "the extractor 'llm' needs a model, as reports go only where you say; pass one instead of the name: "
    "LLMExtractor(load_model(folder)) in this process or LLMExtractor(ServerBackend(endpoint, model)) on a server, "
    "from pedclip.curation.llm.extractor, .local_model and .client."
)
EXTRACTORS: Final[Mapping[str, Callable[[], Extractor]]] = {"rules": RulesExtractor}


def extract_regions(
    report: Report, regions: Iterable[str] | None = None, extractor: str | Extractor = "rules"
) -> dict[str, Excerpt]:
    """Excerpts of a report, one for each filmed body part, free of history, technique, comparison and advice.

    Args:
        report: Text of the report, its sections by name (`sections.SECTIONS`), or the report already parsed.
        regions: Regions to extract, as known from the films: exactly these are returned, and a general sentence goes to
            each of them. None: every region that the report says was filmed, with "neck" beside the 23.
        extractor: A name in `EXTRACTORS`, or an object with `extract`.

    Returns:
        Excerpt by region. Its sentences are exact substrings of `parse_report(report).text`, checked here whatever the
        extractor, and its text consists of them unless its source is "llm-rewrite".

    Raises:
        TypeError: The report is neither a text nor a mapping of texts.
        OtherLanguage: The extractor is "rules" and the report is not in English.
        UnknownRegion: A region is neither one of the 23 nor "neck".
        ValueError: The extractor has no such name ("llm" is none: it needs a model), or returned a sentence that the
            report does not hold.

    Source: PedCLIP, text preparation with one excerpt per listed part (methods/pedclip.md, P18). Differs: the paper's
        prompts are not published; rules are the default, and a language model is one more extractor.

    Example:
        >>> found = extract_regions("EXAM: Chest; left wrist. FINDINGS: Lungs are clear. Scaphoid fracture.")
        >>> {region: excerpt.text for region, excerpt in found.items()}
        {'chest': 'Lungs are clear.', 'wrist': 'Scaphoid fracture.'}
    """
    parsed = parse_report(report)  # the only parse: every extractor is given the result
    # In the order asked for, each once.
    asked = None if regions is None else tuple(dict.fromkeys(regions))
    for name in asked or ():
        if name not in REGIONS and name != NECK:
            raise UnknownRegion(name, f"expected one of pedclip.anatomy.REGIONS or {NECK!r}, got {name[:60]!r}.")
    # A name is looked up, and "llm" refused with the way to make one: no model is chosen for the user.
    if isinstance(extractor, str):
        if extractor == "llm":
            raise ValueError(_NEEDS_MODEL)
        if extractor not in EXTRACTORS:
            raise ValueError(f"no extractor {extractor[:60]!r}; there are {', '.join(EXTRACTORS)}.")
        extractor = EXTRACTORS[extractor]()
    excerpts = extractor.extract(parsed, asked)
    # An extractor may be anybody's, or a model that invents: nothing leaves here that the report does not say.
    check_verbatim(excerpts, parsed)
    return {region: excerpts[region] for region in (excerpts if asked is None else asked)}


def excerpts_or_refusal(
    report: Report, regions: Iterable[str] | None, extractor: str | Extractor
) -> dict[str, Excerpt] | OtherLanguage:
    """`extract_regions` for a run that lists the reports it cannot read instead of stopping at the first."""
    try:
        return extract_regions(report, regions, extractor)
    except OtherLanguage as error:
        return error
