"""The words of a triplet that a generator is told."""

from typing import Final, Literal, get_args

from pedclip.anatomy import display_name
from pedclip.curation.report.sections import split_sections

Prompt = Literal["excerpt", "named", "impression", "findings", "both"]

_SECTIONS: Final = {"impression": ("impression",), "findings": ("findings",), "both": ("findings", "impression")}
# As a request writes the side before the part.
_SIDES: Final = {"": "", "left": "left ", "right": "right ", "both": "bilateral "}


def prompt_of(text: str, *, prompt: Prompt = "excerpt", region: str = "", laterality: str = "") -> str:
    """The prompt of one triplet.

    Args:
        text: Of the triplet.
        prompt: "excerpt" is the whole text. "named" puts the side and the region before it, which an excerpt often
            leaves out: a generator that does not know the archive cannot guess them. "impression", "findings" and
            "both" take these sections where the text is a report with headings; a text without headings is findings.
        region: One of `pedclip.anatomy.REGIONS`, for "named".
        laterality: "", "left", "right" or "both", for "named".

    Returns:
        "" where the text has no such words.

    Raises:
        ValueError: An unknown kind of prompt.

    Source: the synthetic-data paper prompts with the impression and trains on findings and impression
        (methods/synthetic.md, Y5).

    Example:
        >>> prompt_of("No fracture.", prompt="named", region="tibia_fibula", laterality="left")
        'Left tibia and fibula radiograph. No fracture.'
        >>> prompt_of("Findings: Clear lungs. Impression: Normal.", prompt="impression")
        'Normal.'
    """
    if prompt not in get_args(Prompt):
        raise ValueError(f"prompt={prompt!r} is not allowed: one of {get_args(Prompt)}")
    if prompt == "excerpt" or not text.strip():
        return text.strip()
    # As radiologists title a report, and as captions on the web begin.
    if prompt == "named":
        name = f"{_SIDES[laterality]}{display_name(region)} radiograph."
        return f"{name[:1].upper()}{name[1:]} {text.strip()}"
    # In the order of the report; an addendum may bring a second impression.
    # Without their headings, which would be the same in every prompt.
    parts = [text[one.start : one.end] for one in split_sections(text) if one.name in _SECTIONS[prompt]]
    return " ".join(part.strip() for part in parts)
