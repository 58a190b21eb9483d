"""Plain text of a report as it was transported: RTF, HTML, HL7 escapes, control characters, page headers.

Everything that works on reports works on the plain text; `PlainText.origin` leads from a span of it back to the text
that was given. A report in plain letters comes back as it is, found so by one search.
"""

import html
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

# What tells whether there is anything to do at all: signs other than plain ones, that is without & < \ | ~
_SUSPECT: Final = re.compile(r"[^\n\t -%'-;=-\[\]-{}]")
_PAGE_NUMBER: Final = re.compile(r"\bpage[ \t]+\d", re.IGNORECASE)
_TAGS: Final = (
    "html|head|body|title|p|br|hr|div|span|font|b|i|u|s|em|strong|small|big|sub|sup|center|pre|code|h[1-6]|ul|ol"
    "|li|dl|dt|dd|"
    "table|thead|tbody|tfoot|tr|td|th|caption|col|colgroup|a|img|meta|link|blockquote|section|article|paragraph"
    "|content|list|"
    "item|text|o:p|linkhtml|renderMultiMedia"
)
_INLINE: Final = frozenset("span font b i u s em strong small big sub sup code a content o:p linkhtml img".split())
_TAG: Final = re.compile(
    rf"<!--.*?-->|<(?P<silent>style|script|xml)\b[^<>]*>.*?</(?P=silent)\s*>|<!doctype[^<>]*>|<\?xml[^<>]*>"
    rf"|<(?P<close>/?)(?P<tag>{_TAGS})\b(?:[\s/][^<>]*)?>",
    re.IGNORECASE | re.DOTALL,
)
# "<s>" alone is none: only text with an end of a tag, or with one that can stand by itself, is marked up.
_MARKED_UP: Final = re.compile(
    r"</[a-z]|<(?:html|body|br|p|div|hr|h[1-6]|table|text|paragraph)\b[^<>]*>", re.IGNORECASE
)
_ENTITY: Final = re.compile(r"&(?:amp;)?(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});", re.IGNORECASE)
_HL7: Final = re.compile(
    r"\\(?:\.(?i:br|sp|in|ti|fi|nf|ce|sk)[ \t]*[+-]?\d*\\|[HNFSTREP]\\|X(?i:[0-9A-F]{2})+\\|[CMZ][0-9A-Z]{2,6}\\)"
)
_HL7_SIGNS: Final = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\", "H": "", "N": "", "P": ""}
# A tilde repeats a field where nothing is measured with it: "~5 mm" is a length.
_REPEAT: Final = re.compile(
    r"(?<=[^\s\d~])~+(?=[^\d~]|\d{1,2}[.)]\s|\Z)|(?<=[.:;,)])~+|(?<!\S)~+(?!\S)|(?<=\d)~+(?=[A-Z])"
)
_SEGMENT: Final = re.compile(r"(?:\A|(?<=[\r\n]))(?P<name>[A-Z][A-Z0-9]{2})\|(?P<rest>[^\r\n]*)")
_WRITTEN_BREAK: Final = re.compile(r"\\r\\n|\\[rn]|_x000[AD]_|<(?:CR|LF|CRLF)>|\[(?:CR|LF|CRLF)\]", re.IGNORECASE)
_BOLD: Final = re.compile(r"(?<![\[*])\*\*(?![\]*])")  # but not the placeholder [**Name**]
# Up to five lines of a header stand between the end of a page and the number of the next.
_PAGE: Final = re.compile(
    r"(?:\A|(?<=\n)|\f(?:[^\n]*\n){0,5}?)(?:[^\n.]{0,100}\bpage[ \t]*:?[ \t]*\d{1,3}[ \t]*(?:of|/)[ "
    r"\t]*\d{1,3}[^\n.]{0,60}"
    r"|[^\w\n]*page[ \t]*:?[ \t]*\d{1,3}[^\w\n]*)(?:\n|\Z)",
    re.IGNORECASE,
)
_NEWLINES: Final = "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_ODD: Final = re.compile(
    r"\r\n|[^\n\t -~\u00a1-\u00ac\u00ae-\u02ff\u0370-\u1fff\u2010-\u2027\u2030-\u205e\u3001-\ud7ff]"
)
_LIGATURES: Final = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}


@dataclass(frozen=True)
class PlainText:
    """A text without markup, and where its characters come from."""

    text: str
    shifts: tuple[tuple[int, int], ...] = ()  # (index in the text, index in the given text) from which both run alike

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The span of the given text that became this span of the plain text; a replaced sign counts by its first.

        Args:
            start: Index of the first character in the plain text.
            end: One past the last, greater than `start`.
        """
        return self._place(start), self._place(end - 1) + 1

    def _place(self, index: int) -> int:
        number = bisect_right(self.shifts, (index, 10**12)) - 1
        if number < 0:
            return index
        plain, given = self.shifts[number]
        return given + index - plain


def plain_text(text: str) -> PlainText:
    r"""The text of a report without what carried it.

    Tags, control words and escapes leave; line breaks written as one of them, a form feed, U+2028 become "\n", blanks
    of any kind a blank, signs written as entities the sign. Headers with the number of a page leave with their lines.
    What looks like markup and is none stays: "<5 mm", "~3 cm", placeholders such as <DATE> and [**Name**].

    Args:
        text: As the archive holds it.

    Example:
        >>> plain_text("Lungs are clear.\\.br\\Heart &lt; 50&#37;.").text
        'Lungs are clear.\nHeart < 50%.'
    """
    if not _SUSPECT.search(text):
        small = text.lower()
        is_numbered = "page" in small and _PAGE_NUMBER.search(text)
        if not is_numbered and "**" not in text and "_x000" not in small:
            return PlainText(text)
    editor = _Editor(text)
    if text.lstrip("\ufeff \t\r\n").startswith("{\\rtf"):
        from pedclip.curation.report.rtf import rtf_pieces

        editor.replace(rtf_pieces(editor.text))
    if editor.text.lstrip()[:4] in ("MSH|", "OBX|", "OBR|", "NTE|", "PID|"):
        editor.replace([edit for match in _SEGMENT.finditer(editor.text) for edit in _around_field(match)])
    editor.sub(_REPEAT, lambda match: "\n")  # before escapes, one of which stands for a tilde
    if "\\" in editor.text:
        editor.sub(_HL7, _hl7)
    editor.sub(_WRITTEN_BREAK, lambda match: "\n")
    if _MARKED_UP.search(editor.text):
        editor.sub(_TAG, _tag)
    if "&" in editor.text:
        editor.sub(_ENTITY, lambda match: html.unescape(html.unescape(match[0])))
    editor.sub(_BOLD, lambda match: "")
    editor.sub(_PAGE, lambda match: "")
    editor.sub(_ODD, _plain)
    return PlainText(editor.text, tuple(editor.shifts))


class _Editor:
    """A text under replacements that remembers where its characters come from."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.shifts: list[tuple[int, int]] = []

    def sub(self, pattern: re.Pattern[str], make: Callable[[re.Match[str]], str]) -> None:
        """Replace every match of a pattern."""
        found = ((*match.span(), make(match)) for match in pattern.finditer(self.text))
        self.replace([(start, end, new) for start, end, new in found if self.text[start:end] != new])

    def replace(self, edits: list[tuple[int, int, str]]) -> None:
        """Replace spans, in order and without overlap, by texts."""
        if not edits:
            return
        before = PlainText(self.text, tuple(self.shifts))
        pieces, shifts, length, last = [], [(0, before._place(0))], 0, 0
        for start, end, new in [*edits, (len(self.text), len(self.text), "")]:
            pieces += [self.text[last:start], new]
            # The untouched piece keeps its own breaks, moved to where it stands now.
            shifts += [(length, before._place(last))]
            shifts += [(length + plain - last, given) for plain, given in before.shifts if last < plain < start]
            length += start - last
            if new:
                # Every character of what was put in points at the first that was taken out.
                shifts += [(length + offset, before._place(start)) for offset in range(len(new))]
                length += len(new)
            last = end
        self.text, self.shifts = "".join(pieces), shifts


def _around_field(match: re.Match[str]) -> Iterator[tuple[int, int, str]]:
    """All of a segment but the text in it: the fifth field of OBX, the third of NTE; others hold no report."""
    start, end = match.span()
    number = {"OBX": 5, "NTE": 3}.get(match["name"], 0)
    fields = list(re.finditer(r"(?<=\|)[^|\r\n]*", match[0]))
    if not number or number > len(fields):
        yield start, end, ""
        return
    field = fields[number - 1]
    yield start, start + field.start(), ""
    yield start + field.end(), end, ""


def _hl7(match: re.Match[str]) -> str:
    code = match[0][1:-1]
    if code[0] == ".":
        return "\n" if code[1:3].lower() in ("br", "sp", "ce") else " "
    if code[0] in "Xx":
        return bytes.fromhex(code[1:]).decode("latin-1")
    return _HL7_SIGNS.get(code.upper(), "")


def _tag(match: re.Match[str]) -> str:
    name = (match["tag"] or "").lower()
    if not name or name in _INLINE:
        return ""
    return " " if name in ("td", "th", "col") else "\n"


def _plain(match: re.Match[str]) -> str:
    """The plain form of one odd character: a line break, a blank, its letters, or nothing."""
    sign = match[0]
    if sign == "\r\n" or sign in _NEWLINES:
        return "\n"
    if sign in _LIGATURES:
        return _LIGATURES[sign]
    if sign == "\uff1a":  # the wide colon of Chinese keyboards
        return ":"
    if sign.isspace() or sign in "\x00\x1f" or ord(sign) < 32 or "\x7f" <= sign < "\xa0":
        return " "
    # Marks without width, of direction and halves of pairs leave; every other letter stays.
    return (
        ""
        if sign in "\xad\ufeff\ufffe\uffff\u2060" or "\u200b" <= sign <= "\u202e" or "\ud800" <= sign <= "\udfff"
        else sign
    )
