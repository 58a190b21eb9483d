"""Text of a report in Rich Text Format: control words leave, paragraphs become lines."""

import re
from collections.abc import Iterator
from typing import Final

_TOKEN: Final = re.compile(
    r"\\(?P<word>[a-z]{1,32})(?P<number>-?\d{1,10})?[ ]?"
    r"|\\'(?P<hex>[0-9a-f]{2})"
    r"|\\(?P<sign>[^a-z])"
    r"|(?P<brace>[{}])"
    r"|(?P<line>[\r\n]+)",
    re.IGNORECASE,
)
_BREAKS: Final = frozenset("par line sect page row cell".split())
_SIGNS: Final = {
    "tab": "\t", "emdash": "—", "endash": "–", "bullet": "•", "lquote": "‘",
    "rquote": "’", "ldblquote": "“", "rdblquote": "”",
    "emspace": " ", "enspace": " ",
}  # fmt: skip
# What stands behind a letter given by its number, for readers that do not know it.
_FALLBACK: Final = re.compile(r"\\'[0-9a-f]{2}|\?", re.IGNORECASE)
# Groups that hold no text of the report.
_SILENT: Final = frozenset(
    "fonttbl colortbl stylesheet info pict header footer headerl headerr footerl footerr footnote generator listtable "
    "listoverridetable rsidtbl themedata xmlnstbl latentstyles datastore object fldinst".split()
)


def rtf_pieces(text: str) -> list[tuple[int, int, str]]:
    r"""Spans of control words, each with the text that takes its place.

    Args:
        text: Begins with a group `{\\rtf`, maybe behind blanks.
    """
    return list(_pieces(text))


def _pieces(text: str) -> Iterator[tuple[int, int, str]]:
    silent: int | None = None  # depth of the outermost group without text
    begin_silent = depth = done = 0
    has_fallback = True  # until \uc0 says otherwise
    for match in _TOKEN.finditer(text):
        if match.start() < done:
            continue
        if match["brace"]:
            depth += 1 if match["brace"] == "{" else -1
            if silent is not None and depth < silent:
                yield begin_silent, match.end(), ""
                silent = None
            elif silent is None:
                yield *match.span(), ""
            continue
        if silent is not None:
            continue
        word = (match["word"] or "").lower()
        if word in _SILENT or match["sign"] == "*":  # "\*" marks a group that a reader may pass over
            silent, begin_silent = depth, match.start()
        elif match["hex"]:
            yield *match.span(), bytes.fromhex(match["hex"]).decode("cp1252", "replace")
        elif match["sign"]:
            yield (
                *match.span(),
                {"~": " ", "_": "-", "-": ""}.get(match["sign"], match["sign"] if match["sign"] in "\\{}" else "\n"),
            )
        elif word == "u" and match["number"]:
            fallback = _FALLBACK.match(text, match.end()) if has_fallback else None
            done = fallback.end() if fallback else match.end()
            yield match.start(), done, chr(int(match["number"]) % 0x10000)
        else:
            has_fallback = match["number"] != "0" if word == "uc" else has_fallback
            yield *match.span(), "\n" if word in _BREAKS else _SIGNS.get(word, "")
    if silent is not None:
        yield begin_silent, len(text), ""
