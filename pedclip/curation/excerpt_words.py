"""Which excerpts say nothing by themselves, and which findings a text mentions."""

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

_PUNCTUATION: Final = re.compile(r"[^\w\s]|_")


def is_useless(excerpt: str) -> bool:
    """Whether an excerpt says nothing by itself: fewer than two words, or only a pointer to another text.

    Example:
        >>> is_useless("As above."), is_useless("Normal."), is_useless("No fracture.")
        (True, True, False)
    """
    words = _PUNCTUATION.sub(" ", re.sub(r"\b[Xx]{2,}\b", " ", excerpt)).lower().split()
    return len(words) < 2 or " ".join(words) in word_lists()["carried"]


@cache
def word_lists() -> Mapping[str, Any]:
    """Word lists of the curation: `carried` and `findings`."""
    return dict(json.loads((files("pedclip.curation") / "excerpt_words.json").read_text(encoding="utf-8")))
