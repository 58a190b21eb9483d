"""Region, view and side of one film, from what its tags, its description, its file name and its report say.

The rule, in this order. The evidence is the coded tags (T), the words of people about this film (W), and the regions
that the report says were filmed (F); each may be silent.

1. T and W agree, or one of them is silent: that region, if F is silent or has it.
2. T and W differ: the one that F has. Both or neither: conflict.
3. F has other regions only: if T and W agree, they outvote F. If only one of them spoke, it yields to the only region
   of F that borders on it (a wrist film sent as "hand" is one film under two names). Else: conflict.
4. T and W are silent: the only region of F; else the only one of F that no other film of the study claims; else
   unknown.

A conflict is never decided by preference: Body Part Examined was wrong in 15 % of the films of a hospital
(Gueld et al., "Quality of DICOM header information for image categorization", SPIE 4685, 2002).
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

from pedclip.anatomy import RegionError, find_laterality, find_mentions, find_region, is_paired, region_from_dicom
from pedclip.curation.archive.studies import Film, RegionHint
from pedclip.triplets.left_out import Reason, Unusable


class Decision(NamedTuple):
    """The region of a film, and in words which evidence was overruled ("" where all agree)."""

    region: str
    note: str = ""


class Undecided(Unusable):
    """A film whose region cannot be told."""


def region_of(hint: RegionHint, filmed: Collection[str], *, claimed: Collection[str] = ()) -> Decision:
    """The one region that a film shows, by the rule of this module.

    Args:
        hint: Regions that the film names: by tags and by words.
        filmed: Regions that its report says were filmed; may be empty.
        claimed: Regions that the other films of the study name.

    Raises:
        Undecided: "region-conflict" or "region-unknown".

    Example:
        >>> region_of(RegionHint("chest", "knee"), {"knee"})
        Decision(region='knee', note='tags say chest, words and report knee')
    """
    # One region where both agree or one is silent, two where they differ.
    named = {region for region in hint if region}
    if not named:
        return _from_report(filmed, claimed)
    supported = named.intersection(filmed)
    if len(named) == 1:
        (region,) = named
        # Rule 1.
        if supported or not filmed:
            return Decision(region)
        # Rule 3: two sources about the film itself outvote the report.
        if all(hint):
            return Decision(region, f"tags and words say {region}, the report {_listed(filmed)}")
        # Rule 3: a wrist may be filmed as a hand, but not as a knee.
        borders = [other for other in filmed if other in neighbours(region)]
        if len(borders) == 1:
            return Decision(borders[0], f"the film says {region}, the report {borders[0]}, which borders on it")
        raise Undecided(Reason.REGION_CONFLICT, f"the film says {region}, the report {_listed(filmed)}")
    # Rule 2.
    if len(supported) == 1:
        (region,) = supported
        loser = "tags" if hint.words == region else "words"
        winner = "words" if loser == "tags" else "tags"
        return Decision(region, f"{loser} say {(named - supported).pop()}, {winner} and report {region}")
    reported = f"the report {_listed(filmed)}" if filmed else "the report names none"
    raise Undecided(Reason.REGION_CONFLICT, f"tags say {hint.tags}, words {hint.words}, {reported}")


def decisions_of(films: Sequence[Film], filmed: Collection[str]) -> Iterator[tuple[Film, Decision | Undecided]]:
    """Decision of the rule on each film of a study, or why it decides nothing.

    Args:
        films: All films of the study: what one of them names, another without a name is not.
        filmed: Regions that the report says were filmed, "neck" left out.
    """
    # Per film, as a film is no evidence against itself.
    hints = [{region for region in film.region_hint if region} for film in films]
    for number, film in enumerate(films):
        claimed = set().union(*hints[:number], *hints[number + 1 :])
        found: Decision | Undecided
        try:
            found = region_of(film.region_hint, filmed, claimed=claimed)
        except Undecided as error:
            found = error
        yield film, found


def side_of(region: str, film: str, report: str) -> tuple[str, str]:
    """Side of a film, and a note where the film and its report contradict each other.

    The film's own side counts, as a report may speak of both; where the report speaks only of the other side, one of
    the two is wrong and the side stays "". Regions of the midline have none.

    Args:
        region: One of the 23.
        film: Side of the tags or words of the film.
        report: Side of this region in the report.

    Example:
        >>> side_of("knee", "left", "both"), side_of("knee", "left", "right")[0], side_of("chest", "left", "")
        (('left', ''), '', ('', ''))
    """
    # A side on a film of the chest is a marker, or the side of a finding.
    if not is_paired(region):
        return "", ""
    # One of the two is wrong, and a wrong side is worse than none.
    if {film, report} == {"left", "right"}:
        return "", f"the film says {film}, the report {report}"
    return film or report, ""


def region_of_tags(body_part: str, anatomy: str = "") -> str:
    """Region of Body Part Examined (0018,0015), else of the meaning of the Anatomic Region code; "" for none."""
    for value, read in ((body_part, region_from_dicom), (anatomy, find_region)):
        try:
            return read(value)
        except RegionError:
            continue
    return ""


def region_of_words(*texts: str) -> str:
    """The one region that the first text with any names; "" where that text names several, or none does."""
    for text in texts:
        # Underscores and dots join words that people read as separate.
        plain = _plain(text)
        # Numbers of files are all different; without them the same few labels come again and again.
        # A whole label may have a meaning that its words lack ("CXR").
        if label := _region_of_label(" ".join(word for word in plain.split() if word.isalpha())):
            return label
        named = {mention.region for mention in find_mentions(plain)}
        if named:
            return named.pop() if len(named) == 1 else ""
    return ""


def side_of_words(code: str, *texts: str) -> str:
    """The side of a coded value ("L", "B"), else the one that the first text with any names.

    A text of one letter is no side: a file may be called "b".
    """
    plain = (_plain(text) for text in texts)
    return find_laterality(code) or next((side for text in plain if text[1:] and (side := find_laterality(text))), "")


def view_of(code: str, *texts: str) -> str:
    """View from View Position (0018,5101), else from the first text with a word for one; "" where it is not said.

    Example:
        >>> view_of("LL"), view_of("", "XR_HIP_FROG LAT"), view_of("")
        ('lateral', 'frog leg', '')
    """
    # A coded value first; several vendors write words into the coded element.
    if view := _data()["view_codes"].get(code.strip().lower(), ""):
        return str(view)
    for text in (code, *texts):
        words = set(_plain(text).lower().split())
        if view := next((view for view, names in _data()["view_words"] if words.intersection(names)), ""):
            return str(view)
    return ""


def is_radiograph(modality: str) -> bool:
    """True where a DICOM modality can hold a plain radiograph."""
    return modality.strip().upper() in _data()["modalities"]


@cache
def neighbours(region: str) -> frozenset[str]:
    """Regions whose films overlap with those of this one."""
    pairs: Sequence[Sequence[str]] = _data()["neighbours"]
    return frozenset(other for pair in pairs if region in pair for other in pair if other != region)


def _from_report(filmed: Collection[str], claimed: Collection[str]) -> Decision:
    # Rule 4: of several regions, the one that no other film accounts for.
    left = set(filmed) if len(filmed) == 1 else set(filmed).difference(claimed)
    if len(left) == 1:
        return Decision(left.pop())
    what = f"the report {_listed(filmed)}" if filmed else "nor does the report"
    raise Undecided(Reason.REGION_UNKNOWN, f"the film names no region, {what}")


@lru_cache(maxsize=10_000)
def _region_of_label(label: str) -> str:
    try:
        return find_region(label)
    except RegionError:  # its search for close spellings takes milliseconds
        return ""


def _listed(regions: Collection[str]) -> str:
    return " and ".join(sorted(regions))


def _plain(text: str) -> str:
    """Words of a description or a path: "XR_Knee-LT.2" becomes "XR Knee LT 2"."""
    return " ".join(re.sub(r"[^A-Za-z0-9()&]+", " ", text).split())


@cache
def _data() -> Mapping[str, Any]:
    return dict(json.loads((files(__package__) / "films.json").read_text(encoding="utf-8")))
