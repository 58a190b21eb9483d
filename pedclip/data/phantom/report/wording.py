"""The grammar of the reports, kept as data, and how a template becomes a sentence.

In a template `[a|b|]` is a choice, `{name}` a slot, `<be>` a verb that agrees with what stands before it, and `a^` the
indefinite article. The files are grammar_findings.json, grammar_regions.json and grammar_report.json.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from pedclip.data.phantom.resources import table

Slots = Mapping[str, str | Sequence[str]]

_SLOT: Final = re.compile(r"\{(\w+)\}")
_CHOICE: Final = re.compile(r"\[([^\[\]]*)\]")
_PLURALS: Final = ("hila", "antra")  # that do not end in -s
# Empty choices leave double blanks, and stops behind commas.
_TIDY: Final = (
    (re.compile(r"\s+"), " "),
    (re.compile(r"\s+([.,;:])"), r"\1"),
    (re.compile(r"([,;:])(?:[,;])+"), r"\1"),
    (re.compile(r",\."), "."),
    (re.compile(r"\.\.+"), "."),
    (re.compile(r"\b[aA]\^ (?=[aeiou])"), "an "),
    (re.compile(r"\b[aA]\^ ?"), "a "),
)


def grammar(name: str) -> dict[str, Any]:
    """One file of the grammar: "findings", "regions" or "report"."""
    return table(f"grammar_{name}")


def pick(options: Sequence[str], rng: np.random.Generator) -> str:
    """One of the options, equally likely."""
    return options[int(rng.integers(len(options)))]


def expand(template: str, slots: Slots, rng: np.random.Generator) -> str:
    """A sentence from a template.

    Args:
        template: As described above.
        slots: Words for each slot, or several to choose from; they may be templates themselves.
        rng: Chooses.

    Returns:
        The sentence with a capital letter and single blanks.

    Raises:
        KeyError: A slot has no words.

    Example:
        >>> expand("a^ {size} [scar].", {"size": "old"}, np.random.default_rng(0))
        'An old scar.'
    """

    def word(match: re.Match[str]) -> str:
        name = match[1]
        # `{Noun}` is `{noun}` with a capital letter.
        value = slots[name] if name in slots else slots[name.lower()]
        text = value if isinstance(value, str) else pick(value, rng)
        return text if name in slots else capital(text)

    text = template
    # Slots may hold templates with choices, which may hold slots; innermost brackets first.
    while _SLOT.search(text) or _CHOICE.search(text):
        text = _CHOICE.sub(lambda match: pick(match[1].split("|"), rng), _SLOT.sub(word, text))
    before, verb, after = text.partition("<be>")  # one verb to agree per sentence
    if verb:
        text = f"{before}{_agreeing(before, rng)}{after}"
    for pattern, replacement in _TIDY:
        text = pattern.sub(replacement, text)
    return capital(text.strip().lstrip(", "))


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def uncapital(text: str) -> str:
    """The text as the middle of a sentence; abbreviations and names of vertebrae stay."""
    is_word = len(text) < 2 or text[1].islower() or text[1] == " "  # "MRI" and "T12" keep their capitals
    return text[:1].lower() + text[1:] if is_word else text


def _agreeing(subject: str, rng: np.random.Generator) -> str:
    # The noun before "of" or "in" decides: "margins of the bone are".
    head = re.split(r" (?:of|about|in|at) |, ", subject.strip())[0].lower()
    last = head.split()[-1]
    # "pelvis", "mass" and "humerus" are singular.
    ends = last.endswith(("s", "i")) and not last.endswith(("ss", "us", "is"))
    is_plural = ends or last in _PLURALS or " and " in head or re.search(r"\d to \w\d", head) is not None
    return pick(("are", "appear") if is_plural else ("is", "appears"), rng)
