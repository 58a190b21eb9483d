"""Lists in a cell of a table, as programs print them and people write them."""

import ast
import json
import re
from typing import Any, Final

from pedclip.triplets.encoding import cell_text
from pedclip.triplets.values import is_blank

_QUOTED: Final = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_BRACKETS: Final = {"[": "]", "{": "}", "(": ")"}
_PRINTED: Final = re.compile(
    r"(?:frozenset|set|list|tuple|array|Index)\(([\[{(].*[\]})])(?:,\s*dtype=[^()]*)?\)", re.DOTALL
)
_DENIED: Final = frozenset({"0", "0.0", "none", "nan", "null", "", "no", "false", "n", "f", "absent", "negative"})
_FILES: Final = re.compile(r"[;|]")


def file_names(cell: Any) -> tuple[str, ...]:
    """Files of a cell: one, a list in any form, or several with semicolons or bars between; blank ones are none.

    Example:
        >>> file_names("['a.png','b.png']"), file_names("a.png; b.png"), file_names("nan")
        (('a.png', 'b.png'), ('a.png', 'b.png'), ())
    """
    items = cell if isinstance(cell, list | tuple) else list_items(cell_text(cell))
    names = (cell_text(name) for item in items for name in _FILES.split(cell_text(item)))
    return tuple(name for name in names if not is_blank(name))


def list_items(cell: str) -> list[str]:
    """Items of a list in a cell, as Python, JSON or a person writes it; else the cell itself."""
    # "frozenset({'a'})", "array(['a'], dtype=object)", as Python prints them.
    text = _PRINTED.sub(r"\1", cell.strip())
    if len(text) < 2 or _BRACKETS.get(text[0]) != text[-1]:
        return [text]
    content = _parsed(text)
    if isinstance(content, dict):  # one entry per finding, with yes or no
        return [str(name) for name, value in content.items() if str(value).strip().lower() not in _DENIED]
    if isinstance(content, list):
        return [item for entry in content if entry is not None for item in _flat(entry)]
    # A name in brackets is one: "(1).png" does not end with one, "(a) or (b)" has two. A dictionary that cannot be
    # read may deny what it names.
    if text.count(text[0]) > 1 or (text[0] == "{" and re.search(r"['\"]\s*:", text)):
        return [text]
    inner = text[1:-1]
    # Not by evaluating it: Python would join "'a' 'b'", as arrays are printed, to one word.
    quoted = ["".join(match.groups("")) for match in _QUOTED.finditer(inner)]
    return quoted or inner.split(",")


def _parsed(text: str) -> Any:
    """A list or dictionary as JSON has it, or a dictionary or nested list as Python prints it; else None."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    # Other lists not: Python would join "'a' 'b'", as arrays are printed, to one word.
    if text[0] not in "{[" or (text[0] == "[" and text.count("[") == 1):
        return None
    try:
        content = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return content if isinstance(content, dict | list) else None


def _flat(entry: Any) -> list[str]:
    return [item for part in entry for item in _flat(part)] if isinstance(entry, list | tuple) else [str(entry)]
