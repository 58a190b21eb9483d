"""The 23 body regions, and how people, archives and DICOM files write them.

The publications give only the number 23; this list is ours. The words live in `anatomy.json`, read at the first call.
Two vocabularies are kept apart: in labels and free text (`find_region`, `find_mentions`) "leg" may be any part of the
lower limb; in DICOM (`region_from_dicom`) the standard says that LEG is the lower leg.

Conventions, ours too (as data: `CONVENTIONS`), for films that are none of the 23 by name:
    chest: rib, sternum · abdomen: KUB · knee: patella · foot: calcaneus, heel, talus · toe: hallux, great toe
    clavicle: sternoclavicular · shoulder: scapula, acromioclavicular, glenohumeral · forearm: radius, ulna
    wrist: scaphoid, carpals · hand: bone age · finger: thumb · skull: head, cephalogram
    facial_bones: sinuses, mandible, nose, orbits · lumbar_spine: lumbosacral, sacrum, coccyx (filmed with it)
    thoracic_spine: spine, whole spine, scoliosis series, thoracolumbar (a long film is filed under its centre)
A bare "spine" or "scoliosis" counts as a label only: in free text it may be any of the three, so it is no mention.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final, Literal

REGIONS: Final[tuple[str, ...]] = (
    "chest", "abdomen", "pelvis", "hip", "femur", "knee", "tibia_fibula", "ankle", "foot", "toe",
    "clavicle", "shoulder", "humerus", "elbow", "forearm", "wrist", "hand", "finger",
    "skull", "facial_bones", "cervical_spine", "thoracic_spine", "lumbar_spine",
)  # fmt: skip

Laterality = Literal["", "left", "right", "both"]
MentionKind = Literal["name", "structure"]
CONVENTIONS: dict[str, str]  # read from anatomy.json at first use, by __getattr__
_WORD_START, _WORD_END = r"(?<![^\W_])", r"(?![^\W_])"  # an underscore separates words, unlike in \b
_JOINTS: Final = {" ": r"[\s/_-]{0,3}", " and ": r"\s*(?:and|&)\s*"}  # what may be written between two words
_DICOM_LATERALITY: Final[Mapping[str, Laterality]] = {"L": "left", "R": "right", "B": "both", "U": ""}


class RegionError(ValueError):
    """A name that stands for none of the 23 regions; `name` is what was given."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(name, message)  # both, so that the error survives pickling between worker processes
        self.name = name

    def __str__(self) -> str:
        return str(self.args[1])


class UnmappableRegion(RegionError):
    """A known name that is coarser than the 23 regions, outside them, or several of them at once."""


class UnknownRegion(RegionError):
    """A name never heard of; the message suggests close spellings."""


@dataclass(frozen=True)
class Mention:
    """One body region named in a text."""

    region: str  # one of REGIONS
    laterality: Laterality  # the side said of this mention, "" where none is
    start: int  # index of the first character in the text
    end: int  # one past the last; the side word is outside
    kind: MentionKind  # "name": the region as a whole ("knee"); "structure": a part of it ("patella", "lung")


def __getattr__(name: str) -> dict[str, str]:
    if name == "CONVENTIONS":
        return dict(_words()["conventions"])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def find_region(name: str) -> str:
    """Canonical region of a label such as "Tib/Fib", "XR_ELBOW", "left wrist" or "C-spine, 2 views".

    Case, plural, separators, sides and words of the exam ("AP", "2 views") do not matter, and misspellings only where
    they are listed. Nothing is guessed: every other word of the label must be known.

    Raises:
        UnmappableRegion: Coarser than or outside the 23 ("leg", "teeth"), several of them ("hand and wrist"), or blank.
        UnknownRegion: A word in it is not known ("hnad").

    Example:
        >>> find_region("Lower_Leg"), find_region("KUB"), find_region("R hand, 3 views")
        ('tibia_fibula', 'abdomen', 'hand')
    """
    return _resolve(name, _labels())


def region_from_dicom(body_part_examined: str) -> str:
    """Region of a DICOM Body Part Examined (0018,0015) value, or of what vendors write there.

    Terms that the standard has replaced are kept, as old files hold them: LEG (now LOWERLEG), ARM (now UPPERARM), JAW
    for MANDIBLE. Values outside the standard ("L SPINE", "PORT CHEST", "TIB/FIB") are read as labels.

    Raises:
        UnmappableRegion: The term covers several regions or is outside the 23 (EXTREMITY, NECK), or is blank.
        UnknownRegion: Neither a defined term nor a label.

    Source: DICOM PS3.16 Table L-1, "Correspondence of Anatomic Region Codes and Body Part Examined Defined Terms".
        Differs: which of the 23 regions a term belongs to is ours, by `CONVENTIONS`; LUMBAR (the lumbar region of the
        body) is taken as the spine, the only film of it.

    Example:
        >>> region_from_dicom("LEG"), region_from_dicom("CSPINE"), region_from_dicom("PORT CHEST")
        ('tibia_fibula', 'cervical_spine', 'chest')
    """
    return _resolve(body_part_examined, _dicom_terms())


def dicom_values(region: str) -> tuple[str, ...]:
    """The standard's Body Part Examined terms for this region, in force or replaced; the first is the one to write."""
    return tuple(_entry(region)["dicom"])


def display_name(region: str) -> str:
    """Name for use in a sentence: "tibia and fibula", "cervical spine"."""
    return str(_entry(region)["display"])


def is_paired(region: str) -> bool:
    """True where a body has a left and a right one: hand, but not chest."""
    return bool(_entry(region)["paired"])


def find_mentions(text: str) -> list[Mention]:
    """All regions named in free text, in order of position, without overlap, the longest match first.

    A side applies to the mention it stands before ("right distal radius", "(L) wrist") or right behind ("knee, left",
    "XR KNEE 2 VIEWS RIGHT"), and on to paired regions joined to it ("left knee and ankle").

    Example:
        >>> [(m.region, m.laterality) for m in find_mentions("CXR and left knee. Lungs clear, both hips normal.")]
        [('chest', ''), ('knee', 'left'), ('chest', ''), ('hip', 'both')]
    """
    return [token for token in _sided_tokens(text) if token.region]


def find_laterality(text: str) -> Laterality:
    """The side a text speaks of: "both" for a word like "bilateral" or when left and right both occur, "" for none.

    The letters L and R count where they stand with a region ("R hand") or alone, as in DICOM Laterality (0020,0060).
    """
    code = text.strip().upper()
    if code in _DICOM_LATERALITY:  # a lone letter is a code; in a text it may be an initial
        return _DICOM_LATERALITY[code]
    found = {token.laterality for token in _sided_tokens(text) if token.region or token.end - token.start > 1} - {""}
    return "both" if len(found) > 1 else found.pop() if found else ""


@cache
def _words() -> dict[str, Any]:
    return dict(json.loads(Path(__file__).with_name("anatomy.json").read_text(encoding="utf-8")))


def _entry(region: str) -> dict[str, Any]:
    if region not in REGIONS:
        raise UnknownRegion(region, f"expected one of pedclip.anatomy.REGIONS, got {region[:60]!r}.")
    return dict(_words()["regions"][region])


def _key(term: str) -> str:
    """Spelling that is equal for "Tib/Fib", "tib fib" and "TIBFIB"."""
    return re.sub(r"[^a-z0-9]", "", term.lower().replace("&", "and"))


def _spellings(terms: Iterable[str]) -> list[str]:
    """The terms, and each with one word at a time misspelt in the ways people do."""
    wrong = _words()["misspellings"]
    swaps = [(term, word, bad) for term in terms for word in re.findall(r"\w+", term) for bad in wrong.get(word, ())]
    return [*terms, *(term.replace(word, bad) for term, word, bad in swaps)]


@cache
def _keys(*fields: str) -> Mapping[str, str]:
    """Key of every term in these fields to its region."""
    lists = [(region, _entry(region).get(field, [])) for field in fields for region in REGIONS]
    return {_key(spelling): region for region, terms in lists for spelling in _spellings(terms)}


@cache
def _labels() -> Mapping[str, str]:
    """Key of every label to its region, to the reason why it has none, or to "" if it says nothing of anatomy."""
    reasons = {_key(s): reason for reason, terms in _words()["unmappable"].items() for s in _spellings(terms)}
    conventions = {_key(term): region for term, region in _words()["conventions"].items()}
    fillers = dict.fromkeys(map(_key, [*_words()["exam_words"], *chain(*_words()["sides"].values())]), "")
    return {**reasons, **_keys("structures", "labels", "names"), **conventions, **fillers}  # later ones win


@cache
def _dicom_terms() -> Mapping[str, str]:
    outside = dict.fromkeys(map(_key, _words()["dicom_outside"]), "DICOM means none of the 23 by it")
    return {**_labels(), **outside, **_keys("dicom")}  # the standard has the last word: LEG is the lower leg


def _resolve(name: str, table: Mapping[str, str]) -> str:
    found = set(_cover(name, table)) - {""}  # "" stands for words of the exam
    reasons = sorted(found.difference(REGIONS))  # targets that are no region say why there is none
    if len(found) == 1 and not reasons:
        return found.pop()
    why = reasons[0] if reasons else f"it names {', '.join(sorted(found))}" if found else "it names no body part"
    raise UnmappableRegion(name, f"expected one of pedclip.anatomy.REGIONS, got {name[:60]!r}: {why}.")


def _cover(name: str, table: Mapping[str, str]) -> Iterator[str]:
    """Splits a label into known terms, the longest first, and yields what each stands for."""
    words = [key for word in re.split(r"[\W_]+", name.replace("&", " and ")) if (key := _key(word))]
    while words:
        for end in range(min(len(words), 8), 0, -1):  # no term has more words
            term = "".join(words[:end])
            target = table.get(term, table.get(term.removesuffix("s")))  # plural in -s
            if target is not None or re.fullmatch(r"\d+(v|vws?|views?|st|nd|rd|th)?", term):
                yield target or ""
                del words[:end]
                break
        else:
            close = dict.fromkeys(table[key] for key in get_close_matches(words[0], table, cutoff=0.7))
            hints = [repr(region) for region in close if region in REGIONS]
            hint = f"did you mean {' or '.join(hints)}?" if hints else "a new spelling goes into anatomy.json."
            raise UnknownRegion(name, f"expected one of pedclip.anatomy.REGIONS, got {name[:60]!r}: {hint}")


def _any_of(terms: Iterable[str]) -> str:
    """One expression for many terms as a prefix tree, nine times faster than a list, with plurals in -s.

    Terms with a capital letter match only as written, for "KUB" or "AC" might be words; all others in any case.
    """
    root: dict[str, Any] = {}
    for term in terms:
        node, form = root, "{}" if term == term.lower() else "(?-i:{})"  # capitals only: as written
        for atom in re.findall(r" and | |.", term):
            node = node.setdefault(_JOINTS.get(atom) or form.format(re.escape(atom)), {})
        node[""] = {}  # a term may end here
        if term[-1].isalpha() and term[-1] != "s":
            node.setdefault("s", {})[""] = {}

    def expression(node: dict[str, Any]) -> str:
        branches = "|".join(atom + expression(child) for atom, child in node.items() if atom)
        return f"(?:{branches}){'?' if '' in node else ''}" if branches else ""

    return expression(root)


@cache
def _scanner() -> re.Pattern[str]:
    words, entries = _words(), _words()["regions"].values()
    term = _any_of(_spellings([term for entry in entries for term in entry["names"] + entry["structures"]]))
    part = _any_of([term for entry in entries for term in entry.get("listed", ())])  # as in "thoracic and lumbar spine"
    listed = rf"{part}(?=(?:\s*(?:,|/|-|&|and|or)\s*(?:(?:and|or)\s+)?{part}){{1,5}}[\s-]+(?:spine|vertebra))"
    side = _any_of([*chain(*words["sides"].values())])
    sides = rf"{side}(?:\s*(?:and|or|&|/|-|,)\s*{side}{_WORD_END})?"
    choices = f"(?P<ignored>{_any_of(words['ignored'])})|(?P<term>{term}|{listed})|(?P<side>{sides})"
    return re.compile(f"{_WORD_START}(?:{choices}){_WORD_END}", re.IGNORECASE | re.ASCII)


@cache
def _gaps() -> tuple[re.Pattern[str], ...]:
    """Patterns of the words between a side and its region, a region and its side, and two regions with one side."""
    stops, exam = ("|".join(map(re.escape, _words()[name])) for name in ("gap_stops", "exam_words"))
    plain = rf"(?:(?!(?:{stops})\b)[a-z0-9']+(?:-[a-z0-9']+)*|\d\w*\s*(?:,|&|and|to)\s*\d\w*)"
    word = rf"(?:{plain}[\s()-]+)"  # four may stand between; behind a lone L or R, which may be an initial, only one
    before = rf"(?:(?<=\b[lr])\.?[\s()-]*{word}?|(?<!\b[lr])(?:(?<=\b[lr]t)\.)?[\s()-]*{word}{{0,4}})"
    after = rf"[\s,(:-]*(?:(?:{exam}|\d+(?:-\d+)?)\b[\s,(-]*){{0,6}}"
    joined = rf"\s*(?:,|/|&|\band\b|\bor\b)\s*(?:(?:and|or|the)\s+)*(?:{plain}\s+)?"
    return tuple(re.compile(pattern, re.IGNORECASE | re.ASCII) for pattern in (before, after, joined))


def _tokens(text: str) -> Iterator[Mention]:
    """Tokens that the scanner recognizes: mentions without their side, and sides as mentions of the region ""."""
    names, terms = _keys("listed", "names"), _keys("listed", "structures", "names")
    for match in _scanner().finditer(text):
        key = _key(match[0])
        if match.lastgroup == "term":
            key = key if key in terms else key.removesuffix("s")  # plural in -s
            yield Mention(terms[key], "", *match.span(), "name" if key in names else "structure")
        elif match.lastgroup == "side":
            words = {key, *map(_key, re.findall("[a-z]+", match[0].lower()))}
            found = [side for side, terms in _words()["sides"].items() if not words.isdisjoint(map(_key, terms))]
            yield Mention("", found[0] if len(found) == 1 else "both", *match.span(), "name")


def _sided_tokens(text: str) -> list[Mention]:
    """Tokens of a text, where each side has been given to the mention that it applies to."""
    tokens = list(_tokens(text))
    before, after, joined = _gaps()
    for i, side in enumerate(tokens):
        last, following = tokens[max(i - 1, 0)], tokens[min(i + 1, len(tokens) - 1)]
        if not side.region and following.region and before.fullmatch(text, side.end, following.start):
            tokens[i + 1] = replace(following, laterality=side.laterality)
        elif not side.region and last.region and not last.laterality and after.fullmatch(text, last.end, side.start):
            tokens[i - 1] = replace(last, laterality=side.laterality)
    for i, (first, second) in enumerate(pairwise([*tokens])):
        are_paired = first.region and second.region and is_paired(first.region) and is_paired(second.region)
        is_open = are_paired and tokens[i].laterality and not second.laterality  # "left knee and ankle"
        if is_open and joined.fullmatch(text, first.end, second.start):
            tokens[i + 1] = replace(second, laterality=tokens[i].laterality)
    return tokens
