"""Versions of a report in one text, of which the newer counts ("AMENDED REPORT: … ORIGINAL REPORT: …")."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from pedclip.curation.report.headings import text_begin, version_words

_TELLING: Final = ("findings", "impression", "addendum")
# "I agree with the above." is no version of its own.
_AGREES: Final = re.compile(r"\W*(?:i |we )?(?:have reviewed .*)?\b(?:agree|agreed|concur)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Version:
    """The text behind one banner, up to the next or to the end of the report."""

    start: int  # of the banner
    body: int  # of its text
    end: int
    is_older: bool


def versions_in(text: str) -> tuple[Version, ...]:
    """Versions in order of position, () where the text holds none that another supersedes.

    Example:
        >>> [version.is_older for version in versions_in("FINAL REPORT: A gap. PRELIMINARY REPORT: Normal.")]
        [False, True]
    """
    small = text.lower()
    for older, newer in version_words():
        # Words first, as hardly any report has both.
        if not (any(word in small for word in older) and any(word in small for word in newer)):
            continue
        banners = [
            (match.start("term"), body, match["word"].lower() in older)
            for match in _banner(older + newer).finditer(text)
            if (body := text_begin(text, match["term"], match.end(), is_sure=False)) is not None
        ]
        if len({is_older for *_, is_older in banners}) > 1:
            ends = [*(start for start, *_ in banners[1:]), len(text)]
            return tuple(
                Version(start, body, end, is_older) for (start, body, is_older), end in zip(banners, ends, strict=True)
            )
    return ()


@cache
def _banner(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(
        rf"(?:^[ \t*#=_\-–—>]*|(?<=[.!?]\s)[ \t]*)(?P<term>(?P<word>{'|'.join(words)})(?:['’]?s)?[ \t]+"
        r"(?:(?:radiology|radiologist|physician)(?:['’]s)?[ \t]+)?"
        r"(?:report|read|reading|interpretation|dictation|version)(?:[ \t]+(?:text|follows|below))?)(?!\w|-\w)",
        re.IGNORECASE | re.MULTILINE,
    )


def superseded(versions: Iterable[Version], telling: Iterable[tuple[str, int, int]], text: str) -> tuple[Version, ...]:
    """Versions that a newer one replaces: all older ones where one of the newer has a text of its own.

    Args:
        versions: Of the report.
        telling: Name, start and end of each section.
        text: The report.
    """
    older = tuple(version for version in versions if version.is_older)
    newer = [version for version in versions if not version.is_older]
    own = (
        text[start:end]
        for name, start, end in telling
        if name in _TELLING and any(version.body <= start < version.end for version in newer)
    )
    return older if any(words.strip() and not _AGREES.match(words) for words in own) else ()
